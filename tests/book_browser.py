"""Debian's chromium on the built book, for the browser tests and tests/screenshots.py."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import lab_scripts
from playwright.sync_api import Browser, Page, Route, sync_playwright

HTML = Path(__file__).parents[1] / "_build" / "html"
STATIC = Path(__file__).parents[1] / "book" / "_static"
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
ARGS += ["--disable-background-networking", "--disable-component-update"]
PHONE: Any = {"width": 390, "height": 844}  # pixels of the screen


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def server(folder: Path = HTML) -> Iterator[str]:
    """The built book, or another folder, over HTTP; gives its address."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; a missing one is an error that says what to do."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise FileNotFoundError(
            "no chromium: `apt-get install chromium`, or CHROMIUM=/path/to/it, or leave these tests out with "
            "`make test BROWSER=0`"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


def write_page(folder: Path, *labs: Any) -> Path:
    """Write folder/index.html, a page with nothing but these labs, their style and their scripts; gives its path."""
    body = "".join(lab.html() for lab in labs)
    names = lab_scripts.scripts(lab_scripts.kinds_in(body))
    for name in ("softq.css", *names):
        shutil.copy(STATIC / name, folder)
    scripts = "".join(f'<script defer src="{name}"></script>' for name in names)
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Labs</title>'
        '<link rel="icon" href="data:"><link rel="stylesheet" href="softq.css">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{scripts}</head><body>{body}</body></html>"
    )
    return folder / "index.html"


@contextmanager
def on_a_phone(
    folder: Path, *labs: Any, query: str = "", still: bool = False
) -> Iterator[tuple[Page, list[str]]]:
    """A page of these labs alone on the screen of a phone, opened with `query`, and the names of its labs.

    Its reader asks for reduced motion if `still`. At the end nothing may have been complained of, and nothing may be
    wider than the screen.
    """
    path = write_page(folder, *labs)
    with chromium() as browser:
        page = browser.new_page(viewport=PHONE, reduced_motion="reduce" if still else "no-preference")
        complaints = watch(page, folder.as_uri())
        page.goto(path.as_uri() + query)
        settle(page, mathematics=False)
        yield page, page.evaluate("softqLab.ids()")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert complaints == []


def set_all(page: Page, lab: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What the lab reports once it has these settings, which are set in their order."""
    change = (
        "([id, all]) => (Object.entries(all).forEach((one) => softqLab.set(id, ...one)), softqLab.report(id))"
    )
    return page.evaluate(change, [lab, settings])


def pages() -> list[str]:
    """The pages that were written, as paths below the book's root; the table of contents decides which."""
    toc = (HTML.parents[1] / "_toc.yml").read_text().split()
    named = [word for word in toc if word.startswith(("book/", "notebooks/"))]
    return [f"{name}.html" for name in named]


def watch(page: Page, base: str, mathematics: bool = True) -> list[str]:
    """Complaints of a page, filled while it loads: errors, and requests that fail or leave `base`.

    Without `mathematics` its script, which is most of a page's work, is empty: formulas stay as they are written.
    """
    complaints: list[str] = []

    def guard(route: Route) -> None:
        url = route.request.url
        if not mathematics and url.startswith(base) and "/mathjax/" in url:
            route.fulfill(body="", content_type="text/javascript")
        elif url.startswith((base, "data:", "blob:")):
            route.continue_()
        else:
            complaints.append(f"asks for {url}")
            route.abort()

    page.route("**/*", guard)
    page.on("pageerror", lambda error: complaints.append(f"throws {error}"))
    page.on("requestfailed", lambda request: complaints.append(f"cannot load {request.url}"))
    page.on("response", lambda r: complaints.append(f"{r.status} for {r.url}") if r.status >= 400 else None)
    page.on(
        "console",
        lambda message: complaints.append(f"logs {message.text}") if message.type == "error" else None,
    )
    return complaints


def settle(page: Page, mathematics: bool = True) -> None:
    """Wait until the labs are mounted and the mathematics is set."""
    waiting = ".softq-lab:not([data-ready])" + (", .math:not(:has(mjx-container))" if mathematics else "")
    page.wait_for_function("waiting => document.querySelectorAll(waiting).length === 0", arg=waiting)


def pause_after(page: Page, lab: str, steps: int) -> None:
    """Press Pause within the page once more than so many steps are taken.

    From here a busy machine may need longer to press it than the run lasts.
    """
    page.wait_for_function(
        """([id, steps]) => {
            const buttons = [...document.querySelectorAll(`#${id} button`)];
            const pause = buttons.find((button) => button.textContent.trim() === "Pause");
            if (!pause || softqLab.report(id).taken <= steps) return false;
            pause.click();
            return true;
        }""",
        arg=[lab, steps],
    )
