"""What a training loses when its process is killed, the disk is full or a checkpoint is damaged: nothing.

    python -m softq.experiments.killed results/killed.csv

A run is ended by SIGKILL over and over, in the start of the process, between two checkpoints and while a checkpoint is
written. Once the disk is full, and once the newest checkpoint is cut short. What is resumed to its end is compared with
a run that nothing happened to: learner, replay, environments, callbacks, the best learner and the log, bit for bit.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp
import pandas as pd

from softq.algorithms import DDPG
from softq.experiments.script import run
from softq.training import TrainConfig, preset_of, resume, train
from softq.training.callbacks import BEST
from softq.training.checkpoint import Checkpoints
from softq.training.run_directory import read_log
from softq.utils.atomic_files import atomic_write, csv_file
from softq.utils.cli_options import Parser
from softq.utils.errors import SoftqError, SoftqWarning
from softq.utils.flat_settings import built

ENVS = ("MultiGoal", "InvertedPendulum-v5")
# a checkpoint and rows of the log so often that most instants are near one
TRAINING = {"num_envs": 2, "seeds": 2, "warmup": 8, "batch_size": 4, "buffer_size": 500, "log_every": 10}
TRAINING |= {"eval_every": 50, "eval_episodes": 1, "checkpoint_every": 10, "patience": 1_000_000}
WIDTH = 8  # of the networks
When = Literal["start", "training", "checkpoint"]
LONGEST = 1.5  # seconds after the first checkpoint of a process until it is killed
LIMIT = 300.0  # seconds after which a process that has not ended by itself is at fault
PAGE, LARGE_DISK = (
    4096,
    "64m",
)  # the least that a file takes of a file system in memory, and more than all need


def words(env: str, iterations: int, folder: Path) -> list[str]:
    """The words for `softq` that start the run in `folder`, or continue it where there is something to continue."""
    if (folder / "config.json").exists():
        return ["train", "--resume", str(folder), "--no-progress"]
    options = [f"--{name.replace('_', '-')}={value}" for name, value in TRAINING.items()]
    options += [f"--hidden-sizes={WIDTH}", f"--iterations={iterations}", f"--out={folder}", "--keep-best"]
    return ["train", "ddpg", f"--env={env}", *options, "--no-progress"]


def undisturbed(env: str, iterations: int, folder: Path) -> bool:
    """Start or continue the run in `folder` in this process; whether it ended as it should. Full disks are no error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SoftqWarning)
        try:
            if (folder / "config.json").exists():
                return resume(folder, progress=False).finished
            algo = built(DDPG, preset_of(DDPG, "paper") | {"hidden_sizes": (WIDTH,)}, TrainConfig)
            settings: dict[str, Any] = TRAINING | {"iterations": iterations, "keep_best": True}
            return train(algo, env, out=folder, progress=False, **settings).finished
        except SoftqError:
            return False


def halves(folder: Path) -> list[Path]:
    """The checkpoints of the run, and of its best learner, that are being written."""
    return [*folder.glob("*/*orbax-checkpoint-tmp*")]


def kill(argv: list[str], folder: Path, when: When, delay: float) -> dict | None:
    """Start `softq` with the words `argv`, which train in `folder`, and kill it; None if it ends by itself before.

    It is killed `delay` seconds after its start, or after its first checkpoint, or at the first half-written checkpoint
    after that. Returns the seconds after its start, those until its first checkpoint, and what it left half-done.
    """
    log = folder / "log.jsonl"
    size = lambda: log.stat().st_size if log.exists() else 0
    before, first, old, began = size(), kept(folder), {*halves(folder)}, time.monotonic()
    ready = None  # seconds until the first checkpoint
    # a cache of compiled programs of these runs alone, in which a killed process may leave half a program
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment["XDG_CACHE_HOME"] = str(folder.parent / "cache")
    command = [sys.executable, "-m", "softq", *argv]
    nowhere: Any = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=nowhere, stderr=nowhere, env=environment) as process:
        try:
            due = began + delay if when == "start" else None
            while process.poll() is None and time.monotonic() < began + LIMIT:
                now = time.monotonic()
                if ready is None and kept(folder) != first:
                    ready = now - began
                    due = due or now + delay
                if due is not None and now >= due and (when != "checkpoint" or {*halves(folder)} - old):
                    break
                time.sleep(0.0002 if due else 0.01)
            if process.poll() is not None:
                return None
        finally:
            process.kill()
        process.wait()
    if process.returncode != -signal.SIGKILL:
        return None
    seconds = time.monotonic() - began
    return {"seconds": seconds, "ready": ready, "left": left(folder, old, size() != before)}


def left(folder: Path, old: set[Path], trained: bool) -> str:
    """What a killed process has left half-done; checkpoints that were so before are `old`."""
    if {*halves(folder)} - old:
        return "half a checkpoint"
    sums = {path.name for path in folder.glob("*/*.sums.json")}
    if any(f"{path.name}.sums.json" not in sums for path in folder.glob("*/*") if path.name.isdigit()):
        return "a checkpoint without its checksums"
    if list(folder.glob(".*.json.*")):
        return "half a file"
    return "rows after its checkpoint" if trained else "nothing"


def kept(folder: Path) -> int:
    """The step of the newest checkpoint on disk, 0 without one."""
    return max((int(path.name) for path in folder.glob("checkpoints/*") if path.name.isdigit()), default=0)


