"""Command-line options made from the fields of dataclasses: their names, types, defaults and help."""

import argparse
import ast
import contextlib
import dataclasses
import json
import types
import typing
from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from softq.utils.errors import SoftqError, suggest
from softq.utils.flat_settings import helps, settings_of


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises `SoftqError`, which names the nearest option for an unknown one."""

    def __init__(self, **kwargs: Any):
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise `message` as a `SoftqError`, where argparse would print it and exit."""
        name = self.prog.split(" {")[0]
        raise SoftqError(f"{message}; see `{name} --help`.")

    def parse(self, argv: list[str]) -> argparse.Namespace:
        """The options in `argv`. Raises `SoftqError` for an unknown option, and for a value that does not fit."""
        known, rest = self.parse_known_args(argv)
        if rest:
            word = rest[0].split("=")[0]
            options = [option for option in self._option_string_actions if option.startswith("--")]
            hint = suggest(word, options) if word.startswith("-") else f" See `{self.prog} --help`."
            raise SoftqError(f"unknown option {word!r}.{hint}")
        return known


def int_option(text: str) -> int:
    """The whole number in the `text` of an option, also written 1e6 or 1_000_000.

    Raises `ArgumentTypeError`, which argparse reports, for any other text.
    """
    try:
        number = float(text)
        if number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"invalid integer value: {text!r}")


def keywords(words: list[str]) -> dict[str, Any]:
    """The settings in words NAME=VALUE or in one JSON object, by name; `literal` reads the values.

    Raises `SoftqError` for words of another form.
    """
    try:
        if words and words[0].lstrip().startswith("{"):
            return dict(json.loads(" ".join(words)))
        pairs = [word.split("=", 1) for word in words]
        return {name: literal(value) for name, value in pairs}
    except ValueError:
        raise SoftqError(
            f"cannot read the settings {' '.join(words)!r}; write NAME=VALUE, or a JSON object in quotes."
        ) from None


def literal(text: str) -> Any:
    """The value of `text` as JSON, or else as a Python literal, or else `text` itself."""
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError):
            return read(text)
    return text


class Keywords(argparse.Action):
    """The argparse action that stores words NAME=VALUE as a dictionary."""

    def __call__(self, parser: Any, namespace: Any, words: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, getattr(namespace, self.dest, {}) | keywords(words))


def add_fields(
    parser: Parser,
    cls: type,
    title: str,
    leave_out: tuple[str, ...] = (),
    defaults: Mapping[str, Any] = MappingProxyType({}),
    hidden: Container[str] = (),
) -> None:
    """Add an option for each setting of the dataclass `cls`, in the group `title`, but those named in `leave_out`.

    Options that are not given are absent from the parsed result. `defaults` replaces defaults in the help, which leaves
    out those that are `hidden`.
    """
    group, said = parser.add_argument_group(title), helps(cls)
    for name, setting in settings_of(cls).items():
        if name in leave_out:
            continue
        default = defaults.get(name, setting.default)
        shown = "none" if default is dataclasses.MISSING else default
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else shown
        words = f"{said[name]} [{shown}]".strip().replace("%", "%%")  # argparse formats help with %
        add_option(group, name, setting.kind, argparse.SUPPRESS if name in hidden else words)


def add_option(group: Any, name: str, kind: Any, words: str = argparse.SUPPRESS) -> None:
    """Add the option of the setting `name` with the annotation `kind`; `--help` shows it only with `words`."""
    option = f"--{name.replace('_', '-')}"
    group.add_argument(option, dest=name, help=words, default=argparse.SUPPRESS, **reading(kind))


def reading(kind: Any) -> dict[str, Any]:
    """The arguments of `add_argument` by which argparse reads a value with the annotation `kind`."""
    # of a kind or None the kind is read, since no option stands for None
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kind = next(part for part in typing.get_args(kind) if part is not types.NoneType)
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if typing.get_origin(kind) is dict:
        return {"nargs": "+", "action": Keywords, "metavar": "NAME=VALUE"}
    if typing.get_origin(kind) is tuple:
        return {"nargs": "+", "type": int_option, "metavar": "N"}
    if typing.get_origin(kind) is typing.Literal:
        return {"choices": typing.get_args(kind)}
    metavar = {int: "N", float: "X"}.get(kind, "NAME")
    return {"type": {int: int_option, float: float}.get(kind, str), "metavar": metavar}
