"""Parallel tempering: chains at several temperatures that swap places, so that a cold one crosses valleys.

Replica exchange (Swendsen and Wang 1986; Geyer 1991): hot chains wander between hills, neighbours on the ladder of
temperatures exchange their actions by a Metropolis rule, and the product of all the softmaxes stays invariant
exactly. Even and odd pairs take turns, which moves replicas along the ladder faster than random pairs.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.errors import SoftqError
from softq.samplers.check import positive
from softq.samplers.mala import mala


def ladder(coldest: float, hottest: float, num: int) -> np.ndarray:
    """`num` temperatures in geometric progression, coldest first.

    Raises `SoftqError` unless 0 < coldest < hottest and num is at least 2.
    """
    positive("coldest", coldest)
    if not (hottest > coldest and num >= 2):
        raise SoftqError(
            f"a ladder rises over at least 2 temperatures, got {num} from coldest {coldest:g} to hottest {hottest:g}."
        )
    return np.geomspace(coldest, hottest, num)


def tempering(
    key: Array,
    q: Callable[[Array], Array],
    temperatures: Array,
    a0: Array,
    step_sizes: Array,
    rounds: int,
    steps_per_round: int = 1,
) -> tuple[Array, Array]:
    """`rounds` rounds of `steps_per_round` MALA steps at each temperature and one attempt to swap neighbours.

    `temperatures` `(K,)` rise, the first is the one asked for; `a0` `(K, d)` are the starts and `step_sizes` `(K,)`
    the steps, in (0, 1], one for each temperature. Returns all actions `(K, d)`, the wanted one first, and the
    share of accepted swaps. Raises `SoftqError` for a ladder that does not rise, shapes that do not fit, or counts
    below one.
    """
    positive("temperatures", temperatures)
    positive("rounds", rounds)
    positive("steps_per_round", steps_per_round)
    count = len(temperatures)
    if a0.ndim != 2 or len(a0) != count or np.shape(step_sizes) != (count,):
        raise SoftqError(
            f"a0 and step_sizes need one row for each of {count} temperatures, got {a0.shape} and "
            f"{np.shape(step_sizes)}."
        )
    if not isinstance(temperatures, jax.core.Tracer) and not np.all(np.diff(temperatures) > 0):
        raise SoftqError(f"temperatures must rise, got {np.round(temperatures, 6).tolist()}; sort them.")
    temperatures = jnp.asarray(temperatures, a0.dtype)
    steps = jnp.broadcast_to(jnp.asarray(step_sizes, a0.dtype)[:, None], (count, steps_per_round))
    walk = jax.vmap(lambda key, t, a, s: mala(key, q, t, a, s)[0])

    def swap(key: Array, actions: Array, first: Array) -> tuple[Array, Array]:
        """Offer each pair (i, i + 1), i = first, first + 2, ..., to change places."""
        values, index = jax.vmap(q)(actions), jnp.arange(count)
        partner = jnp.where((index - first) % 2 == 0, index + 1, index - 1)
        partner = jnp.where((partner < 0) | (partner >= count), index, partner)
        gain = (1 / temperatures - 1 / temperatures[partner]) * (values[partner] - values)
        coins = jnp.log(jax.random.uniform(key, (count,)))[jnp.minimum(index, partner)]  # one coin for a pair
        accept = (coins < gain) & (partner != index)
        return jnp.where(accept[:, None], actions[partner], actions), accept

    def one_round(actions: Array, number_and_key: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        number, key = number_and_key
        move, coins = jax.random.split(key)
        actions = walk(jax.random.split(move, count), temperatures, actions, steps)
        actions, accept = swap(coins, actions, number % 2)
        offered = (count - number % 2) // 2 * 2
        return actions, (jnp.sum(accept), offered)

    keys = jax.random.split(key, rounds)
    actions, (accepted, offered) = jax.lax.scan(one_round, a0, (jnp.arange(rounds), keys))
    return actions, jnp.sum(accepted) / jnp.maximum(jnp.sum(offered), 1)
