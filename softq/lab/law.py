"""The exact softmax on a regular grid, as the script in the book sums it too.

Midpoints suffice for a picture; `softq.exact.boltzmann` is the quadrature to quote numbers from.
"""

import numpy as np
from scipy.special import logsumexp

from softq.exact.histograms import histogram_tv, tv_floor

CELLS = {1: 4000, 2: 120}  # a side, of the grid
BINS = {1: 40, 2: 12}  # a side, of the histogram that the total variation compares


class GridSoftmax:
    """The softmax of Q given at the midpoints of a regular grid, dim 1 or 2.

    Floats: `log_partition`, `mean_value`, `entropy` (nats); arrays: `density` at the midpoints, `bin_probabilities` of
    the histogram, `(BINS[dim],) * dim`.
    """

    def __init__(self, values: np.ndarray, temperature: float, dim: int):
        self.dim, cell = dim, 2**dim / len(values)
        logs = values / temperature
        self.log_partition = float(logsumexp(logs) + np.log(cell))
        self.density = np.exp(logs - self.log_partition)
        self.mean_value = float(self.density @ values * cell)
        self.entropy = self.log_partition - self.mean_value / temperature
        bins = BINS[dim]
        blocks = (self.density * cell).reshape((bins, CELLS[dim] // bins) * dim)
        self.bin_probabilities = blocks.sum(axis=tuple(range(1, 2 * dim, 2)))

    def tv(self, actions: np.ndarray) -> tuple[float, float]:
        """Total variation of `actions` `(n, dim)` on the bins, and what exact draws would show on average."""
        p = self.bin_probabilities
        return histogram_tv(actions, p), tv_floor(p, len(actions))


def curvature(values: np.ndarray, dim: int) -> float:
    """A typical large second derivative of Q along the axes: its 95th percentile on the grid, at least 1."""
    values = values.reshape((CELLS[dim],) * dim)
    second = [np.abs(np.diff(values, 2, axis=axis)).ravel() for axis in range(dim)]
    return _rounded(max(1.0, float(np.quantile(np.concatenate(second), 0.95)) / (2 / CELLS[dim]) ** 2))


def median_regret(values: np.ndarray) -> float:
    """How far the median of Q lies below its maximum: the scale of its temperatures."""
    return _rounded(max(float(values.max() - np.median(values)), 1e-6))


def temperatures(values: np.ndarray) -> tuple[float, float]:
    """From almost greedy to almost uniform, by the median regret."""
    return _rounded(median_regret(values) / 100), _rounded(median_regret(values) * 10)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
