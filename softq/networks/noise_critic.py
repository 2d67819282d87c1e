"""NC-LQL's critic Q(s, a, level): one network for Q and its blurred copies, which the noise level tells apart.

It is that of Ki et al. (2026), Section 4.2. The paper says neither how a level enters the network nor that there are
two critics; both are as in its released code and give the paper's count of parameters (475k, Table 2). A Langevin chain
costs as much as with a plain critic, since the level's part of the first layer is computed once for each level.
"""

from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.networks.base import Network
from softq.networks.critic import QModule, Twins, least, reduce_twins
from softq.networks.mlp import ACTIVATIONS, dense
from softq.utils.pytree import pytree

EMBEDDING_SIZE = 16  # numbers that embed a noise level, both as sinusoids and after two layers
FREQUENCIES = 10_000.0 ** -np.linspace(0, 1, EMBEDDING_SIZE // 2, endpoint=False, dtype=np.float32)


def sinusoid(number: Array) -> Array:
    """The embedding of a number: a quarter of its sines and cosines at eight frequencies, `(16,)`."""
    angles = number * FREQUENCIES
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)]) / 4


class NoiseQModule(QModule):
    """Q(s, a, level): a `QModule` that also reads an embedding of the level, made from sinusoids by two more layers."""

    def setup(self) -> None:
        super().setup()
        self.level_part = dense(self.hidden_sizes[0], self.fan_in, bias=False)
        self.code = [dense(2 * EMBEDDING_SIZE, EMBEDDING_SIZE), dense(EMBEDDING_SIZE, 2 * EMBEDDING_SIZE)]

    def encode_level(self, number: Array) -> Array:
        """The part of the first layer, `(width,)`, of the level that is known to the network as `number`."""
        first, second = self.code
        return self.level_part(second(ACTIVATIONS[self.activation](first(sinusoid(number)))))

    def __call__(self, obs: Array, action: Array, number: Array) -> Array:
        return self.value(self.encode(obs) + self.encode_level(number), action)


@pytree
class NoiseCritic(Network):
    """Twin Q functions with L noise levels: `critic(obs, action, level)` gives both values, `(2,)`.

    Level 0 is the one with the most noise; the last level, the default, is Q itself. The critic takes one observation
    `(obs_dim,)` and one action `(action_dim,)`, which may lie outside [-1, 1]; use `vmap` for a batch.
    """

    codes: Array  # the number by which the network knows each level, (L,): its index or its sigma

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
        """Two fresh networks, each from its own key, for `obs` `(obs_dim,)` and `action` `(action_dim,)`.

        Raises `SoftqError` for an unknown activation or widths that are not positive.
        """
        critic = cls.sized(obs, action, hidden_sizes, activation, codes=jnp.asarray(codes, float))
        return critic.initialised(key, obs, action, jnp.zeros(()), num=2)

    @property
    def module(self) -> NoiseQModule:
        return NoiseQModule(
            self.hidden_sizes, self.activation, self.obs_dim + self.action_dim + EMBEDDING_SIZE
        )

    def __call__(self, obs: Array, action: Array, level: int | Array = -1) -> Array:
        return self.at(obs).twins(action, level)

    def at(self, obs: Array) -> "NoiseLandscape":
        """Q(s, ., level) as a function of action and level; the other parts of the first layer are computed here."""
        both = lambda method, x: jax.vmap(lambda params: self.apply(params, x, method=method))(self.params)
        levels = jax.vmap(lambda number: both("encode_level", number))(self.codes)
        return NoiseLandscape(self, both("encode", obs), levels)


@pytree
class NoiseLandscape:
    """The minimum over the twins of Q(s, ., level), a scalar function of one action; the default is the last level."""

    critic: NoiseCritic
    features: Array  # the state part of the first layer of each twin, (2, width)
    levels: Array  # the level part of the first layer, (L, 2, width)

    def twins(self, action: Array, level: int | Array = -1) -> Array:
        """The values of both twins at one action and level, `(2,)`."""
        value = lambda params, features: self.critic.apply(params, features, action, method="value")
        return jax.vmap(value)(self.critic.params, self.features + self.levels[level])

    def __call__(self, action: Array, level: int | Array = -1) -> Array:
        return least(self.twins(action, level))

    def slope(self, action: Array, level: int | Array = -1, twins: Twins = "mean") -> Array:
        """The gradient in the action, `(action_dim,)`, of the mean, sum or minimum of the twins.

        Raises `SoftqError` for another name of `twins`.
        """
        return jax.grad(lambda a: reduce_twins(self.twins(a, level), twins))(action)
