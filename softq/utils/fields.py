"""Fields of a `pytree` class that say what they are and refuse a value that they cannot have.

    learning_rate: float = positive(3e-4, "Adam's learning rate of the critics (Table 2)")

`help` is a sentence that can be read alone, in `softq train NAME --help`: the noun, its symbol in the paper, its unit,
its source. The check is made when an object is made by its constructor. Values that cannot be looked at, because JAX is
tracing them or they are shapes only, pass; of an array, as `jax.vmap` takes it for a sweep, every entry is checked.

Two keywords concern the command line: `option` is the name of the option that sets the field (by default the field's
own), and `static=True` makes a number part of the tree's structure.
"""

import dataclasses
import typing
from collections.abc import Callable, Collection
from functools import cache
from typing import Any

import jax

from softq.utils.field_checks import (
    Check,
    instance,
    literal,
    member,
    numbers,
    truth,
    whole_number,
    widths,
    words,
)

UNSEEN = (jax.core.Tracer, jax.ShapeDtypeStruct)  # stand for values that do not exist yet


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
    """A whole number that is at least `least`; static."""
    return described(default, help, whole_number(least), True, option)


def sizes(default: tuple[int, ...], help: str, option: str | None = None) -> Any:
    """One or more whole numbers above 0, the widths of layers for example; static."""
    return described(default, help, widths, True, option)


def flag(default: bool, help: str, option: str | None = None) -> Any:
    """True or False; static."""
    return described(default, help, truth, True, option)


def text(default: str, help: str, option: str | None = None) -> Any:
    """Any text; static."""
    return described(default, help, words, True, option)


def choice(default: Any, help: str, option: str | None = None) -> Any:
    """One of the values of the field's annotation, a `Literal` or a name of one; static."""
    return described(default, help, literal, True, option)


def name(
    default: str,
    help: str,
    options: Collection[str] | Callable[[], Collection[str]],
    option: str | None = None,
) -> Any:
    """A key of `options`, or of what `options()` returns when it is needed; static."""
    return described(default, help, member(options), True, option)


def nested(default: Any, help: str, option: str | None = None, shorthand: str | None = None) -> Any:
    """An object of the class of `default`, a pytree whose own fields become options on the command line.

    Anything else is taken for the field `shorthand` of a copy of `default`, if there is one.
    """
    return described(default, help, instance(type(default)), False, option, shorthand)


def inherited(base: type, field: str, default: Any, help: str | None = None) -> Any:
    """The field of that name of `base` for a subclass that has another default, and another help where it is given."""
    metadata = {x.name: x for x in dataclasses.fields(base)}[field].metadata
    return dataclasses.field(default=default, metadata=metadata | ({} if help is None else {"help": help}))


def described(
    default: Any, help: str, check: Check, static: bool, option: str | None, shorthand: str | None = None
) -> Any:
    """A dataclass field with this metadata; its `check` lets values pass that do not exist yet."""

    def seen(name: str, value: Any, kind: Any) -> None:
        if not isinstance(value, UNSEEN):
            check(name, value, kind)

    metadata = {"help": help, "check": seen, "static": static, "option": option, "shorthand": shorthand}
    return dataclasses.field(default=default, metadata=metadata)


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
        default: Any = field.default
        if short and not isinstance(value, type(default)):
            check, kind = next(rest for name, *rest in checks_of(type(default)) if name == short)
            check(field.name, value, kind)  # under the name that was written
            made = dataclasses.replace(default, **{short: value})
            object.__setattr__(tree, field.name, made)  # the way into a frozen dataclass
    for name, check, kind in checks_of(type(tree)):
        check(name, getattr(tree, name), kind)
