"""Estimates from few runs of several tasks, with intervals.

The definitions are those of Agarwal, Schwarzer, Castro, Courville and Bellemare, "Deep reinforcement learning at the
edge of the statistical precipice", NeurIPS 2021 (Sections 3 and 4). The scores of a method are one array of runs for
each of M tasks, and the tasks may have different numbers of runs:

    scores[m] = x_{m,1}, ..., x_{m,N_m}

Each estimator reduces the last axis of these arrays, so that arrays `(resamples, N_m)` give all resamples at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

Scores = Sequence[np.ndarray]
LEVEL = 0.95  # share of the resamples that an interval holds
RESAMPLES = 2000
SEED = 0  # of the resampling, so that an interval is the same each time


def by_task(matrix: Any) -> list[np.ndarray]:
    """The scores of a `(runs, tasks)` matrix, as the paper writes them: one array of runs for each task."""
    return list(np.asarray(matrix, float).T)


def interquartile_mean(scores: Scores) -> np.ndarray:
    """The mean of the middle half of all runs of all tasks together.

    Of n = sum_m N_m sorted scores the lowest and the highest floor(n / 4) are left out, and the mean is that of the
    rest. Scores are never split, as in the authors' code: of three scores none is left out, of five the two outermost.
    A task with more runs than the others weighs more.
    """
    return stats.trim_mean(np.concatenate(scores, axis=-1), 0.25, axis=-1)


def mean(scores: Scores) -> np.ndarray:
    """The mean over tasks of the mean over runs: (1/M) sum_m (1/N_m) sum_n x_{m,n}."""
    return np.mean([x.mean(-1) for x in scores], axis=0)


def median(scores: Scores) -> np.ndarray:
    """The median over tasks of the mean over runs. Of a single task it is the mean over the runs, not their median."""
    return np.median([x.mean(-1) for x in scores], axis=0)


def optimality_gap(scores: Scores, goal: float = 1.0) -> np.ndarray:
    """How far runs fall short of `goal` on average: goal - (1/M) sum_m (1/N_m) sum_n min(x_{m,n}, goal)."""
    return goal - mean([np.minimum(x, goal) for x in scores])


def improvement(scores: Scores, others: Scores) -> np.ndarray:
    """The probability that a run of one method is better than a run of another, averaged over the tasks.

    P(X > Y) = (1/M) sum_m (1 / (N_m K_m)) sum_{n,k} s(x_{m,n}, y_{m,k}), where s(x, y) is 1 if x > y, 1/2 if x = y and
    0 otherwise: the statistic U of Mann and Whitney, divided by the number of pairs.
    """
    shares = [
        (np.sign(x[..., :, None] - y[..., None, :]).mean((-2, -1)) + 1) / 2
        for x, y in zip(scores, others, strict=True)
    ]
    return np.mean(shares, axis=0)


def profile(scores: Scores, thresholds: np.ndarray) -> np.ndarray:
    """The share of runs whose score is above each threshold: (1/M) sum_m (1/N_m) sum_n 1{x_{m,n} > tau}.

    The paper calls it the run-score distribution. The last axis of the result is that of `thresholds` `(k,)`.
    """
    return np.mean([(x[..., None] > thresholds).mean(-2) for x in scores], axis=0)


def resampled(scores: Scores, resamples: int, generator: np.random.Generator) -> list[np.ndarray]:
    """`(resamples, N_m)` for each task: its own N_m runs, drawn with replacement from its own runs only."""
    return [x[generator.integers(x.size, size=(resamples, x.size))] for x in scores]


def bootstrap(
    statistic: Callable[..., np.ndarray],
    *scores: Scores,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the stratified bootstrap interval of `statistic(*scores)`: percentiles of its values on resamples.

    Runs are resampled within each task, and independently for each of `scores`. The interval speaks of other seeds on
    the same tasks, not of other tasks. It is NaN where a task has a single run, which does not say how runs vary.

    With few runs it is too narrow. Of three runs of one task it is their whole range, since a resample repeats one run
    three times with probability 1/27 > 0.025; the range contains the centre of a symmetric law in 1 - 2 / 2^3 = 75% of
    cases.
    """
    generator = np.random.default_rng(seed)
    drawn = np.asarray(statistic(*(resampled(x, resamples, generator) for x in scores)))
    tails = 50 * (1 - level), 50 * (1 + level)
    low, high = np.percentile(drawn, tails, axis=0)
    if any(x.size < 2 for group in scores for x in group):
        return np.full_like(low, np.nan), np.full_like(high, np.nan)
    return low, high


def time_to_threshold(times: np.ndarray, returns: np.ndarray, threshold: float, window: int = 1) -> float:
    """The first of `times` `(k,)` at which the mean of the last `window` `returns` `(k,)` is at least `threshold`.

    It is infinite for a run that never gets there, so that the median over runs counts it as later than all that do.
    There is no running mean before the `window`-th evaluation.
    """
    if len(returns) < window:
        return np.inf
    running = np.lib.stride_tricks.sliding_window_view(returns, window).mean(-1)
    (reached,) = np.nonzero(running >= threshold)
    return float(times[window - 1 + reached[0]]) if reached.size else np.inf
