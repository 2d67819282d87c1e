"""`BlurLab`: two ways to blur a landscape, and NC-LQL's chain on Q and on a transform of Q with the same noise."""

from functools import cache
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtr

from softq import landscapes, plots
from softq.exact.smoothing import smooth_density
from softq.lab import export
from softq.lab.base import Lab
from softq.lab.controls import Choice, Integer, Slider, Toggle
from softq.landscapes import Landscape
from softq.samplers.annealed import geometric_levels

LEVELS = geometric_levels(0.1, 0.001, 10)  # NC-LQL Table 6
ALPHAS = 1e-4 * (LEVELS / LEVELS[-1]) ** 2
STEPS_PER_LEVEL = 2
STEPS = STEPS_PER_LEVEL * len(LEVELS)
PARTICLES = 300
CELLS = {1: 4000, 2: 120}
KNOTS = 65  # of the piecewise linear rank of a value
PATH = 161  # points of the path along which the landscapes are drawn
TRANSFORMS = (("Q cubed", "cube"), ("a million times Q", "million"), ("the rank of Q", "rank"))


class Place(NamedTuple):
    """A landscape, the path `(PATH, dim)` along which it is drawn over `x`, and where its better hill is.

    An action belongs to the better hill if `normal . a` is above `cut`; on the bandit the better hills are the four
    high ones, to which an action belongs by its angle, and `normal` is empty.
    """

    text: str
    x: np.ndarray
    path: np.ndarray
    axis: str
    normal: tuple[float, ...]
    cut: float


@cache
def places() -> dict[str, Place]:
    """The landscapes of the lab by their names."""
    line, angle = np.linspace(-1, 1, PATH), np.linspace(0, np.pi / 2, PATH)
    arc = np.sqrt(0.5) * np.stack([np.cos(angle), np.sin(angle)], -1)
    diagonal = np.stack([line, line], -1)
    return {
        "twomode2": Place("two hills in the plane", line, diagonal, "along the diagonal", (1.0, 1.0), 0.0),
        "twomode1": Place("two hills on a line", line, line[:, None], "action", (1.0,), 0.0),
        "spike1": Place("a needle and a hump", line, line[:, None], "action", (1.0,), 0.65),
        "bandit": Place("the bandit's eight hills", np.degrees(angle), arc, "angle in degrees", (), 0.0),
    }


def better(place: Place, actions: np.ndarray) -> np.ndarray:
    """Whether each of the `actions` `(n, dim)` is on the better hill."""
    if place.normal:
        return actions @ np.array(place.normal) > place.cut
    turns = np.arctan2(actions[:, 1], actions[:, 0]) / (np.pi / 2)
    return np.abs(turns - np.round(turns)) < 0.25


