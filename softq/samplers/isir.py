"""Iterated resampling: let the current action compete with fresh uniform candidates, again and again.

The two-line upgrade of self-normalised importance sampling (Andrieu, Lee and Vihola 2018, there as conditional or
iterated sampling importance resampling). Each sweep leaves the softmax exactly invariant at any number of
candidates from two on, and the distance to it falls geometrically, by 1 - (m - 1) / (2 W_max + m - 2) or better;
`softq.exact.importance.Importance.isir` computes the law after each sweep.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import uniform_actions
from softq.samplers.snis import snis, survivor
from softq.utils.checks import eager, finite_at, inside_box, positive
from softq.utils.errors import SoftqError
from softq.utils.finite import working


def isir(
    key: Array,
    q: Callable[[Array], Array],
    dim: int,
    temperature: float | Array,
    num_candidates: int = 100,
    sweeps: int = 1,
    start: Array | None = None,
) -> Array:
    """One action `(dim,)` from about exp(Q / temperature), after `sweeps` sweeps from `start` `(dim,)`.

    A sweep draws `num_candidates - 1` uniform actions, adds the current one and keeps one of them with probability
    proportional to exp(Q / temperature). Without a `start` the first action is one draw of `snis`.
    Raises `SoftqError` if `num_candidates < 2`, `sweeps < 1`, a concrete `temperature` is not positive or `start`
    lies outside the box; called by hand, also where Q is not finite.
    """
    positive("temperature", temperature)
    positive("sweeps", sweeps)
    if num_candidates < 2:
        raise SoftqError(
            f"num_candidates must be at least 2, got {num_candidates}; one of them is the current action."
        )
    keys = jax.random.split(key, sweeps + 1)
    if start is None:
        start = snis(keys[0], q, dim, temperature, num_candidates)
    else:
        inside_box("start", start)
        start = working(start)

    watch = eager(key, start, temperature)

    def sweep(action: Array, key: Array) -> tuple[Array, tuple[Array, Array] | None]:
        draw, pick = jax.random.split(key)
        pool = jnp.concatenate([action[None], uniform_actions(draw, dim, num_candidates - 1, action.dtype)])
        values = jax.vmap(q)(pool)
        kept = survivor(pick, pool, values, temperature)
        return kept, ((pool, values) if watch else None)

    action, seen = jax.lax.scan(sweep, start, keys[1:])
    if watch:
        finite_at(seen[0].reshape(-1, dim), seen[1].ravel())
    return action
