"""Langevin steps that are allowed or refused: exactly the softmax, at any step size.

The Metropolis-adjusted Langevin algorithm (Roberts and Tweedie 1996) on a box. The proposal is a reflected Langevin
step; its density is that of a folded Gaussian, a sum over images, and with it the Metropolis-Hastings rule leaves
exp(Q / temperature) invariant exactly. The price beside `langevin` is one value of Q and the images.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.errors import SoftqError
from softq.samplers.boundary import reflect
from softq.samplers.check import inside_box, positive

IMAGES = (
    np.arange(-2, 3, dtype=np.float32) * 4
)  # enough for steps up to 1: the next one is seven standard deviations away
LARGEST_STEP = 1.0


def log_folded_normal(action: Array, mean: Array, step: Array) -> Array:
    """log density of reflect(mean + sqrt(step) * xi) at `action` `(d,)` in the box, xi standard normal.

    The fold of a Gaussian does not change when its mean is folded first, so a few images around the box suffice.
    """
    centre = reflect(mean)[:, None]
    images = jnp.concatenate([action[:, None] + IMAGES[None], 2 - action[:, None] + IMAGES[None]], axis=1)
    logs = jax.nn.logsumexp(-((images - centre) ** 2) / (2 * step), axis=1)
    return jnp.sum(logs) - action.size / 2 * jnp.log(2 * jnp.pi * step)


def mala(
    key: Array,
    q: Callable[[Array], Array],
    temperature: float | Array,
    a0: Array,
    step_sizes: Array,
    trajectory: bool = False,
) -> tuple[Array, Array]:
    """One proposal for each of `step_sizes` `(T,)`, from `a0` `(d,)` in the box.

    Returns the last action `(d,)`, or all `(T + 1, d)` with `trajectory`, and the share of accepted proposals. The
    softmax stays invariant whatever the steps; about 0.6 accepted is efficient. Raises `SoftqError` for a start
    outside the box, a temperature that is not positive, or a concrete step that is not in (0, 1].
    """
    positive("temperature", temperature)
    positive("step_sizes", step_sizes)
    inside_box("a0", a0)
    if not isinstance(step_sizes, jax.core.Tracer) and np.max(np.asarray(step_sizes)) > LARGEST_STEP:
        raise SoftqError(
            f"step_sizes must be at most {LARGEST_STEP:g}, got {np.max(np.asarray(step_sizes)):g}; the box has side 2."
        )
    log_density = jax.value_and_grad(lambda action: q(action) / temperature)

    def move(state: tuple, step_and_key: tuple) -> tuple[tuple, tuple]:
        (action, value, slope), (step, key) = state, step_and_key
        noise, coin = jax.random.split(key)
        mean = action + step / 2 * slope
        there = reflect(mean + jnp.sqrt(step) * jax.random.normal(noise, action.shape, action.dtype))
        value_there, slope_there = log_density(there)
        back = log_folded_normal(action, there + step / 2 * slope_there, step)
        forth = log_folded_normal(there, mean, step)
        accept = jnp.log(jax.random.uniform(coin)) < value_there - value + back - forth
        new = (there, value_there, slope_there)
        state = jax.tree.map(lambda proposed, old: jnp.where(accept, proposed, old), new, state)
        return state, (state[0] if trajectory else None, accept)

    steps = jnp.asarray(step_sizes, a0.dtype)
    keys = jax.random.split(key, len(steps))
    (last, _, _), (path, accepted) = jax.lax.scan(move, (a0, *log_density(a0)), (steps, keys))
    share = jnp.mean(accepted.astype(a0.dtype))
    return (jnp.concatenate([a0[None], path]) if trajectory else last), share
