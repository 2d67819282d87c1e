"""Langevin chains on the box: each step follows the score, adds noise and returns to the box.

The Euler chain of dX = (1/2) grad log p dt + dB (DDSQ Section 2; in a box Section 4). With a fixed step its law is
close to, and never equal to, the softmax; `softq.exact.laws.chain_law` computes that law exactly in one dimension.
"""

from collections.abc import Callable
from typing import Self

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import reflect
from softq.samplers.base import Chain, Landscape
from softq.samplers.start import repeated, start_and_step
from softq.samplers.step_size import StableStep
from softq.utils.checked import checked
from softq.utils.finite import nowhere, step_back, working
from softq.utils.pytree import pytree, static


def softmax_score(q: Callable[[Array], Array], temperature: float | Array) -> Callable[[Array], Array]:
    """The score of exp(Q / temperature), the function a -> grad Q(a) / temperature, which needs no normaliser.

    It is not a number where Q is not finite, even if the slope of Q is: by this a chain detects such an action.
    """
    both = jax.value_and_grad(q)

    def score(action: Array) -> Array:
        value, slope = both(action)
        return jnp.where(jnp.isfinite(value), slope, jnp.nan) / temperature

    return score


@checked("score", "the score", above_zero=("step_sizes",), in_box=("a0",))
def langevin(
    key: Array,
    score: Callable[[Array], Array],
    a0: Array,
    step_sizes: Array,
    boundary: Callable[[Array], Array] = reflect,
    trajectory: bool = False,
    check_last: bool = False,
) -> Array:
    """Run `a <- boundary(a + step/2 * score(a) + sqrt(step) * noise)` once for each of `step_sizes` `(T,)`.

    `a0` `(d,)` lies in the box. Returns the last action `(d,)`, or all of them `(T + 1, d)`, start included, when
    `trajectory`. Raises `SoftqError` for a start outside the box or a step that is not positive; called by hand, also
    where the score is not finite. For what a compiled program does there, and for `check_last`, see `chain`.
    """
    a0 = working(a0)
    noise = jax.random.normal(key, (len(step_sizes), *a0.shape), a0.dtype)
    return chain(score, a0, jnp.asarray(step_sizes), noise, boundary, trajectory, check_last)


def chain(
    score: Callable[[Array], Array],
    a0: Array,
    step_sizes: Array,
    noise: Array,
    boundary: Callable[[Array], Array] = reflect,
    trajectory: bool = False,
    check_last: bool = False,
) -> Array:
    """`langevin` with given standard-normal `noise` `(T, d)`, which QGLG shares between its schedules.

    A step to an action where the score is not finite is taken back before the next step. With `check_last` this holds
    for the last step too, which needs one more score. Until a score is finite, as after a start at such an action, the
    chain moves by its noise alone.
    """
    a0 = working(a0)

    def move(state: tuple, step_and_noise: tuple[Array, Array]) -> tuple[tuple, Array | None]:
        (action, last), (step, xi) = state, step_and_noise
        action, drift, last = step_back(action, score(action), last)
        moved = boundary(action + step / 2 * drift + jnp.sqrt(step) * xi)
        return (moved, last), moved if trajectory else None

    given = jnp.asarray(step_sizes, a0.dtype), jnp.asarray(noise, a0.dtype)
    (end, last), path = jax.lax.scan(move, (a0, nowhere(a0)), given)
    if check_last:
        end, _, _ = step_back(end, score(end), last)
    return jnp.concatenate([a0[None], path[:-1], end[None]]) if trajectory else end


@pytree
class Langevin(Chain):
    """`langevin` with equal steps, from a draw of SNIS from `num_candidates`; one candidate is a uniform action."""

    num_steps: int = static(default=50)
    num_candidates: int = static(default=1)
    # on a parabola, a step of a share s of the stability limit makes the variance larger by the factor 1 / (1 - s)
    step: float | Array | StableStep = StableStep(0.05)
    boundary: Callable[[Array], Array] = static(default=reflect)
    check_last: bool = static(default=False)

    def run(
        self, key: Array, q: Landscape, dim: int, temperature: float | Array, trajectory: bool
    ) -> tuple[Array, dict[str, Array]]:
        first, drive = jax.random.split(key)
        start, step = start_and_step(first, q, dim, temperature, self.num_candidates, self.step)
        score, steps = softmax_score(q, temperature), repeated(step, self.num_steps)
        return langevin(drive, score, start, steps, self.boundary, trajectory, self.check_last), {}

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self | None:
        half = evaluations // 2  # half of the evaluations for the start, and half for the steps
        return cls(half, half, check_last=True) if half else None
