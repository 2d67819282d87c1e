"""Every `python -m softq.experiments.NAME` has help, and says in one line what it cannot do."""

from importlib import import_module

import pandas as pd
import pytest

from softq.experiments.growing_table import append, has_rows
from softq.experiments.script import run

NAMES = (
    "actor_laws",
    "defects",
    "killed",
    "methods",
    "precision",
    "random_policy",
    "score_estimates",
    "unimodal",
)


def ended(name, words, monkeypatch, capsys):
    """The exit code of the experiment called `name` with `words`, and what it printed on stdout and stderr."""
    monkeypatch.setattr("sys.argv", [name, *words])
    with pytest.raises(SystemExit) as end:
        run(import_module(f"softq.experiments.{name}").command)
    return end.value.code, *capsys.readouterr()


@pytest.mark.parametrize("name", NAMES)
def test_help_names_the_command_and_its_file(name, monkeypatch, capsys):
    code, out, err = ended(name, ["--help"], monkeypatch, capsys)
    assert code == 0 and err == ""
    assert f"usage: python -m softq.experiments.{name}" in out and "FILE." in out


@pytest.mark.parametrize("words", [[], ["a.csv", "--sedes", "3"], ["a.csv", "b.csv"]])
@pytest.mark.parametrize("name", NAMES)
def test_bad_words_end_in_one_line(name, words, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = ended(name, words, monkeypatch, capsys)
    assert code == 2 and out == ""
    assert err.startswith("softq: ") and err.count("\n") == 1
    assert f"softq.experiments.{name} --help" in err or "--sedes" in err
    assert not list(tmp_path.iterdir())


def test_a_table_grows_sorted_and_knows_its_rows(tmp_path):
    """Two rows of one method keep their order; a column of whole numbers stays one where a row has none."""
    path, order = tmp_path / "a.csv", {"method": ["sac", "td3"]}
    rows = lambda *all_rows: pd.DataFrame(all_rows, columns=["method", "task", "modes", "tv"])
    assert not has_rows(path, method="td3")
    append(rows(("td3", "b", 3, 0.12345), ("td3", "a", None, 0.5)), path, 2, order, whole=["modes"])
    append(rows(("sac", "a", 1, 0.25)), path, 2, order, whole=["modes"])
    assert path.read_text().splitlines() == [
        "method,task,modes,tv",
        "sac,a,1,0.25",
        "td3,b,3,0.12",
        "td3,a,,0.5",
    ]
    assert has_rows(path, method="td3", task="b") and has_rows(path, method="sac")
    assert not has_rows(path, method="sac", task="b") and not has_rows(path, method="ddpg")
