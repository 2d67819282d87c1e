"""The base of labs that draw curves: controls, panels of lines, and numbers, recomputed at every change."""

import abc
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from softq import plots
from softq.lab.base import Lab
from softq.utils.errors import SoftqError, suggest


@dataclass(frozen=True)
class Slider:
    """A control of a number in [low, high], on a logarithmic scale if `log`; `integer` rounds the number."""

    name: str
    label: str
    low: float
    high: float
    log: bool = True
    integer: bool = False

    def check(self, value: float) -> float:
        """`value` as the control would return it. Raises `SoftqError` for a number outside the range."""
        if not self.low <= value <= self.high:
            raise SoftqError(
                f"{self.name} must lie in [{self.low:g}, {self.high:g}], got {value:g}; choose within."
            )
        return round(value) if self.integer else float(value)


@dataclass(frozen=True)
class Choice:
    """A control that offers a few values; `options` are pairs of the text that is shown and the value."""

    name: str
    label: str
    options: tuple[tuple[str, Any], ...]

    def check(self, value: Any) -> Any:
        values = [option for _, option in self.options]
        if value not in values:
            raise SoftqError(f"{self.name} cannot be {value!r}.{suggest(value, values)}")
        return value


@dataclass(frozen=True)
class Curve:
    """A line; its `role` decides the colour and its `style` the dashes, which tell lines apart without colour too."""

    x: np.ndarray
    y: np.ndarray
    label: str = ""
    role: str = "exact"
    style: str = "line"


@dataclass(frozen=True)
class Panel:
    """Axes with curves, points `(x, y, role)`, and vertical bands from one x to another, `(from, to)`."""

    xlabel: str
    ylabel: str
    curves: Sequence[Curve]
    log: tuple[bool, bool] = (False, False)
    xlim: tuple[float, float] | None = None
    ylim: tuple[float, float] | None = None
    points: Sequence[tuple[float, float, str]] = field(default=())
    bands: Sequence[tuple[float, float]] = field(default=())

    def draw(self, ax: Axes) -> None:
        ax.set_xscale("log" if self.log[0] else "linear")
        ax.set_yscale("log" if self.log[1] else "linear")
        for low, high in self.bands:
            ax.axvspan(low, high, color=plots.EXACT, alpha=0.18, linewidth=0)
        for curve in self.curves:
            look = {"color": plots.ROLES[curve.role], "linestyle": plots.STYLES[curve.style]}
            ax.plot(curve.x, curve.y, label=curve.label or None, **look)
        for x, y, role in self.points:
            ax.plot(x, y, "o", color=plots.ROLES[role], markersize=6)
        limits = {"xlim": self.xlim, "ylim": self.ylim}
        ax.set(xlabel=self.xlabel, ylabel=self.ylabel, **{k: v for k, v in limits.items() if v is not None})
        if any(curve.label for curve in self.curves):
            ax.legend(fontsize=7.5)


class CurveLab(Lab):
    """A lab whose figure consists of panels of curves and a list of numbers.

    Subclasses define `kind`, by which the script of the page chooses the class to draw with, `controls`, the `settings`
    at the start, `view` and `tables`.
    """

    kind: str
    controls: Sequence[Slider | Choice]
    settings: dict[str, Any]

    @abc.abstractmethod
    def view(self, **settings: Any) -> tuple[list[Panel], dict[str, float]]:
        """The panels, and the numbers by their labels, where `settings` holds every setting."""

    @abc.abstractmethod
    def tables(self) -> dict[str, Any]:
        """Further data for the script of the page, as plain JSON values: the tables from which it interpolates."""

    def complete(self, settings: dict[str, Any]) -> dict[str, Any]:
        """`settings` and, for all others, the values at the start. Raises `SoftqError` for a bad name or value."""
        for name in settings:
            if name not in self.settings:
                raise SoftqError(f"unknown setting '{name}'.{suggest(name, self.settings)}")
        chosen = self.settings | settings
        return {control.name: control.check(chosen[control.name]) for control in self.controls}

    def numbers(self, **settings: Any) -> dict[str, float]:
        """The numbers below the picture by their labels; a setting that is not given is as at the start."""
        return self.view(**self.complete(settings))[1]

    def figure(self, **settings: Any) -> Figure:
        panels, numbers = self.view(**self.complete(settings))
        white = {key: "white" for key in ("figure.facecolor", "savefig.facecolor")}
        with mpl.rc_context(plots.STYLE | white | {"font.size": 9}):
            figure = Figure(figsize=(3.4 * len(panels), 3.5))
            for ax, panel in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
                panel.draw(ax)
            text = ",  ".join(f"{name} {value:.3g}" for name, value in numbers.items())
            figure.suptitle(textwrap.fill(text, 46 * len(panels)), fontsize=8)
        return figure

    def content(self) -> dict[str, Any]:
        ranges = {c.name: [c.low, c.high] for c in self.controls if isinstance(c, Slider)}
        return {
            "kind": self.kind,
            "alt": self.alt,
            "settings": self.settings,
            "ranges": ranges,
            **self.tables(),
        }

    def _live(self, png: bytes) -> ipywidgets.VBox:
        wide = {
            "style": {"description_width": "11em"},
            "layout": {"width": "34em"},
            "continuous_update": False,
        }
        image = ipywidgets.Image(value=png, format="png", layout={"width": "900px", "max_width": "100%"})
        image.add_class("softq-lab-live")
        boxes = {}
        for control in self.controls:
            value = self.settings[control.name]
            text = {"description": control.label}
            if isinstance(control, Choice):
                boxes[control.name] = ipywidgets.Dropdown(options=control.options, value=value, **text)
            elif control.log and not control.integer:
                low, high = np.log10([control.low, control.high])
                step = (high - low) / 120
                boxes[control.name] = ipywidgets.FloatLogSlider(
                    value, min=low, max=high, step=step, **text, **wide
                )
            else:
                make = ipywidgets.IntSlider if control.integer else ipywidgets.FloatSlider
                step = 1 if control.integer else (control.high - control.low) / 200
                boxes[control.name] = make(
                    value, min=control.low, max=control.high, step=step, **text, **wide
                )

        def redraw(_: Any) -> None:
            image.value = self.png(**{name: box.value for name, box in boxes.items()})

        for box in boxes.values():
            box.observe(redraw, "value")
        caption = [ipywidgets.Label(self.caption)] if self.caption else []
        return ipywidgets.VBox([image, *boxes.values(), *caption])
