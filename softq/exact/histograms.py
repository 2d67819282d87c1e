"""Distance of a histogram of samples from exact probabilities of the cells of a regular grid on the box."""

import numpy as np


def histogram_tv(actions: np.ndarray, probabilities: np.ndarray) -> float:
    """Total variation, in [0, 1], between the histogram of `actions` `(n, d)` and the exact law of the cells.

    `probabilities` `(bins, ..., bins)` has one axis for each coordinate; the cells divide [-1, 1]^d evenly.
    """
    counts, _ = np.histogramdd(actions, bins=probabilities.shape, range=[(-1, 1)] * probabilities.ndim)
    return float(0.5 * np.abs(counts / len(actions) - probabilities).sum())


def tv_floor(probabilities: np.ndarray, num: int) -> float:
    """Expected `histogram_tv` of `num` exact draws: the part of the distance that is sampling error.

    It uses the normal approximation E|X - num p| = sqrt(2 num p (1 - p) / pi) for the count X of a cell.
    """
    return float(0.5 * np.sqrt(2 * probabilities * (1 - probabilities) / (np.pi * num)).sum())
