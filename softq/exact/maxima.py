"""Where Q is highest on [-1, 1]^d, d = 1 or 2: the local maxima of a grid, each looked at more and more closely.

No gradient is asked for, so that kinks, plateaus and walls are no matter. A needle between the points of the grid is
not seen.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from softq.exact.values import padded

CLOSER = 3.0  # the window around a maximum shrinks by this factor at a time,
ROUNDS = 30  # so often: from 1/64 to below the spacing of doubles
SIDE = 9  # points along each side of a window


def maxima(
    q: Callable, line: np.ndarray, values: np.ndarray, most: int = 64
) -> tuple[np.ndarray, np.ndarray, int]:
    """Local maxima `(n, d)` of Q, none within 1e-6 of another, their values `(n,)`, and how many the grid has.

    The grid has the increasing coordinates `line` `(k,)` along each side, and Q has the `values` `(k,) * d` there.
    Of more than `most` grid maxima the highest are taken; of a constant Q, the middle of the box.
    """
    dim = values.ndim
    lowest_around = minimum_filter(values, 3, mode="constant", cval=-np.inf)  # beyond the wall Q is -infinity
    where = np.argwhere((values == maximum_filter(values, 3, mode="nearest")) & (values > lowest_around))
    highest = np.argsort(-values[tuple(where.T)], kind="stable")[:most]
    found = line[where[highest]] if len(where) else np.zeros((1, dim))
    offsets = np.stack(np.meshgrid(*[np.linspace(-1, 1, SIDE)] * dim, indexing="ij"), -1).reshape(-1, dim)
    width = np.diff(line, prepend=-1, append=1).max()
    for _ in range(ROUNDS):
        near = np.clip(found[:, None] + width * offsets, -1, 1)
        best = padded(q, near.reshape(-1, dim)).reshape(len(found), -1).argmax(1)
        found, width = near[np.arange(len(found)), best], width / CLOSER
    found = found[np.unique(found.round(6), axis=0, return_index=True)[1]]
    return found, padded(q, found), len(where)


def slack(q: Callable, top: np.ndarray) -> float:
    """How far Q may rise above its value at the highest point found, `top` `(d,)`: nothing, but at a cusp.

    No double lies nearer to the tip of a cusp than about 1e-16. Twice the drop to the best of the points at 1e-15.
    """
    offsets = np.concatenate([np.zeros((1, len(top))), np.eye(len(top)), -np.eye(len(top))])
    values = padded(q, np.clip(top + 1e-15 * offsets, -1, 1))
    inside = np.any(np.clip(top + 1e-15 * offsets, -1, 1) != top, axis=1)
    return 2 * float(max(values[0] - values[inside].max(), 0.0))
