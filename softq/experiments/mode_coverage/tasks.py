"""The small tasks in which the answers of a policy can be counted, and the settings of each algorithm there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms import get
from softq.envs.maze import ROUTES
from softq.training import TrainConfig, preset_of
from softq.utils.flat_settings import settings_of

SIDES = ("east", "north", "west", "south")
# a "fixed" start is the centre of the task, without noise; a "usual" one is drawn by the environment
STARTS = ("fixed", "usual")
# distance within which an action counts as a mode of the bandit: NC-LQL's 0.3 (Appendix C.1), scaled to [-1, 1]^2
NEAR = 0.15


@dataclass(frozen=True)
class Task:
    """One environment with the outcomes to count and the settings of each algorithm.

    A setting that is in neither `common` nor `own` has its value in the algorithm's preset "small".
    """

    env_id: str
    outcomes: tuple[str, ...]
    # the outcome of a path: environment and positions (time, 2) -> index into `outcomes`
    sort: Callable[[Any, Array], Array]
    iterations: int  # updates of one training
    stride: int  # steps between two stored points of a path
    # settings of the training, and hyper-parameters with the same meaning in all algorithms
    common: dict[str, Any]
    # further settings by algorithm; an empty dictionary keeps the temperature of the preset
    own: dict[str, dict[str, Any]]
    # positions (x, y) of the states at which a snapshot inspects the critic
    places: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    # of a task in Gymnasium: the attribute of the environment that is the size of the noise of a "usual" start
    noise: str = ""


@jax.jit
def bandit_mode(env: Any, path: Array) -> Array:
    """The mode of the bandit at which `path` `(time, 2)` ends, as an index.

    0 to 3 are the four high modes, counter-clockwise from the east; 4 is any low mode; 5 is none.
    """
    angles = jnp.arange(8) * jnp.pi / 4
    centres = jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1) / jnp.sqrt(2.0)
    distance = jnp.linalg.norm(path[-1][None] - centres, axis=-1)
    nearest = jnp.argmin(distance)
    return jnp.where(jnp.min(distance) > NEAR, 5, jnp.where(nearest % 2 == 0, nearest // 2, 4))


@jax.jit
def multigoal_goal(env: Any, path: Array) -> Array:
    """The goal at which `path` `(time, 2)` ends: 0 to 3 are east, north, west and south; 4 is none."""
    return jnp.array([4, 0, 2, 1, 3])[1 + env.nearest_goal(path[-1])]


# middles (x, y) of the goal cells of softq/PointMaze-v0, whose cells have side 1: top left and bottom right
CORNERS = ((-3.0, 3.0), (3.0, -3.0))


@jax.jit
def pointmaze_goal(path: Array) -> Array:
    """The goal cell of softq/PointMaze-v0 that `path` `(time, 2)` enters first, as an index; 3 is none.

    0 and 1 are the top left one, entered from below and from the right; 2 is the bottom right one, whose only opening
    is above it. Which of the two cells holds the goal of the episode is hidden from the policy, and plays no part here.
    """
    apart = jnp.abs(path[:, None] - jnp.asarray(CORNERS)[None])  # (time, 2 cells, 2)
    inside = jnp.max(apart, -1) < 0.5
    first = jnp.argmax(jnp.any(inside, -1))  # 0 also where there is none, since no path starts in a goal cell
    before = apart[first - 1, 0]
    from_the_right = (before[0] > before[1]).astype(int)
    return jnp.where(jnp.any(inside), jnp.where(inside[first, 1], 2, from_the_right), 3)


SOFT = {"hidden_sizes": (64, 64), "learning_rate": 2e-3, "actor_learning_rate": 2e-3}
SOFT |= {"polyak": 0.02, "batch_size": 64}
PRINTED = {"space": "tanh", "estimator": "idem", "truncate": False, "predict": "score"}
COOLING = {"temperature": 1.0, "temperature_decay": 0.1, "decay_updates": 3000.0}
# These algorithms keep the temperature of their preset, since its unit is not that of Q. For LQL, NC-LQL, DACER and ACA
# it is a size of a step or of noise, for DPMD the standard deviation of Q.
UNITS: dict[str, dict[str, Any]] = {name: {} for name in ("lql", "nclql", "dpmd", "dacer", "aca")}
# In all tasks QVPO's weight of uniform actions falls during the whole training, as in its preset, and LAC's law, whose
# temperature is `temperature * (1 - prior)` with a prior of 0.5, has the temperature of the other algorithms.
# A maze is DQS's own example, so DQS has the space, estimator, truncation and prediction of its paper there. Its
# temperature falls from ten times that of the other algorithms to theirs.
IN_A_MAZE = UNITS | {
    "ddsq": {"temperature": 0.3},
    "dqs": PRINTED | COOLING,
    "qvpo": {"decay_updates": 3000.0},
    "lac": {"temperature": 0.2},
}
TASKS = {
    "bandit": Task(
        "Bandit",
        (*SIDES, "low", "none"),
        bandit_mode,
        1500,
        1,
        SOFT | {"warmup": 2000, "num_envs": 4, "temperature": 0.1, "reward_scale": 1.0},
        # DDSQ's temperature multiplies the standard deviation of Q; with 16 candidates instead of 64 all of them
        # often miss the high modes.
        UNITS
        | {
            "ddsq": {"temperature": 0.3, "num_candidates": 64},
            "qvpo": {"decay_updates": 1500.0},
            "lac": {"temperature": 0.2},
        },
    ),
    "multigoal": Task(
        "MultiGoal",
        (*SIDES, "none"),
        multigoal_goal,
        2500,
        1,
        SOFT | {"warmup": 100_000, "num_envs": 20, "temperature": 0.3, "reward_scale": 0.1},
        # The noise on SDAC's actions is `exploration_noise * temperature`: 0.1, as on the other tasks.
        UNITS
        | {
            "ddsq": {"temperature": 0.3},
            "sdac": {"exploration_noise": 1 / 3},
            "qvpo": {"decay_updates": 2500.0},
            "lac": {"temperature": 0.6},
        },
        ((0.0, 0.0), (2.5, 2.5)),
    ),
    "maze": Task(
        "Maze",
        ROUTES,
        jax.jit(lambda env, path: env.route(path)),
        3000,
        3,
        SOFT | {"warmup": 20_000, "num_envs": 16, "temperature": 0.1, "reward_scale": 0.2, "discount": 0.95},
        IN_A_MAZE,
    ),
    # The discount, the size of the reward beside the temperature and the fall of DQS's temperature are those of DQS:
    # there the reward is 1, and the temperature falls from 10 to 1. The evaluation that ends a training is not used.
    "pointmaze": Task(
        "softq/PointMaze-v0",
        ("A_left", "A_top", "B", "none"),
        lambda env, path: pointmaze_goal(path),
        3000,
        10,
        SOFT
        | {"warmup": 20_000, "num_envs": 8, "temperature": 0.1, "reward_scale": 0.1, "discount": 0.99}
        | {"eval_episodes": 1},
        IN_A_MAZE,
        noise="position_noise_range",
    ),
}


def settings(task: Task, name: str) -> dict[str, Any]:
    """The settings of the algorithm called `name` on `task`: fields of `TrainConfig` and of the algorithm."""
    own, cls = task.own.get(name), get(name)
    # not every algorithm has a temperature, an actor or a scale of rewards
    has = settings_of(cls) | settings_of(TrainConfig)
    common = {setting: value for setting, value in task.common.items() if setting in has}
    if own == {}:  # the temperature of this algorithm has another unit than `task.common` gives
        common.pop("temperature", None)
    given = preset_of(cls, "small") | common | (own or {})
    return given | {"iterations": task.iterations, "eval_every": task.iterations}
