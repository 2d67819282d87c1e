"""`softq bench labs`: every lab has an example, and every control is asked for another value than it has."""

from pathlib import Path

import pandas as pd
import pytest

from softq import lab as labs
from softq.cli import main
from softq.lab.base import Lab
from softq.lab.controls import Choice, Integer, Slider, Toggle
from softq.lab.speed import another, examples

RESULTS = Path(__file__).parents[1] / "results"


def test_every_lab_has_an_example() -> None:
    known = {
        name
        for name in labs.__all__
        if isinstance(kind := getattr(labs, name), type) and issubclass(kind, Lab)
    }
    assert {name: type(made()).__name__ for name, made in examples(RESULTS).items()} == {n: n for n in known}


@pytest.mark.parametrize(
    ("control", "value"),
    [
        (Slider("a", "a", 0.1, 0.1, 10.0), 1.0),
        (Slider("a", "a", 10.0, 0.1, 10.0), 1.0),
        (Slider("a", "a", 0.0, -1.0, 3.0, log=False), 1.5),
        (Integer("a", "a", 4, 1, 9), 3),
        (Integer("a", "a", 1, 1, 9), 2),
        (Choice("a", "a", "x", [("X", "x"), ("Y", "y")]), "y"),
        (Toggle("a", "a", True), False),
    ],
)
def test_another_value(control: Slider | Integer | Choice | Toggle, value: object) -> None:
    assert another(control) == control.check(another(control)) == pytest.approx(value)


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "labs.csv"
    assert main(["bench", "labs", "--only", "BackupLab", "--rounds", "1", "--out", str(file)]) == 0
    (row,) = pd.read_csv(file).to_dict("records")
    assert row["lab"] == "BackupLab" and 0 < row["median_ms"] <= row["slowest_ms"]
    assert row["controls"] == len(labs.BackupLab().controls)
    assert "BackupLab" in capsys.readouterr().out
    assert main(["bench", "labs", "--only", "Backup"]) == 2
