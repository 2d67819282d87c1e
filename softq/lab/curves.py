"""The base of labs that draw curves: panels of lines, and numbers, recomputed at every change."""

import abc
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from softq import plots
from softq.lab.base import Lab


@dataclass(frozen=True)
class Curve:
    """A line in the look of a concept, one of `softq.plots.CONCEPTS`, which gives colour and dashes."""

    x: np.ndarray
    y: np.ndarray
    label: str = ""
    look: str = "exact"


@dataclass(frozen=True)
class Panel:
    """Axes with curves, points `(x, y, look)`, and vertical bands from one x to another, `(from, to)`."""

    xlabel: str
    ylabel: str
    curves: Sequence[Curve]
    log: tuple[bool, bool] = (False, False)
    xlim: tuple[float, float] | None = None
    ylim: tuple[float, float] | None = None
    points: Sequence[tuple[float, float, str]] = field(default=())
    bands: Sequence[tuple[float, float]] = field(default=())

    def draw(self, ax: Axes) -> None:
        """Draw everything on `ax`."""
        ax.set_xscale("log" if self.log[0] else "linear")
        ax.set_yscale("log" if self.log[1] else "linear")
        ax.minorticks_off()
        for low, high in self.bands:
            ax.axvspan(low, high, color=plots.EXACT, alpha=0.18, linewidth=0)
        for curve in self.curves:
            ax.plot(curve.x, curve.y, label=curve.label or None, **plots.look(curve.look))
        for x, y, look in self.points:
            ax.plot(x, y, "o", color=plots.look(look)["color"], markersize=6)
        limits = {"xlim": self.xlim, "ylim": self.ylim}
        ax.set(xlabel=self.xlabel, ylabel=self.ylabel, **{k: v for k, v in limits.items() if v is not None})
        if any(curve.label for curve in self.curves):
            ax.legend(fontsize=7.5)


class CurveLab(Lab):
    """A lab whose figure consists of panels of curves and a list of numbers. Subclasses define `view`.

    The picture has at most `columns` panels beside each other.
    """

    columns: int = 3

    @abc.abstractmethod
    def view(self, **settings: Any) -> tuple[list[Panel], dict[str, float]]:
        """The panels, and the numbers by their labels, where `settings` holds every setting."""

    def numbers(self, **settings: Any) -> dict[str, float]:
        return self.view(**self.complete(settings))[1]

    def figure(self, **settings: Any) -> Figure:
        panels, numbers = self.view(**self.complete(settings))
        white = {key: "white" for key in ("figure.facecolor", "savefig.facecolor")}
        with mpl.rc_context(plots.STYLE | white | {"font.size": 9}):
            columns = min(self.columns, len(panels))
            rows = -(-len(panels) // columns)
            # Margins that are known beforehand: to measure them would take as long as all the rest.
            figure = Figure(figsize=(3.4 * columns, 3.5 * rows), layout="none")
            figure.subplots_adjust(0.19 / columns, 0.14 / rows, 1 - 0.05 / columns, 1 - 0.17 / rows, 0.3, 0.3)
            axes = np.ravel(figure.subplots(rows, columns))
            for ax, panel in zip(axes, panels, strict=False):
                panel.draw(ax)
            for ax in axes[len(panels) :]:
                ax.remove()
            text = ",  ".join(f"{name} {value:.3g}" for name, value in numbers.items())
            figure.suptitle(textwrap.fill(text, 46 * columns), fontsize=8)
        return figure
