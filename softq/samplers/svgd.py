"""Stein variational gradient descent: particles that climb Q together and keep each other at a distance.

SQL Section 3.3 (Haarnoja et al. 2017) after Liu and Wang (2016). Each particle moves along the average of its
neighbours' scores, weighted by a kernel, plus a repulsion:

    Delta f(a) = mean_j [ k(a_j, a) score(a_j) + grad_{a_j} k(a_j, a) ],      k(x, y) = exp(-|x - y|^2 / h)

Deterministic once the start is drawn. The law of *finitely many* particles is not the softmax: one particle finds a
maximum of Q, two keep too close together, and only as their number grows do they cover exp(Q / temperature). And the
update rests on Stein's identity without its boundary term: where the softmax has mass at a wall it is not covered.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import reflect
from softq.utils.checks import eager, finite_at, inside_box, positive
from softq.utils.errors import SoftqError, suggest
from softq.utils.finite import nowhere, step_back, working

Bandwidth = Literal["squared", "printed", "official"]
RULES = ("squared", "printed", "official")


def median_bandwidth(particles: Array, rule: Bandwidth = "squared", at: Array | None = None) -> Array:
    """Kernel width h from particles `(K, d)`, K >= 2, by one of three rules.

    "squared": the median squared distance of different particles over log(K + 1), which scales with the square of the
    action's unit, as the exponent asks. Deviation: "printed" is SQL's D.1, the median *distance* over 2 log(K + 1),
    which does not. "official" is the released code: the lower median of all squared distances from `particles` to
    `at` `(M, d)` (by default themselves, zeros included) over log K, at least 1e-3.
    """
    count = len(particles)
    if count < 2:
        raise SoftqError(
            f"a median distance needs at least 2 particles, got {count}; pass bandwidth= instead."
        )
    if rule not in RULES:
        raise SoftqError(f"bandwidth must be a number or a rule, got {rule!r}.{suggest(rule, RULES)}")
    others = particles if at is None or rule != "official" else at
    squared = working(jnp.sum((particles[:, None] - others[None]) ** 2, -1))
    if rule == "official":
        middle = order_statistic(squared.ravel(), (squared.size - 1) // 2)
        return jnp.maximum(middle / jnp.log(count), 1e-3)
    squared = squared[jnp.triu_indices(count, 1)]
    distance = squared if rule == "squared" else jnp.sqrt(squared)
    lower, upper = (order_statistic(distance, k) for k in ((distance.size - 1) // 2, distance.size // 2))
    median = (lower + upper) / 2
    if rule == "squared":
        return jnp.maximum(median, 1e-6) / jnp.log(count + 1)
    return jnp.maximum(median, 1e-3) / (2 * jnp.log(count + 1))


def order_statistic(x: Array, rank: int) -> Array:
    """The value of `x` `(n,)` that has `rank` values before it in sorted order; `rank` counts from 0.

    `x` is in single or double precision, and nowhere negative.
    By bisection over the bits, which are ordered as the numbers are: exact, and on a CPU far cheaper than XLA's sort.
    No gradient passes.
    """
    integer = jnp.int64 if x.dtype == jnp.float64 else jnp.int32
    bits = jax.lax.bitcast_convert_type(x, integer)

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = low + (high - low) // 2
        enough = jnp.sum(bits <= middle) > rank
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    ends = jnp.zeros((), integer), jnp.asarray(jnp.iinfo(integer).max, integer)
    value, _ = jax.lax.fori_loop(0, jnp.iinfo(integer).bits - 1, halve, ends)
    return jax.lax.bitcast_convert_type(value, x.dtype)


def svgd_direction(
    score: Callable[[Array], Array],
    particles: Array,
    bandwidth: Array | float,
    repulsion: Array | float = 1.0,
    at: Array | None = None,
) -> Array:
    """Delta f (SQL Equation 13, divided by the temperature) at the actions `at` `(M, d)`, `(M, d)`.

    The mean runs over `particles` `(K, d)`; by default the direction is wanted at these themselves. `score` is that of
    the target, grad Q / temperature; `repulsion` 1 makes the softmax the target. Deviation: SQL's C.1 drops the
    temperature in front of the kernel's gradient, which is `repulsion` = 1 / temperature: then the particles ignore
    the temperature altogether.
    """
    return _direction(jax.vmap(score)(particles), particles, bandwidth, repulsion, at)


def _direction(
    scores: Array,
    particles: Array,
    bandwidth: Array | float,
    repulsion: Array | float,
    at: Array | None = None,
) -> Array:
    """`svgd_direction` from the scores `(K, d)`; one that is not finite pulls nobody."""
    at = particles if at is None else at
    scores = jnp.where(jnp.isfinite(scores).all(1, keepdims=True), scores, 0.0)
    offsets = at[:, None] - particles[None]  # [j, i] = a_j - a_i
    kernel = jnp.exp(-jnp.sum(offsets**2, -1) / bandwidth)
    drive = kernel @ scores
    apart = 2 / bandwidth * jnp.sum(kernel[..., None] * offsets, 1)  # sum_i of the gradient by a_i
    return (drive + repulsion * apart) / len(particles)


def svgd(
    score: Callable[[Array], Array],
    particles: Array,
    step_sizes: Array,
    bandwidth: float | Bandwidth = "squared",
    repulsion: Array | float = 1.0,
    boundary: Callable[[Array], Array] = reflect,
    trajectory: bool = False,
    check_last: bool = False,
) -> Array:
    """Move `particles` `(M, d)`, in the box, by `a <- boundary(a + step * Delta f)` for each of `step_sizes` `(T,)`.

    `bandwidth` is a number, or a rule of `median_bandwidth` that is applied anew at each step. Returns the last
    particles `(M, d)`, or all `(T + 1, M, d)` with `trajectory`. Raises `SoftqError` for no particles, particles
    outside the box, or steps or a bandwidth that are not positive; called by hand, also where the score is not finite.
    In a compiled program a particle that comes to such a place is taken back, after the last step with `check_last`, as
    in `softq.samplers.langevin.chain`.
    """
    if particles.ndim != 2 or len(particles) == 0:
        raise SoftqError(
            f"particles must have shape (M, d) with M >= 1, got {particles.shape}; draw some first."
        )
    positive("step_sizes", step_sizes)
    inside_box("particles", particles)
    if isinstance(bandwidth, str):
        if bandwidth not in RULES:
            raise SoftqError(
                f"bandwidth must be a number or a rule, got {bandwidth!r}.{suggest(bandwidth, RULES)}"
            )
        alone = len(particles) == 1  # no pair to take a median of, and no width matters
        width = (lambda a: jnp.ones(())) if alone else lambda a: median_bandwidth(a, bandwidth)
    else:
        positive("bandwidth", bandwidth)
        width = lambda a: bandwidth

    particles = working(particles)
    watch = trajectory or eager(particles, step_sizes)

    def move(state: tuple, step: Array) -> tuple[tuple, Array | None]:
        a, last = state
        a, scores, last = jax.vmap(step_back)(a, jax.vmap(score)(a), last)
        moved = boundary(a + step * _direction(scores, a, width(a), repulsion)).astype(a.dtype)
        return (moved, last), moved if watch else None

    steps = jnp.asarray(step_sizes, particles.dtype)
    (end, last), path = jax.lax.scan(move, (particles, nowhere(particles)), steps)
    if check_last:
        end, _, _ = jax.vmap(step_back)(end, jax.vmap(score)(end), last)
    if not watch:
        return end
    path = jnp.concatenate([particles[None], path[:-1], end[None]])
    if eager(path):
        places = path[:-1].reshape(-1, particles.shape[1])
        finite_at(places, jax.vmap(score)(places), "the score")
    return path if trajectory else end
