"""The price of softness from the volume function: exactly, and the bounds on it as printed and as they should be.

One state, one temperature. The gap Q* - E_pi[Q] of the softmax pi = exp(Q / temperature) / Z depends on Q only through
Vol; with A = the volume of the box,

    gap <= theorem1      DDSQ Theorem 1 (B.3.3, step 1), with the smallest growth function that Assumption 2 admits
    gap <= free_energy   temperature * (t + log(A / Vol(t temperature))), no assumption at all
    gap <= lambert       temperature * (t + W((A / Vol(t temperature) - 1) / e)), the sharp form of the same
    gap <= doubling      Assumption 2 used well: a constant times the temperature, without a logarithm
    gap <= log_volume    temperature * log(A / Z), what the log-mean-exp backup loses at most
    gap <= trivial       acting uniformly

`discounted` turns a bound on one step into one on softmax value iteration. W is Lambert's function, W(x) exp(W(x)) = x.
"""

from collections.abc import Callable
from math import e

import numpy as np
from scipy.special import gamma, gammaincc, lambertw

from softq.exact.volume import TwoLevel, Volume, quadrature
from softq.utils.checks import positive
from softq.utils.errors import SoftqError


def laplace(volume: Volume, temperature: float) -> tuple[float, float]:
    """log(A / Z) with Z = int exp(-regret / temperature), and the gap: Laplace transforms of Vol.

    By parts, Z = int Vol(t u) e^-u du and gap = t int Vol(t u) (u - 1) e^-u du / Z (u from 0, so an atom Vol(0) > 0
    counts). As exact as the volume function; each kink of Vol that is not in `volume.breaks` costs some digits.
    """
    positive("temperature", temperature)
    top = volume.breaks[-1] / temperature  # beyond, Vol is the whole box and the rest elementary
    scales = np.array([0.01, 0.1, 1.0, 5.0, 20.0, 60.0])
    cuts = np.concatenate([volume.breaks / temperature, scales[scales < top]])
    u, weights = quadrature(np.append(cuts[cuts < 740], min(top, 740)))  # exp(-746) is zero
    share = weights * np.exp(-u) * volume(temperature * u) / volume.area
    z = share.sum() + np.exp(-top)
    gap = temperature * (share @ (u - 1) + top * np.exp(-top)) / z
    return -float(np.log(z)), float(gap)


def g0(volume: Volume, kappa: float) -> float:
    """The smallest function that Assumption 2 admits, sup over eps of Vol(kappa eps) / Vol(eps), at one kappa > 0.

    On a bounded box it is at least 1 (take eps large). Closed form where `volume.power` is known; otherwise the largest
    ratio that a search finds: a lower bound on the true supremum, so it flatters Theorem 1.
    """
    positive("kappa", kappa)
    if kappa <= 1:
        return 1.0
    if volume.power is not None:
        return float(kappa**volume.power)
    eps, vol = volume.table
    inside = np.flatnonzero(vol > 0)
    log_eps, log_vol = np.log(eps[inside]), np.log(vol[inside])
    guess = np.interp(log_eps + np.log(kappa), log_eps, log_vol) - log_vol
    best, top = 1.0, np.argsort(guess)[-3:]
    low, high = log_eps[np.maximum(top - 1, 0)], log_eps[np.minimum(top + 1, len(inside) - 1)]
    for _ in range(3):  # look closer around the best of 17 points, at three places
        points = np.linspace(low, high, 17)
        above, below = volume(np.exp(points + np.log([[[kappa]], [[1.0]]])))
        ratio = np.where(below > 0, above / np.where(below > 0, below, 1), 0)
        best = max(best, ratio.max())
        centre, step = np.take_along_axis(points, ratio.argmax(0)[None], 0)[0], points[1] - points[0]
        low, high = centre - step, centre + step
    return float(best)


def log_ratio(volume: Volume, eps: float | np.ndarray) -> np.ndarray:
    """log(A / Vol(eps)), in the shape of eps; infinite where Vol(eps) is zero, and then so is a bound that uses it."""
    with np.errstate(divide="ignore"):
        return np.log(volume.area) - np.log(volume(eps))


def theorem1(
    volume: Volume, temperature: float, growth: Callable[[float], float] | None = None
) -> tuple[float, float, float]:
    """DDSQ Theorem 1 for one step: the bound temperature * (g0(kappa) + e kappa), with kappa and g0(kappa).

    kappa = max(1, log(A / Vol(temperature))): the maximum is in the proof, not in the printed formula, and without
    it the bound fails. `growth` is a function g0 of your own that satisfies Assumption 2; by default the smallest.
    """
    positive("temperature", temperature)
    kappa = max(1.0, float(log_ratio(volume, temperature)))
    factor = g0(volume, kappa) if growth is None else float(growth(kappa))
    return temperature * (factor + e * kappa), kappa, factor


def free_energy(volume: Volume, temperature: float, t: float | None = 1.0) -> float:
    """temperature * (t + log(A / Vol(t temperature))), for any t >= 0; None takes the best t."""
    return _at_best(volume, temperature, t, lambda log_ratio: log_ratio)


