"""Activations, initial weights and the plain multi-layer perceptron."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array


def _mish_and_slope(x: Array) -> tuple[Array, Array]:
    """mish(x) = x tanh(softplus x) = x n / (n + 2) with n = e^x (e^x + 2), and its derivative, from one exp.

    n + 2 is written in another way than n, so that XLA does not make an array of their common part: a fifth less time
    beyond the products of a chain.
    """
    e = jnp.exp(jnp.minimum(x, 20.0))  # beyond 20 the ratio is 1 in single precision
    m = e + 1
    inverse = 1 / (m * m + 1)  # 1 / (n + 2)
    ratio = e * (e + 2) * inverse
    return x * ratio, ratio + 4 * x * e * m * inverse * inverse


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
    # "gelu" is x Phi(x), Phi the normal distribution function, which the code of SAC in DPRL has; "gelu_tanh" is the
    # approximation by tanh, up to 5e-4 away, which the code of DQS has, since Flax's `nn.gelu` is that one.
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
}


def dense(width: int, fan_in: int, bias: bool = True) -> nn.Dense:
    """A layer whose weights start as truncated normals (cut at two) times 1 / sqrt(fan_in), biases at zero.

    `fan_in` is given, since a first layer that is kept in two parts counts both.
    """
    return nn.Dense(width, use_bias=bias, kernel_init=nn.initializers.truncated_normal(fan_in**-0.5))


class MLPModule(nn.Module):
    """From `inputs` numbers to `outputs` numbers, with nothing after the last layer."""

    inputs: int
    hidden_sizes: tuple[int, ...]
    outputs: int
    activation: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for before, width in pairwise((self.inputs, *self.hidden_sizes)):
            x = ACTIVATIONS[self.activation](dense(width, before)(x))
        return dense(self.outputs, self.hidden_sizes[-1])(x)
