"""Fields of a `pytree` class that say what they are and refuse a value that they cannot have.

    learning_rate: float = positive(3e-4, "Adam's learning rate of the critics (Table 2)")

`help` is a sentence that can be read alone, in `softq train NAME --help`: the noun, its symbol in the paper, its unit,
its source. The check is made when an object is made by its constructor. Values that cannot be looked at, because JAX is
tracing them or they are shapes only, pass; of an array, as `jax.vmap` takes it for a sweep, every entry is checked.

Two keywords concern the command line: `option` is the name of the option that sets the field (by default the field's
own), and `static=True` makes a number part of the tree's structure.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Collection
from functools import cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from softq.utils.errors import SoftqError, suggest

Check = Callable[[str, Any, Any], None]
"""Called with a field's name, value and annotation; raises `SoftqError` for a value that the field cannot have."""

UNSEEN = (jax.core.Tracer, jax.ShapeDtypeStruct)  # stand for values that do not exist yet
ARRAYS = (np.ndarray, np.generic, jax.Array)


def number(default: float, help: str, static: bool = False, option: str | None = None) -> Any:
    """A finite number."""
    return described(default, help, numbers("finite", lambda x: x == x, static), static, option)


def positive(default: float, help: str, static: bool = False, option: str | None = None) -> Any:
    """A finite number above 0."""
    return described(default, help, numbers("positive", lambda x: x > 0, static), static, option)


def nonnegative(default: float, help: str, static: bool = False, option: str | None = None) -> Any:
    """A finite number that is at least 0."""
    return described(default, help, numbers("0 or more", lambda x: x >= 0, static), static, option)


def share(default: float, help: str, static: bool = False, option: str | None = None) -> Any:
    """A number in [0, 1]: a probability, a discount, a rate of averaging."""
    within = numbers("between 0 and 1", lambda x: (x >= 0) & (x <= 1), static)
    return described(default, help, within, static, option)


def count(default: int, help: str, least: int = 1, option: str | None = None) -> Any:
    """A whole number that is at least `least`; static. 1e6 is one too."""

    def check(name: str, value: Any, kind: Any) -> None:
        value = scalar(value)
        if not whole(value):
            raise wrong(name, value, "a whole number")
        if value < least:
            raise wrong(name, value, f"at least {least}")

    return described(default, help, check, True, option)


def flag(default: bool, help: str, option: str | None = None) -> Any:
    """True or False; static."""

    def check(name: str, value: Any, kind: Any) -> None:
        if not isinstance(scalar(value), bool):
            raise wrong(name, value, "True or False")

    return described(default, help, check, True, option)


def choice(default: Any, help: str, option: str | None = None) -> Any:
    """One of the values of the field's annotation, a `Literal` or a name of one; static."""

    def check(name: str, value: Any, kind: Any) -> None:
        one_of(name, value, literals(kind))

    return described(default, help, check, True, option)


def name(
    default: str,
    help: str,
    options: Collection[str] | Callable[[], Collection[str]],
    option: str | None = None,
) -> Any:
    """A key of `options`, or of what `options()` returns when it is needed; static."""

    def check(name: str, value: Any, kind: Any) -> None:
        one_of(name, value, tuple(options() if callable(options) else options))

    return described(default, help, check, True, option)


def text(default: str, help: str, option: str | None = None) -> Any:
    """Any text; static."""

    def check(name: str, value: Any, kind: Any) -> None:
        if not isinstance(value, str):
            raise wrong(name, value, "text")

    return described(default, help, check, True, option)


def sizes(default: tuple[int, ...], help: str, option: str | None = None) -> Any:
    """One or more whole numbers above 0, the widths of layers for example; static."""

    def check(name: str, value: Any, kind: Any) -> None:
        if not isinstance(value, tuple | list | np.ndarray) or not len(value):
            raise wrong(name, value, "one or more whole numbers")
        for item in map(scalar, value):
            if not whole(item) or item < 1:
                raise wrong(name, value, "whole numbers that are at least 1")

    return described(default, help, check, True, option)


def nested(default: Any, help: str, option: str | None = None, shorthand: str | None = None) -> Any:
    """An object of the class of `default`, a pytree whose own fields become options on the command line.

    Anything else is taken for the field `shorthand` of a copy of `default`, if there is one.
    """

    def check(name: str, value: Any, kind: Any) -> None:
        title = type(default).__name__
        if not isinstance(value, type(default)):
            raise wrong(name, value, f"a {title}, for example {title}()")

    return described(
        default, help, check, False, option, **({} if shorthand is None else {"shorthand": shorthand})
    )


