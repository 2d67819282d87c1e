"""`TemperatureLab`: the exact softmax of a landscape or a critic at a temperature, and Langevin particles."""

from collections.abc import Sequence
from typing import Any

import ipywidgets
import jax
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from softq import plots
from softq.exact.values import evaluate
from softq.lab import export
from softq.lab.base import Lab
from softq.lab.chains import WALLS, run
from softq.lab.law import CELLS, GridSoftmax, curvature, temperatures
from softq.lab.live import widget
from softq.lab.picture import draw_1d, draw_2d
from softq.lab.states import states
from softq.landscapes import Landscape
from softq.networks import Critic, StateLandscape
from softq.utils.checks import one_of, positive
from softq.utils.errors import SoftqError


class TemperatureLab(Lab):
    """A landscape, or a critic at some observations, with its exact softmax and Langevin particles.

    `q` is a `Landscape`, a `Critic` or one `critic.at(obs)`, with actions of one or two dimensions. With a `Critic`,
    `observations` `(n, obs_dim)` are the states to choose from and `names` their names. `step_size` is the Langevin
    step; by default it is that of `step_at`, with a typical large second derivative of Q. `boundary` is
    "reflect" or "project". The button Run takes `steps` steps of `particles` particles, whose random numbers `seed`
    decides. `temperature_range` is that of the slider. `alt` describes the figure to readers who do not see it, and
    `caption` suggests what to try.

    Raises `SoftqError` for a `q` that a lab cannot show, observations that do not fit, or a number out of its range.
    """

    def __init__(
        self,
        q: Landscape | Critic | StateLandscape,
        temperature: float = 0.1,
        observations: Any = None,
        names: Sequence[str] | None = None,
        step_size: float | None = None,
        boundary: str = "reflect",
        steps: int = 100,
        particles: int = 400,
        seed: int = 0,
        temperature_range: tuple[float, float] | None = None,
        alt: str | None = None,
        caption: str = "",
    ):
        positive("temperature", temperature)
        positive("steps", steps)
        positive("particles", particles)
        if step_size is not None:
            positive("step_size", step_size)
        one_of("boundary", boundary, WALLS)
        self.landscapes, about = states(q, observations)
        first = self.landscapes[0]
        self.dim = first.dim if isinstance(first, Landscape) else first.critic.action_dim
        if self.dim not in CELLS:
            raise SoftqError(f"a lab draws 1 or 2 action dimensions, got {self.dim}; plot pairs instead.")
        self.names = list(names) if names is not None else [f"{i + 1}" for i in range(len(self.landscapes))]
        if len(self.names) != len(self.landscapes):
            count = len(self.landscapes)
            raise SoftqError(f"got {len(self.names)} names for {count} states; give one for each.")
        self.temperature, self.step_size, self.boundary = float(temperature), step_size, boundary
        self.steps, self.particles, self.seed = int(steps), int(particles), int(seed)
        self.alt = alt or f"The exact softmax of {about}, and Langevin particles that approach it."
        self.caption = caption
        self.nodes = plots.grid(self.dim, CELLS[self.dim])
        self.values = [evaluate(landscape, self.nodes) for landscape in self.landscapes]
        self.curvatures = [curvature(values, self.dim) for values in self.values]
        low, high = temperature_range or temperatures(self.values[0])
        positive("temperature_range", [low, high])
        self.range = (min(low, self.temperature), max(high, self.temperature))

    # Numbers

    def step_at(self, temperature: float, state: int = 0) -> float:
        """The Langevin step in the state number `state`: `step_size`, or temperature / curvature, at most 0.05."""
        return self.step_size or min(0.05, temperature / self.curvatures[state])

    def law(self, temperature: float | None = None, state: int = 0) -> GridSoftmax:
        """The exact softmax in the state number `state`, summed on a grid; by default at the lab's own temperature."""
        return GridSoftmax(self.values[state], temperature or self.temperature, self.dim)

    def sample(
        self,
        temperature: float | None = None,
        state: int = 0,
        step_size: float | None = None,
        steps: int | None = None,
        boundary: str | None = None,
        particles: int | None = None,
        seed: int | None = None,
    ) -> np.ndarray:
        """Particles `(particles, dim)` after `steps` Langevin steps from uniform actions.

        An argument that is not given has the value of the lab.
        """
        temperature = temperature or self.temperature
        step = step_size or self.step_at(temperature, state)
        start, drive = jax.random.split(jax.random.key(self.seed if seed is None else seed))
        count = particles or self.particles
        keys = jax.random.split(start, count), jax.random.split(drive, count)
        fixed = (steps or self.steps, self.dim, boundary or self.boundary)
        return np.asarray(run(self.landscapes[state], *keys, temperature, step, *fixed))

    # Renderings

    def figure(self, state: int = 0, temperature: float | None = None, **sampler: Any) -> Figure:
        """The picture of the softmax and of the particles that `sample(**sampler)` returns."""
        temperature = temperature or self.temperature
        law, actions = self.law(temperature, state), self.sample(temperature, state, **sampler)
        walls = float(np.mean(np.any(np.abs(actions) >= 1, axis=1)))
        mean = float(np.mean(evaluate(self.landscapes[state], actions)))
        tv, floor = law.tv(actions)
        step = sampler.get("step_size") or self.step_at(temperature, state)
        title = f"temperature {temperature:.3g}, step {step:.3g}\n"
        title += f"E[Q] {mean:.3f} (exact {law.mean_value:.3f}), entropy {law.entropy:.2f} nats\n"
        title += f"TV {tv:.2f} (chance alone {floor:.2f}), on a wall {100 * walls:.1f} %"
        white = {key: "white" for key in ("figure.facecolor", "savefig.facecolor")}
        with mpl.rc_context(plots.STYLE | white):
            figure = Figure(figsize=(6.4, 3.6) if self.dim == 1 else (4.8, 5.0))
            draw = draw_1d if self.dim == 1 else draw_2d
            draw(figure, self.nodes, self.values[state], law.density, actions)
            figure.suptitle(title, fontsize=9)
        return figure

    def content(self) -> dict[str, Any]:
        """The data for the script of the page, as plain JSON values; weights are those of `softq.lab.export`."""
        first = self.landscapes[0]
        network = None if isinstance(first, Landscape) else export.network(first.critic)
        rows = []
        for name, landscape, bend in zip(self.names, self.landscapes, self.curvatures, strict=True):
            state: dict[str, Any] = {"name": name, "curvature": bend}
            if network is None:
                state["landscape"] = export.landscape(landscape)
            else:
                state["features"] = export.floats(landscape.features)
            rows.append(state)
        return {
            "kind": "temperature",
            "dim": self.dim,
            "network": network,
            "states": rows,
            "temperature": self.temperature,
            "range": self.range,
            "step_size": self.step_size,
            "steps": self.steps,
            "boundary": self.boundary,
            "particles": self.particles,
            "seed": self.seed,
            "alt": self.alt,
        }

    def _live(self, png: bytes) -> ipywidgets.VBox:
        return widget(self, png)
