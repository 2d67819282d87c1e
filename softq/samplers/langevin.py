"""Langevin chains on the box: follow the score, add noise, come back inside.

The Euler chain of dX = (1/2) grad log p dt + dB (DDSQ Section 2; in a box Section 4). With a fixed step its law is
close to, and never equal to, the softmax; `softq.testing.chain_law` computes that law exactly in one dimension.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from softq.samplers.boundary import reflect
from softq.samplers.check import eager, finite_at, inside_box, positive


def softmax_score(q: Callable[[Array], Array], temperature: float | Array) -> Callable[[Array], Array]:
    """The score of exp(Q / temperature): a -> grad Q(a) / temperature. No normaliser is needed."""
    gradient = jax.grad(q)
    return lambda action: gradient(action) / temperature


def langevin(
    key: Array,
    score: Callable[[Array], Array],
    a0: Array,
    step_sizes: Array,
    boundary: Callable[[Array], Array] = reflect,
    trajectory: bool = False,
) -> Array:
    """Run `a <- boundary(a + step/2 * score(a) + sqrt(step) * noise)` once for each of `step_sizes` `(T,)`.

    `a0` `(d,)` lies in the box. Returns the last action `(d,)`, or all of them `(T + 1, d)`, start included, when
    `trajectory`. Raises `SoftqError` for a start outside the box or a step that is not positive; called by hand, also
    where the score is not finite.
    """
    positive("step_sizes", step_sizes)
    inside_box("a0", a0)
    noise = jax.random.normal(key, (len(step_sizes), *a0.shape), a0.dtype)
    watch = trajectory or eager(key, a0, step_sizes)
    path = chain(score, a0, jnp.asarray(step_sizes), noise, boundary, watch)
    if not watch:
        return path
    if eager(path):
        finite_at(path[:-1], jax.vmap(score)(path[:-1]), "the score")
    return path if trajectory else path[-1]


def chain(
    score: Callable[[Array], Array],
    a0: Array,
    step_sizes: Array,
    noise: Array,
    boundary: Callable[[Array], Array] = reflect,
    trajectory: bool = False,
) -> Array:
    """The same chain driven by given standard-normal `noise` `(T, d)`: what QGLG shares between schedules."""

    def move(action: Array, step_and_noise: tuple[Array, Array]) -> tuple[Array, Array | None]:
        step, xi = step_and_noise
        moved = boundary(action + step / 2 * score(action) + jnp.sqrt(step) * xi)
        return moved, moved if trajectory else None

    last, path = jax.lax.scan(move, a0, (step_sizes, noise))
    return jnp.concatenate([a0[None], path]) if trajectory else last
