"""NC-LQL's critic: one network for Q and for its blurred copies, told apart by a noise level.

Q(s, a, level) of Ki et al. (2026), Section 4.2. The paper says neither how a level enters the network nor that there
are two critics; both are as in its released code, and give its count of parameters (475k, Table 2). A chain pays what
a plain critic costs: the level's part of the first layer is computed once per level, not once per step.
"""

from typing import Literal, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.networks.critic import QNetwork
from softq.networks.mlp import ACTIVATIONS, check_architecture, dense
from softq.utils.errors import SoftqError, suggest
from softq.utils.pytree import pytree, static

CODE = 16  # width of a level's code, both as sinusoids and as the network reads it
FREQUENCIES = 10_000.0 ** -np.linspace(0, 1, CODE // 2, endpoint=False, dtype=np.float32)
Twins = Literal["mean", "min", "sum"]
TWINS = {"mean": jnp.mean, "min": jnp.min, "sum": jnp.sum}


def joined(values: Array, twins: Twins) -> Array:
    """One number from the values `(2,)` of twin critics. Raises `SoftqError` for an unknown way."""
    if twins not in TWINS:
        raise SoftqError(f"unknown twins '{twins}'.{suggest(twins, TWINS)}")
    return TWINS[twins](values)


def sinusoid(number: Array) -> Array:
    """A number as a quarter of its sines and cosines at eight frequencies, `(16,)`."""
    angles = number * FREQUENCIES
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)]) / 4


class NoiseQNetwork(QNetwork):
    """Q(s, a, level): a `QNetwork` that also reads a code of the level, made of sinusoids by two layers of its own."""

    def setup(self) -> None:
        super().setup()
        self.level_part = dense(self.hidden_sizes[0], self.fan_in, bias=False)
        self.code = [dense(2 * CODE, CODE), dense(CODE, 2 * CODE)]

    def encode_level(self, number: Array) -> Array:
        """What the first layer makes of the level that `number` stands for, `(width,)`."""
        first, second = self.code
        return self.level_part(second(ACTIVATIONS[self.activation](first(sinusoid(number)))))

    def __call__(self, obs: Array, action: Array, number: Array) -> Array:
        return self.value(self.encode(obs) + self.encode_level(number), action)


@pytree
class NoiseCritic:
    """Twin Q functions with noise levels. `critic(obs, action, level)` gives both values, `(2,)`.

    Levels are counted from 0, the coarsest; the last, also the default, is Q itself. One observation `(obs_dim,)`, one
    action `(action_dim,)`, inside [-1, 1] or not; `vmap` outside.
    """

    params: dict  # one NoiseQNetwork's parameters with a leading axis over the twins
    codes: Array  # the number that each level is to the network, (L,): its index, or its sigma
    obs_dim: int = static()
    action_dim: int = static()
    hidden_sizes: tuple[int, ...] = static(default=(256, 256, 256))
    activation: str = static(default="mish")

    @classmethod
    def create(
        cls,
        key: Array,
        obs: Array,
        action: Array,
        codes: Array,
        hidden_sizes: tuple[int, ...] = (256, 256, 256),
        activation: str = "mish",
    ) -> Self:
        """Two fresh networks, each from its own key, for observations, actions and levels of these shapes."""
        check_architecture(hidden_sizes, activation)
        (obs_dim,), (action_dim,) = obs.shape, action.shape
        critic = cls({}, jnp.asarray(codes, float), obs_dim, action_dim, tuple(hidden_sizes), activation)
        zeros = jnp.zeros(obs_dim), jnp.zeros(action_dim), jnp.zeros(())
        params = jax.vmap(lambda k: critic.network.init(k, *zeros)["params"])(jax.random.split(key))
        return cls(params, critic.codes, obs_dim, action_dim, tuple(hidden_sizes), activation)

    @property
    def network(self) -> NoiseQNetwork:
        """The Flax module whose parameters these are."""
        return NoiseQNetwork(self.hidden_sizes, self.activation, self.obs_dim + self.action_dim + CODE)

    def __call__(self, obs: Array, action: Array, level: int | Array = -1) -> Array:
        return self.at(obs).twins(action, level)

    def at(self, obs: Array) -> "NoiseLandscape":
        """Q(s, ., level) as a function of action and level, the rest of the first layer computed once."""
        apply = lambda params, x, method: self.network.apply({"params": params}, x, method=method)
        features = jax.vmap(lambda params: apply(params, obs, "encode"))(self.params)
        by_level = jax.vmap(lambda n: jax.vmap(lambda params: apply(params, n, "encode_level"))(self.params))
        return NoiseLandscape(self, features, by_level(self.codes))


@pytree
class NoiseLandscape:
    """min over the twins of Q(s, ., level), by default at the last level: a scalar, as any sampler expects."""

    critic: NoiseCritic
    features: Array  # of the state, (2, width)
    levels: Array  # of each level, (L, 2, width)

    def twins(self, action: Array, level: int | Array = -1) -> Array:
        """Both values, `(2,)`."""
        network = self.critic.network
        value = lambda params, features: network.apply({"params": params}, features, action, method="value")
        return jax.vmap(value)(self.critic.params, self.features + self.levels[level])

    def __call__(self, action: Array, level: int | Array = -1) -> Array:
        return jnp.min(self.twins(action, level))

    def slope(self, action: Array, level: int | Array = -1, twins: Twins = "mean") -> Array:
        """The gradient in the action of the mean of the twins, of their sum or of the smaller, `(action_dim,)`."""
        return jax.grad(lambda a: joined(self.twins(a, level), twins))(action)
