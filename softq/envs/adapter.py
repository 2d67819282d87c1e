"""One Gymnasium environment as softq sees it: flat float32 observations, one number as reward, no infos.

Dict and Tuple observations become one vector, part after part in the order of the space; a Discrete part is one-hot.
Whatever the environment does wrong is a `Fault`: one line that names the environment and what it did.
"""

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from softq.utils.errors import SoftqError

ONE_HOT = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
OLD = (
    "it has the interface of Gym before 0.26; softq needs reset(self, *, seed=None, options=None), which returns "
    "(observation, info), and step(self, action), which returns "
    "(observation, reward, terminated, truncated, info)"
)


class Fault(SoftqError):
    """Something that environment number `index` of a vector did wrong; the first cause is in `__cause__`."""

    def __init__(self, env_id: str, text: str, index: int):
        super().__init__(f"{env_id}: {text}.")
        self.env_id, self.text, self.index = env_id, text, index

    def at(self, when: str) -> SoftqError:
        """The same error with the moment, such as "at step 3"."""
        error = SoftqError(f"{self.env_id}: {self.text} {when}.")
        error.__cause__ = self.__cause__
        return error


class Mismatch(ValueError):
    """An observation that its space does not describe, or a reward that is no number."""


def one_line(error: Any) -> str:
    """The text of `error` without line breaks or a final stop."""
    return " ".join(str(error).split()).rstrip(".")


def kind_of(error: BaseException) -> str:
    """Class and message of an exception in one line, such as "RuntimeError: no connection"."""
    return f"{type(error).__name__}: {one_line(error)}" if str(error) else type(error).__name__


def unusable(space: gym.Space) -> str | None:
    """The part of an observation space that is no list of numbers of fixed length, None when there is none."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.values() if isinstance(space, spaces.Dict) else space
        return next((found for part in parts if (found := unusable(part))), None)
    usable = isinstance(space, (spaces.Box, *ONE_HOT))
    return None if usable else type(space).__name__


def dtype_of(space: gym.Space) -> np.dtype:
    """A type that holds every number of an observation in `space`: of a Box its own, of a one-hot part uint8."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.values() if isinstance(space, spaces.Dict) else space
        return np.result_type(np.bool_, *map(dtype_of, parts))
    return space.dtype if isinstance(space, spaces.Box) else np.dtype(np.uint8)


def pieces(space: gym.Space, obs: Any, name: str) -> list[np.ndarray]:
    """The float32 vectors that an observation consists of; `Mismatch` names the part that does not fit."""
    if isinstance(space, spaces.Dict):
        missing = [key for key in space if not isinstance(obs, Mapping) or key not in obs]
        if missing:
            raise Mismatch(f"{name} lacks the key {missing[0]!r} of its observation_space")
        return [x for key, part in space.items() for x in pieces(part, obs[key], f"{name}[{key!r}]")]
    if isinstance(space, spaces.Tuple):
        if not isinstance(obs, tuple | list) or len(obs) != len(space):
            raise Mismatch(f"{name} is not one of the {len(space)} parts of its observation_space")
        pairs = enumerate(zip(space, obs, strict=True))
        return [x for i, (part, one) in pairs for x in pieces(part, one, f"{name}[{i}]")]
    if isinstance(space, ONE_HOT):
        if not space.contains(obs):
            raise Mismatch(f"{name} {one_line(obs)} is not in {space}")
        return [np.asarray(spaces.flatten(space, obs), np.float32)]
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and found out as such
            given = np.asarray(obs)
            array = given.astype(np.float32)
    except (TypeError, ValueError):
        raise Mismatch(f"{name} is a {type(obs).__name__} that holds no numbers") from None
    if array.shape != space.shape:
        raise Mismatch(f"{name} has the shape {array.shape}, its observation_space {space.shape}")
    if (
        space.dtype is not None and space.dtype.kind in "iub" and given.dtype != space.dtype
    ):  # the replay keeps it in the type of the space
        with np.errstate(invalid="ignore"):
            lost = given[given.astype(space.dtype) != given]
        if lost.size:
            raise Mismatch(f"{name} holds {lost[0]}, which the {space.dtype} of its observation_space cannot")
    return [array.ravel()]


def number(value: Any, name: str) -> float:
    """A reward or a flag as one number; `Mismatch` for anything else."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biuf":
        raise Mismatch(f"{name} is {one_line(repr(value))[:60]}; softq needs one number")
    return float(array.reshape(()))


class Adapter(gym.Wrapper):
    """`env` with observations `(obs_dim,)` float32; its errors are `Fault`s of environment `index` of `env_id`."""

    def __init__(self, env: gym.Env, env_id: str, index: int):
        super().__init__(env)
        self.env_id, self.index = env_id, index
        self.inner_space, self.obs_dtype = env.observation_space, dtype_of(env.observation_space)
        size = spaces.flatdim(env.observation_space)
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float32, seed=0)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        if seed is not None:  # an environment that samples from its spaces is repeatable too
            self.env.action_space.seed(seed)
            self.inner_space.seed(seed)
        result = self.call("reset()", self.env.reset, seed=seed, options=options)
        if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)):
            raise self.fault(f"reset() did not return (observation, info); {OLD}")
        return self.call("reset()", self.flat, result[0]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        result = self.call("step()", self.env.step, action)
        if not (isinstance(result, tuple) and len(result) == 5):
            raise self.fault(f"step() did not return five values; {OLD}")
        return *self.call("step()", self.plain, *result[:4]), {}

    def flat(self, obs: Any) -> np.ndarray:
        return np.concatenate(pieces(self.inner_space, obs, "observation"))

    def plain(self, obs: Any, reward: Any, *ends: Any) -> tuple[np.ndarray, float, bool, bool]:
        terminated, truncated = map(number, ends, ("terminated", "truncated"))
        return self.flat(obs), number(reward, "reward"), bool(terminated), bool(truncated)

    def call(self, what: str, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """`function(...)`; every exception of it becomes a `Fault`."""
        try:
            return function(*args, **kwargs)
        except Mismatch as error:
            raise self.fault(f"{what} is wrong: {error}") from error
        except Exception as error:
            old = any(sign in str(error) for sign in ("keyword argument 'seed'", "expected 5, got 4"))
            hint = f"; {OLD}" if old else ""
            raise self.fault(f"{what} raised {kind_of(error)}{hint}") from error

    def fault(self, text: str) -> Fault:
        return Fault(self.env_id, text, self.index)
