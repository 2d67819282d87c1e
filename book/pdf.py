"""The whole book as one PDF: `make pdf` prints each built page with Chromium and joins them, with bookmarks.

Labs are their still pictures, folded answers are open, code that a page folds is left out, and what is wider than the
paper is made narrower. Links between pages lead to the first page of what they name.
"""

import argparse
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag

import yaml
from playwright.sync_api import Page, Route, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, NameObject

ROOT = Path(__file__).parents[1]
HTML = ROOT / "_build" / "html"
SCALE = 0.8
MARGIN = {"top": "15mm", "bottom": "18mm", "left": "15mm", "right": "15mm"}
WIDTH = round((210 - 30) / 25.4 * 96 / SCALE)  # of the text, in pixels of the page
# The text alone, without what only works on a screen.
STYLE = """
@page { size: A4; }
html { scroll-padding: 0 !important; }
.bd-header, .bd-header-article, .bd-sidebar-primary, .bd-sidebar-secondary, .bd-footer, .prev-next-footer, .headerlink,
.skip-link, .copybtn, .toggle-button, .toggle-chevron-right, .tb-icon, button.toggle-button, #searchbox,
#jb-print-docs-body, details.above-input, .softq-filter, .pst-async-banner-revealer, .search-button__wrapper,
#pst-back-to-top { display: none !important; }
.bd-main, .bd-content, .bd-article-container, .bd-page-width, .bd-container__inner, .bd-article {
  display: block !important; max-width: none !important; width: auto !important; padding: 0 !important;
  margin: 0 !important; }
.bd-article h1 { display: block !important; }
body { font-size: 16px; background: #fff; }
.toggle-hidden:not(.admonition) { visibility: visible !important; height: auto !important; opacity: 1 !important; }
.admonition.toggle-hidden > *, .admonition.toggle-hidden .admonition-title ~ * {
  display: revert !important; visibility: visible !important; height: auto !important; opacity: 1 !important;
  margin-bottom: 0.6rem !important; }
.admonition { overflow: visible !important; height: auto !important; }
details > summary { list-style: none; font-size: 0.85rem; }
pre { white-space: pre-wrap !important; overflow-wrap: anywhere; overflow: visible !important; }
.pst-scrollable-table-container, .cell_output .text_html, mjx-container { overflow: visible !important; }
h1, h2, h3, h4, .admonition-title, figcaption { break-after: avoid; }
figure, img, tr, mjx-container[display="true"], .softq-lab { break-inside: avoid; }
div.admonition { break-inside: auto !important; }
thead { display: table-header-group; }
img { max-width: 100% !important; max-height: 230mm; height: auto; }
"""
OPEN = """
() => {
  document.documentElement.dataset.theme = "light";
  for (const node of document.querySelectorAll("details")) node.open = true;
  for (const node of document.querySelectorAll(".toggle-hidden")) node.classList.remove("toggle-hidden");
}
"""
# Tables and formulas that are wider than the paper; an element in one that was made narrower is left alone.
FIT = """
(width) => {
  const wide = "article table, article mjx-container[display='true'], article .text_html > *";
  for (const node of document.querySelectorAll(wide)) {
    if (node.parentElement.closest("[data-fitted]")) continue;
    const box = node.parentElement.getBoundingClientRect();
    const room = Math.min(width, box.right) - Math.max(0, node.getBoundingClientRect().left);
    const need = node.matches("mjx-container") ? node.scrollWidth : node.offsetWidth;
    if (need <= room + 1) continue;
    node.dataset.fitted = "";
    node.style.zoom = Math.max(0.4, (room / need) * 0.99);
  }
}
"""


def chapters(toc: dict) -> Iterator[tuple[str, int, str]]:
    """The pages of the table of contents in order: path, depth, and the part that begins with it, or ""."""

    def below(entry: dict, depth: int, part: str) -> Iterator[tuple[str, int, str]]:
        yield entry["file"], depth, part
        for section in entry.get("sections", []):
            yield from below(section, depth + 1, "")

    yield toc["root"], 0, ""
    for part in toc["parts"]:
        for i, entry in enumerate(part["chapters"]):
            yield from below(entry, 1, part["caption"] if i == 0 else "")


