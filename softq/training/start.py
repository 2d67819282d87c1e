"""`train` and `resume`: from a shell, a script or a notebook."""

import contextlib
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from softq.algorithms import ALGORITHMS, Algorithm, get
from softq.training.config import TrainConfig, preset_of
from softq.training.loop import LoopState
from softq.training.progress import Interrupt, Progress
from softq.training.run_directory import RunDirectory, to_frame
from softq.training.trainer import Trainer
from softq.utils.errors import SoftqError, suggest
from softq.utils.flat_settings import fields_from
from softq.utils.machine_errors import explained
from softq.utils.pytree import unstacked


@dataclass
class Run:
    """What `train` returns. `states` has a leading axis over seeds; `state` is the first seed's."""

    algo: Algorithm
    config: TrainConfig
    states: Any
    curve: pd.DataFrame
    finished: bool
    folder: Path | None = None
    inexact: str | None = None  # why `resume` would start new episodes, None where it goes on exactly

    @property
    def state(self) -> Any:
        return unstacked(self.states, 0)


def train(
    algo: Algorithm | str,
    env_id: str,
    config: TrainConfig | None = None,
    out: Path | str | RunDirectory | None = None,
    progress: bool = True,
    preset: str = "paper",
    **settings: Any,
) -> Run:
    """Train `algo`, or the algorithm of that name, in `env_id`; `settings` are `TrainConfig` fields.

    What is not given comes from the preset, as in `softq train`: "paper" trains as the algorithm's own paper did,
    "small" gives a first result in minutes. It sets the hyper-parameters of an algorithm given by its name, and the
    training where there is no `config`. Everything is in the returned `Run`; with `out`, a run directory is written
    too, which `resume` continues.
    After the first Ctrl-C the run stops at its next step and is returned as it is. Raises `SoftqError` for
    bad input and where memory or disk will not do; a run that fails before its first row of the log leaves no
    directory.
    """
    if isinstance(algo, str):
        algo = get(algo)(**fields_from(preset_of(get(algo), preset), get(algo)))
    name = next((name for name, cls in ALGORITHMS.items() if cls is type(algo)), type(algo).__name__)
    fields = [field.name for field in dataclasses.fields(TrainConfig)]
    training = fields_from(preset_of(type(algo), preset), TrainConfig)
    for setting in settings:
        if setting not in fields:
            raise SoftqError(f"unknown setting {setting!r}.{suggest(setting, fields)}")
    config = dataclasses.replace(config or TrainConfig(**training), algorithm=name, env=env_id, **settings)
    run = RunDirectory(out) if isinstance(out, str | Path) else out
    if run:
        check_kwargs(config)
    if run and not run.unique_path:
        run.check_free()
    with explained(), Interrupt() as stop, contextlib.closing(Trainer(algo, config)) as trainer:
        loop = trainer.start()
        if run is None:
            return run_to_end(trainer, loop, 0, stop, progress)
        run.create(
            trainer.algo, trainer.config, trainer.dims
        )  # only now: bad input leaves no directory behind
        try:
            trainer.attach(run)
            return run_to_end(trainer, loop, 0, stop, progress)
        finally:
            run.close()
            if not run.kept:
                run.discard()


def check_kwargs(config: TrainConfig) -> None:
    """`SoftqError` when config.json cannot hold the environment's settings."""
    try:
        json.dumps(config.env_kwargs)
    except TypeError as error:
        raise SoftqError(
            f"env_kwargs cannot be written to config.json ({error}); register the environment with them under an id "
            "of your own."
        ) from None


def resume(folder: Path | str, progress: bool = True, iterations: int | None = None) -> Run:
    """Continue an interrupted run exactly as if it had not been. A finished one is returned as it is.

    With `iterations` the run goes on, finished or not, until it has made so many updates in all: the learner is then
    the one of a run that was started with this number. Raises `SoftqError` when more have been made already. Where the
    state of an environment cannot be saved, which training says at its start, the learner and the replay go on and the
    episodes start anew.
    """
    run = RunDirectory(folder)
    algo, config, _ = run.config()
    if iterations is not None:
        config = dataclasses.replace(config, iterations=iterations)
    with explained(), Interrupt() as stop, contextlib.closing(Trainer(algo, config)) as trainer:
        run.lock()
        try:
            trainer.attach(run)
            loop, step = trainer.restore()
            return run_to_end(trainer, loop, step, stop, progress)
        finally:
            run.close()


def run_to_end(trainer: Trainer, loop: LoopState, step: int, stop: Interrupt, show: bool) -> Run:
    config, run = trainer.config, trainer.run
    if step < config.total_steps:
        trainer.announce()
    title = f"{config.algorithm} {config.env}"
    progress = Progress(title, config.warmup_steps, config.iterations, config.num_envs, show)
    if run:
        progress.say(f"run directory: {run.folder}")
    try:
        loop, done = trainer.train(loop, step, stop, progress)
    finally:
        progress.close()
    curve = to_frame(trainer.rows, config)
    return Run(trainer.algo, config, loop.state, curve, done, run.folder if run else None, trainer.inexact)
