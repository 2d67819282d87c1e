"""A network that learns: one optimiser step down a loss, and a slow copy that follows it."""

from collections.abc import Callable
from typing import Any, Self

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.utils.pytree import pytree, replace

Loss = Callable[[Any], tuple[Array, Any]]  # network -> a scalar, and whatever else was computed on the way


@pytree
class Learner:
    """A network, the state of its optimiser and, where a method has one, its target: the copy that follows slowly."""

    network: Any  # a pytree with a field `params`
    optimiser: optax.OptState
    target: Any = None

    @classmethod
    def create(cls, network: Any, optimiser: optax.GradientTransformation, target: bool = False) -> Self:
        """The learner before its first step; a target begins as a copy, in buffers of its own."""
        copy = jax.tree.map(jnp.copy, network) if target else None
        return cls(network, optimiser.init(network.params), copy)

    def step(
        self, optimiser: optax.GradientTransformation, loss: Loss, due: Array | bool = True
    ) -> tuple[Self, Array, Any]:
        """One step down `loss(network) -> (scalar, aux)`: returns the learner, the loss before the step, and aux.

        Where no step is due the learner stays as it is, and no slope is computed.
        """

        def of_params(params: dict) -> tuple[Array, Any]:
            return loss(replace(self.network, params=params))

        value, backward, aux = jax.vjp(of_params, self.network.params, has_aux=True)

        def move() -> Self:
            (gradient,) = backward(jnp.ones_like(value))
            change, moments = optimiser.update(gradient, self.optimiser, self.network.params)
            params = optax.apply_updates(self.network.params, change)
            return replace(self, network=replace(self.network, params=params), optimiser=moments)

        return move() if due is True else jax.lax.cond(due, move, lambda: self), value, aux

    def follow(self, rate: float | Array) -> Self:
        """The target moves towards the network by `rate`, in [0, 1] (Polyak averaging); without a target: unchanged."""
        if self.target is None:
            return self
        return replace(self, target=polyak(rate, self.network, self.target))


def polyak(rate: float | Array, online: Any, target: Any) -> Any:
    """`target` moved towards `online` by `rate`."""
    return jax.tree.map(lambda new, old: old + rate * (new - old), online, target)


def clipped_adam(
    rate: float | Array | Callable[[Array], Array], norm: float | Array, epsilon: float | Array = 1e-8
) -> optax.GradientTransformation:
    """Adam on gradients that are shortened to `norm`, that of all parameters together, where they are longer.

    `epsilon` is added to the size of a gradient that Adam divides by.
    """
    return optax.chain(optax.clip_by_global_norm(norm), optax.adam(rate, eps=epsilon))


def cosine_adam(rate: float | Array, updates: float | Array) -> optax.GradientTransformation:
    """Adam with a learning rate that falls from `rate` to 0 by half a cosine over `updates` steps, and stays there."""
    fraction = lambda count: (1 + jnp.cos(jnp.pi * jnp.minimum(count / updates, 1.0))) / 2
    return optax.adam(lambda count: rate * fraction(count))


def linear_adam(
    rate: float | Array, last: float | Array, start: float | Array, steps: float | Array
) -> optax.GradientTransformation:
    """Adam with a learning rate that goes from `rate` to `last` on a line, in `steps` steps after the first `start`."""
    return optax.adam(linear(rate, last, start, steps))


def linear(
    rate: float | Array, last: float | Array, start: float | Array, steps: float | Array
) -> Callable[[Array], Array]:
    """The learning rate of `linear_adam` by the number of steps made."""
    return lambda count: rate + jnp.clip((count - start) / steps, 0.0, 1.0) * (last - rate)


def repeated(optimiser: optax.GradientTransformation, times: int) -> optax.GradientTransformation:
    """Several steps of an optimiser by one gradient."""

    def update(gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        total = jax.tree.map(jnp.zeros_like, gradient)
        for _ in range(times):
            change, state = optimiser.update(gradient, state, params)
            total = jax.tree.map(jnp.add, total, change)
        return total, state

    return optax.GradientTransformation(optimiser.init, update)
