"""Landscapes of the benchmark as arrays of the same shapes in each dimension, and the landscape `corners`.

`corners` has two hills of unequal weight on the diagonal of the box, in any dimension, and is no sum over coordinates:

    Q(a) = log( w exp(-|a - c|^2 / 2 s^2) + (1 - w) exp(-|a + c|^2 / 2 s^2) ),   c = (1/2, ..., 1/2)
"""

import numpy as np

from softq.landscapes import Formula
from softq.utils.pytree import replace

CORNER, WEIGHT = 0.5, 0.6  # each coordinate of the upper hill of `corners`, and the weight w of this hill


def corner_width(dim: int) -> float:
    """The width s of the hills, with which Q has a standard deviation near 1 over uniform actions in each dimension."""
    return 0.4 * dim**0.25


def padded(q: Formula) -> Formula:
    """The same Q with arrays of the shapes of all formulas in its dimension, so that one program serves them all."""
    dim = q.dim
    zero = {"hills": [[0.0, 1.0, 0.0]] * 2, "powers": [0.0, 0.0], "slope": [0.0] * dim}
    if dim <= 2:
        zero["tent"] = 0.0
    if dim == 2:
        zero |= {"bumps": [[0.0, 1.0, 0.0, 0.0]] * 8, "cassini": [0.0, 1.0]}
    if dim >= 2:
        zero["fold"] = [0.0, 0.5, 0.5]
    full = {}
    for name, blank in zero.items():
        given, blank = getattr(q, name), np.array(blank)
        if given is not None and name in ("bumps", "hills"):
            given = np.concatenate([given, blank[len(given) :]])
        full[name] = blank if given is None else given
    return replace(q, **full)


def corners(dim: int) -> Formula:
    """The formula of `corners`, as a parabola and a fold along the sum of the coordinates."""
    square = corner_width(dim) ** 2
    lower = np.exp(-dim * CORNER**2 / (2 * square))
    fold = np.array([CORNER / square, WEIGHT * lower, (1 - WEIGHT) * lower])
    return Formula(dim, powers=np.array([1 / (2 * square), 0.0]), fold=fold)
