"""The training loop for environments that step on the host while the update runs on the device."""

from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from softq.algorithms.base import Algorithm
from softq.envs.adapter import Fault
from softq.envs.vector import HostVector
from softq.training.config import TrainConfig
from softq.training.loop import LoopState, act, fault, initial, learn, seen, turns
from softq.training.n_step import ended_here
from softq.training.normalise import observe_all
from softq.training.replay import Replay
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

# the keys of `loop.FAULTS` by the names of values that `HostLoop.check` takes
KINDS = {"action": 1, "next_obs": 2, "reward": 3, "reset": 4}


class EnvironmentFailed(SoftqError):
    """The error that an environment could not step or reset; `loop` is the state of the training up to there."""

    def __init__(self, error: SoftqError, loop: LoopState):
        super().__init__(str(error))
        self.loop = loop


class HostLoop:
    """The training loop in environments of Gymnasium or EnvPool, of which one vector holds `seeds` times `num_envs`."""

    def __init__(self, envs: HostVector, config: TrainConfig):
        self.envs, self.config = envs, config
        self.obs_dim, self.action_dim = envs.obs_dim, envs.action_dim
        self._act = partial(_actions, dim=self.action_dim)
        self._learn = partial(
            _update, batch_size=config.batch_size, num_envs=config.num_envs, n_step=config.n_step
        )
        self._init = partial(
            _start,
            action_dim=self.action_dim,
            batch_size=config.batch_size,
            capacity=config.capacity,
            n_step=config.n_step,
            obs_dtype=envs.obs_dtype,
        )

    def init(self, algo: Algorithm, keys: Array, init_keys: Array) -> LoopState:
        """The loop state of all seeds before the first step; `init_keys` is `(seeds,)`.

        The environments start from seeds of their own. Raises `SoftqError` when one cannot be reset.
        """
        return self._init(algo, init_keys, self.start(0))

    def start(self, step: int) -> np.ndarray:
        """Start new episodes in all environments and return the first observations `(seeds, num_envs, obs_dim)`.

        Episodes that start at another `step` of the training have other seeds. Raises `SoftqError` when a reset fails.
        """
        try:
            obs = self.split(self.envs.reset(step=step))
        except Fault as error:
            raise self.located(error, step) from error.__cause__
        self.check(step, reset=obs)
        return obs

    def afresh(self, loop: LoopState, step: int) -> LoopState:
        """`loop` with a new episode in every environment."""
        replay = loop.replay
        if self.config.n_step > 1:
            replay = jax.vmap(partial(ended_here, num_envs=self.config.num_envs))(replay)
        return replace(loop, replay=replay, obs=self.start(step), returns=np.zeros_like(loop.returns))

    def shapes(self, algo: Algorithm, keys: Array, init_keys: Array) -> LoopState:
        """The shapes and types of what `init` returns; no environment is reset for it."""
        obs = jax.ShapeDtypeStruct((self.config.seeds, self.config.num_envs, self.obs_dim), np.float32)
        return jax.eval_shape(self._init, algo, init_keys, obs)

    def split(self, x: np.ndarray) -> np.ndarray:
        """`x` `(seeds * num_envs, ...)` with the shape `(seeds, num_envs, ...)`."""
        return x.reshape(self.config.seeds, self.config.num_envs, *x.shape[1:])

    def run(self, algo: Algorithm, loop: LoopState, keys: Array, num: int, uniform: bool) -> LoopState:
        """The loop state after `num` more steps of all seeds, with uniform actions and no updates if `uniform`.

        `loop` is donated and cannot be used again. Raises `SoftqError` at a value that is not finite, and
        `EnvironmentFailed` at any other error of an environment; an update that was under way is then kept, and the
        transitions of that step are lost.
        """
        state, replay, tally, obs = loop.state, loop.replay, loop.tally, np.asarray(loop.obs)
        step, returns = np.array(loop.step), np.array(loop.returns)
        times = 0 if uniform else self.config.updates_per_step
        turns = _turns(keys, times) if times > 1 else [keys] * times
        sums, episodes, finished = tally.metrics, np.array(tally.episodes), np.array(tally.returns)

        def packed(done: int) -> LoopState:
            updates = np.asarray(tally.updates) + times * done
            sofar = replace(tally, metrics=sums, updates=updates, episodes=episodes, returns=finished)
            return LoopState(state, replay, (), obs, returns, step, sofar)

        for i in range(num):
            if self.config.normalise_obs:
                state = observe_all(state, obs)
            action = self._act(algo, state, obs, keys, step.copy(), uniform=uniform)
            # blocking turns a lack of memory into an error; without it the program hangs
            action = np.asarray(jax.block_until_ready(action))
            # the update is dispatched and not awaited, so that the environments step meanwhile
            for turn in turns:
                state, sums, revision = self._learn(algo, state, replay, sums, turn, step.copy())
                replay = _revise(replay, *revision) if revision else replay
            try:
                stepped = self.envs.step(action.reshape(-1, self.action_dim))
            except Fault as error:
                # an action that is not finite is the likelier cause, and is reported first
                self.check(int(step[0]), action=action)
                failure = self.located(error, int(step[0]))
                step += not uniform
                raise EnvironmentFailed(failure, packed(i + 1)) from error.__cause__
            next_obs, reward, terminated, truncated = map(self.split, stepped)
            self.check(int(step[0]), action=action, next_obs=next_obs, reward=reward)
            discount = 1 - terminated.astype(np.float32)
            done = terminated | truncated
            ended = done if self.config.n_step > 1 else None
            replay = _store(replay, seen(algo, obs, action, reward, discount, next_obs, ended))
            returns += reward
            episodes += done.sum(1)
            finished += (returns * done).sum(1)
            returns *= ~done
            step += 1
            obs = next_obs
            if done.any():
                try:
                    obs = self.split(self.envs.reset(done.ravel()))
                except Fault as error:
                    failure = self.located(error, int(step[0]))
                    raise EnvironmentFailed(failure, packed(i + 1)) from error.__cause__
                self.check(int(step[0]), reset=obs)
        return packed(num)

    def check(self, step: int, **values: np.ndarray) -> None:
        """Raise `SoftqError` at the first of `values` `(seeds, num_envs, ...)` that is not finite; see `KINDS`."""
        for name, value in values.items():
            if not np.isfinite(value).all():
                seed, env = np.argwhere(~np.isfinite(value))[0][:2]
                raise fault(self.config, KINDS[name], step, int(seed), int(env))

    def located(self, error: Fault, step: int) -> SoftqError:
        """The fault of an environment as a `SoftqError` that names the training step, the seed and the environment."""
        seed, env = divmod(error.index, self.config.num_envs)
        return error.at(f"at step {step} (seed {self.config.seed_list[seed]}, environment {env})")

    def get_state(self) -> dict:
        """The exact state of the environments, as `HostVector.get_state` returns it."""
        return self.envs.get_state()

    def set_state(self, state: dict) -> None:
        """Put the environments into a state that `get_state` returned. Raises `SoftqError` when it does not fit."""
        self.envs.set_state(state)


