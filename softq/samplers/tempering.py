"""Parallel tempering: chains at several temperatures that swap places, so that a cold one crosses valleys.

Replica exchange (Swendsen and Wang 1986; Geyer 1991): hot chains wander between hills, neighbours on the ladder of
temperatures exchange their actions by a Metropolis rule, and the product of all the softmaxes stays invariant
exactly. Even and odd pairs take turns, which moves replicas along the ladder faster than random pairs.
"""

from collections.abc import Callable
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.box import uniform_actions
from softq.samplers.base import Chain, Landscape
from softq.samplers.mala import State, check_steps, metropolis_step, needs_all_images
from softq.samplers.start import is_measured
from softq.samplers.step_size import StableStep
from softq.samplers.temperatures import rungs
from softq.utils.checked import checked
from softq.utils.errors import SoftqError
from softq.utils.finite import tamed, working
from softq.utils.pytree import pytree, static


@checked(above_zero=("temperatures", "rounds", "steps_per_round"), in_box=("a0",))
def tempering(
    key: Array,
    q: Callable[[Array], Array],
    temperatures: Array,
    a0: Array,
    step_sizes: Array,
    rounds: int,
    steps_per_round: int = 1,
    trajectory: bool = False,
) -> tuple[Array, Array]:
    """`rounds` rounds of `steps_per_round` MALA steps at each temperature and one attempt to swap neighbours.

    `temperatures` `(K,)` rise, the first is the one asked for; `a0` `(K, d)` are the starts and `step_sizes` `(K,)`
    the steps, one for each temperature. Returns all actions `(K, d)`, the wanted one first, or those of every round
    `(rounds + 1, K, d)` with `trajectory`, and the share of accepted swaps. Raises `SoftqError` for a ladder that does
    not rise, shapes that do not fit, starts outside the box, steps that `mala` refuses, or counts below one; called by
    hand, also where Q or its slope is not finite. In a compiled program the chains treat such actions as `mala` does.
    """
    check_steps(step_sizes)
    count = len(temperatures)
    if a0.ndim != 2 or len(a0) != count or np.shape(step_sizes) != (count,):
        raise SoftqError(
            f"a0 and step_sizes need one row for each of {count} temperatures, got {a0.shape} and "
            f"{np.shape(step_sizes)}."
        )
    if not isinstance(temperatures, jax.core.Tracer) and not np.all(np.diff(np.asarray(temperatures)) > 0):
        raise SoftqError(
            f"temperatures must rise, got {np.round(np.asarray(temperatures), 6).tolist()}; sort them."
        )
    a0 = working(a0)
    temperatures, steps = jnp.asarray(temperatures, a0.dtype), jnp.asarray(step_sizes, a0.dtype)
    q_and_slope, all_images = jax.value_and_grad(q), needs_all_images(step_sizes)
    propose = jax.vmap(lambda state, t, *given: metropolis_step(q_and_slope, state, t, *given, all_images))

    def swap(coins: Array, states: State, first: Array) -> tuple[State, Array]:
        """Swap the states of the pairs (i, i + 1), i = first, first + 2, ..., where the Metropolis rule accepts it."""
        values, index = states[1], jnp.arange(count)
        partner = jnp.where((index - first) % 2 == 0, index + 1, index - 1)
        partner = jnp.where((partner < 0) | (partner >= count), index, partner)
        gain = (1 / temperatures - 1 / temperatures[partner]) * (values[partner] - values)
        # both members of a pair go by the coin of the first
        accept = (coins[jnp.minimum(index, partner)] < gain) & (partner != index)
        source = jnp.where(accept, partner, index)
        return jax.tree.map(lambda x: x[source], states), accept

    def one_round(states: State, given: tuple[Array, Array]) -> tuple[State, tuple]:
        number, key = given
        for_noise, for_coins = jax.random.split(key)
        noise = jax.random.normal(for_noise, (steps_per_round, *a0.shape), a0.dtype)
        coins = jnp.log(jax.random.uniform(for_coins, (steps_per_round + 1, count), a0.dtype))

        def walk(states: State, given: tuple[Array, Array]) -> tuple[State, None]:
            return propose(states, temperatures, steps, *given)[0], None

        states, _ = jax.lax.scan(walk, states, (noise, coins[:-1]))
        states, accept = swap(coins[-1], states, number % 2)
        offered = (count - number % 2) // 2 * 2
        return states, (jnp.sum(accept), offered, states[0] if trajectory else None)

    keys = jax.random.split(key, rounds)
    start = jax.vmap(tamed)(a0, *jax.vmap(q_and_slope)(a0))
    (last, _, _), (accepted, offered, path) = jax.lax.scan(one_round, start, (jnp.arange(rounds), keys))
    share = jnp.sum(accepted) / jnp.maximum(jnp.sum(offered), 1)
    return (jnp.concatenate([a0[None], path]) if trajectory else last), share


@pytree
class Tempering(Chain):
    """`tempering` from uniform actions on the temperatures of `rungs`, with one step of each chain in a round.

    Its path is the sequence of actions at the coldest temperature, where another chain continues after a swap.
    """

    num_rungs: int = static(default=4)
    rounds: int = static(default=25)
    step: float | Array | StableStep = StableStep()
    hottest: float | Array | None = None

    def run(
        self, key: Array, q: Landscape, dim: int, temperature: float | Array, trajectory: bool
    ) -> tuple[Array, dict[str, Array]]:
        measured = self.hottest is None or is_measured(self.step)
        *keys, first, drive = jax.random.split(key, 4) if measured else (None, None, *jax.random.split(key))
        temperatures, steps = rungs(keys, q, dim, temperature, self.num_rungs, self.hottest, self.step)
        starts = uniform_actions(first, dim, self.num_rungs)
        kept = tempering(drive, q, temperatures, starts, steps, self.rounds, trajectory=trajectory)
        actions, swapped = kept
        coldest = actions[:, 0] if trajectory else actions[0]
        return coldest, {"swapped": swapped, "actions": actions}

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self | None:
        return cls(4, evaluations // 4) if evaluations >= 4 else None
