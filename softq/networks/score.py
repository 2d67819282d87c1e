"""Score and noise networks of diffusion policies: f(s, a_t, noise level), with the state encoded once for a chain.

One class has four published architectures. MaxEntDP's, "fourier", reads the log signal-to-noise ratio through
learnable Fourier features and a perceptron (its released code). DQS's, "sinusoidal", reads the diffusion time and the
temperature through sinusoids (Appendix B) and has a skip connection around the second layer. That of DQS's released
code, "residual", has half as many and slower sinusoids, and a skip connection around every layer after the first.
DACER's, "step", reads the number of the step as NC-LQL's critic reads a level: 16 sinusoids and two small layers.
"""

from itertools import pairwise
from typing import Literal, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from softq.networks.base import Network
from softq.networks.mlp import ACTIVATIONS, dense
from softq.networks.noise_critic import EMBEDDING_SIZE, sinusoid
from softq.networks.precision import dot_general
from softq.utils.checks import one_of, positive
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace, static

Style = Literal["fourier", "sinusoidal", "residual", "step"]
NUM_FOURIER = 64  # Fourier features
FOURIER_STD = 0.2  # standard deviation of the initial frequencies of the Fourier features
CONDITION_WIDTH = 128  # width of the perceptron that reads the Fourier features
NUM_SINUSOIDS = 256  # sinusoids for each condition
MAX_FREQUENCY = 1000.0  # largest frequency of the sinusoids, in radians per unit of the condition
NUM_SLOW = 128  # sinusoids for each condition in DQS's code, at frequencies from 1 down to 1 / 1000


def xavier(width: int, fan_in: int, bias: bool = True) -> nn.Dense:
    """A layer of `width` outputs with weights uniform on +-sqrt(6 / (fan_in + width)), as in MaxEntDP's released code.

    `fan_in` is an argument, since each part of a split first layer counts the inputs of all parts.
    """
    limit = (6 / (fan_in + width)) ** 0.5

    def init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return nn.Dense(width, use_bias=bias, kernel_init=init, dot_general=dot_general)


def sinusoids(x: Array) -> Array:
    """The sines and cosines of x, `(NUM_SINUSOIDS,)`, at geometric frequencies from MAX_FREQUENCY down to 1e-4 of it.

    DQS says "256-dimensional sinusoidal embedding" and names no unit of time. Its times lie in [0, 1], which
    frequencies of 1 and below would hardly distinguish.
    """
    half = NUM_SINUSOIDS // 2
    angles = x * MAX_FREQUENCY * 10_000.0 ** (-jnp.arange(half) / half)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)])


def slow_sinusoids(x: Array) -> Array:
    """The sines and cosines of x, `(NUM_SLOW,)`, at geometric frequencies from 1 down to 1e-3, as in DQS's code.

    The code does not stretch a time in [0, 1], so that even the fastest sinusoid makes a sixth of a turn.
    """
    half = NUM_SLOW // 2
    angles = x * 1000.0 ** (-jnp.arange(half) / (half - 1))
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)])


def orthogonal(width: int, fan_in: int, bias: bool = True) -> nn.Dense:
    """A layer of `width` outputs whose weights start as an orthogonal matrix times sqrt(2), as in DQS's code.

    A part of a split first layer has the first rows of such a matrix for all `fan_in` inputs. Deviation: each part has
    a matrix of its own, so that rows of different parts are independent, not orthogonal.
    """

    def init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        return nn.initializers.orthogonal(2**0.5)(key, (fan_in, width), dtype)[: shape[0]]

    return nn.Dense(width, use_bias=bias, kernel_init=init, dot_general=dot_general)


LAYERS = {"fourier": xavier, "sinusoidal": dense, "residual": orthogonal, "step": dense}


