"""Statistical tests with a controlled error.

Every one returns a p-value. Compare it with `THRESHOLD`: with 200 tests in a suite, a fresh set of keys
raises a false alarm with probability 2e-4. A failing test is then a finding, never noise, and needs no
second try.
"""

import numpy as np
from scipy import stats

THRESHOLD = 1e-6


def equal_bins(cell_probabilities: np.ndarray, bins: int) -> np.ndarray:
    """Indices (k + 1,) into the edges that merge neighbouring cells into at most `bins` of about equal
    probability.

    Bins of equal width would leave cells with next to no expectation, for which chi-square is
    miscalibrated.
    """
    cumulative = np.cumsum(cell_probabilities)
    targets = cumulative[-1] * np.arange(1, bins) / bins
    inner = np.unique(np.searchsorted(cumulative, targets) + 1)
    inner = inner[(inner > 0) & (inner < len(cell_probabilities))]
    return np.concatenate([[0], inner, [len(cell_probabilities)]])


def chi_square(
    samples: np.ndarray,
    cell_probabilities: np.ndarray,
    edges: np.ndarray,
    atoms: np.ndarray | None = None,
    bins: int = 50,
) -> float:
    """p-value of Pearson's chi-square test of `samples` (n,) against a law on cells; `chi_square(x,
    *law)` works.

    The cells (k,) between `edges` (k + 1,) are merged into about equal-probability bins; `atoms` (2,),
    the point masses at the first and last edge, are bins of their own where they expect at least five
    samples and join their neighbour otherwise. Samples that are not finite or lie outside the edges give
    p = 0.
    """
    x = np.asarray(samples, float).ravel()
    if not np.all(np.isfinite(x)) or x.min() < edges[0] or x.max() > edges[-1]:
        return 0.0
    index = equal_bins(cell_probabilities, bins)
    expected = np.add.reduceat(cell_probabilities, index[:-1]) * x.size
    atoms = np.zeros(2) if atoms is None else np.asarray(atoms) * x.size
    separate = atoms >= 5
    at_wall = np.array([(x == edges[0]).sum(), (x == edges[-1]).sum()])
    observed = np.histogram(x, edges[index])[0].astype(float)
    for side, end in enumerate((0, -1)):
        if separate[side]:
            observed[end] -= at_wall[side]
        else:
            expected[end] += atoms[side]
    observed = np.concatenate([observed, at_wall[separate]])
    expected = np.concatenate([expected, atoms[separate]])
    expected *= x.size / expected.sum()
    statistic = ((observed - expected) ** 2 / expected).sum()
    return float(stats.chi2.sf(statistic, len(expected) - 1))


def binomial(count: int, trials: int, probability: float) -> float:
    """Two-sided p-value of `count` successes in `trials` of the given `probability`."""
    return float(stats.binomtest(int(count), int(trials), probability).pvalue)


def mean_test(samples: np.ndarray, mean: float) -> float:
    """Two-sided p-value that independent `samples` (n,) have expectation `mean`, by the normal
    approximation.
    """
    x = np.asarray(samples, float).ravel()
    spread = x.std(ddof=1) / np.sqrt(x.size)
    if spread == 0:
        return 1.0 if x[0] == mean else 0.0
    return float(2 * stats.norm.sf(abs(x.mean() - mean) / spread))
