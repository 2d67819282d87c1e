"""What a training on the host needs of a vector of environments, whoever steps them: Gymnasium or EnvPool."""

import abc
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from softq.envs.actions import rescale


class HostVector(abc.ABC):
    """N = `len(seeds) * envs_per_seed` environments of one id, with actions in [-1, 1] and float32 observations.

    No environment resets itself: `next_obs` of a step is always the true successor of its action, and whoever steps
    resets those whose episode has ended, by a mask. So no transition leads from one episode into the next.
    """

    env_id: str
    obs_dim: int
    action_dim: int
    obs_dtype: np.dtype  # the environment's own type of observations
    max_steps: int | None  # time limit of an episode
    space: Any  # the gym.Space of one observation, as the environment gives it
    action_space: gym.spaces.Box  # of one environment, in its own units

    def __init__(self, num_envs: int = 1, seed: int | Sequence[int] = 0):
        """`num_envs` environments for each training seed in `seed`; every environment gets a seed of its own."""
        self.seeds, self.envs_per_seed = [int(one) for one in np.atleast_1d(seed)], num_envs
        self.num_envs = num_envs * len(self.seeds)

    @abc.abstractmethod
    def reset(self, done: np.ndarray | None = None, step: int = 0) -> np.ndarray:
        """Start new episodes and return the observations of all environments, `(N, obs_dim)`.

        With `done` `(N,)` only the environments where it is True start anew, with their own generators. Without it all
        start from seeds; `step`, a number of training steps, gives them other seeds than at the start of training.
        """

    @abc.abstractmethod
    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """`(next_obs, reward, terminated, truncated)` after actions `(N, action_dim)` in [-1, 1].

        `next_obs` `(N, obs_dim)` holds true successors; the other three are `(N,)`. An environment whose episode has
        ended must be `reset` before the next step.
        """

    @abc.abstractmethod
    def get_state(self) -> dict[str, Any]:
        """The exact state of all environments: `text`, N strings of JSON, and `physics`, uint8 `(N, bytes)`.

        Raises `SoftqError` that says why it cannot be saved.
        """

    @abc.abstractmethod
    def set_state(self, state: dict[str, Any]) -> None:
        """Put the environments into a state that `get_state` returned. Raises `SoftqError` when it does not fit."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close every environment."""

    def seeds_at(self, step: int) -> list[int]:
        """N seeds, made of the training seed, the number of the environment and the training step `step`."""
        more = [step] if step else []
        pairs = [(seed, i) for seed in self.seeds for i in range(self.envs_per_seed)]
        return [int(np.random.SeedSequence([*pair, *more]).generate_state(1)[0]) for pair in pairs]

    def rescale(self, action: np.ndarray) -> np.ndarray:
        """Map actions `(N, action_dim)` affinely from [-1, 1] to the environment's own bounds, without clipping."""
        return rescale(action, self.action_space)
