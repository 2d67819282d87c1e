"""`GalleryLab`: every landscape, every sampler, and how far the particles are from the exact softmax."""

from functools import cache
from typing import Any

import jax
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from softq import landscapes, plots
from softq.exact.boltzmann import Boltzmann
from softq.exact.histograms import histogram_tv, tv_floor
from softq.exact.values import evaluate
from softq.lab import export
from softq.lab.controls import Choice, Integer, Slider
from softq.lab.gallery_samplers import (
    GALLERY_SAMPLERS,
    LEVELS,
    RUNGS,
    SCHEDULE_STEPS,
    SCHEDULES,
    SHRINK,
    STEPS_PER_LEVEL,
    RunSettings,
    draw,
)
from softq.lab.law import BINS, CELLS, curvature, median_regret
from softq.lab.particles import ParticleLab, show_control, walls_control

CANDIDATES = (2, 10, 100)


@cache
def curvature_and_regret(name: str) -> tuple[float, float]:
    """A typical large curvature of a landscape, which step sizes go by, and its median regret, for ladders."""
    q = landscapes.get(name)
    values = evaluate(q, plots.grid(q.dim, CELLS[q.dim]))
    return curvature(values, q.dim), median_regret(values)


@cache
def law_of(name: str) -> Boltzmann:
    """The exact softmax of the landscape called `name` at temperature 1."""
    return Boltzmann(landscapes.get(name), 1.0)


