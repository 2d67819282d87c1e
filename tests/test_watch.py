"""`softq watch`: what it says of runs in any state, from files that are written here by hand."""

import dataclasses
import json
import os
import re

import pytest

from softq.cli import main
from softq.sweeps import watch
from softq.training import TrainConfig
from softq.utils.text import BARS, duration, sparkline

CONFIG = TrainConfig(env="Bandit", algorithm="sac", seeds=2, seed=4, iterations=1000, log_every=100)


def written(folder, rows, finished=False, config=CONFIG):
    """A run directory with these rows of the log; all that `softq watch` reads of one."""
    folder.mkdir(exist_ok=True)
    content = {"format": 2, "train": dataclasses.asdict(config), "algorithm": {"class": "SAC"}}
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "status.json").write_text(json.dumps({"finished": finished, "updates": 0}))
    os.utime(folder / "log.jsonl", (1000, 1000))
    return folder


def row(kind, updates, seconds, score, seed):
    return {
        "kind": kind,
        "seed": seed,
        "updates": updates,
        "env_steps": 0,
        "return": score,
        "seconds": seconds,
    }


def rows_until(last):
    """Two seeds, a row of training each 100 updates, which take 20 s from update 100 on, and 200 s before it."""
    found = []
    for updates in range(0, last + 1, 100):
        seconds = 200 + updates / 5 if updates else 0
        found += [row("train", updates, seconds, updates / 10 if updates else None, seed) for seed in (4, 5)]
        if updates and updates % 200 == 0:
            found += [row("eval", updates, seconds, updates * (seed - 4) - 12.5, seed) for seed in (4, 5)]
    return found


def seen(folder, now=1065.0):
    view = watch.View(folder)
    view.refresh()
    return [view.head(now), *view.seeds()]


def test_a_run_under_way(tmp_path):
    """The pace is that of the last five rows: 500 updates in 100 s; 200 updates are left."""
    assert seen(written(tmp_path / "sac", rows_until(800))) == [
        "sac: 800 of 1,000 updates (80%), 5 per second, 40 s left, last row 1 min 5 s ago",
        "  seed 4  training         80  evaluation      -12.5  ▁▁▁▁",
        "  seed 5  training         80  evaluation      787.5  ▁▃▆█",
    ]


def test_a_run_without_evaluations_or_rows(tmp_path):
    assert seen(written(tmp_path / "sac", rows_until(0))) == [
        "sac: 0 of 1,000 updates (0%), last row 1 min 5 s ago",
        "  seed 4  training          -  evaluation          -",
        "  seed 5  training          -  evaluation          -",
    ]
    folder = written(tmp_path / "new", [])
    assert seen(folder)[0] == "new: 0 of 1,000 updates (0%)"
    for name in ("log.jsonl", "status.json"):
        (folder / name).unlink()
    assert seen(folder)[0] == "new: 0 of 1,000 updates (0%)"


def test_a_finished_run_and_damaged_ones(tmp_path):
    folder = written(tmp_path / "sac", rows_until(1000), finished=True)
    assert seen(folder)[0] == "sac: 1,000 of 1,000 updates, finished in 6 min 40 s"
    (folder / "log.jsonl").write_text("{broken\n")
    assert seen(folder) == [f"sac: {folder / 'log.jsonl'} holds a broken row; " + BROKEN]
    (folder / "config.json").write_text("{")
    assert "config.json cannot be read" in seen(folder)[0]


BROKEN = "resuming the run cuts the log back to a good one."


def test_what_is_written_between_two_looks_is_seen(tmp_path):
    """Rows, an end, and an extension after the end."""
    folder = written(tmp_path / "sac", rows_until(400))
    view = watch.View(folder)
    states = []
    for rows, finished, iterations in (
        (rows_until(400), False, 1000),
        ([*rows_until(500), row("train", 600, 1, 2.0, 4)], False, 1000),
        (rows_until(1000), True, 1000),
        ([*rows_until(1000), row("extension", 1000, 400, None, 4)], False, 2000),
    ):
        written(folder, rows, finished, dataclasses.replace(CONFIG, iterations=iterations))
        view.refresh()
        states.append((view.updates, view.config.iterations, view.finished))
    assert states == [(400, 1000, False), (600, 1000, False), (1000, 1000, True), (1000, 2000, False)]


