"""Diffusion with no network: the score estimated on the fly, from Q alone."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
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
from softq.utils.checks import eager, finite_on, positive
from softq.utils.errors import SoftqError, suggest

PROCESSES = ("ancestral", "sde", "flow")


def diffusion_sampler(
    key: Array,
    q: Callable[[Array], Array],
    dim: int,
    temperature: Array | float,
    num_steps: int = 20,
    num: int = 100,
    estimator: Literal["qsm", "idem", "qne", "combined"] = "qne",
    process: Literal["ancestral", "sde", "flow"] = "ancestral",
    schedule: Schedule = CosineVP(),  # noqa: B008, frozen
    estimate: dict[str, Any] | None = None,
    trajectory: bool = False,
    **options: Any,
) -> Array:
    """One action `(dim,)` from about exp(Q / temperature) on the box, by `num_steps` denoising steps.

    At each step the score is estimated anew from `num` actions around the noisy one: `num_steps * num` values of Q in
    all (and slopes, but for "qne"). `estimate` holds further arguments of the estimator, `options` of the process; an
    action that would end outside is put back. Raises `SoftqError` for a number that is not positive, or an unknown
    name; called by hand, also where Q is not finite, if that is no narrow place.
    """
    positive("temperature", temperature)
    positive("num", num)
    if estimator not in SCORE_ESTIMATORS:
        raise SoftqError(f"unknown estimator '{estimator}'.{suggest(estimator, SCORE_ESTIMATORS)}")
    first, fresh = jax.random.split(key)
    extra = {} if estimate is None else estimate
    nodes = times(schedule, num_steps, options.get("spacing", "time"), options.get("t_end"))

    def score(a: Array, t: Array) -> Array:
        # noise of its own at every node, by the node's number: the last bit of a time depends on the compiler
        at = jax.random.fold_in(fresh, jnp.argmin(jnp.abs(nodes - t)))
        return SCORE_ESTIMATORS[estimator](
            at, q, temperature, a, schedule.signal(t), schedule.noise(t), num, **extra
        )

    if process not in PROCESSES:
        raise SoftqError(f"unknown process '{process}'.{suggest(process, PROCESSES)}")
    if process == "ancestral":
        noise_of = noise_from_score(score, schedule)
        action = ancestral(first, noise_of, dim, schedule, num_steps, trajectory=trajectory, **options)
    else:
        reverse = reverse_sde if process == "sde" else probability_flow
        options = {"final": "reflect"} | options
        action = reverse(first, score, dim, schedule, num_steps, trajectory=trajectory, **options)
    if eager(action):  # the actions that Q was asked about are inside a loop: look at others
        finite_on(q, dim, slopes=estimator != "qne")
        if not np.isfinite(action).all():
            raise SoftqError(
                "an estimated score is not finite; look at Q near the walls, or choose a higher temperature."
            )
    return action