def marginal(law: Boltzmann, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Quadrature nodes of the coordinate `axis` of a two-dimensional law, and its exact density there, `(n,)` each."""
    side = int(np.sqrt(len(law.nodes)))
    mass = law.probabilities.reshape(side, side).sum(1 - axis)
    nodes = law.nodes[:, axis].reshape(side, side)
    weights = law.weights.reshape(side, side).sum(1 - axis) / 2
    return (nodes[:, 0] if axis == 0 else nodes[0]), mass / weights


class GalleryLab(ParticleLab):
    """Particles of one sampler on one landscape, beside the exact softmax and its marginals.

    `landscape` is a name of `softq.landscapes`, `sampler` one of `GALLERY_SAMPLERS`, `temperature` in [0.02, 3],
    `boundary` "reflect" or "project" where the sampler has the choice. `step` multiplies the sampler's own step size,
    see `GallerySampler.own_step`. The `particles` start from uniform actions and take as many steps as
    `budget` evaluations of Q or its gradient an action pay for, so that samplers compare at one price. Those that
    resample draw `candidates` uniform actions; `seed` is that of all random numbers. `beside` is a second sampler,
    shown at the same price, or "none". Raises `SoftqError` for an unknown name, or a number outside the range of
    its control.
    """

    kind = "gallery"
    live_width = 700

    def __init__(
        self,
        landscape: str = "twomode2",
        sampler: str = "langevin",
        temperature: float = 0.1,
        boundary: str = "reflect",
        particles: int = 400,
        step: float = 1.0,
        budget: int = 100,
        candidates: int = 10,
        seed: int = 0,
        beside: str = "none",
        alt: str = "The exact softmax of a landscape, the particles of a sampler on it, and both marginals.",
        caption: str = "",
    ):
        names = [(name, name) for name in landscapes.names()]
        samplers = [(entry.text, name) for name, entry in GALLERY_SAMPLERS.items()]
        controls = (
            Choice("landscape", "landscape", landscape, names),
            Choice("sampler", "sampler", sampler, samplers),
            Choice("beside", "beside it", beside, [("nothing", "none"), *samplers]),
            Slider("temperature", "temperature λ", temperature, 0.02, 3.0),
            Slider("step", "step size × own", step, 0.01, 100.0),
            walls_control(boundary),
            Choice("candidates", "candidates m", candidates, [(str(m), m) for m in CANDIDATES]),
            Integer("budget", "evaluations in a run", budget, 1, 2000, (20, 100, 500, 2000)),
            Integer("particles", "particles", particles, 1, 2000, (100, 400, 1600)),
            show_control(),
            Integer("seed", "seed", seed, 0, 9999),
        )
        super().__init__(controls, alt, caption)

    def given(self, **settings: Any) -> RunSettings:
        """The settings that the sampler of the lab gets, in which `step` is a step size and no longer a multiple."""
        s = self.complete(settings)
        steepness, regret = curvature_and_regret(s["landscape"])
        entry = GALLERY_SAMPLERS[s["sampler"]]
        step = s["step"] * entry.own_step(s["temperature"], steepness)
        step = step if entry.largest is None else min(step, entry.largest)
        hottest = max(4 * s["temperature"], regret)
        given = RunSettings(s["temperature"], step, hottest, 1, s["candidates"], s["boundary"])
        return given._replace(steps=entry.steps_within(s["budget"], given))

    def sample(self, **settings: Any) -> np.ndarray:
        """Actions `(particles, dim)`, from the same law as those of the page, whose random numbers are others."""
        s, g = self.complete(settings), self.given(**settings)
        q, key = landscapes.get(s["landscape"]), jax.random.key(s["seed"])
        fixed = (s["particles"], g.steps, g.candidates, g.boundary)
        return np.asarray(draw(s["sampler"], q, key, *fixed, g.temperature, g.step, g.hottest))

    def law(self, **settings: Any) -> Boltzmann:
        """The exact softmax of the landscape at the temperature."""
        s = self.complete(settings)
        return law_of(s["landscape"]).at(s["temperature"])

    def measure(self, actions: np.ndarray, **settings: Any) -> dict[str, float]:
        s, g, law = self.complete(settings), self.given(**settings), self.law(**settings)
        p = law.cell_probabilities(BINS[law.dim])
        values, gradients = GALLERY_SAMPLERS[s["sampler"]].cost(g)
        return {
            "step size δ": g.step,
            "E[Q]": float(evaluate(law.q, actions).mean()),
            "exact E[Q]": law.mean_value,
            "total variation": histogram_tv(actions, p),
            "of exact draws": tv_floor(p, len(actions)),
            "on a wall": float(np.mean(np.any(np.abs(actions) >= 1, axis=1))),
            "exact entropy": law.entropy,
            "Q per action": float(values),
            "gradients per action": float(gradients),
        }

    def scene(self, **settings: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        law = self.law(**settings)
        nodes = plots.grid(law.dim, CELLS[law.dim])
        values = evaluate(law.q, nodes)
        return nodes, values, np.exp(values / law.temperature - law.log_partition)

    def title(self, numbers: dict[str, float], **settings: Any) -> str:
        s, n = self.complete(settings), numbers
        title = (
            f"{GALLERY_SAMPLERS[s['sampler']].text} on {s['landscape']}, temperature {s['temperature']:.3g}, "
        )
        title += f"{self.given(**settings).steps} steps of {n['step size δ']:.3g}\n"
        title += (
            f"E[Q] {n['E[Q]']:.3f} (exact {n['exact E[Q]']:.3f}), entropy {n['exact entropy']:.2f} nats, "
        )
        title += f"TV {n['total variation']:.2f} (exact draws {n['of exact draws']:.2f})\n"
        return (
            title
            + f"an action costs {n['Q per action']:.0f} values of Q and {n['gradients per action']:.0f} gradients"
        )

    def figure(self, **settings: Any) -> Figure:
        s = self.complete(settings)
        if s["beside"] == "none":
            return super().figure(**s)
        white = {key: "white" for key in ("figure.facecolor", "savefig.facecolor")}
        with mpl.rc_context(plots.STYLE | white):
            figure = Figure(figsize=(12.4, 3.9) if self.law(**s).dim == 1 else (10.8, 5.8))
            for part, sampler in zip(figure.subfigures(1, 2), (s["sampler"], s["beside"]), strict=True):
                self.paint(part, **s | {"sampler": sampler, "beside": "none"})
        return figure

    def decorate(self, figure: Figure | SubFigure, actions: np.ndarray, **settings: Any) -> None:
        law = self.law(**settings)
        if law.dim == 2:
            _marginals(figure.axes[0], law, actions)

    def tables(self) -> dict[str, Any]:
        rows = []
        for name in landscapes.names():
            steepness, regret = curvature_and_regret(name)
            q = landscapes.get(name)
            rows.append(
                {
                    "name": name,
                    "curvature": steepness,
                    "median_regret": regret,
                    "landscape": export.landscape(q),
                }
            )
        fields = ("text", "note", "uses", "factor", "cap", "largest", "length")
        samplers = {name: {f: getattr(entry, f) for f in fields} for name, entry in GALLERY_SAMPLERS.items()}
        for name, entry in GALLERY_SAMPLERS.items():
            price = lambda m, steps, cost=entry.cost: sum(
                cost(self.given(candidates=m)._replace(steps=steps))
            )
            samplers[name]["prices"] = {str(m): [price(m, 0), price(m, 1) - price(m, 0)] for m in CANDIDATES}
        constants = {"levels": LEVELS.tolist(), "steps_per_level": STEPS_PER_LEVEL, "rungs": RUNGS}
        constants |= {"schedules": SCHEDULES, "schedule_steps": SCHEDULE_STEPS, "shrink": SHRINK}
        return {"states": rows, "samplers": samplers, "constants": constants}


def _marginals(ax: Axes, law: Boltzmann, actions: np.ndarray) -> None:
    """Draw each coordinate's exact density and a histogram of the actions beside the axes `ax` of the box."""
    above = ax.inset_axes([0, 1.02, 1, 0.2], sharex=ax)
    beside = ax.inset_axes([1.02, 0, 0.2, 1], sharey=ax)
    for axis, (panel, orientation) in enumerate(((above, "vertical"), (beside, "horizontal"))):
        look = {"bins": 24, "range": (-1, 1), "density": True, "color": plots.SAMPLE, "alpha": 0.5}
        panel.hist(actions[:, axis], orientation=orientation, **look)
        nodes, density = marginal(law, axis)
        panel.plot(*((nodes, density) if axis == 0 else (density, nodes)), color=plots.EXACT)
        panel.axis("off")
