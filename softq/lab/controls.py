"""The controls of a lab, declared once: the widget in Jupyter and the page are both made from them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from softq.landscapes import Landscape
from softq.utils.errors import SoftqError, suggest


@dataclass(frozen=True)
class Slider:
    """A number in [low, high] that starts at `value`, on a logarithmic scale if `log`; `integer` rounds it.

    `name` is that of the setting and of the parameter in a page's address, `label` is what the reader sees, and `help`
    a sentence below the control.
    """

    name: str
    label: str
    value: float
    low: float
    high: float
    log: bool = True
    integer: bool = False
    help: str = ""

    def check(self, value: Any) -> float:
        """`value` as the control would return it. Raises `SoftqError` for another one than a number in the range."""
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            shown = f"{value:g}" if isinstance(value, int | float) else repr(value)
            raise SoftqError(
                f"{self.name} must lie in [{self.low:g}, {self.high:g}], got {shown}; choose within."
            )
        return round(value) if self.integer else float(value)

    def data(self) -> dict[str, Any]:
        """The control as plain JSON values, for the script of the page; its value is among the lab's settings."""
        return {"type": "slider"} | {key: value for key, value in asdict(self).items() if key != "value"}


@dataclass(frozen=True)
class Integer:
    """A whole number in [low, high] that is typed; a page offers the numbers `offered` instead, where there are any."""

    name: str
    label: str
    value: int
    low: int
    high: int
    offered: Sequence[int] = ()
    help: str = ""
    integer: bool = field(default=True, init=False)
    log: bool = field(default=False, init=False)

    def check(self, value: Any) -> int:
        """`value` as the control would return it. Raises `SoftqError` for another one than a number in the range."""
        return int(Slider(self.name, self.label, 0, self.low, self.high, integer=True).check(value))

    def data(self) -> dict[str, Any]:
        """The control as plain JSON values, for the script of the page."""
        return {"type": "integer"} | {key: value for key, value in asdict(self).items() if key != "value"}


@dataclass(frozen=True)
class Choice:
    """One of a few values; `options` are pairs of the text that is shown and the value, a string or a number."""

    name: str
    label: str
    value: Any
    options: Sequence[tuple[str, Any]]
    help: str = ""

    def check(self, value: Any) -> Any:
        """`value` itself. Raises `SoftqError` unless it is among the options."""
        values = [option for _, option in self.options]
        if not any(type(value) is type(option) and value == option for option in values):
            raise SoftqError(f"{self.name} cannot be {value!r}.{suggest(str(value), map(str, values))}")
        return value

    def data(self) -> dict[str, Any]:
        """The control as plain JSON values, for the script of the page, with options `[value, text]`."""
        options = [[value, text] for text, value in self.options]
        return {
            "type": "choice",
            "name": self.name,
            "label": self.label,
            "options": options,
            "help": self.help,
        }


@dataclass(frozen=True)
class Toggle:
    """A yes or no."""

    name: str
    label: str
    value: bool
    help: str = ""

    def check(self, value: Any) -> bool:
        """`value` itself. Raises `SoftqError` unless it is True or False."""
        if not isinstance(value, bool):
            raise SoftqError(f"{self.name} must be True or False, got {value!r}; choose one.")
        return value

    def data(self) -> dict[str, Any]:
        """The control as plain JSON values, for the script of the page."""
        return {"type": "toggle", "name": self.name, "label": self.label, "help": self.help}


Control = Slider | Integer | Choice | Toggle


def landscape_choice(lab: str, landscapes: Sequence[Landscape], dim: int) -> Choice:
    """The control that offers `landscapes` by name, of which the first is shown at the start.

    Raises `SoftqError`, which names the class `lab`, for a landscape in another number of dimensions than `dim`.
    """
    for landscape in landscapes:
        if landscape.dim != dim:
            shown = {1: "lines", 2: "a plane"}[dim]
            raise SoftqError(
                f"{lab} draws {shown}, '{landscape.name}' has dim {landscape.dim}; give dim {dim}."
            )
    names = [landscape.name for landscape in landscapes]
    return Choice("landscape", "landscape", names[0], [(name, name) for name in names])
