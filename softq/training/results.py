"""Reading runs back: their learner, their curves, their score at any temperature."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd

from softq.algorithms import Algorithm
from softq.algorithms.common.critic_policy import AtTemperature, Through
from softq.training.checkpoint import Checkpoints
from softq.training.config import TrainConfig
from softq.training.evaluate import Evaluator
from softq.training.loop import learner
from softq.training.run_directory import RunDirectory, read_log, to_frame
from softq.utils.atomic_files import atomic_write, csv_file
from softq.utils.errors import SoftqError, suggest
from softq.utils.pytree import unstacked

KINDS = {"train": "training", "eval": "evaluation"}


def load_all(run_dir: Path | str) -> tuple[Algorithm, Any, TrainConfig]:
    """`(algo, states, config)` of a run's newest checkpoint; `states` has a leading axis over seeds.

    Actions of `algo` lie in [-1, 1]; `softq.envs.rescale(action, env.action_space)` has the environment's units.
    """
    run = RunDirectory(run_dir)
    algo, config, dims = run.config()
    folder = run.folder / "checkpoints"
    if not folder.is_dir():
        raise SoftqError(
            f"{run.folder} has no checkpoint yet; continue it with softq train --resume {run.folder}."
        )
    keys = jax.vmap(jax.random.key)(jnp.arange(config.seeds))
    blank = [jnp.zeros(dims[name], jnp.float32) for name in ("obs_dim", "action_dim")]
    template = jax.eval_shape(jax.vmap(lambda key: learner(algo, key, *blank)), keys)
    (states,) = Checkpoints(folder).restore(learner=template)
    return algo, jax.device_put(states), config


def load(run_dir: Path | str, index: int = 0) -> tuple[Algorithm, Any, TrainConfig]:
    """`(algo, state, config)` of a run's newest checkpoint, the state of its `index`-th seed.

    Actions of `algo` lie in [-1, 1]: give `env.step` `softq.envs.rescale(algo.exploit(state, obs, key),
    env.action_space)`. Values of `state.critic.network` count rewards times `algo.reward_scale`, which is 0.2 by
    default in LQL and NC-LQL and 1 in the other methods: divided by it they have the environment's unit, and so has a
    temperature in the unit of Q. Returns in the log are the environment's.

    Raises `SoftqError` when the directory is no run, or its checkpoint is missing or unreadable.
    """
    algo, states, config = load_all(run_dir)
    if not 0 <= index < config.seeds:
        raise SoftqError(f"{run_dir} has {config.seeds} seeds; index {index} must be less.")
    return algo, unstacked(states, index), config


def curves(run_dirs: Path | str | Iterable[Path | str]) -> pd.DataFrame:
    """The logs of one run or several as a tidy table: a row per run, seed, kind and moment."""
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
) -> pd.DataFrame:
    """Play `episodes` episodes for each seed with `exploit` or, the default with a temperature, with `policy`.

    The temperature is the argument of `Algorithm.policy`, in the algorithm's own unit; without it the one in force
    acts. With a `sampler` the run's critic acts through it, as `softq.algorithms.common.critic_policy` says, with
    `budget` candidates or gradients per action.

    Returns a row per seed and one for all, in which the temperature is the mean: `seed, policy, temperature, unit,
    return, std, episodes`. For the unit of the temperature see `softq.algorithms.base`. Raises `SoftqError` for a
    temperature that the policy cannot act at.
    """
    algo, states, config = load_all(run_dir)
    if episodes < 1:
        raise SoftqError(f"episodes is {episodes}; it must be at least 1.")
    if temperature is not None and not 0 < temperature < float("inf"):
        raise SoftqError(f"temperature is {temperature}; it must be positive and finite.")
    method = method or ("exploit" if temperature is None else "policy")
    actor: Algorithm | Through | AtTemperature = algo
    unit = algo.temperature_unit
    if sampler is not None:
        actor, method = Through(sampler, temperature, budget, algo), "policy"
        unit = "Q" if unit in (None, "action") else unit
    elif temperature is not None:
        algo.check_adjustable(temperature)
        if method == "exploit":
            raise SoftqError(
                "exploit acts at the temperature in force and takes no other; leave the temperature out or play policy."
            )
        actor = AtTemperature(algo, temperature)
    evaluator = Evaluator(config.env, config.seed_list, episodes, method, config.env_kwargs)
    with contextlib.closing(evaluator):
        # pyrefly: ignore[bad-argument-type] - a sampler in the place of the policy has its methods
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


def export(run_dirs: Iterable[Path | str], out: Path | str, metrics: Iterable[str] = ()) -> int:
    """Write the curves of runs to `out` (CSV), with what they depend on; returns the number of rows.

    `metrics` adds columns of the log, such as "temperature", to the training rows. Raises `SoftqError` for one that a
    run has not logged.
    """
    parts = []
    for folder in run_dirs:
        table = curves(folder).dropna(subset="return")
        table["kind"] = table["kind"].map(KINDS)
        keep = ["algorithm", "env", "seed", "updates", "env_steps", "return", "std", "episodes", "kind"]
        for name in metrics:
            if name not in table or name in keep:
                raise SoftqError(f"{folder} has no metric '{name}'.{suggest(name, table.columns)}")
        parts.append(table[[*keep, *metrics]].assign(**made_with(folder)))
    return write_csv(pd.concat(parts, ignore_index=True), out)


def export_evaluation(table: pd.DataFrame, run_dir: Path | str, out: Path | str) -> int:
    """Write what `evaluate_run` returned to `out` (CSV), with what it depends on; returns the number of rows."""
    config = RunDirectory(run_dir).training()
    updates = int(curves(run_dir)["updates"].max())
    labels = {"algorithm": config.algorithm, "env": config.env, "updates": updates}
    return write_csv(table.assign(**labels, **made_with(run_dir)), out)


def made_with(run_dir: Path | str) -> dict[str, str]:
    """Device, versions and commit of a run; the commit is "unknown" where softq was not run from its checkout."""
    versions = RunDirectory(run_dir).read("versions.json")
    packages = ("softq", "jax", "gymnasium", "mujoco")
    return {
        "device": versions["device"],
        "versions": " ".join(f"{name}={versions[name]}" for name in packages),
        "commit": versions.get("commit", "unknown"),
    }


def write_csv(table: pd.DataFrame, out: Path | str) -> int:
    """Write `table` to `out`, whole or not at all."""
    with atomic_write(csv_file(out)) as partial:
        table.to_csv(partial, index=False, float_format="%.6g")
    return len(table)
