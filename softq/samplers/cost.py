"""The numbers of values and of gradients of Q that a sampler computes, counted in its own program.

A gradient includes the value at the same action. It counts as two evaluations: one pass forwards and one backwards
through Q, which make about the same number of products in a network.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from softq.utils.errors import SoftqError

GRADIENT = 2  # the number of evaluations that a gradient counts as


class Calls(NamedTuple):
    """The numbers of values and of gradients of Q for one action."""

    values: int
    gradients: int

    @property
    def evaluations(self) -> int:
        return self.values + GRADIENT * self.gradients


def _counted_value(action: Array) -> Array:
    return jnp.sum(action**2)


def _counted_gradient(action: Array) -> tuple[Array, Array]:
    return jnp.sum(action**2), 2 * action


_value, _gradient = jax.jit(_counted_value), jax.jit(_counted_gradient)


@jax.custom_vjp
def _q(action: Array) -> Array:
    return _value(action)


_q.defvjp(_gradient, lambda slope, weight: (weight * slope,))


class CountedLandscape:
    """A landscape whose values and gradients are calls that can be found in a program by their names."""

    def __init__(self, dim: int):
        self.dim = dim

    def __call__(self, action: Array) -> Array:
        return _q(action)

    def blurred(self, sigma: Array) -> "CountedLandscape":
        return self


def count(sampler: Callable[[Array, CountedLandscape], Array], dim: int) -> Calls:
    """The calls of Q in `sampler(key, q)` for one action in `dim` dimensions; one in a loop counts for every turn."""
    program = jax.make_jaxpr(lambda key: sampler(key, CountedLandscape(dim)))(jax.random.key(0))
    return Calls(*(_found(program.jaxpr, f.__name__, dim) for f in (_counted_value, _counted_gradient)))


def _found(jaxpr: Any, name: str, dim: int) -> int:
    is_program = lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")
    total = 0
    for equation in jaxpr.eqns:
        if equation.params.get("name") == name:
            total += equation.invars[0].aval.size // dim
            continue
        inner = jax.tree.leaves(list(equation.params.values()), is_leaf=is_program)
        calls = sum(_found(getattr(x, "jaxpr", x), name, dim) for x in inner if is_program(x))
        if calls and equation.primitive.name in ("while", "cond"):
            raise SoftqError(
                f"Q is called inside a {equation.primitive.name}, so the number of calls is not fixed; use lax.scan."
            )
        total += calls * (equation.params["length"] if equation.primitive.name == "scan" else 1)
    return total
