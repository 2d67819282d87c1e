"""Tables of methods and of their settings, made from the classes.

- `{softq-methods}`: every method by its name on the command line, with the first sentence of its file.
- `{softq-settings} NAME`: the settings of the method NAME, or of the training where NAME is "training".
"""

import dataclasses
import importlib
import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx


def table(head: list[str], rows: list[list[nodes.Node | str]], widths: list[int]) -> nodes.table:
    """A table of paragraphs; a cell is a text or a node of a paragraph."""
    node = nodes.table(classes=["softq-settings"])
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *map(_row, rows))
    node += group
    return node


def _row(cells: list[Any]) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        inside = [cell] if isinstance(cell, nodes.Node) else words(cell)
        row += nodes.entry("", nodes.paragraph("", "", *inside))
    return row


def words(text: str) -> list[nodes.Node]:
    """A text in which names in backticks are code."""
    parts = enumerate(text.split("`"))
    return [nodes.literal("", part) if i % 2 else nodes.Text(part) for i, part in parts]


def shown(value: Any) -> str:
    """A value as one would write it."""
    if value is dataclasses.MISSING or value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple | list):
        return " ".join(map(shown, value)) or "none"
    if isinstance(value, dict):
        return " ".join(f"{key}={shown(x)}" for key, x in value.items()) or "none"
    return str(value)


def rows_of(name: str) -> tuple[list[str], list[list[str]]]:
    """The presets that change a setting, and for each setting its name, its values and what it is.

    `name` is that of a method, or "training". Settings that a method refuses are left out.
    """
    from softq.algorithms import get
    from softq.algorithms.base import idle_settings
    from softq.training import TrainConfig, preset_of
    from softq.training.config import SMALL
    from softq.utils.flat_settings import settings_of

    if name == "training":
        cls, idle, changed = TrainConfig, set(), {"small": SMALL}
    else:
        cls, idle = get(name), idle_settings(get(name))
        changed = {preset: preset_of(get(name), preset) for preset in get(name).presets}
    settings = {key: x for key, x in settings_of(cls).items() if key not in idle}
    used = [preset for preset, values in changed.items() if values.keys() & settings.keys()]
    rows = []
    for key, setting in settings.items():
        values = [shown(changed[preset].get(key, dataclasses.MISSING)) for preset in used]
        rows.append([key, shown(getattr(setting.default, "value", setting.default)), *values, setting.help])
    return used, rows


class Settings(Directive):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        used, rows = rows_of(self.arguments[0])
        widths = [22, 12, *[10] * len(used), 56]
        cells: list[list[Any]] = [[nodes.literal("", key), *rest] for key, *rest in rows]
        return [table(["setting", "default", *used, "meaning"], cells, widths)]


class Methods(Directive):
    def run(self) -> list[nodes.Node]:
        from softq.algorithms import ALGORITHMS

        rows: list[list[Any]] = []
        for name, cls in ALGORITHMS.items():
            about = (importlib.import_module(cls.__module__).__doc__ or "").split("\n\n")[0]
            about = " ".join(about.split())
            first, sep, rest = re.match(r"([\w-]+)(, |: )?(.*)", about).groups()
            about = rest if sep and first.replace("-", "") == cls.__name__ else about
            rows.append(
                [nodes.literal("", name), nodes.literal("", cls.__name__), about[0].upper() + about[1:]]
            )
        return [table(["name", "class", "what it is"], rows, [15, 15, 70])]


def connect(app: Sphinx) -> None:
    app.add_directive("softq-settings", Settings)
    app.add_directive("softq-methods", Methods)
