"""`SelectionLab`: what the choice of one end point out of several does to the temperature.

All its landscapes are sums of one function over the coordinates, so that exact means come from one dimension. The law
of the regret in more than one dimension is that of `softq.lab.importance`.
"""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from jax import Array
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from scipy.optimize import brentq

from softq import landscapes, plots
from softq.lab import export
from softq.lab.base import Lab
from softq.lab.controls import Choice, Integer, Slider
from softq.lab.importance import regret_law
from softq.landscapes import Landscape
from softq.samplers import isir, mala, snis

CELLS = 4000  # of the box of one coordinate
CANDIDATES, STEPS, SWEEPS = 100, 20, 3
PRINTED = (1.0, 1e-4, 1e-4)  # the largest and the smallest first step, and the last step (DDSQ Table 3)
STABLE = (0.3, 0.003, 0.003)  # the same as shares of the stability limit
MALA_SHARE = 0.25  # MALA's step as a share of the stability limit
BINS = 60
COLDEST, HOTTEST = 1e-6, 1e3  # temperatures between which the one that fits a mean value is searched


class Scene(NamedTuple):
    """A landscape that is a sum of `one` over `dim` coordinates, with its steepest curvature."""

    text: str
    one: str
    dim: int
    curvature: float


SCENES = {
    "quad1": Scene("parabola, d = 1", "quad1", 1, 2.0),
    "quad2": Scene("parabola, d = 2", "quad1", 2, 2.0),
    "quad6": Scene("parabola, d = 6", "quad1", 6, 2.0),
    "quad17": Scene("parabola, d = 17", "quad1", 17, 2.0),
    "abs1": Scene("tent, d = 1", "abs1", 1, 2.0),
    "twomode1": Scene("two hills, d = 1", "twomode1", 1, 44.5),
}
RULES = (
    ("the best (arg max)", "argmax"),
    ("by weight", "weight"),
    ("at random", "random"),
    ("no choice: one MALA chain", "mala"),
    ("no choice: i-SIR", "isir"),
)
ENDS = (
    ("perfect draws", "perfect"),
    ("chains, printed steps", "printed"),
    ("chains, stable steps", "stable"),
)


def schedules(ends: str, count: int, temperature: float, curvature: float) -> np.ndarray:
    """Step sizes `(count, STEPS)` of the chains: each schedule runs linearly from its first step to the last one."""
    first, smallest, last = PRINTED if ends == "printed" else STABLE
    scale = 1.0 if ends == "printed" else 4 * temperature / curvature
    starts = first * (smallest / first) ** (np.arange(count) / max(count - 1, 1))
    return scale * np.linspace(starts, last, STEPS, axis=-1)


