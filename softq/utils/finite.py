"""What every sampler does with numbers that it did not choose: float types, and values that are not finite.

One rule for types. A sampler works in the type of the action that it is given, if that is single or double precision;
whole numbers and half precision become JAX's default float (single, or double under `jax_enable_x64`), in which
uniform actions are drawn as well. Steps, temperatures, values of Q and slopes are taken in that type.

One rule for values. Called by hand, samplers raise where Q is not finite (`softq.utils.checked`). A compiled program
cannot raise; there an action whose Q is NaN or infinite has weight nought. Plus infinity counts as an overflow like the
rest: an infinite weight is no law. A chain leaves such an action at once, unless it was started there and has not found
the way out. Chains that accept every step look at their last one only if they are asked to (`check_last`): that costs
one score more.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


def working(action: ArrayLike) -> Array:
    """`action`, or several, in the type that a sampler works in."""
    action = jnp.asarray(action)
    good = jnp.issubdtype(action.dtype, jnp.floating) and action.dtype.itemsize >= 4
    return action if good else action.astype(jnp.result_type(float))


def weighable(values: Array, like: Array) -> Array:
    """Values of Q with minus infinity for those that are not finite, in the type of the actions `like`."""
    values = values.astype(like.dtype)
    return jnp.where(jnp.isfinite(values), values, -jnp.inf)


def shares(logits: Array) -> Array:
    """softmax of `logits` `(n,)`; all alike where every one of them is minus infinity."""
    return jax.nn.softmax(jnp.where(jnp.any(logits > -jnp.inf), logits, 0.0))


def tamed(action: Array, value: Array, slope: Array) -> tuple[Array, Array, Array]:
    """An action `(d,)`, Q and its slope there as Metropolis chains use them.

    Where one of the two is not finite there is no slope. Any drift leaves the softmax invariant as long as the
    rule of acceptance knows it.
    """
    value, slope = weighable(value, action), slope.astype(action.dtype)
    finite = jnp.all(jnp.isfinite(slope)) & (value > -jnp.inf)
    return action, value, jnp.where(finite, slope, 0.0)


Last = tuple[
    Array, Array
]  # the last action `(d,)` where the score was finite (NaN before there is one), and the score


def nowhere(action: Array) -> Last:
    """The `Last` of a chain that has not begun."""
    return jnp.full_like(action, jnp.nan), jnp.zeros_like(action)


def step_back(action: Array, score: Array, last: Last) -> tuple[Array, Array, Last]:
    """An action `(d,)` and the score there as chains use them that accept every step; and the next `last`.

    Where the score is not finite they go back to `last`. A chain that has not seen a finite one yet stays, without a
    drift, so that its noise leads it out.
    """
    finite = jnp.all(jnp.isfinite(score))
    last = jnp.where(finite, action, last[0]), jnp.where(finite, score.astype(action.dtype), last[1])
    return jnp.where(jnp.any(jnp.isnan(last[0])), action, last[0]), last[1], last
