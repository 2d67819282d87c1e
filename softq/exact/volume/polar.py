"""Exact level sets in two dimensions, along rays from the maxima of Q."""

from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np

from softq.exact.boltzmann import nodes_and_weights
from softq.exact.maxima import cusp_rise, maxima
from softq.exact.values import evaluate, evaluate_padded
from softq.exact.volume.levels import MonotoneIntervals, critical_regrets, monotone_points, require_dim

GRID_CELLS = 128  # cells along each side of the grid on which maxima are searched
RAYS_PER_SECTOR = 20  # Gauss-Legendre rays between two corners of a maximum's region
RADII_PER_RAY = 100  # radii on a ray
MAX_CENTRES = 16  # the largest number of maxima that have rays of their own
ERROR_FACTOR = 3.0  # the stated error, over the change when rays and radii are halved


class PolarVolume(MonotoneIntervals):
    """The volume function of any landscape in two dimensions, by exact level sets along rays.

    The region of a maximum is the part of the square nearest to it, and rays from the maximum sweep the region. Where
    a level set is star-shaped in its region, the integral over the angle converges exponentially, to about 1e-10. On
    ridges, and where a wall or the edge of a region cuts a level set, it is off by up to about 1e-3. A landscape with
    more than `MAX_CENTRES` maxima on a grid, such as a ridge, a plateau or a ReLU network, is swept from its highest
    one alone, by four times as many rays. `refine` multiplies the numbers of rays and of radii.

    `error` is an estimate: `ERROR_FACTOR` times the largest change, at eps and 5 % around it, when rays and radii are
    halved, plus the effect of a cusp at the maximum. A peak between the points of the grid, 1/64 apart, that no ray
    meets is missed. Raises `SoftqError` if the dimension is not 2.
    """

    def __init__(self, q: Callable, dim: int | None = None, refine: float = 1.0):
        q = require_dim(q, dim, 2)
        self._q, self.area, self.method = q, 4.0, "exact level sets along rays"
        self._refine = refine
        self._coarser: PolarVolume | None = None
        line = np.linspace(-1, 1, GRID_CELLS + 1)
        grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
        found, top, many = maxima(q, line, evaluate_padded(q, grid).reshape(GRID_CELLS + 1, GRID_CELLS + 1))
        ridge = not 0 < many <= MAX_CENTRES
        centres, refine = (_middle(found, top), 4 * refine) if ridge else (found, refine)
        rays = [
            (np.tile(c, (len(angle), 1)), angle, weight, reach)
            for c in centres
            for angle, weight, reach in [_rays(c, centres, max(4, round(RAYS_PER_SECTOR * refine)))]
        ]
        origin, angle, weight, reach = (np.concatenate(part) for part in zip(*rays, strict=True))
        self._origin, self._weight = origin, weight
        self._direction = np.stack([np.cos(angle), np.sin(angle)], -1)
        self._steps = max(8, round(RADII_PER_RAY * refine))
        r, value = monotone_points(self._at, reach[:, None] * np.linspace(0, 1, self._steps + 1) ** 2)
        self._top = float(getattr(q, "maximum", max(top.max(), value.max())))
        self._slack = 0.0 if hasattr(q, "maximum") else cusp_rise(q, found[top.argmax()])
        regret = self._top - value
        self._rounding = 1e-15 * max(1.0, np.abs(regret).max())
        self._ray = np.repeat(np.arange(len(reach)), self._steps)
        self._set(r[:, :-1].ravel(), r[:, 1:].ravel(), regret[:, :-1].ravel(), regret[:, 1:].ravel())
        self.breaks = critical_regrets(np.append(self._top - top, [0.0, regret.max()]))

    @property
    def mean_regret(self) -> float:
        # a quadrature of Q itself, since `breaks` lacks the saddles
        nodes, weights = nodes_and_weights(2, 64)
        return self._top - float(weights @ evaluate(self._q, nodes)) / self.area

    def _at(self, r: np.ndarray, ray: np.ndarray) -> np.ndarray:
        return evaluate_padded(self._q, self._origin[ray] + r[:, None] * self._direction[ray])

    def _measure(self, x: np.ndarray, cell: np.ndarray) -> np.ndarray:
        return self._weight[self._ray[cell]] * x * x / 2

    def _regret(self, x: np.ndarray, cell: np.ndarray) -> np.ndarray:
        return self._top - self._at(x, self._ray[cell])

    def _error(self, eps: np.ndarray) -> np.ndarray:
        if self._coarser is None:
            self._coarser = PolarVolume(self._q, 2, self._refine / 2)
        changes = [np.abs(self(share * eps) - self._coarser(share * eps)) for share in (0.95, 1.0, 1.05)]
        return ERROR_FACTOR * np.max(changes, axis=0) + 1e-14 * self.area + super()._error(eps)


def _middle(found: np.ndarray, top: np.ndarray) -> np.ndarray:
    """The highest of the points `found` `(n, 2)`, as `(1, 2)`; of several, the one nearest to the middle of the box."""
    best = found[top >= top.max() - 1e-12 * max(1.0, abs(top.max()))]
    return best[[(best**2).sum(1).argmin()]]


def _rays(centre: np.ndarray, centres: np.ndarray, num: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angles, weights and lengths of rays from `centre` `(2,)` that sweep the part of the square nearest to it.

    That region is where normal . (a - centre) <= distance for all half-planes below. Between two of its corners the
    length of a ray is a smooth function of the angle, so that each sector has a Gauss-Legendre rule of `num` rays.
    """
    others = centres[np.abs(centres - centre).max(1) > 1e-9] - centre
    normals = np.concatenate([np.eye(2), -np.eye(2), others])
    distances = np.concatenate([1 - centre, 1 + centre, (others**2).sum(1) / 2])
    corners = []
    for i, j in combinations(range(len(normals)), 2):
        pair = normals[[i, j]]
        if abs(np.linalg.det(pair)) > 1e-12:
            corner = np.linalg.solve(pair, distances[[i, j]])
            if (normals @ corner <= distances + 1e-12).all() and np.abs(corner).max() > 0:
                corners.append(np.arctan2(corner[1], corner[0]))
    edges = np.unique(np.round(np.concatenate([[-np.pi], corners, np.linspace(-np.pi, np.pi, 5)]), 12))
    x, w = np.polynomial.legendre.leggauss(num)
    angles = np.concatenate([(a + b) / 2 + (b - a) / 2 * x for a, b in pairwise(edges)])
    weights = np.concatenate([(b - a) / 2 * w for a, b in pairwise(edges)])
    towards = np.stack([np.cos(angles), np.sin(angles)], -1) @ normals.T
    lengths = np.where(towards > 1e-15, distances / np.maximum(towards, 1e-15), np.inf).min(1)
    return angles, weights, lengths