# The compiled programs train all seeds. A second loop with equal shapes uses them again.


@partial(jax.jit, static_argnames=("action_dim", "batch_size", "capacity", "n_step", "obs_dtype"))
def _start(algo: Algorithm, init_keys: Array, obs: Array, **shapes: Any) -> LoopState:
    return jax.vmap(lambda key, obs: initial(algo, key, obs, (), **shapes))(init_keys, obs)


@partial(jax.jit, static_argnames=("dim", "uniform"))
def _actions(
    algo: Algorithm, state: Any, obs: Array, keys: Array, steps: Array, dim: int, uniform: bool
) -> Array:
    return jax.vmap(partial(act, algo, uniform=uniform, dim=dim))(state, obs, keys, steps)


@partial(jax.jit, static_argnames=("batch_size", "num_envs", "n_step"), donate_argnames=("state", "sums"))
def _update(
    algo: Algorithm, state: Any, replay: Replay, sums: dict, keys: Array, steps: Array, **sizes: int
) -> tuple[Any, dict, Any]:
    return jax.vmap(partial(learn, algo, **sizes))(state, replay, sums, keys, steps)


@partial(jax.jit, static_argnames="times")
def _turns(keys: Array, times: int) -> list[Array]:
    return jax.vmap(partial(turns, times=times))(keys)


_store = jax.jit(jax.vmap(Replay.add), donate_argnums=0)
_revise = jax.jit(jax.vmap(Replay.revise), donate_argnums=0)
