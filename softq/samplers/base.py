"""What a sampler is: its settings, and a call that makes an action out of a landscape and a temperature.

Each sampler of `softq.samplers.registry` is one class with this interface around a plain function, its kernel. The
classes are pytrees: numbers such as step sizes are leaves, whatever decides a shape is static.
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
    """What one call of a sampler returns."""

    action: Array  # (dim,), in the box
    info: dict[str, Array]  # what else the sampler found out, such as its share of accepted proposals


class Sampler(abc.ABC):
    """A way to draw an action from about exp(Q / temperature) on the box [-1, 1]^dim."""

    @abc.abstractmethod
    def __call__(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Sample:
        """One action for one key; `jax.vmap` over keys draws many.

        Raises `SoftqError` for settings or a temperature that the kernel refuses; called by hand, also where Q is not
        finite at an action that the sampler met.
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

        A value and a gradient of Q count as one evaluation each. Not counted is what stays the same at any budget: how
        a step or a ladder is measured, a chain's first gradient, the second look at its last action.
        """

    def cost(self, dim: int) -> Calls:
        """Values and gradients of Q for one draw, counted in the program; of a measured step, none."""
        is_step = lambda x: isinstance(x, StableStep)
        known = lambda x: replace(x, curvature=1.0) if is_step(x) else x
        sampler = jax.tree.map(known, self, is_leaf=is_step)
        return count(lambda key, q: sampler(key, q, dim, 1.0).action, dim)


class Chain(Sampler):
    """A sampler that goes from action to action: one `run` gives the last of them, or its path."""

    @abc.abstractmethod
    def run(
        self, key: Array, q: Landscape, dim: int, temperature: float | Array, trajectory: bool
    ) -> tuple[Array, dict[str, Array]]:
        """The last action `(dim,)`, with `trajectory` all of them `(steps + 1, dim)`; and the `info` of the sample."""

    def __call__(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Sample:
        return Sample(*self.run(key, q, dim, temperature, False))

    def path(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Array:
        return self.run(key, q, dim, temperature, True)[0]
