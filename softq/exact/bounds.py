"""The price of softness, computed exactly from the volume function, and the published and the corrected bounds on it.

In one state and at one temperature, the gap Q* - E_pi[Q] of the softmax pi = exp(Q / temperature) / Z depends on Q only
through its volume function Vol. With A the volume of the box,

    gap <= theorem1      DDSQ Theorem 1 (B.3.3, step 1), with the smallest growth function that Assumption 2 admits
    gap <= free_energy   temperature * (t + log(A / Vol(t temperature))), for every Q and t >= 0
    gap <= lambert       temperature * (t + W((A / Vol(t temperature) - 1) / e)), the sharp form of `free_energy`
    gap <= doubling      a constant times the temperature and no logarithm, by Assumption 2 in the Laplace transform
    gap <= log_volume    temperature * log(A / Z), the largest loss of the log-mean-exp backup
    gap <= trivial       the gap of the uniform policy

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
    """log(A / Z) with Z = int exp(-regret / temperature) da, and the gap, by Laplace transforms of Vol.

    Integration by parts gives Z = int Vol(t u) e^-u du and gap = t int Vol(t u) (u - 1) e^-u du / Z for the temperature
    t, with u from 0 on, so that Vol(0) > 0 counts. Kinks of Vol that `volume.breaks` lacks cost some digits.
    """
    positive("temperature", temperature)
    # for larger u, Vol is the whole box and the integrals are elementary
    top = volume.breaks[-1] / temperature
    scales = np.array([0.01, 0.1, 1.0, 5.0, 20.0, 60.0])
    cuts = np.concatenate([volume.breaks / temperature, scales[scales < top]])
    u, weights = quadrature(np.append(cuts[cuts < 740], min(top, 740)))  # exp(-746) is zero
    share = weights * np.exp(-u) * volume(temperature * u) / volume.area
    z = share.sum() + np.exp(-top)
    gap = temperature * (share @ (u - 1) + top * np.exp(-top)) / z
    return -float(np.log(z)), float(gap)


def g0(volume: Volume, kappa: float) -> float:
    """The smallest growth function that DDSQ Assumption 2 admits, sup_eps Vol(kappa eps) / Vol(eps), at one kappa > 0.

    On a bounded box it is at least 1, by a large eps. It has a closed form where `volume.power` is known. Otherwise the
    largest ratio that a search finds is returned, which is at most the supremum and so can make Theorem 1 look better.
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
    for _ in range(3):  # refine the grid of 17 points around its best point, in three places at once
        points = np.linspace(low, high, 17)
        above, below = volume(np.exp(points + np.log([[[kappa]], [[1.0]]])))
        ratio = np.where(below > 0, above / np.where(below > 0, below, 1), 0)
        best = max(best, ratio.max())
        centre, step = np.take_along_axis(points, ratio.argmax(0)[None], 0)[0], points[1] - points[0]
        low, high = centre - step, centre + step
    return float(best)


def log_ratio(volume: Volume, eps: float | np.ndarray) -> np.ndarray:
    """log(A / Vol(eps)), in the shape of eps: infinite where Vol(eps) is 0, as is then every bound that uses it."""
    with np.errstate(divide="ignore"):
        return np.log(volume.area) - np.log(volume(eps))


def theorem1(
    volume: Volume, temperature: float, growth: Callable[[float], float] | None = None
) -> tuple[float, float, float]:
    """DDSQ Theorem 1 for one step: the bound temperature * (g0(kappa) + e kappa), then kappa, then g0(kappa).

    kappa = max(1, log(A / Vol(temperature))). The maximum is in the paper's proof and not in its printed formula, which
    fails without it. `growth` is a function g0 that satisfies Assumption 2; None takes the smallest, `g0`.
    """
    positive("temperature", temperature)
    kappa = max(1.0, float(log_ratio(volume, temperature)))
    factor = g0(volume, kappa) if growth is None else float(growth(kappa))
    return temperature * (factor + e * kappa), kappa, factor


def free_energy(volume: Volume, temperature: float, t: float | None = 1.0) -> float:
    """The bound temperature * (t + log(A / Vol(t temperature))) on the gap, for any t >= 0; None takes the best t."""
    return _at_best(volume, temperature, t, lambda log_ratio: log_ratio)


