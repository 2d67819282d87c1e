"""`VolumeLab`: a landscape, its volume function, and the gap of its softmax to the best action beside its bounds."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from scipy.special import lambertw

from softq import plots
from softq.exact import bounds
from softq.exact.boltzmann import Boltzmann
from softq.exact.values import evaluate
from softq.exact.volume import PowerVolume, Volume, volume_of
from softq.lab import export
from softq.lab.controls import Control, Slider, landscape_choice
from softq.lab.curves import Curve, CurveLab, Panel
from softq.landscapes import Landscape

LEVELS = np.geomspace(1e-5, 1.0, 240)  # tolerances of the tables, as shares of the largest regret
TEMPERATURES = np.geomspace(0.01, 2.0, 36)
DIMS = (1, 17)  # of the parabola -|a|^2
PARABOLA = "quad1"
LINES = (
    ("Theorem 1", "Theorem 1", "theorem 1"),
    ("log-volume bound", "log-volume", "log-volume"),
    ("sharp bound, t = 1", "sharp, t = 1", "lambert one"),
    ("sharp bound, best t", "sharp, best t", "lambert"),
    ("trivial bound", "trivial", "trivial"),
    ("exact gap", "exact gap", "gap"),
)


class VolumeLab(CurveLab):
    """The actions whose Q is within `eps` of the maximum, their volume at every tolerance, and the softmax's gap.

    The gap is the maximum of Q less its mean under the softmax. The control offers the one-dimensional `landscapes`,
    and where the parabola `quad1` is among them, also its sum over `dim` coordinates, of which one is drawn. `eps`, in
    units of Q, and `temperature` in [0.01, 2] are the values at the start. The growth function of Theorem 1 is the
    largest ratio over the tolerances of a table, so that its curve is at most as high as the theorem's bound.
    Raises `SoftqError` for a landscape in more than one dimension, or a number out of its range.
    """

    kind = "volume"

    def __init__(
        self,
        landscapes: Sequence[Landscape],
        temperature: float = 0.05,
        eps: float = 0.1,
        dim: int = 1,
        alt: str = "A landscape with its nearly optimal actions shaded, its volume function, and bounds on the gap.",
        caption: str = "",
    ):
        self.landscapes = {landscape.name: landscape for landscape in landscapes}
        self.laws = {name: Boltzmann(landscape, 1.0) for name, landscape in self.landscapes.items()}
        self.sweep = cache(lambda name, dim: [self.bounds(name, t, dim) for t in TEMPERATURES])
        self.volume = cache(self._volume)
        self.table = cache(self._table)
        controls: list[Control] = [
            landscape_choice("VolumeLab", landscapes, 1),
            Slider("eps", "tolerance ε", eps, 1e-4, 2.0),
            Slider("temperature", "temperature λ", temperature, 0.01, 2.0),
        ]
        if PARABOLA in self.landscapes:
            text = "dimension of the parabola"
            controls.insert(0, Slider("dim", text, dim, *DIMS, log=False, integer=True))
        super().__init__(controls, alt, caption)

    def _volume(self, name: str, dim: int) -> Volume:
        return volume_of(self.landscapes[name]) if dim == 1 else PowerVolume(1.0, 2.0, dim)

    def _table(self, name: str, dim: int) -> tuple[np.ndarray, np.ndarray]:
        """Tolerances up to the largest regret, and their volumes."""
        law = self.laws[name]
        levels = LEVELS * (law.maximum - law.values.min()) * dim
        return levels, self.volume(name, dim)(levels)

    def follow(self, changed: str, settings: dict[str, Any]) -> dict[str, Any]:
        if changed == "dim" and settings["dim"] > 1:
            return {"landscape": PARABOLA}
        leaves = changed == "landscape" and settings["landscape"] != PARABOLA and "dim" in settings
        return {"dim": 1} if leaves else {}

    def bounds(self, name: str, temperature: float, dim: int = 1) -> dict[str, float]:
        """The exact gap of the softmax at `temperature` and its bounds, by name, in units of Q.

        The best tolerance of the sharp bound is one of the table's, which can only make the bound larger.
        """
        law, volume = self.laws[name].at(temperature), self.volume(name, dim)
        levels, table = self.table(name, dim)
        log_eps, log_vol = np.log(levels), np.log(table)
        ahead = lambda kappa: np.interp(log_eps + np.log(kappa), log_eps, log_vol)
        growth = lambda kappa: float(np.exp(np.max(ahead(kappa) - log_vol, initial=0.0)))
        best = levels + temperature * lambertw((volume.area / table - 1) / np.e).real
        return {
            "exact gap": law.gap * dim,
            "Theorem 1": bounds.theorem1(volume, temperature, growth)[0],
            "sharp bound, t = 1": bounds.lambert(volume, temperature),
            "sharp bound, best t": float(best.min()),
            "log-volume bound": float(temperature * (np.log(2) - law.log_partition) + law.maximum) * dim,
            "trivial bound": float(law.maximum - law.weights @ law.values / 2) * dim,
        }

    def view(
        self, landscape: str, eps: float, temperature: float, dim: int = 1
    ) -> tuple[list[Panel], dict[str, float]]:
        law, dim = self.laws[landscape], dim if landscape == PARABOLA else 1
        volume = self.volume(landscape, dim)
        share = float(volume(eps))
        x = plots.grid(1, 1000)[:, 0]
        q = evaluate(self.landscapes[landscape], x[:, None])
        inside = np.flatnonzero(law.maximum - q <= eps)
        runs = np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1) if inside.size else []
        pad = 0.06 * (law.maximum - q.min())
        shape = Panel(
            "action" if dim == 1 else f"one of {dim} coordinates, the others 0",
            "value Q",
            [
                Curve(x, q, "", "landscape"),
                Curve(np.array([-1, 1]), np.full(2, law.maximum - eps), "", "tolerance"),
            ],
            xlim=(-1, 1),
            ylim=(q.min() - pad, law.maximum + pad),
            bands=[(x[run[0]] - 0.001, x[run[-1]] + 0.001) for run in runs],
        )
        levels, table = self.table(landscape, dim)
        marks = ((eps, share, "at the tolerance ε", "tolerance"),)
        marks += ((temperature, float(volume(temperature)), "at ε = λ", "temperature"),)
        lines = [Curve(levels, table)]
        lines += [Curve(np.full(2, x), np.array([table[0], y]), text, look) for x, y, text, look in marks]
        points = [(x, y, look) for x, y, _, look in marks]
        room = Panel("tolerance ε", "Vol(ε)", lines, (True, True), points=points)
        sweep = self.sweep(landscape, dim)
        curves = [
            Curve(TEMPERATURES, np.array([row[key] for row in sweep]), label, look)
            for key, label, look in LINES
        ]
        now = self.bounds(landscape, temperature, dim)
        point = [(temperature, now["exact gap"], "gap")]
        ylim = (0.5 * sweep[0]["exact gap"], 30 * now["trivial bound"])
        price = Panel("temperature λ", "price of softness", curves, (True, True), ylim=ylim, points=point)
        return [shape, room, price], {"Vol(ε)": share, "share of the box": share / volume.area} | now

    def tables(self) -> dict[str, Any]:
        rows, numbers = [], lambda array, digits: [float(f"{v:.{digits}g}") for v in array]
        for name, landscape in self.landscapes.items():
            levels, table = self.table(name, 1)
            row = {"name": name, "landscape": export.landscape(landscape), "maximum": landscape.maximum}
            row |= {"trivial": self.bounds(name, 1.0)["trivial bound"]}
            row |= {"eps": numbers(levels, 9), "vol": numbers(table, 9)}
            if name == PARABOLA:  # volumes in 2 and more dimensions, of `dim` times the tolerances
                row["more"] = [
                    numbers(self.table(name, dim)[1], 7) for dim in range(DIMS[0] + 1, DIMS[1] + 1)
                ]
            rows.append(row)
        return {"landscapes": rows, "temperatures": numbers(TEMPERATURES, 9), "parabola": PARABOLA}
