"""The table of reference numbers knows which of its entries were read; a run of all tests asks for every one."""

from pathlib import Path

import pytest
from reference import Table

import conftest


def test_a_table_notes_what_is_read():
    table = Table({"a": {"value": 1}, "b": {"value": 2}, "c": {"value": 3}})
    assert [name for name in table if name.startswith("a")] == ["a"] and "b" in table
    assert table.read == set(), "a name alone is not read"
    assert table["a"]["value"] == 1 and table.get("c") == {"value": 3} and table.get("d") is None
    assert table.read == {"a", "c"}


class Ended:
    """The end of a session of all tests, or of one of its processes."""

    def __init__(self, args, keyword="", worker=False, ignore=None):
        option = type(
            "Option", (), {"keyword": keyword, "markexpr": "", "collectonly": False, "ignore": ignore}
        )
        self.config = type("Config", (), {"option": option, "args": args})
        if worker:
            self.config.workeroutput = {}
        self.exitstatus = 0


@pytest.fixture
def table(monkeypatch):
    found = Table({"a": 1, "b": 2})
    monkeypatch.setattr(conftest, "REFERENCE", found)
    monkeypatch.setenv("SOFTQ_COMPILED", "kept")
    return found


def test_an_entry_that_no_test_reads_fails_a_run_of_all(table, capsys):
    worker = Ended(["tests"], worker=True)
    assert table["a"] == 1
    conftest.pytest_sessionfinish(worker, 0)
    assert worker.config.workeroutput["reference"] == ["a"] and worker.exitstatus == 0
    table.read.clear()
    conftest.pytest_testnodedown(type("Node", (), {"workeroutput": worker.config.workeroutput}))
    whole = Ended(["tests"])
    conftest.pytest_sessionfinish(whole, 0)
    assert whole.exitstatus == pytest.ExitCode.TESTS_FAILED
    assert capsys.readouterr().out.strip() == "tests/reference.json: no test reads the entry b"
    assert table["b"] == 2
    whole = Ended(["tests"])
    conftest.pytest_sessionfinish(whole, 0)
    assert whole.exitstatus == 0


def test_a_run_without_the_files_for_a_browser_is_a_run_of_all(table, capsys):
    browser = list(filter(conftest.needs_browser, Path(__file__).parent.glob("test_*.py")))
    assert len(browser) > 5
    whole = Ended(["tests"], ignore=browser)
    conftest.pytest_sessionfinish(whole, 0)
    assert whole.exitstatus == pytest.ExitCode.TESTS_FAILED and "no test reads" in capsys.readouterr().out


@pytest.mark.parametrize(
    "part",
    [
        Ended(["tests/test_sac.py"]),
        Ended(["tests"], keyword="sac"),
        Ended(["tests"], ignore=[str(Path(__file__).with_name("test_sac.py"))]),
    ],
)
def test_a_part_of_the_tests_need_not_read_everything(table, part):
    conftest.pytest_sessionfinish(part, 0)
    assert part.exitstatus == 0
