"""Every `python -m softq.experiments.NAME` has help, and says in one line what it cannot do."""

from importlib import import_module

import pytest

from softq.experiments.script import run

NAMES = ("actor_laws", "defects", "methods", "score_estimates", "unimodal")


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
