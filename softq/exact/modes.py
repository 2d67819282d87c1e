"""The modes of a softmax, which are its hills without the small ripples, and the probability mass of each.

The level of a flood falls from the highest cell of a regular grid: cells appear in the order of their value, and each
joins the island beside it. Where two islands meet, the lower one is a mode of its own only if its top rises by more
than `prominence` above the pass. In topology this is persistence, in image processing the watershed.
"""

from typing import NamedTuple

import numpy as np

from softq.exact.boltzmann import Boltzmann
from softq.exact.values import evaluate
from softq.utils.errors import SoftqError

CELLS_PER_SIDE = {1: 2000, 2: 160}  # cells of the grid along each coordinate, by the dimension


class Mode(NamedTuple):
    """A hill: the `action` `(dim,)` of its top, to the width of a cell, Q there, and the probability of its basin."""

    action: np.ndarray
    value: float
    mass: float


def modes(law: Boltzmann, prominence: float = 0.01) -> list[Mode]:
    """The modes of `law`, highest first; their masses sum to 1.

    `prominence` in [0, 1) is the least height of a mode above the pass to a higher one, as a share of the range of Q on
    the grid. A cell where basins meet belongs to one of them, so masses are exact up to the mass of such cells.
    Raises `SoftqError` for a `prominence` outside [0, 1).
    """
    if not 0 <= prominence < 1:
        raise SoftqError(
            f"prominence must lie in [0, 1), got {prominence:g}; 0.01 ignores ripples of a percent."
        )
    bins, dim = CELLS_PER_SIDE[law.dim], law.dim
    line = (np.arange(bins) + 0.5) * 2 / bins - 1
    centres = np.stack(np.meshgrid(*[line] * dim, indexing="ij"), -1).reshape(-1, dim)
    values = evaluate(law.q, centres)
    owner = _watershed(values.reshape((bins,) * dim), prominence * np.ptp(values))
    masses = law.cell_probabilities(bins).ravel()
    tops = sorted(set(owner), key=lambda top: -values[top])
    return [Mode(centres[top], float(values[top]), float(masses[owner == top].sum())) for top in tops]


def _watershed(values: np.ndarray, least: float) -> np.ndarray:
    """For each cell, the flat index of the top of its basin; a ripple of at most the height `least` is no top."""
    shape, flat = values.shape, values.ravel()
    parent = np.full(flat.size, -1)  # for a visited cell another cell of its island, for a top itself

    def top_of(cell: int) -> int:
        while parent[cell] != cell:
            parent[cell] = parent[parent[cell]]
            cell = parent[cell]
        return cell

    first = np.full(flat.size, -1)  # the top of the island that each cell joined when it appeared
    for cell in np.argsort(-flat, kind="stable"):
        islands = sorted(
            {top_of(n) for n in _neighbours(cell, shape) if parent[n] >= 0}, key=lambda t: -flat[t]
        )
        parent[cell] = first[cell] = islands[0] if islands else cell
        for lower in islands[1:]:
            if flat[lower] - flat[cell] <= least:
                parent[lower] = islands[0]
    return _resolve(first, parent)


def _resolve(first: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """For each cell the final top: from the top it joined first, along `parent` to the hill that took in that top."""
    owner = first.copy()
    while True:
        further = parent[owner]
        if np.array_equal(further, owner):
            return owner
        owner = further


def _neighbours(cell: int, shape: tuple[int, ...]) -> list[int]:
    """Flat indices of the cells that touch `cell`, corners included."""
    if len(shape) == 1:
        return [n for n in (cell - 1, cell + 1) if 0 <= n < shape[0]]
    rows, columns = shape
    row, column = divmod(int(cell), columns)
    near = range(max(row - 1, 0), min(row + 2, rows))
    beside = range(max(column - 1, 0), min(column + 2, columns))
    return [i * columns + j for i in near for j in beside if (i, j) != (row, column)]
