"""A wrapper around one Gymnasium environment: observations become flat float32 vectors, infos become empty.

The parts of Dict and Tuple observations are joined to one vector in the order of the space; a Discrete part becomes
one-hot. An error of the environment becomes a `Fault`, one line that names the environment and what it did.
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
    """An error of environment number `index` of a vector; the exception that caused it is its `__cause__`."""

    def __init__(self, env_id: str, text: str, index: int):
        super().__init__(f"{env_id}: {text}.")
        self.env_id, self.text, self.index = env_id, text, index

    def at(self, when: str) -> SoftqError:
        """A `SoftqError` with the text of this fault and the moment `when`, for example "at step 3"."""
        error = SoftqError(f"{self.env_id}: {self.text} {when}.")
        error.__cause__ = self.__cause__
        return error


class Mismatch(ValueError):
    """An observation that does not fit its observation space, or a reward or flag that is not one number."""


def one_line(error: Any) -> str:
    """The text of `error` in one line, without a full stop at its end."""
    return " ".join(str(error).split()).rstrip(".")


def kind_of(error: BaseException) -> str:
    """Class and message of an exception in one line, such as "RuntimeError: no connection"."""
    return f"{type(error).__name__}: {one_line(error)}" if str(error) else type(error).__name__


def unusable(space: gym.Space) -> str | None:
    """The class name of the first part of an observation space that is not a fixed number of numbers, or None.

    softq can use `Box`, `Discrete`, `MultiDiscrete` and `MultiBinary`, also nested in `Dict` and `Tuple`.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.values() if isinstance(space, spaces.Dict) else space
        return next((found for part in parts if (found := unusable(part))), None)
    usable = isinstance(space, (spaces.Box, *ONE_HOT))
    return None if usable else type(space).__name__


def dtype_of(space: gym.Space) -> np.dtype:
    """A NumPy type that holds every number of a flattened observation of `space`; one-hot parts count as uint8."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.values() if isinstance(space, spaces.Dict) else space
        return np.result_type(np.bool_, *map(dtype_of, parts))
    return space.dtype if isinstance(space, spaces.Box) else np.dtype(np.uint8)


def pieces(space: gym.Space, obs: Any, name: str) -> list[np.ndarray]:
    """The parts of the observation `obs` as float32 vectors, in the order of `space`.

    `name` is what an error calls the observation. Raises `Mismatch` for a part that does not fit the space.
    """
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
        # a number too large for float32 becomes infinite, and the training reports that it is not finite
        with np.errstate(over="ignore"):
            given = np.asarray(obs)
            array = given.astype(np.float32)
    except (TypeError, ValueError):
        raise Mismatch(f"{name} is a {type(obs).__name__} that holds no numbers") from None
    if array.shape != space.shape:
        raise Mismatch(f"{name} has the shape {array.shape}, its observation_space {space.shape}")
    # the replay stores whole numbers in the type of the space, which must be able to hold them
    if space.dtype is not None and space.dtype.kind in "iub" and given.dtype != space.dtype:
        with np.errstate(invalid="ignore"):
            lost = given[given.astype(space.dtype) != given]
        if lost.size:
            raise Mismatch(f"{name} holds {lost[0]}, which the {space.dtype} of its observation_space cannot")
    return [array.ravel()]


def number(value: Any, name: str) -> float:
    """A reward or flag called `name` as a float. Raises `Mismatch` when `value` is not one real number."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biuf":
        raise Mismatch(f"{name} is {one_line(repr(value))[:60]}; softq needs one number")
    return float(array.reshape(()))


class Adapter(gym.Wrapper):
    """`env` with observations `(obs_dim,)`, float32; whatever it raises becomes a `Fault` of environment `index`."""

    def __init__(self, env: gym.Env, env_id: str, index: int):
        super().__init__(env)
        self.env_id, self.index = env_id, index
        self.inner_space, self.obs_dtype = env.observation_space, dtype_of(env.observation_space)
        size = spaces.flatdim(env.observation_space)
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float32, seed=0)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Start an episode: `(obs, {})` with `obs` `(obs_dim,)`. Raises `Fault`."""
        # an environment may sample from its own spaces, so these are seeded too
        if seed is not None:
            self.env.action_space.seed(seed)
            self.inner_space.seed(seed)
        result = self.call("reset()", self.env.reset, seed=seed, options=options)
        if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)):
            raise self.fault(f"reset() did not return (observation, info); {OLD}")
        return self.call("reset()", self.flat, result[0]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """`(obs, reward, terminated, truncated, {})` after an action in the environment's units. Raises `Fault`."""
        result = self.call("step()", self.env.step, action)
        if not (isinstance(result, tuple) and len(result) == 5):
            raise self.fault(f"step() did not return five values; {OLD}")
        return *self.call("step()", self.plain, *result[:4]), {}

    def flat(self, obs: Any) -> np.ndarray:
        """An observation as one float32 vector `(obs_dim,)`. Raises `Mismatch`."""
        return np.concatenate(pieces(self.inner_space, obs, "observation"))

    def plain(self, obs: Any, reward: Any, *ends: Any) -> tuple[np.ndarray, float, bool, bool]:
        """The first four results of a step as a vector `(obs_dim,)`, a float and two bools. Raises `Mismatch`."""
        terminated, truncated = map(number, ends, ("terminated", "truncated"))
        return self.flat(obs), number(reward, "reward"), bool(terminated), bool(truncated)

    def call(self, what: str, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """The result of `function(*args, **kwargs)`; any exception becomes a `Fault` in which `what` names the call."""
        try:
            return function(*args, **kwargs)
        except Mismatch as error:
            raise self.fault(f"{what} is wrong: {error}") from error
        except Exception as error:
            old = any(sign in str(error) for sign in ("keyword argument 'seed'", "expected 5, got 4"))
            hint = f"; {OLD}" if old else ""
            raise self.fault(f"{what} raised {kind_of(error)}{hint}") from error

    def fault(self, text: str) -> Fault:
        """A `Fault` of this environment with this text."""
        return Fault(self.env_id, text, self.index)
