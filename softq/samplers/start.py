"""The first action of a chain and the length of its steps, found from the landscape once for each draw."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.box import uniform_action
from softq.samplers.base import Landscape
from softq.samplers.snis import snis
from softq.samplers.step_size import StableStep, stability_limit, stable_step
from softq.utils.checks import eager

PROBES = 4  # the number of actions at which a curvature is measured, each drawn by SNIS
POOL = 32  # the number of uniform candidates of each of these draws


def is_measured(step: float | Array | StableStep) -> bool:
    """Whether the step is found by evaluations of Q, for which `absolute_step` needs a key."""
    return isinstance(step, StableStep) and step.curvature is None


def absolute_step(
    step: float | Array | StableStep, key: Array | None, q: Landscape, dim: int, temperature: float | Array
) -> float | Array:
    """The step size as a number, in squared units of an action; `key` may be None unless the step `is_measured`."""
    if not isinstance(step, StableStep):
        return step
    if step.curvature is not None:
        return jnp.minimum(step.share * stability_limit(temperature, step.curvature), step.longest)
    actions = jax.vmap(lambda k: snis(k, q, dim, temperature, POOL))(jax.random.split(key, PROBES))
    return stable_step(q, actions, temperature, step.share, step.longest)


def repeated(step: float | Array, num: int) -> Array | np.ndarray:
    """`num` equal steps, `(num,)`, as a NumPy array where `step` is concrete, which shortens the program of MALA."""
    return np.full(num, step) if eager(step) else jnp.full(num, step)


def start_and_step(
    key: Array,
    q: Landscape,
    dim: int,
    temperature: float | Array,
    num_candidates: int,
    step: float | Array | StableStep,
) -> tuple[Array, float | Array]:
    """The first action `(dim,)` of a chain, a draw of `snis` or a uniform one for one candidate, and its step size."""
    probe, draw = jax.random.split(key) if is_measured(step) else (None, key)
    start = (
        uniform_action(draw, dim) if num_candidates == 1 else snis(draw, q, dim, temperature, num_candidates)
    )
    return start, absolute_step(step, probe, q, dim, temperature)