def lambert(volume: Volume, temperature: float, t: float | None = 1.0) -> float:
    """The bound temperature * (t + W((A / Vol(t temperature) - 1) / e)), for any t >= 0; None takes the best t.

    No bound in terms of Vol(t temperature) alone is smaller. At t = 0 two-level landscapes attain it, see `worst_case`.
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
    # every t gives a valid bound, so that a coarse search only makes the result slightly larger
    for _ in range(5):
        points = np.linspace(low, high, 17)
        inner = bound(points)
        step, centre = points[1] - points[0], points[inner.argmin()]
        lowest, low, high = min(lowest, inner.min()), max(centre - step, 0.0), centre + step
    return float(lowest)


def log_volume(volume: Volume, temperature: float) -> float:
    """temperature * log(A / Z), which is the gap + temperature * KL(softmax || uniform law)."""
    return temperature * laplace(volume, temperature)[0]


def doubling(volume: Volume, temperature: float) -> float:
    """The bound temperature * e * int_1^inf g0(k) (k - 1) e^-k dk, by DDSQ Assumption 2 in the Laplace transform.

    It has a closed form where `volume.power` is known. Otherwise Gauss-Laguerre quadrature of `g0` is returned, which
    may be below the bound, since `g0` may be below the supremum.
    """
    positive("temperature", temperature)
    p = volume.power
    if p is not None:
        upper = lambda a: gamma(a) * gammaincc(a, 1)
        return float(temperature * e * (upper(p + 2) - upper(p + 1)))
    x, weights = np.polynomial.laguerre.laggauss(16)
    return float(temperature * sum(w * y * g0(volume, 1 + y) for y, w in zip(x, weights, strict=True)))


def trivial(volume: Volume) -> float:
    """The gap of the uniform policy, Q* - E_uniform[Q]; the gap of a softmax is never larger."""
    return volume.mean_regret


def worst_case(best: float, temperature: float, area: float = 2.0) -> TwoLevel:
    """The landscape with Vol(0) = `best` that has the largest gap: regret 0 on that volume, one value elsewhere.

    With W = W((area - best) / (best e)) that value is temperature * (1 + W), and the gap is temperature * W.
    """
    positive("temperature", temperature)
    positive("best", best)
    return TwoLevel(best, temperature * (1 + float(_lambert((area / best - 1) / e))), area)


def finite_actions(num_actions: int, temperature: float) -> float:
    """The largest gap of a softmax over `num_actions` actions, temperature * W((num_actions - 1) / e).

    Some values of Q attain it. Song et al. (2019), cited in DDSQ Equation 1, give a multiple of the number of actions
    as a bound. Raises `SoftqError` for no actions or a temperature that is not positive.
    """
    positive("temperature", temperature)
    if num_actions < 1:
        raise SoftqError(f"there must be at least 1 action, got {num_actions}; count them again.")
    return temperature * float(_lambert((num_actions - 1) / e))


def lipschitz_volume(eps: float, lipschitz: float, dim: int) -> float:
    """A lower bound on Vol(eps) for every Q on [-1, 1]^dim with the Lipschitz constant `lipschitz`.

    It is the volume of one orthant of a ball of radius min(eps / lipschitz, 1): at least one such orthant around the
    best action lies in the box, even if that action is a corner.
    """
    positive("lipschitz", lipschitz)
    return float((np.sqrt(np.pi) / 2 * min(eps / lipschitz, 1.0)) ** dim / gamma(dim / 2 + 1))


def discounted(one_step: float | np.ndarray, discount: float, occupancy: np.ndarray | None = None) -> float:
    """A bound on limsup_k of Q* - T_soft^k Q_0: discount / (1 - discount) times the mean bound on one step.

    `one_step` is one bound for all states, or `(n,)` with one for each state, which may differ in temperature.
    `occupancy` `(n,)` is the normalised discounted law of the *next* states s_1, s_2, ..., without s_0, under an
    optimal policy (DDSQ Corollary 1); None takes the largest bound in place of the mean (DDSQ Theorem 1).
    """
    if not 0 <= discount < 1:
        raise SoftqError(f"discount must lie in [0, 1), got {discount:g}; use a value such as 0.99.")
    mean = np.max(one_step) if occupancy is None else np.dot(occupancy, one_step)
    return float(discount / (1 - discount) * mean)
