"""A Gaussian mixture fitted to draws of a law, by which DACER estimates the entropy of the law.

"Diffusion actor-critic with entropy regulator" (Wang et al. 2024): a policy without a known density is described by a
mixture of Gaussians with full covariances, fitted to its actions by expectation and maximisation. The entropy of a
mixture has no closed form. The sum of w_k (H_k - log w_k) over components of weight w_k and entropy H_k takes its
place, which is the entropy of the action and its component together. It is too high by the entropy of the component
given the action: by 0 where the components lie apart, and by log K where all K are equal.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular

from softq.utils.pytree import pytree

# The variance that is added in every direction, without which actions on a wall have the entropy -inf. Deviation: the
# code's scikit-learn adds 1e-6 in double precision; single precision cannot factor that beside variances of 1.
FLOOR = 1e-5
LLOYD_STEPS = 10  # the number of steps of k-means, at whose end the fit starts


@pytree
class GaussianMixture:
    """A mixture with weights `(K,)` of sum 1, means `(K, d)` and covariances `(K, d, d)`."""

    weights: Array
    means: Array
    covariances: Array

    def log_joint(self, x: Array) -> Array:
        """log w_k + log density of component k at x `(d,)`, `(K,)`."""

        def log_normal(mean: Array, covariance: Array) -> Array:
            factor = jnp.linalg.cholesky(covariance)
            scaled = solve_triangular(factor, x - mean, lower=True)
            log_volume = jnp.sum(jnp.log(jnp.diagonal(factor))) + len(x) / 2 * jnp.log(2 * jnp.pi)
            return -jnp.sum(scaled**2) / 2 - log_volume

        return jnp.log(self.weights) + jax.vmap(log_normal)(self.means, self.covariances)

    def entropy_bound(self) -> Array:
        """The sum of w_k (H_k - log w_k) in nats, which is above the entropy of the mixture by at most log K."""
        dim = self.means.shape[1]
        each = dim / 2 * jnp.log(2 * jnp.pi * jnp.e) + jnp.linalg.slogdet(self.covariances)[1] / 2
        return jnp.sum(self.weights * (each - jnp.log(self.weights)))


def from_shares(samples: Array, shares: Array) -> GaussianMixture:
    """The mixture in which each component has its share `(n, K)` of every sample `(n, d)`: the maximisation step."""
    counts = jnp.sum(shares, axis=0) + 10 * jnp.finfo(shares.dtype).eps
    means = shares.T @ samples / counts[:, None]

    def covariance(share: Array, mean: Array, count: Array) -> Array:
        away = samples - mean[None]
        return (share[:, None] * away).T @ away / count + FLOOR * jnp.eye(len(mean))

    covariances = jax.vmap(covariance)(shares.T, means, counts)
    return GaussianMixture(counts / jnp.sum(counts), means, covariances)


def fit_mixture(samples: Array, num_components: int = 3, num_iterations: int = 50) -> GaussianMixture:
    """The mixture after `num_iterations` of expectation and maximisation on `samples` `(n, d)`.

    It starts from k-means, whose first centre is the first sample and each further one the sample that is farthest from
    the centres so far. Deviation: the code's scikit-learn draws them, and stops where the likelihood gains under 1e-3.
    """
    centres = samples[:1]
    for _ in range(num_components - 1):
        farthest = jnp.argmax(jnp.min(squared_distances(samples, centres), axis=1))
        centres = jnp.concatenate([centres, samples[farthest][None]])

    def assigned(centres: Array) -> Array:
        nearest = jnp.argmin(squared_distances(samples, centres), axis=1)
        return jax.nn.one_hot(nearest, num_components, dtype=samples.dtype)

    lloyd = lambda _, centres: from_shares(samples, assigned(centres)).means
    centres = jax.lax.fori_loop(0, LLOYD_STEPS, lloyd, centres)
    shares = lambda mixture: jax.nn.softmax(jax.vmap(mixture.log_joint)(samples), axis=1)
    step = lambda _, mixture: from_shares(samples, shares(mixture))
    return jax.lax.fori_loop(0, num_iterations, step, from_shares(samples, assigned(centres)))


def squared_distances(samples: Array, centres: Array) -> Array:
    """The squared distances `(n, K)` between samples `(n, d)` and centres `(K, d)`."""
    return jnp.sum((samples[:, None] - centres[None]) ** 2, axis=2)
