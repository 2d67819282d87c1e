"""One training of an algorithm, looked at closely: its paths while it learns, and its moves beside its own critic.

The critic is stored as values on a grid of actions, so that whoever reads the files can set the exact softmax, at any
temperature, beside what the policy draws.
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
FACTORS = (1 / 3, 1.0, 3.0)  # of the temperature in force, for policies that can act at another
RESOLUTION = 48  # cells a side of the grid of actions; values are those of the middle of a cell
MIDDLES = (np.arange(RESOLUTION) + 0.5) * 2 / RESOLUTION - 1


def snapshot(
    task: Task, name: str, episodes: int = 20, draws: int = 300, iterations: int | None = None
) -> dict[str, pd.DataFrame]:
    """Three tables of the training of seed 0 of the algorithm `name`.

    `during`: `episodes` paths after each of `MOMENTS`. `moves`: `draws` actions at each of `task.places`, also at
    `FACTORS` times its own temperature where it can act at them. `critics`: at the same places the temperature,
    and the smaller or mean twin (as the method's sampler sees it) on the grid, one row for each `dy`.
    """
    env, total = make(task.env_id), iterations or task.iterations
    during = []
    for share in MOMENTS:  # the same keys: each training is the beginning of the next
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
    """Moves and critic at one place."""
    _, obs = env.reset_to(jnp.asarray(place, jnp.float32))
    keys = jax.random.split(jax.random.key(30_000), draws)
    where = {"algorithm": name, "x": place[0], "y": place[1]}
    act, moves = jax.jit(jax.vmap(algo.policy, (None, None, 0, None))), []
    for factor in FACTORS if algo.adjustable else (1.0,):
        # pyrefly: ignore[unsupported-operation] - an adjustable policy has a temperature
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
