"""Environments: three small ones in pure JAX, and any of Gymnasium's or EnvPool's with bounded continuous actions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from softq.envs.bandit import Bandit
from softq.envs.maze import Maze
from softq.envs.multigoal import MultiGoal
from softq.utils.errors import SoftqError

if TYPE_CHECKING:
    from softq.envs.actions import BoundActions, rescale
    from softq.envs.vector import HostVector

__all__ = ["JAX_ENVS", "Bandit", "BoundActions", "Maze", "MultiGoal", "is_jax", "make", "rescale"]
JAX_ENVS = {"Bandit": Bandit, "MultiGoal": MultiGoal, "Maze": Maze}


def __getattr__(name: str) -> Any:
    """Import `rescale` and `BoundActions` on first use, since they need Gymnasium; `AttributeError` for other names."""
    if name in ("rescale", "BoundActions"):
        from softq.envs import actions

        return getattr(actions, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def is_jax(env_id: str) -> bool:
    """Whether `env_id` names one of softq's JAX environments (`JAX_ENVS`); upper and lower case are alike."""
    return env_id.lower() in {name.lower() for name in JAX_ENVS}


def make(
    env_id: str,
    num_envs: int = 1,
    seed: int | Sequence[int] = 0,
    env_kwargs: Mapping[str, Any] | None = None,
) -> "Bandit | MultiGoal | Maze | HostVector":
    """The environment called `env_id`: a single JAX environment, to be `vmap`ped, or a `HostVector`.

    A `HostVector` holds `num_envs` copies for each training seed in `seed`; a JAX environment needs neither number.
    `env_kwargs` are settings of the environment itself. Raises `SoftqError` for an unknown id or setting, for an extra
    that is not installed, and for spaces that softq cannot use.
    """
    for name, env in JAX_ENVS.items():
        if name.lower() == env_id.lower():
            try:
                return env(**(env_kwargs or {}))
            except TypeError as error:
                raise SoftqError(f"{name} cannot be made: {error}.") from error
    if env_id.startswith("envpool/"):
        from softq.envs.envpool_vector import EnvPoolVector as Vector
    else:
        from softq.envs.gym_vector import GymVector as Vector
    return Vector(env_id, num_envs, seed, env_kwargs)
