"""Score and noise networks of diffusion policies: f(s, a_t, how noisy), with the state's share computed once a chain.

Two published architectures, one class. MaxEntDP's is told the log signal-to-noise ratio through learnable Fourier
features and an MLP of its own (its released code); DQS's the diffusion time and the temperature through sinusoids
(Appendix B), with a skip connection around its second layer.
"""

from itertools import pairwise
from typing import Literal, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from softq.networks.base import Network
from softq.networks.mlp import ACTIVATIONS, dense
from softq.utils.checks import one_of, positive
from softq.utils.pytree import pytree, replace, static

Style = Literal["fourier", "sinusoidal"]
FOURIER, FOURIER_STD = 64, 0.2  # features, and the standard deviation of their frequencies
CONDITION = 128  # the width of what the features become
SINUSOIDS, FASTEST = 256, 1000.0  # features per condition; the largest frequency, in radians per unit


def xavier(width: int, fan_in: int, bias: bool = True) -> nn.Dense:
    """A layer with weights uniform on +-sqrt(6 / (fan_in + width)), biases zero, as in MaxEntDP's released code.

    `fan_in` is given, since a first layer that is kept in parts counts all of them.
    """
    limit = (6 / (fan_in + width)) ** 0.5

    def init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return nn.Dense(width, use_bias=bias, kernel_init=init)


def sinusoids(x: Array) -> Array:
    """sin and cos of x at frequencies from FASTEST down to FASTEST / 10,000 in geometric progression, `(SINUSOIDS,)`.

    Deviation: the paper says "256-dimensional sinusoidal embedding" and no unit; diffusion times lie in [0, 1], where
    frequencies of 1 and below would hardly tell them apart.
    """
    half = SINUSOIDS // 2
    angles = x * FASTEST * 10_000.0 ** (-jnp.arange(half) / half)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)])


class ScoreModule(nn.Module):
    """The Flax module. Its first layer is W_s s + W_a a_t + W_c condition + b, kept in three parts."""

    hidden_sizes: tuple[int, ...]
    activation: str
    style: Style
    obs_dim: int
    action_dim: int
    num_conditions: int

    def setup(self) -> None:
        layer = xavier if self.style == "fourier" else dense
        embedded = CONDITION if self.style == "fourier" else SINUSOIDS * self.num_conditions
        fan_in, widths = self.obs_dim + self.action_dim + embedded, self.hidden_sizes
        if self.style == "fourier":
            frequencies = nn.initializers.normal(FOURIER_STD)
            self.frequencies = self.param("frequencies", frequencies, (FOURIER // 2, self.num_conditions))
            self.condition_hidden, self.condition_out = layer(CONDITION, FOURIER), layer(CONDITION, CONDITION)
        self.state_part = layer(widths[0], fan_in)
        self.action_part = layer(widths[0], fan_in, bias=False)
        self.condition_part = layer(widths[0], fan_in, bias=False)
        self.hidden = [layer(width, before) for before, width in pairwise(widths)]
        self.out = layer(self.action_dim, widths[-1])

    def encode(self, obs: Array) -> Array:
        """What the first layer makes of the state, `(width,)`."""
        return self.state_part(obs)

    def embed(self, condition: Array) -> Array:
        """What the first layer makes of the noise level (and temperature) `(num_conditions,)`, `(width,)`."""
        if self.style == "sinusoidal":
            return self.condition_part(jax.vmap(sinusoids)(condition).ravel())
        angles = 2 * jnp.pi * (self.frequencies @ condition)
        features = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)])
        hidden = ACTIVATIONS[self.activation](self.condition_hidden(features))
        return self.condition_part(self.condition_out(hidden))

    def value(self, state: Array, action: Array, condition: Array) -> Array:
        """The score or noise `(d,)`, given the state's share of the first layer."""
        activation = ACTIVATIONS[self.activation]
        x = activation(state + self.action_part(action) + self.embed(condition))
        for i, layer in enumerate(self.hidden):
            new = activation(layer(x))
            # Deviation: the paper says "with skip connections" and not where; here around the second layer
            skip = self.style == "sinusoidal" and i == 0 and new.shape == x.shape
            x = new + x if skip else new
        return self.out(x)

    def __call__(self, obs: Array, action: Array, condition: Array) -> Array:
        return self.value(self.encode(obs), action, condition)


@pytree
class ScoreNetwork(Network):
    """`network.at(obs)` is a field: a function of a noisy action `(d,)` and a condition `(num_conditions,)`."""

    style: Style = static()
    num_conditions: int = static()

    @classmethod
    def create(
        cls,
        key: Array,
        obs: Array,
        action: Array,
        hidden_sizes: tuple[int, ...] = (256, 256),
        activation: str = "mish",
        style: Style = "fourier",
        num_conditions: int = 1,
    ) -> Self:
        """A fresh network for these shapes; raises `SoftqError` as `Network.sized` does, and for an unknown style."""
        one_of("style", style, Style)
        more = {"style": style, "num_conditions": num_conditions}
        network = cls.sized(obs, action, hidden_sizes, activation, **more)
        return network.initialised(key, obs, action, jnp.zeros(num_conditions))

    @property
    def module(self) -> ScoreModule:
        sizes = self.obs_dim, self.action_dim, self.num_conditions
        return ScoreModule(self.hidden_sizes, self.activation, self.style, *sizes)

    def scale_action_weights(self, gain: float | Array) -> Self:
        """The network with the action's first weights multiplied by `gain`, which must be positive.

        The first weights shrink with the number of inputs, of which 128 to 512 tell the noise level and two the action:
        the action is hardly heard at first, and a field that changes within 0.1 of an action takes long to learn.
        """
        positive("gain", gain)
        part = self.params["action_part"]
        return replace(self, params=self.params | {"action_part": {"kernel": gain * part["kernel"]}})

    def at(self, obs: Array) -> "StateScore":
        return StateScore(self, self.apply(self.params, obs, method="encode"))

    def __call__(self, obs: Array, action: Array, condition: Array) -> Array:
        return self.at(obs)(action, condition)


@pytree
class StateScore:
    """A score network in one state."""

    network: ScoreNetwork
    state: Array  # (width,)

    def __call__(self, action: Array, condition: Array) -> Array:
        params, inputs = self.network.params, (self.state, action, condition)
        return self.network.apply(params, *inputs, method="value")
