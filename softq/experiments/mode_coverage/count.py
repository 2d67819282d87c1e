"""Train an algorithm on a task, let its policy play episodes, and count their outcomes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import Array

from softq.algorithms import Algorithm, get
from softq.envs import is_jax, make
from softq.experiments.mode_coverage.ablations import Ablation, ResampledPolicy, exact_states
from softq.experiments.mode_coverage.tasks import STARTS, Task, settings
from softq.training import TrainConfig, train
from softq.training.evaluate import Evaluator
from softq.utils.flat_settings import built
from softq.utils.pytree import unstacked


@partial(jax.jit, static_argnames=("num", "fixed"))
def rollout(algo: Any, state: Any, env: Any, key: Array, num: int, fixed: bool) -> tuple[Array, Array]:
    """Play `num` episodes with `algo.policy`: paths `(num, time, 2)` and returns `(num,)`.

    A path stays at its last position after the episode ends. With `fixed` all episodes start at the centre, without the
    noise of `reset`, so that nothing but the policy chooses the outcome.
    """

    def one(key: Array) -> tuple[Array, Array]:
        here, obs = env.reset_to(jnp.zeros(2)) if fixed else env.reset(key)

        def move(carry: tuple, key: Array) -> tuple[tuple, Array]:
            here, obs, done, total = carry
            there, after, reward, terminated, truncated = env.step(here, algo.policy(state, obs, key), key)
            there, after = jax.tree.map(partial(jnp.where, done), (here, obs), (there, after))
            total = total + jnp.where(done, 0.0, reward)
            return (there, after, done | terminated | truncated, total), env.where(there)

        carry = here, obs, jnp.zeros((), bool), jnp.zeros(())
        keys = jax.random.split(jax.random.fold_in(key, 1), env.max_steps)
        (*_, total), path = jax.lax.scan(move, carry, keys)
        return jnp.concatenate([env.where(here)[None], path]), total

    return jax.vmap(one)(jax.random.split(key, num))


def play(algo: Any, state: Any, player: Evaluator, noise: str, fixed: bool) -> tuple[np.ndarray, np.ndarray]:
    """As `rollout`, in an environment of Gymnasium whose observation begins with the position (x, y).

    With `fixed` the attribute `noise` of the environments is 0. The starts and the random numbers of the policy are the
    same in every call.
    """
    path: list[np.ndarray] = []

    def watch(obs: np.ndarray, alive: np.ndarray) -> None:
        path.append(np.where(alive[..., None], obs[..., :2], path[-1] if path else obs[..., :2]))

    vector = player.env.vector
    usual = vector.get_attr(noise)
    vector.set_attr(noise, 0.0 if fixed else usual)
    returns = player(algo, jax.tree.map(lambda x: x[None], state), watch=watch)
    vector.set_attr(noise, usual)
    assert returns is not None  # as nothing stops the player
    return np.stack(path, -2)[0], returns[0]


def count(task: Task, env: Any, paths: Array | np.ndarray) -> np.ndarray:
    """The number of `paths` `(num, time, 2)` with each of `task.outcomes`, as an array `(outcomes,)`."""
    which = jax.vmap(partial(task.sort, env))(jnp.asarray(paths))
    return np.bincount(np.asarray(which), minlength=len(task.outcomes))


def trained(
    task: Task, ablation: Ablation, seeds: int, iterations: int | None = None, progress: bool = False
) -> tuple[Algorithm, Any]:
    """The algorithm of `ablation` with its settings on `task`, and its trained states with a leading axis `seeds`.

    `iterations` replaces the number of updates. Raises `KeyboardInterrupt` when the training is stopped.
    """
    cls = get(ablation.algorithm)
    given = settings(task, ablation.algorithm) | ablation.change
    given |= {"iterations": iterations} if iterations else {}
    algo = built(cls, given, TrainConfig)
    once: dict[str, Any] = {"seeds": seeds, "checkpoint_every": 10**9, "eval_every": given["iterations"]}
    config = built(TrainConfig, given | once, cls)
    if ablation.exact_critic:
        return algo, exact_states(algo, make(task.env_id), seeds, config.iterations, config.batch_size)
    run = train(algo, task.env_id, config, progress=progress)
    if not run.finished:
        raise KeyboardInterrupt
    return algo, run.states


def visits(
    task: Task,
    label: str,
    ablation: Ablation,
    seeds: int = 10,
    episodes: int = 200,
    keep: int = 40,
    iterations: int | None = None,
    progress: bool = False,
    tests: Sequence[Mapping[str, Any]] = ({},),
) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Train `ablation` on `task` and count the outcomes of `episodes` episodes for each of `seeds` seeds.

    `tests` are settings of the environments in which the same trained policies are counted; the training has the
    default ones. For each of them returns the counts, a row for each seed and kind of start (`STARTS`), and `keep`
    paths of the first seed in the form of `paths_to_frame`. `label` names the rows. `iterations` replaces the number of
    updates. Raises `SoftqError` for a setting that the environment does not have, before the training.
    """
    on_device = is_jax(task.env_id)
    envs: list[Any] = [
        make(task.env_id, env_kwargs=test)
        if on_device
        else Evaluator(task.env_id, [0], episodes, "policy", test)
        for test in tests
    ]
    algo, states = trained(task, ablation, seeds, iterations, progress)
    actor = ResampledPolicy(algo, task.common["temperature"]) if ablation.exact_sampler else algo
    found = [counts_in(env, task, label, actor, states, seeds, episodes, keep) for env in envs]
    for player in [] if on_device else envs:
        player.close()
    return found


