"""Tiny problems with known answers, on which every algorithm must learn (after Andy Jones's probe environments).

Each tests one thing that can be wrong: the regression, the observation, the discount, the action, what an ended and
what a cut episode means, whether a policy finds two modes. All share one shape, observation `(1,)` and action `(1,)`,
so that one compiled program trains an algorithm on all of them at once.
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

DISCOUNT = 0.5  # what an algorithm under examination must use; the answers below depend on it
HILLS = (-0.6, 0.6)


def two_hills(action: Array) -> Array:
    """Two equal hills of height 1, the two-mode bandit's reward."""
    # pyrefly: ignore[bad-return] - a sum of arrays, though the sum of none is 0
    return sum(jnp.exp(-((action[0] - centre) ** 2) / (2 * 0.15**2)) for centre in HILLS)


def hills(action: np.ndarray) -> np.ndarray:
    """The same of any number of actions, in float64."""
    # pyrefly: ignore[bad-return] - the same
    return sum(np.exp(-((action - centre) ** 2) / (2 * 0.15**2)) for centre in HILLS)


@dataclass(frozen=True)
class Problem:
    """`step(obs, action)` gives `(reward, discount, next_obs)`; `value(obs, action)` is the exact Q in float64.

    Observations are -1 or 1, with equal chance. `value` is that of every backup up to the temperature times
    log 2 / (1 - DISCOUNT): choose a temperature that makes this small. It is None where the backup decides.
    """

    name: str
    about: str
    step: Callable[[Array, Array], tuple[Array, Array, Array]]
    value: Callable[[np.ndarray, np.ndarray], np.ndarray] | None


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
        "the same, and it never ends: see `endless_value`",
        lambda o, a: (two_hills(a), jnp.ones(()), o),
        None,
    ),
)


def endless_value(backup: str, temperature: float) -> float:
    """V of "endless hills" under a backup, by quadrature: Q = reward + DISCOUNT * V, V = backup of Q.

    "boltzmann" is the mean of Q under its softmax, "soft" the temperature times log of the integral of exp(Q /
    temperature) over the box, "mellowmax" the same of its mean. Each lets a constant through, so V is that of the
    reward over 1 - DISCOUNT.
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
    """V as learnt: what values `(P, 2, 41)` add to the reward of "endless hills", over the discount."""
    index = [problem.name for problem in PROBLEMS].index("endless hills")
    reward = hills(np.linspace(-1, 1, 41))
    return float(np.mean(np.asarray(values, float)[index] - reward) / DISCOUNT)


def batch(index: Array, key: Array, size: int) -> Transition:
    """`size` transitions of problem number `index`, with uniform actions; `index` may be traced."""
    draw, pick = jax.random.split(key)
    obs = jax.random.rademacher(draw, (size, 1)).astype(jnp.float32)
    action = jax.random.uniform(pick, (size, 1), minval=-1.0)
    branches = [jax.vmap(problem.step) for problem in PROBLEMS]
    reward, discount, next_obs = jax.lax.switch(index, branches, obs, action)
    return Transition(obs, action, reward.astype(jnp.float32), discount.astype(jnp.float32), next_obs)


@partial(jax.jit, static_argnums=(2, 3))
def train_on_all(algo: Algorithm, key: Array, updates: int = 600, batch_size: int = 64) -> Any:
    """States of `algo` after `updates` updates on each of `PROBLEMS`, stacked: one compiled program."""

    def one(index: Array, key: Array) -> Any:
        first, rest = jax.random.split(key)

        def step(state: Any, t: Array) -> tuple[Any, None]:
            data, learn = jax.random.split(jax.random.fold_in(rest, t))
            return algo.update(state, batch(index, data, batch_size), learn)[0], None

        return jax.lax.scan(step, algo.init(first, jnp.zeros(1), jnp.zeros(1)), jnp.arange(updates))[0]

    return jax.vmap(one)(jnp.arange(len(PROBLEMS)), jax.random.split(key, len(PROBLEMS)))


@partial(jax.jit, static_argnums=3)
def look(algo: Algorithm, states: Any, key: Array, num: int = 500) -> tuple[Array, Array]:
    """What was learnt, per problem and observation: Q at 41 actions `(P, 2, 41)` and `num` actions `(P, 2, num)`."""
    line = jnp.linspace(-1, 1, 41)[:, None]

    def one(state: Any, key: Array) -> tuple[Array, Array]:
        def at(sign: Array, key: Array) -> tuple[Array, Array]:
            q, obs = state.critic.network.at(sign[None]), sign[None]
            actions = jax.vmap(lambda k: algo.policy(state, obs, k))(jax.random.split(key, num))
            return jax.vmap(q)(line), actions[:, 0]

        return jax.vmap(at)(jnp.array([-1.0, 1.0]), jax.random.split(key, 2))

    return jax.vmap(one)(states, jax.random.split(key, len(PROBLEMS)))


def errors(values: np.ndarray) -> dict[str, float]:
    """Root mean square error of learnt values `(P, 2, 41)` over both observations and all actions, for each problem
    whose values do not depend on the backup.
    """
    line, signs = np.linspace(-1, 1, 41), np.array([[-1.0], [1.0]])
    return {
        problem.name: float(np.sqrt(np.mean((value - problem.value(signs, line)) ** 2)))
        for problem, value in zip(PROBLEMS, np.asarray(values, float), strict=True)
        if problem.value is not None
    }
