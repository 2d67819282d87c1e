"""A vector of Gymnasium environments with actions in [-1, 1] and float32 observations.

Gymnasium's autoreset is disabled, and environments whose episode has ended are reset by a mask. In this mode alone
`next_obs` is always the true successor of the action, and no transition has to be thrown away.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from softq.envs import gym_snapshot
from softq.envs.actions import rescale
from softq.envs.making import close_all, make_all
from softq.envs.parts import layers
from softq.utils.errors import SoftqError


class GymVector:
    """N = `len(seeds) * num_envs` environments of one id, which step one after another on the host.

    Attributes: `env_id`; `num_envs`, which is N; `obs_dim`; `action_dim`; `obs_dtype`, the environment's own type of
    observations, though `reset` and `step` return float32; `max_steps`, the time limit of an episode, or None. An error
    of an environment is raised as `softq.envs.adapter.Fault`, a `SoftqError`.
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int = 1,
        seed: int | Sequence[int] = 0,
        env_kwargs: Mapping[str, Any] | None = None,
    ):
        """Make `num_envs` environments for each training seed in `seed`; every environment gets a seed of its own.

        `env_kwargs` are passed to `gymnasium.make`, and from there to the environment. Raises `SoftqError` when an
        environment cannot be made, or has spaces that softq cannot use.
        """
        self.seeds, self.envs_per_seed = [int(one) for one in np.atleast_1d(seed)], num_envs
        self.num_envs = num_envs * len(self.seeds)
        envs: list[Any] = make_all(env_id, self.num_envs, env_kwargs or {})
        self.vector: Any = gym.vector.SyncVectorEnv(
            [lambda env=env: env for env in envs], autoreset_mode=gym.vector.AutoresetMode.DISABLED
        )
        # an id without a version means the newest version, and results must say which one that was
        module, colon, _ = env_id.rpartition(":")
        self.env_id = module + colon + envs[0].unwrapped.spec.id
        self.obs_dim, self.obs_dtype = envs[0].observation_space.shape[0], envs[0].obs_dtype
        self.action_dim = int(np.prod(envs[0].action_space.shape))
        limits = [x._max_episode_steps for x in layers(envs[0]) if isinstance(x, gym.wrappers.TimeLimit)]
        self.max_steps = min(limits, default=None)

    def reset(self, done: np.ndarray | None = None, step: int = 0) -> np.ndarray:
        """Start new episodes and return the observations of all environments, `(N, obs_dim)`.

        With `done` `(N,)` only the environments where it is True start anew, with their own generators. Without it all
        start from seeds; `step`, a number of training steps, gives them other seeds than at the start of training.
        """
        # Gymnasium pops the mask out of the dict that it is given, hence a new dict each time
        options = None if done is None else {"reset_mask": np.array(done, bool)}
        obs, _ = self.vector.reset(seed=self.seeds_at(step) if done is None else None, options=options)
        return obs

    def seeds_at(self, step: int) -> list[int]:
        """N seeds, made of the training seed, the number of the environment and the training step `step`."""
        more = [step] if step else []
        pairs = [(seed, i) for seed in self.seeds for i in range(self.envs_per_seed)]
        return [int(np.random.SeedSequence([*pair, *more]).generate_state(1)[0]) for pair in pairs]

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """`(next_obs, reward, terminated, truncated)` after actions `(N, action_dim)` in [-1, 1].

        `next_obs` `(N, obs_dim)` holds true successors; the other three are `(N,)`. An environment whose episode has
        ended must be `reset` before the next step.
        """
        obs, reward, terminated, truncated, _ = self.vector.step(self.rescale(action))
        return obs, np.array(reward, np.float32), terminated, truncated

    def rescale(self, action: np.ndarray) -> np.ndarray:
        """Map actions `(N, action_dim)` affinely from [-1, 1] to the environment's own bounds, without clipping."""
        return rescale(action, self.vector.single_action_space)

    def get_state(self) -> dict[str, Any]:
        """The exact state of all environments: `text`, N strings of JSON, and `physics`, uint8 `(N, bytes)`.

        Raises `SoftqError` that names an attribute which cannot be saved.
        """
        states = [gym_snapshot.snapshot(env) for env in self.vector.envs]
        if len({data.size for _, data in states}) > 1:
            raise SoftqError("its copies have MuJoCo models of different sizes")
        return {"text": [text for text, _ in states], "physics": np.stack([data for _, data in states])}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put the environments into a state that `get_state` returned. Raises `SoftqError` when it does not fit."""
        self.reset()
        for env, text, physics in zip(self.vector.envs, state["text"], state["physics"], strict=True):
            gym_snapshot.restore(env, text, physics)

    def close(self) -> None:
        """Close every environment."""
        close_all(self.vector.envs)
