"""Volume functions in closed form: powers in any dimension, and the two-level worst case."""

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import gamma

from softq.exact.volume.base import Volume, quadrature
from softq.utils.checks import positive
from softq.utils.errors import SoftqError

# Pieces that were fitted before, by power and number of coordinates: a larger box needs those of all smaller ones.
FITTED: dict[float, dict[int, list[np.ndarray]]] = {}


class PowerVolume(Volume):
    """The volume function of -scale * sum_i |a_i|^p in any dimension.

    For eps <= scale the set of actions is a ball of the p-norm inside the box, with Dirichlet's volume
    2^d Gamma(1 + 1/p)^d / Gamma(1 + d/p) * (eps / scale)^(d/p). For a larger eps the walls cut the ball, and one
    coordinate after another is integrated numerically, with an error of about 1e-13 of the box.
    Raises `SoftqError` for a scale or p that is not positive, or dim below 1.
    """

    def __init__(self, scale: float, p: float, dim: int):
        positive("scale", scale)
        positive("p", p)
        if dim < 1:
            raise SoftqError(f"a box needs dim >= 1, got {dim}; give the number of action coordinates.")
        self.scale, self.p, self.dim, self.power = float(scale), float(p), int(dim), dim / p
        self.area, self.method = 2.0**dim, "closed form"
        self._pieces: dict[int, list[np.ndarray]] | None = None
        self.breaks = scale * np.arange(1, dim + 1.0)

    @property
    def mean_regret(self) -> float:
        return self.dim * self.scale / (self.p + 1)

    def _volume(self, eps: np.ndarray) -> np.ndarray:
        t = eps / self.scale
        if self.dim > 1 and self._pieces is None and (t > 1).any():
            self._pieces = FITTED.setdefault(self.p, {1: []})
            for m in range(len(self._pieces) + 1, self.dim + 1):
                self._pieces[m] = self._fit(m)
        return self.area * self._fraction(t, self.dim)

    def _error(self, eps: np.ndarray) -> np.ndarray:
        return 1e-12 * self(eps) + np.where((eps > self.scale) & (self.dim > 1), 1e-13 * self.area, 0)

    def _ball(self, t: np.ndarray, m: int) -> np.ndarray:
        return gamma(1 + 1 / self.p) ** m / gamma(1 + m / self.p) * t ** (m / self.p)

    def _fraction(self, t: np.ndarray, m: int) -> np.ndarray:
        """P(|a_1|^p + ... + |a_m|^p <= t) for uniform actions: a ball up to t = 1, fitted polynomials up to t = m."""
        value = np.where(t >= m, 1.0, self._ball(np.clip(t, 0, 1), m))
        for j, coefficients in enumerate(self._pieces[m] if m > 1 and self._pieces else [], start=1):
            here = (t >= j) & (t < j + 1)
            value[here] = chebyshev.chebval(2 * (t[here] - j) ** 0.25 - 1, coefficients)
        return value

    def _fit(self, m: int, degree: int = 48) -> list[np.ndarray]:
        """Chebyshev coefficients of `_fraction` on [j, j + 1] for j = 1, ..., m - 1, as polynomials in (t - j)^(1/4).

        In this variable the singularity (t - j)^(j + (m - j)/p) is smooth enough for a polynomial.
        """
        y = (chebyshev.chebpts1(degree + 1) + 1) / 2
        w, weights = quadrature(np.array([1.0]))
        pieces = []
        for j in range(1, m):
            t = (j + y**4)[:, None]
            # the integral over |a_m| is cut where t - |a_m|^p = j, a singularity of the law of the other coordinates
            cut = y[:, None] ** (4 / self.p)
            inner = self._fraction(t - (cut * w) ** self.p, m - 1) @ weights * cut[:, 0]
            outer = self._fraction(t - (cut + (1 - cut) * w) ** self.p, m - 1) @ weights * (1 - cut[:, 0])
            pieces.append(chebyshev.chebfit(2 * y - 1, inner + outer, degree))
        return pieces


class TwoLevel(Volume):
    """The volume function of a Q with regret 0 on a set of volume `best` and regret `drop` on the rest of the box.

    It is the worst case of `softq.exact.bounds`. Raises `SoftqError` unless 0 < best < area and drop > 0.
    """

    def __init__(self, best: float, drop: float, area: float = 2.0):
        positive("best", best)
        positive("drop", drop)
        if not best < area:
            raise SoftqError(f"best must be below the volume of the box, {area:g}, got {best:g}; shrink it.")
        self.best, self.drop, self.area = float(best), float(drop), float(area)
        self.method, self.breaks = "closed form", np.array([drop], np.float64)

    @property
    def mean_regret(self) -> float:
        return self.drop * (1 - self.best / self.area)

    def _volume(self, eps: np.ndarray) -> np.ndarray:
        return np.where(eps < self.drop, self.best, self.area)
