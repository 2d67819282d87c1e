"""Docstrings of softq for autodoc: they are plain Markdown, and autodoc reads reStructuredText.

A name in single backticks becomes code, an indented block stays as it is written, and signs that only mean something in
reStructuredText mean nothing.
"""

import re
from typing import Any

from sphinx.application import Sphinx

CODE = re.compile(r"(`[^`]+`)")


def restructured(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText."""
    out: list[str] = []
    quoted = False
    for line in lines:
        indented = line.startswith("    ")
        after_gap = not out or not out[-1].strip()
        if indented and after_gap and not quoted:
            out += ["::", ""]
            quoted = True
        elif line.strip() and not indented:
            quoted = False
        out.append(line if quoted else "".join(map(_span, CODE.split(line))))
    return out


def _span(text: str) -> str:
    if CODE.fullmatch(text):
        return f"`{text}`"
    # not the bullet of a list, and not *emphasis*
    text = re.sub(r"(?<=\S)\s\*\s(?=\S)", r" \\* ", text)
    return re.sub(r"([|]|(?<=\w)_(?!\w))", r"\\\1", text)


def _process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = restructured(lines)


def connect(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", _process)