def q_and_slope(one: Landscape, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes of a one-dimensional landscape of bumps or a power, at each entry of `a`."""
    value, slope = np.zeros_like(a), np.zeros_like(a)
    for height, (centre,), width in one.bumps:
        bump = height * np.exp(-((a - centre) ** 2) / (2 * width**2))
        value, slope = value + bump, slope - bump * (a - centre) / width**2
    if one.power is not None:
        scale, p = one.power
        value = value - scale * np.abs(a) ** p
        slope = slope - scale * p * np.abs(a) ** (p - 1) * np.sign(a)
    return value, slope


def chains(
    one: Landscape, starts: np.ndarray, noise: np.ndarray, plan: np.ndarray, temperature: float
) -> np.ndarray:
    """End points `(n, S, d)` of the chains of `plan` `(S, T)` from `starts` `(n, d)`, with one `noise` `(n, T, d)`."""
    a = np.repeat(starts[:, None], len(plan), axis=1)
    for t, step in enumerate(plan.T[:, None, :, None]):
        a = a + step / 2 * q_and_slope(one, a)[1] / temperature + np.sqrt(step) * noise[:, t, None]
        a = np.abs((a - 1) % 4 - 2) - 1
    return a


@cache
def line(one: str) -> tuple[np.ndarray, np.ndarray]:
    """Midpoints of the cells of a coordinate, and the landscape there."""
    nodes = plots.grid(1, CELLS)[:, 0]
    return nodes, q_and_slope(landscapes.get(one), nodes)[0]


def masses(one: str, temperature: float) -> np.ndarray:
    """Probabilities of the cells of a coordinate under the softmax."""
    _, values = line(one)
    p = np.exp((values - values.max()) / temperature)
    return p / p.sum()


def temperature_of(scene: Scene, mean_value: float) -> float:
    """The temperature whose softmax has this mean of Q; between `COLDEST` and `HOTTEST`."""
    values = line(scene.one)[1]
    rest = lambda u: scene.dim * float(masses(scene.one, np.exp(u)) @ values) - mean_value
    low, high = np.log([COLDEST, HOTTEST])
    if rest(low) <= 0 or rest(high) >= 0:  # the mean falls as the temperature rises
        return COLDEST if rest(low) <= 0 else HOTTEST
    return float(np.exp(brentq(rest, low, high)))


def regrets(scene: Scene, temperature: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The regrets of cells in rising order, their masses under the softmax, and the numbers of the cells."""
    if scene.dim > 1:
        regret, uniform = regret_law(scene.dim)
        p = uniform * np.exp(-(regret - regret[0]) / temperature)
        return regret, p / p.sum(), np.arange(len(regret))
    values = line(scene.one)[1]
    order = np.argsort(-values, kind="stable")
    return values.max() - values[order], masses(scene.one, temperature)[order], order


def best_of(p: np.ndarray, count: int) -> np.ndarray:
    """Probabilities that the best of `count` draws lies in each of the cells, which stand in the order of regret."""
    tail = np.append(np.cumsum(p[::-1])[::-1], 0.0)
    return tail[:-1] ** count - tail[1:] ** count


@partial(jax.jit, static_argnums=(0, 1, 2))
def _without_choice(rule: str, scene: Scene, count: int, key: Array, temperature: Array) -> Array:
    """`count` actions of MALA after SNIS, or of iterated resampling, `(count, dim)`."""
    one = landscapes.get(scene.one)
    q = lambda a: jnp.sum(jax.vmap(lambda x: one(x[None]))(a))

    def draw(key: Array) -> Array:
        if rule == "isir":
            return isir(key, q, scene.dim, temperature, CANDIDATES, SWEEPS)
        first, drive = jax.random.split(key)
        start = snis(first, q, scene.dim, temperature, CANDIDATES)
        steps = jnp.full(STEPS, jnp.minimum(MALA_SHARE * 4 * temperature / scene.curvature, 1.0))
        return mala(drive, q, temperature, start, steps)[0]

    return jax.vmap(draw)(jax.random.split(key, count))


class SelectionLab(Lab):
    """`draws` actions, each chosen from S end points, beside the softmax at the temperature asked for.

    `landscape` is one of `SCENES`, `rule` one of `RULES`, `ends` one of `ENDS`; `count` is S, in [1, 50], and
    `temperature` lies in [0.005, 0.3]. Raises `SoftqError` for another name or number.
    """

    kind = "selection"

    def __init__(
        self,
        landscape: str = "quad1",
        rule: str = "argmax",
        ends: str = "perfect",
        count: int = 10,
        temperature: float = 0.05,
        draws: int = 2000,
        seed: int = 0,
        alt: str = "End points with one of them chosen, the law of the chosen ones, and a thermometer.",
        caption: str = "",
    ):
        controls = (
            Choice("landscape", "landscape", landscape, [(s.text, name) for name, s in SCENES.items()]),
            Choice("ends", "end points", ends, ENDS),
            Choice("rule", "choose", rule, RULES),
            Slider("count", "end points S", count, 1, 50, integer=True),
            Slider("temperature", "temperature λ", temperature, 0.005, 0.3),
            Integer("draws", "draws", draws, 1, 5000, offered=(100, 500, 2000, 5000)),
            Integer("seed", "seed", seed, 0, 9999),
        )
        super().__init__(controls, alt, caption)

    def ends(self, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
        """End points `(draws, S, dim)` and the numbers of the chosen ones; S is 1 where nothing is chosen."""
        s = self.complete(settings)
        scene, rng, n = SCENES[s["landscape"]], np.random.default_rng(s["seed"]), s["draws"]
        if s["rule"] in ("mala", "isir"):
            key = jax.random.key(s["seed"])
            a = np.asarray(_without_choice(s["rule"], scene, n, key, jnp.float32(s["temperature"])), float)
            return a[:, None], np.zeros(n, int)
        one, temperature = landscapes.get(scene.one), s["temperature"]
        if s["ends"] == "perfect":
            nodes, below = line(scene.one)[0], np.cumsum(masses(scene.one, temperature))
            cell = np.searchsorted(below, rng.uniform(size=(n, s["count"], scene.dim)) * below[-1])
            a = nodes[cell] + (rng.uniform(size=cell.shape) - 0.5) * 2 / CELLS
        else:
            candidates = rng.uniform(-1, 1, (n, CANDIDATES, scene.dim))
            scores = q_and_slope(one, candidates)[0].sum(2) / temperature
            pick = np.argmax(scores + rng.gumbel(size=scores.shape), axis=1)
            plan = schedules(s["ends"], s["count"], temperature, scene.curvature)
            noise = rng.normal(size=(n, STEPS, scene.dim))
            a = chains(one, candidates[np.arange(n), pick], noise, plan, temperature)
        q = q_and_slope(one, a)[0].sum(2)
        if s["rule"] == "random":
            return a, rng.integers(s["count"], size=n)
        noise = rng.gumbel(size=q.shape) if s["rule"] == "weight" else 0.0
        return a, np.argmax(q / temperature + noise, axis=1)

    def exact(self, **settings: Any) -> dict[str, float]:
        """The numbers that need no draws: those of the softmax, and those of the best of S perfect draws."""
        s = self.complete(settings)
        scene, count = SCENES[s["landscape"]], s["count"]
        regret, p, _ = regrets(scene, s["temperature"])
        top = scene.dim * float(line(scene.one)[1].max())
        best = top - float(best_of(p, count) @ regret)
        return {
            "exact mean of Q": scene.dim * float(masses(scene.one, s["temperature"]) @ line(scene.one)[1]),
            "mean of Q, best of S perfect draws": best,
            "temperature of the best of S perfect draws": temperature_of(scene, best),
            "its divergence, nats": float(np.log(count) - (count - 1) / count),
        }

    def numbers(self, **settings: Any) -> dict[str, float]:
        return self._numbers(*self.ends(**settings), **settings)

    def _numbers(self, a: np.ndarray, chosen: np.ndarray, **settings: Any) -> dict[str, float]:
        s = self.complete(settings)
        scene = SCENES[s["landscape"]]
        values = q_and_slope(landscapes.get(scene.one), a[np.arange(len(a)), chosen])[0].sum(1)
        got = temperature_of(scene, float(values.mean()))
        measured = {
            "temperature asked": s["temperature"],
            "temperature got": got,
            "got / asked": got / s["temperature"],
            "mean of Q": float(values.mean()),
        }
        return measured | self.exact(**settings)

    def figure(self, **settings: Any) -> Figure:
        s = self.complete(settings)
        scene, (a, chosen) = SCENES[s["landscape"]], self.ends(**settings)
        numbers = self._numbers(a, chosen, **settings)
        white = {key: "white" for key in ("figure.facecolor", "savefig.facecolor")}
        # without a constrained layout, which takes as long as all the rest
        quick = {"font.size": 9, "figure.constrained_layout.use": False}
        with mpl.rc_context(plots.STYLE | white | quick):
            figure = Figure(figsize=(6.8, 4.4))
            left, right, gauge = figure.subplot_mosaic("ab;cc", height_ratios=[4, 0.7]).values()
            figure.subplots_adjust(left=0.09, right=0.98, top=0.86, bottom=0.12, wspace=0.1, hspace=0.42)
            _draw_ends(left, scene, s["temperature"], a[-1], chosen[-1])
            _draw_laws(right, scene, s, a[np.arange(len(a)), chosen])
            _draw_gauge(gauge, s, numbers)
            text = f"{scene.text}, {dict(map(reversed, RULES))[s['rule']]}, S = {s['count']}: "
            text += f"temperature asked {s['temperature']:.3g}, got {numbers['temperature got']:.3g}"
            figure.suptitle(text, fontsize=9)
        return figure

    def tables(self) -> dict[str, Any]:
        rows = {}
        for name, scene in SCENES.items():
            rows[name] = {"text": scene.text, "dim": scene.dim, "curvature": scene.curvature}
            rows[name]["one"] = export.landscape(landscapes.get(scene.one))
            if scene.dim > 1:
                regret, mass = regret_law(scene.dim)
                rows[name] |= {"first": regret[0], "last": regret[-1]}
                rows[name]["mass"] = [float(f"{p:.6e}") for p in mass]
        constants = {
            "candidates": CANDIDATES,
            "steps": STEPS,
            "sweeps": SWEEPS,
            "mala": MALA_SHARE,
            "bins": BINS,
        }
        constants |= {"printed": PRINTED, "stable": STABLE, "coldest": COLDEST, "hottest": HOTTEST}
        return {"scenes": rows, "constants": constants}


def reach(scene: Scene, temperature: float) -> tuple[float, float]:
    """The limits of the panel of laws: of the action in one dimension, else of the distance from the summit."""
    if scene.one == "twomode1":
        return -1.0, 1.0
    regret, p, _ = regrets(scene, temperature)
    far = regret[min(int(np.searchsorted(np.cumsum(p), 0.999)), len(p) - 1)]
    size = min(1.2 * (np.sqrt(far) if scene.one == "quad1" else far), np.sqrt(scene.dim))
    return (-size, size) if scene.dim == 1 else (0.0, size)


def position(scene: Scene, a: np.ndarray) -> np.ndarray:
    """Where actions `(n, dim)` are drawn: the action, or its distance from the summit."""
    return a[..., 0] if scene.dim == 1 else np.linalg.norm(a, axis=-1)


def densities(
    scene: Scene, temperature: float, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A law along the axis of the panel: the softmax, or the cells in the order of regret with other `weights`."""
    regret, p, order = regrets(scene, temperature)
    p = p if weights is None else weights
    if scene.dim == 1:
        density = np.empty(len(p))
        density[order] = p * len(p) / 2
        return line(scene.one)[0][::2], density[::2]
    x, ratio = np.sqrt(regret), np.sqrt(regret[1] / regret[0])
    return x, p / (x * (np.sqrt(ratio) - 1 / np.sqrt(ratio)))


def colder_law(scene: Scene, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """The softmax at a temperature that may be below those of the tables: in many dimensions without the walls."""
    if scene.dim == 1 or temperature > 0.1:
        return densities(scene, temperature)
    law = stats.chi(scene.dim, scale=np.sqrt(temperature / 2))
    x = np.linspace(0, law.ppf(1 - 1e-9), 400)
    return x, law.pdf(x)


def _draw_ends(ax: Axes, scene: Scene, temperature: float, ends: np.ndarray, chosen: int) -> None:
    """The landscape, as seen from the summit in many dimensions, with the end points of one draw on it."""
    one = landscapes.get(scene.one)
    x, q = position(scene, ends), q_and_slope(one, ends)[0].sum(1)
    far = max(reach(scene, temperature)[1], 1.3 * float(np.abs(x).max()))
    far = min(far, 1.0) if scene.dim == 1 else far
    nodes = np.linspace(-far if scene.dim == 1 else 0, far, 401)
    ax.plot(nodes, q_and_slope(one, nodes)[0], color=plots.INK)
    ax.plot(x, q, "o", color=plots.SAMPLE, alpha=0.6, markersize=5)
    ax.plot(x[chosen], q[chosen], "o", color=plots.EXACT, markersize=11, markerfacecolor="none")
    ax.set(title="one draw; the ring is chosen", ylabel="value Q", xlabel=_axis(scene))


def _draw_laws(ax: Axes, scene: Scene, s: dict[str, Any], a: np.ndarray) -> None:
    """The histogram of the chosen actions, the softmax, and what the theorem says of the best of S."""
    low, high = reach(scene, s["temperature"])
    counts, edges = np.histogram(np.clip(position(scene, a), low, high), BINS, (low, high))
    look = {"color": plots.SAMPLE, "alpha": 0.5, "label": "chosen", "fill": True}
    ax.stairs(counts / len(a) / (edges[1] - edges[0]), edges, **look)
    ax.plot(*densities(scene, s["temperature"]), label="softmax asked for", **plots.look("exact"))
    colder = {"label": "softmax at λ / S", **plots.look("colder")}
    if s["rule"] not in ("mala", "isir"):
        ax.plot(*colder_law(scene, s["temperature"] / s["count"]), **colder)
    if s["ends"] == "perfect" and s["rule"] == "argmax":
        best = best_of(regrets(scene, s["temperature"])[1], s["count"])
        ax.plot(
            *densities(scene, s["temperature"], best), label="best of S, exact", **plots.look("best of S")
        )
    top = max(counts.max() / len(a) / (edges[1] - edges[0]), densities(scene, s["temperature"])[1].max())
    ax.set(xlim=(low, high), ylim=(0, 1.15 * top), yticks=[], xlabel=_axis(scene), title="all draws")
    ax.legend(fontsize=7.5)


def _draw_gauge(ax: Axes, s: dict[str, Any], numbers: dict[str, float]) -> None:
    """A thermometer with two needles."""
    ax.set_xscale("log")
    for value, look, text, level in (
        (s["temperature"], "exact", "asked", 0.72),
        (numbers["temperature got"], "samples", "got", 0.3),
        (s["temperature"] / s["count"], "colder", "λ / S", 0.72),
    ):
        ax.axvline(np.clip(value, 1e-5, 1), **plots.look(look))
        ax.text(np.clip(value, 1e-5, 1) * 1.08, level, text, transform=ax.get_xaxis_transform(), va="center")
    ax.set(xlim=(1e-5, 1), yticks=[], ylim=(0, 1), xlabel="temperature")
    ax.minorticks_off()


def _axis(scene: Scene) -> str:
    return "action" if scene.dim == 1 else "distance from the summit"
