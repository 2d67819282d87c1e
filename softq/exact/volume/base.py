"""What every volume function does, and the quadrature over regrets."""

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np

from softq.utils.errors import SoftqError


class Volume(ABC):
    """Call it on regrets `eps >= 0` of any shape to get volumes of the same shape.

    `area` is the volume of the box, `method` says how volumes are found, `breaks` are the regrets where Vol may
    have a kink or a jump, the last of them the largest regret; `power` is p where Vol(k eps) <= k^p Vol(eps) for all
    k >= 1 is known and sharp, else None. Raises `SoftqError` for a negative or undefined eps.
    """

    area: float
    method: str
    breaks: np.ndarray
    power: float | None = None

    def __call__(self, eps: float | np.ndarray) -> np.ndarray:
        flat = self._checked(eps).ravel()
        return np.minimum(self._volume(flat), self.area).reshape(np.shape(eps))[()]

    def error(self, eps: float | np.ndarray) -> np.ndarray:
        """How far `self(eps)` may be off, in the same shape.

        A bound for closed forms, and for roots on a line if no two stationary points are missed; one standard error
        for Monte Carlo; for `PolarVolume` an estimate, three times the change when rays and radii are halved.
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
        return 1e-12 * self(eps)  # closed forms: rounding

    @property
    def mean_regret(self) -> float:
        """Q* minus the average of Q over the box: the integral of 1 - Vol / area."""
        eps, weights = quadrature(self.breaks)
        return float(weights @ (1 - self(eps) / self.area))

    @cached_property
    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Regrets from 1e-7 of the largest one up to it, evenly in the logarithm and at `breaks`, and their volumes."""
        eps = np.union1d(np.geomspace(1e-7, 1, 240) * self.breaks[-1], self.breaks)
        return eps, self(eps)


def quadrature(breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, breaks[-1]] for functions with algebraic singularities at 0 and at `breaks`.

    The double exponential rule (Takahasi and Mori, 1974) on each piece: it does not mind what happens at the ends.
    """
    t = np.linspace(-3.2, 3.2, 257)
    s = np.pi / 2 * np.sinh(t)
    x, w = 1 / (1 + np.exp(-2 * s)), (t[1] - t[0]) * np.pi / 4 * np.cosh(t) / np.cosh(s) ** 2
    edges = np.unique(np.concatenate([[0.0], breaks]))
    left, width = edges[:-1, None], np.diff(edges)[:, None]
    return (left + width * x).ravel(), (width * w).ravel()
