"""NC-LQL's critic: one network for Q and for its blurred copies, told apart by a noise level.

Q(s, a, level) of Ki et al. (2026), Section 4.2. The paper says neither how a level enters the network nor that there
are two critics; both are as in its released code, and give its count of parameters (475k, Table 2). A chain pays what
a plain critic costs: the level's part of the first layer is computed once per level, not once per step.
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

CODE = 16  # width of a level's code, both as sinusoids and as the network reads it
FREQUENCIES = 10_000.0 ** -np.linspace(0, 1, CODE // 2, endpoint=False, dtype=np.float32)


def sinusoid(number: Array) -> Array:
    """A number as a quarter of its sines and cosines at eight frequencies, `(16,)`."""
    angles = number * FREQUENCIES
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)]) / 4


class NoiseQModule(QModule):
    """Q(s, a, level): a `QModule` that also reads a code of the level, made of sinusoids by two layers of its own."""

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
class NoiseCritic(Network):
    """Twin Q functions with noise levels. `critic(obs, action, level)` gives both values, `(2,)`.

    Levels are counted from 0, the coarsest; the last, also the default, is Q itself. One observation `(obs_dim,)`, one
    action `(action_dim,)`, inside [-1, 1] or not; `vmap` outside.
    """

    codes: Array  # the number that each level is to the network, (L,): its index, or its sigma

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
        """Two fresh networks, each from its own key, for these shapes; raises as `Network.sized` does."""
        critic = cls.sized(obs, action, hidden_sizes, activation, codes=jnp.asarray(codes, float))
        return critic.initialised(key, obs, action, jnp.zeros(()), num=2)

    @property
    def module(self) -> NoiseQModule:
        return NoiseQModule(self.hidden_sizes, self.activation, self.obs_dim + self.action_dim + CODE)

    def __call__(self, obs: Array, action: Array, level: int | Array = -1) -> Array:
        return self.at(obs).twins(action, level)

    def at(self, obs: Array) -> "NoiseLandscape":
        """Q(s, ., level) as a function of action and level, the rest of the first layer computed once."""
        both = lambda method, x: jax.vmap(lambda params: self.apply(params, x, method=method))(self.params)
        levels = jax.vmap(lambda number: both("encode_level", number))(self.codes)
        return NoiseLandscape(self, both("encode", obs), levels)


@pytree
class NoiseLandscape:
    """min over the twins of Q(s, ., level), by default at the last level: a scalar, as any sampler expects."""

    critic: NoiseCritic
    features: Array  # of the state, (2, width)
    levels: Array  # of each level, (L, 2, width)

    def twins(self, action: Array, level: int | Array = -1) -> Array:
        """Both values, `(2,)`."""
        value = lambda params, features: self.critic.apply(params, features, action, method="value")
        return jax.vmap(value)(self.critic.params, self.features + self.levels[level])

    def __call__(self, action: Array, level: int | Array = -1) -> Array:
        return least(self.twins(action, level))

    def slope(self, action: Array, level: int | Array = -1, twins: Twins = "mean") -> Array:
        """The gradient in the action of the mean of the twins, of their sum or of the smaller, `(action_dim,)`."""
        return jax.grad(lambda a: reduce_twins(self.twins(a, level), twins))(action)
