"""A real process that is killed, a disk that is full and a checkpoint that is cut short lose nothing.

`python -m softq.experiments.killed` does the same thirty times.
"""

import os

import pytest

from softq.experiments.killed import content, differing, filled, lives
from softq.utils.errors import SoftqError

ENV, ITERATIONS = "InvertedPendulum-v5", 200


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The folder of the runs, and a row for each of two kills and for a checkpoint that is then cut short."""
    work = tmp_path_factory.mktemp("killed")
    return work, lives(ENV, [("training", 0.1), ("checkpoint", 0.1)], ITERATIONS, work)


def test_a_killed_run_ends_as_one_that_never_was(work):
    """Killed while it trains and while it writes a checkpoint, with the newest checkpoint damaged at last."""
    rows = work[1]
    assert [row["event"] for row in rows] == ["SIGKILL", "SIGKILL", "checkpoint cut short"]
    assert rows[1]["left"] == "half a checkpoint" and 0 < rows[0]["step"] <= rows[1]["step"]
    assert all(row["identical"] for row in rows), rows


def test_a_difference_is_found(work):
    """In the log, in an array, and in what lies about in the folder."""
    whole = content(work[0] / "whole")
    assert len(whole["log"]) == 2 * (1 + 20 + 4) and not differing(whole, content(work[0] / "whole"))
    log = [*whole["log"][:-1], whole["log"][-1] | {"return": 0.0}]
    assert differing(whole, whole | {"log": log}) == ["log"]
    name = next(
        name for name, x in whole.items() if name.startswith("checkpoints/rest") and x.dtype.kind == "f"
    )
    changed = whole[name].copy()
    changed.flat[0] += 1e-6
    assert differing(whole, whole | {name: changed}) == [name]
    assert differing(whole, whole | {"files": [*whole["files"], "60.orbax-checkpoint-tmp"]}) == ["files"]


def test_a_full_disk_loses_nothing(work, capfd):
    """On a small file system, where one can be mounted; elsewhere the limit on files of test_interrupted.py remains."""
    try:
        row = filled(ENV, ITERATIONS, work[0])
    except SoftqError as error:
        # nothing else may be skipped, and this not where it must be possible
        if "cannot be mounted" not in str(error) or os.environ.get("SOFTQ_REQUIRE_BROWSER"):
            raise
        pytest.skip(str(error))
    assert row["identical"] and 0 < row["step"] < 4 + ITERATIONS, row
    assert "Event loop" not in capfd.readouterr().err  # Orbax's writers go on for a while
