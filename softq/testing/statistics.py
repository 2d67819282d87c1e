"""Statistical tests with a controlled rate of false alarms.

Each returns a p-value to compare with `THRESHOLD`, 1e-6. In a suite of 200 tests fresh keys then raise a false alarm
with probability 2e-4, so that a test that fails is a finding and not noise, and need not be tried again.
"""

import numpy as np
from scipy import stats

THRESHOLD = 1e-6


def equal_bins(cell_probabilities: np.ndarray, bins: int) -> np.ndarray:
    """Indices `(k + 1,)` into the edges of cells that merge them into k <= `bins` bins of about equal probability.

    Bins of equal width could have an expectation near zero, for which the chi-square test is miscalibrated.
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
    """p-value of Pearson's chi-square test of `samples` `(n,)` against a law, given as `*law` of `softq.exact.laws`.

    The law has the probabilities of cells `(k,)` between `edges` `(k + 1,)`, and `atoms` `(2,)`, point masses at the
    first and last edge. Cells are merged into bins of about equal probability. An atom is a bin of its own where at
    least five samples are expected in it, and joins its neighbour otherwise. The p-value is 0 when a sample is not
    finite or lies outside the edges.
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
    """Two-sided p-value of `count` successes in `trials` independent trials that each succeed with `probability`."""
    return float(stats.binomtest(int(count), int(trials), probability).pvalue)


def mean_test(samples: np.ndarray, mean: float) -> float:
    """Two-sided p-value of the hypothesis that independent `samples` `(n,)` have expectation `mean`, by a z-test."""
    x = np.asarray(samples, float).ravel()
    spread = x.std(ddof=1) / np.sqrt(x.size)
    if spread == 0:
        return 1.0 if x[0] == mean else 0.0
    return float(2 * stats.norm.sf(abs(x.mean() - mean) / spread))
