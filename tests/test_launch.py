"""The cell that installs softq on Binder and Colab, and their buttons, follow the repository of _config.yml."""

import json
from pathlib import Path

import launch
import pytest
import yaml

ROOT = Path(__file__).parents[1]

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
NAMED = {"repository": {"url": "https://github.com/someone/softq", "branch": "main"}}


def test_the_notebooks_follow_the_config() -> None:
    """`make launch` was run after the last change of the repository in _config.yml."""
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = json.loads(path.read_text())
        assert launch.with_cell(notebook, launch.cell_for(CONFIG)) == notebook, path.name


def test_the_cell_comes_changes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text((ROOT / "notebooks" / "howto.ipynb").read_text())
    before = path.read_text()
    assert launch.write(tmp_path, {}) == []
    assert launch.write(tmp_path, NAMED) == ["a.ipynb"]
    first = json.loads(path.read_text())["cells"][0]
    assert "softq @ git+https://github.com/someone/softq@main" in "".join(first["source"])
    assert first["metadata"]["tags"] == ["remove-cell"]
    assert launch.write(tmp_path, NAMED) == []
    other = {"repository": NAMED["repository"] | {"branch": "next"}}
    assert launch.write(tmp_path, other) == ["a.ipynb"]
    assert "softq@next" in path.read_text() and path.read_text().count(launch.ID) == 1
    assert launch.write(tmp_path, {}) == ["a.ipynb"] and path.read_text() == before


@pytest.mark.parametrize("url", ["", NAMED["repository"]["url"]])
def test_buttons_appear_with_a_repository(tmp_path: Path, url: str) -> None:
    """One page, built by the theme with the launch buttons of _config.yml."""
    from softq_book import need_a_repository
    from sphinx.application import Sphinx

    (tmp_path / "index.md").write_text("# Book\n\n```{toctree}\nnotebooks/a\n```\n")
    (tmp_path / "notebooks").mkdir()
    page = {"cells": [], "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}}}
    page |= {"nbformat": 4, "nbformat_minor": 5}
    page["cells"] = [{"cell_type": "markdown", "id": "top", "metadata": {}, "source": ["# A page"]}]
    (tmp_path / "notebooks" / "a.ipynb").write_text(json.dumps(page))
    options = {"repository_url": url, "repository_branch": "main", "launch_buttons": CONFIG["launch_buttons"]}
    settings = {
        "extensions": ["myst_nb"],
        "html_theme": "sphinx_book_theme",
        "html_theme_options": options,
        "nb_execution_mode": "off",
    }
    out = tmp_path / "html"
    app = Sphinx(tmp_path, None, out, tmp_path / "trees", "html", settings, status=None, warning=None)
    need_a_repository(app, app.config)
    app.build()
    html = (out / "notebooks" / "a.html").read_text()
    colab = "https://colab.research.google.com/github/someone/softq/blob/main/notebooks/a.ipynb"
    binder = "https://mybinder.org/v2/gh/someone/softq/main?urlpath=lab/tree/notebooks/a.ipynb"
    assert (colab in html) == (binder in html) == bool(url)
    assert bool(url) or "mybinder.org" not in html
