"""The networks of MEow's flow (`softq.networks.flow`), with the layers of the released code of Chao et al. (2024)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from softq.networks.precision import dot_general


class Perceptron(nn.Module):
    """Dense layers with Swish, x * sigmoid(slope * x), whose slope is learned for each unit and starts at 1.

    With `coupling` the weights start orthogonal, and the units are normalised before Swish and may be dropped after it.
    Otherwise all weights start at zero. Biases are uniform up to 1 / sqrt(fan-in) in size, the default of PyTorch.
    """

    hidden_sizes: tuple[int, ...]
    outputs: int
    coupling: bool

    @nn.compact
    def __call__(self, x: Array, key: Array | None = None, rate: float | Array = 0.0) -> Array:
        """The outputs at `x`; with a `key` a hidden unit is zero with chance `rate`, and else divided by 1 - rate."""
        for layer, width in enumerate(self.hidden_sizes):
            x = self.dense(width, x)
            if self.coupling:
                x = nn.LayerNorm(epsilon=1e-5)(x)
            x *= jax.nn.sigmoid(self.param(f"slope_{layer}", nn.initializers.ones, (width,)) * x)
            if key is not None:
                kept = jax.random.bernoulli(jax.random.fold_in(key, layer), 1 - rate, (width,))
                x *= jnp.where(kept, jnp.reciprocal(1.0 - rate), 0.0)  # finite at rate 1 too
        return self.dense(self.outputs, x)

    def dense(self, width: int, x: Array) -> Array:
        bound = max(len(x), 1) ** -0.5  # a landscape without states has no inputs
        biases = lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)
        weights = nn.initializers.orthogonal() if self.coupling else nn.initializers.zeros
        return nn.Dense(width, kernel_init=weights, bias_init=biases, dot_general=dot_general)(x)


class FlowModule(nn.Module):
    """All networks of a `FlowCritic`: the shifts of the couplings, the spread of the latent, and c_1 and c_2."""

    hidden_sizes: tuple[int, ...]
    shift_sizes: tuple[int, ...]
    num_blocks: int
    dim: int

    def setup(self) -> None:
        sizes = self.hidden_sizes, self.dim
        self.couplings = [Perceptron(*sizes, coupling=True) for _ in range(2 * self.num_blocks)]
        self.spread = Perceptron(*sizes, coupling=False)
        self.reward_shifts = [Perceptron(self.shift_sizes, 1, coupling=False) for _ in range(2)]

    def encode(self, obs: Array) -> tuple[Array, Array]:
        """Of a state: numbers `(d,)` that set the spread of the latent, and c_1 and c_2, `(2,)`."""
        return self.spread(obs), jnp.concatenate([shift(obs) for shift in self.reward_shifts])

    def flow(
        self, x: Array, obs: Array, inverse: bool, key: Array | None = None, rate: float | Array = 0.0
    ) -> Array:
        """u = f(z; s) of a latent `(d,)`, or its inverse. Couplings in turn keep the even and the odd coordinates."""
        order = range(2 * self.num_blocks)
        for i in reversed(order) if inverse else order:
            kept = jnp.arange(self.dim) % 2 == i % 2
            own = None if key is None else jax.random.fold_in(key, i)
            shift = self.couplings[i](jnp.concatenate([jnp.where(kept, x, 0.0), obs]), own, rate)
            x += jnp.where(kept, 0.0, -shift if inverse else shift)
        return x

    def __call__(self, obs: Array, action: Array) -> tuple:
        return self.encode(obs), self.flow(action, obs, False)
