"""Stein variational gradient descent: particles that climb Q and repel each other.

SQL Section 3.3 (Haarnoja et al. 2017) after Liu and Wang (2016). Each particle moves along the average of its
scores of all particles, weighted by a kernel, plus a repulsion:

    Delta f(a) = mean_j [ k(a_j, a) score(a_j) + grad_{a_j} k(a_j, a) ],      k(x, y) = exp(-|x - y|^2 / h)

Only the start is random. The law of *finitely many* particles is not the softmax: one particle finds a maximum of Q,
two are too close together, and only as their number grows do they cover exp(Q / temperature). The direction comes from
Stein's identity without its boundary term, so that the limit is another law where the softmax has mass at a wall.
"""

from collections.abc import Callable
from typing import Self

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import reflect, uniform_actions
from softq.samplers.bandwidth import RULES, Bandwidth, median_bandwidth
from softq.samplers.base import Chain, Landscape
from softq.samplers.langevin import softmax_score
from softq.samplers.start import absolute_step, is_measured, repeated
from softq.samplers.step_size import StableStep
from softq.utils.checked import checked
from softq.utils.checks import positive
from softq.utils.errors import SoftqError, suggest
from softq.utils.finite import nowhere, step_back, working
from softq.utils.pytree import pytree, static


def svgd_direction(
    score: Callable[[Array], Array],
    particles: Array,
    bandwidth: Array | float,
    repulsion: Array | float = 1.0,
    at: Array | None = None,
) -> Array:
    """Delta f (SQL Equation 13, divided by the temperature) at the actions `at` `(M, d)`, `(M, d)`.

    The mean is over `particles` `(K, d)`, which are also the default of `at`. `score` is that of the target,
    grad Q / temperature, and `repulsion` 1 makes the softmax the target. Deviation: SQL's C.1 drops the temperature in
    front of the kernel's gradient, which is `repulsion` = 1 / temperature; the resting places of the particles then do
    not depend on the temperature.
    """
    return stein_direction(jax.vmap(score)(particles), particles, bandwidth, repulsion, at)


def stein_direction(
    scores: Array,
    particles: Array,
    bandwidth: Array | float,
    repulsion: Array | float,
    at: Array | None = None,
) -> Array:
    """`svgd_direction` from the scores `(K, d)`; a score that is not finite counts as zero."""
    at, scores = particles if at is None else at, _finite(scores)
    offsets = at[:, None] - particles[None]  # [j, i] = a_j - a_i
    kernel = jnp.exp(-jnp.sum(offsets**2, -1) / bandwidth)
    drive = kernel @ scores
    apart = 2 / bandwidth * jnp.sum(kernel[..., None] * offsets, 1)  # sum_i of the gradient by a_i
    return (drive + repulsion * apart) / len(particles)


def stein_trace(
    scores: Array, particles: Array, bandwidth: Array | float, repulsion: Array | float = 1.0
) -> Array:
    """The trace of the derivative of the direction at each particle by the particle's place, `(M,)`.

    In a step of S2AC the log-density of a particle falls by the step size times this number. The other particles and
    the bandwidth are held fixed. Left out is the trace of the derivative of the particle's own score, over M, which
    needs second derivatives of Q.
    """
    (count, dim), scores = particles.shape, _finite(scores)
    offsets = particles[:, None] - particles[None]  # [i, j] = a_i - a_j
    squared = jnp.sum(offsets**2, -1)
    kernel = jnp.exp(-squared / bandwidth)
    drive = -jnp.sum(kernel * jnp.sum(offsets * scores[None], -1), 1)
    apart = jnp.sum((kernel - jnp.eye(count)) * dim - kernel * squared * 2 / bandwidth, 1)
    return 2 / bandwidth * (drive + repulsion * apart) / count


def _finite(scores: Array) -> Array:
    return jnp.where(jnp.isfinite(scores).all(1, keepdims=True), scores, 0.0)


@checked("score", "the score", above_zero=("step_sizes",), in_box=("particles",))
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
    In a compiled program a step to such a place is taken back, the last one with `check_last`, as in
    `softq.samplers.langevin.chain`.
    """
    if particles.ndim != 2 or len(particles) == 0:
        raise SoftqError(
            f"particles must have shape (M, d) with M >= 1, got {particles.shape}; draw some first."
        )
    if isinstance(bandwidth, str):
        if bandwidth not in RULES:
            raise SoftqError(
                f"bandwidth must be a number or a rule, got {bandwidth!r}.{suggest(bandwidth, RULES)}"
            )
        alone = len(particles) == 1  # there is no pair to take a median of, and the width has no effect
        width = (lambda a: jnp.ones(())) if alone else lambda a: median_bandwidth(a, bandwidth)
    else:
        positive("bandwidth", bandwidth)
        width = lambda a: bandwidth

    particles = working(particles)

    def move(state: tuple, step: Array) -> tuple[tuple, Array | None]:
        a, last = state
        a, scores, last = jax.vmap(step_back)(a, jax.vmap(score)(a), last)
        moved = boundary(a + step * stein_direction(scores, a, width(a), repulsion)).astype(a.dtype)
        return (moved, last), moved if trajectory else None

    steps = jnp.asarray(step_sizes, particles.dtype)
    (end, last), path = jax.lax.scan(move, (particles, nowhere(particles)), steps)
    if check_last:
        end, _, _ = jax.vmap(step_back)(end, jax.vmap(score)(end), last)
    return jnp.concatenate([particles[None], path[:-1], end[None]]) if trajectory else end


@pytree
class SVGD(Chain):
    """`svgd` from uniform actions with equal steps; the first particle is the action, and `info` holds all particles.

    The path is that of the first particle. A particle moves by the step times its direction, but a Langevin chain by
    half the step times the score. A `StableStep` is therefore halved here.
    """

    num_particles: int = static(default=10)
    num_steps: int = static(default=10)
    step: float | Array | StableStep = StableStep()
    boundary: Callable[[Array], Array] = static(default=reflect)
    check_last: bool = static(default=False)

    def run(
        self, key: Array, q: Landscape, dim: int, temperature: float | Array, trajectory: bool
    ) -> tuple[Array, dict[str, Array]]:
        probe, start = jax.random.split(key) if is_measured(self.step) else (None, key)
        step = absolute_step(self.step, probe, q, dim, temperature)
        steps = repeated(step / 2 if isinstance(self.step, StableStep) else step, self.num_steps)
        particles, score = uniform_actions(start, dim, self.num_particles), softmax_score(q, temperature)
        switches = {"boundary": self.boundary, "trajectory": trajectory, "check_last": self.check_last}
        particles = svgd(score, particles, steps, **switches)
        return particles[:, 0] if trajectory else particles[0], {"particles": particles}

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self | None:
        return cls(10, evaluations // 10, check_last=True) if evaluations >= 10 else None
