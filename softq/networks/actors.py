"""Actors: networks that map an observation to an action, or to a law over actions with a known density.

`DeterministicActor` is that of DDPG, and `GaussianActor` that of SAC: a Gaussian with independent coordinates, which
tanh maps into the box. `NormalActor` is that of LAC: a Gaussian that nothing bounds, of one spread in all states.
Layers and initial weights are those of the critics. Use `vmap` for a batch of observations.
"""

from typing import ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import log_tanh_slope
from softq.networks.base import Network
from softq.networks.mlp import MLPModule
from softq.utils.pytree import pytree, replace

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0  # bounds of log std in the official code of SAC
LOG_STD = -0.5  # log std in a fresh `NormalActor`


@pytree
class Actor(Network):
    """The base of all actors: a multi-layer perceptron that reads an observation `(obs_dim,)`."""

    outputs_per_coordinate: ClassVar[int] = 1  # outputs of the perceptron for each coordinate of the action

    @classmethod
    def create(
        cls,
        key: Array,
        obs: Array,
        action: Array,
        hidden_sizes: tuple[int, ...] = (256, 256),
        activation: str = "relu",
    ) -> Self:
        """A fresh network for `obs` `(obs_dim,)` and `action` `(action_dim,)`, of which only the shapes count.

        Raises `SoftqError` for an unknown activation or widths that are not positive.
        """
        return cls.sized(obs, action, hidden_sizes, activation).initialised(key, obs)

    @property
    def module(self) -> MLPModule:
        return MLPModule(
            self.obs_dim, self.hidden_sizes, self.outputs_per_coordinate * self.action_dim, self.activation
        )

    def outputs(self, obs: Array) -> Array:
        """The outputs of the perceptron, `(outputs_per_coordinate * action_dim,)`."""
        return self.apply(self.params, obs)


@pytree
class DeterministicActor(Actor):
    """The action mu(s) = tanh(perceptron(s)): `actor(obs)` is `(action_dim,)` in [-1, 1]."""

    def __call__(self, obs: Array) -> Array:
        return jnp.tanh(self.outputs(obs))


@pytree
class GaussianActor(Actor):
    """The law of tanh(mean(s) + std(s) * noise) for standard normal noise: `actor.at(obs)` is a `TanhGaussian`.

    The network's log std is clipped to [-20, log_std_max], where the official code has 2. Outside this interval no
    gradient flows to it.
    """

    outputs_per_coordinate: ClassVar[int] = 2

    def at(self, obs: Array, log_std_max: float | Array = LOG_STD_MAX) -> "TanhGaussian":
        mean, log_std = jnp.split(self.outputs(obs), 2)
        # no `jnp.clip`, whose slope may be 0 inside the interval: see `softq.networks.critic.least`
        log_std = jnp.where(log_std < LOG_STD_MIN, LOG_STD_MIN, log_std)
        return TanhGaussian(mean, jnp.where(log_std > log_std_max, log_std_max, log_std))


@pytree
class NormalActor(Actor):
    """The normal law around mean(s), not bounded, whose spread is learned and the same in all states.

    `actor.at(obs)` is a `Normal`. The last weights start at a tenth of those of other networks, log std at `LOG_STD`.
    """

    @classmethod
    def create(
        cls,
        key: Array,
        obs: Array,
        action: Array,
        hidden_sizes: tuple[int, ...] = (256, 256),
        activation: str = "tanh",
    ) -> Self:
        """As `Actor.create`."""
        actor = super().create(key, obs, action, hidden_sizes, activation)
        last = f"Dense_{len(hidden_sizes)}"
        layer = actor.params[last] | {"kernel": actor.params[last]["kernel"] / 10}
        spread = {"log_std": jnp.full(action.shape, LOG_STD)}
        return replace(actor, params=actor.params | {last: layer} | spread)

    def at(self, obs: Array) -> "Normal":
        return Normal(self.outputs(obs), self.params["log_std"])


@pytree
class Normal:
    """The law of independent a_i ~ N(mean_i, std_i^2); `mean` and `log_std` are `(d,)`."""

    mean: Array
    log_std: Array

    def sample(self, key: Array) -> Array:
        """A draw `(d,)`."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)

    def log_prob(self, action: Array) -> Array:
        """The log-density at an action `(d,)`, in nats."""
        noise = (action - self.mean) * jnp.exp(-self.log_std)
        return jnp.sum(-(noise**2) / 2 - self.log_std - jnp.log(2 * jnp.pi) / 2)


@pytree
class TanhGaussian:
    """The law of a = tanh(u) with independent u_i ~ N(mean_i, std_i^2); `mean` and `log_std` `(d,)` are those of u."""

    mean: Array
    log_std: Array

    @property
    def mode(self) -> Array:
        """tanh(mean), `(d,)`, the action of SAC in evaluation: the median of each coordinate, not always its mode."""
        return jnp.tanh(self.mean)

    def sample(self, key: Array, jacobian: bool = True) -> tuple[Array, Array]:
        """An action `(d,)` in [-1, 1] and its log-density in nats, as by `push`."""
        return self.push(jax.random.normal(key, self.mean.shape), jacobian)

    def push(self, noise: Array, jacobian: bool = True) -> tuple[Array, Array]:
        """The action `(d,)` to which the standard normal `noise` `(d,)` is mapped, and its log-density in nats.

        The density is that of SAC Appendix C, Equation 21; `jacobian=False` leaves out tanh and gives the density of u.
        """
        u = self.mean + jnp.exp(self.log_std) * noise
        log_normal = -(noise**2) / 2 - self.log_std - jnp.log(2 * jnp.pi) / 2
        return jnp.tanh(u), jnp.sum(log_normal - (log_tanh_slope(u) if jacobian else 0.0))

    def log_prob(self, action: Array) -> Array:
        """The log-density at an action `(d,)` strictly inside the box, in nats; it is not finite on the walls."""
        u = jnp.arctanh(action)
        return self.push((u - self.mean) * jnp.exp(-self.log_std))[1]
