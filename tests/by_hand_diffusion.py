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


def estimated_score(name, q, temperature, noisy, signal, noise, num, truncate, fault=""):
    """The estimate "qsm", "idem", "qne", "combined" or "rfm" of the score at noisy actions `(B, d)`, from known draws.

    `q(actions)` gives values `(B, n)` and slopes `(B, n, d)` at actions `(B, n, d)`. The `fault` "faces" leaves the
    faces of the box out of the latter two, and others are those of `mixed_mean`.
    """
    if name == "qsm":
        return q(noisy[:, None])[1][:, 0] / temperature
    eps = normals(num, noisy.shape[1])[None]
    if truncate:
        eps = kept_noises((-signal - noisy) / noise, (signal - noisy) / noise, num)
    actions = (noisy[:, None] + noise * eps) / signal
    values, slopes = q(np.clip(actions, -1, 1) if truncate else actions)
    weights = softmax(values / temperature)[:, :, None]
    if name in ("combined", "rfm"):
        slopes = weights * slopes / temperature
        if truncate and fault != "faces":
            slopes = slopes + faces(q, temperature, noisy, signal, noise, actions, values)
        mean = mixed_mean(
            name, weights, actions, slopes - weights * eps * signal / noise, noise / signal, fault
        )
        return (signal * mean - noisy) / noise**2
    if name == "qne":
        return np.sum(weights * eps, 1) / noise
    return np.sum(weights * slopes, 1) / (temperature * signal)


def faces(q, temperature, noisy, signal, noise, actions, values):
    """What the faces of the box add to the mean slope of Q / temperature, of each action, `(B, num, d)`.

    With coordinate j moved onto a wall an action counts by exp(Q / temperature), over the sum of that over the actions
    where they are, and by the density at the wall of coordinate j of a draw, a normal law within the walls.
    """
    height, total = values.max(1)[:, None], np.zeros_like(actions)
    summed = np.exp((values - height) / temperature).sum(1)[:, None]
    inside = ndtr((signal - noisy) / noise) - ndtr((-signal - noisy) / noise)
    for j in range(actions.shape[2]):
        for wall in (-1.0, 1.0):
            moved = actions.copy()
            moved[:, :, j] = wall
            z = (signal * wall - noisy[:, j]) / noise
            density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) / (noise / signal) / inside[:, j]
            total[:, :, j] -= wall * density[:, None] * np.exp((q(moved)[0] - height) / temperature) / summed
    return total


def mixed_mean(name, weights, actions, slopes, ratio, fault=""):
    """The mean clean action `(B, d)` of the estimates "combined" and "rfm", given the noisy one.

    To the weighted mean of the actions `(B, num, d)` it adds L times the sum of the weighted `slopes` of the clean
    action's log-density, `(B, num, d)`, which is 0 on average. L makes the spread of the terms least, between 0 and
    `ratio`^2, where nothing but slopes of Q counts ("combined"), or with a ridge and between -3 and 3 ("rfm").
    `fault`: "half" takes half of L, "fit" the ridge and the limits of the other.
    """
    around = lambda terms: terms - weights * terms.sum(1, keepdims=True)
    spread = lambda amount: np.sum(around(weights * actions + amount * slopes) ** 2, 1)
    start, middle, end = spread(0), spread(0.5), spread(1)  # of a parabola in L
    curvature, lowest = start - 2 * middle + end, (3 * start - 4 * middle + end) / 4
    rfm = (name == "rfm") != (fault == "fit")
    amount = lowest / (curvature + 2.5e-4 * rfm)
    amount = np.clip(amount, -3, 3) if rfm else np.clip(amount, 0, ratio**2)
    return np.sum(weights * actions, 1) + amount / (2 if fault == "half" else 1) * slopes.sum(1)


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
