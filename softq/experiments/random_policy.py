"""What acting at random returns: the episodes of a uniform policy on the eight MuJoCo tasks of the book.

`python -m softq.experiments.random_policy results/random-policy.csv` plays `EPISODES` episodes of each task; nothing is
learned. The means are the lower anchors of normalised returns, in `softq/comparison/reference-scores.csv`.
"""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd
from jax import Array

from softq.experiments.script import run, write_table
from softq.training.evaluate import Evaluator
from softq.utils.pytree import pytree, static

TASKS = (
    "InvertedPendulum-v5",
    "InvertedDoublePendulum-v5",
    "Reacher-v5",
    "Pusher-v5",
    "Swimmer-v5",
    "Hopper-v5",
)
TASKS += ("HalfCheetah-v5", "Walker2d-v5")
EPISODES = 100
SEED = 0


@pytree
class Uniform:
    """A policy whose actions are uniform on the box [-1, 1]^action_dim, whatever the observation."""

    action_dim: int = static()

    def policy(self, state: Any, obs: Array, key: Array) -> Array:
        """One action `(action_dim,)`."""
        return jax.random.uniform(key, (self.action_dim,), minval=-1.0, maxval=1.0)


def returns(env_id: str, episodes: int = EPISODES) -> Any:
    """The returns `(episodes,)` of the uniform policy in the environment `env_id`."""
    evaluator = Evaluator(env_id, [SEED], episodes, "policy")
    with contextlib.closing(evaluator):
        policy: Any = Uniform(evaluator.env.action_dim)  # in the place of an algorithm, whose `policy` it has
        played: Any = evaluator(policy, jnp.zeros(1))
    return played[0]


def table(tasks: tuple[str, ...] = TASKS, episodes: int = EPISODES) -> pd.DataFrame:
    """A row for each task: mean and standard deviation of the returns, the least and the largest."""
    rows = []
    for env_id in tasks:
        played = returns(env_id, episodes)
        numbers = played.mean(), played.std(ddof=1), played.min(), played.max()
        rows.append((env_id, episodes, *numbers))
    return pd.DataFrame(rows, columns=["env", "episodes", "return", "std", "least", "largest"])


def command(argv: list[str]) -> None:
    """Write the table to the file named in `argv`. Raises `SoftqError` for bad input."""
    write_table(
        argv, "random_policy", "Play episodes of a uniform policy on eight tasks of MuJoCo.", table, 6
    )


if __name__ == "__main__":
    run(command)
