"""Laws on the cells of a grid on [-1, 1], in float64 NumPy: the softmax, and the exact laws of samplers.

A Langevin chain with finitely many steps of finite size does not sample the softmax, but in one dimension its own law
can be computed to any accuracy. So can the law of self-normalised importance sampling and, by a fine quadrature over
its few noises, that of a selection among schedules. Functions of an action map a NumPy array element by element. No
code is shared with `softq.samplers`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from softq.exact.importance import Importance

Function = Callable[[np.ndarray], np.ndarray]


class Law(NamedTuple):
    """A law on [-1, 1]: `probabilities` `(n,)` of the cells between the `edges` `(n + 1,)`, and two atoms.

    `atoms` `(2,)` are the point masses at the walls -1 and 1. All probabilities together sum to 1.
    """

    probabilities: np.ndarray
    edges: np.ndarray
    atoms: np.ndarray

    def mean(self, f: Function) -> float:
        """The expectation of `f(action)`, by the midpoint rule on the cells."""
        centres = (self.edges[1:] + self.edges[:-1]) / 2
        return float(self.probabilities @ f(centres) + self.atoms @ f(np.array([-1.0, 1.0])))

    def cdf(self) -> np.ndarray:
        """The distribution function at the edges, `(n + 1,)`, with the left atom and without the right one."""
        return np.concatenate([[0.0], np.cumsum(self.probabilities)]) + self.atoms[0]

    def tv(self, other: "Law") -> float:
        """Total variation, in [0, 1], between this law and another on the same cells."""
        cells = np.abs(self.probabilities - other.probabilities).sum()
        return float(cells + np.abs(self.atoms - other.atoms).sum()) / 2


def cell_edges(cells: int = 2000) -> np.ndarray:
    """The edges of `cells` equal cells on [-1, 1], `(cells + 1,)`."""
    return np.linspace(-1.0, 1.0, cells + 1)


def fold(x: np.ndarray) -> np.ndarray:
    """Reflection into [-1, 1], at both walls and as often as needed: the triangle wave of period 4."""
    return np.abs(np.mod(x - 1.0, 4.0) - 2.0) - 1.0


def uniform_law(cells: int = 2000) -> Law:
    """The uniform law on [-1, 1], on equal cells."""
    return Law(np.full(cells, 1 / cells), cell_edges(cells), np.zeros(2))


def point_law(a: float, cells: int = 2000) -> Law:
    """The law with all mass in the cell that contains `a`, which is exact if `a` is the centre of a cell."""
    edges = cell_edges(cells)
    probabilities = np.zeros(cells)
    probabilities[np.clip(np.searchsorted(edges, a, side="right") - 1, 0, cells - 1)] = 1.0
    return Law(probabilities, edges, np.zeros(2))


def softmax_law(q: Function, temperature: float, cells: int = 2000) -> Law:
    """The softmax of `q` at `temperature` on [-1, 1], with five-point Gauss-Legendre quadrature in each cell."""
    edges = cell_edges(cells)
    nodes, weights = _gauss_legendre(edges)
    logits = q(nodes) / temperature
    mass = (np.exp(logits - logits.max()) * weights).sum(-1)
    return Law(mass / mass.sum(), edges, np.zeros(2))


def _gauss_legendre(edges: np.ndarray, order: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on each cell, `(cells, order)`; the weights of a cell sum to its width."""
    x, w = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[:, None] / 2
    return edges[:-1, None] + half * (1 + x), half * w


def snis_density(q: Function, temperature: float, num_candidates: int, at: np.ndarray) -> np.ndarray:
    """Exact density, at the points `at`, of the action that `softq.samplers.snis` returns in one dimension.

    It is the density of the softmax times `softq.exact.importance.Importance.ratio`, where the formula is derived.
    """
    nodes, weights = _gauss_legendre(cell_edges(2000))
    logits, q_mass = q(nodes).ravel() / temperature, weights.ravel() / 2
    log_mean = special.logsumexp(logits, b=q_mass)
    log_w = q(at) / temperature - log_mean
    return Importance(logits - log_mean, q_mass).ratio(num_candidates, log_w) * np.exp(log_w) / 2


def snis_law(q: Function, temperature: float, num_candidates: int, cells: int = 2000) -> Law:
    """Exact law of the action that `softq.samplers.snis` returns in one dimension, from `snis_density`."""
    edges = cell_edges(cells)
    nodes, weights = _gauss_legendre(edges)
    density = snis_density(q, temperature, num_candidates, nodes.ravel()).reshape(nodes.shape)
    mass = (density * weights).sum(-1)
    return Law(mass / mass.sum(), edges, np.zeros(2))
