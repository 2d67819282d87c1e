"""The base of every network: a pytree of parameters and sizes, and the Flax module that applies them."""

from abc import ABC, abstractmethod
from functools import partial
from typing import Any, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from softq.networks.mlp import ACTIVATIONS
from softq.utils.checks import one_of
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace, static


@pytree
class Network(ABC):
    """A network for one observation `(obs_dim,)` at a time: its parameters are leaves of the pytree, its sizes static.

    A subclass says which Flax `module` applies the parameters. Its `create(key, obs, action, ...)` makes a fresh
    network by `sized` and `initialised`.
    """

    params: dict
    obs_dim: int = static()
    action_dim: int = static()
    hidden_sizes: tuple[int, ...] = static()
    activation: str = static()

    @classmethod
    def sized(
        cls, obs: Array, action: Array, hidden_sizes: tuple[int, ...], activation: str, **more: Any
    ) -> Self:
        """A network without parameters for `obs` `(obs_dim,)` and `action` `(action_dim,)`, whose shapes alone count.

        `more` are the values of the fields that a subclass adds.
        Raises `SoftqError` for an unknown activation or widths that are not positive.
        """
        one_of("activation", activation, ACTIVATIONS)
        if not hidden_sizes or min(hidden_sizes) < 1:
            raise SoftqError(
                f"hidden_sizes must be positive widths, got {hidden_sizes}; for example 256 256 256."
            )
        (obs_dim,), (action_dim,) = obs.shape, action.shape
        return cls({}, obs_dim, action_dim, tuple(hidden_sizes), activation, **more)

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """The Flax module to which `params` belong."""

    def initialised(self, key: Array, *inputs: Array, num: int | None = None) -> Self:
        """This network with fresh parameters, for `inputs` of the module, of which only the shapes count.

        With `num`, the parameters of `num` modules, each from its own key, are stacked along a leading axis.
        """
        zeros = [jnp.zeros(x.shape) for x in inputs]
        init = lambda key: self.module.init(key, *zeros)["params"]
        return replace(self, params=init(key) if num is None else jax.vmap(init)(jax.random.split(key, num)))

    def apply(self, params: dict, *inputs: Array, method: str | None = None) -> Array:
        """The output of the module, or of its method named `method`, for `inputs` and the parameters of one module."""
        return _applied(self.module, method, params, *inputs)


@partial(jax.jit, static_argnums=(0, 1))
def _applied(module: nn.Module, method: str | None, params: dict, *inputs: Array) -> Array:
    """What Flax's module gives. Compiled, so that all programs with equal modules and shapes trace it once."""
    return module.apply({"params": params}, *inputs, method=method)
