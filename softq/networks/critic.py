"""Critics as callable pytrees of Flax layers, arranged so that sampling in one state is fast.

A sampler evaluates and differentiates the Q of one state at many actions. Three things save time there without changing
the mathematics. The first layer is split into a state part, which `critic.at(obs)` computes once, and an action part.
The twins are one stacked network, so that each layer is one batched product. Mish needs a single exponential for its
value and its slope.
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
    """The minimum of the values `(n,)`, not a number if one of them is not; its slope is that of the first minimum.

    The slope of `jnp.min` goes by which values equal the minimum. A compiled program may compute the values twice and
    round them differently, so that none equals it and the slope is 0 / 0; that of `jnp.clip` is then 0.
    """
    return reduce(lambda a, b: jnp.where((a <= b) | jnp.isnan(a), a, b), values)


TWINS = {"mean": jnp.mean, "min": least, "sum": jnp.sum}


def reduce_twins(values: Array, twins: str) -> Array:
    """The mean, minimum or sum of the values `(2,)` of twin critics; raises `SoftqError` for another name."""
    one_of("twins", twins, TWINS)
    return TWINS[twins](values)


class QModule(nn.Module):
    """Q(s, a) as a multi-layer perceptron whose first layer, W_s s + W_a a + b, has separate state and action parts.

    Weights start as normals, truncated at two standard deviations, times 1 / sqrt(fan-in); biases start at zero. The
    first layer's `fan_in` counts state and action together.
    """

    hidden_sizes: tuple[int, ...]
    activation: str
    fan_in: int
    num_outputs: int = 1

    def setup(self) -> None:
        widths = self.hidden_sizes
        self.state_part = dense(widths[0], self.fan_in)
        self.action_part = dense(widths[0], self.fan_in, bias=False)
        self.hidden = [dense(width, before) for before, width in pairwise(widths)]
        self.out = dense(self.num_outputs, widths[-1])

    def encode(self, obs: Array) -> Array:
        """The state's part of the first layer, `(width,)`, which is the same for all actions of one state."""
        return self.state_part(obs)

    def outputs(self, features: Array, action: Array) -> Array:
        """All outputs, `(num_outputs,)`, from the `features` `(width,)` of the state by `encode` and an action."""
        activation = ACTIVATIONS[self.activation]
        x = activation(features + self.action_part(action))
        for layer in self.hidden:
            x = activation(layer(x))
        return self.out(x)

    def value(self, features: Array, action: Array) -> Array:
        """Q as a scalar, the first output."""
        return self.outputs(features, action)[0]

    def __call__(self, obs: Array, action: Array) -> Array:
        return self.value(self.encode(obs), action)


@pytree
class Critic(Network):
    """Twin Q functions: `critic(obs, action)` gives both values, `(2,)`, and `critic.at(obs)` the landscape of a state.

    It takes one observation `(obs_dim,)` and one action `(action_dim,)` in [-1, 1]; use `vmap` for a batch. `params`
    are those of a `QModule` with a leading axis over the twins, which has length 1 in a single critic (`num=1`).
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
        """`num` fresh networks, each from its own key, for `obs` `(obs_dim,)` and `action` `(action_dim,)`.

        Raises `SoftqError` for an unknown activation or widths that are not positive.
        """
        return cls.sized(obs, action, hidden_sizes, activation).initialised(key, obs, action, num=num)

    @property
    def module(self) -> QModule:
        return QModule(self.hidden_sizes, self.activation, self.obs_dim + self.action_dim)

    def __call__(
        self, obs: Float[Array, " {self.obs_dim}"], action: Float[Array, " {self.action_dim}"]
    ) -> Float[Array, " twins"]:
        return self.at(obs).twins(action)

    def at(self, obs: Float[Array, " {self.obs_dim}"]) -> "StateLandscape":
        """Q(s, .) as a function of the action alone; the state part of the first layer is computed here."""
        encode = lambda params: self.apply(params, obs, method="encode")
        return StateLandscape(self, jax.vmap(encode)(self.params))


@pytree
class StateLandscape:
    """The minimum over the twins of Q(s, .), a function from one action `(action_dim,)` to a scalar for any sampler."""

    critic: Critic
    features: Array  # the state part of the first layer of each twin, (2, width)

    def twins(self, action: Float[Array, " {self.critic.action_dim}"]) -> Float[Array, " twins"]:
        """The values of both twins at one action, `(2,)`."""
        value = lambda params, features: self.critic.apply(params, features, action, method="value")
        return jax.vmap(value)(self.critic.params, self.features)

    def __call__(self, action: Float[Array, " {self.critic.action_dim}"]) -> Float[Array, ""]:
        return least(self.twins(action))
