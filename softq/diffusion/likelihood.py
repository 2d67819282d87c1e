"""log pi(a) of a diffusion policy, from how well its network predicts the noise that is put on a.

MaxEntDP Theorem 3.5: with u = signal^2 in a variance-preserving schedule and mse(u) = E |eps - eps_phi(a_t)|^2,

    log pi(a) = -(d / 2) log(2 pi e) + (1 / 2) int_0^1 (d u - mse(u)) / (u (1 - u)) du       (Equation 65)

if the network is the noise of one and the same density at every level. du / (u (1 - u)) is the element of the log
signal-to-noise ratio. The sum that replaces the integral matters, and so does the noise of mse(u).
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

    `rule` says how `num_steps` cells make an integral: see `quadrature`. "left" is Equation 66 as printed, and flattens
    the density. `paired` draws noises in pairs +eps, -eps and subtracts u^2 (|eps|^2 - d), whose mean is 0: no bias,
    and without it "trapezoid" is useless, since it multiplies the error of mse(u) by 1 / (1 - u) at the cleanest level.
    Deviation: the released code clips the clean action that a prediction implies to the box and recomputes the noise
    (`clip_x0`); what results is the noise of no density.
    Raises `SoftqError` for no steps, no noises, an odd number of paired noises, or an unknown rule.
    """
    positive("num_noises", num_noises)
    if paired and num_noises % 2:
        raise SoftqError(f"num_noises must be even when paired, got {num_noises}; add one.")
    a0 = working(a0)
    t, u, weights = quadrature(schedule, num_steps, rule)
    dim = a0.size
    eps = jax.random.normal(key, (len(t), num_noises // (2 if paired else 1), dim), a0.dtype)

    def mean_square(t: Array, u: Array, eps: Array) -> Array:
        """mse(u) at one level."""
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


def beyond(a0: Array, largest: float | Array) -> Array:
    """What the noise beyond the standard deviation `largest` adds to log pi(a0) where no schedule ends in pure noise.

    A variance-exploding sampler starts from N(0, largest^2 I) as if that were the noised law: with that law's network
    the rest of the integral has a closed form. For a normal law of variance u * largest^2 it is too low by
    (u - log(1 + u)) / 2 nats a coordinate.
    """
    snr = largest**-2
    return (a0.size * jnp.log1p(snr) - snr * jnp.sum(a0**2)) / 2


def quadrature(schedule: Schedule, num_steps: int, rule: Rule) -> tuple[Array, Array, Array]:
    """Times, u, and the weight of d u - mse(u) at each node: the integral as a sum over `num_steps` cells.

    "left": nodes even in t, each cell by its noisier end (the left one in u), so the cleanest node has no weight and is
    left out, `(num_steps,)` (Equation 66). "trapezoid": both ends, `(num_steps + 1,)`. "log_snr": nodes even in the
    log signal-to-noise ratio and the trapezoid in it; for a smooth function that dies out at both ends this rule
    converges faster than any power of the number of cells. Raises `SoftqError` for no steps or an unknown rule.
    """
    one_of("rule", rule, Rule)
    t = times(schedule, num_steps, "log_sigma" if rule == "log_snr" else "time")[::-1]  # cleanest first
    log_snr = schedule.log_snr(t)
    u, rest = jax.nn.sigmoid(log_snr), jax.nn.sigmoid(-log_snr)
    widths = log_snr[:-1] - log_snr[1:] if rule == "log_snr" else rest[1:] - rest[:-1]
    element = 1.0 if rule == "log_snr" else u * rest
    cleaner, noisier = (
        jnp.append(widths, 0.0),
        jnp.append(0.0, widths),
    )  # the cell of which a node is that end
    if rule == "left":
        return t[1:], u[1:], (noisier / element)[1:]
    return t, u, (cleaner + noisier) / (2 * element)
