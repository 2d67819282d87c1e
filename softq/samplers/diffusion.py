"""A diffusion sampler without a network: the score is estimated at every step from Q alone."""

from collections.abc import Callable
from math import isqrt
from typing import Any, Literal, Self

import jax
import jax.numpy as jnp
from jax import Array

from softq.diffusion.processes import (
    ancestral,
    noise_from_score,
    probability_flow,
    reverse_sde,
    times,
)
from softq.diffusion.schedules import CosineVP, Schedule
from softq.diffusion.scores import SCORE_ESTIMATORS
from softq.samplers.base import Chain, Landscape
from softq.utils.checked import checked
from softq.utils.checks import one_of
from softq.utils.pytree import pytree, static

PROCESSES = ("ancestral", "sde", "flow")
COSINE = CosineVP()


@checked(above_zero=("temperature", "num"), outside=False)
def diffusion_sampler(
    key: Array,
    q: Callable[[Array], Array],
    dim: int,
    temperature: Array | float,
    num_steps: int = 20,
    num: int = 100,
    estimator: Literal["qsm", "idem", "qne", "combined"] = "qne",
    process: Literal["ancestral", "sde", "flow"] = "ancestral",
    schedule: Schedule = COSINE,
    estimate: dict[str, Any] | None = None,
    trajectory: bool = False,
    **options: Any,
) -> Array:
    """One action `(dim,)` from about exp(Q / temperature) on the box, by `num_steps` denoising steps.

    At each step the score is estimated from `num` new actions around the noisy one, which needs `num_steps * num`
    values of Q in all, and as many slopes except for "qne". `estimate` holds further arguments of the estimator and
    `options` those of the process. An action that ends outside the box is reflected or clipped into it. Raises
    `SoftqError` for a number that is not positive, or an unknown name; called by hand, also where Q is not finite in
    the box, or an estimated score is not.
    """
    one_of("estimator", estimator, SCORE_ESTIMATORS)
    first, fresh = jax.random.split(key)
    extra = {} if estimate is None else estimate
    nodes = times(schedule, num_steps, options.get("spacing", "time"), options.get("t_end"))

    def score(a: Array, t: Array) -> Array:
        # the key of a step comes from the number of the nearest node, since the last bit of a time may differ
        at = jax.random.fold_in(fresh, jnp.argmin(jnp.abs(nodes - t)))
        return SCORE_ESTIMATORS[estimator](
            at, q, temperature, a, schedule.signal(t), schedule.noise(t), num, **extra
        )

    one_of("process", process, PROCESSES)
    if process == "ancestral":
        noise_of = noise_from_score(score, schedule)
        return ancestral(first, noise_of, dim, schedule, num_steps, trajectory=trajectory, **options)
    reverse = reverse_sde if process == "sde" else probability_flow
    options = {"final": "reflect"} | options
    return reverse(first, score, dim, schedule, num_steps, trajectory=trajectory, **options)


@pytree
class Diffusion(Chain):
    """`diffusion_sampler`; `options` are further arguments of the process, as pairs of name and value.

    The path leads from noise to the action, and all but its last element may lie outside the box.
    """

    num_steps: int = static(default=10)
    num: int = static(default=10)
    estimator: Literal["qsm", "idem", "qne", "combined"] = static(default="qne")
    process: Literal["ancestral", "sde", "flow"] = static(default="ancestral")
    schedule: Schedule = COSINE
    options: tuple[tuple[str, Any], ...] = static(default=())

    def run(
        self, key: Array, q: Landscape, dim: int, temperature: float | Array, trajectory: bool
    ) -> tuple[Array, dict[str, Array]]:
        numbers = self.num_steps, self.num, self.estimator, self.process, self.schedule
        options = {"trajectory": trajectory} | dict(self.options)
        return diffusion_sampler(key, q, dim, temperature, *numbers, **options), {}

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self:
        steps = min(20, isqrt(evaluations))
        return cls(steps, evaluations // steps)
