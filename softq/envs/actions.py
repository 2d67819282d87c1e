"""The affine map from the box [-1, 1]^d, in which all algorithms here act, to the actions of an environment."""

from typing import Any

import gymnasium as gym
import numpy as np

from softq.utils.errors import SoftqError


def rescale(action: Any, space: gym.spaces.Box) -> np.ndarray:
    """Map actions `(..., action_dim)` from [-1, 1] to the bounds of `space`, `(..., *space.shape)`; nothing is clipped.

    A policy of softq returns actions in [-1, 1]; `env.step` takes `rescale(action, env.action_space)`. Raises
    `SoftqError` when `space` is not a bounded Box, or when the action has another number of coordinates.
    """
    if not isinstance(space, gym.spaces.Box) or not (np.isfinite(space.low) & np.isfinite(space.high)).all():
        raise SoftqError(f"the action space is {space}; rescale needs a bounded Box.")
    unit, size = np.asarray(action, np.float64), int(np.prod(space.shape))
    if unit.ndim == 0 or unit.shape[-1] != size:
        raise SoftqError(
            f"the action has the shape {unit.shape}; its last axis must hold the {size} coordinates of {space}."
        )
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    unit = unit.reshape(*unit.shape[:-1], *space.shape)
    return (low + (unit + 1) / 2 * (high - low)).astype(space.dtype)


class BoundActions(gym.ActionWrapper, gym.utils.RecordConstructorArgs):
    """A wrapper that declares finite bounds of the actions of an environment whose action space is unbounded.

    `low` and `high` are numbers, or arrays of the shape of an action, in the environment's own units. Actions pass
    through unchanged. Raises `SoftqError` for bounds that are not finite, are in the wrong order, or do not fit.
    """

    def __init__(self, env: gym.Env, low: Any, high: Any):
        gym.utils.RecordConstructorArgs.__init__(self, low=low, high=high)
        super().__init__(env)
        space = env.action_space
        if not isinstance(space, gym.spaces.Box):
            raise SoftqError(f"the action space is {space}; BoundActions needs a Box.")
        try:
            low, high = (np.broadcast_to(x, space.shape).astype(space.dtype) for x in (low, high))
        except ValueError:
            raise SoftqError(f"the bounds must have the shape {space.shape} of an action.") from None
        if not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
            raise SoftqError(f"the bounds {low} to {high} must be finite, the lower one below the upper.")
        self.action_space = gym.spaces.Box(low, high, dtype=space.dtype)

    def action(self, action: np.ndarray) -> np.ndarray:
        """The action as it is."""
        return action
