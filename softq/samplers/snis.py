"""Self-normalised importance sampling: draw candidates, keep one with probability proportional to its weight.

DDSQ Section 4 and Theorem 2. The law of the survivor tends to the softmax as the number of candidates grows; at any
finite number it is a known density, not the softmax.
"""

from collections.abc import Callable

import jax
from jax import Array

from softq.box import uniform_actions
from softq.utils.checks import finite_at, positive
from softq.utils.finite import weighable


def survivor(key: Array, actions: Array, values: Array, temperature: float | Array) -> Array:
    """One of `actions` `(n, d)` with probability proportional to exp(values / temperature); values `(n,)`.

    Values that are not finite count as minus infinity. If none is finite, nothing can be weighed: the first is kept.
    """
    return actions[jax.random.categorical(key, weighable(values, actions) / temperature)]


def snis(
    key: Array, q: Callable[[Array], Array], dim: int, temperature: float | Array, num_candidates: int = 100
) -> Array:
    """One action from about exp(Q / temperature): resample `num_candidates` uniform actions once.

    `q` maps one action `(dim,)` to a scalar. With one candidate this is the uniform law.
    Raises `SoftqError` if `num_candidates < 1` or a concrete `temperature` is not positive; called by hand, also where
    Q is not finite (in a compiled program such actions have weight nought).
    """
    positive("num_candidates", num_candidates)
    positive("temperature", temperature)
    draw, pick = jax.random.split(key)
    actions = uniform_actions(draw, dim, num_candidates)
    values = jax.vmap(q)(actions)
    finite_at(actions, values)
    return survivor(pick, actions, values, temperature)
