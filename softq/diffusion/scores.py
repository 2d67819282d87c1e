"""The score of a noised softmax, estimated from values or slopes of Q at a few actions.

The noised softmax at signal s and noise n is p_t(a_t) ∝ int exp(Q(a) / temperature) N(a_t; s a, n^2 I) da. Given a_t,
the clean action has the law of a Gaussian around a_t / s with standard deviation n / s, weighted by
exp(Q / temperature) (MaxEntDP Lemma 3.1). Three estimates of grad log p_t are published, each for one noisy action
`(d,)`; the actions a_i = (a_t + n eps_i) / s are drawn from that Gaussian, with weights w = softmax(Q / temperature):

    qsm    grad Q(a_t) / temperature                     Psenka et al. 2024; right without noise only
    idem   (1 / s) sum_i w_i grad Q(a_i) / temperature   DQS Equation 5, MaxEntDP Equation 63
    qne    (1 / n) sum_i w_i eps_i                       MaxEntDP Equation 15

On all of R^d, `idem` and `qne` have the same mean up to O(1 / num), by Stein's identity, so that every
theta qne + (1 - theta) idem is an estimate too. `combined` takes the theta at which their noises cancel, which they do
exactly for a Gaussian softmax. `rfm` is the same with the limits of reverse flow matching (arXiv 2601.08136), which
writes theta as 1 - (s / n)^2 L. On the box the identity has a boundary term, which `idem` as published leaves out.
There coordinate j of the score, (s E[a_j] - a_t,j) / n^2, lies between (-s - a_t,j) / n^2 and (s - a_t,j) / n^2.
An action at which Q is not finite has weight zero.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.diffusion.truncated_normal import log_mass, truncated_normal
from softq.landscapes import ActionValue
from softq.utils.checks import one_of, positive
from softq.utils.errors import SoftqError
from softq.utils.finite import shares, tamed, weighable, working

Fit = Literal["between", "rfm"]
RFM_RIDGE, RFM_LIMIT = 5e-4, 3.0  # of the weight L of reverse flow matching, in its released code
MAX_LOG_FLUX = 30.0  # terms of `_flux` are cut at exp(30), above every score; its square is a float32 number
# The number of actions of one state at which Q is computed together. The hidden layers of a critic at a thousand
# actions of each state of a batch would need gigabytes, and a processor would wait for the memory.
TOGETHER = 100


def at_each(function: Callable[[Array], Any], actions: Array) -> Any:
    """The results of `function` of one action at each of `actions` `(num, d)`, with a leading axis `num`.

    More than `TOGETHER` actions are taken in turn, `TOGETHER` at a time, so that the memory does not grow with `num`.
    """
    if len(actions) <= TOGETHER:
        return jax.vmap(function)(actions)
    return jax.lax.map(function, actions, batch_size=TOGETHER)


def proposals(
    key: Array, a_t: Array, signal: Array | float, noise: Array | float, num: int, truncate: bool
) -> tuple[Array, Array]:
    """`num` clean actions a = (a_t + noise * eps) / signal with standard normal eps, and the eps: `(num, d)` each.

    `truncate` restricts the actions to the box. Each eps is *minus* the noise that turns its action into a_t, as in the
    proof of MaxEntDP Theorem 3.2.
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
    """grad Q(a_t) / temperature, `(d,)`: the score of the softmax without noise (Psenka et al. 2024), for every level.

    The result depends on `q`, `temperature` and `a_t` alone; the other arguments make the four estimators alike.
    Raises `SoftqError` for a temperature, signal, noise or num that is not positive.
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
    """Iterated denoising energy matching, `(d,)`: the mean slope of Q / temperature over `num` weighted actions.

    Without options it is DQS Equation 5, for a Q on all of R^d. Deviation: `truncate` keeps the actions in the box, as
    MaxEntDP's released code does. The mean then does not converge to the score unless `boundary` adds the integral over
    the faces of the box, for 2 d more values of Q an action. The estimate with `boundary` is clipped to the range of a
    score on the box, so that it is finite for a steep Q at a low temperature. Clipping never moves an estimate away
    from the score, but it moves their mean where the estimate's spread is as wide as the range.
    Raises `SoftqError` for `boundary` without `truncate`, or a number that is not positive.
    """
    _check(temperature, signal, noise, num)
    if boundary and not truncate:
        raise SoftqError("boundary=True needs truncate=True; without walls there is no boundary term.")
    a_t = working(a_t)
    actions, _ = proposals(key, a_t, signal, noise, num, truncate)
    _, values, slopes = jax.vmap(tamed)(actions, *at_each(jax.value_and_grad(q), actions))
    logits = values / temperature
    score = shares(logits) @ slopes / (temperature * signal)
    if boundary:
        score = score - _flux(q, temperature, a_t, signal, noise, actions, logits).sum(0) / signal
        score = _clip_to_range(score, a_t, signal, noise)
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
    """Q-weighted noise estimation (MaxEntDP Equation 15), `(d,)`: needs no slope of Q; `truncate` keeps to the box.

    `target` "noise" gives the regression target of MaxEntDP's network, -noise * score (Equation 17), whose sign is
    right since eps is minus the forward noise. Where `log_z` = log E[exp(Q / temperature)] over the proposals is known
    and given, the weights are not self-normalised and the estimate has no bias (Theorem 3.2, Equation 13).
    Raises `SoftqError` for a number that is not positive or an unknown target.
    """
    _check(temperature, signal, noise, num)
    if target not in ("score", "noise"):
        raise SoftqError(f"target must be 'score' or 'noise', got {target!r}.")
    actions, eps = proposals(key, working(a_t), signal, noise, num, truncate)
    logits = weighable(at_each(q, actions), actions) / temperature
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
    fit: Fit = "between",
) -> Array:
    """theta * qne + (1 - theta) * idem from the same actions, `(d,)`: a Stein control variate.

    theta = r / (r + v) with r = (noise / signal)^2 and v = `variance`, a number or `(d,)`: the variance of the softmax
    near a_t. For a Gaussian softmax on R^d with that variance the result is the score itself, even with one action.
    Without `variance`, each coordinate's theta is fitted to the actions so that the estimated variance of the result is
    least; this needs two actions and adds a bias of O(1 / num). With `fit` "between" it lies in [0, 1]; with "rfm" it
    is 1 - (signal / noise)^2 L with `stein_weight` L, which may be outside, as is right where Q is convex. `boundary`
    adds the faces and clips as in `idem`; None makes it follow `truncate`. The result with theta in [0, 1] then lies in
    the range of a score, since `qne` always does.
    Raises `SoftqError` for a number that is not positive, `boundary` without `truncate`, num 1 and no `variance`, or an
    unknown fit.
    """
    _check(temperature, signal, noise, num)
    boundary = truncate if boundary is None else boundary
    if boundary and not truncate:
        raise SoftqError("boundary=True needs truncate=True; without walls there is no boundary term.")
    if variance is None and num < 2:
        raise SoftqError(f"num must be at least 2 to fit theta, got {num}; or give the variance.")
    if variance is not None:
        positive("variance", variance)
    one_of("fit", fit, Fit)
    a_t = working(a_t)
    actions, eps = proposals(key, a_t, signal, noise, num, truncate)
    _, values, slopes = jax.vmap(tamed)(actions, *at_each(jax.value_and_grad(q), actions))
    logits = values / temperature
    weights = shares(logits)[:, None]
    # the weighted terms of `idem` and of `qne`, whose sums over the actions are the two estimates
    by_slope, by_noise = weights * slopes / (temperature * signal), weights * eps / noise
    if boundary:
        by_slope = by_slope - _flux(q, temperature, a_t, signal, noise, actions, logits) / signal
    ratio = (noise / signal) ** 2
    if variance is not None:
        theta = ratio / (ratio + variance)
    elif fit == "between":
        theta = _least_variance(weights, by_slope, by_noise)
    else:
        theta = 1 - stein_weight(weights, weights * actions, signal * (by_slope - by_noise)) / ratio
    from_slope = by_slope.sum(0)
    if boundary:
        from_slope = _clip_to_range(from_slope, a_t, signal, noise)
    return theta * by_noise.sum(0) + (1 - theta) * from_slope


def stein_weight(weights: Array, actions: Array, scores: Array) -> Array:
    """Reverse flow matching's weight L `(d,)`, in squared units of an action, of a control variate in a mean action.

    The mean of the clean action given a_t is estimated by sum_i w_i a_i + L sum_i w_i s_i. There s_i is the gradient of
    the log-density of the clean action given a_t, whose mean is 0. L makes the estimated variance least; its clip and
    its ridge are the released code's. For a Gaussian softmax L is the variance of the clean action given a_t, and every
    term is then the mean itself. `weights` are the w_i `(num, 1)`; `actions` and `scores` are the terms w_i a_i and
    w_i s_i, `(num, d)`.
    """
    centred = lambda f: f - weights * f.sum(0)[None]
    actions, scores = centred(actions), centred(scores)
    weight = -jnp.sum(actions * scores, 0) / (jnp.sum(scores**2, 0) + RFM_RIDGE)
    return jnp.clip(weight, -RFM_LIMIT, RFM_LIMIT)


def _least_variance(weights: Array, by_slope: Array, by_noise: Array) -> Array:
    """The theta `(d,)` in [0, 1] that minimises sum_i w_i^2 (f_i - f)^2, where f = theta qne + (1 - theta) idem.

    `by_slope` and `by_noise` are the terms w_i f_i of the two estimates, `weights` the w_i, all with a leading axis i.
    If one weight is 1 and the others 0, a small ridge makes theta 1: `qne` is bounded and `idem` is not.
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
    """The boundary term of Stein's identity on the box: contributions `(num, d)` of the actions, still to be summed.

    For coordinate j and the wall at 1 it is the density of the truncated proposal on the wall times the ratio of
    E[exp(Q / temperature)] with a_j moved onto the wall to E[exp(Q / temperature)]. The wall at -1 has a minus sign.
    """
    dim, spread = a_t.size, noise / signal
    low, high = (-signal - a_t) / noise, (signal - a_t) / noise
    log_total, total = log_mass(low, high), jax.nn.logsumexp(logits)
    known = total > -jnp.inf  # False if Q is finite at no proposal; the flux is then 0

    def log_through(wall: float, z: Array) -> Array:
        log_density = -(z**2) / 2 - 0.5 * jnp.log(2 * jnp.pi) - jnp.log(spread) - log_total
        # the barrier keeps XLA from evaluating Q on the wall, a constant, while it compiles
        wall = jax.lax.optimization_barrier(jnp.asarray(wall, actions.dtype))
        moved = jax.vmap(lambda j: actions.at[:, j].set(wall))(jnp.arange(dim))
        lifted = weighable(jax.vmap(partial(at_each, q))(moved), actions) / temperature
        return log_density[None] + lifted.T - jnp.where(known, total, 0.0)

    upper, lower = log_through(1.0, high), log_through(-1.0, low)
    larger = jnp.maximum(upper, lower)
    larger = jnp.where((larger > -jnp.inf) & known, larger, 0.0)
    # exp(larger) overflows if no proposal came near a wall where Q is far higher; inf - inf would then be not a number
    flux = jnp.exp(jnp.minimum(larger, MAX_LOG_FLUX)) * (jnp.exp(upper - larger) - jnp.exp(lower - larger))
    return jnp.where(known, flux, 0.0)


def _clip_to_range(score: Array, a_t: Array, signal: Array | float, noise: Array | float) -> Array:
    """`score` clipped to the range of a score on the box: from that of a clean action at -1 to that of one at 1."""
    return jnp.clip(score, (-signal - a_t) / noise**2, (signal - a_t) / noise**2)


def _check(temperature: Array | float, signal: Array | float, noise: Array | float, num: int) -> None:
    positive("temperature", temperature)
    positive("signal", signal)
    positive("noise", noise)
    positive("num", num)


rfm = partial(combined, fit="rfm")
SCORE_ESTIMATORS = {"qsm": qsm, "idem": idem, "qne": qne, "combined": combined, "rfm": rfm}
