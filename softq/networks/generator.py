"""SQL's sampling network, which maps noise and an observation to an action; its law has no density in closed form."""

from typing import Self

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import log_tanh_slope
from softq.networks.base import Network
from softq.networks.mlp import MLPModule
from softq.samplers.amortised import change_of_variables
from softq.utils.checks import positive
from softq.utils.pytree import pytree, static


@pytree
class SamplingNetwork(Network):
    """a = tanh(f(s, xi)), xi ~ N(0, I) (SQL Section 3.3): `network(obs, xi)` is an action `(action_dim,)` in [-1, 1].

    It takes one observation `(obs_dim,)`, which is empty for a landscape without states, and one noise vector
    `(noise_dim,)`. `softq.samplers.amortised_loss` is the loss that trains it.
    """

    noise_dim: int = static()

    @classmethod
    def create(
        cls,
        key: Array,
        obs: Array,
        action: Array,
        hidden_sizes: tuple[int, ...] = (200, 200),  # SQL D.1; official code (128, 128)
        activation: str = "relu",
        noise_dim: int | None = None,
    ) -> Self:
        """A fresh network for `obs` `(obs_dim,)` and `action` `(action_dim,)`; `noise_dim` None means action_dim.

        Raises `SoftqError` for an unknown activation, or for widths or a noise_dim that are not positive.
        """
        noise_dim = action.size if noise_dim is None else noise_dim
        positive("noise_dim", noise_dim)
        network = cls.sized(obs, action, hidden_sizes, activation, noise_dim=noise_dim)
        return network.initialised(key, jnp.zeros(network.obs_dim + noise_dim))

    @property
    def module(self) -> MLPModule:
        return MLPModule(self.obs_dim + self.noise_dim, self.hidden_sizes, self.action_dim, self.activation)

    def before_tanh(self, obs: Array, xi: Array) -> Array:
        """f(s, xi) before tanh is taken, `(action_dim,)`."""
        return self.apply(self.params, jnp.concatenate([obs, xi]))

    def __call__(self, obs: Array, xi: Array) -> Array:
        return jnp.tanh(self.before_tanh(obs, xi))

    def sample(self, obs: Array, key: Array) -> Array:
        """An action `(action_dim,)` from fresh standard normal noise."""
        return self(obs, jax.random.normal(key, (self.noise_dim,)))

    def push(self, obs: Array, xi: Array) -> tuple[Array, Array]:
        """The action to which `xi` is mapped, and its log-density in nats by SQL Equation 33.

        The density is right only if f is one-to-one, which needs noise_dim = action_dim. The slope of tanh is exact
        also where 1 - a^2 rounds to zero.
        """
        u, log_density = change_of_variables(lambda xi: self.before_tanh(obs, xi), xi)
        return jnp.tanh(u), log_density - jnp.sum(log_tanh_slope(u))
