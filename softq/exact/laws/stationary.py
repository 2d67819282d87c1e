"""The stationary law of a Langevin chain in one dimension, by one linear system."""

import numpy as np
from scipy.special import ndtr

from softq.exact.laws.cells import Function, Law, cell_edges
from softq.exact.laws.chains import Boundary
from softq.utils.checks import one_of, positive


def stationary_law(score: Function, step: float, boundary: Boundary = "reflect", cells: int = 500) -> Law:
    """The law that the chain `a <- boundary(a + step / 2 * score(a) + sqrt(step) * xi)` leaves unchanged.

    `score` is that of the target, the gradient of Q / temperature. As in `chain_law`, the transition from the centre of
    each cell has exact Gaussian probabilities, and the error is of the order of the squared width of a cell once
    `sqrt(step)` is several cells wide. With "project" the two walls are states of their own.
    Raises `SoftqError` for a step that is not positive or an unknown boundary.
    """
    positive("step", step)
    one_of("boundary", boundary, Boundary)
    edges = cell_edges(cells)
    sources = np.concatenate([(edges[1:] + edges[:-1]) / 2, [-1.0, 1.0]])
    means = (sources + step / 2 * score(sources))[:, None]
    below = lambda x: ndtr((x - means) / np.sqrt(step))
    if boundary == "project":
        moves = np.hstack([np.diff(below(edges)), below(-1.0), 1 - below(1.0)])
    else:  # "reflect": the probability of a cell is the sum over the cell and its mirror images
        reach = int(np.ceil((np.abs(means).max() + 9 * np.sqrt(step)) / 4)) + 1
        images = sum(below(edges + 4 * k) - below(2 - edges + 4 * k) for k in range(-reach, reach + 1))
        moves = np.hstack([np.diff(images), np.zeros((len(sources), 2))])
    equations = moves.T - np.eye(len(sources))
    equations[-1] = 1  # one equation is redundant and replaced: the probabilities sum to 1
    p = np.linalg.solve(equations, np.eye(len(sources))[-1])
    return Law(p[:-2], edges, p[-2:])
