"""Previews: what a link within the book leads to, shown beside the link.

While the pages are written, the parts that links lead to are copied from them: terms of the glossary, theorems and
algorithms, equations, figures, tables, sections and entries of the bibliography. The copies that some page needs end up
in one file, `_static/softq-preview-data.js`, which `softq-preview.js` asks for when a reader first points at a link.
It is a script and not JSON because a page from a folder may not read other files.

A copy has no links, no ids and nothing folded: it says its part of the page, and the link leads to the rest.
"""

import json
import posixpath
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag
from docutils import nodes
from sphinx.application import Sphinx

DATA = "softq-preview-data.js"
KEPT = "softq-previews.json"  # beside the pages that Sphinx has read
TARGETS = "div.proof, div.exercise, div.math, div.citation, figure, section, dt"
UNWANTED = (
    ".headerlink, .toggle, .dropdown, details, script, style, button, iframe, .eqno, .softq-lab, .backrefs"
)


def page_and_target(page: str, link: str) -> str | None:
    """The key under which the preview of a link on `page` is stored: a page and, after #, an id; None if outside."""
    if "://" in link or link.startswith(("mailto:", "data:")):
        return None
    path, _, target = link.partition("#")
    if path and not path.endswith(".html"):
        return None
    there = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else f"{page}.html"
    return f"{there}#{target}" if target else there


def plain(tag: Tag, page: str) -> str:
    """A copy of `tag` without what works in its own place only."""
    copy = BeautifulSoup(str(tag), "html.parser")
    for unwanted in copy.select(UNWANTED):
        unwanted.decompose()
    for child in copy.find_all(True):
        for name in ("id", "tabindex", "aria-labelledby", "style"):
            child.attrs.pop(name, None)
        if child.name == "a":
            child.name, child.attrs = "span", {}
        elif child.name in ("section", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "dt", "dd"):
            child.name = "p" if child.name[0] == "h" else "div"
            child["class"] = [
                *child.get("class", []),
                *(["softq-preview-title"] if child.name == "p" else []),
            ]
        elif child.name == "img" and not str(child.get("src", "")).startswith("data:"):
            child["src"] = posixpath.normpath(posixpath.join(posixpath.dirname(page), str(child["src"])))
    return str(copy)


def opening(section: Tag, page: str) -> str:
    """The heading of a section and its first paragraph."""
    heading = section.find(["h1", "h2", "h3", "h4", "h5", "h6"], recursive=False)
    if heading is None:
        return ""
    first = next((p for p in heading.find_next_siblings(["p", "section"])), None)
    return plain(heading, page) + (plain(first, page) if first is not None and first.name == "p" else "")


def copies(page: str, body: BeautifulSoup) -> dict[str, str]:
    """What the links to `page` can show, by key."""
    found: dict[str, str] = {}
    for tag in body.select(TARGETS):
        if tag.name == "section":
            html = opening(tag, page)
        elif tag.name == "dt":
            meaning = tag.find_next_sibling("dd")
            html = (
                plain(tag, page)
                .replace("<div", '<p class="softq-preview-title"', 1)
                .replace("</div>", "</p>")
            )
            html += "" if meaning is None else plain(meaning, page)
        else:
            html = plain(tag, page)
        if tag.name == "section" and tag.parent is body and html:
            found.setdefault(f"{page}.html", html)
        for name in names(tag):
            if html:
                found[f"{page}.html#{name}"] = html
    return found


def names(tag: Tag) -> list[str]:
    """The ids of a part: its own and those of the empty spans that Sphinx puts at its beginning."""
    spans = tag.find_all("span", id=True, recursive=False)
    return [str(node["id"]) for node in [tag, *spans] if node.get("id")]


def store_of(app: Sphinx) -> dict[str, Any]:
    """The copies and links of every page; those of pages that need no writing are the last build's."""
    if not hasattr(app, "softq_previews"):
        path = Path(app.doctreedir, KEPT)
        app.softq_previews = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return app.softq_previews


def collect(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Take from one page what other pages may show, and which links it has itself."""
    if doctree is None:
        return
    body = BeautifulSoup(context["body"], "html.parser")
    links = (page_and_target(page, str(a["href"])) for a in body.select("a.reference.internal[href]"))
    store_of(app)[page] = {"copies": copies(page, body), "links": sorted({link for link in links if link})}
    # A preview may have formulas where its page has none.
    app.env.get_domain("math").data["has_equations"][page] = True


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the previews that some link needs."""
    if error or app.builder.format != "html":
        return
    store = {page: kept for page, kept in store_of(app).items() if page in app.env.all_docs}
    Path(app.doctreedir, KEPT).write_text(json.dumps(store), encoding="utf-8")
    found = {key: html for kept in store.values() for key, html in kept["copies"].items()}
    wanted = {link for kept in store.values() for link in kept["links"]}
    data = {key: found[key] for key in sorted(wanted & found.keys())}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    Path(app.outdir, "_static", DATA).write_text(f"globalThis.softqPreviews = {text};\n", encoding="utf-8")


def connect(app: Sphinx) -> None:
    app.connect("html-page-context", collect, priority=400)  # before the scripts of the formulas are added
    app.connect("build-finished", write)
