"""A vector of EnvPool's environments, which step in threads of C++: `--env envpool/HalfCheetah-v5`.

Left to itself EnvPool resets an environment in the step after the end of its episode: that step ignores its action and
returns the first observation of the next episode, with reward 0. Such a row leads from one episode into another and
must not be stored. Here it does not arise: environments whose episode has ended are reset by their numbers before
the next step, as those of Gymnasium are.

Deviation: an episode that ends truly with the last step of its time limit is truncated for EnvPool and not terminated,
where Gymnasium says both. It can happen once in an episode of full length.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from softq.envs.adapter import dtype_of, kind_of
from softq.envs.making import check_spaces, imported, quiet
from softq.envs.vector import HostVector
from softq.utils.errors import SoftqError, suggest

PREFIX = "envpool/"
POSITIVE = 2**31 - 1  # a seed of EnvPool is below


class EnvPoolVector(HostVector):
    """Environments of EnvPool, whose physics are those of Gymnasium's and whose random numbers are not.

    Raises `SoftqError` when EnvPool is missing, does not know the id or a setting, or has spaces that softq cannot use.
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int = 1,
        seed: int | Sequence[int] = 0,
        env_kwargs: Mapping[str, Any] | None = None,
    ):
        """Make `num_envs` environments for each training seed in `seed`; `env_kwargs` go to `envpool.make`."""
        super().__init__(num_envs, seed)
        self.env_id, self.kwargs = env_id, dict(env_kwargs or {})
        self.pool: Any = self.made(0)
        check_spaces(env_id, self.space, self.action_space)
        self.obs_dim, self.obs_dtype = gym.spaces.flatdim(self.space), dtype_of(self.space)
        self.action_dim = int(np.prod(self.action_space.shape))
        self.max_steps = self.pool.spec.config.max_episode_steps
        self.obs = np.zeros((self.num_envs, self.obs_dim), np.float32)
        # whose episode has ended: of all, before the first reset
        self.ended = np.ones(self.num_envs, bool)

    def made(self, step: int) -> Any:
        """A pool whose environments have the seeds of the training step `step`."""
        envpool = imported("envpool", self.env_id)
        name, known = self.env_id.removeprefix(PREFIX), [PREFIX + name for name in envpool.list_all_envs()]
        if self.env_id not in known:
            raise SoftqError(f"unknown environment {self.env_id!r}.{suggest(self.env_id, known)}")
        seeds = [seed % POSITIVE for seed in self.seeds_at(step)]
        try:
            with quiet():
                pool = envpool.make(name, "gymnasium", num_envs=self.num_envs, seed=seeds, **self.kwargs)
                self.space, self.action_space = pool.observation_space, pool.action_space
        except Exception as error:  # whatever EnvPool and its C++ raise; it is said in one line
            raise SoftqError(f"{self.env_id} cannot be made: {kind_of(error)}.") from error
        return pool

    def reset(self, done: np.ndarray | None = None, step: int = 0) -> np.ndarray:
        if done is None:  # seeds are given to a pool when it is made
            self.pool.close()
            self.pool = self.made(step)
            done = np.ones(self.num_envs, bool)
        if done.any():
            obs, info = self.pool.reset(np.flatnonzero(done).astype(np.int32))
            self.keep(obs, info)
        self.ended &= ~done
        return self.obs.copy()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        if self.ended.any():
            raise SoftqError(f"{self.env_id}: step was called for an episode that has ended; reset it first.")
        obs, *rest, info = self.pool.step(self.rescale(action))
        self.keep(obs, info)
        order = np.argsort(info["env_id"])
        reward, terminated, truncated = (np.asarray(x)[order] for x in rest)
        self.ended = terminated | truncated
        return self.obs.copy(), reward.astype(np.float32), terminated, truncated

    def keep(self, obs: Any, info: Mapping[str, Any]) -> None:
        """Take over the observations of the environments `info["env_id"]`, flat and in the order of the space."""
        isdict = isinstance(self.space, gym.spaces.Dict)
        parts = [obs[name] for name in self.space] if isdict else [obs]
        flat = [np.asarray(part, np.float32).reshape(len(info["env_id"]), -1) for part in parts]
        self.obs[info["env_id"]] = np.concatenate(flat, 1)

    def get_state(self) -> dict[str, Any]:
        raise SoftqError("EnvPool keeps it in memory of its own")

    def set_state(self, state: dict[str, Any]) -> None:
        raise SoftqError("EnvPool keeps its state in memory of its own")

    def close(self) -> None:
        self.pool.close()
