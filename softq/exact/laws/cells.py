"""Exact laws of samplers in one dimension, in float64 NumPy: tests then compare with numbers.

A finite Langevin chain does not sample the softmax: its steps are finite and it is stopped. But in one
dimension its own law can be computed as exactly as one likes. The same holds for self-normalised
importance sampling and, with a fine quadrature over its few noises, for a selection among schedules.
Every function here works on the box [-1, 1], takes functions of a NumPy array (element by element), and
shares no sampling code with `softq.samplers`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from softq.exact.importance import Importance

Function = Callable[[np.ndarray], np.ndarray]


class Law(NamedTuple):
    """A law on [-1, 1]: `probabilities` (n,) of the cells between `edges` (n + 1,), and point masses
    `atoms` (2,) at the walls -1 and 1. Everything together sums to one.
    """

    probabilities: np.ndarray
    edges: np.ndarray
    atoms: np.ndarray

    def mean(self, f: Function) -> float:
        """The expectation of `f`, by the midpoint rule on the cells."""
        centres = (self.edges[1:] + self.edges[:-1]) / 2
        return float(self.probabilities @ f(centres) + self.atoms @ f(np.array([-1.0, 1.0])))

    def cdf(self) -> np.ndarray:
        """The distribution function at the edges (n + 1,), with the left atom and without the right one."""
        return np.concatenate([[0.0], np.cumsum(self.probabilities)]) + self.atoms[0]

    def tv(self, other: "Law") -> float:
        """Total-variation distance to a law on the same cells."""
        cells = np.abs(self.probabilities - other.probabilities).sum()
        return float(cells + np.abs(self.atoms - other.atoms).sum()) / 2


def cell_edges(cells: int = 2000) -> np.ndarray:
    """The `cells + 1` edges of equal cells on [-1, 1]."""
    return np.linspace(-1.0, 1.0, cells + 1)


def fold(x: np.ndarray) -> np.ndarray:
    """Reflection into [-1, 1] at both walls as often as needed: the triangle wave of period 4."""
    return np.abs(np.mod(x - 1.0, 4.0) - 2.0) - 1.0


def uniform_law(cells: int = 2000) -> Law:
    """The uniform law on [-1, 1]."""
    return Law(np.full(cells, 1 / cells), cell_edges(cells), np.zeros(2))


def point_law(a: float, cells: int = 2000) -> Law:
    """All mass in the cell that holds `a`; exact for a start at a cell's centre."""
    edges = cell_edges(cells)
    probabilities = np.zeros(cells)
    probabilities[np.clip(np.searchsorted(edges, a, side="right") - 1, 0, cells - 1)] = 1.0
    return Law(probabilities, edges, np.zeros(2))


def softmax_law(q: Function, temperature: float, cells: int = 2000) -> Law:
    """The softmax `exp(q / temperature)`, normalised on [-1, 1]; each cell by five-point Gauss-Legendre."""
    edges = cell_edges(cells)
    nodes, weights = _gauss_legendre(edges)
    logits = q(nodes) / temperature
    mass = (np.exp(logits - logits.max()) * weights).sum(-1)
    return Law(mass / mass.sum(), edges, np.zeros(2))


def _gauss_legendre(edges: np.ndarray, order: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (cells, order) for Lebesgue measure on each cell."""
    x, w = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[:, None] / 2
    return edges[:-1, None] + half * (1 + x), half * w


def snis_density(q: Function, temperature: float, num_candidates: int, at: np.ndarray) -> np.ndarray:
    """Exact density of the point that self-normalised importance sampling returns, at the points `at`.

    It is the target's density times `softq.exact.importance.Importance.ratio`, where the mathematics stands.
    """
    nodes, weights = _gauss_legendre(cell_edges(2000))
    logits, q_mass = q(nodes).ravel() / temperature, weights.ravel() / 2
    log_mean = special.logsumexp(logits, b=q_mass)
    log_w = q(at) / temperature - log_mean
    return Importance(logits - log_mean, q_mass).ratio(num_candidates, log_w) * np.exp(log_w) / 2


def snis_law(q: Function, temperature: float, num_candidates: int, cells: int = 2000) -> Law:
    """Exact law of `softq.samplers.snis` in one dimension; see `snis_density`."""
    edges = cell_edges(cells)
    nodes, weights = _gauss_legendre(edges)
    density = snis_density(q, temperature, num_candidates, nodes.ravel()).reshape(nodes.shape)
    mass = (density * weights).sum(-1)
    return Law(mass / mass.sum(), edges, np.zeros(2))
