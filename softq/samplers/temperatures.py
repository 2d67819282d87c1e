"""Ladders of temperatures, from the wanted one to one at which a chain crosses every valley of Q."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.box import uniform_actions
from softq.samplers.base import Landscape
from softq.samplers.mala import LARGEST_STEP
from softq.samplers.qglg import uniform_std
from softq.samplers.start import absolute_step
from softq.samplers.step_size import StableStep
from softq.utils.checks import eager, positive
from softq.utils.errors import SoftqError

HOTTEST = 4.0  # the highest temperature of a ladder, in standard deviations of Q over uniform actions
NUM_ACTIONS = 32  # the number of uniform actions at which the standard deviation is measured


def ladder(coldest: float, hottest: float, num: int) -> np.ndarray:
    """`num` temperatures in geometric progression, coldest first.

    Raises `SoftqError` unless 0 < coldest < hottest and num is at least 2.
    """
    positive("coldest", coldest)
    if not (hottest > coldest and num >= 2):
        raise SoftqError(
            f"a ladder rises over at least 2 temperatures, got {num} from coldest {coldest:g} to hottest {hottest:g}."
        )
    return np.geomspace(coldest, hottest, num)


def rungs(
    keys: tuple[Array | None, Array | None],
    q: Landscape,
    dim: int,
    temperature: float | Array,
    num: int,
    hottest: float | Array | None,
    step: float | Array | StableStep,
) -> tuple[Array, Array]:
    """`num` temperatures from the one asked for to the `hottest`, in geometric progression, and a step for each.

    If `hottest` is None it is `HOTTEST` standard deviations of Q over uniform actions, or twice the temperature if that
    is more. If `step` is a number it is the step at the lowest temperature; the others grow in proportion to the
    temperature, up to 1. Both results are `(num,)`. `keys` are those of measured steps and of the hottest temperature.
    """
    probe, scale = keys
    if hottest is None:
        hottest = jnp.maximum(
            HOTTEST * uniform_std(jax.vmap(q)(uniform_actions(scale, dim, NUM_ACTIONS))), 2 * temperature
        )
    # with concrete numbers the results are NumPy arrays, which shortens the program of MALA's steps
    xp = np if eager(temperature, hottest, step) else jnp
    temperatures = temperature * (hottest / temperature) ** xp.linspace(0, 1, num)
    if not isinstance(step, StableStep):
        return temperatures, xp.minimum(step * temperatures / temperature, LARGEST_STEP)
    return temperatures, jax.vmap(lambda t: absolute_step(step, probe, q, dim, t))(temperatures)
