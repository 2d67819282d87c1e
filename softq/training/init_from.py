"""The learner of another run, with which a new run starts: `softq train ALGORITHM --init-from DIR`.

It is taken as it is, with its targets, its optimisers' moments and its own count of updates. The replay of the new run
starts empty, and the counts of its log at 0.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from softq.algorithms import Algorithm
from softq.training.checkpoint import Checkpoints, different, names
from softq.training.config import TrainConfig
from softq.training.normalise import bare
from softq.training.results import load_all
from softq.training.run_directory import RunDirectory
from softq.utils.errors import SoftqError


def learner_of(folder: Path | str, algo: Algorithm, config: TrainConfig, shapes: Any) -> tuple[Any, dict]:
    """`(states, source)`: the learner of a run's newest checkpoint for all seeds, and what versions.json says of it.

    Each seed gets its own; where the run in `folder` has one seed, all get that one. Raises `SoftqError` when it is of
    another algorithm, has another number of seeds, or does not have these `shapes`.
    """
    other, states, trained = load_all(folder)
    if type(bare(other)) is not type(bare(algo)):
        raise SoftqError(
            f"{folder} holds a learner of {trained.algorithm}, and this run trains {config.algorithm}; a learner goes "
            "on with its own algorithm only."
        )
    if trained.normalise_obs != config.normalise_obs:
        have, do = ("with", "give") if trained.normalise_obs else ("without", "leave out")
        raise SoftqError(
            f"{folder} was trained {have} normalise_obs, and its networks know such observations only; {do} "
            "--normalise-obs."
        )
    if trained.seeds not in (1, config.seeds):
        raise SoftqError(
            f"{folder} holds learners of {trained.seeds} seeds; train as many: --seeds {trained.seeds}."
        )
    if trained.seeds < config.seeds:
        states = jax.tree.map(lambda x: jnp.repeat(x, config.seeds, axis=0), states)
    if names(states) != names(shapes):
        first = [next(iter(x), ["nothing"]) for x in different(names(states), names(shapes))]
        there, here = (" ".join(map(str, leaf[:2])) for leaf in first)
        raise SoftqError(
            f"the learner in {folder} does not fit this run ({there} there, {here} here); the sizes of the networks, "
            "and those of observations and actions, must be the same."
        )
    run = RunDirectory(folder)
    step = Checkpoints(run.folder / "checkpoints").meta()["step"]
    source = {
        "run": str(run.folder.absolute()),
        "updates": max(0, step - trained.warmup_steps) * trained.updates_per_step,
    }
    return states, source | {"commit": run.read("versions.json").get("commit", "unknown")}