class ScoreModule(nn.Module):
    """The Flax module of `ScoreNetwork`: a perceptron whose first layer is W_s s + W_a a_t + W_c e(condition) + b."""

    hidden_sizes: tuple[int, ...]
    activation: str
    style: Style
    obs_dim: int
    action_dim: int
    num_conditions: int

    def setup(self) -> None:
        layer, each = LAYERS[self.style], NUM_SLOW if self.style == "residual" else NUM_SINUSOIDS
        embedded = {"fourier": CONDITION_WIDTH, "step": EMBEDDING_SIZE}.get(
            self.style, each * self.num_conditions
        )
        fan_in, widths = self.obs_dim + self.action_dim + embedded, self.hidden_sizes
        if self.style == "fourier":
            frequencies = nn.initializers.normal(FOURIER_STD)
            self.frequencies = self.param("frequencies", frequencies, (NUM_FOURIER // 2, self.num_conditions))
            self.condition_hidden = layer(CONDITION_WIDTH, NUM_FOURIER)
            self.condition_out = layer(CONDITION_WIDTH, CONDITION_WIDTH)
        if self.style == "step":
            self.code = [layer(2 * EMBEDDING_SIZE, EMBEDDING_SIZE), layer(EMBEDDING_SIZE, 2 * EMBEDDING_SIZE)]
        self.state_part = layer(widths[0], fan_in)
        self.action_part = layer(widths[0], fan_in, bias=False)
        self.condition_part = layer(widths[0], fan_in, bias=False)
        pairs = pairwise(widths) if self.style != "residual" else zip(widths, widths, strict=True)
        self.hidden = [layer(width, before) for before, width in pairs]
        self.out = layer(self.action_dim, widths[-1])

    def encode(self, obs: Array) -> Array:
        """The state part of the first layer, `(width,)`."""
        return self.state_part(obs)

    def embed(self, condition: Array) -> Array:
        """The condition part of the first layer, `(width,)`, from noise level and temperature `(num_conditions,)`."""
        if self.style == "step":
            first, second = self.code
            return self.condition_part(second(ACTIVATIONS[self.activation](first(sinusoid(condition[0])))))
        if self.style != "fourier":
            waves = sinusoids if self.style == "sinusoidal" else slow_sinusoids
            return self.condition_part(jax.vmap(waves)(condition).ravel())
        angles = 2 * jnp.pi * (self.frequencies @ condition)
        features = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)])
        hidden = ACTIVATIONS[self.activation](self.condition_hidden(features))
        return self.condition_part(self.condition_out(hidden))

    def value(self, state: Array, action: Array, condition: Array) -> Array:
        """The score or noise `(d,)`, from the `state` part `(width,)` of the first layer, an action and a condition."""
        activation = ACTIVATIONS[self.activation]
        x = activation(state + self.action_part(action) + self.embed(condition))
        for i, layer in enumerate(self.hidden):
            new = activation(layer(x))
            # DQS says "with skip connections" but not where; "sinusoidal" has one, around the second layer
            skip = self.style == "residual" or (
                self.style == "sinusoidal" and i == 0 and new.shape == x.shape
            )
            x = new + x if skip else new
        return self.out(x)

    def __call__(self, obs: Array, action: Array, condition: Array) -> Array:
        return self.value(self.encode(obs), action, condition)


@pytree
class ScoreNetwork(Network):
    """A score or noise network: `network(obs, a_t, condition)` is `(d,)` for a noisy action `(d,)`.

    The `condition` `(num_conditions,)` holds the noise level and, in DQS, the temperature. `network.at(obs)` is the
    function of action and condition for one observation.
    """

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
        """A fresh network for `obs` `(obs_dim,)` and `action` `(action_dim,)`, of which only the shapes count.

        The style "residual" has one block of each width after a first layer of the same width.
        Raises `SoftqError` for an unknown style or activation, widths that are not positive, or residual blocks of
        different widths.
        """
        one_of("style", style, Style)
        if style == "residual" and len(set(hidden_sizes)) > 1:
            raise SoftqError(f"residual blocks need one width, got hidden_sizes {hidden_sizes}; say 256 256.")
        more = {"style": style, "num_conditions": num_conditions}
        network = cls.sized(obs, action, hidden_sizes, activation, **more)
        return network.initialised(key, obs, action, jnp.zeros(num_conditions))

    @property
    def module(self) -> ScoreModule:
        sizes = self.obs_dim, self.action_dim, self.num_conditions
        return ScoreModule(self.hidden_sizes, self.activation, self.style, *sizes)

    def scale_action_weights(self, gain: float | Array) -> Self:
        """The network with the action's weights in the first layer multiplied by `gain`.

        Initial weights shrink with the number of inputs, of which 128 to 512 are for the noise level and often two for
        the action. The action then has a small effect at first, and a score that changes fast with it is slow to learn.
        Raises `SoftqError` for a gain that is not positive.
        """
        positive("gain", gain)
        part = self.params["action_part"]
        return replace(self, params=self.params | {"action_part": {"kernel": gain * part["kernel"]}})

    def at(self, obs: Array) -> "StateScore":
        """The score or noise as a function of action and condition, with the state part computed here."""
        return StateScore(self, self.apply(self.params, obs, method="encode"))

    def __call__(self, obs: Array, action: Array, condition: Array) -> Array:
        return self.at(obs)(action, condition)


@pytree
class StateScore:
    """A score network in one state, as a function of a noisy action `(d,)` and a condition `(num_conditions,)`."""

    network: ScoreNetwork
    state: Array  # the state part of the first layer, (width,)

    def __call__(self, action: Array, condition: Array) -> Array:
        params, inputs = self.network.params, (self.state, action, condition)
        return self.network.apply(params, *inputs, method="value")
