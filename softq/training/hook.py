"""What is called while a run trains: after each row of the log, each evaluation and each checkpoint.

    class Plot(Callback):
        def on_evaluation(self, event: Event) -> None:
            draw(event.algo, event.states, f"{event.updates}.png")

    train("ddsq", "MultiGoal", callbacks=[Plot(), EarlyStop(patience=5), print])

A plain function is called with the event of each of the three. What `on_log` and `on_evaluation` return, if not None or
False, ends the run early: a text is the reason. An exception ends the run too, with a checkpoint kept.

A resumed run decides as one that was never interrupted, because each checkpoint holds what `save` of each callback
returns, and `restore` is given it back.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp

from softq.algorithms import Algorithm
from softq.training.config import TrainConfig
from softq.utils.errors import SoftqError

Kind = Literal["start", "log", "evaluation", "checkpoint", "end"]


@dataclass(frozen=True)
class Event:
    """What has just happened in a run."""

    kind: Kind
    step: int  # steps of all environments, those of the warm-up included
    updates: int
    env_steps: int  # transitions of each seed
    seconds: float  # of training so far, over all resumptions
    rows: list[
        dict
    ]  # the rows of the log that were written, one for each seed; empty but for "log" and "evaluation"
    algo: Algorithm
    config: TrainConfig
    folder: Path | None  # the run directory, if there is one
    learner: Any = field(repr=False)

    @property
    def states(self) -> Any:
        """A copy of the state of the algorithm, with a leading axis over the seeds, as `train` returns it.

        To be read while the callback is called: training takes over the arrays that it is copied from.
        """
        return jax.tree.map(jnp.copy, self.learner)


Answer = str | bool | None


class Callback:
    """Does nothing; a subclass has the methods that it needs."""

    @property
    def name(self) -> str:
        """By what checkpoints and messages know the callback; each callback of a run has its own."""
        return type(self).__name__

    def on_start(self, event: Event) -> None:
        """The run starts, or is continued; `restore` was called before."""

    def on_log(self, event: Event) -> Answer:
        """A training row of each seed was logged. A text, or True, ends the run."""

    def on_evaluation(self, event: Event) -> Answer:
        """An evaluation row of each seed was logged. A text, or True, ends the run."""

    def on_checkpoint(self, event: Event) -> None:
        """A checkpoint was written."""

    def on_end(self, event: Event) -> None:
        """The run is finished, was ended early or was interrupted; not called after an error."""

    def save(self) -> dict:
        """What the next checkpoint keeps of this callback, for JSON; called just before it is written."""
        return {}

    def restore(self, saved: dict) -> None:
        """Go on from what `save` has returned."""


class Function(Callback):
    """A plain function, called after each log, evaluation and checkpoint."""

    def __init__(self, function: Callable[[Event], Any]):
        self.function = function

    def on_log(self, event: Event) -> Answer:
        return self.function(event)

    def on_evaluation(self, event: Event) -> Answer:
        return self.function(event)

    def on_checkpoint(self, event: Event) -> None:
        self.function(event)

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


class CallbackFailed(SoftqError):
    """A callback has raised an error, which is the cause of this one."""


class Hook:
    """The callbacks of one run, called one after the other."""

    def __init__(self, callbacks: list[Callback]):
        self.callbacks = callbacks
        self.stopped: str | None = None  # why one of them has ended the run early, if so

    def tell(self, event: Event) -> None:
        """Call the method of each callback for this kind of event. Raises `CallbackFailed`."""
        for callback in self.callbacks:
            answer = called(callback, f"on_{event.kind}", event)
            if answer and event.kind in ("log", "evaluation") and not self.stopped:
                self.stopped = (
                    answer if isinstance(answer, str) else f"the callback {callback.name} asked for it"
                )

    def save(self) -> dict[str, dict]:
        """What a checkpoint keeps of the callbacks, by name. Raises `CallbackFailed`, also for what is not JSON."""
        return {callback.name: called(callback, "save") for callback in self.callbacks}

    def restore(self, saved: dict[str, dict]) -> None:
        """Give each callback what `save` has returned for it. Raises `CallbackFailed`."""
        for callback in self.callbacks:
            if callback.name in saved:
                called(callback, "restore", saved[callback.name])


def called(callback: Callback, method: str, *given: Any) -> Any:
    """The result of a method of a callback. Raises `CallbackFailed` when that raises, in one line that names both."""
    try:
        result = getattr(callback, method)(*given)
        return json.loads(json.dumps(result)) if method == "save" else result
    except Exception as error:
        reason = str(error) if isinstance(error, SoftqError) else f"{type(error).__name__}: {error}"
        line = f"the callback {callback.name} failed in {method} ({' '.join(reason.split()).rstrip('.')})."
        raise CallbackFailed(line) from error
