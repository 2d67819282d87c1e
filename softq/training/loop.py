"""What the two inner loops share: `DeviceLoop` for JAX environments, `HostLoop` around Gymnasium's.

Both act, learn, step and store, in this order: the update uses the replay as it stands, so that a host
environment can step while the update runs. Keys are `fold_in(seed key, step)`. Hyper-parameters are arguments
of the compiled programs, so a new temperature or learning rate compiles nothing, and the programs are functions of
their modules, so a second training of the same kind compiles nothing either. Whatever a loop keeps is in single
precision, also under JAX_ENABLE_X64, so that a run can go on with that switch turned.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.training.config import TrainConfig
from softq.training.replay import Replay
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace

NARROW = {"float64": "float32", "int64": "int32", "uint64": "uint32"}
FAULTS = {1: "action", 2: "observation", 3: "reward", 4: "observation after a reset"}


@pytree
class LogSums:
    """Sums since the last row of the log, and the first fault `(what, environment, step)`; 0 is none."""

    metrics: dict[str, Array]
    updates: Array
    episodes: Array
    returns: Array
    fault: Array


@pytree
class LoopState:
    """Everything that a checkpoint holds; for one seed here, with a leading seed axis in the loops below."""

    state: Any  # of the algorithm
    replay: Replay
    env: Any  # state of JAX environments; host environments keep their own
    obs: Array  # (num_envs, obs_dim), float32
    returns: Array  # (num_envs,), of the episodes under way
    step: Array  # steps of the vector so far, warm-up included
    tally: LogSums


def single(tree: Any) -> Any:
    """`tree` with its arrays of 64 bits in 32."""
    return jax.tree.map(lambda x: x.astype(NARROW[x.dtype.name]) if x.dtype.name in NARROW else x, tree)


def like(new: Any, old: Any) -> Any:
    """`new` in the types of `old`: what a compiled loop carries keeps its types."""
    return jax.tree.map(lambda x, y: x if x.dtype == y.dtype else x.astype(y.dtype), new, old)


def learner(algo: Algorithm, key: Array, obs: Array, action: Array) -> Any:
    """The state of `algo` at the start, in single precision; `obs` `(obs_dim,)`, `action` `(action_dim,)`."""
    return single(algo.init(key, obs, action))


def stored(dtype: Any) -> Any:
    """The type in which a replay keeps observations of `dtype`: their own if float32 holds it and needs more room."""
    dtype = np.dtype(dtype)
    return dtype if dtype.kind in "iub" and dtype.itemsize < 4 else np.dtype(np.float32)


def step_keys(key: Array, step: Array) -> Array:
    """Five keys for this step of this seed: act, environment, reset, batch, learn."""
    return jax.random.split(jax.random.fold_in(key, step), 5)


def act(algo: Algorithm, state: Any, obs: Array, key: Array, step: Array, uniform: bool, dim: int) -> Array:
    """Actions `(num_envs, action_dim)` of one seed: uniform during the warm-up, else `explore`."""
    key = step_keys(key, step)[0]
    if uniform:
        return jax.random.uniform(key, (len(obs), dim), jnp.float32, minval=-1.0)
    return single(jax.vmap(algo.explore, (None, 0, 0))(state, obs, jax.random.split(key, len(obs))))


def learn(
    algo: Algorithm, state: Any, replay: Replay, sums: dict, key: Array, step: Array, batch_size: int
) -> tuple:
    """One update of one seed; metrics are added to `sums`."""
    *_, k_batch, key = step_keys(key, step)
    batch = jax.tree.map(lambda x: x.astype(jnp.float32), replay.sample(k_batch, batch_size))
    new, metrics = algo.update(state, batch, key)
    return like(new, state), like(jax.tree.map(jnp.add, sums, metrics), sums)


def initial(
    algo: Algorithm,
    key: Array,
    obs: Array,
    env: Any,
    action_dim: int,
    batch_size: int,
    capacity: int,
    obs_dtype: Any = np.float32,
) -> LoopState:
    """The loop of one seed before its first step; `obs` `(num_envs, obs_dim)`, of `obs_dtype` in the environment."""
    obs, env = obs.astype(jnp.float32), single(env)
    action, scalar = jnp.zeros(action_dim, jnp.float32), jnp.zeros((), jnp.float32)
    count = jnp.zeros((), jnp.int32)
    state = learner(algo, key, obs[0], action)
    row = Transition(obs[0], action, scalar, scalar, obs[0])
    batch = jax.tree.map(lambda x: jnp.zeros((batch_size, *x.shape), x.dtype), row)
    _, metrics = jax.eval_shape(algo.update, state, batch, key)
    sums = {name: single(jnp.zeros(x.shape, x.dtype)) for name, x in metrics.items()}
    tally = LogSums(sums, count, count, scalar, jnp.zeros(3, jnp.int32))
    kept = obs[0].astype(stored(obs_dtype))
    replay = Replay.create(replace(row, obs=kept, next_obs=kept), capacity)
    return LoopState(state, replay, env, obs, jnp.zeros(len(obs), jnp.float32), count, tally)


def fault(config: TrainConfig, what: int, step: int, seed: int, env: int) -> SoftqError:
    """The error for a value that is not finite, with the likely cause."""
    cause = "the critic diverged: lower learning_rate" if what == 1 else "the environment produced it"
    return SoftqError(
        f"{config.env}: {FAULTS[what]} is not finite at step {step} (seed {config.seed_list[seed]}, "
        f"environment {env}); {cause}."
    )
