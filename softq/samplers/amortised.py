"""Amortised SVGD: a network that learns to move its actions in the direction of Stein variational gradient descent.

SQL Sections 3.3 and C (Haarnoja et al. 2017) after Wang and Liu (2016). A network turns noise into an action,
a = f(xi). K of its actions, held fixed, give the directions of M others (Equation 13), which the network follows:

    Delta f(a_j) = mean_i [ k(a_i, a_j) score(a_i) + grad_{a_i} k(a_i, a_j) ]
    gradient of the KL by phi:  - mean_j Delta f(a_j)^T df(xi_j) / dphi                                  (Equation 14)

Deviation: the paper prints Equation 14 without the minus. Delta f makes the divergence *smaller*, so that a descent by
the printed gradient would make it larger. The official code has the right sign.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from softq.samplers.bandwidth import Bandwidth, median_bandwidth
from softq.samplers.svgd import svgd_direction
from softq.utils.checks import positive
from softq.utils.errors import SoftqError

Score = Callable[[Array], Array]


def amortised_direction(
    score: Score,
    fixed: Array,
    updated: Array,
    bandwidth: float | Array | Bandwidth = "squared",
    repulsion: float | Array = 1.0,
) -> Array:
    """Delta f at each of `updated` `(M, d)`, averaged over `fixed` `(K, d)`: Equation 13 / temperature, `(M, d)`.

    `score` is grad Q / temperature. `bandwidth` is a number, or a rule of `median_bandwidth` applied to these
    particles, for which K >= 2. `repulsion` 1 is right, and 1 / temperature is the error of the paper's C.1. Raises
    `SoftqError` for no particles, shapes that do not fit, or a bandwidth that is not positive.
    """
    if not (
        fixed.ndim == updated.ndim == 2 and fixed.shape[1] == updated.shape[1] and fixed.size * updated.size
    ):
        raise SoftqError(
            f"fixed and updated particles must have shapes (K, d) and (M, d), K and M at least 1, got {fixed.shape} "
            f"and {updated.shape}; draw some first."
        )
    if isinstance(bandwidth, str):
        bandwidth = median_bandwidth(fixed, bandwidth, updated)
    else:
        positive("bandwidth", bandwidth)
    return svgd_direction(score, fixed, bandwidth, repulsion, updated)


def amortised_loss(
    push: Callable[[Array], Array],
    score: Score,
    fixed_noise: Array,
    updated_noise: Array,
    bandwidth: float | Array | Bandwidth = "squared",
    repulsion: float | Array = 1.0,
) -> Array:
    """- mean_j Delta f(a_j) . a_j with fixed Delta f, whose gradient by the parameters of `push` is Equation 14.

    `push` maps one noise vector `(n,)` to one action `(d,)`; `fixed_noise` `(K, n)` and `updated_noise` `(M, n)` may be
    the same. Only the gradient has a meaning. Algorithm 1 takes the mean over a batch of states.
    """
    fixed, updated = jax.vmap(push)(fixed_noise), jax.vmap(push)(updated_noise)
    held = jax.lax.stop_gradient((fixed, updated))
    direction = jax.lax.stop_gradient(amortised_direction(score, *held, bandwidth, repulsion))
    return -jnp.mean(jnp.sum(direction * updated, axis=1))


def squashed(score: Score) -> Score:
    """`score` plus the slope of sum log(1 - a^2 + 1e-6), a term of the official code that the paper does not have.

    Deviation: the term belongs to a density before tanh, but kernel and slope are those of actions. With it the
    particles aim at exp(Q / temperature) * prod(1 - a^2), which is 0 on the walls.
    """
    return lambda action: score(action) - 2 * action / (1 - action**2 + 1e-6)


def change_of_variables(push: Callable[[Array], Array], noise: Array) -> tuple[Array, Array]:
    """The action `push(noise)` and the log-density that Equation 33 gives it, nats; noise `(d,)` is standard normal.

    Deviation: the paper asks for a non-singular Jacobian, but the formula needs a `push` that is one-to-one. Where
    several noises lead to one action the formula counts one of them, so that the density is too small, by half for
    xi^2. Networks with several modes can be of this kind. Raises `SoftqError` unless the noise is as long as the
    action.
    """
    action = push(noise)
    if action.shape != noise.shape:
        raise SoftqError(
            f"a density by change of variables needs noise as long as the action, got {noise.shape} and "
            f"{action.shape}; create the network with noise_dim equal to the action's dimension."
        )
    log_volume = jnp.linalg.slogdet(jax.jacfwd(push)(noise))[1]
    log_normal = -jnp.sum(noise**2) / 2 - noise.size / 2 * jnp.log(2 * jnp.pi)
    return action, log_normal - log_volume
