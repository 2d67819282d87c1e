"""The interface of samplers: an object of settings that draws an action for a landscape and a temperature.

Each sampler of `softq.samplers.registry` is a class with this interface around a function, its kernel. The classes are
pytrees whose leaves are numbers such as step sizes; numbers that decide the shape of an array are static.
"""

import abc
from collections.abc import Callable
from typing import NamedTuple, Self

import jax
from jax import Array

from softq.samplers.cost import Calls, count
from softq.samplers.step_size import StableStep
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

Landscape = Callable[[Array], Array]
"""Q: one action `(dim,)` to a scalar."""


class Sample(NamedTuple):
    """The result of one call of a sampler."""

    action: Array  # (dim,), in the box
    info: dict[str, Array]  # further results by name, such as the share of accepted proposals


class Sampler(abc.ABC):
    """A way to draw an action from about exp(Q / temperature) on the box [-1, 1]^dim."""

    @abc.abstractmethod
    def __call__(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Sample:
        """One action for one key; `jax.vmap` over keys draws many.

        Raises `SoftqError` for settings or a temperature that the kernel refuses; called by hand, also where Q is not
        finite at an action at which the sampler computes it.
        """

    def path(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Array:
        """All positions of the chain whose last one the call with this key returns, `(steps + 1, dim)`.

        Raises `SoftqError` for a sampler that is no chain.
        """
        raise SoftqError(f"{type(self).__name__} is no chain and has no path; call it for the action alone.")

    @classmethod
    @abc.abstractmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self | None:
        """The sampler at settings that suit `evaluations` of Q in `dim` dimensions; None if they are too few.

        A value and a gradient of Q count as one evaluation each. Evaluations whose number does not depend on the budget
        are not counted: those that measure a step or a ladder of temperatures, the first gradient of a chain, and the
        check of its last action.
        """

    def cost(self, dim: int) -> Calls:
        """The numbers of values and gradients of Q for one draw, counted in the program; a measured step has none."""
        is_step = lambda x: isinstance(x, StableStep)
        known = lambda x: replace(x, curvature=1.0) if is_step(x) else x
        sampler = jax.tree.map(known, self, is_leaf=is_step)
        return count(lambda key, q: sampler(key, q, dim, 1.0).action, dim)


class Chain(Sampler):
    """A sampler that moves from action to action: `run` returns the last action, or all of them."""

    @abc.abstractmethod
    def run(
        self, key: Array, q: Landscape, dim: int, temperature: float | Array, trajectory: bool
    ) -> tuple[Array, dict[str, Array]]:
        """The last action `(dim,)`, with `trajectory` all of them `(steps + 1, dim)`; and the `info` of the sample."""

    def __call__(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Sample:
        return Sample(*self.run(key, q, dim, temperature, False))

    def path(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Array:
        return self.run(key, q, dim, temperature, True)[0]
