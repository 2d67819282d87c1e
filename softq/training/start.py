"""`train` and `resume`, the functions that start and continue a run, from a shell, a script or a notebook."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from softq.algorithms import ALGORITHMS, Algorithm, get
from softq.networks.precision import matmul_precision
from softq.training.changes import fixed, free_settings
from softq.training.config import TrainConfig, preset_of
from softq.training.hook import Callback, Event
from softq.training.loop import LoopState
from softq.training.normalise import bare
from softq.training.old_names import renamed
from softq.training.progress import Interrupt, Progress
from softq.training.run_directory import RunDirectory, to_frame
from softq.training.trainer import Trainer
from softq.utils.checks import one_of
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import built, check_names, settings_of, with_settings
from softq.utils.machine_errors import explained
from softq.utils.pytree import unstacked

Callbacks = Sequence[Callback | Callable[[Event], Any]]


@dataclass
class Run:
    """The result of `train` and `resume`; `states` has a leading axis over the seeds."""

    algo: Algorithm
    config: TrainConfig
    states: Any
    curve: pd.DataFrame  # the log as `softq.training.curves` returns it, without the column "run"
    finished: bool  # whether all iterations were made, or a callback has ended the run early
    folder: Path | None = None  # the run directory, if there is one
    inexact: str | None = None  # why `resume` would start new episodes; None when it continues exactly
    stopped: str | None = None  # why a callback has ended the run early; None if none has

    @property
    def state(self) -> Any:
        """The state of the first seed."""
        return unstacked(self.states, 0)


def train(
    algo: Algorithm | str,
    env_id: str,
    config: TrainConfig | None = None,
    out: Path | str | RunDirectory | None = None,
    progress: bool = True,
    preset: str = "paper",
    callbacks: Callbacks = (),
    init_from: Path | str | None = None,
    **settings: Any,
) -> Run:
    """Train `algo`, or the algorithm of that name, in `env_id`; `settings` are fields of `TrainConfig`.

    The preset sets the hyper-parameters of an algorithm that is given by name, and the training where no `config` is
    given: "paper" trains as the algorithm's paper did, "small" for a first result in minutes. With `out` a run
    directory is written, which `resume` can continue. After the first Ctrl-C the run stops after its present steps and
    is returned as it is. Each of `callbacks`, functions or objects of `softq.training.Callback`, is called after each
    log, evaluation and checkpoint.

    With `init_from`, the folder of another run, the learner starts as that of its newest checkpoint, optimisers
    included; the replay starts empty and the counts at 0. The algorithm and all shapes must be the same. A run with
    the same number of seeds gives each seed its own learner; a run with one seed gives all seeds that one.

    Raises `SoftqError` for bad input, and when memory or disk do not suffice; a run that fails before its first row of
    the log leaves no directory.
    """
    if isinstance(algo, str):
        algo = built(get(algo), preset_of(get(algo), preset), TrainConfig)
    algo = bare(algo)
    name = next((name for name, cls in ALGORITHMS.items() if cls is type(algo)), type(algo).__name__)
    for setting in settings:
        one_of("setting", setting, settings_of(TrainConfig))
    training = config or built(TrainConfig, preset_of(type(algo), preset), type(algo))
    config = dataclasses.replace(training, algorithm=name, env=env_id, **settings)
    run = RunDirectory(out) if isinstance(out, str | Path) else out
    if run:
        check_kwargs(config)
    if run and not run.unique_path:
        run.check_free()
    with explained(), Interrupt() as stop, contextlib.closing(Trainer(algo, config, callbacks)) as trainer:
        loop = trainer.start(init_from)
        if run is None:
            return run_to_end(trainer, loop, 0, stop, progress)
        # the directory is made after the environments and the learner, so that bad input leaves none behind
        run.create(trainer.algo, trainer.config, trainer.dims, trainer.source)
        try:
            trainer.attach(run)
            if trainer.source:
                trainer.save_start(loop)
            return run_to_end(trainer, loop, 0, stop, progress)
        finally:
            run.close()
            if not run.kept:
                run.discard()


def configured(name: str, given: Mapping[str, Any], preset: str = "paper") -> tuple[Algorithm, TrainConfig]:
    """The algorithm called `name` and its training from a preset and the settings `given`, which change the preset.

    `given` holds settings of both by flat name, also by names of softq 0.1.0. Raises `SoftqError` for an unknown name,
    preset or setting, and for a value that a setting cannot have.
    """
    algorithm = get(name)
    settings = preset_of(algorithm, preset) | renamed(given, algorithm)
    config = built(TrainConfig, settings | {"algorithm": name}, algorithm)
    return built(algorithm, settings, TrainConfig), config


def check_kwargs(config: TrainConfig) -> None:
    """Raise `SoftqError` when config.json cannot hold the settings of the environment."""
    try:
        json.dumps(config.env_kwargs)
    except TypeError as error:
        raise SoftqError(
            f"env_kwargs cannot be written to config.json ({error}); register the environment with them under an id "
            "of your own."
        ) from None


def resume(
    folder: Path | str,
    progress: bool = True,
    iterations: int | None = None,
    callbacks: Callbacks = (),
    **changes: Any,
) -> Run:
    """Continue the run in `folder` exactly as if it had not been interrupted; a finished run is returned as it is.

    With `iterations` the run, finished or not, continues to that number of updates in all, and its learner becomes that
    of a run which was started with this number. `changes` are further settings that are others from here on: numbers of
    the algorithm, such as its learning rate, and those of `TrainConfig` that decide no shape. What changes is said in a
    `SoftqWarning` and in a row of the log. When the state of an environment cannot be saved, which training says at its
    start, the learner and the replay continue and the episodes start anew. `callbacks` are those that were given to
    `train`; the settings remember theirs.

    Raises `SoftqError` when `folder` is not a run, does not fit this softq, is being trained by another process, or has
    made more than `iterations` updates, and for a setting that cannot change.
    """
    run = RunDirectory(folder)
    algo, config, _ = run.config()
    algo, config = changed(algo, config, changes | ({} if iterations is None else {"iterations": iterations}))
    with explained(), Interrupt() as stop, contextlib.closing(Trainer(algo, config, callbacks)) as trainer:
        run.lock()
        try:
            trainer.attach(run)
            loop, step = trainer.restore()
            return run_to_end(trainer, loop, step, stop, progress)
        finally:
            run.close()


def changed(algo: Algorithm, config: TrainConfig, changes: dict[str, Any]) -> tuple[Algorithm, TrainConfig]:
    """`algo` and `config` with other settings. Raises `SoftqError` for one that cannot change in a run that goes on."""
    check_names(changes, TrainConfig, type(algo))
    for name in sorted(changes.keys() - free_settings(algo)):
        raise SoftqError(f"--resume DIR cannot change {name}: {fixed(name)}")
    of_training = {name: value for name, value in changes.items() if name in settings_of(TrainConfig)}
    of_algorithm = {name: value for name, value in changes.items() if name in settings_of(type(algo))}
    return with_settings(algo, of_algorithm), dataclasses.replace(config, **of_training)


def run_to_end(trainer: Trainer, loop: LoopState, step: int, stop: Interrupt, show: bool) -> Run:
    """Train from `step` to the end, or until `stop()`, and return the run; `show` shows a progress bar."""
    config, run = trainer.config, trainer.run
    if step < config.total_steps and not trainer.hook.stopped:
        trainer.announce()
    title = f"{config.algorithm} {config.env}"
    progress = Progress(
        title, config.warmup_steps, config.iterations, config.num_envs, show, config.updates_per_step
    )
    if run:
        progress.say(f"run directory: {run.folder}")
    try:
        with matmul_precision(config.precision):
            loop, done = trainer.train(loop, step, stop, progress)
    finally:
        progress.close()
    curve = to_frame(trainer.rows, config)
    folder = run.folder if run else None
    return Run(trainer.algo, config, loop.state, curve, done, folder, trainer.inexact, trainer.hook.stopped)