def content(folder: Path) -> dict[str, Any]:
    """All that a finished run holds, by name, but for wall-clock times."""
    found: dict[str, Any] = {}
    for part, items in (("checkpoints", ("learner", "rest")), (BEST, ("learner",))):
        checkpoints = Checkpoints(folder / part)
        arguments = {item: ocp.args.StandardRestore() for item in items}
        step, meta = checkpoints.readable, checkpoints.meta()
        arrays = checkpoints.manager.restore(step, args=ocp.args.Composite(**arguments))
        found |= {
            f"{part}/{item}/{name}": np.asarray(x) for item in items for name, x in arrays[item].items()
        }
        # the position in the log counts the digits of seconds
        found[f"{part}/meta"] = {k: v for k, v in meta.items() if k not in ("seconds", "position")} | {
            "step": step
        }
    found["log"] = [row | {"seconds": 0} for row in read_log(folder)]
    found["files"] = sorted(
        x.name for x in [*folder.iterdir(), *folder.glob("*/*")] if "damaged" not in x.name
    )
    return found


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of what differs between two results of `content`."""
    equal = lambda x, y: np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y
    return [name for name in one.keys() | other.keys() if not equal(one.get(name), other.get(name))]


def cut_short(folder: Path) -> None:
    """Cut the largest file of the newest checkpoint to half its length."""
    files = [path for path in (folder / "checkpoints" / str(kept(folder))).rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of `size` bytes at `folder`, for root on Linux. Raises `SoftqError` elsewhere."""
    folder.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise SoftqError(f"a small tmpfs cannot be mounted at {folder} ({error}).") from None
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def enlarge(folder: Path) -> None:
    """Give the file system of `small_disk` room for the whole run."""
    subprocess.run(["mount", "-o", f"remount,size={LARGE_DISK}", str(folder)], check=True)


def filled(env: str, iterations: int, work: Path) -> dict:
    """A row for a run on a disk with room for half of what the run work/whole holds, continued when there is more."""
    files, whole = [path for path in (work / "whole").rglob("*") if path.is_file()], content(work / "whole")
    pages = sum(math.ceil(path.stat().st_size / PAGE) for path in files)
    with small_disk(work / "disk", PAGE * pages // 2) as disk:
        ended = undisturbed(env, iterations, disk / "run")
        step = kept(disk / "run")
        enlarge(disk)
        later = undisturbed(env, iterations, disk / "run")
        same = (ended, later) == (False, True) and not differing(content(disk / "run"), whole)
    return {"env": env, "event": "full disk", "step": step, "identical": same}


def lives(env: str, kills: list[tuple[When, float]], iterations: int, work: Path) -> list[dict]:
    """A row for each of `kills`, and one for a checkpoint that is cut short; work/whole is the undisturbed run.

    Of `(when, share)` the share in [0, 1) is of the time that the last process took until its first checkpoint, or of
    `LONGEST` after it. A run that ends before it was killed so often is followed by another.
    """
    whole = work / "whole"
    undisturbed(env, iterations, whole)
    expected, folder, rows, of_run = content(whole), work / "run-0", [], []
    todo, ready = list(kills), 0.0
    while todo:
        when, share = todo[0]
        found = kill(
            words(env, iterations, folder), folder, when, share * (ready if when == "start" else LONGEST)
        )
        if found is not None:
            ready = found.pop("ready") or ready
            of_run.append({"env": env, "event": "SIGKILL", "when": when, **found, "step": kept(folder)})
            todo.pop(0)
        if not todo and kept(folder):
            cut_short(folder)
            of_run.append({"env": env, "event": "checkpoint cut short", "step": kept(folder)})
        if found is None or not todo:
            ended = undisturbed(env, iterations, folder)
            differs = differing(content(folder), expected) if ended else ["it did not end"]
            if differs:
                print(f"{env}: {', '.join(differs)}", flush=True)
            same = not differs
            rows += [row | {"identical": same} for row in of_run]
            folder, of_run = work / f"run-{len(rows)}", []
    return rows


def drawn(number: int, key: jax.Array) -> list[tuple[When, float]]:
    """`number` instants: of three, one in the start, one in the training and one while a checkpoint is written."""
    shares = jax.random.uniform(key, (number,)).tolist()
    kinds: tuple[When, ...] = ("training", "checkpoint", "start")
    return [(kinds[i % 3], share) for i, share in enumerate(shares)]


def measured(kills: int, iterations: int = 1000) -> pd.DataFrame:
    """The table of the whole measurement, with `kills` kills over both environments."""
    tables = []
    for i, env in enumerate(ENVS):
        with tempfile.TemporaryDirectory() as work:
            rows = lives(env, drawn(kills // 2, jax.random.key(i)), iterations, Path(work))
            rows.append(filled(env, iterations, Path(work)))
        tables.append(pd.DataFrame(rows))
        print(tables[-1].to_string(index=False), flush=True)
    return pd.concat(tables)[["env", "event", "when", "seconds", "left", "step", "identical"]]


def command(argv: list[str]) -> None:
    """Write the table to the file that `argv` names. Raises `SoftqError` for bad input."""
    parser = Parser(
        prog="python -m softq.experiments.killed",
        description="Kill runs, fill their disk and damage their checkpoints; compare them with undisturbed ones.",
    )
    parser.add_argument("out", metavar="FILE.csv", help="file to write; one that exists is replaced")
    parser.add_argument("--kills", type=int, default=30, metavar="N", help="number of kills in all [30]")
    options = parser.parse(argv)
    with atomic_write(csv_file(options.out)) as partial_file:
        measured(options.kills).to_csv(partial_file, index=False, float_format="%.3g")


if __name__ == "__main__":
    run(command)
