"""The parts that both training loops share: `DeviceLoop` for JAX environments and `HostLoop` for Gymnasium's.

A step of a loop acts, learns, steps the environments and stores the transitions, in this order: the update does not use
the transitions of its own step, so that host environments can step while it runs. The keys of a step are made from the
key of the seed by `fold_in` with the number of the step.

Hyper-parameters are arguments of the compiled programs, so that a new temperature or learning rate compiles nothing.
The programs belong to their modules, so that a second training of the same kind compiles nothing either. Arrays in a
loop are in single precision, also under JAX_ENABLE_X64, so that a run can be resumed with another value of that switch.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.training.config import TrainConfig
from softq.training.n_step import n_step_rows
from softq.training.replay import Replay
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace

NARROW = {"float64": "float32", "int64": "int32", "uint64": "uint32"}
# the values that can be not finite, by the code that `LogSums.fault` holds
FAULTS = {1: "action", 2: "observation", 3: "reward", 4: "observation after a reset"}


@pytree
class LogSums:
    """Sums since the last row of the log, and the first value that was not finite."""

    metrics: dict[str, Array]  # sums of the metrics of all updates
    updates: Array  # number of updates
    episodes: Array  # number of episodes that ended
    returns: Array  # sum of the returns of these episodes
    fault: Array  # (code in FAULTS, environment, step) of a value that is not finite; code 0 means none


@pytree
class LoopState:
    """The state of a training, which a checkpoint holds: of one seed here, with a leading seed axis in both loops.

    The names of the fields are part of the format of checkpoints.
    """

    state: Any  # state of the algorithm
    replay: Replay
    env: Any  # state of JAX environments, and () for Gymnasium environments, which keep their own
    obs: Array  # present observations (num_envs, obs_dim), float32
    returns: Array  # rewards so far of the episodes under way, (num_envs,)
    step: Array  # steps of all environments so far, warm-up included
    tally: LogSums


def single(tree: Any) -> Any:
    """`tree` with its arrays of 64-bit numbers converted to 32 bits."""
    return jax.tree.map(lambda x: x.astype(NARROW[x.dtype.name]) if x.dtype.name in NARROW else x, tree)


def like(new: Any, old: Any) -> Any:
    """The tree `new` with the types of `old`, since the carry of a compiled loop must keep its types."""
    return jax.tree.map(lambda x, y: x if x.dtype == y.dtype else x.astype(y.dtype), new, old)


def learner(algo: Algorithm, key: Array, obs: Array, action: Array) -> Any:
    """The initial state of `algo` in single precision, for `obs` `(obs_dim,)` and `action` `(action_dim,)`."""
    return single(algo.init(key, obs, action))


def stored(dtype: Any) -> Any:
    """The type in which a replay stores observations of `dtype`: that of small integers, float32 of all others.

    An integer or bool type of less than 4 bytes is exact in float32 and needs less room than it.
    """
    dtype = np.dtype(dtype)
    return dtype if dtype.kind in "iub" and dtype.itemsize < 4 else np.dtype(np.float32)


def step_keys(key: Array, step: Array) -> Array:
    """Five keys for one step of one seed: to act, to step, to reset, to sample the batch, and to learn."""
    return jax.random.split(jax.random.fold_in(key, step), 5)


def act(algo: Algorithm, state: Any, obs: Array, key: Array, step: Array, uniform: bool, dim: int) -> Array:
    """Actions `(num_envs, action_dim)` of one seed at `obs` `(num_envs, obs_dim)`.

    They are uniform in [-1, 1]^dim if `uniform`, as in the warm-up, and by `algo.explore` otherwise.
    """
    key = step_keys(key, step)[0]
    if uniform:
        return jax.random.uniform(key, (len(obs), dim), jnp.float32, minval=-1.0)
    return single(jax.vmap(algo.explore, (None, 0, 0))(state, obs, jax.random.split(key, len(obs))))


def seen(
    algo: Algorithm,
    obs: Array,
    action: Array,
    reward: Array,
    discount: Array,
    next_obs: Array,
    ended: Array | None,
) -> Transition:
    """What the replay keeps of steps: for a method that revises actions, the executed ones twice."""
    return Transition(obs, action, reward, discount, next_obs, action if algo.revises else None, ended)


def turns(key: Array, times: int) -> list[Array]:
    """The keys of one seed for `times` updates in each step: `key` itself, and one for each further update of a step.

    `step_keys` folds the numbers of steps into `key`, which lie below 2^31; the numbers folded in here lie above.
    """
    return [key, *(jax.random.fold_in(key, jnp.uint32(2**32 - i)) for i in range(1, times))]


def learn(
    algo: Algorithm,
    state: Any,
    replay: Replay,
    sums: dict,
    key: Array,
    step: Array,
    batch_size: int,
    num_envs: int,
    n_step: int,
) -> tuple:
    """`(state, sums, revision)` of one seed after one update on a batch of its replay; `sums` adds up the metrics.

    `revision` is what `Replay.revise` takes, and None for a method that does not revise actions. A row that was drawn
    twice is improved twice from the same action, so it does not matter which of the two is kept. With `n_step` above 1
    the targets have up to so many rewards; `num_envs` rows of the replay were added at a time.
    """
    *_, k_batch, key = step_keys(key, step)
    where, revision = replay.draw(k_batch, batch_size), None
    rows = replay.rows(where) if n_step == 1 else n_step_rows(replay, where, n_step, num_envs, algo.discount)
    batch = jax.tree.map(lambda x: x.astype(jnp.float32), rows)
    if algo.revises:
        new, metrics, actions = algo.update_and_revise(state, batch, key)
        revision = where, actions
    else:
        new, metrics = algo.update(state, batch, key)
    return like(new, state), like(jax.tree.map(jnp.add, sums, metrics), sums), revision


def initial(
    algo: Algorithm,
    key: Array,
    obs: Array,
    env: Any,
    action_dim: int,
    batch_size: int,
    capacity: int,
    n_step: int,
    obs_dtype: Any = np.float32,
) -> LoopState:
    """The loop state of one seed before its first step.

    `obs` `(num_envs, obs_dim)` are the first observations, `env` is the state of JAX environments, `capacity` the
    number of transitions in the replay, and `obs_dtype` the environment's own type of observations.
    """
    obs, env = obs.astype(jnp.float32), single(env)
    action, scalar = jnp.zeros(action_dim, jnp.float32), jnp.zeros((), jnp.float32)
    count = jnp.zeros((), jnp.int32)
    state = learner(algo, key, obs[0], action)
    row = seen(algo, obs[0], action, scalar, scalar, obs[0], None)
    batch = jax.tree.map(lambda x: jnp.zeros((batch_size, *x.shape), x.dtype), row)
    _, metrics = jax.eval_shape(algo.update, state, batch, key)
    sums = {name: single(jnp.zeros(x.shape, x.dtype)) for name, x in metrics.items()}
    tally = LogSums(sums, count, count, scalar, jnp.zeros(3, jnp.int32))
    kept = obs[0].astype(stored(obs_dtype))
    ended = jnp.zeros((), bool) if n_step > 1 else None
    replay = Replay.create(replace(row, obs=kept, next_obs=kept, ended=ended), capacity)
    return LoopState(state, replay, env, obs, jnp.zeros(len(obs), jnp.float32), count, tally)


def fault(config: TrainConfig, what: int, step: int, seed: int, env: int) -> SoftqError:
    """The error for a value that is not finite, with its likely cause; `what` is a code in `FAULTS`."""
    cause = "the critic diverged: lower learning_rate" if what == 1 else "the environment produced it"
    return SoftqError(
        f"{config.env}: {FAULTS[what]} is not finite at step {step} (seed {config.seed_list[seed]}, "
        f"environment {env}); {cause}."
    )
