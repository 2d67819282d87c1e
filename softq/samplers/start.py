"""Where a chain starts, and how long its steps are: found from the landscape, once for each action."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.box import uniform_action
from softq.samplers.base import Landscape
from softq.samplers.snis import snis
from softq.samplers.step_size import StableStep, stability_limit, stable_step
from softq.utils.checks import eager

PROBES = 4  # actions at which a curvature is measured, each drawn by SNIS
POOL = 32  # from so many uniform ones


def is_measured(step: float | Array | StableStep) -> bool:
    """Whether finding the step takes a look at the landscape, and a key."""
    return isinstance(step, StableStep) and step.curvature is None


def absolute_step(
    step: float | Array | StableStep, key: Array | None, q: Landscape, dim: int, temperature: float | Array
) -> float | Array:
    """The step in absolute units; one that is a number is just that. `key` is for a step that `is_measured`."""
    if not isinstance(step, StableStep):
        return step
    if step.curvature is not None:
        return jnp.minimum(step.share * stability_limit(temperature, step.curvature), step.longest)
    actions = jax.vmap(lambda k: snis(k, q, dim, temperature, POOL))(jax.random.split(key, PROBES))
    return stable_step(q, actions, temperature, step.share, step.longest)


def repeated(step: float | Array, num: int) -> Array | np.ndarray:
    """`num` steps alike, `(num,)`. A number that the compiler knows stays known, which shortens MALA's program."""
    return np.full(num, step) if eager(step) else jnp.full(num, step)


def start_and_step(
    key: Array,
    q: Landscape,
    dim: int,
    temperature: float | Array,
    num_candidates: int,
    step: float | Array | StableStep,
) -> tuple[Array, float | Array]:
    """What one chain needs: its first action, a draw of `snis` (a uniform one for one candidate), and its step."""
    probe, draw = jax.random.split(key) if is_measured(step) else (None, key)
    start = (
        uniform_action(draw, dim) if num_candidates == 1 else snis(draw, q, dim, temperature, num_candidates)
    )
    return start, absolute_step(step, probe, q, dim, temperature)
