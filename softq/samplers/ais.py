"""Annealed importance sampling: one chain from hot to cold that returns an action and what it knows of its own entropy.

Neal (2001) on the box, with a start by SNIS and Metropolis-adjusted Langevin moves. The chain's weight is an unbiased
estimate of the partition function Z, the integral of exp(Q / temperature), whatever the moves; so the mean of its
logarithm is at most log Z. With the value at the end it bounds an entropy, and that of the chain as it is:

    E[log weight - Q(a) / temperature]  <=  the entropy of the law of a,

for any number of candidates, levels and steps. Proof: with P the law of all that the chain draws and R that of the
same draws backwards from a ~ softmax, weight / Z = R / P. So the left side is the entropy, plus KL(law of a |
softmax), less KL(P | R), and forgetting all but a can only lower a divergence. DDSQ's estimate errs the other way and
cannot fall below dim log 2 - log m (`softq.samplers.entropy`); this one has no floor.

The mean of Q rises as the temperature falls. Cooling by the value before each level's moves therefore errs low, and
by the value after them errs high, if the chain keeps up: thermodynamic integration by left and by right sums.
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import logsumexp

from softq.box import uniform_actions
from softq.samplers.base import Landscape, Sample, Sampler
from softq.samplers.mala import State, check_steps, offer
from softq.samplers.snis import survivor
from softq.samplers.start import is_measured
from softq.samplers.step_size import StableStep
from softq.samplers.temperatures import rungs
from softq.utils.checked import checked
from softq.utils.errors import SoftqError
from softq.utils.finite import tamed, weighable
from softq.utils.pytree import pytree, static


class Annealed(NamedTuple):
    """The end of a chain."""

    action: Array  # (d,)
    value: Array  # Q there
    lower: Array  # log weight - value / temperature, nats: on average at most the entropy of the action's law
    upper: Array  # the same by right sums: on average at least that, for a chain in equilibrium and a long ladder
    accepted: Array  # (K,) share of accepted proposals at each temperature


@checked(above_zero=("temperatures", "num_candidates", "steps_per_level"))
def ais(
    key: Array,
    q: Callable[[Array], Array],
    dim: int,
    temperatures: Array,
    step_sizes: Array,
    num_candidates: int = 16,
    steps_per_level: int = 1,
    num_fresh: int = 0,
) -> Annealed:
    """One action from about exp(Q / temperatures[-1]), through the softmaxes at `temperatures` `(K,)`, hot to cold.

    The start is one draw of `snis` at the first temperature; at each, `steps_per_level` Metropolis-adjusted Langevin
    steps of `step_sizes` `(K,)`. lower + value / temperatures[-1] estimates log Z. Each step costs one gradient.
    With `num_fresh` the steps of each level follow a sweep of `isir`: the action competes with so many uniform ones,
    at one value each and a gradient more.
    Raises `SoftqError` for temperatures that rise, shapes that do not fit, anything that is not positive, or a step
    above 1; called by hand, also where Q or its slope is not finite (compiled, such actions have weight nought).
    """
    check_steps(step_sizes)
    if np.ndim(temperatures) != 1 or np.shape(temperatures) != np.shape(step_sizes):
        raise SoftqError(
            f"temperatures and step_sizes need one entry for each level, got shapes {np.shape(temperatures)} and "
            f"{np.shape(step_sizes)}."
        )
    if not isinstance(temperatures, jax.core.Tracer) and np.any(np.diff(np.asarray(temperatures)) > 0):
        raise SoftqError(
            f"temperatures must not rise, got {np.round(np.asarray(temperatures), 6).tolist()}; sort them downwards."
        )
    if num_fresh < 0:
        raise SoftqError(f"num_fresh must not be negative, got {num_fresh}; 0 goes without fresh candidates.")
    draw, pick, drive, toss, renew = jax.random.split(key, 5)
    q_and_slope = jax.value_and_grad(q)

    pool = uniform_actions(draw, dim, num_candidates)
    values = weighable(jax.vmap(q)(pool), pool)
    inverse = 1 / jnp.asarray(temperatures, values.dtype)
    start = pool[jax.random.categorical(pick, values * inverse[0])]
    best = jnp.max(values)  # the entropy does not feel a constant in Q; single precision does
    reference = jnp.where(best > -jnp.inf, best, 0.0)
    log_weight = logsumexp((values - reference) * inverse[0]) - jnp.log(num_candidates) + dim * jnp.log(2.0)

    def compete(place: State, temperature: Array, key: Array) -> State:
        """One of the action and `num_fresh` uniform ones, by the softmax of Q over them: it leaves that of all."""
        draw, pick = jax.random.split(key)
        fresh = uniform_actions(draw, dim, num_fresh, place[1].dtype)
        values = jnp.append(jax.vmap(q)(fresh), place[1])
        rivals = jnp.append(fresh, place[0][None], axis=0)
        kept = survivor(pick, rivals, values, temperature)
        return tamed(kept, *q_and_slope(kept))

    def level(state: tuple[State, Array, Array], given: tuple) -> tuple[tuple[State, Array, Array], Array]:
        """Cool, compete, move."""
        (place, left, right), (temperature, colder, step, key, *noise) = state, given

        move = lambda place, noise: offer(q_and_slope, place, temperature, step, *noise)
        rise = lambda value: jnp.where(colder > 0, (value - reference) * colder, 0.0)  # value may be infinite
        left = left + rise(place[1])
        place = compete(place, temperature, key) if num_fresh else place
        place, accepted = jax.lax.scan(move, place, tuple(noise))
        right = right + rise(place[1])
        return (place, left, right), jnp.mean(accepted.astype(values.dtype))

    shape = len(inverse), steps_per_level
    xi = jax.random.normal(drive, (*shape, dim), values.dtype)
    coins = jnp.log(jax.random.uniform(toss, shape, values.dtype))
    colder = jnp.diff(inverse, prepend=inverse[:1])
    keys = jax.random.split(renew, len(inverse))
    levels = 1 / inverse, colder, jnp.asarray(step_sizes, values.dtype), keys, xi, coins
    first = tamed(start, *q_and_slope(start)), log_weight, log_weight
    ((action, value, _), left, right), accepted = jax.lax.scan(level, first, levels)
    at_end = (value - reference) * inverse[-1]
    return Annealed(action, value, left - at_end, right - at_end, accepted)


@pytree
class AIS(Sampler):
    """`ais` down the ladder that `softq.samplers.tempering.rungs` describes; what it knows of itself is in `info`."""

    num_candidates: int = static(default=20)
    num_levels: int = static(default=5)
    steps_per_level: int = static(default=15)
    num_fresh: int = static(default=0)
    step: float | Array | StableStep = StableStep()
    hottest: float | Array | None = None

    def __call__(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Sample:
        measured = self.hottest is None or is_measured(self.step)
        *keys, drive = jax.random.split(key, 3) if measured else (None, None, key)
        temperatures, steps = rungs(keys, q, dim, temperature, self.num_levels, self.hottest, self.step)
        numbers = self.num_candidates, self.steps_per_level, self.num_fresh
        end = ais(drive, q, dim, temperatures[::-1], steps[::-1], *numbers)
        info = end._asdict()
        return Sample(info.pop("action"), info)

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self | None:
        candidates, levels = evaluations // 5, 3 if evaluations < 100 else 5
        steps = (evaluations - candidates) // levels
        return cls(candidates, levels, steps) if candidates and steps else None
