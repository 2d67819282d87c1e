"""Critics as callable pytrees, built of Flax layers and arranged for sampling.

A sampler evaluates one state's Q at many actions and differentiates it many times. Three things make that cheap
without changing the mathematics: the first layer is split into a state part (computed once, by `critic.at(obs)`) and
an action part; the twins are one stacked network, so each layer is one batched product; and Mish needs a single
exponential for its value and its slope together.
"""

from functools import reduce
from itertools import pairwise
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from softq.networks.base import Network
from softq.networks.mlp import ACTIVATIONS, dense
from softq.utils.checks import one_of
from softq.utils.pytree import pytree

Twins = Literal["mean", "min", "sum"]


def least(values: Array) -> Array:
    """The least of the values `(n,)`; its slope is that of the first one that is so small. NaN where one is NaN.

    The slope of `jnp.min` asks which values equal the least. A compiled program may compute them twice and round them
    differently; it then finds none, and the slope is 0 / 0.
    """
    return reduce(lambda a, b: jnp.where((a <= b) | jnp.isnan(a), a, b), values)


TWINS = {"mean": jnp.mean, "min": least, "sum": jnp.sum}


def reduce_twins(values: Array, twins: str) -> Array:
    """One number from the values `(2,)` of twin critics. Raises `SoftqError` for an unknown way."""
    one_of("twins", twins, TWINS)
    return TWINS[twins](values)


class QModule(nn.Module):
    """Q(s, a): an MLP whose first layer is W_s s + W_a a + b, the state and action parts kept apart.

    Weights start as truncated normals (cut at two) times 1 / sqrt(fan-in), the first layer's fan-in counting state
    and action together; biases start at zero.
    """

    hidden_sizes: tuple[int, ...]
    activation: str
    fan_in: int

    def setup(self) -> None:
        widths = self.hidden_sizes
        self.state_part = dense(widths[0], self.fan_in)
        self.action_part = dense(widths[0], self.fan_in, bias=False)
        self.hidden = [dense(width, before) for before, width in pairwise(widths)]
        self.out = dense(1, widths[-1])

    def encode(self, obs: Array) -> Array:
        """What the first layer makes of the state, `(width,)`: the part that a chain never recomputes."""
        return self.state_part(obs)

    def value(self, features: Array, action: Array) -> Array:
        """Q as a scalar, given the encoded state."""
        activation = ACTIVATIONS[self.activation]
        x = activation(features + self.action_part(action))
        for layer in self.hidden:
            x = activation(layer(x))
        return self.out(x)[0]

    def __call__(self, obs: Array, action: Array) -> Array:
        return self.value(self.encode(obs), action)


@pytree
class Critic(Network):
    """Twin Q functions. `critic(obs, action)` gives both values, `(2,)`; `critic.at(obs)` the landscape of a state.

    One observation `(obs_dim,)`, one action `(action_dim,)` in [-1, 1]; `vmap` outside. Made with `num=1` it is a
    single critic: the same, but for the axis of the twins, which is then one long. `params` are those of a `QModule`,
    with a leading axis over the twins.
    """

    @classmethod
    def create(
        cls,
        key: Array,
        obs: Array,
        action: Array,
        hidden_sizes: tuple[int, ...] = (256, 256, 256),
        activation: str = "mish",
        num: int = 2,
    ) -> "Critic":
        """`num` fresh networks, each from its own key, for these shapes; raises as `Network.sized` does."""
        return cls.sized(obs, action, hidden_sizes, activation).initialised(key, obs, action, num=num)

    @property
    def module(self) -> QModule:
        return QModule(self.hidden_sizes, self.activation, self.obs_dim + self.action_dim)

    def __call__(
        self, obs: Float[Array, " {self.obs_dim}"], action: Float[Array, " {self.action_dim}"]
    ) -> Float[Array, " twins"]:
        return self.at(obs).twins(action)

    def at(self, obs: Float[Array, " {self.obs_dim}"]) -> "StateLandscape":
        """Q(s, .) as a function of the action alone, with the state part of the first layer computed once."""
        encode = lambda params: self.apply(params, obs, method="encode")
        return StateLandscape(self, jax.vmap(encode)(self.params))


@pytree
class StateLandscape:
    """min over the twins of Q(s, .): call it on one action `(action_dim,)` to get a scalar, as any sampler expects."""

    critic: Critic
    features: Array  # (2, width)

    def twins(self, action: Float[Array, " {self.critic.action_dim}"]) -> Float[Array, " twins"]:
        """Both values, `(2,)`."""
        value = lambda params, features: self.critic.apply(params, features, action, method="value")
        return jax.vmap(value)(self.critic.params, self.features)

    def __call__(self, action: Float[Array, " {self.critic.action_dim}"]) -> Float[Array, ""]:
        return least(self.twins(action))
