"""`FloodLab`: a landscape in the plane, its actions within a tolerance of the best, and their share of the box."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from softq import plots
from softq.exact.values import evaluate
from softq.exact.volume import Volume, volume_of
from softq.lab import export
from softq.lab.controls import Slider, landscape_choice
from softq.lab.curves import Curve, CurveLab, Panel
from softq.landscapes import Landscape

LEVELS = np.concatenate([np.geomspace(3e-6, 0.3, 150), np.linspace(0.3, 1, 100)[1:]])  # of the largest regret
SIDE = 200  # cells of the map, along a side
AREA = 4.0  # of the box
STEP = 1.1  # factor of the tolerances between which the growth exponent is measured


@dataclass(frozen=True)
class Map(Panel):
    """Axes on the box that show `values` `(SIDE, SIDE)` of Q, and in colour where they are at least `level`."""

    values: np.ndarray | None = None
    level: float = 0.0

    def draw(self, ax: Axes) -> None:
        assert self.values is not None
        place: dict[str, Any] = {"origin": "lower", "extent": (-1, 1, -1, 1), "cmap": "Greys"}
        ax.imshow(np.sqrt(self.values.max() - self.values).T, alpha=0.5, **place)
        flooded = np.where(self.values >= self.level, 0.7, np.nan)
        ax.imshow(flooded.T, vmin=0, vmax=1, **place | {"cmap": "Blues"})
        ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], xlabel=self.xlabel, ylabel=self.ylabel)


@dataclass(frozen=True)
class Table:
    """The `levels` `(n,)` of a landscape and the `volumes` of their sets of actions, from no tolerance to the box."""

    levels: np.ndarray
    volumes: np.ndarray

    def softmax(self, temperature: float) -> tuple[np.ndarray, float]:
        """The share of the softmax within each level, `(n,)`, and its gap, from the volumes alone."""
        middles = np.append(self.levels[0], self.levels[:-1] + self.levels[1:]) / 2
        mass = np.diff(self.volumes, prepend=0.0) * np.exp(-middles / temperature)
        return np.cumsum(mass) / mass.sum(), float(mass @ middles / mass.sum())


class FloodLab(CurveLab):
    """The actions of a plane whose Q is within `eps` of the maximum, as a map, and which share of policies they are.

    The share of the uniform policy is Vol(eps) over the area of the box, and that of the softmax at `temperature` in
    [0.01, 1] follows from the volumes at all tolerances. `landscapes` are two-dimensional, the first is shown at the
    start, and `eps` is in [0.0001, 2]. Raises `SoftqError` for a landscape of another dimension, or a number out of
    its range.
    """

    kind = "flood"

    def __init__(
        self,
        landscapes: Sequence[Landscape],
        eps: float = 0.1,
        temperature: float = 0.05,
        alt: str = "A map of a landscape with its nearly optimal actions in colour, and their share of the box.",
        caption: str = "",
    ):
        self.landscapes = {landscape.name: landscape for landscape in landscapes}
        controls = (
            landscape_choice("FloodLab", landscapes, 2),
            Slider("eps", "tolerance ε", eps, 1e-4, 2.0),
            Slider("temperature", "temperature λ", temperature, 0.01, 1.0),
        )
        self.values = cache(self._values)
        self.volume = cache(self._volume)
        super().__init__(controls, alt, caption)

    def _values(self, name: str) -> np.ndarray:
        return evaluate(self.landscapes[name], plots.grid(2, SIDE)).reshape(SIDE, SIDE)

    def _volume(self, name: str) -> tuple[Volume, Table]:
        """The volume function, and its table up to the largest regret, where it is the area of the box."""
        volume = volume_of(self.landscapes[name])
        levels = LEVELS * (self.landscapes[name].maximum - self.values(name).min())
        return volume, Table(levels, np.append(volume(levels[:-1]), AREA))

    def view(self, landscape: str, eps: float, temperature: float) -> tuple[list[Panel], dict[str, float]]:
        volume, table = self.volume(landscape)
        q = self.landscapes[landscape]
        now, below, above = (float(volume(level)) for level in (eps, eps / STEP, eps * STEP))
        share, gap = table.softmax(temperature)
        inside = float(np.exp(np.interp(np.log(eps), np.log(table.levels), np.log(share))))
        sea = Map(
            "first coordinate", "second coordinate", [], values=self.values(landscape), level=q.maximum - eps
        )
        curves = [
            Curve(table.levels, table.volumes / AREA, "of the box", "uniform"),
            Curve(table.levels, share, "of the softmax", "exact"),
        ]
        points = [(eps, now / AREA, "uniform"), (eps, inside, "exact")]
        shares = Panel("tolerance ε", "share", curves, (True, True), (1e-4, 2.0), (1e-4, 1.5), points=points)
        return [sea, shares], {
            "Vol(ε)": now,
            "share of the box": now / AREA,
            "growth exponent at ε": float(np.log(above / below) / (2 * np.log(STEP))),
            "share of the softmax": inside,
            "gap": gap,
        }

    def tables(self) -> dict[str, Any]:
        rows = []
        for name, q in self.landscapes.items():
            table = self.volume(name)[1]
            row = {"name": name, "landscape": export.landscape(q), "maximum": q.maximum}
            row |= {key: [float(f"{v:.7g}") for v in getattr(table, key)] for key in ("levels", "volumes")}
            rows.append(row)
        return {"landscapes": rows, "side": SIDE, "step": STEP}
