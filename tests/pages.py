"""Readers of the book's pages, shared by the tests of them: their text, what they glue, the commands that they name."""

import ast
import contextlib
import io
import json
import re
import shlex
from functools import cache
from pathlib import Path

from softq.algorithms import ALGORITHMS
from softq.cli import main

GLUE = re.compile(r"\{glue:text\}`([^`]*)`")
PASTED = re.compile(r"(?P<path>[^:]+)::(?P<key>[^:]+):(?P<format>[+,]?\.\d[fge%])")


def text_of(page: Path) -> str:
    """A page as its reader sees it: Markdown, or the cells of a notebook."""
    if page.suffix == ".md":
        return page.read_text()
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(page.read_text())["cells"])


def sources(notebook: Path, kind: str) -> str:
    """All cells of one kind, one after another."""
    cells = json.loads(notebook.read_text())["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == kind)


def glued(code: str) -> tuple[set[str], list[re.Pattern]]:
    """Keys that a notebook can glue: strings used as keys or given to `glue`, and patterns for f-strings."""
    keys, patterns = set(), []
    tree = ast.parse(re.sub(r"^[%!].*$", "", code, flags=re.MULTILINE))
    for node in ast.walk(tree):
        found = []
        if isinstance(node, ast.Dict):
            found = node.keys
        elif isinstance(node, ast.DictComp):
            found = [node.key]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            found = [node.slice]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "glue":
            found = node.args[:1]
        for key in found:
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                keys.add(key.value)
            elif isinstance(key, ast.JoinedStr):
                parts = [
                    re.escape(part.value) if isinstance(part, ast.Constant) else ".+" for part in key.values
                ]
                if any(part != ".+" for part in parts):
                    patterns.append(re.compile("".join(parts)))
    return keys, patterns


@cache
def help_of(*words: str) -> str:
    """What `softq WORDS --help` prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([*words, "--help"]) == 0
    return out.getvalue()


def unknown_options(line: str) -> list[str]:
    """The options of `softq LINE` that its help does not name."""
    words = shlex.split(line, comments=True)
    command = words[:1]
    if (command == ["train"] and words[1] in ALGORITHMS) or command in (["bench"], ["visits"]):
        command.append(words[1])
    elif "--resume" in words:
        command.append("ddpg")  # stands for the method of the run
    said = help_of(*command)
    known = set(re.findall(r"--[a-z][a-z0-9-]*", said)) | set(re.findall(r"--no-[a-z-]+", said))
    return [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
