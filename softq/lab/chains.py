"""The lab's particles: many Langevin chains at once, compiled once for all states and temperatures."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import BOUNDARIES, uniform_action
from softq.samplers import langevin, softmax_score

WALLS = ("reflect", "project")  # those boundaries of `softq.box` that keep particles in the box


@partial(jax.jit, static_argnums=(5, 6, 7))
def run(
    q: Any,
    starts: Array,
    drives: Array,
    temperature: float,
    step: float,
    num_steps: int,
    dim: int,
    boundary: str,
) -> Array:
    """Actions `(n, dim)` after `num_steps` steps; `starts` and `drives` are `n` keys for start and noise."""
    score = softmax_score(q, temperature)
    steps = jnp.full(num_steps, step)

    def one(start: Array, drive: Array) -> Array:
        return langevin(drive, score, uniform_action(start, dim), steps, BOUNDARIES[boundary])

    return jax.vmap(one)(starts, drives)
