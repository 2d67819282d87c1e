"""The loop around Gymnasium environments: they step on the host while the update runs on the device."""

from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.envs.gymnasium import GymVector
from softq.pytree import replace
from softq.training.config import TrainConfig
from softq.training.loop import Loop, act, fault, initial, learn
from softq.training.replay import Replay


class HostLoop:
    """Training around Gymnasium environments: seeds times num_envs of them in one vector."""

    def __init__(self, envs: GymVector, config: TrainConfig):
        self.envs, self.config = envs, config
        self.obs_dim, self.action_dim = envs.obs_dim, envs.action_dim
        self._act = jax.jit(self._actions, static_argnames="uniform")
        self._learn = jax.jit(self._update, donate_argnames=("state", "sums"))
        self._store = jax.jit(jax.vmap(Replay.add), donate_argnums=0)
        self._init = jax.jit(
            jax.vmap(
                lambda *x: initial(x[0], config, *x[1:], self.action_dim, obs_dtype=envs.obs_dtype),
                (None, 0, 0),
            )
        )

    def init(self, algo: Algorithm, keys: Array, init_keys: Array) -> Loop:
        """The loops of all seeds; `init_keys` `(seeds,)`. The environments start from their own seeds."""
        return self._init(algo, init_keys, self.split(self.envs.reset()))

    def shapes(self, algo: Algorithm, keys: Array, init_keys: Array) -> Loop:
        """What `init` would return, as shapes and types; no environment is touched."""
        obs = jax.ShapeDtypeStruct((self.config.seeds, self.config.num_envs, self.obs_dim), np.float32)
        return jax.eval_shape(self._init, algo, init_keys, obs)

    def _actions(
        self, algo: Algorithm, state: Any, obs: Array, keys: Array, steps: Array, uniform: bool
    ) -> Array:
        one = partial(act, algo, uniform=uniform, dim=self.action_dim)
        return jax.vmap(one)(state, obs, keys, steps)

    def _update(
        self, algo: Algorithm, state: Any, replay: Replay, sums: dict, keys: Array, steps: Array
    ) -> tuple[Any, dict]:
        one = partial(learn, algo, batch_size=self.config.batch_size)
        return jax.vmap(one)(state, replay, sums, keys, steps)

    def split(self, x: np.ndarray) -> np.ndarray:
        """`(seeds * num_envs, ...)` -> `(seeds, num_envs, ...)`."""
        return x.reshape(self.config.seeds, self.config.num_envs, *x.shape[1:])

    def run(self, algo: Algorithm, loop: Loop, keys: Array, num: int, uniform: bool) -> Loop:
        """`num` steps of all seeds; `loop` is donated. Raises `SoftqError` at a value that is not finite."""
        state, replay, tally, obs = loop.state, loop.replay, loop.tally, np.asarray(loop.obs)
        step, returns = np.array(loop.step), np.array(loop.returns)
        sums, episodes, finished = tally.metrics, np.array(tally.episodes), np.array(tally.returns)
        for _ in range(num):
            action = self._act(algo, state, obs, keys, step.copy(), uniform=uniform)
            action = np.asarray(jax.block_until_ready(action))  # without it a lack of memory is a hang
            if not uniform:  # dispatched, not awaited: the environments step meanwhile
                state, sums = self._learn(algo, state, replay, sums, keys, step.copy())
            next_obs, reward, terminated, truncated = map(
                self.split, self.envs.step(action.reshape(-1, self.action_dim))
            )
            self.check(int(step[0]), action, next_obs, reward)
            discount = 1 - terminated.astype(np.float32)
            replay = self._store(replay, Transition(obs, action, reward, discount, next_obs))
            done = terminated | truncated
            returns += reward
            episodes += done.sum(1)
            finished += (returns * done).sum(1)
            returns *= ~done
            obs = self.split(self.envs.reset(done.ravel())) if done.any() else next_obs
            step += 1
        updates = np.asarray(tally.updates) + (0 if uniform else num)
        tally = replace(tally, metrics=sums, updates=updates, episodes=episodes, returns=finished)
        return Loop(state, replay, (), obs, returns, step, tally)

    def check(self, step: int, *values: np.ndarray) -> None:
        for what, value in enumerate(values, 1):
            if not np.isfinite(value).all():
                seed, env = np.argwhere(~np.isfinite(value))[0][:2]
                raise fault(self.config, what, step, int(seed), int(env))

    def get_state(self) -> dict:
        """Exact state of the environments: `text` and `physics`."""
        return self.envs.get_state()

    def set_state(self, state: dict) -> None:
        """Put the environments back."""
        self.envs.set_state(state)
