"""The highest points of Q on [-1, 1]^d, d = 1 or 2: the local maxima on a grid, refined by ever smaller windows.

The search needs no gradient, so that kinks, plateaus and walls do no harm. It misses a peak that lies between the
points of the grid.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from softq.exact.values import evaluate_padded

WINDOW_SHRINKAGE = 3.0  # the factor by which the window around a maximum shrinks in each round
NUM_ROUNDS = 30  # rounds of shrinking: a window of width 1/64 ends below the spacing of doubles
WINDOW_POINTS = 9  # points along each side of a window


def maxima(
    q: Callable, line: np.ndarray, values: np.ndarray, max_count: int = 64
) -> tuple[np.ndarray, np.ndarray, int]:
    """Local maxima `(n, d)` of Q, at least 1e-6 apart, their values `(n,)`, and the number of local maxima of the grid.

    The grid has the increasing coordinates `line` `(k,)` along each side, and Q has the `values` there, `(k,)` or
    `(k, k)`. Only the `max_count` highest maxima of the grid are refined. A constant Q has one, the middle of the box.
    """
    dim = values.ndim
    lowest_around = minimum_filter(values, 3, mode="constant", cval=-np.inf)  # beyond the wall Q is -infinity
    where = np.argwhere((values == maximum_filter(values, 3, mode="nearest")) & (values > lowest_around))
    highest = np.argsort(-values[tuple(where.T)], kind="stable")[:max_count]
    found = line[where[highest]] if len(where) else np.zeros((1, dim))
    side = np.linspace(-1, 1, WINDOW_POINTS)
    offsets = np.stack(np.meshgrid(*[side] * dim, indexing="ij"), -1).reshape(-1, dim)
    width = np.diff(line, prepend=-1, append=1).max()
    for _ in range(NUM_ROUNDS):
        near = np.clip(found[:, None] + width * offsets, -1, 1)
        best = evaluate_padded(q, near.reshape(-1, dim)).reshape(len(found), -1).argmax(1)
        found, width = near[np.arange(len(found)), best], width / WINDOW_SHRINKAGE
    found = found[np.unique(found.round(6), axis=0, return_index=True)[1]]
    return found, evaluate_padded(q, found), len(where)


def cusp_rise(q: Callable, top: np.ndarray) -> float:
    """How far Q may rise above its value at `top` `(d,)`, the highest point found: 0 except at a cusp.

    The double nearest to the tip of a cusp may be 1e-16 away from it. The estimate is twice the drop of Q from `top` to
    the best of its neighbours at the distance 1e-15.
    """
    offsets = np.concatenate([np.zeros((1, len(top))), np.eye(len(top)), -np.eye(len(top))])
    values = evaluate_padded(q, np.clip(top + 1e-15 * offsets, -1, 1))
    inside = np.any(np.clip(top + 1e-15 * offsets, -1, 1) != top, axis=1)
    return 2 * float(max(values[0] - values[inside].max(), 0.0))
