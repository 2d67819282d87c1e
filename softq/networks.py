"""Critics as callable pytrees, built of Flax layers and arranged for sampling.

A sampler evaluates one state's Q at many actions and differentiates it many times. Three things make that cheap
without changing the mathematics: the first layer is split into a state part (computed once, by `critic.at(obs)`) and
an action part; the twins are one stacked network, so each layer is one batched product; and Mish needs a single
exponential for its value and its slope together.
"""

from collections.abc import Callable
from itertools import pairwise

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from softq.errors import SoftqError, suggest
from softq.pytree import pytree, static


def _mish_and_slope(x: Array) -> tuple[Array, Array]:
    """mish(x) = x tanh(softplus x) = x n / (n + 2) with n = e^x (e^x + 2), and its derivative, from one exp."""
    e = jnp.exp(jnp.minimum(x, 20.0))  # beyond 20 the ratio is 1 in single precision
    n = e * (e + 2)
    inverse = 1 / (n + 2)
    ratio = n * inverse
    return x * ratio, ratio + 4 * x * e * (e + 1) * inverse * inverse


@jax.custom_jvp
def mish(x: Array) -> Array:
    """Mish, x * tanh(log(1 + e^x)); the activation of DDSQ (Table 3) and NC-LQL."""
    return _mish_and_slope(x)[0]


@mish.defjvp
def _mish_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value, slope = _mish_and_slope(*primals)
    return value, slope * tangents[0]


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "mish": mish,
    "relu": jax.nn.relu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
}


class QNetwork(nn.Module):
    """Q(s, a): an MLP whose first layer is W_s s + W_a a + b, the state and action parts kept apart.

    Weights start as truncated normals (cut at two) times 1 / sqrt(fan-in), the first layer's fan-in counting state
    and action together; biases start at zero.
    """

    hidden_sizes: tuple[int, ...]
    activation: str
    fan_in: int

    def setup(self) -> None:
        def dense(width: int, fan_in: int, bias: bool = True) -> nn.Dense:
            init = nn.initializers.truncated_normal(fan_in**-0.5)
            return nn.Dense(width, use_bias=bias, kernel_init=init)

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
class Critic:
    """Twin Q functions. `critic(obs, action)` gives both values, `(2,)`; `critic.at(obs)` the landscape of a state.

    One observation `(obs_dim,)`, one action `(action_dim,)` in [-1, 1]; `vmap` outside.
    """

    params: dict  # one QNetwork's parameters with a leading axis of 2
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
        hidden_sizes: tuple[int, ...] = (256, 256, 256),
        activation: str = "mish",
    ) -> "Critic":
        """Fresh twins, each from its own key, for observations and actions of these shapes."""
        if activation not in ACTIVATIONS:
            raise SoftqError(f"unknown activation '{activation}'.{suggest(activation, list(ACTIVATIONS))}")
        if not hidden_sizes or min(hidden_sizes) < 1:
            raise SoftqError(
                f"hidden_sizes must be positive widths, got {hidden_sizes}; for example 256 256 256."
            )
        (obs_dim,), (action_dim,) = obs.shape, action.shape
        critic = cls({}, obs_dim, action_dim, tuple(hidden_sizes), activation)
        zeros = jnp.zeros(obs_dim), jnp.zeros(action_dim)
        params = jax.vmap(lambda k: critic.network.init(k, *zeros)["params"])(jax.random.split(key, 2))
        return cls(params, obs_dim, action_dim, tuple(hidden_sizes), activation)

    @property
    def network(self) -> QNetwork:
        """The Flax module whose parameters these are."""
        return QNetwork(self.hidden_sizes, self.activation, self.obs_dim + self.action_dim)

    def __call__(self, obs: Array, action: Array) -> Array:
        return self.at(obs).twins(action)

    def at(self, obs: Array) -> "StateLandscape":
        """Q(s, .) as a function of the action alone, with the state part of the first layer computed once."""
        encode = lambda params: self.network.apply({"params": params}, obs, method="encode")
        return StateLandscape(self, jax.vmap(encode)(self.params))


@pytree
class StateLandscape:
    """min over the twins of Q(s, .): call it on one action `(action_dim,)` to get a scalar, as any sampler expects."""

    critic: Critic
    features: Array  # (2, width)

    def twins(self, action: Array) -> Array:
        """Both values, `(2,)`."""
        network = self.critic.network
        value = lambda params, features: network.apply({"params": params}, features, action, method="value")
        return jax.vmap(value)(self.critic.params, self.features)

    def __call__(self, action: Array) -> Array:
        return jnp.min(self.twins(action))
