"""The training loop for JAX environments, in which many steps run as one compiled program."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.algorithms.base import Algorithm
from softq.training.config import TrainConfig
from softq.training.loop import (
    LogSums,
    LoopState,
    act,
    fault,
    initial,
    learn,
    like,
    seen,
    step_keys,
    turns,
)
from softq.training.normalise import observed
from softq.utils.pytree import replace


class DeviceLoop:
    """The training loop in a JAX environment: each call of `run` is one dispatch of one compiled program."""

    def __init__(self, env: Any, config: TrainConfig):
        self.config = config
        self.obs_dim, self.action_dim = env.obs_dim, env.action_dim
        given = {"env": env, "batch_size": config.batch_size, "n_step": config.n_step}
        self._run = partial(_steps, **given, times=config.updates_per_step)
        self._init = partial(_start, **given, num_envs=config.num_envs, capacity=config.capacity)

    def init(self, algo: Algorithm, keys: Array, init_keys: Array) -> LoopState:
        """The loop state of all seeds before the first step; `keys` and `init_keys` are `(seeds,)`."""
        return self._init(algo, init_keys)

    def shapes(self, algo: Algorithm, keys: Array, init_keys: Array) -> LoopState:
        """The shapes and types of what `init` returns."""
        return jax.eval_shape(self._init, algo, init_keys)

    def run(self, algo: Algorithm, loop: LoopState, keys: Array, num: int, uniform: bool) -> LoopState:
        """The loop state after `num` more steps of all seeds, with uniform actions and no updates if `uniform`.

        `loop` is donated and cannot be used again. Raises `SoftqError` at a value that is not finite.
        """
        loop = self._run(algo, loop, keys, num, uniform=uniform)
        for seed, (what, env, step) in enumerate(np.asarray(jax.block_until_ready(loop.tally.fault))):
            if what:
                raise fault(self.config, int(what), int(step), seed, int(env))
        return loop

    def get_state(self) -> dict:
        """An empty state: JAX environments are part of `LoopState`."""
        return {"text": [], "physics": np.zeros(0, np.uint8)}

    def set_state(self, state: dict) -> None:
        """Do nothing: JAX environments are part of `LoopState`."""


# The compiled programs train all seeds. A second loop with an equal environment and equal shapes uses them again.


@partial(jax.jit, static_argnames=("env", "batch_size", "num_envs", "capacity", "n_step"))
def _start(
    algo: Algorithm, init_keys: Array, env: Any, batch_size: int, num_envs: int, capacity: int, n_step: int
) -> LoopState:
    """The loop state of all seeds before the first step."""

    def one(init_key: Array) -> LoopState:
        keys = jax.random.split(jax.random.fold_in(init_key, 1), num_envs)
        state, obs = jax.vmap(env.reset)(keys)
        return initial(algo, init_key, obs, state, env.action_dim, batch_size, capacity, n_step)

    return jax.vmap(one)(init_keys)


@partial(jax.jit, static_argnames=("env", "batch_size", "n_step", "times", "uniform"), donate_argnames="loop")
def _steps(
    algo: Algorithm,
    loop: LoopState,
    keys: Array,
    num: Array,
    env: Any,
    batch_size: int,
    n_step: int,
    times: int,
    uniform: bool,
) -> LoopState:
    """The loop state after `num` more steps of all seeds; `loop` is donated."""
    step = jax.vmap(
        lambda loop, key: _step(algo, loop, key, env, batch_size, n_step, 0 if uniform else times)
    )
    # the number of steps is traced, so that one compilation serves all
    return jax.lax.fori_loop(0, num, lambda _, loop: step(loop, keys), loop)


def _step(
    algo: Algorithm, loop: LoopState, key: Array, env: Any, batch_size: int, n_step: int, times: int
) -> LoopState:
    """The loop state of one seed after one step of its environments and `times` updates; uniform actions if 0."""
    num_envs, tally = len(loop.obs), loop.tally
    _, k_env, k_reset, _, _ = step_keys(key, loop.step)
    state, replay, sums = observed(loop.state, loop.obs), loop.replay, tally.metrics
    action = act(algo, state, loop.obs, key, loop.step, times == 0, env.action_dim)

    def update(learnt: tuple, key: Array) -> tuple:
        state, revised, sums = learnt
        now = replay if revised is None else replace(replay, data=replace(replay.data, revised=revised))
        state, sums, revision = learn(algo, state, now, sums, key, loop.step, batch_size, num_envs, n_step)
        return (state, now.revise(*revision).data.revised if revision else None, sums), None

    if times:
        learnt = state, replay.data.revised, sums
        if times == 1:
            learnt, _ = update(learnt, key)
        else:
            learnt, _ = jax.lax.scan(update, learnt, jnp.stack(turns(key, times)))
        state, revised, sums = learnt
        replay = replace(replay, data=replace(replay.data, revised=revised))
    states, next_obs, reward, terminated, truncated = jax.vmap(env.step)(
        loop.env, action, jax.random.split(k_env, num_envs)
    )
    discount = 1 - terminated.astype(jnp.float32)
    done, returns = terminated | truncated, loop.returns + reward
    ended = done if n_step > 1 else None
    replay = replay.add(seen(algo, loop.obs, action, reward, discount, next_obs, ended))

    started = jax.vmap(env.reset)(jax.random.split(k_reset, num_envs))
    choose = jax.vmap(lambda done, new, old: jax.tree.map(partial(jnp.where, done), new, old))
    states, obs = choose(done, started, (states, next_obs))
    broken = jnp.stack([~jnp.isfinite(x.reshape(num_envs, -1)).all(1) for x in (action, next_obs, reward)])
    where = jnp.argmax(broken.any(0))
    found = jnp.stack([1 + jnp.argmax(broken[:, where]), where, loop.step]).astype(jnp.int32)
    tally = LogSums(
        sums,
        tally.updates + times,
        tally.episodes + done.sum(),
        tally.returns + jnp.sum(returns * done),
        jnp.where(broken.any() & (tally.fault[0] == 0), found, tally.fault),
    )
    return like(LoopState(state, replay, states, obs, returns * ~done, loop.step + 1, tally), loop)
