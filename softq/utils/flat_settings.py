"""A class's settings under flat names: what options, presets and config.json call them.

A field that holds an object, such as `temperature: Temperature = nested(Temperature(0.1), ...)`, has a setting for each
field of that object: `temperature_rule`, unless the metadata `option` of either field says another name. A field of the
object with the empty option takes the name and the help of the outer field: `temperature` is the object's own number.
"""

import dataclasses
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from softq.utils.errors import SoftqError, suggest

T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """One value that can be set: its flat name, the fields that lead to it, and what the last of these says of it."""

    name: str
    path: tuple[str, ...]
    kind: Any  # the annotation
    default: Any  # dataclasses.MISSING without one
    help: str  # "" without one
    check: Callable[[str, Any, Any], None] | None


@cache
def settings_of(cls: type) -> dict[str, Setting]:
    """The settings of a dataclass by flat name, in the order of its fields.

    Raises `TypeError` when two of them have the same name.
    """
    found: dict[str, Setting] = {}
    for setting in listed(cls, lambda field: field.default):
        if setting.name in found:
            raise TypeError(f"{cls.__name__} has two settings that are called {setting.name}")
        found[setting.name] = setting
    return found


def listed(
    cls: type,
    default_of: Callable[[dataclasses.Field], Any],
    prefix: str = "",
    outer: str = "",
    path: tuple[str, ...] = (),
) -> Iterator[Setting]:
    """The settings of `cls`, whose fields have the defaults `default_of(field)`.

    They are inside the field at `path`, whose name is `prefix` and whose help is `outer`.
    """
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        own, default, here = field.metadata.get("option"), default_of(field), (*path, field.name)
        longer = f"{prefix}_{field.name}" if prefix else field.name
        name = longer if own is None else own.replace("-", "_") or prefix or field.name
        said = field.metadata.get("help", "")
        said = outer or said if own == "" else said
        if holds_settings(default):
            within = lambda field, tree=default: getattr(tree, field.name)
            yield from listed(type(default), within, name, said, here)
        else:
            yield Setting(name, here, hints[field.name], default, said, field.metadata.get("check"))


def holds_settings(value: Any) -> bool:
    """Whether `value` is an object with fields of its own."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def flat(tree: Any) -> dict[str, Any]:
    """All settings of an object by flat name: what `built` makes an equal object from."""
    values = {}
    for setting in settings_of(type(tree)).values():
        value = tree
        for field in setting.path:
            value = getattr(value, field)
        values[setting.name] = value
    return values


def fields_from(given: Mapping[str, Any], cls: type, *others: type) -> dict[str, Any]:
    """Arguments for the constructor of `cls` from the flat settings `given`; lists become tuples.

    An object that a field holds is the field's default, or the one in `given` under the field's name, with the settings
    that are given changed. Settings that only the classes `others` have are left out, so that a preset can hold those
    of an algorithm and of its training together. Raises `SoftqError` for a setting that none of the classes has, and,
    under the flat name, for a value that an object in a field cannot have.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    return arguments(given, cls, defaults.__getitem__, others)


def built(cls: type[T], given: Mapping[str, Any], *others: type) -> T:
    """An object of `cls` from flat settings; see `fields_from` for what may be given and what is raised."""
    return cls(**fields_from(given, cls, *others))


def with_settings(tree: Any, given: Mapping[str, Any]) -> Any:
    """A copy of `tree` in which the flat settings `given` are changed, also those of the objects that it holds.

    Raises `SoftqError` for a setting that its class does not have.
    """
    return dataclasses.replace(tree, **arguments(given, type(tree), lambda name: getattr(tree, name)))


def arguments(
    given: Mapping[str, Any], cls: type, before: Callable[[str], Any], others: tuple[type, ...] = ()
) -> dict[str, Any]:
    """See `fields_from`; `before(name)` is what the field `name` holds where `given` has no object for it."""
    whole = [x.name for x in dataclasses.fields(cls) if holds_settings(given.get(x.name))]
    check_names((name for name in given if name not in whole), cls, *others)
    values: dict[tuple[str, ...], Any] = {(name,): given[name] for name in whole}
    for name, setting in settings_of(cls).items():
        if name not in given or name in whole:
            continue
        value = tupled(given[name])
        if len(setting.path) > 1 and setting.check:
            setting.check(name, value, setting.kind)
        values[setting.path] = value
    return gathered(values, before)


def check_names(names: Iterable[str], *classes: type) -> None:
    """Raise `SoftqError`, which suggests the nearest setting, for the first of `names` that no class has."""
    known = dict.fromkeys(name for cls in classes for name in settings_of(cls))
    for name in names:
        if name not in known:
            owners = " and ".join(cls.__name__ for cls in classes)
            have = "has" if len(classes) == 1 else "have"
            raise SoftqError(f"{owners} {have} no setting {name!r}.{suggest(name, known)}")


def tupled(value: Any) -> Any:
    """`value` with tuples where JSON has lists."""
    return tuple(map(tupled, value)) if isinstance(value, list) else value


def gathered(values: Mapping[tuple[str, ...], Any], before: Callable[[str], Any]) -> dict[str, Any]:
    """`values` by path as values by field: those inside an object change a copy of it."""
    found = {path[0]: value for path, value in values.items() if len(path) == 1}
    for name in dict.fromkeys(path[0] for path in values if len(path) > 1):
        inside = {path[1:]: value for path, value in values.items() if path[0] == name and len(path) > 1}
        tree = found.get(name, before(name))
        found[name] = dataclasses.replace(
            tree, **gathered(inside, lambda field, tree=tree: getattr(tree, field))
        )
    return found


def helps(cls: type) -> dict[str, str]:
    """What each setting of `cls` is, by flat name."""
    return {name: setting.help for name, setting in settings_of(cls).items()}
