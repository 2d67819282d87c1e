"""A snapshot of one training: paths of the policy while it learns, and at the end its moves and its critic.

The critic is stored as values on a grid of actions, from which a reader of the files can compute the exact softmax at
any temperature and compare it with the actions of the policy.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from softq.algorithms import Algorithm
from softq.envs import make
from softq.experiments.mode_coverage.ablations import Ablation, softmax_temperature
from softq.experiments.mode_coverage.count import paths_to_frame, rollout, trained
from softq.experiments.mode_coverage.tasks import Task
from softq.utils.pytree import unstacked

MOMENTS = (0.1, 0.3, 1.0)  # shares of the training at which paths are kept
FACTORS = (1 / 3, 1.0, 3.0)  # multiples of the current temperature at which an adjustable policy acts
RESOLUTION = 48  # cells along each side of the grid of actions; a value is that at the middle of its cell
MIDDLES = (np.arange(RESOLUTION) + 0.5) * 2 / RESOLUTION - 1


def snapshot(
    task: Task, name: str, episodes: int = 20, draws: int = 300, iterations: int | None = None
) -> dict[str, pd.DataFrame]:
    """Three tables of the training of the algorithm `name` on `task` with seed 0, by name.

    `during` holds `episodes` paths after each share of the training in `MOMENTS`. `moves` holds `draws` actions at each
    of `task.places`, for adjustable policies at each of `FACTORS` times the current temperature. `critics` holds the
    temperature and the values of the critic on the grid at the same places, a row for each `dy`; twins are reduced as
    the method's own sampler reduces them. `iterations` replaces the number of updates.
    """
    env, total = make(task.env_id), iterations or task.iterations
    during = []
    for share in MOMENTS:  # with equal keys, so that a shorter training is the beginning of a longer one
        updates = max(1, round(share * total))
        algo, states = trained(task, Ablation(name), 1, updates)
        state = unstacked(states, 0)
        paths, _ = rollout(algo, state, env, jax.random.key(20_000), episodes, False)
        table = paths_to_frame(name, paths, task.stride)
        table.insert(1, "updates", updates)
        during.append(table)
    # pyrefly: ignore[unbound-name] - the last training of the loop
    places = [inspect_state(task, name, algo, state, env, place, draws) for place in task.places]
    moves, critics = (pd.concat(tables) for tables in zip(*places, strict=True))
    return {"during": pd.concat(during), "moves": moves, "critics": critics}


def inspect_state(
    task: Task, name: str, algo: Algorithm, state: Any, env: Any, place: tuple[float, float], draws: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of `moves` and of `critics`, as `snapshot` describes them, at the state at `place` (x, y)."""
    _, obs = env.reset_to(jnp.asarray(place, jnp.float32))
    keys = jax.random.split(jax.random.key(30_000), draws)
    where = {"algorithm": name, "x": place[0], "y": place[1]}
    act, moves = jax.jit(jax.vmap(algo.policy, (None, None, 0, None))), []
    for factor in FACTORS if algo.adjustable else (1.0,):
        temperature = algo.current_temperature(state) * factor if algo.adjustable else None
        actions = np.asarray(act(state, obs, keys, temperature))
        moves.append(pd.DataFrame(where | {"factor": factor, "dx": actions[:, 0], "dy": actions[:, 1]}))
    q = state.critic.network.at(obs)
    grid = jnp.asarray(np.stack(np.meshgrid(MIDDLES, MIDDLES), -1), jnp.float32)
    values = np.asarray(jax.jit(jax.vmap(jax.vmap(q)))(grid))
    temperature = float(softmax_temperature(algo, state, obs, task.common["temperature"]))
    rows = pd.DataFrame(values, columns=[f"{x:.4f}" for x in MIDDLES])
    head = pd.DataFrame(where | {"temperature": temperature, "dy": MIDDLES})
    return pd.concat(moves), pd.concat([head, rows], axis=1)
