"""Environments: small ones in pure JAX, and everything that Gymnasium can make."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from softq.envs.bandit import Bandit
from softq.envs.maze import Maze
from softq.envs.multigoal import MultiGoal

if TYPE_CHECKING:
    from softq.envs.gymnasium import GymVector

JAX_ENVS = {"Bandit": Bandit, "MultiGoal": MultiGoal, "Maze": Maze}


def is_jax(env_id: str) -> bool:
    """Whether `env_id` names one of our own environments; case does not matter."""
    return env_id.lower() in {name.lower() for name in JAX_ENVS}


def make(
    env_id: str, num_envs: int = 1, seed: int | Sequence[int] = 0
) -> "Bandit | MultiGoal | Maze | GymVector":
    """An environment by name: a pure JAX environment (one; `vmap` it), or `num_envs` of Gymnasium's per seed.

    Raises `SoftqError` for an unknown id, a missing extra, or spaces that softq cannot use.
    """
    for name, env in JAX_ENVS.items():
        if name.lower() == env_id.lower():
            return env()
    from softq.envs.gymnasium import GymVector

    return GymVector(env_id, num_envs, seed)
