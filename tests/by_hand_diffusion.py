"""What tests of diffusion policies redo by hand, in float64 NumPy: estimates of a score, and networks of known laws."""

import jax
import jax.numpy as jnp
import numpy as np
from by_hand import normals, uniforms
from scipy.special import ndtr, ndtri

from softq.utils.pytree import pytree


def kept_noises(low, high, num):
    """The noises `(B, num, d)` between the bounds `(B, d)` that known uniform numbers stand for.

    A number is the share of the law below the noise, or above it where the middle of the bounds is above 0.
    """
    share = uniforms(num, low.shape[1])[None]
    share = np.where((low + high > 0)[:, None], 1 - share, share)
    return ndtri((1 - share) * ndtr(low)[:, None] + share * ndtr(high)[:, None])


def softmax(logits):
    """Shares `(B, n)` along the second axis."""
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def estimated_score(name, q, temperature, noisy, signal, noise, num, truncate):
    """The estimate "qsm", "idem" or "qne" of the score at noisy actions `(B, d)`, from known draws.

    `q(actions)` gives values `(B, n)` and slopes `(B, n, d)` at actions `(B, n, d)`.
    """
    if name == "qsm":
        return q(noisy[:, None])[1][:, 0] / temperature
    eps = normals(num, noisy.shape[1])[None]
    if truncate:
        eps = kept_noises((-signal - noisy) / noise, (signal - noisy) / noise, num)
    actions = (noisy[:, None] + noise * eps) / signal
    values, slopes = q(np.clip(actions, -1, 1) if truncate else actions)
    weights = softmax(values / temperature)[:, :, None]
    if name == "qne":
        return np.sum(weights * eps, 1) / noise
    return np.sum(weights * slopes, 1) / (temperature * signal)


@pytree
class NormalLaw:
    """A network that predicts, exactly, the noise in noisy draws of N(mean, variance) in each coordinate.

    It reads the log signal-to-noise ratio of a variance-preserving schedule.
    """

    variance: float | jax.Array = 1.0
    mean: float | jax.Array = 0.0

    def __call__(self, obs, x, condition):
        return self.at(obs)(x, condition)

    def at(self, obs):
        def noise(x, condition):
            signal, size = (jnp.sqrt(jax.nn.sigmoid(sign * condition[0])) for sign in (1, -1))
            return size * (x - signal * self.mean) / (size**2 + signal**2 * self.variance)

        return noise


@pytree
class ExplodingNormalLaw(NormalLaw):
    """The same for the score, under the noise sigma_min (sigma_max / sigma_min)^t; it reads the time t."""

    sigma_min: float | jax.Array = 1e-3
    sigma_max: float | jax.Array = 1.0

    def at(self, obs):
        size = lambda t: self.sigma_min * (self.sigma_max / self.sigma_min) ** t
        return lambda x, condition: (self.mean - x) / (self.variance + size(condition[0]) ** 2)
