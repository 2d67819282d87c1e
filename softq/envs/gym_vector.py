"""Gymnasium environments as one vector: actions in [-1, 1], float32 observations, true successors.

Autoreset is disabled and finished environments are reset by mask. It is the only mode of Gymnasium in which
`next_obs` is always the true successor and no row has to be thrown away.
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
    """`len(seeds) * num_envs` environments of one id, stepped one after another on the host.

    Attributes: `env_id`, `num_envs` (N, all of them), `obs_dim`, `obs_dtype` (a type that holds every observation;
    `reset` and `step` return float32), `action_dim`, `max_steps` (None without a limit). Whatever an environment does
    wrong raises `softq.envs.adapter.Fault`, a `SoftqError`.
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int = 1,
        seed: int | Sequence[int] = 0,
        env_kwargs: Mapping[str, Any] | None = None,
    ):
        """`num_envs` environments for each training seed in `seed`, each with a seed of its own.

        `env_kwargs` go to `gymnasium.make`, and from there to the environment.
        """
        self.seeds, self.envs_per_seed = [int(one) for one in np.atleast_1d(seed)], num_envs
        self.num_envs = num_envs * len(self.seeds)
        envs: list[Any] = make_all(env_id, self.num_envs, env_kwargs or {})
        self.vector: Any = gym.vector.SyncVectorEnv(
            [lambda env=env: env for env in envs], autoreset_mode=gym.vector.AutoresetMode.DISABLED
        )
        # an id without its version means the newest; the version belongs to any result
        module, colon, _ = env_id.rpartition(":")
        self.env_id = module + colon + envs[0].unwrapped.spec.id
        self.obs_dim, self.obs_dtype = envs[0].observation_space.shape[0], envs[0].obs_dtype
        self.action_dim = int(np.prod(envs[0].action_space.shape))
        limits = [x._max_episode_steps for x in layers(envs[0]) if isinstance(x, gym.wrappers.TimeLimit)]
        self.max_steps = min(limits, default=None)

    def reset(self, done: np.ndarray | None = None, step: int = 0) -> np.ndarray:
        """Start all episodes from the seeds, or only those where `done` `(N,)`. Returns all obs `(N,
        obs_dim)`.

        With a `step` of the training, all start from other seeds than at its beginning.
        """
        # Gymnasium pops the mask out of the dict that it is given, hence a new dict each time
        options = None if done is None else {"reset_mask": np.array(done, bool)}
        obs, _ = self.vector.reset(seed=self.seeds_at(step) if done is None else None, options=options)
        return obs

    def seeds_at(self, step: int) -> list[int]:
        """A seed for every environment."""
        more = [step] if step else []
        pairs = [(seed, i) for seed in self.seeds for i in range(self.envs_per_seed)]
        return [int(np.random.SeedSequence([*pair, *more]).generate_state(1)[0]) for pair in pairs]

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """`(next_obs, reward, terminated, truncated)` for actions `(N, action_dim)` in [-1, 1].

        `next_obs` is the true successor; where an episode ended, `reset` it before the next step.
        """
        obs, reward, terminated, truncated, _ = self.vector.step(self.rescale(action))
        return obs, np.array(reward, np.float32), terminated, truncated

    def rescale(self, action: np.ndarray) -> np.ndarray:
        """[-1, 1] -> the environment's box, affinely, without clipping."""
        return rescale(action, self.vector.single_action_space)

    def get_state(self) -> dict[str, Any]:
        """The exact state: `text`, one JSON string per environment, and `physics` `(N, bytes)` uint8.

        Raises `SoftqError`, which names what cannot be saved.
        """
        states = [gym_snapshot.snapshot(env) for env in self.vector.envs]
        if len({data.size for _, data in states}) > 1:
            raise SoftqError("its copies have MuJoCo models of different sizes")
        return {"text": [text for text, _ in states], "physics": np.stack([data for _, data in states])}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`, bit for bit; raises `SoftqError` when the state does not fit."""
        self.reset()
        for env, text, physics in zip(self.vector.envs, state["text"], state["physics"], strict=True):
            gym_snapshot.restore(env, text, physics)

    def close(self) -> None:
        """Close every environment."""
        close_all(self.vector.envs)
