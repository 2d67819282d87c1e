"""Exact level sets by root finding: on a line, and along the radius of the max-norm."""

from abc import abstractmethod
from collections.abc import Callable

import numpy as np

from softq.exact.maxima import cusp_rise
from softq.exact.values import evaluate_padded
from softq.exact.volume.base import Volume
from softq.utils.errors import SoftqError

LINE_CELLS = 4096  # cells of the grid on a line, on which stationary points are searched
TINY_REGRET = 1e-290  # a positive number that stands for 0, the largest regret of a constant landscape


class MonotoneIntervals(Volume):
    """A volume function from intervals of a coordinate on each of which the regret is monotone.

    The regret crosses a level at most once in an interval. A subclass says the volume of the coordinates up to x in
    interval `cell`, `_measure(x, cell)`, and the regret at x, `_regret(x, cell)`, both for arrays `(n,)`.
    """

    _rounding = 1e-15  # rounding error of a regret
    _slack = 0.0  # how far the maximum of Q may lie above the largest value found, see `cusp_rise`

    def _set(self, start: np.ndarray, stop: np.ndarray, below: np.ndarray, above: np.ndarray) -> None:
        """Set the intervals from `start` to `stop`, with the regret `below` at `start` and `above` at `stop`."""
        # the regret falls from `start` to `stop`; `_in` is the end with the smaller regret
        turned = above < below
        self._in, self._out = np.where(turned, stop, start), np.where(turned, start, stop)
        self._low, self._high = np.minimum(below, above), np.maximum(below, above)
        every = np.arange(len(start))
        mass = np.abs(self._measure(stop, every) - self._measure(start, every))
        order = np.argsort(self._high)
        self._sorted, self._total = self._high[order], np.append(0, np.cumsum(mass[order]))

    @abstractmethod
    def _measure(self, x: np.ndarray, cell: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _regret(self, x: np.ndarray, cell: np.ndarray) -> np.ndarray: ...

    def _volume(self, eps: np.ndarray) -> np.ndarray:
        volume = self._total[np.searchsorted(self._sorted, eps, side="right")]
        few = max(1, 6_000_000 // len(self._low))
        for start in range(0, len(eps), few):  # a few levels at a time, to save memory
            block = eps[start : start + few]
            which, cell = np.nonzero((self._low <= block[:, None]) & (block[:, None] < self._high))
            root = self._roots(block[which], cell)
            part = np.abs(self._measure(root, cell) - self._measure(self._in[cell], cell))
            volume[start : start + few] += np.bincount(which, part, len(block))
        return volume

    def _roots(self, eps: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """The coordinates at which the regret is eps in the intervals `cell`, by Ridders' method on all at once."""
        roots = self._in[cell].copy()
        a, b, todo = self._in[cell], self._out[cell], np.arange(len(cell))
        fa, fb = self._low[cell] - eps, self._high[cell] - eps  # fa <= 0 < fb
        sloping = fa < -self._rounding  # otherwise the interval may start with a plateau, whose end is wanted
        for _ in range(60 if len(todo) else 0):  # the bracket at least halves each time
            middle = (a + b) / 2
            fm = self._regret(middle, cell[todo]) - eps[todo]
            root = middle - (middle - a) * fm / np.sqrt(np.maximum(fm * fm - fa * fb, 1e-300))
            fr = self._regret(root, cell[todo]) - eps[todo]
            for x, fx in ((middle, fm), (root, fr)):
                inside, better = fx <= 0, (x - a) * (b - x) > 0
                a, fa = np.where(better & inside, x, a), np.where(better & inside, fx, fa)
                b, fb = np.where(better & ~inside, x, b), np.where(better & ~inside, fx, fb)
            roots[todo] = root
            go_on = ~(sloping[todo] & (np.abs(fr) <= self._rounding)) & (np.abs(b - a) > 4e-16)
            a, b, fa, fb, todo = a[go_on], b[go_on], fa[go_on], fb[go_on], todo[go_on]
            if not len(todo):
                break
        return roots

    def _error(self, eps: np.ndarray) -> np.ndarray:
        """The change of the volume by an error of the regret, from rounding or a cusp, and the rounding of the sums."""
        off = self._rounding + self._slack
        wider, narrower = self(eps + off), self(np.maximum(eps - off, 0))
        return wider - narrower + 1e-15 * self.area


def monotone_points(
    f: Callable[[np.ndarray, np.ndarray], np.ndarray], x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The increasing points `x` `(lines, n)`, with a point moved onto each local extremum of f, and f at the points.

    `f(x, line)` maps points `(m,)` and the indices of their lines `(m,)` to values `(m,)`. Between neighbouring points
    f is then monotone, unless it has two extrema within two steps of the grid.
    """
    line = np.broadcast_to(np.arange(len(x))[:, None], x.shape)
    value = lambda x: f(x.ravel(), line.ravel()).reshape(x.shape)
    y = value(x)
    left, right = np.diff(y)[:, :-1], np.diff(y)[:, 1:]
    row, column = np.nonzero((left * right <= 0) & (left != right))
    sign = np.where(left > right, 1.0, -1.0)[row, column]  # 1 at a maximum
    a, b, golden = x[row, column], x[row, column + 2], (np.sqrt(5) - 1) / 2
    for _ in range(60 if len(row) else 0):
        c, d = b - golden * (b - a), a + golden * (b - a)
        keep_left = sign * f(c, row) > sign * f(d, row)
        a, b = np.where(keep_left, a, c), np.where(keep_left, d, b)
    x = x.copy()
    x[row, column + 1] = (a + b) / 2
    x.sort(axis=1)
    return x, value(x)


class LineVolume(MonotoneIntervals):
    """The volume function of any landscape in one dimension, from the roots of Q - level to 1e-15.

    `q` maps one action `(1,)` to a scalar. Two stationary points within 1/1000 of each other may be missed, and with
    them a narrow peak; `error` does not tell. Raises `SoftqError` if the dimension is not 1.
    """

    def __init__(self, q: Callable, dim: int | None = None):
        q = require_dim(q, dim, 1)
        self.area, self.method = 2.0, "exact level sets on a line"
        self._values = lambda x: evaluate_padded(q, x[:, None])
        grid = np.linspace(-1, 1, LINE_CELLS + 1)
        (x,), (y,) = monotone_points(lambda x, line: self._values(x), grid[None])
        self._top = float(getattr(q, "maximum", y.max()))
        self._rounding = 1e-15 * max(1.0, np.abs(y).max())
        self._slack = 0.0 if hasattr(q, "maximum") else cusp_rise(q, x[[y.argmax()]])
        regret = self._top - y
        self._set(x[:-1], x[1:], regret[:-1], regret[1:])
        self.breaks = critical_regrets(regret)

    def _measure(self, x: np.ndarray, cell: np.ndarray) -> np.ndarray:
        return x

    def _regret(self, x: np.ndarray, cell: np.ndarray) -> np.ndarray:
        return self._top - self._values(x)


class MaxNormVolume(MonotoneIntervals):
    """The volume function of Q(a) = -profile(max_i |a_i|) in any dimension; level sets are cubes or shells of cubes.

    `profile` maps radii `(n,)` in [0, 1] to numbers `(n,)`, and may have jumps.
    """

    def __init__(self, profile: Callable[[np.ndarray], np.ndarray], dim: int):
        self.area, self.dim, self.method = 2.0**dim, dim, "exact level sets of the radius"
        grid = np.linspace(0, 1, LINE_CELLS + 1)
        grid[0] = 1e-300  # stands for the limit at 0, from which the value at 0 may differ
        (r,), (y,) = monotone_points(lambda r, line: np.asarray(profile(r), np.float64), grid[None])
        self._profile, self._bottom = profile, y.min()
        self._rounding = 1e-15 * max(1.0, np.abs(y).max())
        self._set(r[:-1], r[1:], y[:-1] - self._bottom, y[1:] - self._bottom)
        self.breaks = critical_regrets(y - self._bottom)

    def _measure(self, x: np.ndarray, cell: np.ndarray) -> np.ndarray:
        return (2 * x) ** self.dim

    def _regret(self, x: np.ndarray, cell: np.ndarray) -> np.ndarray:
        return np.asarray(self._profile(x), np.float64) - self._bottom


def critical_regrets(regrets: np.ndarray) -> np.ndarray:
    """The sorted regrets at which level sets change their shape: local extrema and both ends of `regrets`."""
    if len(regrets) > 2:
        left, right = np.diff(regrets)[:-1], np.diff(regrets)[1:]
        inner = regrets[1:-1][(left * right <= 0) & (left != right)]
        regrets = np.concatenate([regrets[[0, -1]], inner, [regrets.max()]])
    return np.unique(np.append(regrets[regrets > 1e-13], [] if regrets.max() > 1e-13 else TINY_REGRET))


def require_dim(q: Callable, dim: int | None, expected: int) -> Callable:
    """`q` itself, or `SoftqError` unless it has the dimension `expected`."""
    dim = getattr(q, "dim", None) if dim is None else dim
    if dim != expected:
        remedy = "pass dim=" if dim is None else "use volume_of, or MonteCarloVolume in high dimensions"
        raise SoftqError(
            f"exact level sets here need a landscape of dim {expected}, got dim {dim}; {remedy}."
        )
    return q