def counts_in(
    env: Any, task: Task, label: str, actor: Any, states: Any, seeds: int, episodes: int, keep: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Counts and paths of `actor` with its trained `states` in `env`, as `visits` returns them for one environment.

    `env` is an environment in JAX, or an `Evaluator` of `episodes` episodes in one of Gymnasium.
    """
    starts = STARTS[:1] if env.max_steps == 1 else STARTS  # the bandit has a single state to start from
    rows, kept = [], []
    for seed in range(seeds):
        state = unstacked(states, seed)
        for start in starts:
            key = jax.random.key(10_000 + seed)
            fixed = start == "fixed"
            if isinstance(env, Evaluator):
                paths, returns = play(actor, state, env, task.noise, fixed)
            else:
                paths, returns = rollout(actor, state, env, key, episodes, fixed)
            counts = dict(zip(task.outcomes, count(task, env, paths).tolist(), strict=True))
            where = {"algorithm": label, "seed": seed, "start": start}
            rows.append(where | counts | {"return": float(returns.mean())})
            if seed == 0 and start == starts[-1]:
                kept.append(paths_to_frame(label, paths[:keep], task.stride))
    return pd.DataFrame(rows), pd.concat(kept)


def paths_to_frame(name: str, paths: Array | np.ndarray, stride: int) -> pd.DataFrame:
    """Paths `(num, time, 2)` as a table `algorithm, episode, step, x, y`, rounded to 0.01.

    It holds every `stride`-th step and the last one; steps after the last motion are left out.
    """
    rows = []
    for episode, path in enumerate(np.asarray(paths)):
        moved = np.flatnonzero(np.any(np.diff(path, axis=0) != 0, axis=1))
        last = moved[-1] + 1 if len(moved) else 0
        for step in sorted({*range(0, last, stride), last}):
            rows.append((name, episode, step, *np.round(path[step].astype(float), 2)))
    return pd.DataFrame(rows, columns=["algorithm", "episode", "step", "x", "y"])


def verdict(task: Task, table: pd.DataFrame, least: float = 0.05) -> str:
    """One line that says in how many seeds every wanted outcome had a share of `least`, and the mean shares.

    Episodes from the fixed start count. `table` holds the counts that `visits` returns; "low", "none" and "B_bottom"
    are not wanted, since they earn less than the others. Of uniform actions about 0.018 are near each high mode of the
    bandit (the area of a disc of radius `NEAR` in the box), so a policy of such actions does not pass.
    """
    fixed = table.loc[table["start"] == "fixed", list(task.outcomes)]
    shares = fixed.div(fixed.sum(axis=1), axis=0)
    wanted = [name for name in task.outcomes if name not in ("low", "none", "B_bottom")]
    every = int((shares[wanted] >= least).all(axis=1).sum())
    text = " ".join(f"{name} {share:.2f}" for name, share in shares.mean().items())
    return f"all {len(wanted)} in {every} of {len(shares)} seeds; {text}"
