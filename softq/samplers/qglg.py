"""QGLG, the Q-gradient Langevin generator of DDSQ (Algorithm 1): Langevin chains with several step schedules.

Every schedule starts from the same draw of SNIS and has the same noise. The end point with the largest Q is returned.
This maximises Q, so that the law of the result is colder than the softmax at the given temperature.
`select="weight"` draws an end point with probability proportional to exp(Q / temperature), which counts Q twice.
`select="random"` takes the end point of a random schedule, whose law is near the softmax if the steps are below the
stability limit.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal, Self

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import reflect, uniform_actions
from softq.samplers.base import Landscape, Sample, Sampler
from softq.samplers.langevin import chain, softmax_score
from softq.samplers.snis import survivor
from softq.samplers.step_size import stability_limit
from softq.utils.checked import checked
from softq.utils.checks import positive
from softq.utils.errors import SoftqError, suggest
from softq.utils.finite import weighable
from softq.utils.pytree import pytree, static

SELECT = ("argmax", "weight", "random")


def linear_schedules(starts: Array, ends: Array, num_steps: int) -> Array:
    """Step sizes `(S, num_steps)`: schedule i runs linearly from `starts[i]` to `ends[i]` (DDSQ Table 3, App. A)."""
    positive("num_steps", num_steps)
    return jnp.linspace(jnp.asarray(starts), jnp.asarray(ends), num_steps, axis=-1)


def uniform_std(values: Array) -> Array:
    """The standard deviation of `values` `(m,)` of Q at uniform actions, the scale of DDSQ's lambda(s) (Section 5).

    Deviation: it is at least 1e-6, since a state in which all actions have one value would give 0 / 0. Values that are
    not finite are left out.
    """
    finite = jnp.isfinite(values)
    return jnp.where(jnp.any(finite), jnp.maximum(jnp.std(values, where=finite), 1e-6), 1e-6)


@checked(above_zero=("temperature", "schedules", "num_candidates"))
def qglg(
    key: Array,
    q: Callable[[Array], Array],
    dim: int,
    temperature: float | Array,
    schedules: Array,
    num_candidates: int = 100,
    boundary: Callable[[Array], Array] = reflect,
    select: Literal["argmax", "weight", "random"] = "argmax",
    relative: bool = False,
    greedy: bool | Array = False,
    curvature: float | Array | None = None,
) -> Array:
    """One action `(dim,)` by DDSQ Algorithm 1; `schedules` is `(S, T)` step sizes in absolute units, as printed.

    A `relative` temperature counts in standard deviations of Q over the candidates (lambda(s), Section 5).
    With a `curvature` L, `schedules` are multiples of the stability limit 4 * temperature / L instead, L being the
    steepest curvature of Q (`softq.samplers.steepest_curvature`); multiples below 1 are stable.
    `greedy` is DDSQ's evaluation: start at the best candidate, no noise, best end point; the key then only draws the
    candidates. It may be traced, so one program serves a mixture of both.
    Raises `SoftqError` for a non-positive temperature, step or number of candidates, or an unknown `select`; called by
    hand, also where Q is not finite at a candidate, or its slope on the way to an end point.
    """
    if select not in SELECT:
        raise SoftqError(f"unknown select '{select}'.{suggest(select, SELECT)}")
    draw, pick, drive, choose = jax.random.split(key, 4)

    actions = uniform_actions(draw, dim, num_candidates)  # line 1, Equation 4
    values = jax.vmap(q)(actions)
    if relative:
        temperature = temperature * uniform_std(values)
    if curvature is not None:
        schedules = schedules * stability_limit(temperature, curvature)
    values = weighable(values, actions)
    a0 = jnp.where(greedy, actions[jnp.argmax(values)], survivor(pick, actions, values, temperature))

    noise = jax.random.normal(drive, (schedules.shape[1], dim), a0.dtype)  # line 2
    noise = jnp.where(greedy, 0.0, noise)

    # Lines 3 to 6. Deviation: line 4 does not start every schedule at a_0 again, as the text says.
    score = softmax_score(q, temperature)
    ends = jax.vmap(lambda steps: chain(score, a0, steps, noise, boundary))(schedules)

    heights = weighable(jax.vmap(q)(ends), ends)
    best = chosen = jnp.argmax(heights)  # line 7
    if select == "weight":
        chosen = jax.random.categorical(choose, heights / temperature)
    if select == "random":
        chosen = jax.random.randint(choose, (), 0, len(schedules))
    # the best end point replaces one where Q is not finite; the start does if Q is finite at none
    end = ends[jnp.where(greedy | (heights[chosen] == -jnp.inf), best, chosen)]
    return jnp.where(heights[best] > -jnp.inf, end, a0)


def printed_schedules(num_steps: int) -> Array:
    """The ten schedules of DDSQ Table 3, `(10, num_steps)`: from 1, 10^-4/9, ..., 10^-4 linearly down to 10^-4."""
    return linear_schedules(jnp.logspace(0, -4, 10), jnp.full(10, 1e-4), num_steps)


@pytree
class QGLG(Sampler):
    """`qglg`, by default with the schedules, the boundary and the choice of an end point that the paper prints."""

    schedules: Array = dataclasses.field(default_factory=lambda: printed_schedules(20))  # (S, T)
    num_candidates: int = static(default=100)
    boundary: Callable[[Array], Array] = static(default=reflect)
    select: Literal["argmax", "weight", "random"] = static(default="argmax")
    relative: bool = static(default=False)
    curvature: float | Array | None = None

    def __call__(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Sample:
        switches = self.boundary, self.select, self.relative, False, self.curvature
        return Sample(qglg(key, q, dim, temperature, self.schedules, self.num_candidates, *switches), {})

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self | None:
        """As many steps as the evaluations allow; the paper's 100 candidates and ten end points are not counted."""
        return cls(printed_schedules(evaluations // 10)) if evaluations >= 10 else None
