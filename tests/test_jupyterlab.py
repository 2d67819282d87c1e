"""A chapter in a real JupyterLab in Debian's chromium: it runs, and its slider moves the picture."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from book_browser import chromium
from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser
CHAPTER = Path(__file__).parents[1] / "notebooks" / "01_temperature.ipynb"
PATIENCE = 240  # seconds for what takes a few on a quiet machine


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a JupyterLab whose folder holds one chapter, and that folder."""
    folder, runtime = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("runtime")
    shutil.copy(CHAPTER, folder)
    # A kernel starts in its notebook's folder, where a relative path of a checkout means nothing.
    path = os.pathsep.join(
        str(Path(p).resolve()) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p
    )
    state = {"JUPYTER_RUNTIME_DIR": str(runtime), "JUPYTERLAB_SETTINGS_DIR": str(runtime), "PYTHONPATH": path}
    state |= {"JUPYTERLAB_WORKSPACES_DIR": str(runtime), "JUPYTER_CONFIG_DIR": str(runtime)}
    options = [
        "--no-browser",
        "--allow-root",
        "--ServerApp.port=0",
        "--IdentityProvider.token=",
        "--LabApp.news_url=",
    ]
    options += ["--LabApp.extension_manager=readonly", "--ServerApp.disable_check_xsrf=True"]
    command = [sys.executable, "-m", "jupyter", "lab", *options]
    with open(runtime / "log", "w") as log:
        server = subprocess.Popen(command, cwd=folder, env=os.environ | state, stdout=log, stderr=log)
    try:
        yield address(runtime, server), folder
    finally:
        server.terminate()
        server.wait(30)


def address(runtime: Path, server: subprocess.Popen) -> str:
    """The address that the server has written into its folder of running servers."""
    for _ in range(10 * PATIENCE):
        assert server.poll() is None, (runtime / "log").read_text()
        for file in runtime.glob("jpserver-*.json"):
            if server_info := parsed(file):
                return server_info["url"]
        time.sleep(0.1)
    raise TimeoutError((runtime / "log").read_text())


def parsed(file: Path) -> dict:
    """What a JSON file holds, or nothing while it is being written."""
    try:
        return json.loads(file.read_text())
    except json.JSONDecodeError:
        return {}


@pytest.fixture
def page(lab: tuple[str, Path]) -> Iterator[Page]:
    def guard(route: Route) -> None:
        route.continue_() if route.request.url.startswith((lab[0], "data:", "blob:")) else route.abort()

    with chromium() as browser, browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.route("**/*", guard)
        yield page


def test_a_chapter_runs_and_its_slider_moves_the_picture(lab: tuple[str, Path], page: Page) -> None:
    url, folder = lab
    page.goto(f"{url}lab/tree/{CHAPTER.name}?reset")
    page.locator("#jp-main-statusbar", has_text="(ipykernel) | Idle").wait_for()
    page.locator(".lm-MenuBar-item", has_text="Run").first.click()
    page.locator(".lm-Menu-item", has_text="Run All Cells").first.click()
    picture = page.locator("img.softq-lab-live").first
    picture.wait_for()
    saved = executed(page, folder / CHAPTER.name)
    assert [cell["execution_count"] for cell in saved] == list(range(1, len(saved) + 1))
    outputs = [output for cell in saved for output in cell["outputs"]]
    assert [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"] == []

    # an exercise is a box of its own, and no directive is left as it is written
    page.locator("aside", has_text="Exercise 1").first.wait_for(state="attached")
    assert page.locator(".jp-MarkdownOutput", has_text="{prf:").count() == 0

    picture.scroll_into_view_if_needed()
    slider = page.locator(".widget-slider", has_text="temperature").first
    readout = slider.locator(".widget-readout", has_text=re.compile(r"\d"))  # it is written after it is made
    before, told = picture.get_attribute("src"), readout.text_content()
    slider.locator(".noUi-handle").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "([image, before]) => image.src !== before", arg=[picture.element_handle(), before]
    )
    after = readout.text_content()
    assert float(after) > float(told), (told, after)
    assert picture.evaluate("image => image.complete && image.naturalWidth > 100")


def executed(page: Page, notebook: Path) -> list[dict]:
    """The code cells of the notebook that the reader's Save writes, once all of them have run."""
    for _ in range(PATIENCE):
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        page.keyboard.press("Control+s")
        cells = [cell for cell in parsed(notebook).get("cells", ()) if cell["cell_type"] == "code"]
        if cells and cells[-1]["execution_count"]:
            return cells
        time.sleep(1)
    raise TimeoutError("the last cell has not run")