def inherited(base: type, field: str, default: Any, help: str | None = None) -> Any:
    """The field of that name of `base` for a subclass that has another default, and another help where it is given."""
    metadata = {x.name: x for x in dataclasses.fields(base)}[field].metadata
    return dataclasses.field(default=default, metadata=metadata | ({} if help is None else {"help": help}))


def described(default: Any, help: str, check: Check, static: bool, option: str | None, **more: str) -> Any:
    """A dataclass field with this metadata; its `check` lets values pass that do not exist yet."""

    def seen(name: str, value: Any, kind: Any) -> None:
        if not isinstance(value, UNSEEN):
            check(name, value, kind)

    metadata = {"help": help, "check": seen, "static": static, **more}
    return dataclasses.field(
        default=default, metadata=metadata | ({} if option is None else {"option": option})
    )


def numbers(wanted: str, holds: Callable[[np.ndarray], np.ndarray], static: bool) -> Check:
    """The check that a value, or every entry of an array where the field is a leaf, is finite and `holds`."""

    def check(name: str, value: Any, kind: Any) -> None:
        real = isinstance(value, (int, float, *ARRAYS)) and not isinstance(value, bool)
        values = np.asarray(value) if real else np.empty(0, object)
        if not (jnp.issubdtype(values.dtype, jnp.integer) or jnp.issubdtype(values.dtype, jnp.floating)):
            raise wrong(name, value, "a number")
        if static and values.ndim:
            raise wrong(name, value, "one number")
        for good, expected in ((np.isfinite, "finite"), (holds, wanted)):
            bad = ~good(values)
            if bad.any():
                raise wrong(name, values[bad].flat[0] if values.ndim else value, expected)

    return check


def scalar(value: Any) -> Any:
    """`value` as Python's own where it is a NumPy or JAX scalar."""
    return value.item() if isinstance(value, ARRAYS) and np.ndim(value) == 0 else value


def whole(value: Any) -> bool:
    """Whether a Python number is an integer, also written as 1e6."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1


def one_of(name: str, value: Any, options: tuple) -> None:
    """Raise `SoftqError` unless `value` is one of `options`."""
    if not any(isinstance(value, type(option)) and value == option for option in options):
        raise SoftqError(f"unknown {name} {value!r}.{suggest(value, options)}")


def literals(kind: Any) -> tuple:
    """The values of a `Literal`, of an alias of one, or of a union of them."""
    kind = getattr(kind, "__value__", kind)  # what `type Name = ...` stands for
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return tuple(value for part in typing.get_args(kind) for value in literals(part))
    if kind is types.NoneType:
        return (None,)
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def wrong(name: str, value: Any, expected: str) -> SoftqError:
    """The error for a `value` that is not what is expected."""
    shown = " ".join((repr(value) if isinstance(value, str) else str(value)).split())
    return SoftqError(f"{name} is {shown}; it must be {expected}.")


@cache
def checks_of(cls: type) -> tuple[tuple[str, Check, Any], ...]:
    """Name, check and annotation of each field of the dataclass `cls` that has a check."""
    checked = [field for field in dataclasses.fields(cls) if "check" in field.metadata]
    hints = typing.get_type_hints(cls) if checked else {}
    return tuple((field.name, field.metadata["check"], hints[field.name]) for field in checked)


def check_fields(tree: Any) -> None:
    """Raise `SoftqError` for the first field of a dataclass whose value its specifier does not allow.

    What stands for an object by its `shorthand` is replaced by the object.
    """
    for field in dataclasses.fields(tree):
        short, value = field.metadata.get("shorthand"), getattr(tree, field.name)
        if short and not isinstance(value, type(field.default)):
            check, kind = next(rest for name, *rest in checks_of(type(field.default)) if name == short)
            check(field.name, value, kind)  # under the name that was written
            made = dataclasses.replace(field.default, **{short: value})
            object.__setattr__(tree, field.name, made)  # the way into a frozen dataclass
    for name, check, kind in checks_of(type(tree)):
        check(name, getattr(tree, name), kind)
