"""Annealed importance sampling: a chain from hot to cold that returns an action and bounds of its entropy.

Neal (2001) on the box, with a start by SNIS and Metropolis-adjusted Langevin moves. The chain's weight is an unbiased
estimate of the partition function Z, the integral of exp(Q / temperature), whatever the moves; so the mean of its
logarithm is at most log Z. Together with Q at the end a of the chain it bounds an entropy:

    E[log weight - Q(a) / temperature]  <=  the entropy of the law of a, which need not be the softmax,

for any number of candidates, levels and steps. Proof: with P the law of all that the chain draws and R that of the
same draws backwards from a ~ softmax, weight / Z = R / P. So the left side is the entropy, plus KL(law of a |
softmax), less KL(P | R), and the divergence of a alone is at most that of all draws. DDSQ's estimate is too high
instead and cannot fall below dim log 2 - log m (`softq.samplers.entropy`); this bound has no lowest value.

The weight is a sum over the levels, thermodynamic integration. The mean of Q rises as the temperature falls, so that a
sum of Q before the moves of each level is too low, and a sum of Q after them too high if the chain is in equilibrium.
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
from softq.samplers.mala import State, check_steps, metropolis_step
from softq.samplers.snis import survivor
from softq.samplers.start import is_measured
from softq.samplers.step_size import StableStep
from softq.samplers.temperatures import rungs
from softq.utils.checked import checked
from softq.utils.errors import SoftqError
from softq.utils.finite import tamed, weighable
from softq.utils.pytree import pytree, static


class Annealed(NamedTuple):
    """The end of a chain, and bounds of the entropy of its law."""

    action: Array  # (d,)
    value: Array  # Q at the action
    # log weight - value / temperature, in nats, whose mean is at most the entropy of the law of the action
    lower: Array
    # `lower` with Q after the moves of each level: in equilibrium and with many levels its mean is at least the entropy
    upper: Array
    accepted: Array  # the share of accepted proposals at each temperature, (K,)


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

    The start is one draw of `snis` from `num_candidates` at the first temperature. At each temperature the chain takes
    `steps_per_level` Metropolis-adjusted Langevin steps of length `step_sizes` `(K,)`, each for one gradient of Q. With
    `num_fresh` a sweep of `isir` against so many uniform actions comes before these steps, for one value each and one
    gradient. `lower` + `value` / temperatures[-1] estimates log Z.

    Raises `SoftqError` for temperatures that rise, shapes that do not fit, a temperature, step or count that is not
    positive, or a step above 1; called by hand, also where Q or its slope is not finite. In a compiled program such
    actions have weight zero.
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
    # a constant in Q does not change the entropy, but without it fewer digits are lost in single precision
    best = jnp.max(values)
    reference = jnp.where(best > -jnp.inf, best, 0.0)
    log_weight = logsumexp((values - reference) * inverse[0]) - jnp.log(num_candidates) + dim * jnp.log(2.0)

    def compete(place: State, temperature: Array, key: Array) -> State:
        """One of the action and `num_fresh` uniform ones, by the softmax of Q over them, as in `isir`."""
        draw, pick = jax.random.split(key)
        fresh = uniform_actions(draw, dim, num_fresh, place[1].dtype)
        values = jnp.append(jax.vmap(q)(fresh), place[1])
        rivals = jnp.append(fresh, place[0][None], axis=0)
        kept = survivor(pick, rivals, values, temperature)
        return tamed(kept, *q_and_slope(kept))

    def level(state: tuple[State, Array, Array], given: tuple) -> tuple[tuple[State, Array, Array], Array]:
        """One level: add to the sums, exchange the action for a fresh one perhaps, and move by Langevin steps."""
        (place, left, right), (temperature, colder, step, key, *noise) = state, given

        move = lambda place, noise: metropolis_step(q_and_slope, place, temperature, step, *noise)
        # the condition is for a value that is infinite, whose product with 0 is not a number
        rise = lambda value: jnp.where(colder > 0, (value - reference) * colder, 0.0)
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
    """`ais` on the temperatures of `softq.samplers.temperatures.rungs`; `info` holds the other fields of `Annealed`."""

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
