"""The softmax on a regular grid by the midpoint rule, as the script of the page computes it too.

The rule is exact enough for a picture. Numbers to quote come from `softq.exact.boltzmann`, whose quadrature is finer.
"""

import numpy as np
from scipy.special import logsumexp

from softq.exact.histograms import histogram_tv, tv_floor

# by the dimension of actions: the cells of the grid along a side, and the bins along a side of the histogram in which
# the total variation is measured
CELLS = {1: 4000, 2: 120}
BINS = {1: 40, 2: 12}


class GridSoftmax:
    """The softmax of the `values` `(CELLS[dim] ** dim,)` of Q at the midpoints of a regular grid, dim 1 or 2.

    `log_partition` and `entropy` are in nats and `mean_value` is the mean of Q. `density` `(CELLS[dim] ** dim,)` is at
    the midpoints, and `bin_probabilities` `(BINS[dim],) * dim` are those of the bins of the histogram.
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

    def draw(self, uniforms: np.ndarray) -> np.ndarray:
        """Actions `(n, dim)` by the inverse of the distribution function, from `uniforms` `(n, dim)` in [0, 1)."""
        side = round(self.density.size ** (1 / self.dim))
        mass = self.density.reshape((side,) * self.dim)
        if self.dim == 1:
            return _invert(mass, uniforms[:, 0])[:, None]
        first = _invert(mass.sum(1), uniforms[:, 0])
        column = np.minimum(((first + 1) / 2 * side).astype(int), side - 1)
        second = [_invert(mass[i], uniforms[k : k + 1, 1])[0] for k, i in enumerate(column)]
        return np.stack([first, second], -1)

    def tv(self, actions: np.ndarray) -> tuple[float, float]:
        """The total variation of `actions` `(n, dim)` on the bins, and its mean for as many exact draws."""
        p = self.bin_probabilities
        return histogram_tv(actions, p), tv_floor(p, len(actions))

    def w2(self, actions: np.ndarray) -> float:
        """The Wasserstein distance W2 of equal point masses at `actions` `(n, 1)` from the law, in units of the action.

        In one dimension the optimal coupling is monotone: the k-th smallest action goes with the k-th of n equal parts
        of the law, of which only the mean and the second moment matter.
        """
        n, edges = len(actions), np.linspace(-1, 1, len(self.density) + 1)
        mass, middles = self.density * np.diff(edges), (edges[1:] + edges[:-1]) / 2
        below, moments = (np.append(0.0, np.cumsum(m)) for m in (mass, mass * middles))
        levels = np.arange(n + 1) / n * below[-1]
        cell = np.clip(np.searchsorted(below, levels, "right") - 1, 0, len(mass) - 1)
        inside = levels - below[cell]
        ends = edges[cell] + inside * (edges[1] - edges[0]) / mass[cell]
        means = n * np.diff(moments[cell] + inside * (edges[cell] + ends) / 2)
        spread = mass @ (middles**2 + (edges[1] - edges[0]) ** 2 / 12) - np.mean(means**2)
        return float(np.sqrt(np.mean((np.sort(actions[:, 0]) - means) ** 2) + max(spread, 0.0)))


def _invert(mass: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """The points `(n,)` of [-1, 1] below which a share `uniforms` `(n,)` of the `mass` `(k,)` of equal cells lies."""
    total = np.concatenate([[0.0], np.cumsum(mass)])
    return np.interp(uniforms, total / total[-1], np.linspace(-1, 1, len(total)))


def hills(values: np.ndarray) -> list[slice]:
    """The cells of each hill of `values` `(n,)` on a line, cut at the lowest cell between two tops.

    A rise of less than a hundredth of the range of the values makes no top.
    """
    rise, cuts = 0.01 * np.ptp(values), [0]
    low, high, going_up = 0, 0, True  # the lowest cell since the last top, the highest since the last valley
    for i, v in enumerate(values):
        if going_up:
            high = i if v > values[high] else high
            if values[high] - v > rise:
                going_up, low = False, i
        else:
            low = i if v < values[low] else low
            if v - values[low] > rise:
                cuts.append(low)
                going_up, high = True, i
    return [slice(a, b) for a, b in zip(cuts, [*cuts[1:], len(values)], strict=True)]


def curvature(values: np.ndarray, dim: int) -> float:
    """A typical large second derivative of Q along the axes: its 95th percentile on the grid, at least 1."""
    values = values.reshape((CELLS[dim],) * dim)
    second = [np.abs(np.diff(values, 2, axis=axis)).ravel() for axis in range(dim)]
    return _rounded(max(1.0, float(np.quantile(np.concatenate(second), 0.95)) / (2 / CELLS[dim]) ** 2))


def median_regret(values: np.ndarray) -> float:
    """The maximum of Q less its median over the grid, which scales the temperatures that are of interest."""
    return _rounded(max(float(values.max() - np.median(values)), 1e-6))


def temperatures(values: np.ndarray) -> tuple[float, float]:
    """The range of a slider, from an almost greedy to an almost uniform softmax: 0.01 and 10 median regrets."""
    return _rounded(median_regret(values) / 100), _rounded(median_regret(values) * 10)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
