"""`TemperatureLab`: the exact softmax of a landscape or a critic at a temperature, and Langevin particles."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure, SubFigure

from softq import plots
from softq.exact.values import evaluate
from softq.lab import export
from softq.lab.chains import WALLS, run
from softq.lab.controls import Choice, Control, Integer, Slider, Toggle
from softq.lab.law import CELLS, GridSoftmax, curvature, hills, temperatures
from softq.lab.particles import ParticleLab, show_control, walls_control
from softq.lab.picture import draw_ridge
from softq.lab.states import states
from softq.landscapes import Landscape
from softq.networks import Critic, StateLandscape
from softq.utils.checks import one_of, positive
from softq.utils.errors import SoftqError

# how particles are drawn, and the kind of the lab that does so in a page
SAMPLERS = {"langevin": "temperature", "exact": "draws"}


class TemperatureLab(ParticleLab):
    """A landscape, or a critic at some observations, with its exact softmax and particles.

    `sampler` is "langevin", or "exact" for draws from the softmax itself. The latter have no steps, and as many as
    `particles` are drawn at once; on a line the numbers then say how much mass each hill of Q has.

    `q` is a `Landscape`, a `Critic` or one `critic.at(obs)`, with actions of one or two dimensions. With a `Critic`,
    `observations` `(n, obs_dim)` are the states to choose from and `names` their names. `step_size` is the Langevin
    step; by default it is that of `step_at`, with a typical large second derivative of Q. `boundary` is
    "reflect" or "project". The button Run takes `steps` steps of `particles` particles, whose random numbers `seed`
    decides. On a line the numbers have the distance W2 of the Langevin particles from the softmax, and the page
    shows it after each step. With `follow` the page shows the drift, the noise and the trail of one particle.
    `temperature_range` is that of the slider. `alt` describes the figure to readers who do not see it, and
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
        sampler: str = "langevin",
        follow: bool = False,
        alt: str | None = None,
        caption: str = "",
    ):
        positive("temperature", temperature)
        if step_size is not None:
            positive("step_size", step_size)
        one_of("boundary", boundary, WALLS)
        one_of("sampler", sampler, SAMPLERS)
        self.landscapes, about = states(q, observations)
        first = self.landscapes[0]
        self.dim = first.dim if isinstance(first, Landscape) else first.critic.action_dim
        if self.dim not in CELLS:
            raise SoftqError(f"a lab draws 1 or 2 action dimensions, got {self.dim}; plot pairs instead.")
        self.names = list(names) if names is not None else [f"{i + 1}" for i in range(len(self.landscapes))]
        if len(self.names) != len(self.landscapes):
            count = len(self.landscapes)
            raise SoftqError(f"got {len(self.names)} names for {count} states; give one for each.")
        self.step_size = step_size
        self.nodes = plots.grid(self.dim, CELLS[self.dim])
        self.values = [evaluate(landscape, self.nodes) for landscape in self.landscapes]
        self.curvatures = [curvature(values, self.dim) for values in self.values]
        low, high = temperature_range or temperatures(self.values[0])
        positive("temperature_range", [low, high])
        self.sampler, self.kind = sampler, SAMPLERS[sampler]
        ends = min(low, temperature), max(high, temperature)
        controls: list[Control] = [Slider("temperature", "temperature λ", temperature, *ends)]
        if sampler == "langevin":
            step = self.step_at(temperature)
            controls += [
                Slider("step", "step size δ", step, min(1e-4, step), max(1.0, step)),
                walls_control(boundary),
                Integer("steps", "steps in a run", steps, 1, 5000, (20, 100, 500, 2000)),
            ]
            if self.dim == 2:
                controls.append(Toggle("follow", "follow one particle", follow))
        self.word = "particles" if sampler == "langevin" else "draws"
        controls += [
            Integer("particles", self.word, particles, 1, 5000, (100, 400, 2000)),
            Integer("seed", "seed", seed, 0, 2**31 - 1),
        ]
        if self.dim == 2:
            controls.insert(-1, show_control())
        if len(self.landscapes) > 1:
            options = [(name, index) for index, name in enumerate(self.names)]
            controls.insert(0, Choice("state", "state", 0, options))
        others = "Langevin particles that approach it" if sampler == "langevin" else "draws from it"
        alt = alt or f"The exact softmax of {about}, and {others}."
        super().__init__(controls, alt, caption)
        self.live_width = 640 if self.dim == 1 else 480

    # Numbers

    def step_at(self, temperature: float, state: int = 0) -> float:
        """The Langevin step in the state number `state`: `step_size`, or temperature / curvature, at most 0.05."""
        return self.step_size or min(0.05, temperature / self.curvatures[state])

    def follow(self, changed: str, settings: dict[str, Any]) -> dict[str, Any]:
        if changed not in ("temperature", "state") or "step" not in settings:
            return {}
        return {"step": self.step_at(settings["temperature"], settings.get("state", 0))}

    def complete(self, settings: dict[str, Any]) -> dict[str, Any]:
        chosen = self.settings | settings
        if "step" not in settings:
            settings = settings | self.follow("temperature", chosen)
        return super().complete(settings)

    def law(self, temperature: float | None = None, state: int = 0) -> GridSoftmax:
        """The exact softmax in the state number `state`, summed on a grid; by default at the lab's own temperature."""
        return GridSoftmax(self.values[state], temperature or self.settings["temperature"], self.dim)

    def sample(self, **settings: Any) -> np.ndarray:
        """Particles `(particles, dim)` after `steps` Langevin steps from uniform actions, or as many exact draws.

        A setting that is not given has the value of the lab; `step` follows temperature and state, see `step_at`.
        """
        s = self.complete(settings)
        if self.sampler == "exact":
            uniforms = np.random.default_rng(s["seed"]).uniform(size=(s["particles"], self.dim))
            return self.law(s["temperature"], s.get("state", 0)).draw(uniforms)
        start, drive = jax.random.split(jax.random.key(s["seed"]))
        keys = jax.random.split(start, s["particles"]), jax.random.split(drive, s["particles"])
        landscape = self.landscapes[s.get("state", 0)]
        fixed = (s["steps"], self.dim, s["boundary"])
        return np.asarray(run(landscape, *keys, s["temperature"], s["step"], *fixed))

    def scene(self, **settings: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        s = self.complete(settings)
        state = s.get("state", 0)
        return self.nodes, self.values[state], self.law(s["temperature"], state).density

    def measure(self, actions: np.ndarray, **settings: Any) -> dict[str, float]:
        s = self.complete(settings)
        state = s.get("state", 0)
        law = self.law(s["temperature"], state)
        tv, floor = law.tv(actions)
        masses = {}
        if self.sampler == "exact" and self.dim == 1:
            parts = hills(self.values[state])
            names = [f"mass of hill {i + 1}" for i in range(len(parts))]
            if len(parts) == 2:
                names = ["mass of the left hill", "mass of the right hill"]
            share = law.density / law.density.sum()
            masses = {name: float(share[part].sum()) for name, part in zip(names, parts, strict=True)}
        distance = {}
        if self.sampler == "langevin" and self.dim == 1:
            uniforms = np.random.default_rng(s["seed"]).uniform(size=actions.shape)
            distance = {"W₂ to the softmax": law.w2(actions), "W₂ of exact draws": law.w2(law.draw(uniforms))}
        return (
            masses
            | {
                "E[Q]": float(np.mean(evaluate(self.landscapes[state], actions))),
                "exact E[Q]": law.mean_value,
                "total variation": tv,
                "of exact draws": floor,
                "on a wall": float(np.mean(np.any(np.abs(actions) >= 1, axis=1))),
                "exact entropy": law.entropy,
            }
            | distance
        )

    # Renderings

    def title(self, numbers: dict[str, float], **settings: Any) -> str:
        s, n = self.complete(settings), numbers
        title = f"temperature {s['temperature']:.3g}"
        title += f", step {s['step']:.3g}\n" if "step" in s else f", {s['particles']} exact draws\n"
        title += (
            f"E[Q] {n['E[Q]']:.3f} (exact {n['exact E[Q]']:.3f}), entropy {n['exact entropy']:.2f} nats\n"
        )
        if self.sampler == "exact":
            return title + ", ".join(
                f"{key} {100 * m:.3g} %" for key, m in n.items() if key.startswith("mass")
            )
        if "W₂ to the softmax" in n:
            title += f"W₂ {n['W₂ to the softmax']:.3g} (exact draws {n['W₂ of exact draws']:.3g}), "
        title += f"TV {n['total variation']:.2f} (exact draws {n['of exact draws']:.2f}), "
        return title + f"on a wall {100 * n['on a wall']:.1f} %"

    def decorate(self, figure: Figure | SubFigure, actions: np.ndarray, **settings: Any) -> None:
        first = self.landscapes[0]
        if isinstance(first, Landscape) and first.cassini is not None:
            draw_ridge(figure.axes[0], first.cassini[1])

    def tables(self) -> dict[str, Any]:
        """The states; weights of a critic are those of `softq.lab.export`."""
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
        return {"dim": self.dim, "network": network, "states": rows, "step_size": self.step_size}
