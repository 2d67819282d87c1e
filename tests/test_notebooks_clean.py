"""Notebooks lie in git without outputs, and their code is as tidy as the package's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    """An empty folder would make the tests below pass without looking at anything."""
    chapters = [word for word in (ROOT / "_toc.yml").read_text().split() if word.startswith("notebooks/")]
    assert [f"notebooks/{path.stem}" for path in NOTEBOOKS] == sorted(chapters)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_stored(path: Path) -> None:
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None, f"outputs stored in {path.name}"
            assert "execution" not in cell["metadata"]
    assert "widgets" not in notebook["metadata"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_has_an_id(path: Path) -> None:
    """Without ids a tool would add new ones at each save, and every notebook would always differ."""
    ids = [cell.get("id") for cell in json.loads(path.read_text())["cells"]]
    assert all(ids) and len(set(ids)) == len(ids)


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, str(ROOT / "notebooks")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
