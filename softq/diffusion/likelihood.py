"""log pi(a) of a diffusion policy, from how well its network predicts the noise that is added to the action a.

MaxEntDP Theorem 3.5: with u = signal^2 in a variance-preserving schedule and mse(u) = E |eps - eps_phi(a_t)|^2,

    log pi(a) = -(d / 2) log(2 pi e) + (1 / 2) int_0^1 (d u - mse(u)) / (u (1 - u)) du       (Equation 65)

if the network predicts the noise of one density at every noise level. du / (u (1 - u)) is the differential of the log
signal-to-noise ratio log(u / (1 - u)). The estimate has two errors: the integral is a sum over a few levels, and
mse(u) is a mean over a few noises.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.diffusion.processes import times
from softq.diffusion.schedules import Schedule
from softq.utils.checks import one_of, positive
from softq.utils.errors import SoftqError
from softq.utils.finite import working

Rule = Literal["left", "trapezoid", "log_snr"]


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

    `rule` turns the integral into a sum over `num_steps` intervals, see `quadrature`; "left" is Equation 66 as printed,
    which makes the density flatter than it is. `num_noises` noises estimate mse(u) at each level. `paired` draws the
    noises in pairs +eps, -eps and subtracts u^2 (|eps|^2 - d), which has mean 0, so that the estimate keeps its mean.
    The rule "trapezoid" needs pairs: it multiplies the error of mse(u) at the cleanest level by 1 / (1 - u).
    `clip_x0` is what MaxEntDP's released code does and its paper does not: the clean action that a prediction implies
    is clipped to the box, and the noise recomputed. The result is the noise of no density.
    Raises `SoftqError` for `num_steps` or `num_noises` below 1, an odd number of paired noises, or an unknown rule.
    """
    positive("num_noises", num_noises)
    if paired and num_noises % 2:
        raise SoftqError(f"num_noises must be even when paired, got {num_noises}; add one.")
    a0 = working(a0)
    t, u, weights = quadrature(schedule, num_steps, rule)
    dim = a0.size
    eps = jax.random.normal(key, (len(t), num_noises // (2 if paired else 1), dim), a0.dtype)

    def mean_square(t: Array, u: Array, eps: Array) -> Array:
        """mse(u) at one noise level, a scalar."""
        signal, noise = schedule.signal(t), schedule.noise(t)

        def error(e: Array) -> Array:
            a_t = signal * a0 + noise * e
            predicted = noise_of(a_t, t)
            if clip_x0:
                clean = jnp.clip((a_t - noise * predicted) / signal, -1.0, 1.0)
                predicted = (a_t - signal * clean) / noise
            control = u**2 * (jnp.sum(e**2) - dim) if paired else 0.0
            return jnp.sum((e - predicted) ** 2) - control

        return jnp.mean(jax.vmap(error)(jnp.concatenate([eps, -eps]) if paired else eps))

    difference = dim * u - jax.vmap(mean_square)(t, u, eps)
    return -dim / 2 * jnp.log(2 * jnp.pi * jnp.e) + 0.5 * jnp.dot(weights, difference)


def terminal_term(a0: Array, largest: float | Array) -> Array:
    """The part of log pi(a0), in nats, from noise levels above the standard deviation `largest`, where a schedule ends.

    A variance-exploding schedule does not end in pure noise, yet its sampler starts from N(0, largest^2 I). If the
    noised law is taken to be that normal law, the rest of the integral of Theorem 3.5 has this closed form. For a
    normal pi of variance v * largest^2 it is too low by (v - log(1 + v)) / 2 nats for each coordinate of the action.
    """
    snr = largest**-2
    return (a0.size * jnp.log1p(snr) - snr * jnp.sum(a0**2)) / 2


def quadrature(schedule: Schedule, num_steps: int, rule: Rule) -> tuple[Array, Array, Array]:
    """Times t, u = signal^2 and the weight of d u - mse(u) at each node of a sum that stands for the integral.

    - "left" (Equation 66) has `num_steps` intervals of equal length in t and takes the integrand at the noisier end of
      each, the left end in u. The cleanest node has no weight and is left out: the three arrays are `(num_steps,)`.
    - "trapezoid" has the same intervals and averages the integrand over both ends of each, `(num_steps + 1,)`.
    - "log_snr" is the trapezoidal rule in the log signal-to-noise ratio with evenly spaced nodes, `(num_steps + 1,)`.
      For a smooth integrand that vanishes at both ends it converges faster than any power of 1 / `num_steps`.

    Raises `SoftqError` for `num_steps` below 1 or an unknown rule.
    """
    one_of("rule", rule, Rule)
    t = times(schedule, num_steps, "log_sigma" if rule == "log_snr" else "time")[::-1]  # cleanest first
    log_snr = schedule.log_snr(t)
    u, rest = jax.nn.sigmoid(log_snr), jax.nn.sigmoid(-log_snr)
    widths = log_snr[:-1] - log_snr[1:] if rule == "log_snr" else rest[1:] - rest[:-1]
    element = 1.0 if rule == "log_snr" else u * rest
    # for each node the width of the interval on its noisier side, then of the interval on its cleaner side
    cleaner, noisier = jnp.append(widths, 0.0), jnp.append(0.0, widths)
    if rule == "left":
        return t[1:], u[1:], (noisier / element)[1:]
    return t, u, (cleaner + noisier) / (2 * element)
