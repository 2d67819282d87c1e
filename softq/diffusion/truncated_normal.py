"""Standard normal variables restricted to an interval, accurate also for an interval far out in a tail."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import log_ndtr, ndtri

# `_inverse_log_ndtr` inverts log-probabilities below this one by an expansion; exp(-60) is still a float32 number
TAIL_LOG_P = -60.0


def log_mass(low: Array, high: Array) -> Array:
    """log of the standard normal probability of (low, high), coordinate by coordinate, `(d,)`, with no cancellation."""
    left, right = _to_the_left(low, high)
    above = log_ndtr(right)
    return above + jnp.log(-jnp.expm1(log_ndtr(left) - above))


def truncated_normal(key: Array, low: Array, high: Array, num: int) -> Array:
    """`num` draws `(num, d)` of a standard normal z given low < z < high, both `(d,)`, by inverting its distribution.

    The inversion works with logarithms, so that intervals far from zero are as accurate as others. MaxEntDP's released
    code uses `jax.random.truncated_normal`, whose distribution function rounds to 1 beyond 5.5 standard deviations:
    for an interval out there it returns the bound that is farther from zero.
    """
    flip = low + high > 0
    left, right = _to_the_left(low, high)
    u = jax.random.uniform(key, (num, *low.shape), low.dtype, minval=jnp.finfo(low.dtype).tiny)
    above = log_ndtr(right)
    share = jnp.exp(log_ndtr(left) - above)[None]
    z = _inverse_log_ndtr(above[None] + jnp.log(u + (1 - u) * share))
    z = jnp.clip(z, left[None], right[None])
    return jnp.where(flip[None], -z, z)


def _to_the_left(low: Array, high: Array) -> tuple[Array, Array]:
    """The interval or its mirror image, whichever has its middle at or below zero, where `log_ndtr` is accurate."""
    flip = low + high > 0
    return jnp.where(flip, -high, low), jnp.where(flip, -low, high)


def _inverse_log_ndtr(log_p: Array) -> Array:
    """The z with log_ndtr(z) = log_p < 0; in the far tail by Newton's method from the leading term of an expansion."""
    near = ndtri(jnp.exp(jnp.maximum(log_p, TAIL_LOG_P)))
    tail = jnp.minimum(log_p, TAIL_LOG_P)
    z = -jnp.sqrt(-2 * tail - jnp.log(2 * jnp.pi) - jnp.log(-2 * tail))
    for _ in range(3):
        value = log_ndtr(z)
        z = z - (value - tail) * jnp.exp(value + z**2 / 2 + 0.5 * jnp.log(2 * jnp.pi))
    return jnp.where(log_p > TAIL_LOG_P, near, z)
