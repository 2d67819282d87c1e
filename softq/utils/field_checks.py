"""What a field of `softq.utils.fields` can hold: each check takes a field's name, its value and its annotation.

It raises `SoftqError` for a value that the field cannot have. Scalars of NumPy and JAX count as Python's own.
"""

import types
import typing
from collections.abc import Callable, Collection
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from softq.utils.checks import one_of
from softq.utils.errors import SoftqError

Check = Callable[[str, Any, Any], None]
ARRAYS = (np.ndarray, np.generic, jax.Array)


def numbers(wanted: str, holds: Callable[[np.ndarray], np.ndarray], one: bool) -> Check:
    """A finite number that `holds`; without `one` an array of them too."""

    def check(name: str, value: Any, kind: Any) -> None:
        real = isinstance(value, (int, float, *ARRAYS)) and not isinstance(value, bool)
        values = np.asarray(value) if real else np.empty(0, object)
        if not (jnp.issubdtype(values.dtype, jnp.integer) or jnp.issubdtype(values.dtype, jnp.floating)):
            raise wrong(name, value, "a number")
        if one and values.ndim:
            raise wrong(name, value, "one number")
        for good, expected in ((np.isfinite, "finite"), (holds, wanted)):
            bad = ~good(values)
            if bad.any():
                raise wrong(name, values[bad].flat[0] if values.ndim else value, expected)

    return check


def whole_number(least: int) -> Check:
    """A whole number, also written as 1e6, that is at least `least`."""

    def check(name: str, value: Any, kind: Any) -> None:
        value = scalar(value)
        if not whole(value):
            raise wrong(name, value, "a whole number")
        if value < least:
            raise wrong(name, value, f"at least {least}")

    return check


def widths(name: str, value: Any, kind: Any) -> None:
    """One or more whole numbers above 0."""
    if not isinstance(value, tuple | list | np.ndarray) or not len(value):
        raise wrong(name, value, "one or more whole numbers")
    for item in map(scalar, value):
        if not whole(item) or item < 1:
            raise wrong(name, value, "whole numbers that are at least 1")


def truth(name: str, value: Any, kind: Any) -> None:
    """True or False."""
    if not isinstance(scalar(value), bool):
        raise wrong(name, value, "True or False")


def words(name: str, value: Any, kind: Any) -> None:
    """Any text."""
    if not isinstance(value, str):
        raise wrong(name, value, "text")


def literal(name: str, value: Any, kind: Any) -> None:
    """One of the values of the annotation, a `Literal`."""
    one_of(name, value, literals(kind))


def member(options: Collection[str] | Callable[[], Collection[str]]) -> Check:
    """One of `options`, or of what `options()` returns when it is needed."""

    def check(name: str, value: Any, kind: Any) -> None:
        one_of(name, value, tuple(options() if callable(options) else options))

    return check


def instance(cls: type) -> Check:
    """An object of `cls`."""

    def check(name: str, value: Any, kind: Any) -> None:
        if not isinstance(value, cls):
            raise wrong(name, value, f"a {cls.__name__}, for example {cls.__name__}()")

    return check


def literals(kind: Any) -> tuple:
    """The values of a `Literal`, of an alias of one, or of a union of them."""
    kind = getattr(kind, "__value__", kind)  # what `type Name = ...` stands for
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return tuple(value for part in typing.get_args(kind) for value in literals(part))
    if kind is types.NoneType:
        return (None,)
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def scalar(value: Any) -> Any:
    """`value` as Python's own where it is a NumPy or JAX scalar."""
    return value.item() if isinstance(value, ARRAYS) and np.ndim(value) == 0 else value


def whole(value: Any) -> bool:
    """Whether a Python number is an integer, also written as 1e6."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1


def wrong(name: str, value: Any, expected: str) -> SoftqError:
    """The error for a `value` that is not what is expected."""
    shown = " ".join((repr(value) if isinstance(value, str) else str(value)).split())
    return SoftqError(f"{name} is {shown}; it must be {expected}.")
