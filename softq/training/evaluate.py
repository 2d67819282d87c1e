"""Returns of whole episodes: `exploit` (the reported score) or `policy`, in fixed environments."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.algorithms.base import Algorithm
from softq.envs import is_jax, make
from softq.errors import SoftqError
from softq.training.loop import like

METHODS = ("exploit", "policy")
EVALUATION = 1_000_000  # added to a training seed, so that no evaluation episode was ever trained on
NO_LIMIT = 10_000  # steps, where an environment has no time limit of its own


class Diverged(SoftqError):
    """The learner's own actions are not finite."""


class Evaluator:
    """Plays `episodes` episodes per training seed, all in one vector, with the same starts every time.

    After a call, `cut` `(seeds,)` counts the episodes that had not ended after `max_steps` steps, and were cut there.
    """

    def __init__(
        self,
        env_id: str,
        seeds: list[int],
        episodes: int,
        method: str = "exploit",
        env_kwargs: Mapping[str, Any] | None = None,
    ):
        if method not in METHODS:
            raise SoftqError(f"unknown evaluation policy {method!r}; choose {' or '.join(METHODS)}.")
        self.seeds, self.episodes, self.method = seeds, episodes, method
        self.keys = jax.vmap(jax.random.key)(np.array(seeds) + EVALUATION)
        self.on_device = is_jax(env_id)
        self.env = make(env_id, episodes, [EVALUATION + seed for seed in seeds], env_kwargs)
        self.cut = np.zeros(len(seeds), int)
        self.max_steps = self.env.max_steps or NO_LIMIT
        self._act = jax.jit(jax.vmap(self._actions, (None, 0, 0, 0, None)))
        self._play = jax.jit(jax.vmap(self._rollout, (None, 0, 0)))

    def __call__(self, algo: Algorithm, states: Any, stop: Callable[[], bool] = bool) -> np.ndarray | None:
        """Returns `(seeds, episodes)` of the stacked `states`; None when `stop()` before the last episode
        ends.
        """
        if self.on_device:
            return np.asarray(jax.block_until_ready(self._play(algo, states, self.keys)))
        shape = (len(self.seeds), self.episodes)
        obs, returns, alive = self.env.reset(), np.zeros(shape), np.ones(shape, bool)
        self.finite("observation after a reset", obs, 0)
        for t in range(self.max_steps):
            action = self._act(algo, states, obs.reshape(*shape, -1), self.keys, t)
            action = np.asarray(jax.block_until_ready(action))
            self.finite("action", action, t)
            obs, reward, *ends = self.env.step(action.reshape(-1, self.env.action_dim))
            self.finite("observation", obs, t)
            self.finite("reward", reward, t)
            returns += alive * reward.reshape(shape)
            done = np.logical_or(*ends)
            alive &= ~done.reshape(shape)
            if not alive.any():
                break
            if stop():
                return None
            if done.any():  # Gymnasium insists, also where the episode's return is already counted
                obs = self.env.reset(done)
                self.finite("observation after a reset", obs, t + 1)
        self.cut = alive.sum(1)
        return returns

    def finite(self, what: str, value: np.ndarray, t: int) -> None:
        """`SoftqError` when `value` is not finite at step `t` of the evaluation."""
        if not np.isfinite(value).all():
            kind, cause = (
                (Diverged, "the critic diverged")
                if what == "action"
                else (SoftqError, "the environment produced it")
            )
            raise kind(f"{self.env.env_id}: {what} is not finite at step {t} of an evaluation; {cause}.")

    def close(self) -> None:
        """Close the environments."""
        if not self.on_device:
            self.env.close()

    def _actions(self, algo: Algorithm, state: Any, obs: Array, key: Array, t: Array) -> Array:
        """One seed's actions for all its episodes."""
        keys = jax.random.split(jax.random.fold_in(key, t), self.episodes)
        return jax.vmap(partial(getattr(algo, self.method), state))(obs, keys)

    def _rollout(self, algo: Algorithm, state: Any, key: Array) -> Array:
        """One seed's returns `(episodes,)` in a JAX environment."""

        def step(t: Array, carry: tuple) -> tuple:
            env, obs, returns, alive = carry
            action = self._actions(algo, state, obs, key, t)
            keys = jax.random.split(jax.random.fold_in(key, self.max_steps + t), self.episodes)
            env, obs, reward, terminated, truncated = jax.vmap(self.env.step)(env, action, keys)
            new = env, obs, returns + alive * reward, alive & ~(terminated | truncated)
            return like(new, carry)

        env, obs = jax.vmap(self.env.reset)(jax.random.split(key, self.episodes))
        start = env, obs, jnp.zeros(self.episodes), jnp.ones(self.episodes, bool)
        return jax.lax.fori_loop(0, self.max_steps, step, start)[2]