def blurred(q: Landscape, a: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Values `(n,)` and slopes `(n, dim)` of a sum of bumps blurred by `sigma`, at actions `(n, dim)`."""
    value, slope = np.zeros(len(a)), np.zeros_like(a)
    for height, centre, width in q.bumps:
        wider, away = width**2 + sigma**2, a - np.array(centre)
        bump = height * (width**2 / wider) ** (q.dim / 2) * np.exp(-(away**2).sum(1) / (2 * wider))
        value, slope = value + bump, slope - bump[:, None] * away / wider
    return value, slope


@cache
def ranks(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Knots of Q, and the share of uniform actions below each of them, which rises from knot to knot."""
    q = landscapes.get(name)
    values = np.sort(blurred(q, plots.grid(q.dim, CELLS[q.dim]), 0.0)[0])
    knots = np.linspace(values[0], values[-1], KNOTS)
    share = np.searchsorted(values, knots, side="right") / len(values)
    return knots, (share + 1e-3 * np.linspace(0, 1, KNOTS)) / 1.001


def transform(name: str, kind: str, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The transform of values and its derivative there."""
    if kind == "cube":
        return value**3, 3 * value**2
    if kind == "million":
        return 1e6 * value, np.full_like(value, 1e6)
    knots, share = ranks(name)
    slopes = np.diff(share) / np.diff(knots)
    inside = np.clip(np.searchsorted(knots, value, side="right") - 1, 0, KNOTS - 2)
    return share[inside] + slopes[inside] * (value - knots[inside]), slopes[inside]


def run(
    name: str,
    kind: str | None,
    unit: bool,
    temperature: float,
    starts: np.ndarray,
    noise: np.ndarray,
) -> np.ndarray:
    """All actions `(STEPS + 1, n, dim)` of NC-LQL's chain on Q, or on its transform `kind`, with the `noise` given."""
    q, a, path = landscapes.get(name), starts, [starts]
    for t, xi in enumerate(noise):
        sigma, alpha = LEVELS[t // STEPS_PER_LEVEL], ALPHAS[t // STEPS_PER_LEVEL]
        value, slope = blurred(q, a, sigma)
        if kind is not None:
            slope = transform(name, kind, value)[1][:, None] * slope
        if unit:
            length = np.linalg.norm(slope, axis=1, keepdims=True)
            slope = np.divide(slope, length, out=np.zeros_like(slope), where=length > 0)
        a = np.clip(a + alpha / 2 * slope / temperature + np.sqrt(alpha) * xi, -1, 1)
        path.append(a)
    return np.array(path)


def softmax(values: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities of cells of equal size."""
    p = np.exp((values - values.max()) / temperature)
    return p / p.sum()


def blurred_mass(place: Place, p: np.ndarray, dim: int, sigma: float) -> float:
    """The mass of the better hill after the probabilities `p` of the cells of the box are blurred by `sigma`."""
    if place.normal:
        normal = np.array(place.normal)
        ahead = (plots.grid(dim, CELLS[dim]) @ normal - place.cut) / np.linalg.norm(normal)
        return float(p @ ndtr(ahead / sigma))
    cells = CELLS[dim]
    edges = np.linspace(
        -2, 2, 2 * cells + 1
    )  # of a box of twice the side; what leaves it stays in its last cells
    below = ndtr((edges - plots.grid(1, cells)) / sigma)
    below[:, 0], below[:, -1] = 0.0, 1.0
    kernel, middle = np.diff(below), (edges[1:] + edges[:-1]) / 2
    mesh = np.stack(np.meshgrid(middle, middle, indexing="ij"), -1).reshape(-1, 2)
    return float((kernel.T @ p.reshape(cells, cells) @ kernel).ravel()[better(place, mesh)].sum())


class BlurLab(Lab):
    """Q, its two blurs by `sigma` and the mass of the better hill; below, the chain on Q and on a transform of Q.

    `landscape` is one of `places()`, `kind` one of `TRANSFORMS`, `temperature` lies in [0.02, 0.3] and `sigma` in
    [0.02, 0.6]. `step` is the number of steps taken, up to 20, and `unit` divides each slope by its length. Raises
    `SoftqError` for another name or number.
    """

    kind = "blur"

    def __init__(
        self,
        landscape: str = "twomode2",
        transform: str = "cube",
        unit: bool = True,
        temperature: float = 0.05,
        sigma: float = 0.2,
        step: int = 20,
        seed: int = 0,
        alt: str = "Two blurs of a landscape, and two clouds of actions of one sampler with the same noise.",
        caption: str = "",
    ):
        controls = (
            Choice("landscape", "landscape", landscape, [(p.text, name) for name, p in places().items()]),
            Slider("sigma", "blur σ", sigma, 0.02, 0.6),
            Slider("temperature", "temperature λ", temperature, 0.02, 0.3),
            Choice("transform", "second run on", transform, TRANSFORMS),
            Toggle("unit", "slopes divided by their length", unit),
            Slider("step", "after step", step, 0, STEPS, log=False, integer=True),
            Integer("seed", "seed", seed, 0, 9999),
        )
        super().__init__(controls, alt, caption)

    def clouds(self, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
        """The actions of both runs after the step, `(PARTICLES, dim)` each."""
        s = self.complete(settings)
        dim, rng = landscapes.get(s["landscape"]).dim, np.random.default_rng(s["seed"])
        starts = rng.uniform(-1, 1, (PARTICLES, dim))
        noise = rng.normal(size=(STEPS, PARTICLES, dim))[: s["step"]]
        given = s["unit"], s["temperature"], starts, noise
        return run(s["landscape"], None, *given)[-1], run(s["landscape"], s["transform"], *given)[-1]

    def exact(self, **settings: Any) -> dict[str, float]:
        """The mass of the better hill under the softmax of Q, of its blurs, and of its transform."""
        s = self.complete(settings)
        name, temperature, sigma = s["landscape"], s["temperature"], s["sigma"]
        q, place = landscapes.get(name), places()[name]
        nodes = plots.grid(q.dim, CELLS[q.dim])
        values, on = blurred(q, nodes, 0.0)[0], better(place, nodes)
        p = softmax(values, temperature)
        return {
            "better hill, softmax of Q": float(p[on].sum()),
            "better hill, values blurred": float(softmax(blurred(q, nodes, sigma)[0], temperature)[on].sum()),
            "better hill, density blurred": blurred_mass(place, p, q.dim, sigma),
            "better hill, softmax of the transform": float(
                softmax(transform(name, s["transform"], values)[0], temperature)[on].sum()
            ),
        }

    def numbers(self, **settings: Any) -> dict[str, float]:
        return self._numbers(*self.clouds(**settings), **settings)

    def _numbers(self, first: np.ndarray, second: np.ndarray, **settings: Any) -> dict[str, float]:
        s = self.complete(settings)
        place, level = places()[s["landscape"]], max(s["step"] - 1, 0) // STEPS_PER_LEVEL
        return self.exact(**settings) | {
            "better hill, run on Q": float(better(place, first).mean()),
            "better hill, run on the transform": float(better(place, second).mean()),
            "largest distance of the clouds": float(np.abs(first - second).max()),
            "drift of a unit slope": float(ALPHAS[level] / 2 / s["temperature"]),
            "noise": float(np.sqrt(ALPHAS[level])),
        }

    def curves(self, **settings: Any) -> dict[str, np.ndarray]:
        """Q, its average and its soft maximum over the noise along the path, `(PATH,)` each."""
        s = self.complete(settings)
        q, path = landscapes.get(s["landscape"]), places()[s["landscape"]].path
        return {
            "Q": blurred(q, path, 0.0)[0],
            "values blurred": blurred(q, path, s["sigma"])[0],
            "density blurred": smooth_density(q, s["temperature"], s["sigma"], path).value,
        }

    def figure(self, **settings: Any) -> Figure:
        s, clouds = self.complete(settings), self.clouds(**settings)
        numbers, place = self._numbers(*clouds, **settings), places()[s["landscape"]]
        white = {key: "white" for key in ("figure.facecolor", "savefig.facecolor")}
        # without a constrained layout, which takes as long as all the rest
        quick = {"font.size": 9, "figure.constrained_layout.use": False}
        with mpl.rc_context(plots.STYLE | white | quick):
            figure = Figure(figsize=(6.8, 6.2))
            axes = figure.subplot_mosaic("aaab;ccdd", height_ratios=[1, 1.45])
            figure.subplots_adjust(left=0.08, right=0.98, top=0.89, bottom=0.05, wspace=0.3, hspace=0.38)
            for label, curve in self.curves(**settings).items():
                look = {"color": plots.INK} if label == "Q" else plots.look(label)
                axes["a"].plot(place.x, curve, label=label, **look)
            axes["a"].set(xlabel=place.axis, ylabel="value")
            axes["a"].legend(fontsize=8, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
            _draw_bars(axes["b"], numbers)
            text = dict(map(reversed, TRANSFORMS))[s["transform"]]
            for ax, cloud, title, kind in (
                (axes["c"], clouds[0], "run on Q", None),
                (axes["d"], clouds[1], f"run on {text}", s["transform"]),
            ):
                _draw_cloud(ax, s, cloud, kind, title)
            text = (
                f"{place.text}, blur {s['sigma']:.3g}, temperature {s['temperature']:.3g}, step {s['step']}: "
            )
            text += f"largest distance of the clouds {numbers['largest distance of the clouds']:.2g}"
            figure.suptitle(text, fontsize=9)
        return figure

    def tables(self) -> dict[str, Any]:
        rows = {}
        for name, place in places().items():
            knots, share = ranks(name)
            rows[name] = {
                "text": place.text,
                "landscape": export.landscape(landscapes.get(name)),
                "x": np.round(place.x, 6).tolist(),
                "path": np.round(place.path, 6).tolist(),
                "axis": place.axis,
                "normal": place.normal,
                "cut": place.cut,
                "ranks": [knots[0], knots[-1], share.tolist()],
            }
        return {
            "places": rows,
            "levels": LEVELS.tolist(),
            "alphas": ALPHAS.tolist(),
            "steps_per_level": STEPS_PER_LEVEL,
            "particles": PARTICLES,
        }


def _draw_bars(ax: Axes, numbers: dict[str, float]) -> None:
    """The mass of the better hill as bars."""
    for i, (label, look) in enumerate(
        (
            ("softmax of Q", "exact"),
            ("values blurred", "values blurred"),
            ("density blurred", "density blurred"),
        )
    ):
        mass = numbers[f"better hill, {label}"]
        ax.bar(i, mass, color=plots.look(look)["color"])
        ax.text(i, mass + 0.02, f"{mass:.2f}", ha="center")
    ax.set(ylim=(0, 1.15), title="better hill", yticks=[0, 0.5, 1], xticks=[0, 1, 2])
    ax.set_xticklabels(["softmax", "values", "density"], fontsize=7.5, rotation=35)


def _draw_cloud(ax: Axes, s: dict[str, Any], cloud: np.ndarray, kind: str | None, title: str) -> None:
    """A cloud over the softmax of the landscape that its run climbs."""
    name = s["landscape"]
    q = landscapes.get(name)
    nodes = plots.grid(q.dim, CELLS[q.dim])
    values = blurred(q, nodes, 0.0)[0]
    p = softmax(values if kind is None else transform(name, kind, values)[0], s["temperature"])
    if q.dim == 2:
        side = CELLS[2]
        look = {"origin": "lower", "extent": (-1, 1, -1, 1), "cmap": "Blues"}
        ax.imshow(np.sqrt(p).reshape(side, side).T, **look)
        plots.samples_2d(ax, cloud)
    else:
        ax.plot(nodes[:, 0], p / p.max(), color=plots.EXACT)
        height = np.random.default_rng(1).uniform(0.05, 0.95, len(cloud))
        ax.plot(cloud[:, 0], height, ".", color=plots.SAMPLE, markersize=4, alpha=0.6)
        ax.set(xlim=(-1.02, 1.02), ylim=(0, 1.1), xticks=[-1, 0, 1], yticks=[])
    ax.set_title(f"{title}; blue: its softmax")
