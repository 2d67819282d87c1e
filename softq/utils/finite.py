"""The rules of all samplers for the types of numbers, and for values of Q that are not finite.

Types: a sampler works in the type of the actions that it is given, if that is single or double precision. For whole
numbers and half precision, and for uniform actions that it draws itself, it works in JAX's default float, which is
single, or double under `jax_enable_x64`. Steps, temperatures, values of Q and slopes are converted to that type.

Values: outside of compiled programs samplers raise an error where Q is not finite (`softq.utils.checked`). A compiled
program cannot raise one; there an action at which Q is NaN or infinite has weight zero. Plus infinity is treated as an
overflow, since no law has infinite weights. A chain leaves such an action at once, unless it was started there and has
not met a finite value yet. Chains that accept every step check their last action only with `check_last`, which costs
one more evaluation of the score.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


def working(action: ArrayLike) -> Array:
    """An array of actions in the type in which a sampler works."""
    action = jnp.asarray(action)
    good = jnp.issubdtype(action.dtype, jnp.floating) and action.dtype.itemsize >= 4
    return action if good else action.astype(jnp.result_type(float))


def weighable(values: Array, like: Array) -> Array:
    """Values of Q in the type of the actions `like`, with minus infinity in place of values that are not finite."""
    values = values.astype(like.dtype)
    return jnp.where(jnp.isfinite(values), values, -jnp.inf)


def shares(logits: Array) -> Array:
    """The softmax of `logits` `(n,)`, which is uniform when all of them are minus infinity."""
    return jax.nn.softmax(jnp.where(jnp.any(logits > -jnp.inf), logits, 0.0))


def tamed(action: Array, value: Array, slope: Array) -> tuple[Array, Array, Array]:
    """`(action, value, slope)` for a Metropolis chain at an action `(d,)`: Q, and its slope `(d,)`.

    The slope is zero where it or Q is not finite. The chain still samples the softmax, since the rule of acceptance
    corrects for any drift.
    """
    value, slope = weighable(value, action), slope.astype(action.dtype)
    finite = jnp.all(jnp.isfinite(slope)) & (value > -jnp.inf)
    return action, value, jnp.where(finite, slope, 0.0)


# the last action `(d,)` of a chain at which the score was finite, NaN before there is one, and the score there
Last = tuple[Array, Array]


def nowhere(action: Array) -> Last:
    """The `Last` of a chain that starts at `action` `(d,)` and has not evaluated its score yet."""
    return jnp.full_like(action, jnp.nan), jnp.zeros_like(action)


def step_back(action: Array, score: Array, last: Last) -> tuple[Array, Array, Last]:
    """`(action, score, last)` for a chain that accepts every step, at an action `(d,)` with this score `(d,)`.

    Where the score is not finite the chain goes back to `last`. A chain that has not met a finite score yet stays at
    its action without a drift, so that its noise leads it away.
    """
    finite = jnp.all(jnp.isfinite(score))
    last = jnp.where(finite, action, last[0]), jnp.where(finite, score.astype(action.dtype), last[1])
    return jnp.where(jnp.any(jnp.isnan(last[0])), action, last[0]), last[1], last
