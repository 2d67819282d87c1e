"""The decorator of every sampler: it checks the arguments and, in a call by hand, looks at all that the sampler met.

A compiled program cannot raise. So a call with nothing traced is compiled with checks of every value inside it, which
`jax.experimental.checkify` carries out of loops and batches. A call inside `jit`, `vmap` or `grad` has no checks: the
decorator leaves no trace in its program.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import checkify

from softq.utils.checks import compiling, eager, inside_box, not_finite, positive
from softq.utils.errors import SoftqError

Kernel = TypeVar("Kernel", bound=Callable)
LANDSCAPE = "the landscape"


def checked(
    function: str = "q",
    what: str = LANDSCAPE,
    above_zero: Sequence[str] = (),
    in_box: Sequence[str] = (),
    outside: bool = True,
) -> Callable[[Kernel], Kernel]:
    """A decorator for a sampler: it checks arguments by name and, called by hand, what the sampler met.

    Concrete arguments `above_zero` are checked by `positive`, those `in_box` by `inside_box`. `function` names the
    argument that maps an action `(d,)` to `what`: a value of Q, whose slopes are looked at as well where the sampler
    takes them, or a score or slope. If nothing is traced, each call of the function is looked at; actions beyond the
    box do not count unless they are `outside`. The sampler then raises `SoftqError` where the function is not finite,
    or if its own result is not.
    """

    def decorate(sampler: Kernel) -> Kernel:
        signature = inspect.signature(sampler)

        @functools.wraps(sampler)
        def call(*args: object, **kwargs: object) -> object:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = bound.arguments
            for name in above_zero:
                positive(name, given[name])
            for name in in_box:
                if given[name] is not None:
                    inside_box(name, given[name])
            if eager(given) and not compiling():
                given[function] = _watched(given[function], what, outside)
                look = checkify.checkify(lambda: sampler(*bound.args, **bound.kwargs), checkify.user_checks)
                error, result = jax.jit(look)()
                if eager(result):  # the function may hold what is traced
                    _raise(error, what, result)
                    return result
            return sampler(*args, **kwargs)

        return call

    return decorate


def _watched(f: Callable[..., Array], what: str, outside: bool) -> Callable[..., Array]:
    """`f` of an action, with a check of each value and, for Q, of each slope."""

    def look(name: str, action: Array, value: Array) -> None:
        numbers = jnp.ravel(value)
        bad = ~jnp.isfinite(numbers)
        counts = True if outside else jnp.all(jnp.abs(action) <= 1)
        first = numbers[jnp.argmax(bad)]
        checkify.check(~(jnp.any(bad) & counts), name, action=action, value=first)

    def seen(action: Array, *rest: Array) -> Array:
        value = f(action, *rest)
        look(what, action, value)
        return value

    if what != LANDSCAPE:
        return seen

    def with_slope(action: Array) -> tuple[Array, Array]:
        value, slope = jax.value_and_grad(f)(action)
        look(what, action, value)
        look("the slope", action, slope)
        return value, slope

    q = jax.custom_vjp(seen)
    q.defvjp(with_slope, lambda slope, weight: ((weight * slope).astype(slope.dtype),))
    return q


def _raise(error: checkify.Error, what: str, result: object) -> None:
    """`SoftqError` for the first failed check, or for numbers of `result` that are not finite."""
    failed = error.get_exception()
    if failed is not None:
        raise not_finite(failed.fmt_string, **failed.kwargs)
    if not all(np.isfinite(x).all() for x in jax.tree.leaves(result)):
        raise SoftqError(
            f"the sampled action is not finite, though {what} was wherever it was looked at; "
            "choose a higher temperature or shorter steps."
        )
