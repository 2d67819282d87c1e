"""The exact softmax of a problem of the benchmark, and how far the actions of a sampler are from it.

It is computed in three ways: by quadrature in one and two dimensions; from independent coordinates for sums; and for
`corners` at temperature 1 / n as the n-th power of a mixture of two Gaussians, which is a mixture of n + 1 products.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import signal, stats
from scipy.special import gammaln, logsumexp

from softq.exact.boltzmann import POINTS_PER_PANEL, Boltzmann
from softq.exact.modes import modes
from softq.exact.values import evaluate
from softq.experiments.sampler_benchmark.formula import CORNER, WEIGHT, corner_width
from softq.landscapes import Formula, Landscape

# by the dimension of actions: cells along a side of the box, for the view "action" and to measure level sets
CELLS = {1: 40, 2: 12}
FINE = {1: 1_000_000, 2: 1600}
QUANTILES = 20  # cells of a view that sorts actions by one number
LATTICE = 2000  # grid points of one coordinate, or of its Q, whose laws are convolved to that of a sum


class View(NamedTuple):
    """A way of sorting actions into cells, and the exact `probabilities` `(k,)` of the cells.

    `cells(actions, values)` `(pooled * n,)` are the indices of the cells of n actions with these values of Q. Where the
    coordinates of an action have one law, each of `pooled` coordinates is an entry of its own; else `pooled` is 1.
    """

    cells: Callable[[np.ndarray, np.ndarray], np.ndarray]
    probabilities: np.ndarray
    pooled: int = 1

    def tv(self, actions: np.ndarray, values: np.ndarray, num: int) -> float:
        """The total variation between the shares of the cells and their probabilities, in [0, 1].

        Of `num` actions, those that are not in `actions` were not finite and count as outside all cells.
        """
        counts = np.bincount(self.cells(actions, values), minlength=len(self.probabilities))
        shares, lost = counts / (num * self.pooled), 1 - len(actions) / num
        return float(0.5 * (np.abs(shares - self.probabilities).sum() + lost))

    def floor(self, num: int) -> float:
        """The expected `tv` of `num` independent exact draws: half the mean absolute deviations of binomials."""
        num, p = num * self.pooled, np.clip(self.probabilities, 0.0, 1.0)
        # de Moivre's formula for a binomial X: E|X - num p| = 2 v (1 - p) P(X = v)
        v = np.floor(num * p) + 1
        return float((v * (1 - p) * stats.binom.pmf(v, num, p)).sum() / num)


class Truth(NamedTuple):
    """An exact softmax, with all that a set of actions is compared with.

    `mean_value` and `std_value` are those of Q. Each coordinate has the distribution function `cdf` `(d, k)` at `edges`
    `(k,)`, and `sample(rng, n)` draws n actions `(n, d)`. The three `views` are "action", a grid of cells, or of one
    coordinate where d > 2 or Q is a sum; "scalar", cells of about equal probability in Q, or in the sum of the
    coordinates for `corners`; and "hills", the nearest mode.
    """

    mean_value: float
    std_value: float
    views: dict[str, View]
    edges: np.ndarray
    cdf: np.ndarray
    sample: Callable[[np.random.Generator, int], np.ndarray]

    def w1(self, actions: np.ndarray) -> float:
        """W1 = int |F_n - F| dx of each coordinate, averaged over coordinates, in units of the action."""
        ordered = np.sort(actions, axis=0).T
        empirical = np.stack([np.searchsorted(x, self.edges, side="right") for x in ordered]) / len(actions)
        return float(np.trapezoid(np.abs(empirical - self.cdf), self.edges, axis=1).mean())

    def w1_floor(self, num: int) -> float:
        """The expected `w1` of exact draws, by the normal approximation of each F_n."""
        density = np.sqrt(np.maximum(2 * self.cdf * (1 - self.cdf), 0.0) / (np.pi * num))
        return float(np.trapezoid(density, self.edges, axis=1).mean())

    def compare(self, q: Formula, actions: np.ndarray) -> dict[str, float]:
        """Every distance of `actions` `(n, d)` from the softmax, and its floor, the mean for n exact draws.

        `error` is the largest total variation of the three views, each less its floor. Up to sampling noise it is a
        lower bound of the total variation of the laws. An action that is not finite is in no cell.
        """
        num = len(actions)
        actions = np.asarray(actions[np.isfinite(actions).all(1)], np.float64)
        values = evaluate(q, actions)
        row = {"error": 0.0}
        for name, view in self.views.items():
            tv, floor = view.tv(actions, values, num), view.floor(num)
            row |= {"error": max(row["error"], tv - floor), f"tv_{name}": tv, f"tv_{name}_floor": floor}
        row["mean_q"] = (values.mean() - self.mean_value) / self.std_value
        row["mean_q_floor"] = np.sqrt(2 / (np.pi * num))
        return row | {"w1": self.w1(actions), "w1_floor": self.w1_floor(num)}


def _grid(actions: np.ndarray, bins: int) -> np.ndarray:
    """The index of the cell of each number in [-1, 1], of `bins` equal cells."""
    return np.clip(((actions + 1) / 2 * bins).astype(int), 0, bins - 1)


def _quantiles(points: np.ndarray, p: np.ndarray, of: Callable) -> View:
    """A view by the number `of(actions, values)`, in cells of about equal probability.

    The law of the number has masses `p` at the rising `points`.
    """
    cumulative = np.cumsum(p) / p.sum()
    last = np.searchsorted(cumulative, np.arange(1, QUANTILES) / QUANTILES)
    last = np.unique(np.clip(last, 0, len(points) - 2))
    cuts = (points[last] + points[last + 1]) / 2
    cells = lambda actions, values: np.searchsorted(cuts, of(actions, values))
    return View(cells, np.diff(np.concatenate([[0.0], cumulative[last], [1.0]])))


def _nearest(tops: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """The index of the mode in `tops` `(k, d)` that is nearest to each of `actions` `(n, d)`."""
    return np.argmin(((actions[:, None] - tops[None]) ** 2).sum(-1), axis=1)


def _hills(law: Boltzmann, tops: np.ndarray) -> np.ndarray:
    """The probability `(k,)` that an action of `law` is nearest to each of the modes `tops` `(k, d)`."""
    return np.bincount(_nearest(tops, law.nodes), law.probabilities, len(tops))


def scattered(q: Landscape) -> np.ndarray:
    """Sorted values of Q, at one random action in each of many small equal cells, from which level sets are measured.

    On a regular grid many values would be equal, and cells of Q of equal probability would not exist.
    """
    bins, d = FINE[q.dim], q.dim
    corner = np.stack(np.meshgrid(*[np.arange(bins)] * d, indexing="ij"), -1).reshape(-1, d)
    inside = np.random.default_rng(0).uniform(size=corner.shape)
    return np.sort(evaluate(q, (corner + inside) * 2 / bins - 1))


def by_quadrature(law: Boltzmann, levels: np.ndarray, tops: np.ndarray) -> Truth:
    """The truth for a landscape in one or two dimensions, from its softmax `law` by quadrature.

    `levels` are its `scattered` values and `tops` `(k, d)` its modes.
    """
    d, bins = law.dim, CELLS[law.dim]
    index = lambda actions, _: _grid(actions, bins) @ bins ** np.arange(d)[::-1]
    views = {
        "action": View(index, law.cell_probabilities(bins).ravel()),
        "scalar": _quantiles(
            levels, np.exp((levels - levels[-1]) / law.temperature), lambda _, values: values
        ),
        "hills": View(lambda actions, _: _nearest(tops, actions), _hills(law, tops)),
    }
    blocks = law.probabilities.reshape((law.panels, POINTS_PER_PANEL) * d)
    panels = [blocks.sum(tuple(i for i in range(2 * d) if i != 2 * axis)) for axis in range(d)]
    cdf = np.stack([np.concatenate([[0.0], np.cumsum(p)]) for p in panels])
    edges = np.linspace(-1, 1, law.panels + 1)
    return Truth(law.mean_value, np.sqrt(law.var_value), views, edges, cdf, law.sample)


def of_sum(one: Boltzmann, tops: np.ndarray, dim: int) -> Truth:
    """The truth for a sum over `dim` coordinates, each with the law `one`, whose modes are `tops` `(k, 1)`."""
    masses, values = one.cell_probabilities(CELLS[1]), one.values
    step = np.ptp(values) / (LATTICE - 1)
    place = (values - values.min()) / step
    low = np.minimum(place.astype(int), LATTICE - 2)
    # each mass is shared by the two grid points beside its place, so that the mean does not change
    line = np.bincount(low, one.probabilities * (low + 1 - place), LATTICE)
    line += np.bincount(low + 1, one.probabilities * (place - low), LATTICE)
    total = _power(line, dim)
    points = dim * values.min() + step * np.arange(len(total))
    views = {
        "action": View(lambda actions, _: _grid(actions, CELLS[1]).ravel(), masses, dim),
        "scalar": _quantiles(points, total, lambda _, values: values),
        "hills": View(lambda actions, _: _nearest(tops, actions.reshape(-1, 1)), _hills(one, tops), dim),
    }
    cdf = np.concatenate([[0.0], np.cumsum(one.probabilities.reshape(one.panels, -1).sum(1))])
    edges = np.linspace(-1, 1, one.panels + 1)
    sample = lambda rng, num: one.sample(rng, num * dim).reshape(num, dim)
    moments = dim * one.mean_value, np.sqrt(dim * one.var_value)
    return Truth(*moments, views, edges, np.tile(cdf, (dim, 1)), sample)


def _power(p: np.ndarray, times: int) -> np.ndarray:
    """The masses of the sum of `times` independent variables on a regular grid, each with the masses `p`."""
    total = np.ones(1)
    for _ in range(times):
        total = np.maximum(signal.fftconvolve(total, p), 0.0)
    return total


def of_corners(dim: int, power: int) -> Truth:
    """The truth for `corners` at temperature 1 / `power`; power 0 is the uniform law.

    exp(power Q) = (w g + (1 - w) h)^power, g and h Gaussian bumps: a mixture of products g^j h^(power - j). In each of
    them the coordinates are independent and alike, so the sum S of the coordinates is a convolution, and
    Q = -|a|^2 / 2 s^2 + f(S) has exact moments.
    """
    a = (np.arange(LATTICE) + 0.5) * 2 / LATTICE - 1
    square, j = corner_width(dim) ** 2, np.arange(power + 1)[:, None]
    logs = -(j * (a - CORNER) ** 2 + (power - j) * (a + CORNER) ** 2) / (2 * square)  # (power + 1, LATTICE)
    log_z = logsumexp(logs, axis=1)
    p = np.exp(logs - log_z[:, None])
    choose = gammaln(power + 1) - gammaln(j + 1) - gammaln(power - j + 1)
    log_mass = (choose + j * np.log(WEIGHT) + (power - j) * np.log(1 - WEIGHT))[:, 0] + dim * log_z
    mass = np.exp(log_mass - logsumexp(log_mass))

    # at each grid point of S, the mass, and the mean of |a|^2 over the actions with this S times the mass
    sums = (2 * np.arange(dim * (LATTICE - 1) + 1) + dim) / LATTICE - dim
    law, squares = np.zeros_like(sums), np.zeros_like(sums)
    for weight, one in zip(mass, p, strict=True):
        others = _power(one, dim - 1)
        law += weight * np.maximum(signal.fftconvolve(others, one), 0)
        squares += weight * dim * np.maximum(signal.fftconvolve(others, one * a**2), 0)
    up, down = np.log(WEIGHT), np.log(1 - WEIGHT)
    f = np.logaddexp(up + CORNER * sums / square, down - CORNER * sums / square) - dim * CORNER**2 / (
        2 * square
    )
    second, fourth = p @ a**2, p @ a**4
    length, length2 = mass @ (dim * second), mass @ (dim * fourth + dim * (dim - 1) * second**2)
    mean = law @ f - length / (2 * square)
    moment2 = law @ f**2 - squares @ f / square + length2 / (2 * square) ** 2

    one = mass @ p
    sides = np.array([law[sums < 0].sum(), law[sums >= 0].sum()])
    views = {
        "action": View(
            lambda actions, _: _grid(actions, CELLS[1]).ravel(), one.reshape(CELLS[1], -1).sum(1), dim
        ),
        "scalar": _quantiles(sums, law, lambda actions, _: actions.sum(1)),
        "hills": View(lambda actions, _: (actions.sum(1) >= 0).astype(int), sides / sides.sum()),
    }
    edges, cdf = np.linspace(-1, 1, LATTICE + 1), np.concatenate([[0.0], np.cumsum(one)])
    levels = np.concatenate([np.zeros((power + 1, 1)), np.cumsum(p, axis=1)], axis=1)

    def sample(rng: np.random.Generator, num: int) -> np.ndarray:
        which, u = rng.choice(power + 1, num, p=mass), rng.uniform(size=(num, dim))
        draws = np.empty((num, dim))
        for i in np.unique(which):
            draws[which == i] = np.interp(u[which == i], levels[i] / levels[i, -1], edges)
        return draws

    return Truth(mean, np.sqrt(moment2 - mean**2), views, edges, np.tile(cdf, (dim, 1)), sample)


def tops_of(q: Landscape) -> np.ndarray:
    """The modes `(k, d)` of the softmax of a landscape, which are the same at all temperatures."""
    return np.stack([mode.action for mode in modes(Boltzmann(q, 1.0))])
