"""Self-normalised importance sampling: draw candidates, keep one with probability proportional to its weight.

DDSQ Section 4 and Theorem 2. The law of the action tends to the softmax as the number of candidates grows. At a finite
number it is another law, whose density is known (`softq.exact.importance`).
"""

from collections.abc import Callable
from typing import Self

import jax
from jax import Array

from softq.box import uniform_actions
from softq.samplers.base import Landscape, Sample, Sampler
from softq.utils.checked import checked
from softq.utils.finite import weighable
from softq.utils.pytree import pytree, static


def survivor(key: Array, actions: Array, values: Array, temperature: float | Array) -> Array:
    """One of `actions` `(n, d)` with probability proportional to exp(values / temperature); values `(n,)`.

    Values that are not finite have weight zero. If no value is finite, the first action is returned.
    """
    return actions[jax.random.categorical(key, weighable(values, actions) / temperature)]


@checked(above_zero=("num_candidates", "temperature"))
def snis(
    key: Array, q: Callable[[Array], Array], dim: int, temperature: float | Array, num_candidates: int = 100
) -> Array:
    """One action from about exp(Q / temperature): resample `num_candidates` uniform actions once.

    `q` maps one action `(dim,)` to a scalar. With one candidate this is the uniform law.
    Raises `SoftqError` if `num_candidates < 1` or a concrete `temperature` is not positive; called by hand, also where
    Q is not finite (in a compiled program such actions have weight zero).
    """
    draw, pick = jax.random.split(key)
    actions = uniform_actions(draw, dim, num_candidates)
    return survivor(pick, actions, jax.vmap(q)(actions), temperature)


@pytree
class SNIS(Sampler):
    """`snis` at a fixed number of candidates."""

    num_candidates: int = static(default=100)

    def __call__(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Sample:
        return Sample(snis(key, q, dim, temperature, self.num_candidates), {})

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self:
        return cls(evaluations)
