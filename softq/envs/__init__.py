"""Environments: small ones in pure JAX, and everything that Gymnasium can make."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from softq.envs.bandit import Bandit
from softq.envs.maze import Maze
from softq.envs.multigoal import MultiGoal
from softq.utils.errors import SoftqError

if TYPE_CHECKING:
    from softq.envs.actions import BoundActions, rescale
    from softq.envs.gym_vector import GymVector

__all__ = ["JAX_ENVS", "Bandit", "BoundActions", "Maze", "MultiGoal", "is_jax", "make", "rescale"]
JAX_ENVS = {"Bandit": Bandit, "MultiGoal": MultiGoal, "Maze": Maze}


def __getattr__(name: str) -> Any:
    """`rescale` and `BoundActions`, which import Gymnasium only where they are used."""
    if name in ("rescale", "BoundActions"):
        from softq.envs import actions

        return getattr(actions, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def is_jax(env_id: str) -> bool:
    """Whether `env_id` names one of our own environments; case does not matter."""
    return env_id.lower() in {name.lower() for name in JAX_ENVS}


def make(
    env_id: str,
    num_envs: int = 1,
    seed: int | Sequence[int] = 0,
    env_kwargs: Mapping[str, Any] | None = None,
) -> "Bandit | MultiGoal | Maze | GymVector":
    """An environment by name: a pure JAX environment (one; `vmap` it), or `num_envs` of Gymnasium's per seed.

    `env_kwargs` are the environment's own settings. Raises `SoftqError` for an unknown id or setting, a missing extra,
    or spaces that softq cannot use.
    """
    for name, env in JAX_ENVS.items():
        if name.lower() == env_id.lower():
            try:
                return env(**(env_kwargs or {}))
            except TypeError as error:
                raise SoftqError(f"{name} cannot be made: {error}.") from error
    from softq.envs.gym_vector import GymVector

    return GymVector(env_id, num_envs, seed, env_kwargs)