def test_the_runs_of_a_sweep_once(tmp_path, capsys):
    """Those under way come first; half a row at the end of a log is not read."""
    written(tmp_path / "a", rows_until(1000), finished=True)
    with open(written(tmp_path / "b", rows_until(300)) / "log.jsonl", "a") as log:
        log.write('{"kind": "tra')
    (tmp_path / "b.log").touch()
    assert main(["watch", str(tmp_path), str(tmp_path / "a"), "--once"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[::3]] == ["b", "a", "1 of 2 runs are finished"]
    assert "300 of 1,000" in lines[0] and "\x1b" not in "".join(lines)


def test_it_ends_when_all_are_finished_or_at_ctrl_c(tmp_path, capsys, monkeypatch):
    folder = written(tmp_path / "a", rows_until(900))
    sleeps = []

    def sleep(seconds):
        sleeps.append(seconds)
        written(folder, rows_until(1000), finished=len(sleeps) == 2)
        if len(sleeps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", sleep)
    assert main(["watch", str(folder), "--every", "7"]) == 0 and sleeps == [7, 7]
    assert [line for line in capsys.readouterr().out.splitlines() if "runs are" in line] == [
        "0 of 1 runs are finished",
        "0 of 1 runs are finished",
        "1 of 1 runs are finished",
    ]
    written(folder, rows_until(900))
    assert main(["watch", str(folder)]) == 0 and len(sleeps) == 3


def test_a_terminal_is_drawn_anew_and_only_as_far_as_it_reaches(tmp_path, capsys, monkeypatch):
    """What a terminal of 6 lines shows in the end, by the control sequences that are written."""
    for i in range(4):
        written(tmp_path / f"run{i}", rows_until(900))
    monkeypatch.setattr(watch.sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(watch.shutil, "get_terminal_size", lambda: os.terminal_size((40, 6)))
    monkeypatch.setattr(watch.time, "sleep", lambda _: written(tmp_path / "run3", rows_until(1000), True))
    for i in range(3):
        written(tmp_path / f"run{i}", rows_until(1000), finished=i < 3)
    assert main(["watch", str(tmp_path)]) == 0
    first, second = re.split(r"\x1b\[5F", capsys.readouterr().out)
    for drawn, end in ((first, "3 of 4"), (second, "4 of 4")):
        lines = re.sub(r"\x1b\[[JK]", "", drawn).splitlines()
        assert len(lines) == 5 and max(map(len, lines)) <= 39 and lines[-1].startswith(end)
    assert first.startswith("run3") and "... 9 more lines" in first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "required: DIR"),
        ("none", "none does not exist; name a folder made by"),
        (".", ". holds no run yet"),
        (". --every 0", "--every is 0.0; it must be above 0 seconds"),
    ],
)
def test_mistakes_are_one_line(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["watch", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("softq: ") and err.count("\n") == 1 and message in err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (723, "12 min 3 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (12_000, "3 h 20 min"),
        (188_000, "2 d 4 h"),
    ],
)
def test_durations_have_two_units(seconds, text):
    assert duration(seconds) == text


def test_curves_reach_from_the_lowest_bar_to_the_highest():
    assert sparkline(range(8)) == BARS
    assert sparkline([*range(100), 7.0], width=3) == f"{BARS[-1]}{BARS[-1]}{BARS[0]}"
    assert sparkline([1, float("nan"), 3]) == f"{BARS[0]} {BARS[-1]}"
    assert sparkline([2.0, 2.0]) == BARS[0] * 2 and sparkline([]) == sparkline([float("nan")]) == ""
