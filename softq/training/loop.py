"""What the two inner loops share: `DeviceLoop` for JAX environments, `HostLoop` around Gymnasium's.

Both act, learn, step and store, in this order: the update uses the replay as it stands, so that a host
environment can step while the update runs. Keys are `fold_in(seed key, step)`. Hyper-parameters are arguments
of the compiled programs, so a new temperature or learning rate compiles nothing.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.errors import SoftqError
from softq.pytree import pytree
from softq.training.config import TrainConfig
from softq.training.replay import Replay

FAULTS = {1: "action", 2: "observation", 3: "reward", 4: "observation after a reset"}


@pytree
class Tally:
    """Sums since the last row of the log, and the first fault `(what, environment, step)`; 0 is none."""

    metrics: dict[str, Array]
    updates: Array
    episodes: Array
    returns: Array
    fault: Array


@pytree
class Loop:
    """Everything that a checkpoint holds; for one seed here, with a leading seed axis in the loops below."""

    state: Any  # of the algorithm
    replay: Replay
    env: Any  # state of JAX environments; host environments keep their own
    obs: Array  # (num_envs, obs_dim)
    returns: Array  # (num_envs,), of the episodes under way
    step: Array  # steps of the vector so far, warm-up included
    tally: Tally


def step_keys(key: Array, step: Array) -> Array:
    """Five keys for this step of this seed: act, environment, reset, batch, learn."""
    return jax.random.split(jax.random.fold_in(key, step), 5)


def act(algo: Algorithm, state: Any, obs: Array, key: Array, step: Array, uniform: bool, dim: int) -> Array:
    """Actions `(num_envs, action_dim)` of one seed: uniform during the warm-up, else `explore`."""
    key = step_keys(key, step)[0]
    if uniform:
        return jax.random.uniform(key, (len(obs), dim), minval=-1.0)
    return jax.vmap(algo.explore, (None, 0, 0))(state, obs, jax.random.split(key, len(obs)))


def learn(
    algo: Algorithm, state: Any, replay: Replay, sums: dict, key: Array, step: Array, batch_size: int
) -> tuple:
    """One update of one seed; metrics are added to `sums`."""
    *_, batch, key = step_keys(key, step)
    state, metrics = algo.update(state, replay.sample(batch, batch_size), key)
    return state, jax.tree.map(jnp.add, sums, metrics)


def initial(
    algo: Algorithm, config: TrainConfig, key: Array, obs: Array, action_dim: int, env: Any = ()
) -> Loop:
    """The loop of one seed before its first step; `obs` `(num_envs, obs_dim)`."""
    action, scalar = jnp.zeros(action_dim), jnp.zeros(())
    state = algo.init(key, obs[0], action)
    row = Transition(obs[0], action, scalar, scalar, obs[0])
    batch = jax.tree.map(lambda x: jnp.zeros((config.batch_size, *x.shape)), row)
    _, metrics = jax.eval_shape(algo.update, state, batch, key)
    sums = {name: jnp.zeros(x.shape, x.dtype) for name, x in metrics.items()}
    count = jnp.zeros((), jnp.int32)
    tally = Tally(sums, count, count, scalar, jnp.zeros(3, jnp.int32))
    return Loop(state, Replay.create(row, config.capacity), env, obs, jnp.zeros(len(obs)), count, tally)


def fault(config: TrainConfig, what: int, step: int, seed: int, env: int) -> SoftqError:
    """The error for a value that is not finite, with the likely cause."""
    cause = "the critic diverged: lower learning_rate" if what == 1 else "the environment produced it"
    return SoftqError(
        f"{config.env}: {FAULTS[what]} is not finite at step {step} (seed {config.seed_list[seed]}, "
        f"environment {env}); {cause}."
    )
