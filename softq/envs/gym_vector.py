"""A vector of Gymnasium environments with actions in [-1, 1] and float32 observations.

Gymnasium's autoreset is disabled, and environments whose episode has ended are reset by a mask. In this mode alone
`next_obs` is always the true successor of the action, and no transition has to be thrown away.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from softq.envs import gym_snapshot
from softq.envs.making import close_all, make_all
from softq.envs.parts import layers
from softq.envs.vector import HostVector
from softq.utils.errors import SoftqError


class GymVector(HostVector):
    """Environments of Gymnasium that step one after another on the host.

    An error of an environment is raised as `softq.envs.adapter.Fault`, a `SoftqError`.
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
        super().__init__(num_envs, seed)
        envs: list[Any] = make_all(env_id, self.num_envs, env_kwargs or {})
        self.vector: Any = gym.vector.SyncVectorEnv(
            [lambda env=env: env for env in envs], autoreset_mode=gym.vector.AutoresetMode.DISABLED
        )
        # an id without a version means the newest version, and results must say which one that was
        module, colon, _ = env_id.rpartition(":")
        self.env_id = module + colon + envs[0].unwrapped.spec.id
        self.obs_dim, self.obs_dtype = envs[0].observation_space.shape[0], envs[0].obs_dtype
        self.space, self.action_space = envs[0].inner_space, envs[0].action_space
        self.action_dim = int(np.prod(self.action_space.shape))
        limits = [x._max_episode_steps for x in layers(envs[0]) if isinstance(x, gym.wrappers.TimeLimit)]
        self.max_steps = min(limits, default=None)

    def reset(self, done: np.ndarray | None = None, step: int = 0) -> np.ndarray:
        # Gymnasium pops the mask out of the dict that it is given, hence a new dict each time
        options = None if done is None else {"reset_mask": np.array(done, bool)}
        obs, _ = self.vector.reset(seed=self.seeds_at(step) if done is None else None, options=options)
        return obs

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        obs, reward, terminated, truncated, _ = self.vector.step(self.rescale(action))
        return obs, np.array(reward, np.float32), terminated, truncated

    def get_state(self) -> dict[str, Any]:
        states = [gym_snapshot.snapshot(env) for env in self.vector.envs]
        if len({data.size for _, data in states}) > 1:
            raise SoftqError("its copies have MuJoCo models of different sizes")
        return {"text": [text for text, _ in states], "physics": np.stack([data for _, data in states])}

    def set_state(self, state: dict[str, Any]) -> None:
        self.reset()
        for env, text, physics in zip(self.vector.envs, state["text"], state["physics"], strict=True):
            gym_snapshot.restore(env, text, physics)

    def close(self) -> None:
        close_all(self.vector.envs)
