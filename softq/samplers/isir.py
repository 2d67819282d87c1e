"""Iterated resampling: the current action is one of the candidates of the next resampling.

Andrieu, Lee and Vihola (2018) call it conditional or iterated sampling importance resampling. Each sweep leaves the
softmax exactly invariant at any number of candidates from two on, and the distance to it falls geometrically, by 1 - (m
- 1) / (2 W_max + m - 2) or better; `softq.exact.importance.Importance.isir` computes the law after each sweep.
"""

from collections.abc import Callable
from typing import Self

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import uniform_action, uniform_actions
from softq.samplers.base import Chain, Landscape
from softq.samplers.snis import snis, survivor
from softq.utils.checked import checked
from softq.utils.errors import SoftqError
from softq.utils.finite import working
from softq.utils.pytree import pytree, static


@checked(above_zero=("temperature", "sweeps"), in_box=("start",))
def isir(
    key: Array,
    q: Callable[[Array], Array],
    dim: int,
    temperature: float | Array,
    num_candidates: int = 100,
    sweeps: int = 1,
    start: Array | None = None,
    trajectory: bool = False,
) -> Array:
    """One action `(dim,)` from about exp(Q / temperature), after `sweeps` sweeps from `start` `(dim,)`.

    With `trajectory` it returns all actions `(sweeps + 1, dim)`, the start included.

    A sweep draws `num_candidates - 1` uniform actions, adds the current one and keeps one of them with probability
    proportional to exp(Q / temperature). Without a `start` the first action is one draw of `snis`.
    Raises `SoftqError` if `num_candidates < 2`, `sweeps < 1`, a concrete `temperature` is not positive or `start`
    lies outside the box; called by hand, also where Q is not finite.
    """
    if num_candidates < 2:
        raise SoftqError(
            f"num_candidates must be at least 2, got {num_candidates}; one of them is the current action."
        )
    keys = jax.random.split(key, sweeps + 1)
    if start is None:
        start = snis(keys[0], q, dim, temperature, num_candidates)
    start = working(start)

    def sweep(action: Array, key: Array) -> tuple[Array, Array | None]:
        draw, pick = jax.random.split(key)
        pool = jnp.concatenate([action[None], uniform_actions(draw, dim, num_candidates - 1, action.dtype)])
        kept = survivor(pick, pool, jax.vmap(q)(pool), temperature)
        return kept, kept if trajectory else None

    action, path = jax.lax.scan(sweep, start, keys[1:])
    return jnp.concatenate([start[None], path]) if trajectory else action


@pytree
class ISIR(Chain):
    """`isir` from one draw of SNIS, or from a uniform action with `uniform_start`."""

    num_candidates: int = static(default=20)
    sweeps: int = static(default=4)
    uniform_start: bool = static(default=False)

    def run(
        self, key: Array, q: Landscape, dim: int, temperature: float | Array, trajectory: bool
    ) -> tuple[Array, dict[str, Array]]:
        start = None
        if self.uniform_start:
            first, key = jax.random.split(key)
            start = uniform_action(first, dim)
        return isir(key, q, dim, temperature, self.num_candidates, self.sweeps, start, trajectory), {}

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self | None:
        # a fifth of the evaluations for the start and for each of four sweeps
        return cls(evaluations // 5, 4) if evaluations >= 10 else None
