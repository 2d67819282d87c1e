"""What every page has besides its labs, in a browser: previews of links, figures on the whole screen."""

from collections.abc import Iterator

import pytest
from book_browser import HTML, chromium, settle, watch
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
PAGE = "notebooks/01_temperature.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert (HTML / "index.html").is_file(), "no built book: run `make notebooks html` first"
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """The first chapter from a folder, which is the harder case: a page may not read other files."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        complaints = watch(page, HTML.as_uri())
        page.goto(f"{HTML.as_uri()}/{PAGE}")
        settle(page)
        yield page
        assert complaints == []


def test_a_link_shows_what_it_leads_to(page: Page) -> None:
    """By pointer and by keyboard, for a formula and an entry of the bibliography; Escape puts the preview away."""
    card = page.locator("#softq-preview")
    assert not card.is_visible()
    page.locator("article a[href='#equation-eq-temperature-softmax']:not(.headerlink):visible").first.hover()
    card.locator("mjx-container").first.wait_for()
    link = page.locator("article a[href*='bibliography.html#']:visible").first
    page.keyboard.press("Escape")
    assert not card.is_visible()
    page.keyboard.press("Tab")  # the last input was the keyboard, so that the focus shows
    link.focus()
    card.wait_for()
    assert link.get_attribute("aria-describedby") == card.get_attribute("id")
    assert len(card.inner_text()) > 40 and card.locator("a, [id]").count() == 0
    page.keyboard.press("Escape")
    assert not card.is_visible() and link.get_attribute("aria-describedby") is None


def test_a_figure_opens_on_the_whole_screen(page: Page) -> None:
    frame, dialog = page.locator("article .softq-zoom-frame").first, page.locator("dialog.softq-zoom")
    button = frame.get_by_role("button", name="Enlarge the figure")
    button.focus()
    page.keyboard.press("Enter")
    assert dialog.locator("img").get_attribute("alt") == frame.locator("img").get_attribute("alt")
    assert dialog.locator("img").bounding_box()["width"] > 1.2 * frame.locator("img").bounding_box()["width"]
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert button.evaluate("node => node === document.activeElement")
    frame.locator("img").click()
    dialog.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()


def test_what_is_wide_says_so_on_a_phone(page: Page) -> None:
    """Boxes that scroll are marked and take the focus; the number of an equation has its own line."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_selector(".softq-more-right")
    assert all(
        page.locator(".softq-scrolls").evaluate_all("nodes => nodes.map((node) => node.tabIndex === 0)")
    )
    for number in page.locator("article div.math:has(.eqno)").all():
        formula, label = (
            number.locator("mjx-container").bounding_box(),
            number.locator(".eqno").bounding_box(),
        )
        assert label["y"] >= formula["y"] + formula["height"] - 1


def test_the_errata_by_kind_and_the_ledger_by_verdict(browser: Browser) -> None:
    """The filter works by keyboard, says how many entries it shows, and a link to a hidden one shows all again."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        complaints = watch(page, HTML.as_uri(), mathematics=False)
        page.goto(f"{HTML.as_uri()}/book/errata.html")
        shown = page.locator(".softq-filter output")
        everything = shown.inner_text()
        page.get_by_label("Kind").focus()
        page.keyboard.press("ArrowDown")
        assert page.get_by_label("Kind").input_value() == "error"
        count, total = map(int, shown.inner_text().removesuffix(" entries").split(" of "))
        rows = page.locator("article table tbody tr:visible td:nth-child(2)").all_inner_texts()
        assert 0 < count < total and len(rows) == count and all("error" in kind for kind in rows)
        page.evaluate("window.location.hash = 'err-dqs-tanh'")
        page.wait_for_function(
            "text => document.querySelector('.softq-filter output').value === text", arg=everything
        )
        assert page.locator("#the-tanh").is_visible()

        page.goto(f"{HTML.as_uri()}/book/ledger.html")
        cells = page.locator("table.softq-verdicts tr", has_text="does not").locator("td").all_inner_texts()
        page.get_by_label("Verdict").select_option("does not")
        verdicts = page.locator(".softq-verdict:visible").all_inner_texts()
        assert verdicts == ["does not"] * int(cells[-1]) and shown.inner_text().startswith(f"{cells[-1]} of ")
        page.get_by_label("Paper").select_option("DQS")
        assert page.locator(".softq-row:visible").count() == int(cells[3])
        page.evaluate("window.location.hash = 'ddsq-table-1'")
        page.wait_for_function("document.querySelector('#ddsq-table-1').checkVisibility()")
        assert complaints == []
