"""Observations as an environment gives them, one or a batch, as the rows of numbers that a network reads."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from softq.envs.adapter import one_line, pieces
from softq.utils.errors import SoftqError


def rows(space: gym.Space, obs: Any, env_id: str) -> tuple[np.ndarray, bool]:
    """`obs` as rows `(n, obs_dim)`, float32, and whether it is a batch of `n` observations rather than a single one.

    Both have the form that the environment `env_id` gives them: `space` for one observation, and for a batch the same
    with a leading axis on each array, as a vector of environments has it. Raises `SoftqError` for any other form, and
    for a number that is not finite.
    """
    if isinstance(space, spaces.Box):
        flat, size = boxes(space, obs, env_id), batch_size(space, obs)
    else:
        try:
            size = batch_size(space, obs)
            parts = [obs] if size is None else [row(space, obs, i) for i in range(size)]
            found = [np.concatenate(pieces(space, one, "the observation")) for one in parts]
        except (ValueError, LookupError, TypeError) as error:
            raise SoftqError(f"{env_id} cannot have given this: {one_line(error)}.") from None
        flat = np.array(found, np.float32).reshape(len(parts), spaces.flatdim(space))
    bad = np.argwhere(~np.isfinite(flat))
    if bad.size:
        number, place = bad[0]
        which = "the observation" if size is None else f"observation {number}"
        raise SoftqError(
            f"{which} holds {flat[number, place]} at place {place}; a policy acts on finite numbers only."
        )
    return flat, size is not None


def boxes(space: spaces.Box, obs: Any, env_id: str) -> np.ndarray:
    """One or several arrays of the shape of `space` as rows. Raises `SoftqError` for another shape."""
    try:
        with np.errstate(
            over="ignore"
        ):  # a number too large for float32 becomes infinite, and is reported as such
            array = np.asarray(obs, np.float32)
    except (TypeError, ValueError):
        raise SoftqError(f"the observation is a {type(obs).__name__} that is no array of numbers.") from None
    extra = array.ndim - len(space.shape)
    if extra not in (0, 1) or array.shape[extra:] != space.shape:
        several = ", ".join(map(str, ("n", *space.shape)))
        raise SoftqError(
            f"the observation has the shape {array.shape}; {env_id} observes {space.shape}, and a batch is ({several})."
        )
    return array.reshape(-1, spaces.flatdim(space))


def batch_size(space: Any, obs: Any) -> int | None:
    """The number of observations in `obs`; None for a single one, and for what fits no part of `space`."""
    while isinstance(space, spaces.Dict | spaces.Tuple):
        key: Any = next(iter(space)) if isinstance(space, spaces.Dict) else 0
        if isinstance(space, spaces.Dict) and not (isinstance(obs, Mapping) and key in obs):
            return None
        if isinstance(space, spaces.Tuple) and not (isinstance(obs, tuple | list) and obs):
            return None
        space, obs = space[key], obs[key]
    return len(obs) if np.ndim(obs) == len(space.shape or ()) + 1 else None


def row(space: gym.Space, obs: Any, index: int) -> Any:
    """The observation number `index` of a batch."""
    if isinstance(space, spaces.Dict):
        return {key: row(part, obs[key], index) for key, part in space.items() if key in obs}
    if isinstance(space, spaces.Tuple):
        return tuple(row(part, one, index) for part, one in zip(space, obs, strict=False))
    return np.asarray(obs)[index]
