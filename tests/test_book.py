"""The built book in a browser, over HTTP and from a folder. Needs `make html` and Debian's chromium."""

import base64
import gzip
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import axe_playwright_python
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from book_browser import HTML, chromium, pages, pause_after, server, settle, watch, write_page
from playwright.sync_api import Browser, BrowserContext, Page

from softq import landscapes
from softq.box import reflect
from softq.exact.boltzmann import Boltzmann
from softq.lab import BackupLab, HeroLab, ImportanceLab, TemperatureLab, VolumeLab
from softq.landscapes import Landscape
from softq.networks import Critic, StateLandscape

pytestmark = pytest.mark.browser
AXE = next(Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")).read_text()
# one page of each kind; with SOFTQ_ALL_PAGES set axe reads all of them, which takes minutes
READ_BY_AXE = {
    f"book/{name}.html" for name in ("intro", "errata", "bibliography", "api/training", "settings")
}
READ_BY_AXE |= {f"notebooks/{name}.html" for name in ("01_temperature", "10_gallery", "15_mujoco", "howto")}
LAB_PAGES = ["notebooks/01_temperature.html", "notebooks/05_langevin.html", "notebooks/15_mujoco.html"]
LANGEVIN_PAGES = LAB_PAGES[1:]  # the first one draws exactly
SCREENS = (("light", 1280), ("dark", 1280), ("dark", 390), ("light", 390))  # width in pixels
# no formula in a line ends beyond its column, unless it scrolls
NOTHING_CUT = """() => {
    const end = document.querySelector("article").getBoundingClientRect().right + 1;
    const formulas = [...document.querySelectorAll("article mjx-container")].filter((box) => !box.closest("div.math"));
    return formulas.every((box) => box.getBoundingClientRect().right <= end || box.closest(".softq-scrolls, table"));
}"""
CURVE_PAGES = {
    "volume": "notebooks/02_volume.html",
    "backup": "notebooks/03_three_backups.html",
    "importance": "notebooks/04_snis.html",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert (HTML / "index.html").is_file(), "no built book: run `make notebooks html` first"
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module", params=["http", "file"])
def base(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "file":
        yield HTML.as_uri()
    else:
        with server() as address:
            yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def open_page(page: Page, base: str, name: str, mathematics: bool = False) -> list[str]:
    complaints = watch(page, base, mathematics)
    page.goto(f"{base}/{name}")
    settle(page, mathematics)
    return complaints


def labs(page: Page) -> list[str]:
    return page.evaluate("softqLab.ids()")


def lab_of(page: Page, kind: str) -> str:
    """The first lab of this kind on the page."""
    return page.evaluate("kind => softqLab.ids().find((id) => softqLab.lab(id).data.kind === kind)", kind)


def report_of(page: Page, lab: str) -> dict:
    return page.evaluate("id => softqLab.report(id)", lab)


def finished(page: Page, lab: str) -> None:
    page.wait_for_function("id => softqLab.report(id).taken === softqLab.report(id).settings.steps", arg=lab)


@pytest.fixture(scope="module")
def reader(browser: Browser) -> Iterator[BrowserContext]:
    """One reader of all pages, whose browser keeps what they share."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield context


@pytest.mark.parametrize("name", pages())
def test_page(reader: BrowserContext, base: str, name: str) -> None:
    """No outside request, no error, alternative text everywhere, no raw TeX, no dead widget, fits a phone."""
    with reader.new_page() as page:
        # from a folder one page's formulas tell that the script and its fonts are found
        complaints = open_page(page, base, name, base.startswith("http") or name == LAB_PAGES[0])
        assert "interactive(children=" not in page.content()
        assert "application/vnd.jupyter.widget-state+json" not in page.content()
        for alt in page.locator("article img").evaluate_all("images => images.map((image) => image.alt)"):
            assert len(alt) > 5 and not alt.endswith((".png", ".svg", ".jpg")), f"alt={alt!r}"
        # once: a page from a folder has the layout of the same page over HTTP
        for scheme, width in SCREENS if base.startswith("http") else ():
            page.emulate_media(color_scheme=scheme)
            page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
            page.set_viewport_size({"width": width, "height": 844})
            # the theme's side bars slide for a moment after the screen has changed
            page.wait_for_function("w => document.documentElement.scrollWidth <= w", arg=width)
            page.wait_for_function(NOTHING_CUT)
            if scheme == "dark":
                grounds = page.locator("article .cell_output .text_html").evaluate_all(
                    "nodes => nodes.map((node) => getComputedStyle(node).backgroundColor)"
                )
                assert all(brightness(ground) < 150 for ground in grounds), grounds
        # once too, without the formulas: their thousands of elements are the mathematics script's own
        if not base.startswith("http") and (name in READ_BY_AXE or "SOFTQ_ALL_PAGES" in os.environ):
            assert unreadable(page, "light") == []
            assert unreadable(page, "dark", ["color-contrast"]) == []
        assert complaints == []


def weight(page: Path) -> int:
    """Bytes, compressed, of a built page and of the pictures, films and scripts of the book that it loads."""
    content = page.read_text()
    named = set(re.findall(r"""(?:src|href)="([^"#?]*(?:_images/|_static/softq)[^"#?]*)""", content))
    files = [page, *(page.parent / name for name in named)]
    return sum(len(gzip.compress(file.read_bytes(), 6)) for file in files)


def test_no_page_weighs_more_than_two_megabytes(browser: Browser, tmp_path: Path) -> None:
    """Beyond the theme and the script that sets formulas, which all pages share."""
    weights = {name: weight(HTML / name) for name in pages()}
    assert {name: bytes for name, bytes in weights.items() if bytes > 2_000_000} == {}
    picture = HTML / "_images" / max((HTML / "_images").iterdir(), key=lambda file: file.stat().st_size).name
    heavy = tmp_path / "page.html"
    heavy.write_text(f'<img src="{picture}">')
    assert weight(heavy) > 0.9 * picture.stat().st_size, "a picture counts"


def unreadable(page: Page, scheme: str, rules: list[str] | None = None) -> list[str]:
    """What axe finds that keeps readers out: its rules, of all or of `rules`, with the elements that break them."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
        page.add_style_tag(
            content="*, ::before, ::after { transition: none !important; }"
        )  # no colour on its way
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
    # the styles are read from the elements: from a folder a page may not load its style sheets once more
    options: dict = {"resultTypes": ["violations"], "preload": False} | ({"runOnly": rules} if rules else {})
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


def brightness(colour: str) -> int:
    """Sum of red, green and blue, each to 255, of `rgb(...)` or `rgba(...)`; 0 where it is transparent."""
    red, green, blue, *opacity = (float(number) for number in colour.strip("rgba()").split(","))
    return 0 if opacity == [0] else int(red + green + blue)


def test_dark_mode_is_dark(page: Page, base: str) -> None:
    """The page and the labs change their ground with the reader's setting."""
    page.emulate_media(color_scheme="dark")
    open_page(page, base, LAB_PAGES[0])
    for selector in ("body", ".softq-lab"):
        ground = page.locator(selector).first.evaluate("node => getComputedStyle(node).backgroundColor")
        assert brightness(ground) < 150, f"{selector} is {ground}"


def test_index_leads_to_the_first_page(page: Page, base: str) -> None:
    page.goto(f"{base}/index.html")
    page.wait_for_url("**/book/intro.html")


def test_search(page: Page, base: str) -> None:
    """Search needs no server."""
    complaints = watch(page, base)
    page.goto(f"{base}/search.html?q=temperature")
    page.wait_for_selector("#search-results ul.search li")
    assert page.locator("#search-results ul.search li").count() >= 2
    assert complaints == []


def test_status_page_lists_every_chapter(page: Page, base: str) -> None:
    open_page(page, base, "book/status.html")
    text = page.locator("article").inner_text()
    for name in pages():
        if name.startswith("notebooks/"):
            assert name.removesuffix(".html") in text
    assert "softq" in text and "JAX devices" in text
    assert "passed" in page.locator("article table", has_text="10_gallery").last.inner_text()
    assert re.search(r"commit\s+([0-9a-f]{40}|unknown)", text)


def test_citations_lead_to_their_entry(page: Page, base: str) -> None:
    """The words of a citation are the label of its entry in the bibliography, or its year after the authors."""
    open_page(page, base, "book/intro.html")
    links = page.locator("article a.reference.internal[href*='bibliography.html#']")
    cited = {link.get_attribute("href").split("#")[1]: link.inner_text() for link in links.all()}
    assert len(cited) >= 5
    open_page(page, base, "book/bibliography.html")
    for target, words in cited.items():
        label = page.locator(f"[id='{target}'] .label").inner_text()
        label = label.strip("[] ")
        assert label == words or re.fullmatch(r".+, " + re.escape(words), label)  # "Liu and Wang [2016]"


@pytest.mark.parametrize("name", LANGEVIN_PAGES)
def test_lab_answers(page: Page, base: str, name: str) -> None:
    """The slider, by keyboard, changes the exact numbers; Run, Pause, Step and Reset do what they say."""
    open_page(page, base, name)
    assert labs(page), "no lab on this page"
    lab = labs(page)[0]
    root = page.locator(f"#{lab}")
    before = report_of(page, lab)
    assert before["taken"] == 0 and not before["running"]  # nothing moves uninvited
    readout, output = root.locator("dl").inner_text(), root.locator("output").first.inner_text()

    root.locator("input[type=range]").first.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    after = report_of(page, lab)
    assert after["settings"]["temperature"] > before["settings"]["temperature"]
    assert after["exact"]["entropy"] > before["exact"]["entropy"]
    assert root.locator("output").first.inner_text() != output
    assert root.locator("dl").inner_text() != readout

    root.get_by_role("button", name="Run").click()
    pause_after(page, lab, 3)
    paused = report_of(page, lab)
    assert not paused["running"]
    root.get_by_role("button", name="Step").click()
    assert report_of(page, lab)["taken"] == paused["taken"] + 1
    root.get_by_role("button", name="Reset").click()
    assert report_of(page, lab)["taken"] == 0
    assert "temperature" in root.locator("canvas").get_attribute("aria-label")


def test_reduced_motion_and_seed(browser: Browser, base: str) -> None:
    """With reduced motion a run jumps to its end; the same seed gives the same numbers again."""
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    open_page(page, base, LANGEVIN_PAGES[0])
    lab, seen = labs(page)[0], []
    for _ in range(2):
        page.locator(f"#{lab}").get_by_role("button", name="Reset").click()
        page.locator(f"#{lab}").get_by_role("button", name="Run").click()
        finished(page, lab)
        seen.append(report_of(page, lab)["particles"])
    assert seen[0] == seen[1]
    page.evaluate("id => softqLab.set(id, 'seed', 5)", lab)
    assert report_of(page, lab)["particles"] != seen[0]
    context.close()


def test_exact_draws(page: Page, base: str) -> None:
    """The draws move with the temperature and with a hill that is moved by keys or by the pointer; so does the law."""
    complaints = open_page(page, base, LAB_PAGES[0])
    lab = labs(page)[0]
    root, first = page.locator(f"#{lab}"), report_of(page, lab)
    assert first["particles"]["tv"] < 1.5 * first["particles"]["floor"] and first["particles"]["walls"] == 0
    slider = root.get_by_role("slider", name="Temperature")
    for _ in range(3):
        slider.press("ArrowLeft")
    colder = report_of(page, lab)
    assert colder["masses"][0] < first["masses"][0] and colder["particles"] != first["particles"]
    root.get_by_role("button", name="Draw 400").click()
    again = report_of(page, lab)
    assert again["exact"] == colder["exact"] and again["particles"] != colder["particles"]

    left = root.get_by_role("slider", name="Left hill")
    said = left.get_attribute("aria-valuetext")
    for _ in range(3):
        left.press("ArrowUp")
    assert left.get_attribute("aria-valuetext") != said
    higher = report_of(page, lab)
    assert higher["masses"][0] > 0.5 > colder["masses"][0]
    assert higher["exact"]["mean"] > colder["exact"]["mean"]
    box = left.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 80, box["y"] + 60, steps=4)
    page.mouse.up()
    assert report_of(page, lab)["masses"][0] < higher["masses"][0]
    if not base.startswith("file"):
        assert "hills=" in page.url
    root.get_by_role("button", name="Reset").click()
    assert report_of(page, lab) == first
    root.locator("canvas").focus()
    page.keyboard.press("ArrowRight")
    assert "exact density" in root.locator(".softq-lab-hover").inner_text()
    assert complaints == []


@pytest.mark.parametrize("kind", CURVE_PAGES)
def test_curve_lab_answers(page: Page, base: str, kind: str) -> None:
    """Every control, by keyboard or choice, changes the numbers; Reset brings the first ones back."""
    complaints = open_page(page, base, CURVE_PAGES[kind])
    lab = lab_of(page, kind)
    root, first = page.locator(f"#{lab}"), report_of(page, lab)
    readout = root.locator("dl").inner_text()
    seen = {readout}
    for slider in root.locator("input[type=range]").all():
        before = report_of(page, lab)["settings"]
        slider.focus()
        for _ in range(6):
            page.keyboard.press("ArrowRight")
        assert report_of(page, lab)["settings"] != before
        seen.add(root.locator("dl").inner_text())
    assert len(seen) > 2
    choice = root.locator("select").first
    choice.select_option(index=1)
    assert report_of(page, lab)["settings"] != first["settings"]
    root.get_by_role("button", name="Reset").click()
    assert report_of(page, lab) == first
    assert root.locator("dl").inner_text() == readout
    said = root.locator("canvas").get_attribute("aria-label")
    assert next(iter(first["numbers"])) in said
    assert complaints == []


@pytest.mark.parametrize("kind", CURVE_PAGES)
def test_curve_numbers_equal_python(page: Page, kind: str) -> None:
    """The page's own arithmetic against softq, at the settings it opens with and at others."""
    open_page(page, HTML.as_uri(), CURVE_PAGES[kind])
    lab = lab_of(page, kind)
    data = json.loads(page.locator(f"#{lab} script").text_content())
    twin = {"backup": BackupLab, "importance": ImportanceLab}.get(kind, lambda: volume_lab_of(data))()
    rng = np.random.default_rng(2)
    for trial in range(6):
        chosen = dict(data["settings"])
        for control in twin.controls if trial else ():
            if hasattr(control, "options"):
                chosen[control.name] = control.options[trial % len(control.options)][1]
            else:
                low, high = (
                    np.log([control.low, control.high]) if control.log else (control.low, control.high)
                )
                value = rng.uniform(low, high)
                chosen[control.name] = control.check(float(np.exp(value) if control.log else value))
        for name, value in chosen.items():
            page.evaluate("([id, name, value]) => softqLab.set(id, name, value)", [lab, name, value])
        seen, expected = report_of(page, lab)["numbers"], twin.numbers(**chosen)
        assert seen.keys() == expected.keys(), chosen
        for name, value in expected.items():
            # a volume is interpolated between 240 levels; tables of masses have 7 digits
            near = pytest.approx(value, rel=3e-3 if kind == "volume" else 1e-5, abs=1e-7)
            assert seen[name] == near, (name, chosen)


def volume_lab_of(data: dict) -> VolumeLab:
    rows = data["landscapes"]
    return VolumeLab([landscapes.get(row["name"]) for row in rows])


def test_curve_settings_travel_in_the_address(page: Page) -> None:
    with server() as address:
        query = "?2.dim=3&2.num_candidates=1000&2.temperature=9"  # of the second lab of its page
        open_page(page, address, CURVE_PAGES["importance"] + query)
        lab = lab_of(page, "importance")
        settings = report_of(page, lab)["settings"]
        assert settings == {"dim": 3, "num_candidates": 1000, "temperature": 2.0}  # 9 is beyond the slider
        page.evaluate("id => softqLab.set(id, 'temperature', 0.3)", lab)
        assert "2.temperature=0.3" in page.url and "2.dim=3" in page.url


@pytest.mark.parametrize("name", [LAB_PAGES[0], CURVE_PAGES["volume"]])
def test_without_scripts_the_picture_stays(browser: Browser, base: str, name: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base}/{name}")
    still = page.locator("img.softq-lab-still").first
    assert still.is_visible() and still.get_attribute("alt")
    context.close()


def test_settings_travel_in_the_address(page: Page) -> None:
    with server() as address:
        open_page(page, address, f"{LANGEVIN_PAGES[0]}?temperature=0.2&seed=7&boundary=reflect")
        lab = labs(page)[0]
        settings = report_of(page, lab)["settings"]
        assert (settings["temperature"], settings["seed"], settings["boundary"]) == (0.2, 7, "reflect")
        page.evaluate("id => softqLab.set(id, 'temperature', 0.3)", lab)
        assert "temperature=0.3" in page.url and "seed=7" in page.url
        # a link cannot make the page compute for ever
        query = "?particles=50000000&step=1e9&steps=2.6&temperature=-1&boundary=no&seed=1e99"
        open_page(page, address, LANGEVIN_PAGES[0] + query)
        settings = report_of(page, lab)["settings"]
        assert settings["particles"] == 5000 and settings["step"] == 1 and settings["steps"] == 3
        assert settings["temperature"] < 0.02 and settings["boundary"] == "project"
        assert settings["seed"] == 2**31 - 1


def test_a_page_from_a_folder_keeps_its_settings_too(page: Page) -> None:
    open_page(page, HTML.as_uri(), LANGEVIN_PAGES[0])
    lab = labs(page)[0]
    page.evaluate("id => softqLab.set(id, 'temperature', 0.3)", lab)
    page.evaluate("id => softqLab.set(id, 'seed', 7)", lab)
    assert "#softq?" in page.url
    page.reload()
    settle(page, False)
    settings = report_of(page, lab)["settings"]
    assert (settings["temperature"], settings["seed"]) == (0.3, 7)


def test_the_figure_of_the_front_page(page: Page, tmp_path: Path) -> None:
    """Its sentence says Python's numbers; hills and thermometer move by keys; draws move when asked, and stop."""
    lab = HeroLab()
    write_page(tmp_path, lab)
    complaints = open_page(page, tmp_path.as_uri(), "index.html?temperature=0.05")
    (name,) = labs(page)
    said = lambda: page.locator(".softq-lab-says").inner_text().replace("\u00a0", " ")
    numbers = report_of(page, name)
    twin = lab.numbers(temperature=0.05)
    assert numbers["masses"] == pytest.approx(
        [twin["mass of the left hill"], twin["mass of the right hill"]], abs=1e-6
    )
    assert numbers["exact"]["mean"] == pytest.approx(twin["exact E[Q]"], abs=1e-6)
    assert f"mean value is {twin['exact E[Q]']:.3f}" in said() and "temperature 0.05" in said()
    first = said()
    page.get_by_role("slider", name="Thermometer").press("ArrowUp")
    assert report_of(page, name)["settings"]["temperature"] > 0.05 and said() != first
    page.get_by_role("slider", name="Left hill").press("ArrowUp")
    assert report_of(page, name)["masses"][0] > numbers["masses"][0]
    seen = report_of(page, name)["particles"]
    page.get_by_role("button", name="Let the draws move").click()
    page.wait_for_function(
        "([id, mean]) => softqLab.report(id).particles.mean !== mean", arg=[name, seen["mean"]]
    )
    page.get_by_role("button", name="Pause").click()
    still = report_of(page, name)["particles"]
    # by more than this the distance of so many exact draws exceeds its mean with a probability below 1e-6
    slack = np.sqrt(np.log(1e6) / (2 * lab.settings["particles"]))
    assert still["tv"] < still["floor"] + slack
    assert report_of(page, name)["particles"] == still
    page.emulate_media(reduced_motion="reduce")
    page.reload()
    settle(page, False)
    before = report_of(page, name)["particles"]
    page.get_by_role("button", name="Draw again").click()
    assert report_of(page, name)["particles"] != before and not report_of(page, name)["running"]
    assert complaints == []


def decode(text: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(2, *shape)


def landscapes_of(data: dict) -> list:
    """What Python knows under the numbers that a page carries."""
    if data["network"] is None:
        return [rebuild(state["landscape"]) for state in data["states"]]
    net, widths = data["network"], tuple(data["network"]["widths"])
    params = {"action_part": {"kernel": decode(net["action"], net["dim"], widths[0])}}
    for i, (layer, before, width) in enumerate(zip(net["hidden"], widths, widths[1:], strict=False)):
        kernel = decode(layer["kernel"], before, width)
        params[f"hidden_{i}"] = {"kernel": kernel, "bias": decode(layer["bias"], width)}
    out = net["out"]
    params["out"] = {"kernel": decode(out["kernel"], widths[-1], 1), "bias": decode(out["bias"], 1)}
    critic = Critic(params, 0, net["dim"], widths, net["activation"])
    return [StateLandscape(critic, decode(state["features"], widths[0])) for state in data["states"]]


def rebuild(spec: dict) -> Landscape:
    bumps = tuple((height, tuple(centre), width) for height, centre, width in spec["bumps"])
    pairs = {name: spec[name] and tuple(spec[name]) for name in ("power", "slope", "cassini")}
    return Landscape("page", spec["dim"], 0.0, bumps=bumps, **pairs)


@pytest.mark.parametrize("name", LAB_PAGES)
def test_numbers_equal_jax(page: Page, name: str) -> None:
    """Q, its gradient and the exact law in the page's script against softq, for every lab and state."""
    both = jax.jit(lambda q, actions: jax.vmap(jax.value_and_grad(q))(actions))
    open_page(page, HTML.as_uri(), name)
    for lab in labs(page):
        data = json.loads(page.locator(f"#{lab} script").text_content())
        actions = np.random.default_rng(0).uniform(-1, 1, (50, data["dim"]))
        for index, q in enumerate(landscapes_of(data)):
            page.evaluate("([id, state]) => softqLab.set(id, 'state', state)", [lab, index])
            seen = page.evaluate("([id, a]) => softqLab.evaluate(id, a)", [lab, actions.tolist()])
            with jax.enable_x64(True):
                values, gradients = both(q, jnp.asarray(actions, jnp.float64))
            np.testing.assert_allclose(seen["q"], values, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(seen["grad"], gradients, rtol=1e-8, atol=1e-8)
            law = Boltzmann(
                q, data["settings"]["temperature"], data["dim"], panels=20 if data["dim"] == 2 else None
            )
            assert law.error < 1e-4
            report = report_of(page, lab)
            assert report["settings"]["temperature"] == data["settings"]["temperature"]
            near = 1e-4 + 2e-3 * abs(law.maximum)
            assert report["exact"]["mean"] == pytest.approx(law.mean_value, abs=near)
            assert report["exact"]["entropy"] == pytest.approx(law.entropy, abs=0.01)
            np.testing.assert_allclose(seen["density"], law.density(actions), rtol=0.02)


def test_reflection_equals_softq(page: Page) -> None:
    open_page(page, HTML.as_uri(), LAB_PAGES[0])
    points = np.random.default_rng(1).uniform(-30, 30, 500)
    seen = page.evaluate("points => points.map(softqLab.reflect)", points.tolist())
    with jax.enable_x64(True):
        np.testing.assert_allclose(seen, reflect(jnp.asarray(points, jnp.float64)), atol=1e-12)


def test_the_page_samples_the_softmax(page: Page, tmp_path: Path) -> None:
    """Small reflected steps for long enough: as close as chance allows, and no particle on a wall."""
    write_page(tmp_path, TemperatureLab(landscapes.get("twomode1"), particles=400))
    open_page(page, tmp_path.as_uri(), "index.html")
    lab = labs(page)[0]
    for name, value in {"temperature": 1.0, "particles": 1600, "step": 0.01}.items():
        page.evaluate("([id, name, value]) => softqLab.set(id, name, value)", [lab, name, value])
    page.evaluate("id => softqLab.advance(id, 300)", lab)
    seen = report_of(page, lab)["particles"]
    assert seen["tv"] < 1.5 * seen["floor"] and seen["walls"] == 0
    assert seen["w2"] < 3 * seen["ofDraws"] and seen["trace"][-1] == [300, seen["w2"]]
    places = page.evaluate("id => Array.from(softqLab.lab(id).particles)", lab)
    expected = TemperatureLab(landscapes.get("twomode1")).law(1.0).w2(np.array(places)[:, None])
    assert seen["w2"] == pytest.approx(expected, rel=1e-4)
    page.evaluate("id => softqLab.set(id, 'boundary', 'project')", lab)
    page.evaluate("id => softqLab.advance(id, 300)", lab)
    assert report_of(page, lab)["particles"]["walls"] > 0.01
