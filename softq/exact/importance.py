"""The exact law of self-normalised importance sampling: of the action that one resampling of m uniform actions returns.

Every result depends only on the law under q of W = p / q, the density ratio of the softmax p to the uniform proposal q.
The density omega_m of the returned action follows from 1/S = int_0^inf exp(-t S) dt:

    omega_m / p = m int_0^inf exp(-t W) phi(t)^(m-1) dt,     phi(t) = E_q exp(-t W),

The mean of every self-normalised estimate and each sweep of iterated resampling follow in the same way. The integrals
are trapezoidal sums in log t in float64, which converge exponentially.

A continuous law is kept as masses on a uniform grid of log W that integrate every polynomial of degree 7 exactly
(Lagrange weights). This is right to about 1e-12 for a function that is smooth on the scale of the grid. The integrand
of a distance has a kink where omega_m = p, which a kernel with seven vanishing moments rounds off on the scale of
`width`. The result is right where the law of W is smooth on that scale, but not at a plateau, a ridge or the top of a
second hill. A plain sum over the nodes of the quadrature, which keeps the kink, detects this and then replaces it.
"""

from collections.abc import Callable
from functools import cached_property
from math import factorial

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq
from scipy.special import ndtr

from softq.exact.boltzmann import Boltzmann
from softq.utils.checks import positive
from softq.utils.errors import SoftqError

LOG_W_FLOOR = -80.0  # smaller values of log W are set to this one; p has no mass there
LOG_T_STEP = 0.25  # step of the trapezoidal rule in log t, whose error is then about exp(-39)
LAGRANGE_OFFSETS = np.arange(-3, 5)  # the eight grid points, seen from a mass's cell, that share the mass
KINK_WIDTH = 5  # width of the rounded kink, in grid steps
TRUST_FACTOR = 3.0  # assumed error of the plain sum, over its largest change when the panels are halved


