"""Distances between two softmax laws on the same box, by quadrature.

Total variation and the Kullback-Leibler divergence work in one and two dimensions, Wasserstein distances in one. The
second law is evaluated at the nodes of the first. Where the two densities cross, |p - q| has a kink, so that the
total variation is good to about 1e-7 in one dimension and 1e-5 in two.
"""

import numpy as np
from numpy.polynomial import legendre

from softq.exact.boltzmann import POINTS_PER_PANEL, Boltzmann
from softq.utils.errors import SoftqError


def tv(p: Boltzmann, q: Boltzmann) -> float:
    """Total variation: half of the L1 distance of the densities, in [0, 1]."""
    _same_box(p, q)
    return float(0.5 * np.abs(p.probabilities - p.weights * q.density(p.nodes)).sum())


def kl(p: Boltzmann, q: Boltzmann) -> float:
    """KL(p || q) = E_p[log p - log q], in nats; it is finite, since both densities are positive on the box."""
    _same_box(p, q)
    log_p = p.values / p.temperature - p.log_partition
    return float(p.probabilities @ (log_p - q.log_density(p.nodes)))


def wasserstein(p: Boltzmann, q: Boltzmann, order: int = 1) -> float:
    """W1 = int |F - G| dx or W2 = sqrt(int_0^1 (F^-1 - G^-1)^2 du) in one dimension, in units of the action.

    Raises `SoftqError` for an order that is not 1 or 2, or in more than one dimension.
    """
    _same_box(p, q)
    if p.dim != 1:
        raise SoftqError(f"wasserstein needs dim 1, got {p.dim}; compare marginals or use tv.")
    if order not in (1, 2):
        raise SoftqError(f"wasserstein knows order 1 and 2, got {order}.")
    first, second = Distribution(p), Distribution(q)
    if order == 1:
        return float(p.weights @ np.abs(first(p.nodes[:, 0]) - second(p.nodes[:, 0])))
    # both quantile functions are smooth between two successive levels at which a panel of either law ends
    levels = np.unique(np.concatenate([first.levels, second.levels]))
    x, w = legendre.leggauss(5)
    half = np.diff(levels)[:, None] / 2
    u = (levels[:-1, None] + half * (1 + x)).ravel()
    return float(np.sqrt((half * w).ravel() @ (_quantile(first, u) - _quantile(second, u)) ** 2))


class Distribution:
    """The distribution function of a one-dimensional law, as exact as the law's quadrature; call it on actions `(n,)`.

    In each panel it is the integral of the polynomial through the density at the quadrature nodes. `edges` and `levels`
    `(panels + 1,)` are the ends of the panels and the values of the function there.
    """

    def __init__(self, law: Boltzmann):
        x, _ = legendre.leggauss(POINTS_PER_PANEL)
        density = (law.probabilities / law.weights).reshape(law.panels, POINTS_PER_PANEL).T
        series = np.linalg.solve(legendre.legvander(x, POINTS_PER_PANEL - 1), density)
        self.edges = np.linspace(-1, 1, law.panels + 1)
        panel_probabilities = law.probabilities.reshape(law.panels, POINTS_PER_PANEL).sum(1)
        self.levels = np.concatenate([[0.0], panel_probabilities.cumsum()])
        self.integrals = legendre.legint(series, lbnd=-1) / law.panels

    def __call__(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, np.float64)
        panels = len(self.edges) - 1
        panel = np.clip(((x + 1) / 2 * panels).astype(int), 0, panels - 1)
        local = (x - self.edges[panel]) * panels - 1
        return self.levels[panel] + legendre.legval(local, self.integrals[:, panel], tensor=False)


def _quantile(distribution: Distribution, levels: np.ndarray) -> np.ndarray:
    """Inverse of a distribution function at `levels` `(n,)`, by 45 bisections: to 1e-13 in units of the action."""
    low, high = np.full(len(levels), -1.0), np.full(len(levels), 1.0)
    for _ in range(45):
        middle = (low + high) / 2
        below = distribution(middle) < levels
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def _same_box(p: Boltzmann, q: Boltzmann) -> None:
    if p.dim != q.dim:
        raise SoftqError(f"two laws of different dimension, {p.dim} and {q.dim}; compare laws on one box.")
