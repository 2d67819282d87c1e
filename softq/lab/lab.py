"""`TemperatureLab`: numbers and renderings of one figure."""

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

    `q` is a `Landscape`, a `Critic` (then `observations` `(n, obs_dim)` are the states to choose from, called
    `names`), or one `critic.at(obs)`; one or two action dimensions. `step_size` is the Langevin step; by
    default it follows the temperature, `temperature / curvature` with a typical second derivative of Q.
    `boundary` is "reflect" or "project". One press of Run takes `steps` steps of `particles` particles;
    `seed` starts them. The slider spans `temperature_range`. `alt` describes the figure for those who do not
    see it, `caption` says what to try.

    Raises `SoftqError` for anything it cannot draw.
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

    # -- numbers ---------------------------------------------------------------------------------------------

    def step_at(self, temperature: float, state: int = 0) -> float:
        """The step size used at `temperature`: the given one, or the one that follows the temperature."""
        return self.step_size or min(0.05, temperature / self.curvatures[state])

    def law(self, temperature: float | None = None, state: int = 0) -> GridSoftmax:
        """The exact softmax of a state's landscape, summed on the lab's grid."""
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
        """Particles `(particles, dim)` after `steps` Langevin steps from a uniform start."""
        temperature = temperature or self.temperature
        step = step_size or self.step_at(temperature, state)
        start, drive = jax.random.split(jax.random.key(self.seed if seed is None else seed))
        count = particles or self.particles
        keys = jax.random.split(start, count), jax.random.split(drive, count)
        fixed = (steps or self.steps, self.dim, boundary or self.boundary)
        return np.asarray(run(self.landscapes[state], *keys, temperature, step, *fixed))

    # -- renderings ------------------------------------------------------------------------------------------

    def figure(self, state: int = 0, temperature: float | None = None, **sampler: Any) -> Figure:
        """The picture; `sampler` are arguments of `sample`."""
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
        """What the book's script needs, as plain JSON values; weights are base64 of little-endian float32."""
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