class Importance:
    """The law of W = p / q under q, given by nodes `log_w` `(n,)`, in any order, with probabilities `q_mass` `(n,)`.

    With `width` 0 the nodes are atoms, as for a finite set of actions; `Importance.of` and `Importance.separable` build
    continuous laws. `log_w_max` is the supremum of log W where no node attains it.
    Attributes: `variance` = Var_q W, so that E_p W = 1 + variance, and `w_max`, the supremum of W.
    Raises `SoftqError` if the masses do not sum to 1 or E_q W is not 1.
    """

    def __init__(
        self, log_w: np.ndarray, q_mass: np.ndarray, log_w_max: float | None = None, width: float = 0.0
    ):
        self.log_w, self.q_mass, self.width = np.asarray(log_w, float), np.asarray(q_mass, float), width
        self.p_mass = np.exp(self.log_w) * self.q_mass
        for name, total in (("q_mass", self.q_mass.sum()), ("E_q[W]", self.p_mass.sum())):
            if not abs(total - 1) < 1e-6:
                raise SoftqError(f"{name} sums to {total:.6g}, expected 1; normalise the law of W first.")
        # for the plain sums of a continuous law: sorted log W and masses of p, of a fine and a coarse quadrature
        self._plain: list[tuple[np.ndarray, np.ndarray]] = []
        self.w_max = float(np.exp(self.log_w.max() if log_w_max is None else log_w_max))
        self.variance = float(self.p_mass @ np.expm1(self.log_w))

    @classmethod
    def of(cls, law: Boltzmann) -> "Importance":
        """The law of W for the softmax `law` in one or two dimensions, with the uniform law as the proposal.

        Results without a kink are as accurate as `law.error` says. Distances have a kink; at a low temperature they
        need more panels than the default of `Boltzmann`: `panels=12800` in 1-D, 128 or more in 2-D.
        """

        def plain(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            log_w = np.sort(log_w_of(values))  # a spline is evaluated faster at sorted points
            return log_w, np.exp(log_w) * weights[np.argsort(values)] / 2**law.dim

        log_w_of = lambda values: values / law.temperature - law.log_partition + law.dim * np.log(2)
        top, log_w = log_w_of(law.maximum), log_w_of(law.values)
        one = cls._continuous(top - log_w, law.weights / 2**law.dim, top, 1, 0.005 if law.dim == 1 else 0.02)
        if one.width:
            one._plain = [plain(law.values, law.weights), plain(*law.coarse)]
        return one

    @classmethod
    def separable(cls, q: Callable, temperature: float, dim: int) -> "Importance":
        """The law of W for the softmax of sum_i q(a_i) on [-1, 1]^dim, with a landscape `q` of one coordinate.

        The regret is a sum of `dim` independent terms, so its law is a convolution of `dim` equal laws. Above one
        dimension no plain sum checks the rounded kink.
        """
        positive("dim", dim)
        law = Boltzmann(q, temperature, dim=1, panels=3200)
        if dim == 1:
            return cls.of(law)
        x = (law.maximum - law.values) / temperature
        top = -dim * float(np.log(law.weights / 2 @ np.exp(-x)))
        return cls._continuous(x, law.weights / 2, top, dim, 0.02)

    @classmethod
    def _continuous(cls, x: np.ndarray, mass: np.ndarray, top: float, dim: int, step: float) -> "Importance":
        """The law from nodes `x` = log W_max - log W of one coordinate (regret over temperature) with their masses.

        `top` is log W_max of all `dim` coordinates, and `step` the largest step of the grid of log W.
        """
        if np.ptp(x) < 1e-9:
            return cls(np.zeros(1), np.ones(1))
        step = min(step, dim * np.ptp(x) / 400)
        cells = int((top - LOG_W_FLOOR) / step)
        # all the mass below LOG_W_FLOOR goes into one last cell
        fold = lambda total: np.append(total[:cells], total[cells:].sum())
        one = total = fold(masses_on_grid(np.maximum(x, 0) / step, mass))
        for _ in range(dim - 1):
            total = fold(np.convolve(total, one))
        log_w = top - step * (np.arange(len(total)) + dim * LAGRANGE_OFFSETS[0])
        return cls(log_w[::-1], total[::-1], top, width=KINK_WIDTH * step)

    # The Laplace transform phi of the law of W, on a grid of t

    @cached_property
    def _t(self) -> np.ndarray:
        return np.exp(np.arange(-80.0, min(np.log(750) - self.log_w.min(), 600), LOG_T_STEP))

    @cached_property
    def _decay(self) -> np.ndarray:
        """exp(-t W), one row for each t of the grid and one column for each node."""
        return np.exp(-np.outer(self._t, np.exp(self.log_w)))

    @cached_property
    def _log_phi(self) -> np.ndarray:
        """log phi(t) at each t of the grid, computed from 1 - phi where phi is near 1, since it is multiplied by m."""
        phi = np.clip(self._decay @ self.q_mass, 1e-300, 1)
        loss = -np.expm1(-np.outer(self._t[phi > 0.5], np.exp(self.log_w))) @ self.q_mass
        return np.concatenate([np.log1p(-loss), np.log(phi[phi <= 0.5])])

    def _laplace(self, power: float, factor: np.ndarray | float = 1.0) -> np.ndarray:
        """The integral over t of exp(-t W) phi(t)^power factor(t), at each node, `(n,)`."""
        return (LOG_T_STEP * self._t * np.exp(power * self._log_phi) * factor) @ self._decay

    def _mean_positive_part(self, g: np.ndarray) -> float:
        """E_p[max(g(W), 0)] for a smooth function g, given by its values `(n,)` at the nodes."""
        if self.width == 0:
            return float(self.p_mass @ np.maximum(g, 0))
        sign = np.sign(g)
        chosen = np.full(len(g), float(sign[0] > 0))  # becomes the indicator of g > 0 with smooth jumps
        for i in np.flatnonzero(sign[1:] * sign[:-1] < 0):
            near = slice(max(i - 3, 0), i + 5)
            root = brentq(CubicSpline(self.log_w[near], g[near]), *self.log_w[i : i + 2], xtol=1e-14)
            chosen += sign[i + 1] * smooth_step((self.log_w - root) / self.width)
        smooth = float(self.p_mass @ (g * chosen))
        if not self._plain:
            return smooth
        rise = np.abs(np.diff(g))[sign[1:] * sign[:-1] < 0].max(initial=0.0)
        by_log_w = CubicSpline(self.log_w, g)
        # plain sums with the kink in its place, and with the kink moved by one and two grid steps to either side
        fine, coarse = (
            np.array([p_mass @ np.maximum(at_node + shift * rise, 0) for shift in (0, -2, -1, 1, 2)])
            for log_w, p_mass in self._plain
            for at_node in [by_log_w(np.maximum(log_w, self.log_w[0]))]
        )
        plain_error = TRUST_FACTOR * np.abs(fine - coarse).max()
        return smooth if abs(smooth - fine[0]) <= plain_error else float(fine[0])

    # The law omega_m of the returned action

    def ratio(self, num_candidates: int, log_w: np.ndarray | None = None) -> np.ndarray:
        """omega_m / p at the nodes `(n,)`, or at any `log_w` `(k,)`. It decreases in W: peaks get too little mass."""
        positive("num_candidates", num_candidates)
        if log_w is None:
            return num_candidates * self._laplace(num_candidates - 1)
        weights = num_candidates * LOG_T_STEP * self._t * np.exp((num_candidates - 1) * self._log_phi)
        return weights @ np.exp(-np.outer(self._t, np.exp(log_w)))

    def tv(self, num_candidates: int) -> float:
        """Total variation between omega_m and p, in [0, 1]."""
        return self._mean_positive_part(1 - self.ratio(num_candidates))

    def kl(self, num_candidates: int) -> float:
        """KL(p || omega_m), in nats."""
        return float(-self.p_mass @ np.log(self.ratio(num_candidates)))

    def ess(self, num_candidates: int) -> float:
        """Effective sample size of m weighted candidates: m / E_q[W^2]."""
        return num_candidates / (1 + self.variance)

    # Bounds that hold, by Jensen's inequality

    def jensen(self, num_candidates: int) -> float:
        """E_p[max(W - 1, 0) / (W + m - 1)], an upper bound on `tv`."""
        return self._mean_positive_part(np.expm1(self.log_w) / (np.exp(self.log_w) + (num_candidates - 1)))

    def variance_bound(self, num_candidates: int) -> float:
        """(Var_q W + 1/4) / m, an upper bound on `jensen`."""
        return (self.variance + 0.25) / num_candidates

    def kl_bound(self, num_candidates: int) -> float:
        """log(1 + Var_q W / m), an upper bound on `kl`, in nats."""
        return float(np.log1p(self.variance / num_candidates))

    # Bounds as printed in DDSQ (B.3.5)

    @cached_property
    def distortion(self) -> float:
        """E_p |1 - W|, a term of Lemma 3."""
        return 2 * self._mean_positive_part(np.expm1(self.log_w)) - self.variance

    def lemma2(self, num_candidates: int) -> np.ndarray:
        """DDSQ Lemma 2 divided by p: a bound on |omega_m / p - 1| at the nodes, `(n,)`, for m >= 2."""
        m, w = _at_least_two(num_candidates), np.exp(self.log_w)
        bad_event = 2 * m * (1 + self.w_max) / w * np.exp(-(m - 1) / (2 * self.w_max**2))
        return 2 * ((np.abs(1 - w) + self.variance) / (m - 1) + bad_event)

    def lemma3(self, num_candidates: int) -> float:
        """DDSQ Lemma 3, a valid upper bound on `tv` for m >= 2: at least half of the mean of `lemma2` under p."""
        m = _at_least_two(num_candidates)
        bad_event = 2 * m * (1 + self.w_max) * np.exp(-(m - 1) / (2 * self.w_max**2))
        return (self.distortion + self.variance) / (m - 1) + bad_event

    def theorem2(self, num_candidates: int) -> float:
        """DDSQ Theorem 2 as printed, with the constant 1, for m >= 2: not a bound on `tv`, whatever the constant."""
        m = _at_least_two(num_candidates)
        return self.variance / (m - 1) + m * self.w_max * np.exp(-(m - 1) / self.w_max**2)

    def candidates_for(self, target: float, bound: str = "tv") -> int:
        """The smallest m at which the method named `bound` is at most `target`, by doubling and bisection.

        `bound` must stay below `target` once it is there. This is proved for `jensen`, `variance_bound` and `kl_bound`,
        and has been observed for the other methods.
        Raises `SoftqError` if more than 1e15 candidates are needed or `target` is not positive.
        """
        positive("target", target)
        measure, high = getattr(self, bound), 2
        if bound in ("tv", "kl", "jensen") and measure(1) <= target:
            return 1
        while measure(high) > target:
            high *= 2
            if high > 1e15:
                raise SoftqError(f"no m below 1e15 brings {bound} to {target:g}; ask for a larger distance.")
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if measure(middle) <= target else (middle, high)
        return high

    # Iterated resampling (softq.samplers.isir): its law after each sweep, as a density ratio f to p

    def sweep(self, num_candidates: int, f: np.ndarray, times: int = 1) -> np.ndarray:
        """The density ratio to p at the nodes, `(n,)`, after `times` sweeps from the density ratio `f`, m >= 2."""
        m = _at_least_two(num_candidates)
        stay = np.exp(self.log_w) * self._laplace(m - 1)
        for _ in range(times):
            f = f * stay + (m - 1) * self._laplace(m - 2, self._decay @ (self.p_mass * f))
        return f

    def isir(self, num_candidates: int, sweeps: int) -> np.ndarray:
        """Total variation to p after 0, 1, ..., `sweeps` sweeps from one SNIS draw, `(sweeps + 1,)`, for m >= 2."""
        f = self.ratio(_at_least_two(num_candidates))
        distances = [self._mean_positive_part(1 - f)]
        for _ in range(sweeps):
            f = self.sweep(num_candidates, f)
            distances.append(self._mean_positive_part(1 - f))
        return np.array(distances)

    def invariance_error(self, num_candidates: int) -> float:
        """Total variation between p and the law after one sweep from p: zero except for rounding."""
        change = self.sweep(_at_least_two(num_candidates), np.ones_like(self.log_w)) - 1
        return float(np.abs(self.p_mass * change).sum() / 2)

    def isir_rate(self, num_candidates: int) -> float:
        """1 - (m - 1) / (2 W_max + m - 2), the most by which a sweep multiplies the distance (Andrieu et al. 2018)."""
        return 1 - (num_candidates - 1) / (2 * self.w_max + num_candidates - 2)

    # Means of the estimators that share one set of candidates (DDSQ B.3.4, SQL Equation 10)

    def log_mean_bias(self, num_candidates: int) -> float:
        """E[log(mean of m weights)], the bias of log Z in nats; times the temperature, that of SQL's soft value."""
        log_phi, t = self._log_phi, self._t
        # e^-t - phi^m as a difference of e^-t - 1 and phi^m - 1, since it is of second order at small t
        integrand = np.expm1(-t) - np.expm1(num_candidates * log_phi)
        return float(LOG_T_STEP * integrand.sum() - np.log(num_candidates))

    def entropy_bias(self, num_candidates: int) -> float:
        """Exact bias, in nats, of DDSQ's entropy estimate (`softq.samplers.entropy.snis_entropy`)."""
        tilt = self.p_mass @ (self.log_w * (self.ratio(num_candidates) - 1))
        return float(self.log_mean_bias(num_candidates) - tilt)


def entropy_floor(dim: int, num_candidates: int) -> float:
    """The smallest value, in nats, that DDSQ's entropy estimate can take on [-1, 1]^dim: dim log 2 - log m."""
    return dim * float(np.log(2)) - float(np.log(num_candidates))


def _at_least_two(num_candidates: int) -> int:
    if num_candidates < 2:
        raise SoftqError(
            f"num_candidates must be at least 2 here, got {num_candidates}; with 1 the law is uniform."
        )
    return num_candidates


def masses_on_grid(x: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Masses at points `x` >= 0 shared among the integers so that all moments up to degree 7 are kept.

    Entry 0 of the result is the mass at the integer LAGRANGE_OFFSETS[0].
    """
    cell = np.floor(x).astype(int)
    size = cell.max() + len(LAGRANGE_OFFSETS)
    total = np.zeros(size)
    for offset in LAGRANGE_OFFSETS:
        share = mass
        for other in np.delete(LAGRANGE_OFFSETS, offset - LAGRANGE_OFFSETS[0]):
            share = share * ((x - cell - other) / (offset - other))
        total = total + np.bincount(cell + offset - LAGRANGE_OFFSETS[0], share, size)
    return total


def smooth_step(z: np.ndarray, order: int = 4) -> np.ndarray:
    """A smooth step from 0 to 1 at z = 0 whose difference from the sharp step has 2 `order` - 1 vanishing moments.

    It is (sum_{j < order} (-D^2 / 2)^j / j!) ndtr, with D the derivative: the normal distribution function without the
    first terms of its blur.
    """
    he = np.polynomial.hermite_e.HermiteE
    polynomial = sum((he.basis(2 * j - 1) * ((-0.5) ** j / factorial(j)) for j in range(1, order)), he([0.0]))
    return ndtr(z) - polynomial(z) * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
