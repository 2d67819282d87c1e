"""Evaluation: the returns of whole episodes, played by `exploit`, whose return is reported, or by `policy`."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.algorithms.base import Algorithm
from softq.envs import is_jax, make
from softq.training.loop import like
from softq.utils.errors import SoftqError

METHODS = ("exploit", "policy")
# added to a training seed, so that evaluation episodes start from other seeds than those of the training
EVALUATION = 1_000_000
# steps after which an episode is cut in an environment without a time limit
NO_LIMIT = 10_000


class Diverged(SoftqError):
    """An error in an evaluation: an action of the learner is not finite."""


class Evaluator:
    """Plays `episodes` episodes for each training seed, all side by side, with the same starts at every call.

    After a call `cut` `(seeds,)` counts the episodes that had not ended after `max_steps` steps and were cut there.
    Raises `SoftqError` for an unknown `method`, and for an environment that cannot be made.
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
        self.env: Any = make(env_id, episodes, [EVALUATION + seed for seed in seeds], env_kwargs)
        self.cut = np.zeros(len(seeds), int)
        self.max_steps = self.env.max_steps or NO_LIMIT
        self._act = partial(_actions, method=method)
        if self.on_device:
            given = {"env": self.env, "episodes": episodes, "max_steps": self.max_steps}
            self._play = partial(_play, **given, method=method)

    def __call__(
        self,
        algo: Algorithm,
        states: Any,
        stop: Callable[[], bool] = bool,
        watch: Callable[[np.ndarray, np.ndarray], Any] = lambda obs, alive: None,
    ) -> np.ndarray | None:
        """Returns `(seeds, episodes)` of `algo` with `states`, which have a leading axis over the seeds.

        None when `stop()` is True before all episodes have ended. In environments on the host `watch` is called with
        the observations `(seeds, episodes, obs_dim)` of each step, the first ones included, and with a mask
        `(seeds, episodes)` of the episodes to which they belong, those that had not ended before. Raises `SoftqError`
        at a value that is not finite.
        """
        if self.on_device:
            return np.asarray(jax.block_until_ready(self._play(algo, states, self.keys)))
        shape = (len(self.seeds), self.episodes)
        obs, returns, alive = self.env.reset(), np.zeros(shape), np.ones(shape, bool)
        self.finite("observation after a reset", obs, 0)
        watch(obs.reshape(*shape, -1), alive)
        for t in range(self.max_steps):
            action = self._act(algo, states, obs.reshape(*shape, -1), self.keys, t)
            action = np.asarray(jax.block_until_ready(action))
            self.finite("action", action, t)
            obs, reward, *ends = self.env.step(action.reshape(-1, self.env.action_dim))
            self.finite("observation", obs, t)
            self.finite("reward", reward, t)
            watch(obs.reshape(*shape, -1), alive)
            returns += alive * reward.reshape(shape)
            done = np.logical_or(*ends)
            alive = alive & ~done.reshape(shape)
            if not alive.any():
                break
            if stop():
                return None
            # Gymnasium demands a reset also of an environment whose episode has been counted
            if done.any():
                obs = self.env.reset(done)
                self.finite("observation after a reset", obs, t + 1)
        self.cut = alive.sum(1)
        return returns

    def finite(self, what: str, value: np.ndarray, t: int) -> None:
        """Raise `SoftqError` that names `what` when `value` is not finite at step `t` of the evaluation."""
        if not np.isfinite(value).all():
            kind, cause = (
                (Diverged, "the critic diverged")
                if what == "action"
                else (SoftqError, "the environment produced it")
            )
            raise kind(f"{self.env.env_id}: {what} is not finite at step {t} of an evaluation; {cause}.")

    def close(self) -> None:
        """Close the environments of Gymnasium."""
        if not self.on_device:
            self.env.close()


# The compiled programs evaluate all seeds. A second evaluator of the same kind uses them again.


@partial(jax.jit, static_argnames="method")
def _actions(algo: Algorithm, states: Any, obs: Array, keys: Array, t: Array, method: str) -> Array:
    """Actions `(seeds, episodes, action_dim)` at step `t` of all episodes, for `obs` `(seeds, episodes, obs_dim)`."""
    return jax.vmap(partial(_of_one_seed, algo, method), (0, 0, 0, None))(states, obs, keys, t)


def _of_one_seed(algo: Algorithm, method: str, state: Any, obs: Array, key: Array, t: Array) -> Array:
    """Actions `(episodes, action_dim)` of one seed at step `t`, for `obs` `(episodes, obs_dim)`."""
    keys = jax.random.split(jax.random.fold_in(key, t), len(obs))
    return jax.vmap(partial(getattr(algo, method), state))(obs, keys)


@partial(jax.jit, static_argnames=("env", "episodes", "max_steps", "method"))
def _play(
    algo: Algorithm, states: Any, keys: Array, env: Any, episodes: int, max_steps: int, method: str
) -> Array:
    """The returns `(seeds, episodes)` of all episodes in the JAX environment `env`."""

    def one(state: Any, key: Array) -> Array:
        def step(t: Array, carry: tuple) -> tuple:
            env_state, obs, returns, alive = carry
            action = _of_one_seed(algo, method, state, obs, key, t)
            keys = jax.random.split(jax.random.fold_in(key, max_steps + t), episodes)
            env_state, obs, reward, terminated, truncated = jax.vmap(env.step)(env_state, action, keys)
            new = env_state, obs, returns + alive * reward, alive & ~(terminated | truncated)
            return like(new, carry)

        start = jax.vmap(env.reset)(jax.random.split(key, episodes))
        start = *start, jnp.zeros(episodes), jnp.ones(episodes, bool)
        return jax.lax.fori_loop(0, max_steps, step, start)[2]

    return jax.vmap(one)(states, keys)
