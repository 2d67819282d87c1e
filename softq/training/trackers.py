"""Programs that draw the rows of a run's log while it trains. Their packages are softq's extras.

Each shows curves for each seed, over the number of transitions. What they hold is a copy: log.jsonl has it too.
"""

import abc
import contextlib
import importlib
import json
import shutil
import sys
from typing import Any

from softq.training.hook import Callback, Event
from softq.training.run_directory import read_log
from softq.utils.errors import SoftqError

PLACE = ("kind", "seed", "updates", "env_steps", "returns", "changes")  # columns of a row that are no curves


def package(name: str, extra: str) -> Any:
    """The module `name`. Raises `SoftqError` that names the `extra` of softq to install when it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SoftqError(
            f'tracker {extra} needs an extra that is not installed; pip install "softq[{extra}]" ({error}).'
        ) from None


def numbers(row: dict) -> dict[str, float]:
    """The curves' values in a row of the log, by the names that the trackers show."""
    return {
        f"{row['kind']}/{name}": value
        for name, value in row.items()
        if name not in PLACE and isinstance(value, int | float)
    }


def settings(event: Event) -> dict[str, Any]:
    """The content of config.json: what a tracker shows beside the curves."""
    return json.loads((event.folder / "config.json").read_text()) if event.folder else {}


class Tracker(Callback, abc.ABC):
    """Begins with the rows that the log has already, so that it is complete and has no row twice after a resumption."""

    def on_start(self, event: Event) -> None:
        """Open what `write` writes to, and write the log so far."""
        self.open(event)
        for row in read_log(event.folder) if event.folder else []:
            self.write(row)

    def on_log(self, event: Event) -> None:
        for row in event.rows:
            self.write(row)

    on_evaluation = on_log

    @abc.abstractmethod
    def open(self, event: Event) -> None:
        """Begin anew."""

    @abc.abstractmethod
    def write(self, row: dict) -> None:
        """Write one row of the log."""


class TensorBoard(Tracker):
    """Writes RUN/tensorboard with a folder for each seed; `tensorboard --logdir RUN` shows it."""

    def __init__(self) -> None:
        self.package = package("tensorboardX", "tensorboard")
        self.writers: dict[int, Any] = {}

    def open(self, event: Event) -> None:
        if event.folder is None:
            raise SoftqError("TensorBoard's files belong to a run directory; name one with out=DIR.")
        shutil.rmtree(event.folder / "tensorboard", ignore_errors=True)
        for seed in event.config.seed_list:
            self.writers[seed] = self.package.SummaryWriter(
                str(event.folder / "tensorboard" / f"seed {seed}")
            )
            self.writers[seed].add_text(
                "config.json", f"```\n{json.dumps(settings(event), indent=1)}\n```", 0
            )

    def write(self, row: dict) -> None:
        for name, value in numbers(row).items():
            self.writers[row["seed"]].add_scalar(name, value, row["env_steps"])

    def on_end(self, event: Event) -> None:
        for writer in self.writers.values():
            writer.close()


class Trackio(Tracker):
    """Writes to trackio's own folder on this machine; `trackio show` shows it.

    A run has the name of its folder, in a project called after its environment.
    """

    def __init__(self) -> None:
        self.package = package("trackio", "trackio")
        self.run: Any = None
        self.id: str | None = None  # by which trackio knows the run
        self.several = False  # whether the run has more than one seed

    def open(self, event: Event) -> None:
        """Begin a run; the one that an interrupted process has begun for the same folder is removed."""
        project = event.config.env.replace("/", "_").replace(":", "_")
        name = event.folder.name if event.folder else event.config.algorithm
        about = settings(event) | {"folder": str(event.folder and event.folder.absolute())}
        silent = {"auto_log_cpu": False, "auto_log_gpu": False}
        with contextlib.redirect_stdout(sys.stderr):  # where the notes of softq go too
            self.run = self.package.init(project=project, name=name, config=about, **silent)
            # now, for `init` has first written what a run of this process had left to write
            for old in self.package.Api().runs(project) if self.id else []:
                if old.id == self.id:
                    old.delete()
        self.id, self.several = self.run.id, event.config.seeds > 1

    def write(self, row: dict) -> None:
        seed = f" of seed {row['seed']}" if self.several else ""
        values = {f"{name}{seed}": value for name, value in numbers(row).items()}
        self.run.log(values, step=row["env_steps"])

    def on_end(self, event: Event) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            self.run.finish()

    def save(self) -> dict:
        return {"id": self.id}

    def restore(self, saved: dict) -> None:
        self.id = saved["id"]


TRACKERS = {"tensorboard": TensorBoard, "trackio": Trackio}
