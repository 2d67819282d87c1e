"""The softmax at an infinite temperature, a uniform action, and at temperature zero, the best of many actions."""

from collections.abc import Callable
from typing import Self

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import uniform_action, uniform_actions
from softq.samplers.base import Landscape, Sample, Sampler
from softq.utils.checked import checked
from softq.utils.finite import weighable
from softq.utils.pytree import pytree, static


@checked(above_zero=("num_candidates",))
def best_of(key: Array, q: Callable[[Array], Array], dim: int, num_candidates: int = 100) -> Array:
    """The best of `num_candidates` uniform actions, `(dim,)`.

    Raises `SoftqError` for fewer than one candidate; called by hand, also where Q is not finite (in a compiled program
    such an action is never the best).
    """
    actions = uniform_actions(key, dim, num_candidates)
    return actions[jnp.argmax(weighable(jax.vmap(q)(actions), actions))]


@pytree
class Uniform(Sampler):
    """A uniform action, the softmax at an infinite temperature."""

    def __call__(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Sample:
        return Sample(uniform_action(key, dim), {})

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self:
        return cls()


@pytree
class Greedy(Sampler):
    """`best_of` `num_candidates`, which tends to the softmax at temperature zero as their number grows."""

    num_candidates: int = static(default=100)

    def __call__(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Sample:
        return Sample(best_of(key, q, dim, self.num_candidates), {})

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self:
        return cls(evaluations)
