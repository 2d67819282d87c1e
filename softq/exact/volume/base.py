"""The interface of every volume function, and the quadrature over regrets."""

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np

from softq.utils.errors import SoftqError


class Volume(ABC):
    """A volume function: called on regrets `eps >= 0` of any shape, it returns volumes of the same shape.

    `area` is the volume of the box, and `method` says how volumes are computed. `breaks` are the increasing regrets
    where Vol may have a kink or a jump; the last one is the largest regret. `power` is the p for which
    Vol(k eps) <= k^p Vol(eps) for all k >= 1 is known and sharp, or None.
    Raises `SoftqError` for an eps that is negative or not a number.
    """

    area: float
    method: str
    breaks: np.ndarray
    power: float | None = None

    def __call__(self, eps: float | np.ndarray) -> np.ndarray:
        flat = self._checked(eps).ravel()
        return np.minimum(self._volume(flat), self.area).reshape(np.shape(eps))[()]

    def error(self, eps: float | np.ndarray) -> np.ndarray:
        """How far the volume at each eps may be off, in the shape of eps.

        It is a bound for closed forms, and for level sets on a line unless two stationary points are missed. It is one
        standard error for Monte Carlo, and an estimate for `PolarVolume`.
        """
        return self._error(self._checked(eps).ravel()).reshape(np.shape(eps))[()]

    @staticmethod
    def _checked(eps: float | np.ndarray) -> np.ndarray:
        eps = np.asarray(eps, np.float64)
        bad = ~(eps >= 0)
        if bad.any():
            raise SoftqError(
                f"a regret eps must be at least 0, got {eps[bad].flat[0]:g}; measure it downwards from the maximum."
            )
        return eps

    @abstractmethod
    def _volume(self, eps: np.ndarray) -> np.ndarray: ...

    def _error(self, eps: np.ndarray) -> np.ndarray:
        return 1e-12 * self(eps)  # the rounding error of a closed form

    @property
    def mean_regret(self) -> float:
        """Q* minus the mean of Q over the box, which is the integral of 1 - Vol(eps) / area over eps."""
        eps, weights = quadrature(self.breaks)
        return float(weights @ (1 - self(eps) / self.area))

    @cached_property
    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Increasing regrets and their volumes: `breaks` and a geometric grid over seven decades up to the largest."""
        eps = np.union1d(np.geomspace(1e-7, 1, 240) * self.breaks[-1], self.breaks)
        return eps, self(eps)


def quadrature(breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, breaks[-1]] for functions with algebraic singularities at 0 and at `breaks`.

    It is the double exponential rule (Takahasi and Mori, 1974) on each piece, which tolerates singular ends.
    """
    t = np.linspace(-3.2, 3.2, 257)
    s = np.pi / 2 * np.sinh(t)
    x, w = 1 / (1 + np.exp(-2 * s)), (t[1] - t[0]) * np.pi / 4 * np.cosh(t) / np.cosh(s) ** 2
    edges = np.unique(np.concatenate([[0.0], breaks]))
    left, width = edges[:-1, None], np.diff(edges)[:, None]
    return (left + width * x).ravel(), (width * w).ravel()
