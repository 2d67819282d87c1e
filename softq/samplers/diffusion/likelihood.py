"""log pi(a) of a diffusion policy, from how well its network predicts the noise that is put on a.

MaxEntDP Theorem 3.5: with u = signal^2 in a variance-preserving schedule and mse(u) = E |eps - eps_phi(a_t)|^2,

    log pi(a) = -(d / 2) log(2 pi e) + (1 / 2) int_0^1 (d u - mse(u)) / (u (1 - u)) du       (Equation 65)

if the network is the noise of one and the same density at every level. The sum that replaces the integral matters: the
printed one takes the noisier end of each cell, where the integrand is the tamer, and flattens the density.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.errors import SoftqError, suggest
from softq.samplers.check import positive
from softq.samplers.diffusion.schedules import Schedule

Rule = Literal["left", "trapezoid"]


def log_likelihood(
    key: Array,
    noise_of: Callable[[Array, Array], Array],
    a0: Array,
    schedule: Schedule,
    num_steps: int = 20,
    num_noises: int = 50,
    rule: Rule = "left",
    clip_x0: bool = False,
    paired: bool = False,
) -> Array:
    """log pi(a0) in nats, a scalar, for one action `(d,)` and a noise network `noise_of(a_t, t)` `(d,)`.

    `rule` "left" is Equation 66 as printed: num_steps cells even in t, each by its noisier end. "trapezoid" takes both
    ends, one more level of calls. The error of mse(u) is amplified by 1 / (1 - u) at the cleanest level, which the left
    rule never visits; `paired` tames it: noises in pairs +eps, -eps, and |eps|^2 replaced by its mean d.
    Deviation: the released code clips the clean action that a prediction implies to the box and recomputes the noise
    (`clip_x0`); that is the noise of no density. Raises `SoftqError` for no steps, no noises, an odd number of paired
    noises, or an unknown rule.
    """
    positive("num_steps", num_steps)
    positive("num_noises", num_noises)
    if paired and num_noises % 2:
        raise SoftqError(f"num_noises must be even when paired, got {num_noises}; add one.")
    dim = a0.size
    t = jnp.linspace(schedule.t_min, schedule.t_max, num_steps + 1)
    u, one_minus_u = jax.nn.sigmoid(schedule.log_snr(t)), jax.nn.sigmoid(-schedule.log_snr(t))
    weights = _weights(u, one_minus_u, rule)
    first = 0 if rule == "trapezoid" else 1  # the left rule has no use for the cleanest node
    shape = (num_steps + 1 - first, num_noises // (2 if paired else 1), dim)
    eps = jax.random.normal(key, shape, a0.dtype)
    if paired:
        eps = jnp.concatenate([eps, -eps], axis=1)

    def excess(t: Array, eps: Array) -> Array:
        """mse(u) - d at one level."""
        signal, noise = schedule.signal(t), schedule.noise(t)

        def error(e: Array) -> Array:
            a_t = signal * a0 + noise * e
            predicted = noise_of(a_t, t)
            if clip_x0:
                clean = jnp.clip((a_t - noise * predicted) / signal, -1.0, 1.0)
                predicted = (a_t - signal * clean) / noise
            if paired:
                return jnp.sum(predicted**2) - 2 * jnp.dot(e, predicted)
            return jnp.sum((e - predicted) ** 2) - dim

        return jnp.mean(jax.vmap(error)(eps))

    # d u - mse = -d (1 - u) - (mse - d)
    integrand = -dim * one_minus_u[first:] - jax.vmap(excess)(t[first:], eps)
    return -dim / 2 * jnp.log(2 * jnp.pi * jnp.e) + 0.5 * jnp.dot(weights[first:], integrand)


def _weights(u: Array, one_minus_u: Array, rule: Rule) -> Array:
    """What multiplies d u - mse(u) at each node: a share of the cells beside it, over u (1 - u). `(T + 1,)`."""
    if rule not in ("left", "trapezoid"):
        raise SoftqError(f"unknown rule '{rule}'.{suggest(rule, ('left', 'trapezoid'))}")
    cells = one_minus_u[1:] - one_minus_u[:-1]
    cleaner, noisier = jnp.append(cells, 0.0), jnp.append(0.0, cells)  # the cell of which a node is that end
    share = noisier if rule == "left" else (cleaner + noisier) / 2
    return share / (u * one_minus_u)
