"""`GalleryLab`: every landscape, every sampler, and how far the particles are from the exact softmax."""

from functools import cache
from typing import Any

import jax
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from softq import landscapes, plots
from softq.exact.boltzmann import Boltzmann
from softq.exact.histograms import histogram_tv, tv_floor
from softq.exact.values import evaluate
from softq.lab import export
from softq.lab.curves import Choice, CurveLab, Panel, Slider
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
from softq.lab.picture import draw_1d, draw_2d

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


class GalleryLab(CurveLab):
    """Particles of one sampler on one landscape, beside the exact softmax and its marginals.

    `landscape` is a name of `softq.landscapes`, `sampler` one of `GALLERY_SAMPLERS`, `temperature` in [0.02, 3],
    `boundary` "reflect" or "project" where the sampler has the choice. `step` multiplies the sampler's own step size,
    see `GallerySampler.own_step`. The `particles` start from uniform actions and take `steps` steps. Samplers that
    resample draw `candidates` uniform actions; `seed` is that of all random numbers. Raises `SoftqError` for an unknown
    name, or a number outside the range of its control.
    """

    kind = "gallery"

    def __init__(
        self,
        landscape: str = "twomode2",
        sampler: str = "langevin",
        temperature: float = 0.1,
        boundary: str = "reflect",
        particles: int = 400,
        step: float = 1.0,
        steps: int = 100,
        candidates: int = 10,
        seed: int = 0,
        alt: str = "The exact softmax of a landscape, the particles of a sampler on it, and both marginals.",
        caption: str = "",
    ):
        walls = (("reflect", "reflect"), ("project (clip)", "project"))
        self.controls = (
            Choice("landscape", "landscape", tuple((name, name) for name in landscapes.names())),
            Choice(
                "sampler", "sampler", tuple((entry.text, name) for name, entry in GALLERY_SAMPLERS.items())
            ),
            Slider("temperature", "temperature λ", 0.02, 3.0),
            Slider("step", "step size × own", 0.01, 100.0),
            Slider("steps", "steps", 1, 2000, integer=True),
            Slider("particles", "particles", 1, 2000, integer=True),
            Choice("boundary", "at the walls", walls),
            Choice("candidates", "candidates m", tuple((str(m), m) for m in CANDIDATES)),
            Slider("seed", "seed", 0, 9999, log=False, integer=True),
        )
        self.settings = {
            "landscape": landscape,
            "sampler": sampler,
            "temperature": temperature,
            "step": step,
            "steps": steps,
            "particles": particles,
            "boundary": boundary,
            "candidates": candidates,
            "seed": seed,
        }
        self.settings = self.complete({})
        self.alt, self.caption = alt, caption

    def given(self, **settings: Any) -> RunSettings:
        """The settings that the sampler of the lab gets, in which `step` is a step size and no longer a multiple."""
        s = self.complete(settings)
        steepness, regret = curvature_and_regret(s["landscape"])
        entry = GALLERY_SAMPLERS[s["sampler"]]
        step = s["step"] * entry.own_step(s["temperature"], steepness)
        step = step if entry.largest is None else min(step, entry.largest)
        hottest = max(4 * s["temperature"], regret)
        steps = min(s["steps"], entry.length or s["steps"])
        return RunSettings(s["temperature"], step, hottest, steps, s["candidates"], s["boundary"])

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

    def view(self, **settings: Any) -> tuple[list[Panel], dict[str, float]]:
        return [], self._numbers(self.sample(**settings), **settings)

    def _numbers(self, actions: np.ndarray, **settings: Any) -> dict[str, float]:
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

    def figure(self, **settings: Any) -> Figure:
        s, law, actions = self.complete(settings), self.law(**settings), self.sample(**settings)
        n = self._numbers(actions, **settings)
        title = (
            f"{GALLERY_SAMPLERS[s['sampler']].text} on {s['landscape']}, temperature {s['temperature']:.3g}, "
        )
        title += f"{self.given(**settings).steps} steps of {n['step size δ']:.3g}\n"
        title += f"E[Q] {n['E[Q]']:.3f} (exact {n['exact E[Q]']:.3f}), entropy {law.entropy:.2f} nats, "
        title += f"TV {n['total variation']:.2f} (exact draws {n['of exact draws']:.2f})\n"
        title += f"an action costs {n['Q per action']:.0f} values of Q and {n['gradients per action']:.0f} gradients"
        white = {key: "white" for key in ("figure.facecolor", "savefig.facecolor")}
        nodes = plots.grid(law.dim, CELLS[law.dim])
        values = evaluate(law.q, nodes)
        density = np.exp(values / law.temperature - law.log_partition)
        with mpl.rc_context(plots.STYLE | white):
            figure = Figure(figsize=(6.4, 3.9) if law.dim == 1 else (5.6, 5.9))
            if law.dim == 1:
                draw_1d(figure, nodes, values, density, actions)
            else:
                draw_2d(figure, nodes, values, density, actions)
                _marginals(figure.axes[0], law, actions)
            figure.suptitle(title, fontsize=8.5)
        return figure

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
        constants = {"levels": LEVELS.tolist(), "steps_per_level": STEPS_PER_LEVEL, "rungs": RUNGS}
        constants |= {"schedules": SCHEDULES, "schedule_steps": SCHEDULE_STEPS, "shrink": SHRINK}
        return {"states": rows, "samplers": samplers, "constants": constants, "candidates": CANDIDATES}


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
