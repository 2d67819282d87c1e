"""SQL's sampling network: noise and an observation in, an action out. It has no law that one could write down."""

from typing import Self

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import log_tanh_slope
from softq.networks.actors import ActorNetwork
from softq.networks.mlp import check_architecture
from softq.samplers.amortised import change_of_variables
from softq.utils.checks import positive
from softq.utils.pytree import pytree, static


@pytree
class SamplingNetwork:
    """a = tanh(f(s, xi)), xi ~ N(0, I) (SQL Section 3.3): `network(obs, xi)` is an action `(action_dim,)` in [-1, 1].

    One observation `(obs_dim,)`, empty for a landscape without states, and one noise vector `(noise_dim,)`; `vmap`
    outside. `softq.samplers.amortised_loss` trains it.
    """

    params: dict
    obs_dim: int = static()
    action_dim: int = static()
    noise_dim: int = static()
    hidden_sizes: tuple[int, ...] = static(default=(200, 200))  # SQL D.1; official code (128, 128)
    activation: str = static(default="relu")

    @classmethod
    def create(
        cls,
        key: Array,
        obs: Array,
        action: Array,
        hidden_sizes: tuple[int, ...] = (200, 200),
        activation: str = "relu",
        noise_dim: int | None = None,
    ) -> Self:
        """A fresh network for observations `(obs_dim,)` and actions `(action_dim,)`; by default as long a noise.

        Raises `SoftqError` for an unknown activation, or widths or a noise_dim that are not positive.
        """
        check_architecture(hidden_sizes, activation)
        (obs_dim,), (action_dim,) = obs.shape, action.shape
        noise_dim = action_dim if noise_dim is None else noise_dim
        positive("noise_dim", noise_dim)
        network = cls({}, obs_dim, action_dim, noise_dim, tuple(hidden_sizes), activation)
        params = network.network.init(key, jnp.zeros(obs_dim + noise_dim))["params"]
        return cls(params, obs_dim, action_dim, noise_dim, tuple(hidden_sizes), activation)

    @property
    def network(self) -> ActorNetwork:
        """The Flax module whose parameters these are."""
        return ActorNetwork(
            self.obs_dim + self.noise_dim, self.hidden_sizes, self.action_dim, self.activation
        )

    def before_tanh(self, obs: Array, xi: Array) -> Array:
        """f(s, xi), `(action_dim,)`."""
        return self.network.apply({"params": self.params}, jnp.concatenate([obs, xi]))

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