def lambert(volume: Volume, temperature: float, t: float | None = 1.0) -> float:
    """temperature * (t + W((A / Vol(t temperature) - 1) / e)), for any t >= 0; None takes the best t.

    No bound that knows only Vol(t temperature) is smaller; at t = 0 two-level landscapes attain it (`worst_case`).
    """
    return _at_best(volume, temperature, t, lambda log_ratio: _lambert(np.expm1(log_ratio) / e))


def _lambert(x: float | np.ndarray) -> np.ndarray:
    finite = np.isfinite(x)
    return np.where(finite, lambertw(np.where(finite, x, 0)).real, np.inf)


def _at_best(
    volume: Volume, temperature: float, t: float | None, price: Callable[[np.ndarray], np.ndarray]
) -> float:
    positive("temperature", temperature)
    bound = lambda t: temperature * (t + price(log_ratio(volume, t * temperature)))
    if t is not None:
        if not t >= 0:
            raise SoftqError(f"t must be at least 0, got {t:g}; use t=1, or None for the best.")
        return float(bound(t))
    eps, vol = volume.table
    grid = np.append(0.0, eps / temperature)
    with np.errstate(divide="ignore"):
        values = temperature * (grid + price(np.log(volume.area) - np.log(np.append(volume(0.0), vol))))
    best = int(np.argmin(values))
    lowest, low, high = values[best], grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    for _ in range(5):  # every t gives a bound, so a search that is too coarse is only a little generous
        points = np.linspace(low, high, 17)
        inner = bound(points)
        step, centre = points[1] - points[0], points[inner.argmin()]
        lowest, low, high = min(lowest, inner.min()), max(centre - step, 0.0), centre + step
    return float(lowest)


def log_volume(volume: Volume, temperature: float) -> float:
    """temperature * log(A / Z): the gap plus temperature times the divergence of the softmax from uniform."""
    return temperature * laplace(volume, temperature)[0]


def doubling(volume: Volume, temperature: float) -> float:
    """temperature * e * int_1^inf g0(k) (k - 1) e^-k dk: Assumption 2 in the Laplace transform, and no logarithm.

    Closed form where `volume.power` is known, otherwise Gauss-Laguerre with `g0`, a lower bound on this bound.
    """
    positive("temperature", temperature)
    p = volume.power
    if p is not None:
        upper = lambda a: gamma(a) * gammaincc(a, 1)
        return float(temperature * e * (upper(p + 2) - upper(p + 1)))
    x, weights = np.polynomial.laguerre.laggauss(16)
    return float(temperature * sum(w * y * g0(volume, 1 + y) for y, w in zip(x, weights, strict=True)))


def trivial(volume: Volume) -> float:
    """What the uniform policy loses, Q* - E_uniform[Q]; no softmax loses more."""
    return volume.mean_regret


def worst_case(best: float, temperature: float, area: float = 2.0) -> TwoLevel:
    """The landscape with Vol(0) = `best` that has the largest gap of all: regret 0, or one single value.

    With W = W((area - best) / (best e)) that value is temperature * (1 + W) and the gap is temperature * W.
    """
    positive("temperature", temperature)
    positive("best", best)
    return TwoLevel(best, temperature * (1 + float(_lambert((area / best - 1) / e))), area)


def finite_actions(num_actions: int, temperature: float) -> float:
    """The largest gap of a softmax over `num_actions` actions, temperature * W((num_actions - 1) / e): attained.

    The sharp form of what Song et al. (2019), DDSQ eq. 1, bound by a multiple of the number of actions.
    """
    positive("temperature", temperature)
    if num_actions < 1:
        raise SoftqError(f"there must be at least 1 action, got {num_actions}; count them again.")
    return temperature * float(_lambert((num_actions - 1) / e))


def lipschitz_volume(eps: float, lipschitz: float, dim: int) -> float:
    """A volume that no `lipschitz`-continuous Q on [-1, 1]^dim falls below at regret eps.

    Around the best action, even in a corner, one orthant of a ball of radius min(eps / lipschitz, 1) lies in the box.
    """
    positive("lipschitz", lipschitz)
    return float((np.sqrt(np.pi) / 2 * min(eps / lipschitz, 1.0)) ** dim / gamma(dim / 2 + 1))


def discounted(one_step: float | np.ndarray, discount: float, occupancy: np.ndarray | None = None) -> float:
    """limsup of Q* - T_soft^k Q_0 from bounds on one step: discount / (1 - discount) times their mean (Corollary 1).

    `one_step` is one number for all states, or `(n,)`, one per state (each with its own temperature). `occupancy`
    `(n,)` weighs the states: the normalised discounted law of the *next* states s_1, s_2, ..., without s_0, under an
    optimal policy. Without it the worst state counts, which is Theorem 1.
    """
    if not 0 <= discount < 1:
        raise SoftqError(f"discount must lie in [0, 1), got {discount:g}; use a value such as 0.99.")
    mean = np.max(one_step) if occupancy is None else np.dot(occupancy, one_step)
    return float(discount / (1 - discount) * mean)
