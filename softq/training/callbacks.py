"""The callbacks that softq brings: the best learner is kept, and a run that no longer improves ends early."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from softq.training.checkpoint import Checkpoints
from softq.training.config import TrainConfig
from softq.training.hook import Callback, Event, Function
from softq.training.run_directory import FORMAT
from softq.training.trackers import TRACKERS
from softq.utils.errors import SoftqError

BEST = "best"  # the folder of a run that holds what `KeepBest` keeps
OF_CONFIG = (
    "KeepBest",
    "EarlyStop",
    *(tracker.__name__ for tracker in TRACKERS.values()),
)  # asked for by settings


class KeepBest(Callback):
    """Keeps in RUN/best, for each seed, the learner of its evaluation with the highest mean return.

    Each seed has its own best, as if it had been trained alone. It is read by `load_run(RUN, checkpoint="best")` and
    `softq evaluate RUN --checkpoint best`. The return by which it was chosen is the highest of many, and so too high a
    guess of what the learner earns: evaluate it on more episodes.
    """

    def __init__(self) -> None:
        self.best: dict | None = None  # step of the last change, and of each seed its return and updates
        self.learner: Any = None  # the learners of `best` in the memory of the host, once there is a new one
        self.kept: Any = None  # their checkpoints

    def on_start(self, event: Event) -> None:
        """Open RUN/best. What a process wrote there that was killed before its checkpoint is removed."""
        if event.folder is None:
            raise SoftqError("the best learner is kept in a run directory; name one with out=DIR.")
        # one for each of the two checkpoints of the run, and the next
        self.kept = Checkpoints(event.folder / BEST, keep=3)
        self.kept.drop_after(self.best["step"] if self.best else -1)

    def on_evaluation(self, event: Event) -> None:
        """Remember the learners of the seeds that were better than ever before."""
        new = [row["return"] for row in event.rows]
        old = self.best or {"returns": [None] * len(new), "updates": [None] * len(new)}
        better = np.array(
            [np.isfinite(x) and (y is None or x > y) for x, y in zip(new, old["returns"], strict=True)]
        )
        if not better.any() and self.best:
            return
        choose = lambda there, a, b: [x if yes else y for yes, x, y in zip(there, a, b, strict=True)]
        learner = jax.tree.map(np.array, event.learner)  # copies: training goes on in the arrays of the event
        if self.learner is None and self.best:
            (self.learner,) = self.kept.restore(learner=learner)
        if self.learner is not None:
            where = lambda x, y: np.where(better.reshape(-1, *[1] * (x.ndim - 1)), x, y)
            learner = jax.tree.map(where, learner, self.learner)
        self.learner = learner
        self.best = {"step": event.step, "returns": choose(better, new, old["returns"])}
        self.best["updates"] = choose(better, [event.updates] * len(new), old["updates"])

    def save(self) -> dict:
        """Write the best learners, before the checkpoint that says that they are the best."""
        if self.learner is not None and self.best:
            self.kept.save(
                self.best["step"], self.best | {"config": {"format": FORMAT}}, learner=self.learner
            )
        return self.best or {}

    def restore(self, saved: dict) -> None:
        self.best = saved or None


class EarlyStop(Callback):
    """Ends the run when the mean return over seeds has not risen in `patience` evaluations in a row.

    A return counts as risen when it is more than `min_change` above the highest before. All seeds end together, since
    they train together. A run that is continued after its end waits for as many evaluations again.
    """

    def __init__(self, patience: int, min_change: float = 0.0):
        if patience < 1 or not min_change >= 0:
            raise SoftqError(
                f"EarlyStop has patience {patience} and min_change {min_change}; they must be at least 1 and 0."
            )
        self.patience, self.min_change = patience, min_change
        self.best: float | None = None
        self.waited = 0

    def on_evaluation(self, event: Event) -> str | None:
        mean = float(np.mean([row["return"] for row in event.rows]))
        if np.isfinite(mean) and (self.best is None or mean > self.best + self.min_change):
            self.best, self.waited = mean, 0
            return None
        self.waited += 1
        if self.waited < self.patience:
            return None
        self.waited = 0
        limit = "not finite" if self.best is None else f"at most {self.best + self.min_change:.6g}"
        return f"the mean return was {limit} in {self.patience} evaluations in a row"

    def save(self) -> dict:
        return {"best": self.best, "waited": self.waited}

    def restore(self, saved: dict) -> None:
        self.best, self.waited = saved["best"], saved["waited"]


def of_config(config: TrainConfig) -> list[Callback]:
    """The callbacks that the settings of a training ask for.

    Raises `SoftqError` when the package of a tracker is missing.
    """
    found: list[Callback] = [KeepBest()] if config.keep_best else []
    if config.patience:
        found.append(EarlyStop(config.patience, config.min_change))
    if config.tracker != "none":
        found.append(TRACKERS[config.tracker]())
    return found


def gathered(config: TrainConfig, given: Sequence[Callback | Callable[[Event], Any]]) -> list[Callback]:
    """The callbacks of the settings and those that were given, functions among them.

    Raises `SoftqError` when two have the same name, and for what is no function.
    """
    callbacks = of_config(config)
    for one in given:
        if not isinstance(one, Callback) and (isinstance(one, type) or not callable(one)):
            raise SoftqError(f"{one!r} is no callback; give an object of a class of Callback, or a function.")
        callbacks.append(one if isinstance(one, Callback) else Function(one))
    names = [callback.name for callback in callbacks]
    for name in names:
        if names.count(name) > 1:
            raise SoftqError(f"two callbacks are called {name}; give one of them another name.")
    return callbacks
