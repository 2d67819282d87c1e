"""Activations, initial weights and the plain multi-layer perceptron."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from softq.networks.precision import dot_general


def _mish_and_slope(x: Array) -> tuple[Array, Array]:
    """mish(x) = x tanh(softplus x) = x n / (n + 2) with n = e^x (e^x + 2), and its derivative, from one exponential.

    n and n + 2 are written without a common part, since XLA would store that part as an array, which takes time.
    """
    e = jnp.exp(jnp.minimum(x, 20.0))  # above 20 the ratio is 1 in single precision
    m = e + 1
    inverse = 1 / (m * m + 1)  # 1 / (n + 2)
    ratio = e * (e + 2) * inverse
    return x * ratio, ratio + 4 * x * e * m * inverse * inverse


@jax.custom_jvp
def mish(x: Array) -> Array:
    """Mish, x * tanh(log(1 + e^x)), the activation of DDSQ (Table 3) and NC-LQL; elementwise, in the shape of x."""
    return _mish_and_slope(x)[0]


@mish.defjvp
def _mish_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value, slope = _mish_and_slope(*primals)
    return value, slope * tangents[0]


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "mish": mish,
    "relu": jax.nn.relu,
    # "gelu" is x Phi(x) with the normal distribution function Phi, as in DPRL's code of SAC. "gelu_tanh" approximates
    # it by tanh, to 5e-4; DQS's code has it, since it is the default of Flax's `nn.gelu`.
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "silu": jax.nn.silu,
    "elu": jax.nn.elu,
    "tanh": jnp.tanh,
}


def dense(width: int, fan_in: int, bias: bool = True) -> nn.Dense:
    """A layer of `width` outputs whose weights start as truncated normals times 1 / sqrt(fan_in), its biases at zero.

    The normals are cut at two standard deviations. `fan_in` is an argument, since each part of a split first layer
    counts the inputs of all parts.
    """
    init = nn.initializers.truncated_normal(fan_in**-0.5)
    return nn.Dense(width, use_bias=bias, kernel_init=init, dot_general=dot_general)


class MLPModule(nn.Module):
    """A multi-layer perceptron from `inputs` numbers to `outputs` numbers, whose last layer has no activation."""

    inputs: int
    hidden_sizes: tuple[int, ...]
    outputs: int
    activation: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for before, width in pairwise((self.inputs, *self.hidden_sizes)):
            x = ACTIVATIONS[self.activation](dense(width, before)(x))
        return dense(self.outputs, self.hidden_sizes[-1])(x)
