"""`DialLab`: a critic at several states, DDSQ's sampler on it at every lambda_0, and the exact softmax beside it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from softq import plots
from softq.exact.values import evaluate
from softq.lab import export
from softq.lab.controls import Choice, Integer, Slider
from softq.lab.law import CELLS, GridSoftmax
from softq.lab.particles import ParticleLab, show_control
from softq.lab.states import states
from softq.networks import Critic
from softq.samplers import qglg
from softq.utils.errors import SoftqError

SELECT = {"best": "argmax", "random": "random"}
SAMPLERS = (
    ("DDSQ, best end point", "best"),
    ("DDSQ, random end point", "random"),
    ("exact draws", "exact"),
)


@partial(jax.jit, static_argnames=("num", "candidates", "select", "dim"))
def moves(
    q: Any, key: Array, lambda0: Array, schedules: Array, num: int, candidates: int, select: str, dim: int
) -> Array:
    """`num` actions `(num, dim)` of QGLG on `q`, with lambda_0 in standard deviations of Q."""
    draw = lambda key: qglg(key, q, dim, lambda0, schedules, candidates, select=select, relative=True)
    return jax.vmap(draw)(jax.random.split(key, num))


class DialLab(ParticleLab):
    """The moves of DDSQ's sampler on a trained critic, at any lambda_0, over the exact softmax of that critic.

    `critic` is seen at `observations` `(n, obs_dim)`, called `names`. `schedules` `(S, T)` are the step sizes of the
    sampler and `candidates` the number of its uniform candidates. The temperature that divides Q is `lambda0` times the
    standard deviation of Q over the box. `alt` and `caption` are those of `Lab`.

    Raises `SoftqError` for a critic of other than two action dimensions, and for observations that do not fit.
    """

    kind = "dial"
    dim = 2

    def __init__(
        self,
        critic: Critic,
        observations: Any,
        names: Sequence[str],
        schedules: Any,
        candidates: int = 100,
        lambda0: float = 0.1,
        particles: int = 100,
        alt: str = "The exact softmax of a trained critic over a square of moves, and the moves of a sampler on it.",
        caption: str = "",
    ):
        self.landscapes, _ = states(critic, observations)
        if critic.action_dim != self.dim:
            raise SoftqError(
                f"the lab draws two action dimensions, got {critic.action_dim}; plot pairs instead."
            )
        self.schedules, self.candidates = np.asarray(schedules, np.float32), candidates
        self.nodes = plots.grid(self.dim, CELLS[self.dim])
        self.values = [evaluate(landscape, self.nodes) for landscape in self.landscapes]
        controls = [
            Choice("state", "state", 0, [(name, k) for k, name in enumerate(names)]),
            Choice("sampler", "sampler", "best", SAMPLERS),
            Slider("lambda0", "temperature λ₀", lambda0, 0.003, 3.0),
            Integer("particles", "moves", particles, 1, 1000, (50, 100, 300)),
            show_control(),
            Integer("seed", "seed", 0, 0, 2**31 - 1),
        ]
        super().__init__(controls, alt, caption)
        self.live_width = 480

    # Numbers

    def temperature(self, lambda0: float, state: int = 0) -> float:
        """lambda(s): what divides Q in the state number `state`."""
        return lambda0 * float(self.values[state].std())

    def law(self, lambda0: float, state: int = 0) -> GridSoftmax:
        """The exact softmax in the state number `state`, summed on a grid."""
        return GridSoftmax(self.values[state], self.temperature(lambda0, state), self.dim)

    def sample(self, **settings: Any) -> np.ndarray:
        s = self.complete(settings)
        state, num = s["state"], s["particles"]
        if s["sampler"] == "exact":
            rng, cells = np.random.default_rng(s["seed"]), CELLS[self.dim]
            law = self.law(s["lambda0"], state)
            cell = rng.choice(len(self.nodes), num, p=law.density / law.density.sum())
            return self.nodes[cell] + rng.uniform(-1, 1, (num, self.dim)) / cells
        fixed = num, self.candidates, SELECT[s["sampler"]], self.dim
        key = jax.random.key(s["seed"])
        return np.asarray(moves(self.landscapes[state], key, s["lambda0"], self.schedules, *fixed))

    def scene(self, **settings: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        s = self.complete(settings)
        return self.nodes, self.values[s["state"]], self.law(s["lambda0"], s["state"]).density

    def measure(self, actions: np.ndarray, **settings: Any) -> dict[str, float]:
        s = self.complete(settings)
        law = self.law(s["lambda0"], s["state"])
        tv, floor = law.tv(actions)
        return {
            "λ(s)": self.temperature(s["lambda0"], s["state"]),
            "E[Q]": float(np.mean(evaluate(self.landscapes[s["state"]], actions))),
            "exact E[Q]": law.mean_value,
            "total variation": tv,
            "of exact draws": floor,
        }

    # Renderings

    def title(self, numbers: dict[str, float], **settings: Any) -> str:
        s, n = self.complete(settings), numbers
        title = f"λ₀ = {s['lambda0']:.3g}, λ(s) = {n['λ(s)']:.3g}\n"
        title += f"E[Q] {n['E[Q]']:.3f} (exact {n['exact E[Q]']:.3f}), "
        return title + f"TV {n['total variation']:.2f} (exact draws {n['of exact draws']:.2f})"

    def tables(self) -> dict[str, Any]:
        first = self.landscapes[0]
        rows = [{"features": export.floats(landscape.features)} for landscape in self.landscapes]
        return {
            "dim": self.dim,
            "network": export.network(first.critic),
            "states": rows,
            "schedules": export.floats(self.schedules),
            "lengths": list(self.schedules.shape),
            "candidates": self.candidates,
        }
