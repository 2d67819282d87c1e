"""Programs that draw the rows of a run's log while it trains. Their packages are softq's extras.

All of them show a curve for each seed, over the number of transitions. What they hold is a copy: log.jsonl has it too.
"""

import importlib
import json
from typing import Any

from softq.training.hook import Callback, Event
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


class TensorBoard(Callback):
    """Writes RUN/tensorboard with a folder for each seed; `tensorboard --logdir RUN` shows it."""

    def __init__(self) -> None:
        self.package = package("tensorboardX", "tensorboard")
        self.writers: dict[int, Any] = {}

    def on_start(self, event: Event) -> None:
        """Open the files; what a process wrote that was killed after its last checkpoint is hidden."""
        if event.folder is None:
            raise SoftqError("TensorBoard's files belong to a run directory; name one with out=DIR.")
        for seed in event.config.seed_list:
            folder = str(event.folder / "tensorboard" / f"seed {seed}")
            self.writers[seed] = self.package.SummaryWriter(folder, purge_step=event.env_steps + 1)
            self.writers[seed].add_text(
                "config.json", f"```\n{json.dumps(settings(event), indent=1)}\n```", 0
            )

    def on_log(self, event: Event) -> None:
        for row in event.rows:
            for name, value in numbers(row).items():
                self.writers[row["seed"]].add_scalar(name, value, row["env_steps"])
            self.writers[row["seed"]].flush()

    on_evaluation = on_log

    def on_end(self, event: Event) -> None:
        for writer in self.writers.values():
            writer.close()


class Trackio(Callback):
    """Writes to trackio's own folder on this machine, a run for each seed; `trackio show` shows it."""

    def __init__(self) -> None:
        self.package = package("trackio", "trackio")
        self.runs: dict[int, Any] = {}

    def on_start(self, event: Event) -> None:
        """Open the runs, called after the run's folder and the seed, in a project of the environment."""
        name = event.folder.name if event.folder else event.config.algorithm
        for seed in event.config.seed_list:
            project = event.config.env.replace("/", "_").replace(":", "_")
            run = self.package.Run(project=project, name=f"{name}-seed{seed}", config=settings(event))
            self.runs[seed] = run

    def on_log(self, event: Event) -> None:
        for row in event.rows:
            self.runs[row["seed"]].log(numbers(row), step=row["env_steps"])

    on_evaluation = on_log

    def on_end(self, event: Event) -> None:
        for run in self.runs.values():
            run.finish()


TRACKERS = {"tensorboard": TensorBoard, "trackio": Trackio}
