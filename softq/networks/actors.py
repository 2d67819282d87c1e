"""Actors: networks that map an observation to an action, or to a law over actions whose density is known.

`DeterministicActor` is DDPG's, `GaussianActor` SAC's: a Gaussian pushed through tanh, one factor per coordinate. Both
are made like the critics: the same layers and first weights, one observation at a time, `vmap` outside.
"""

from typing import ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import log_tanh_slope
from softq.networks.base import Network
from softq.networks.mlp import MLPModule
from softq.utils.pytree import pytree

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0  # of the official code of SAC


@pytree
class Actor(Network):
    """What both actors are: a multi-layer perceptron that reads an observation."""

    per_coordinate: ClassVar[int] = 1  # outputs of the network for each coordinate of the action

    @classmethod
    def create(
        cls,
        key: Array,
        obs: Array,
        action: Array,
        hidden_sizes: tuple[int, ...] = (256, 256),
        activation: str = "relu",
    ) -> Self:
        """A fresh network for these shapes; raises `SoftqError` as `Network.sized` does."""
        return cls.sized(obs, action, hidden_sizes, activation).initialised(key, obs)

    @property
    def module(self) -> MLPModule:
        return MLPModule(
            self.obs_dim, self.hidden_sizes, self.per_coordinate * self.action_dim, self.activation
        )

    def outputs(self, obs: Array) -> Array:
        """The network's outputs, `(per_coordinate * action_dim,)`."""
        return self.apply(self.params, obs)


@pytree
class DeterministicActor(Actor):
    """mu(s) = tanh(network(s)): `actor(obs)` is an action in [-1, 1]."""

    def __call__(self, obs: Array) -> Array:
        return jnp.tanh(self.outputs(obs))


@pytree
class GaussianActor(Actor):
    """The law of tanh(mean(s) + std(s) * noise): `actor.at(obs)` is that law, a `TanhGaussian`.

    The logarithm of std is clipped to [-20, log_std_max], 2 in the official code; beyond it no gradient flows to std.
    """

    per_coordinate: ClassVar[int] = 2

    def at(self, obs: Array, log_std_max: float | Array = LOG_STD_MAX) -> "TanhGaussian":
        mean, log_std = jnp.split(self.outputs(obs), 2)
        log_std = jnp.where(
            log_std < LOG_STD_MIN, LOG_STD_MIN, log_std
        )  # no jnp.clip, for its slope: see `least`
        return TanhGaussian(mean, jnp.where(log_std > log_std_max, log_std_max, log_std))


@pytree
class TanhGaussian:
    """a = tanh(u) with u ~ N(mean, std^2), coordinate by coordinate; `mean` and `log_std` are `(d,)`, before tanh."""

    mean: Array
    log_std: Array

    @property
    def mode(self) -> Array:
        """tanh(mean), what SAC plays in evaluation. It is the median; the density may peak elsewhere, even twice."""
        return jnp.tanh(self.mean)

    def sample(self, key: Array, jacobian: bool = True) -> tuple[Array, Array]:
        """An action `(d,)` in [-1, 1] and its log-density, nats."""
        return self.push(jax.random.normal(key, self.mean.shape), jacobian)

    def push(self, noise: Array, jacobian: bool = True) -> tuple[Array, Array]:
        """The action that `noise` `(d,)` becomes, and its log-density (SAC Appendix C, Equation 21).

        `jacobian=False` returns the density of u instead of that of a.
        """
        u = self.mean + jnp.exp(self.log_std) * noise
        log_normal = -(noise**2) / 2 - self.log_std - jnp.log(2 * jnp.pi) / 2
        return jnp.tanh(u), jnp.sum(log_normal - (log_tanh_slope(u) if jacobian else 0.0))

    def log_prob(self, action: Array) -> Array:
        """log of the density at an action `(d,)` strictly inside the box, nats; not finite on the walls."""
        u = jnp.arctanh(action)
        return self.push((u - self.mean) * jnp.exp(-self.log_std))[1]
