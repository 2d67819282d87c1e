"""`{softq-citation}`: the BibTeX entry of this book, made from CITATION.cff, and its line in words."""

from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

FILE = Path(__file__).parents[2] / "CITATION.cff"


def bibtex(cff: dict[str, Any], year: str, address: str = "") -> str:
    """The entry for LaTeX; a name of a group is in braces of its own, so that BibTeX does not take it apart."""
    authors = " and ".join(
        f"{x['family-names']}, {x['given-names']}" if "family-names" in x else f"{{{x['name']}}}"
        for x in cff["authors"]
    )
    fields = {
        "author": authors,
        "title": f"{{{cff['title']}}}",
        "year": str(cff.get("date-released", year))[:4],
        "version": cff["version"],
        "license": cff["license"],
        "url": cff.get("repository-code", address),
    }
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    return "@software{softq,\n" + ",\n".join(lines) + "\n}"


class Citation(Directive):
    def run(self) -> list[nodes.Node]:
        config = self.state.document.settings.env.config
        address = config.html_theme_options.get("repository_url", "")
        entry = bibtex(yaml.safe_load(FILE.read_text(encoding="utf-8")), config.copyright, address)
        return [nodes.literal_block(entry, entry, language="bibtex")]


def connect(app: Sphinx) -> None:
    app.add_directive("softq-citation", Citation)
