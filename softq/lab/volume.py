"""`VolumeLab`: a landscape, its volume function, and the gap of its softmax to the best action beside its bounds."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from softq import plots
from softq.exact import bounds
from softq.exact.boltzmann import Boltzmann
from softq.exact.values import evaluate
from softq.exact.volume import volume_of
from softq.lab import export
from softq.lab.controls import Choice, Slider
from softq.lab.curves import Curve, CurveLab, Panel
from softq.landscapes import Landscape
from softq.utils.errors import SoftqError

LEVELS = np.geomspace(1e-5, 1.0, 240)  # tolerances of the tables, as shares of the largest regret
TEMPERATURES = np.geomspace(0.01, 2.0, 36)
LINES = (
    ("Theorem 1", "Theorem 1", "theorem 1"),
    ("log-volume bound", "log-volume", "log-volume"),
    ("Lambert bound", "Lambert", "lambert"),
    ("trivial bound", "trivial", "trivial"),
    ("exact gap", "exact gap", "gap"),
)


class VolumeLab(CurveLab):
    """The actions whose Q is within `eps` of the maximum, their volume at every tolerance, and the softmax's gap.

    The gap is the maximum of Q less its mean under the softmax. The control offers the one-dimensional `landscapes`;
    `eps`, in units of Q, and `temperature` in [0.01, 2] are the values at the start. The growth function of Theorem 1
    is the largest ratio over the tolerances of a table, so that its curve is at most as high as the theorem's bound.
    Raises `SoftqError` for a landscape in more than one dimension, or a number out of its range.
    """

    kind = "volume"

    def __init__(
        self,
        landscapes: Sequence[Landscape],
        temperature: float = 0.05,
        eps: float = 0.1,
        alt: str = "A landscape with its nearly optimal actions shaded, its volume function, and bounds on the gap.",
        caption: str = "",
    ):
        for landscape in landscapes:
            if landscape.dim != 1:
                raise SoftqError(
                    f"VolumeLab draws lines, '{landscape.name}' has dim {landscape.dim}; give dim 1."
                )
        self.landscapes = {landscape.name: landscape for landscape in landscapes}
        self.volumes = {name: volume_of(landscape) for name, landscape in self.landscapes.items()}
        self.laws = {name: Boltzmann(landscape, 1.0) for name, landscape in self.landscapes.items()}
        self.tables_of = {}  # by landscape: tolerances up to the largest regret, and their volumes
        for name, law in self.laws.items():
            levels = LEVELS * (law.maximum - law.values.min())
            self.tables_of[name] = levels, self.volumes[name](levels)
        self.sweep = cache(lambda name: [self.bounds(name, t) for t in TEMPERATURES])
        names = [(name, name) for name in self.landscapes]
        controls = (
            Choice("landscape", "landscape", names[0][1], names),
            Slider("eps", "tolerance ε", eps, 1e-4, 2.0),
            Slider("temperature", "temperature λ", temperature, 0.01, 2.0),
        )
        super().__init__(controls, alt, caption)

    def bounds(self, name: str, temperature: float) -> dict[str, float]:
        """The exact gap of the softmax at `temperature` and its bounds, by name, in units of Q."""
        law, volume = self.laws[name].at(temperature), self.volumes[name]
        log_eps, log_vol = np.log(self.tables_of[name])
        ahead = lambda kappa: np.interp(log_eps + np.log(kappa), log_eps, log_vol)
        growth = lambda kappa: float(np.exp(np.max(ahead(kappa) - log_vol, initial=0.0)))
        return {
            "exact gap": law.gap,
            "Theorem 1": bounds.theorem1(volume, temperature, growth)[0],
            "Lambert bound": bounds.lambert(volume, temperature),
            "log-volume bound": float(temperature * (np.log(2) - law.log_partition) + law.maximum),
            "trivial bound": law.maximum - float(law.weights @ law.values) / 2,
        }

    def view(self, landscape: str, eps: float, temperature: float) -> tuple[list[Panel], dict[str, float]]:
        law, volume = self.laws[landscape], self.volumes[landscape]
        share = float(volume(eps))
        x = plots.grid(1, 1000)[:, 0]
        q = evaluate(self.landscapes[landscape], x[:, None])
        inside = np.flatnonzero(law.maximum - q <= eps)
        runs = np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1) if inside.size else []
        pad = 0.06 * (law.maximum - q.min())
        shape = Panel(
            "action",
            "value Q",
            [
                Curve(x, q, "", "landscape"),
                Curve(np.array([-1, 1]), np.full(2, law.maximum - eps), "", "tolerance"),
            ],
            xlim=(-1, 1),
            ylim=(q.min() - pad, law.maximum + pad),
            bands=[(x[run[0]] - 0.001, x[run[-1]] + 0.001) for run in runs],
        )
        levels, table = self.tables_of[landscape]
        points = [(eps, share, "exact"), (temperature, float(volume(temperature)), "samples")]
        room = Panel("tolerance ε", "Vol(ε)", [Curve(levels, table)], (True, True), points=points)
        curves = [
            Curve(TEMPERATURES, np.array([row[key] for row in self.sweep(landscape)]), label, look)
            for key, label, look in LINES
        ]
        now = self.bounds(landscape, temperature)
        point = [(temperature, now["exact gap"], "gap")]
        price = Panel("temperature λ", "price of softness", curves, (True, True), points=point)
        return [shape, room, price], {"Vol(ε)": share, "share of the box": share / 2} | now

    def tables(self) -> dict[str, Any]:
        rows = []
        for name, landscape in self.landscapes.items():
            levels, table = self.tables_of[name]
            rows.append(
                {
                    "name": name,
                    "landscape": export.landscape(landscape),
                    "maximum": landscape.maximum,
                    "trivial": self.bounds(name, 1.0)["trivial bound"],
                    "eps": [float(f"{v:.9g}") for v in levels],
                    "vol": [float(f"{v:.9g}") for v in table],
                }
            )
        return {"landscapes": rows, "temperatures": [float(f"{t:.9g}") for t in TEMPERATURES]}
