"""The three small tasks in which answers can be counted, and what each algorithm is given there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms import get
from softq.envs.maze import ROUTES
from softq.training import preset_of

SIDES = ("east", "north", "west", "south")
STARTS = ("fixed", "usual")  # all episodes from the very centre; those of the environment
NEAR = 0.15  # what counts as a mode of the bandit; NC-LQL's 0.3, in units of the box


@dataclass(frozen=True)
class Task:
    """What is trained and counted in one environment; the rest is `--preset small`."""

    env_id: str
    outcomes: tuple[str, ...]
    sort: Callable[[Any, Array], Array]  # (environment, path (time, 2)) -> index of the outcome
    iterations: int
    stride: int  # every so many steps of a path are stored
    common: dict[str, Any]  # settings of the training, and hyper-parameters that have one meaning
    own: dict[str, dict[str, Any]]  # what an algorithm needs beyond it
    places: tuple[tuple[float, float], ...] = ((0.0, 0.0),)  # states at which a snapshot looks at the critic


@jax.jit
def bandit_mode(env: Any, path: Array) -> Array:
    """0 to 3: one of the four high modes, counter-clockwise from the east; 4: a low one; 5: none."""
    angles = jnp.arange(8) * jnp.pi / 4
    centres = jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1) / jnp.sqrt(2.0)
    distance = jnp.linalg.norm(path[-1][None] - centres, axis=-1)
    nearest = jnp.argmin(distance)
    return jnp.where(jnp.min(distance) > NEAR, 5, jnp.where(nearest % 2 == 0, nearest // 2, 4))


@jax.jit
def multigoal_goal(env: Any, path: Array) -> Array:
    """0 to 3: the goal in the east, north, west or south; 4: none."""
    return jnp.array([4, 0, 2, 1, 3])[1 + env.nearest_goal(path[-1])]


SOFT = {"hidden_sizes": (64, 64), "learning_rate": 2e-3, "polyak": 0.02, "batch_size": 64}
PRINTED = {"space": "tanh", "estimator": "idem", "truncate": False, "predict": "score"}
COOLING = {"temperature": 1.0, "temperature_decay": 0.1, "decay_updates": 3000.0}
TASKS = {
    "bandit": Task(
        "Bandit",
        (*SIDES, "low", "none"),
        bandit_mode,
        1500,
        1,
        SOFT | {"warmup": 2000, "num_envs": 4, "temperature": 0.1, "reward_scale": 1.0},
        # DDSQ's temperature is a share of the spread of Q, about 0.25 here; 7 per cent of the box are near a high mode:
        # 16 candidates often miss it. LQL's and NC-LQL's temperatures are those of their presets.
        {"ddsq": {"temperature": 0.3, "num_candidates": 64}, "lql": {}, "nclql": {}},
    ),
    "multigoal": Task(
        "MultiGoal",
        (*SIDES, "none"),
        multigoal_goal,
        2500,
        1,
        SOFT | {"warmup": 100_000, "num_envs": 20, "temperature": 0.3, "reward_scale": 0.1},
        {"ddsq": {"temperature": 0.3}, "lql": {}, "nclql": {}},
        ((0.0, 0.0), (2.5, 2.5)),
    ),
    "maze": Task(
        "Maze",
        ROUTES,
        jax.jit(lambda env, path: env.route(path)),
        3000,
        3,
        SOFT | {"warmup": 20_000, "num_envs": 16, "temperature": 0.1, "reward_scale": 0.2, "discount": 0.95},
        # The maze is DQS's own example: the space, estimator, truncation and prediction that its paper prints, with
        # the preset's numbers of steps and samples, and a temperature that falls from ten times that of the others to
        # theirs.
        {"ddsq": {"temperature": 0.3}, "lql": {}, "nclql": {}, "dqs": PRINTED | COOLING},
    ),
}


def settings(task: Task, name: str) -> dict[str, Any]:
    """All of `name`'s settings in `task`: fields of `TrainConfig` and of the algorithm."""
    own = task.own.get(name)
    common = dict(task.common)
    if own == {}:  # its temperature has a unit of its own
        del common["temperature"]
    given = preset_of(get(name), "small") | common | (own or {})
    return given | {"iterations": task.iterations, "eval_every": task.iterations}
