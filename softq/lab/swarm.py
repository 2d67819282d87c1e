"""`SwarmLab`: Stein particles on a line, from a start that the reader chooses, beside the exact softmax.

SVGD draws no random numbers, so that the page computes the same particles.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from softq.exact.values import evaluate
from softq.lab import export
from softq.lab.controls import Choice, Slider, landscape_choice
from softq.lab.curves import Curve, CurveLab, Panel
from softq.landscapes import Landscape

CELLS = 2000  # of the box, for the exact law
STEP = {"box": 0.05, "tanh": 0.1}  # of SVGD, in temperatures
RULES = {
    "squared": "squared distances",
    "official": "official code",
    "printed": "as printed, D.1",
    "fixed": "h = 0.1",
}
SPACES = {"box": "in the box", "tanh": "before tanh"}
DIMS = (1, 2, 6, 17)
COUNTS = (2, 4, 8, 16, 32, 64)
# Variance of so many particles at rest over that of a Gaussian softmax, for each of DIMS, by the squared rule: measured
# once from uniform starts, and given by `simplex` up to d + 1 particles.
SPREADS = {
    2: (0.549, 0.275, 0.092, 0.032),
    4: (0.659, 0.402, 0.201, 0.071),
    8: (0.740, 0.540, 0.255, 0.113),
    16: (0.867, 0.731, 0.374, 0.156),
    32: (0.915, 0.844, 0.406, 0.187),
    64: (0.948, 0.888, 0.605, 0.208),
}


def simplex(num: np.ndarray | int, dim: int) -> Any:
    """The same for a regular simplex at rest, which needs num <= dim + 1."""
    return (num - 1) / num * np.log(num + 1) / dim


def beginning(num: int, share: float) -> np.ndarray:
    """`num` particles `(num,)`: a part `share` evenly over the right half of the box, the rest over the left half."""
    right = int(share * num + 0.5)
    cells = lambda count: (np.arange(count) + 0.5) / max(count, 1)
    return np.concatenate([cells(num - right) - 1, cells(right)])


def bandwidth(places: np.ndarray, rule: str) -> float:
    """The width h of the kernel by one of `RULES`, as `softq.samplers.median_bandwidth` has it; 1 for one particle."""
    num = len(places)
    if rule == "fixed":
        return 0.1
    if num == 1:
        return 1.0
    apart = (places[:, None] - places) ** 2
    if rule == "official":
        flat = np.sort(apart, axis=None)
        return max(float(flat[(flat.size - 1) // 2] / np.log(num)), 1e-3)
    pairs = apart[np.triu_indices(num, 1)]
    if rule == "squared":
        return max(float(np.median(pairs)), 1e-6) / np.log(num + 1)
    return max(float(np.median(np.sqrt(pairs))), 1e-3) / (2 * np.log(num + 1))


def direction(places: np.ndarray, scores: np.ndarray, h: float) -> np.ndarray:
    """Delta f at each particle of a line, from the scores `(n,)` there."""
    apart = places[:, None] - places
    kernel = np.exp(-(apart**2) / h)
    return (kernel @ scores + 2 / h * (kernel * apart).sum(1)) / len(places)


class Run(NamedTuple):
    """Particles `(n,)` after each of the recorded numbers of `steps`, `(k, n)`, and the last bandwidth."""

    steps: np.ndarray
    paths: np.ndarray
    bandwidth: float


class Law(NamedTuple):
    """The exact softmax on cells of the box: their middles, probabilities and the distribution function there."""

    middles: np.ndarray
    probabilities: np.ndarray
    below: np.ndarray

    def transport(self, places: np.ndarray) -> float:
        """The Wasserstein distance W1 of equal point masses at `places` from the softmax."""
        reached = np.searchsorted(np.sort(places), self.middles) / len(places)
        return float(np.abs(self.below - reached).sum() * 2 / CELLS)

    def spaced(self, num: int) -> np.ndarray:
        """The `num` places whose point masses are nearest to the softmax: the middles of its quantiles."""
        return np.interp((np.arange(num) + 0.5) / num, self.below, self.middles)


class SwarmLab(CurveLab):
    """SVGD from a start with a given share on the right half, its paths, its law, and the collapse of its spread.

    `landscapes` are one-dimensional; the first is shown at the start. `temperature` is in [0.05, 2], `particles` in
    [1, 40], `share` in [0, 1] the part of them that starts on the right, `steps` in [1, 1500]; `rule` is one of `RULES`
    and `space` one of `SPACES`. Raises `SoftqError` for a landscape in more than one dimension or a bad value.
    """

    kind = "swarm"

    def __init__(
        self,
        landscapes: Sequence[Landscape],
        temperature: float = 0.1,
        particles: int = 20,
        share: float = 0.5,
        steps: int = 600,
        rule: str = "squared",
        space: str = "box",
        alt: str = "Paths of particles, the share of particles below each action, and the spread of swarms.",
        caption: str = "",
    ):
        self.landscapes = {landscape.name: landscape for landscape in landscapes}
        controls = (
            landscape_choice("SwarmLab", landscapes, 1),
            Slider("temperature", "temperature λ", temperature, 0.05, 2.0),
            Slider("particles", "particles M", particles, 1, 40, integer=True),
            Slider("share", "share that starts on the right", share, 0.0, 1.0, log=False),
            Choice("rule", "bandwidth", rule, [(text, name) for name, text in RULES.items()]),
            Choice("space", "particles move", space, [(text, name) for name, text in SPACES.items()]),
            Slider("steps", "steps", steps, 1, 1500, integer=True),
        )
        super().__init__(controls, alt, caption)
        self.law = lru_cache(50)(self._law)
        self.run = lru_cache(50)(self._run)

    def _law(self, name: str, temperature: float) -> Law:
        middles = (np.arange(CELLS) + 0.5) * 2 / CELLS - 1
        logs = evaluate(self.landscapes[name], middles[:, None]) / temperature
        p = np.exp(logs - logs.max())
        p /= p.sum()
        return Law(middles, p, np.cumsum(p) - p / 2)

    def slope(self, name: str, a: np.ndarray) -> np.ndarray:
        """The slope of Q at actions `(n,)`, by the formula of the landscape."""
        q = self.landscapes[name]
        out = np.zeros_like(a)
        for height, (centre,), width in q.bumps:
            out -= height * (a - centre) / width**2 * np.exp(-(((a - centre) / width) ** 2) / 2)
        if q.power is not None:
            scale, p = q.power
            out -= scale * p * np.abs(a) ** (p - 1) * np.sign(a)
        if q.slope is not None:
            out += q.slope[0]
        return out

    def _run(
        self,
        landscape: str,
        temperature: float,
        particles: int,
        share: float,
        rule: str,
        space: str,
        steps: int,
    ) -> Run:
        at = np.unique(np.round(np.geomspace(1, steps + 1, 60)).astype(int)) - 1
        a = beginning(particles, share)
        x = np.arctanh(a) if space == "tanh" else a
        paths, h = [], bandwidth(x, rule)
        for i in range(steps + 1):
            if i in at:
                paths.append(np.tanh(x) if space == "tanh" else x)
            if i == steps:
                break
            if space == "tanh":
                a = np.tanh(x)
                scores = self.slope(landscape, a) / temperature * (1 - a**2) - 2 * a
            else:
                scores = self.slope(landscape, x) / temperature
            h = bandwidth(x, rule)
            x = x + STEP[space] * temperature * direction(x, scores, h)
            if space == "box":  # folded back at the walls
                x = np.abs(np.mod(x - 1, 4) - 2) - 1
        return Run(at, np.stack(paths), h)

    def view(self, **settings: Any) -> tuple[list[Panel], dict[str, float]]:
        name, temperature, num = (settings[key] for key in ("landscape", "temperature", "particles"))
        law, run = self.law(name, temperature), self.run(**settings)
        last = np.sort(run.paths[-1])
        x = np.concatenate(([-1.0], np.repeat(last, 2), [1.0]))
        y = np.repeat(np.arange(num + 1) / num, 2)
        share = Panel(
            "action",
            "share of actions below",
            [Curve(law.middles[::10], law.below[::10], "softmax"), Curve(x, y, "particles", "samples")],
            xlim=(-1, 1),
            ylim=(0, 1),
        )
        paths = [Curve(run.steps + 1.0, path, "", "samples") for path in run.paths.T]
        moves = Panel("step", "action", paths, (True, False), xlim=(1, settings["steps"] + 1), ylim=(-1, 1))
        counts = np.array(COUNTS, float)
        spreads = [
            Curve(counts, np.array([SPREADS[m][i] for m in COUNTS]), f"d = {d}", f"dim {d}")
            for i, d in enumerate(DIMS)
        ]
        until = np.geomspace(2, 18, 20)
        spreads.append(Curve(until, simplex(until, 17), "simplex, d = 17", "formula"))
        collapse = Panel(
            "particles M",
            "variance over the exact one",
            spreads,
            (True, False),
            (2, 64),
            (0, 1),
            bands=[(num, 1.05 * num)],
        )
        mean = law.probabilities @ law.middles
        variance = law.probabilities @ (law.middles - mean) ** 2
        return [share, moves, collapse], {
            "W₁ to the softmax": law.transport(last),
            "W₁ of well-placed particles": law.transport(law.spaced(num)),
            "share on the right": float(np.mean(last > 0)),
            "exact share on the right": float(law.probabilities[CELLS // 2 :].sum()),
            "variance over the exact one": float(last.var() / variance),
            "bandwidth h": run.bandwidth,
        }

    def tables(self) -> dict[str, Any]:
        return {
            "landscapes": {name: export.landscape(q) for name, q in self.landscapes.items()},
            "dims": DIMS,
            "counts": COUNTS,
            "spreads": [[SPREADS[m][i] for m in COUNTS] for i in range(len(DIMS))],
        }
