"""SQL's sampling network: noise and an observation in, an action out. It has no law that one could write down."""

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

    One observation `(obs_dim,)`, empty for a landscape without states, and one noise vector `(noise_dim,)`; `vmap`
    outside. `softq.samplers.amortised_loss` trains it.
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
        """A fresh network for these shapes; by default with as long a noise as actions are.

        Raises `SoftqError` as `Network.sized` does, and for a noise_dim that is not positive.
        """
        noise_dim = action.size if noise_dim is None else noise_dim
        positive("noise_dim", noise_dim)
        network = cls.sized(obs, action, hidden_sizes, activation, noise_dim=noise_dim)
        return network.initialised(key, jnp.zeros(network.obs_dim + noise_dim))

    @property
    def module(self) -> MLPModule:
        return MLPModule(self.obs_dim + self.noise_dim, self.hidden_sizes, self.action_dim, self.activation)

    def before_tanh(self, obs: Array, xi: Array) -> Array:
        """f(s, xi), `(action_dim,)`."""
        return self.apply(self.params, jnp.concatenate([obs, xi]))

    def __call__(self, obs: Array, xi: Array) -> Array:
        return jnp.tanh(self.before_tanh(obs, xi))

    def sample(self, obs: Array, key: Array) -> Array:
        """An action `(action_dim,)` from fresh noise."""
        return self(obs, jax.random.normal(key, (self.noise_dim,)))

    def push(self, obs: Array, xi: Array) -> tuple[Array, Array]:
        """The action that `xi` becomes, and its log-density by Equation 33, nats: right only where f is one-to-one.

        Needs noise_dim = action_dim. tanh's own factor is taken exactly, also where 1 - a^2 rounds to zero.
        """
        u, log_density = change_of_variables(lambda xi: self.before_tanh(obs, xi), xi)
        return jnp.tanh(u), log_density - jnp.sum(log_tanh_slope(u))
