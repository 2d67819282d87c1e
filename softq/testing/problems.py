"""Small problems with known answers for any algorithm to learn, after Andy Jones's probe environments.

Each problem tests one part of an algorithm: the regression, the observation, the discount, the action, the end of an
episode, its cut by a time limit, or a policy with two modes. Observations and actions are `(1,)` in all of them, so
that one compiled program trains an algorithm on all problems at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.training.replay import Replay
from softq.utils.pytree import replace

DISCOUNT = 0.5  # discount that an algorithm must use for the answers below to hold
HILLS = (-0.6, 0.6)  # actions at the tops of the two hills


def two_hills(action: Array) -> Array:
    """The reward at an action `(1,)` of two equal hills with height 1 and standard deviation 0.15."""
    # pyrefly: ignore[bad-return] - a sum of arrays, though the sum of none is 0
    return sum(jnp.exp(-((action[0] - centre) ** 2) / (2 * 0.15**2)) for centre in HILLS)


def hills(action: np.ndarray) -> np.ndarray:
    """The reward `two_hills` at an array of actions, in float64."""
    # pyrefly: ignore[bad-return] - a sum of arrays, though the sum of none is 0
    return sum(np.exp(-((action - centre) ** 2) / (2 * 0.15**2)) for centre in HILLS)


@dataclass(frozen=True)
class Problem:
    """A problem whose observations are -1 or 1 with equal chance.

    `step(obs, action)` gives `(reward, discount, next_obs)`, and `value(obs, action)` the exact Q in float64. The
    values of all backups differ from it by at most the temperature times log 2 / (1 - DISCOUNT), so a temperature
    should be chosen that makes this small. `value` is None where Q depends on the backup.
    """

    name: str
    about: str  # what the problem pays, in words
    step: Callable[[Array, Array], tuple[Array, Array, Array]]
    value: Callable[[np.ndarray, np.ndarray], np.ndarray] | None


# the step of a problem whose episodes end after one step with this reward
def _ends(reward: Callable[[Array, Array], Array]) -> Callable:
    return lambda obs, action: (reward(obs, action), jnp.zeros(()), obs)


PROBLEMS = (
    Problem(
        "constant", "every action pays 1 and ends", _ends(lambda o, a: jnp.ones(())), lambda o, a: 1 + 0 * a
    ),
    Problem(
        "observation", "pays what is observed and ends", _ends(lambda o, a: o[0]), lambda o, a: o + 0 * a
    ),
    Problem(
        "discount",
        "from -1 to 1 for nothing; there everything pays 1 and ends",
        lambda o, a: ((o[0] > 0) * 1.0, (o[0] < 0) * 1.0, jnp.ones(1)),
        lambda o, a: np.where(o > 0, 1.0, DISCOUNT) + 0 * a,
    ),
    Problem(
        "action",
        "pays 1 - (a - observation / 2)^2 and ends",
        _ends(lambda o, a: 1 - (a[0] - o[0] / 2) ** 2),
        lambda o, a: 1 - (a - o / 2) ** 2,
    ),
    Problem(
        "cut",
        "pays 1 for ever; a time limit cuts the episode and does not end it",
        lambda o, a: (jnp.ones(()), jnp.ones(()), o),
        lambda o, a: 1 / (1 - DISCOUNT) + 0 * a,
    ),
    Problem(
        "hills",
        "two equal hills, and the end",
        _ends(lambda o, a: two_hills(a)),
        lambda o, a: hills(a),
    ),
    Problem(
        "endless hills",
        "two equal hills, for ever; the value depends on the backup, see `endless_value`",
        lambda o, a: (two_hills(a), jnp.ones(()), o),
        None,
    ),
)


def endless_value(backup: str, temperature: float) -> float:
    """V of the problem "endless hills" under `backup`, by quadrature; V is the backup of Q = reward + DISCOUNT * V.

    The backup "boltzmann" is the mean of Q under its softmax. "soft" is the temperature times the logarithm of the
    integral of exp(Q / temperature) over [-1, 1], and "mellowmax" has the mean in place of the integral. A constant
    added to Q is added to its backup, so V is the backup of the reward divided by 1 - DISCOUNT.
    """
    reward = hills(np.linspace(-1, 1, 20_001))
    weights = np.exp((reward - reward.max()) / temperature)
    mellow = reward.max() + temperature * np.log(weights.mean())
    values = {
        "boltzmann": weights @ reward / weights.sum(),
        "mellowmax": mellow,
        "soft": mellow + temperature * np.log(2),
    }
    return float(values[backup] / (1 - DISCOUNT))


def endless_level(values: np.ndarray) -> float:
    """The V of "endless hills" in learned values of Q `(P, 2, 41)`: (Q - reward) / DISCOUNT, averaged."""
    index = [problem.name for problem in PROBLEMS].index("endless hills")
    reward = hills(np.linspace(-1, 1, 41))
    return float(np.mean(np.asarray(values, float)[index] - reward) / DISCOUNT)


def batch(index: Array, key: Array, size: int) -> Transition:
    """`size` transitions of problem number `index` in `PROBLEMS` with uniform actions; `index` may be traced."""
    draw, pick = jax.random.split(key)
    obs = jax.random.rademacher(draw, (size, 1)).astype(jnp.float32)
    action = jax.random.uniform(pick, (size, 1), minval=-1.0)
    branches = [jax.vmap(problem.step) for problem in PROBLEMS]
    reward, discount, next_obs = jax.lax.switch(index, branches, obs, action)
    return Transition(obs, action, reward.astype(jnp.float32), discount.astype(jnp.float32), next_obs)


@partial(jax.jit, static_argnums=(2, 3))
def train_on_all(algo: Algorithm, key: Array, updates: int = 600, batch_size: int = 64) -> Any:
    """States of `algo` after `updates` updates on each of `PROBLEMS`, with a leading axis over the problems.

    Each update is on a batch of its own. One that revises actions draws from a replay of 8 batches, to which a quarter
    of a batch is added before each update, so that a transition is drawn 8 times on average.
    """

    def one(index: Array, key: Array) -> Any:
        first, rest = jax.random.split(key)

        def step(state: Any, t: Array) -> tuple[Any, None]:
            data, learn = jax.random.split(jax.random.fold_in(rest, t))
            return algo.update(state, batch(index, data, batch_size), learn)[0], None

        def revising(carry: tuple[Any, Replay], t: Array) -> tuple[tuple[Any, Replay], None]:
            (state, replay), keys = carry, jax.random.split(jax.random.fold_in(rest, t), 3)
            replay = replay.add(unrevised(keys[0], batch_size // 4))
            where = replay.draw(keys[1], batch_size)
            state, _, actions = algo.update_and_revise(state, replay.rows(where), keys[2])
            return (state, replay.revise(where, actions)), None

        def unrevised(key: Array, size: int) -> Transition:
            rows = batch(index, key, size)
            return replace(rows, revised=rows.action)

        state, times = algo.init(first, jnp.zeros(1), jnp.zeros(1)), jnp.arange(updates)
        if not algo.revises:
            return jax.lax.scan(step, state, times)[0]
        rows = 8 * batch_size
        replay = Replay(unrevised(jax.random.fold_in(rest, updates), rows), jnp.asarray(rows))
        return jax.lax.scan(revising, (state, replay), times)[0][0]

    return jax.vmap(one)(jnp.arange(len(PROBLEMS)), jax.random.split(key, len(PROBLEMS)))


@partial(jax.jit, static_argnums=3)
def look(algo: Algorithm, states: Any, key: Array, num: int = 500) -> tuple[Array, Array]:
    """Q at 41 equidistant actions `(P, 2, 41)` and `num` actions of the policy `(P, 2, num)`, from `train_on_all`.

    The first axis is that of `PROBLEMS`, the second that of the observations -1 and 1.
    """
    line = jnp.linspace(-1, 1, 41)[:, None]

    def one(state: Any, key: Array) -> tuple[Array, Array]:
        def at(sign: Array, key: Array) -> tuple[Array, Array]:
            q, obs = state.critic.network.at(sign[None]), sign[None]
            actions = jax.vmap(lambda k: algo.policy(state, obs, k))(jax.random.split(key, num))
            return jax.vmap(q)(line), actions[:, 0]

        return jax.vmap(at)(jnp.array([-1.0, 1.0]), jax.random.split(key, 2))

    return jax.vmap(one)(states, jax.random.split(key, len(PROBLEMS)))


def errors(values: np.ndarray) -> dict[str, float]:
    """Root mean square errors of learned values of Q `(P, 2, 41)`, by the name of the problem.

    Problems whose values depend on the backup are left out.
    """
    line, signs = np.linspace(-1, 1, 41), np.array([[-1.0], [1.0]])
    return {
        problem.name: float(np.sqrt(np.mean((value - problem.value(signs, line)) ** 2)))
        for problem, value in zip(PROBLEMS, np.asarray(values, float), strict=True)
        if problem.value is not None
    }
