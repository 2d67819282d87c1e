"""The folder of a planned run: what has been trained there, and the command that trains the rest."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from softq.sweeps.plan import Planned
from softq.training.config import plain_algorithm
from softq.training.run_directory import Busy, RunDirectory
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import flat

TAIL = 65_536  # bytes at the end of a log in which its last row is looked for

State = Literal["new", "started", "shorter", "finished", "busy", "refused"]


@dataclass(frozen=True)
class Found:
    """What is in the folder of a run: its state, the updates made, and why it is refused if it is.

    A run is "shorter" when it is finished and the sweep asks for more updates, and "busy" while a process trains it.
    """

    state: State
    updates: int = 0
    note: str = ""


def look(run: Planned) -> Found:
    """What is in the folder of `run`. A folder that holds another run or other files is refused."""
    directory = RunDirectory(run.folder)
    try:
        if vacant(directory):
            return Found("new")
        algo, config, _ = directory.config()
        now = flat(config) | flat(plain_algorithm(algo))
        planned = flat(run.config) | flat(run.algo)
        longer = run.config.iterations > config.iterations
        for name, value in planned.items():
            if now.get(name) != value and not (name == "iterations" and longer):
                note = f"its folder holds a run with {name} {now.get(name)}, the sweep has {value}"
                return Found("refused", note=f"{note}; choose another --out, or put that back")
        updates = updates_of(run.folder)
        finished = directory.finished()
        if finished and not longer:
            return Found("finished", updates)
        with locked(directory):
            return Found("shorter" if finished else "started", updates)
    except Busy:
        return Found("busy", updates_of(run.folder))
    except SoftqError as error:
        return Found("refused", note=str(error).rstrip("."))


@contextlib.contextmanager
def locked(directory: RunDirectory) -> Iterator[None]:
    """Hold the lock of a run in this context. Raises `SoftqError` as `RunDirectory.lock` does."""
    directory.lock()
    try:
        yield
    finally:
        directory.close()


def vacant(directory: RunDirectory) -> bool:
    """Whether a new run can be made in the folder, once `clear` has removed what a killed one left of its first moment.

    That is a log without a row and no config.json. Raises `SoftqError` when the folder holds other files, and `Busy`
    when a process makes a run there.
    """
    folder, log = directory.folder, directory.folder / "log.jsonl"
    if (folder / "config.json").exists():
        return False
    files = contents(folder)
    if len(left(folder)) < len(files) or (log in files and log.stat().st_size):
        raise SoftqError(f"{folder} holds other files; choose another --out")
    if log in files:
        with locked(directory):
            pass
    return True


def contents(folder: Path) -> list[Path]:
    """What is in `folder`: nothing when it does not exist, and itself when it is a file."""
    if folder.is_dir():
        return list(folder.iterdir())
    return [folder] if folder.exists() else []


def left(folder: Path) -> list[Path]:
    """The files in `folder` with which a run begins before it has config.json."""
    return [x for x in contents(folder) if x.name in ("log.jsonl", "versions.json") or x.name.startswith(".")]


def clear(folder: Path) -> None:
    """Empty a folder that is `vacant`, since a new run begins in an empty one."""
    for path in left(folder):
        path.unlink()


def updates_of(folder: Path) -> int:
    """The number of updates of a run so far, by its log and its last checkpoint."""
    counts = [0]
    for read in (last_row, status):
        with contextlib.suppress(OSError, ValueError):
            counts.append(int(read(folder).get("updates", 0)))
    return max(counts)


def status(folder: Path) -> dict[str, Any]:
    """The content of status.json. Raises `OSError` or `ValueError` when it cannot be read."""
    return json.loads((folder / "status.json").read_text())


def last_row(folder: Path) -> dict[str, Any]:
    """The last complete row of the log, empty when there is none. Raises `OSError` or `ValueError` as `status` does."""
    with open(folder / "log.jsonl", "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        lines = file.read().split(b"\n")[:-1]
    return json.loads(lines[-1]) if lines else {}


def command(run: Planned, found: Found) -> list[str]:
    """The arguments of `softq` that train `run`, of which the folder holds `found`, to its end."""
    if found.state != "new":
        return [
            "train",
            "--resume",
            str(run.folder),
            "--iterations",
            str(run.config.iterations),
            "--no-progress",
        ]
    start = ["train", run.config.algorithm, "--env", run.config.env, "--preset", run.preset]
    options = [word for name, value in run.given.items() for word in option(name, value)]
    return [*start, *options, "--out", str(run.folder), "--no-progress"]


def option(name: str, value: Any) -> list[str]:
    """The words of the option that gives the setting `name` this value."""
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    if isinstance(value, dict):
        return [flag, json.dumps(value)]
    if isinstance(value, list):
        return [flag, *map(str, value)]
    return [f"{flag}={value}"]