def only_text(route: Route) -> None:
    """Without the scripts of the labs, the still picture of a lab stays."""
    if "/_static/softq-" in route.request.url and route.request.url.split("?")[0].endswith(".js"):
        route.abort()
    else:
        route.continue_()


def printed(page: Page, path: Path) -> bytes:
    """One page of the book as a PDF."""
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelectorAll('.math:not(:has(mjx-container))').length === 0")
    page.evaluate(OPEN)
    page.add_style_tag(content=STYLE)
    page.evaluate("document.fonts.ready.then(() => true)")
    page.evaluate(FIT, WIDTH)
    return page.pdf(format="A4", scale=SCALE, margin=MARGIN, print_background=True, outline=False)


def numbers(page: Page, count: int) -> PdfReader:
    """As many empty pages, each with its number at the bottom."""
    sheets = "".join(f"<div>{i}</div>" for i in range(1, count + 1))
    style = "@page{size:A4;margin:0} body{margin:0} div{height:297mm;box-sizing:border-box;padding-top:283mm;"
    style += (
        "text-align:center;font:9pt sans-serif;color:#555;break-after:page} div:last-child{break-after:auto}"
    )
    page.set_content(f"<style>{style}</style>{sheets}")
    return PdfReader(io.BytesIO(page.pdf(format="A4")))


def joined(parts: list[tuple[str, int, str, str, bytes]], html: Path) -> PdfWriter:
    """The PDFs of pages one after another, with bookmarks by part and title: path, depth, part, title, PDF."""
    writer, first, above = PdfWriter(), {}, {}
    for path, depth, part, title, pdf in parts:
        first[path] = len(writer.pages)
        writer.append(io.BytesIO(pdf), import_outline=False)
        if part:
            above[0] = writer.add_outline_item(title=part, page_number=first[path])
        parent = above.get(depth - 1) if depth else None
        above[depth] = writer.add_outline_item(title=title, page_number=first[path], parent=parent)
    link_pages(writer, first, html)
    return writer


def link_pages(writer: PdfWriter, first: dict[str, int], html: Path) -> None:
    """Let links to other pages of the book lead to these pages of the PDF; `first` has the number of each."""
    root = html.as_uri() + "/"
    for page in writer.pages:
        for reference in page.get("/Annots") or []:
            link = reference.get_object()
            action = link.get("/A")
            address = str(action.get_object().get("/URI", "")) if action else ""
            if not address.startswith(root):
                continue
            path = unquote(urldefrag(address)[0]).removeprefix(unquote(root)).removesuffix(".html")
            if path in first:
                target = writer.pages[first[path]].indirect_reference
                del link["/A"]
                link[NameObject("/Dest")] = ArrayObject([target, NameObject("/Fit")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "softq.pdf", help="the file to write")
    parser.add_argument("--html", type=Path, default=HTML, help="the built book")
    parser.add_argument("--only", nargs="*", help="pages to print, by their path in the table of contents")
    options = parser.parse_args()
    browser_path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not (options.html / "index.html").is_file():
        parser.error(f"there is no built book in {options.html}: run make book first")
    if browser_path is None:
        parser.error("no chromium: apt-get install chromium, or CHROMIUM=/path/to/it")
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    parts = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 1200}, color_scheme="light")
        page.emulate_media(media="print", color_scheme="light")
        page.route("**/*", only_text)
        for path, depth, part in chapters(toc):
            if options.only and path not in options.only:
                continue
            pdf = printed(page, options.html / f"{path}.html")
            title = page.locator("article h1").first.evaluate("node => node.innerText").strip().rstrip("#")
            parts.append((path, depth, part, title, pdf))
            print(path, flush=True)
        writer = joined(parts, options.html)
        for sheet, number in zip(writer.pages, numbers(page, len(writer.pages)).pages, strict=True):
            sheet.merge_page(number)
        browser.close()
    writer.add_metadata(
        {"/Title": "softq: softmax policies for continuous control", "/Author": "The softq authors"}
    )
    writer.compress_identical_objects()
    writer.write(options.out)
    print(f"{options.out}: {len(writer.pages)} pages, {options.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
