"""Command-line options made from dataclasses: name, type, default and help all come from the field itself."""

import argparse
import ast
import contextlib
import dataclasses
import inspect
import io
import json
import textwrap
import tokenize
import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from softq.utils.errors import SoftqError, suggest


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are `SoftqError`, with the nearest option for an unknown one."""

    def __init__(self, **kwargs: Any):
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str) -> NoReturn:
        name = self.prog.split(" {")[0]
        raise SoftqError(f"{message}; see `{name} --help`.")

    def parse(self, argv: list[str]) -> argparse.Namespace:
        """Parse all of `argv`; raises `SoftqError` for anything that is unknown."""
        known, rest = self.parse_known_args(argv)
        if rest:
            word = rest[0].split("=")[0]
            options = [option for option in self._option_string_actions if option.startswith("--")]
            hint = suggest(word, options) if word.startswith("-") else f" See `{self.prog} --help`."
            raise SoftqError(f"unknown option {word!r}.{hint}")
        return known


def integer(text: str) -> int:
    """An integer, also written 1e6 or 1_000_000."""
    number = float(text)
    if number != int(number):
        raise ValueError(text)
    return int(number)


def keywords(words: list[str]) -> dict[str, Any]:
    """Settings from NAME=VALUE words or one JSON object; values are JSON or Python literals where they look it."""
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
    """`text` as JSON, else as a Python literal, else as it is."""
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError):
            return read(text)
    return text


class Keywords(argparse.Action):
    """Stores words NAME=VALUE as a dictionary."""

    def __call__(self, parser: Any, namespace: Any, words: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, getattr(namespace, self.dest, {}) | keywords(words))


def notes(cls: type) -> dict[str, str]:
    """The comment behind each field in the source of the dataclass `cls`, on whichever line of its statement.

    Comments that have a line of their own are not about one field.
    """
    source = textwrap.dedent(inspect.getsource(cls))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {
        token.start[0]: token.string.strip("#. ").replace("%", "%%")
        for token in tokens
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip()
    }
    body = [line for node in ast.parse(source).body if isinstance(node, ast.ClassDef) for line in node.body]
    found = {}
    for field in (line for line in body if isinstance(line, ast.AnnAssign)):
        lines = range(field.lineno, (field.end_lineno or field.lineno) + 1)
        words = " ".join(comments[number] for number in lines if number in comments)
        found |= {ast.unparse(field.target): words} if words else {}
    return found


def add_fields(
    parser: Parser,
    cls: type,
    title: str,
    leave_out: tuple[str, ...] = (),
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """One option for each field of the dataclass `cls`. Options that are not given stay out of the result.

    `defaults` are shown in place of the fields' own.
    """
    group, hints, comments = parser.add_argument_group(title), typing.get_type_hints(cls), notes(cls)
    for field in dataclasses.fields(cls):
        if field.name in leave_out:
            continue
        kind, default = hints[field.name], defaults.get(field.name, field.default)
        shown = "none" if default is dataclasses.MISSING else default
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else shown
        comment = comments.get(field.name, "")
        more: dict[str, Any] = {"help": f"{comment} [{shown}]".strip(), "default": argparse.SUPPRESS}
        if kind is bool:
            more["action"] = argparse.BooleanOptionalAction
        elif typing.get_origin(kind) is dict:
            more |= {"nargs": "+", "action": Keywords, "metavar": "NAME=VALUE"}
        elif typing.get_origin(kind) is tuple:
            more |= {"nargs": "+", "type": integer, "metavar": "N"}
        elif typing.get_origin(kind) is typing.Literal:
            more["choices"] = typing.get_args(kind)
        else:
            more["type"] = {int: integer, float: float}.get(kind, str)
            more["metavar"] = {int: "N", float: "X"}.get(kind, "NAME")
        group.add_argument(f"--{field.name.replace('_', '-')}", dest=field.name, **more)


def fields_from(given: dict[str, Any], cls: type) -> dict[str, Any]:
    """The part of `given` that are fields of `cls`; lists become tuples."""
    names = {field.name for field in dataclasses.fields(cls)}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k in names}
