"""The particles of `TemperatureLab`: Langevin chains side by side, compiled once for all states and temperatures."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import BOUNDARIES, uniform_action
from softq.samplers import langevin, softmax_score

# the boundaries in `softq.box.BOUNDARIES` that keep particles in the box
WALLS = ("reflect", "project")


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
    """Actions `(n, dim)` after `num_steps` Langevin steps of length `step` on exp(q / temperature), from uniform ones.

    `starts` are `n` keys of the first actions and `drives` `n` keys of the noise; `boundary` is one of `WALLS`.
    """
    score = softmax_score(q, temperature)
    steps = jnp.full(num_steps, step)

    def one(start: Array, drive: Array) -> Array:
        return langevin(drive, score, uniform_action(start, dim), steps, BOUNDARIES[boundary])

    return jax.vmap(one)(starts, drives)
