"""What the README tells a reader to type works, at a small size, and its links lead somewhere."""

import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softq import landscapes
from softq.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", README, re.DOTALL)
# So much less is computed here than by the same line of the README; the last of two equal options counts.
SMALLER = {
    "train": "--seeds 1 --iterations 30 --warmup 100 --eval-every 30 --eval-episodes 1 --no-progress",
    "train --resume": "--iterations 40 --no-progress",
    "evaluate": "--episodes 1 --budget 4",
    "gallery": "--no-progress",
}


def of_softq() -> list[list[str]]:
    """The arguments of each line that starts with softq, without its comment."""
    lines = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("softq ")]


def test_the_command_line(capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch) -> None:
    """The lines in their order, in an empty folder: a later one uses what an earlier one has made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(
        importlib.import_module("softq.experiments.sampler_benchmark.run").QUICK,
        "samplers",
        ("uniform", "snis"),
    )
    lines = of_softq()
    assert [words[0] for words in lines] == ["list", "train", "train", "evaluate", "gallery"]
    for words in lines:
        name = "train --resume" if "--resume" in words else words[0]
        assert main([*words, *SMALLER.get(name, "").split()]) == 0, f"softq {shlex.join(words)} failed"
    assert (tmp_path / "gallery.csv").read_text().count("\n") > 2
    printed = capsys.readouterr().out
    assert "InvertedPendulum-v5" in printed and "mala" in printed


def test_the_lines_of_python() -> None:
    """They print the softmax's mean value, here by a plain sum, and a distance that is neither zero nor large."""
    (program,) = (text for kind, text in BLOCKS if kind == "python")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(program, {})
    mean_value, distance = map(float, out.getvalue().split())
    grid = jnp.linspace(-1, 1, 20_001)[:, None]
    values = np.asarray(jax.vmap(landscapes.get("twomode1"))(grid), float)
    weights = np.exp((values - values.max()) / 0.1)
    assert mean_value == pytest.approx(weights @ values / weights.sum(), abs=1e-4)
    assert 0 < distance < 0.1


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)]+)\)", README))
def test_links_lead_to_files(path: str) -> None:
    assert (ROOT / path).is_file()


def test_make_has_the_named_targets() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake (\w+)", README)) - {"and"} <= targets
