"""One line for a bad knob, or for a landscape that is not finite somewhere.

Traced values cannot be looked at, so only concrete ones are checked: a sampler that is called by hand looks at every
value and slope that it meets (`softq.utils.checked`); inside `jit` and `vmap` the same calls do nothing and cost
nothing. There, let `finite_on` look at the landscape beforehand; `softq.utils.finite` says what becomes of such values.
"""

from collections.abc import Callable, Collection
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.utils.errors import SoftqError, suggest


def one_of(what: str, value: object, options: Collection | Any) -> None:
    """Raise `SoftqError` that names the nearest of `options` unless `value` is one of them.

    `options` is a mapping, a tuple or a `Literal` type; `what` is the word for it, as in "unknown sampler 'malla'."
    """
    options = get_args(options) or tuple(options)
    if not any(isinstance(value, type(option)) and value == option for option in options):
        raise SoftqError(f"unknown {what} {value!r}.{suggest(str(value), options)}")


def positive(name: str, value: object) -> None:
    """Raise `SoftqError` unless every entry of a concrete `value` is finite and positive."""
    if isinstance(value, jax.core.Tracer):
        return
    values = np.asarray(value)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise SoftqError(
            f"{name} must be positive and finite, got {values[bad].flat[0]:g}; choose a value above 0."
        )


def inside_box(name: str, value: object) -> None:
    """Raise `SoftqError` unless a concrete `value` lies in [-1, 1]^d."""
    if isinstance(value, jax.core.Tracer):
        return
    values = np.asarray(value)
    bad = ~(np.abs(values) <= 1)
    if bad.any():
        raise SoftqError(
            f"{name} must lie in the box [-1, 1], got {values[bad].flat[0]:g}; clip or rescale it."
        )


def eager(*values: object) -> bool:
    """Whether none of `values` is traced: a call by hand, whose results can be looked at."""
    return not any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(values))


def compiling() -> bool:
    """Whether this call is part of a program that JAX is tracing, where even a constant is traced."""
    return not eager(jnp.zeros(()))


def not_finite(what: str, value: float | Array, action: Array) -> SoftqError:
    """The error of a `value` of `what` that is not finite at a concrete `action` `(d,)`."""
    return SoftqError(
        f"{what} is {value} at action {np.asarray(action, float).round(4).tolist()}; mend Q there."
    )


def finite_at(actions: Array, values: Array, what: str = "the landscape") -> None:
    """Raise `SoftqError` that names the first of concrete `actions` `(n, d)` whose row of `values` `(n, ...)` is not
    finite. Does nothing for traced ones.
    """
    if not eager(actions, values):
        return
    rows = np.asarray(values, np.float64).reshape(len(actions), -1)
    bad = ~np.isfinite(rows)
    if bad.any():
        first = int(np.argmax(bad.any(axis=1)))
        raise not_finite(what, rows[first][bad[first]][0], actions[first])


def finite_on(q: Callable[[Array], Array], dim: int, num: int = 4096, slopes: bool = True) -> None:
    """Raise `SoftqError` if Q is not finite at one of `num` uniform actions, the middle or a corner.

    The slope is looked at too, unless `slopes` is False. Call it by hand, before a program that is compiled or
    batched samples `q`. It can miss a narrow fault.
    """
    positive("dim", dim)
    positive("num", num)
    rng = np.random.default_rng(0)
    corners = 1 - 2 * ((np.arange(2 ** min(dim, 10))[:, None] >> np.arange(dim)) & 1)
    probes = jnp.asarray(
        np.concatenate([np.zeros((1, dim)), corners, rng.uniform(-1, 1, (num, dim))]), jnp.float32
    )
    finite_at(probes, jax.jit(jax.vmap(q))(probes))
    if slopes:
        finite_at(probes, jax.jit(jax.vmap(jax.grad(q)))(probes), "the slope of the landscape")
