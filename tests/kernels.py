"""Every sampler's kernel with good input, called by keywords: tests replace one of them, or compile the call."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from softq import samplers as s

KEY = jax.random.key(0)


def bowl(action: Array) -> Array:
    return -jnp.sum(action**2)


STEPS = jnp.full(40, 0.05)
RUNGS = s.ladder(0.1, 0.5, 3)
LEVELS = s.geometric_levels(0.3, 0.1, 2)
PLAN = jnp.full((2, 5), 0.1)
MIDDLE, MIDDLES, FOUR = jnp.zeros(2), jnp.zeros((3, 2)), jnp.linspace(-0.5, 0.2, 8).reshape(4, 2)

Q = {"key": KEY, "q": bowl, "dim": 2}
LAW = Q | {"temperature": 0.1}
SCORE = s.softmax_score(bowl, 0.1)
COOLING = {"temperatures": RUNGS[::-1], "step_sizes": RUNGS, "num_candidates": 8, "num_fresh": 4}
ANNEALING = {"levels": LEVELS, "step_sizes": LEVELS, "steps_per_level": 20, "unit_slope": False}
KERNELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "best of": (s.best_of, Q | {"num_candidates": 50}),
    "snis": (s.snis, LAW | {"num_candidates": 50}),
    "isir": (s.isir, LAW | {"num_candidates": 20, "sweeps": 2, "start": None}),
    "langevin": (s.langevin, {"key": KEY, "score": SCORE, "a0": MIDDLE, "step_sizes": STEPS}),
    "mala": (s.mala, {"key": KEY, "q": bowl, "temperature": 0.1, "a0": MIDDLE, "step_sizes": STEPS}),
    "tempering": (
        s.tempering,
        {"key": KEY, "q": bowl, "temperatures": RUNGS, "a0": MIDDLES, "step_sizes": RUNGS, "rounds": 30},
    ),
    "qglg": (s.qglg, LAW | {"schedules": PLAN, "num_candidates": 20, "select": "argmax"}),
    "annealed": (
        s.annealed_langevin,
        {"key": KEY, "slope_at": lambda a, sigma: jax.grad(bowl)(a), "a0": MIDDLE, "temperature": 0.1}
        | ANNEALING,
    ),
    "ais": (s.ais, Q | COOLING | {"steps_per_level": 2}),
    "diffusion": (s.diffusion_sampler, LAW | {"num": 16, "num_steps": 5, "process": "flow"}),
    "svgd": (s.svgd, {"score": SCORE, "particles": FOUR, "step_sizes": STEPS, "bandwidth": "squared"}),
}


def on(name: str, q: Any) -> dict[str, Any]:
    """The argument that puts the kernel on the landscape `q`."""
    given = KERNELS[name][1]
    if "q" in given:
        return {"q": q}
    return (
        {"score": s.softmax_score(q, 0.1)}
        if "score" in given
        else {"slope_at": lambda a, sigma: jax.grad(q)(a)}
    )


def call(name: str, **changes: Any) -> Any:
    """The kernel's result with some of its input changed."""
    kernel, given = KERNELS[name]
    return kernel(**given | changes)
