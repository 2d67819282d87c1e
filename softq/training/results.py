"""Reading run directories: the learner, the learning curves, and the return at any temperature or with a sampler."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import pandas as pd

from softq.algorithms import Algorithm
from softq.algorithms.common.critic_policy import acting
from softq.training.callbacks import BEST
from softq.training.checkpoint import Checkpoints
from softq.training.config import TrainConfig
from softq.training.evaluate import Evaluator
from softq.training.loop import learner
from softq.training.normalise import prepared
from softq.training.run_directory import RunDirectory, read_log, to_frame
from softq.utils.atomic_files import atomic_write, csv_file
from softq.utils.checks import one_of
from softq.utils.errors import SoftqError, suggest
from softq.utils.pytree import unstacked

# the words in exported tables for the kinds of rows in a log
KINDS = {"train": "training", "eval": "evaluation"}
# the columns that say on what the numbers of a run depend
MADE_WITH = ("device", "versions", "commit")

Checkpoint = Literal["newest", "best"]
FOLDERS = {"newest": "checkpoints", "best": BEST}  # of a run, where these are


def load_all(run_dir: Path | str, checkpoint: Checkpoint = "newest") -> tuple[Algorithm, Any, TrainConfig]:
    """`(algo, states, config)` of the newest checkpoint of a run; `states` has a leading axis over the seeds.

    The checkpoint "best" holds, for each seed, the learner of its evaluation with the highest mean return.

    Actions of `algo` lie in [-1, 1]; `softq.envs.rescale(action, env.action_space)` has the environment's units. Raises
    `SoftqError` when the directory is not a run, or its checkpoint is missing or unreadable.
    """
    run = RunDirectory(run_dir)
    algo, config, dims = run.config()
    algo = prepared(algo, config)
    one_of("checkpoint", checkpoint, FOLDERS)
    folder = run.folder / FOLDERS[checkpoint]
    if checkpoint == "best" and not folder.is_dir():
        raise SoftqError(f"{run.folder} keeps no best learner; a run trained with --keep-best does.")
    if not folder.is_dir():
        raise SoftqError(
            f"{run.folder} has no checkpoint yet; continue it with softq train --resume {run.folder}."
        )
    keys = jax.vmap(jax.random.key)(jnp.arange(config.seeds))
    blank = [jnp.zeros(dims[name], jnp.float32) for name in ("obs_dim", "action_dim")]
    template = jax.eval_shape(jax.vmap(lambda key: learner(algo, key, *blank)), keys)
    (states,) = Checkpoints(folder).restore(learner=template)
    return algo, jax.device_put(states), config


def load_run(
    run_dir: Path | str, index: int = 0, checkpoint: Checkpoint = "newest"
) -> tuple[Algorithm, Any, TrainConfig]:
    """`(algo, state, config)` of the newest checkpoint of a run, with the state of its seed number `index`, from 0.

    The checkpoint "best" is that of the seed's evaluation with the highest mean return.

    Actions of `algo` lie in [-1, 1]; `softq.envs.rescale(action, env.action_space)` makes them actions for `env.step`.
    Values of `state.critic.network` are returns times `algo.reward_scale`, which is 0.2 by default in LQL and NC-LQL
    and 1 in the other methods. Divided by it, these values and a temperature in the unit of Q have the environment's
    unit, in which the log holds returns.

    Raises `SoftqError` when the directory is not a run, when its checkpoint is missing or unreadable, and when there is
    no seed with this number.
    """
    algo, states, config = load_all(run_dir, checkpoint)
    if not 0 <= index < config.seeds:
        raise SoftqError(f"{run_dir} has {config.seeds} seeds; index {index} must be less.")
    return algo, unstacked(states, index), config


def curves(run_dirs: Path | str | Iterable[Path | str]) -> pd.DataFrame:
    """The logs of one run or several as a table, with a row for each run, seed, kind of row and training step.

    Raises `SoftqError` when a directory is not a run.
    """
    folders = [run_dirs] if isinstance(run_dirs, str | Path) else list(run_dirs)
    tables = []
    for folder in folders:
        config = RunDirectory(folder).training()
        tables.append(to_frame(read_log(folder), config).assign(run=str(folder)))
    return pd.concat(tables, ignore_index=True)


def evaluate_run(
    run_dir: Path | str,
    episodes: int = 20,
    method: str | None = None,
    temperature: float | None = None,
    sampler: str | None = None,
    budget: int = 100,
    checkpoint: Checkpoint = "newest",
) -> pd.DataFrame:
    """Play `episodes` episodes for each seed of a run with `method`, which is "exploit" or "policy".

    `temperature` is the argument of `Algorithm.policy` in the algorithm's own unit (`softq.algorithms.base`), and makes
    "policy" the default method; without it the policy acts at its current temperature. With a `sampler` the critic of
    the run acts through that sampler (`softq.algorithms.common.critic_policy`), with `budget` candidates or gradients
    for each action. The `checkpoint` "best" holds each seed's learner of its best evaluation, see `load_all`.

    Returns a table `seed, policy, temperature, unit, return, std, episodes` with a row for each seed and one for all,
    whose temperature is the mean. Raises `SoftqError` for bad arguments, and for a temperature at which the policy
    cannot act.
    """
    algo, states, config = load_all(run_dir, checkpoint)
    if episodes < 1:
        raise SoftqError(f"episodes is {episodes}; it must be at least 1.")
    actor, method = acting(algo, method, temperature, sampler, budget)
    unit = algo.temperature_unit
    if sampler is not None:
        unit = "Q" if unit in (None, "action") else unit
    evaluator = Evaluator(config.env, config.seed_list, episodes, method, config.env_kwargs)
    with contextlib.closing(evaluator):
        returns: Any = evaluator(actor, states)
    used = [temperature] * (config.seeds + 1)
    if temperature is None and (own := jax.vmap(algo.current_temperature)(states)) is not None:
        used = [*own.tolist(), float(own.mean())]
    rows: list[tuple[Any, ...]] = [
        (seed, x.mean(), x.std(), x.size) for seed, x in zip(config.seed_list, returns, strict=True)
    ]
    rows.append(("all", returns.mean(), returns.std(), returns.size))
    table = pd.DataFrame(rows, columns=["seed", "return", "std", "episodes"])
    table.insert(1, "policy", sampler or method)
    table.insert(2, "temperature", used)
    table.insert(3, "unit", unit)
    if evaluator.cut.any():
        table[f"cut at {evaluator.max_steps} steps"] = [*evaluator.cut, evaluator.cut.sum()]
    return table


def tidy(run_dir: Path | str) -> pd.DataFrame:
    """The rows of the log of one run that have a return, each with the device, versions and commit of the run.

    The column `kind` says "training" or "evaluation". Raises `SoftqError` when the directory is not a run.
    """
    table = curves(run_dir).dropna(subset="return")
    return table.assign(kind=table["kind"].map(KINDS), **made_with(run_dir))


def export(run_dirs: Iterable[Path | str], out: Path | str, metrics: Iterable[str] = ()) -> int:
    """Write the learning curves of runs to the CSV file `out` and return the number of rows.

    Each row names the device, versions and commit of its run. `metrics` are names of further columns of the log, such
    as "temperature", which training rows hold. Raises `SoftqError` for a metric that a run has not logged.
    """
    parts = []
    for folder in run_dirs:
        table = tidy(folder)
        first = ["algorithm", "env", "seed", "updates", "env_steps", "return", "std", "episodes", "kind"]
        for name in metrics:
            if name not in table or name in (*first, *MADE_WITH):
                raise SoftqError(f"{folder} has no metric '{name}'.{suggest(name, table.columns)}")
        parts.append(table[[*first, *metrics, *MADE_WITH]])
    return write_csv(pd.concat(parts, ignore_index=True), out)


def export_evaluation(table: pd.DataFrame, run_dir: Path | str, out: Path | str) -> int:
    """Write a table of `evaluate_run` to the CSV file `out`, with device, versions and commit of the run.

    Returns the number of rows.
    """
    config = RunDirectory(run_dir).training()
    updates = int(curves(run_dir)["updates"].max())
    labels = {"algorithm": config.algorithm, "env": config.env, "updates": updates}
    return write_csv(table.assign(**labels, **made_with(run_dir)), out)


def made_with(run_dir: Path | str) -> dict[str, str]:
    """The device, versions and commit of a run; the commit is "unknown" when softq did not run from a checkout."""
    versions = RunDirectory(run_dir).read("versions.json")
    packages = ("softq", "jax", "gymnasium", "mujoco")
    return {
        "device": versions["device"],
        "versions": " ".join(f"{name}={versions[name]}" for name in packages),
        "commit": versions.get("commit", "unknown"),
    }


def write_csv(table: pd.DataFrame, out: Path | str) -> int:
    """Write `table` to the CSV file `out`, as a whole or not at all, and return the number of rows."""
    with atomic_write(csv_file(out)) as partial:
        table.to_csv(partial, index=False, float_format="%.6g")
    return len(table)
