"""`make pdf` prints every page of the table of contents, in order, and links of one page lead to another."""

import io
from pathlib import Path

import pdf
import yaml
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link

ROOT = Path(__file__).parents[1]

TOC = (ROOT / "_toc.yml").read_text()


def test_the_list_of_pages_is_complete() -> None:
    pages = list(pdf.chapters(yaml.safe_load(TOC)))
    named = [word for word in TOC.split() if word.startswith(("book/", "notebooks/"))]
    assert [path for path, _, _ in pages] == named
    assert [part for _, _, part in pages if part] == [x["caption"] for x in yaml.safe_load(TOC)["parts"]]
    assert {path: depth for path, depth, _ in pages}["notebooks/12b_particles"] == 2


def sheet(address: str = "") -> bytes:
    """A PDF of one empty page, with a link."""
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    if address:
        writer.add_annotation(0, Link(rect=(0, 0, 50, 50), url=address))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_bookmarks_and_links(tmp_path: Path) -> None:
    inside, outside = f"{tmp_path.as_uri()}/b/two.html#x", "https://example.org/"
    parts = [("one", 1, "Part", "First", sheet(inside)), ("b/two", 2, "", "Second", sheet(outside))]
    out = io.BytesIO()
    pdf.joined(parts, tmp_path).write(out)
    book = PdfReader(out)
    assert len(book.pages) == 2
    part, below = book.outline
    assert (part.title, below[0].title, below[1][0].title) == ("Part", "First", "Second")
    first, second = (page["/Annots"][0].get_object() for page in book.pages)
    assert first["/Dest"][0] == book.pages[1].indirect_reference and "/A" not in first
    assert second["/A"]["/URI"] == outside
