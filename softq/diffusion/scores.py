"""The score of a noised softmax, from values or slopes of Q at a handful of actions.

The noised softmax at signal s and noise n is p_t(a_t) ∝ int exp(Q(a) / temperature) N(a_t; s a, n^2 I) da. Seen from
a_t, the clean action is a Gaussian around a_t / s with standard deviation n / s, weighted by exp(Q / temperature)
(MaxEntDP Lemma 3.1). Three published estimates of grad log p_t, each for ONE noisy action `(d,)`:

    qsm    grad Q(a_t) / temperature                     Psenka et al. 2024; right without noise only
    idem   (1 / s) sum_i w_i grad Q(a_i) / temperature   DQS Equation 5, MaxEntDP Equation 63
    qne    (1 / n) sum_i w_i eps_i                       MaxEntDP Equation 15;   w = softmax(Q / temperature)

On all of R^d the last two have the same mean but for O(1 / num), by Stein's identity, so any theta qne + (1 - theta)
idem is an estimate as well; `combined` takes the theta that cancels their noise, exactly so if the target is Gaussian.
On the box the identity has a boundary term, which `idem` as published leaves out, and coordinate j of the score lies
between (-s - a_t) / n^2 and (s - a_t) / n^2, since it is (s E[a] - a_t) / n^2 and E[a] lies in the box. An action where
Q is not finite has weight nought.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.diffusion.truncated_normal import log_mass, truncated_normal
from softq.landscapes import ActionValue
from softq.utils.checks import positive
from softq.utils.errors import SoftqError
from softq.utils.finite import shares, tamed, weighable, working

LARGEST = 30.0  # exp(30) is beyond every score, and its square no overflow


def proposals(
    key: Array, a_t: Array, signal: Array | float, noise: Array | float, num: int, truncate: bool
) -> tuple[Array, Array]:
    """`num` clean actions around a_t / signal, and their noises eps: both `(num, d)`, a = (a_t + noise * eps) / signal.

    `truncate` restricts them to the box. This eps is *minus* the noise that made a_t (theory of Theorem 3.2).
    """
    if not truncate:
        eps = jax.random.normal(key, (num, *a_t.shape), a_t.dtype)
        return (a_t[None] + noise * eps) / signal, eps
    low, high = (-signal - a_t) / noise, (signal - a_t) / noise
    eps = truncated_normal(key, low, high, num)
    return jnp.clip((a_t[None] + noise * eps) / signal, -1.0, 1.0), eps


def qsm(
    key: Array,
    q: ActionValue,
    temperature: Array | float,
    a_t: Array,
    signal: Array | float,
    noise: Array | float,
    num: int = 1,
    truncate: bool = False,
) -> Array:
    """grad Q(a_t) / temperature, `(d,)`: the score before any noise, used at every noise level.

    Deterministic; only `q`, `temperature` and `a_t` matter, the rest is there so that all four are called alike.
    Raises `SoftqError` for a temperature that is not positive.
    """
    _check(temperature, signal, noise, num)
    a_t = working(a_t)
    _, _, slope = tamed(a_t, *jax.value_and_grad(q)(a_t))
    return slope / temperature


def idem(
    key: Array,
    q: ActionValue,
    temperature: Array | float,
    a_t: Array,
    signal: Array | float,
    noise: Array | float,
    num: int = 1000,
    truncate: bool = False,
    boundary: bool = False,
) -> Array:
    """Iterated denoising energy matching, `(d,)`: the average slope of Q / temperature over `num` weighted actions.

    Plain, for a Q on all of R^d. Deviation: with `truncate` the actions stay in the box, as in MaxEntDP's released
    code; the average then tends to something else than the score unless `boundary` adds the faces, for 2 d more
    values of Q an action. With its faces the estimate is clipped to the range that a score on the box can have, so it
    is finite for a steep Q at a low temperature too; clipping never takes it further from the score, but moves the
    mean where the noise is as wide as that range.
    Raises `SoftqError` for `boundary` without `truncate`, or a number that is not positive.
    """
    _check(temperature, signal, noise, num)
    if boundary and not truncate:
        raise SoftqError("boundary=True needs truncate=True; without walls there is no boundary term.")
    a_t = working(a_t)
    actions, _ = proposals(key, a_t, signal, noise, num, truncate)
    _, values, slopes = jax.vmap(tamed)(actions, *jax.vmap(jax.value_and_grad(q))(actions))
    logits = values / temperature
    score = shares(logits) @ slopes / (temperature * signal)
    if boundary:
        score = score - _flux(q, temperature, a_t, signal, noise, actions, logits).sum(0) / signal
        score = _possible(score, a_t, signal, noise)
    return score


def qne(
    key: Array,
    q: ActionValue,
    temperature: Array | float,
    a_t: Array,
    signal: Array | float,
    noise: Array | float,
    num: int = 500,
    truncate: bool = True,
    target: Literal["score", "noise"] = "score",
    log_z: Array | float | None = None,
) -> Array:
    """Q-weighted noise estimation, `(d,)`: no slope of Q is taken, and with `truncate` the box is respected.

    `target` "noise" gives the regression target of MaxEntDP's network, -noise * score (Equation 17; the sign is right:
    eps is minus the forward noise). With `log_z` = log E[exp(Q / temperature)] over the proposals, where it is known,
    the weights are not self-normalised and the estimate has no bias (Theorem 3.2, Equation 13).
    Raises `SoftqError` for a number that is not positive or an unknown target.
    """
    _check(temperature, signal, noise, num)
    if target not in ("score", "noise"):
        raise SoftqError(f"target must be 'score' or 'noise', got {target!r}.")
    actions, eps = proposals(key, working(a_t), signal, noise, num, truncate)
    logits = weighable(jax.vmap(q)(actions), actions) / temperature
    weights = shares(logits) if log_z is None else jnp.exp(logits - log_z) / num
    mean = weights @ eps
    return -mean if target == "noise" else mean / noise


def combined(
    key: Array,
    q: ActionValue,
    temperature: Array | float,
    a_t: Array,
    signal: Array | float,
    noise: Array | float,
    num: int = 100,
    truncate: bool = True,
    boundary: bool | None = None,
    variance: Array | float | None = None,
) -> Array:
    """theta * qne + (1 - theta) * idem from the same actions, `(d,)`: a Stein control variate.

    theta = r / (r + v) with r = (noise / signal)^2 and `variance` v, a number or `(d,)`: the variance of the softmax
    around here. For a Gaussian softmax on R^d the result is the score itself, with one action. Without v, theta is
    fitted to the sample, coordinate by coordinate, as the one of least estimated variance in [0, 1], that of the faces
    included (this needs two actions and biases the result by O(1 / num)). `boundary` is as in `idem`, clipped as
    there, and follows `truncate` by default; the result is then in the range of a score too, since `qne` always is.
    Raises `SoftqError` for a number that is not positive, or one action and no v.
    """
    _check(temperature, signal, noise, num)
    boundary = truncate if boundary is None else boundary
    if boundary and not truncate:
        raise SoftqError("boundary=True needs truncate=True; without walls there is no boundary term.")
    if variance is None and num < 2:
        raise SoftqError(f"num must be at least 2 to fit theta, got {num}; or give the variance.")
    if variance is not None:
        positive("variance", variance)
    a_t = working(a_t)
    actions, eps = proposals(key, a_t, signal, noise, num, truncate)
    _, values, slopes = jax.vmap(tamed)(actions, *jax.vmap(jax.value_and_grad(q))(actions))
    logits = values / temperature
    weights = shares(logits)[:, None]
    by_slope, by_noise = weights * slopes / (temperature * signal), weights * eps / noise  # to be summed
    if boundary:
        by_slope = by_slope - _flux(q, temperature, a_t, signal, noise, actions, logits) / signal
    if variance is None:
        theta = _least_variance(weights, by_slope, by_noise)
    else:
        ratio = (noise / signal) ** 2
        theta = ratio / (ratio + variance)
    from_slope = by_slope.sum(0)
    if boundary:
        from_slope = _possible(from_slope, a_t, signal, noise)
    return theta * by_noise.sum(0) + (1 - theta) * from_slope


def _least_variance(weights: Array, by_slope: Array, by_noise: Array) -> Array:
    """theta `(d,)` that minimises sum_i w_i^2 (f_i - f)^2, f = theta by_noise + (1 - theta) by_slope, from w_i f_i.

    Where one weight is all there is nothing to fit, and a ridge lets `by_noise` have it, whose size is bounded.
    """
    centred = lambda f: f - weights * f.sum(0)[None]
    slope, difference = centred(by_slope), centred(by_noise - by_slope)
    ridge = 1e-7 * jnp.mean(difference**2, 0) + jnp.finfo(difference.dtype).tiny
    theta = (ridge - jnp.sum(slope * difference, 0)) / (ridge + jnp.sum(difference**2, 0))
    return jnp.clip(theta, 0.0, 1.0)


def _flux(
    q: ActionValue,
    temperature: Array | float,
    a_t: Array,
    signal: Array | float,
    noise: Array | float,
    actions: Array,
    logits: Array,
) -> Array:
    """What leaves through the faces of the box: the term that integration by parts adds on a box, as the contributions
    `(num, d)` of the actions, to be summed.

    For coordinate j and the wall at 1: the truncated proposal's density there times the ratio of E exp(Q / temperature)
    with a_j put on the wall to the same with a_j where it was; minus the same for the wall at -1.
    """
    dim, spread = a_t.size, noise / signal
    low, high = (-signal - a_t) / noise, (signal - a_t) / noise
    log_total, total = log_mass(low, high), jax.nn.logsumexp(logits)
    known = total > -jnp.inf  # otherwise there is no proposal that Q can be asked about, and no flux

    def log_through(wall: float, z: Array) -> Array:
        log_density = -(z**2) / 2 - 0.5 * jnp.log(2 * jnp.pi) - jnp.log(spread) - log_total
        wall = jax.lax.optimization_barrier(
            jnp.asarray(wall, actions.dtype)
        )  # or XLA evaluates Q while compiling
        moved = jax.vmap(lambda j: actions.at[:, j].set(wall))(jnp.arange(dim))
        lifted = weighable(jax.vmap(jax.vmap(q))(moved), actions) / temperature
        return log_density[None] + lifted.T - jnp.where(known, total, 0.0)

    upper, lower = log_through(1.0, high), log_through(-1.0, low)
    larger = jnp.maximum(upper, lower)
    larger = jnp.where((larger > -jnp.inf) & known, larger, 0.0)
    # where no proposal came near a wall that is far better, the larger overflows; both would, and leave inf - inf
    flux = jnp.exp(jnp.minimum(larger, LARGEST)) * (jnp.exp(upper - larger) - jnp.exp(lower - larger))
    return jnp.where(known, flux, 0.0)


def _possible(score: Array, a_t: Array, signal: Array | float, noise: Array | float) -> Array:
    """`score` clipped to what a score on the box can be: that of a clean action at -1, and that of one at 1."""
    return jnp.clip(score, (-signal - a_t) / noise**2, (signal - a_t) / noise**2)


def _check(temperature: Array | float, signal: Array | float, noise: Array | float, num: int) -> None:
    positive("temperature", temperature)
    positive("signal", signal)
    positive("noise", noise)
    positive("num", num)


ESTIMATORS = {"qsm": qsm, "idem": idem, "qne": qne, "combined": combined}
