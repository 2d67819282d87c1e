"""Statistics of counts of trainings: an interval for 7 of 10 successes, and a test of 9 of 10 against 6 of 10."""

from scipy import stats

from softq.utils.errors import SoftqError


def interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The exact (Clopper-Pearson) interval, in [0, 1], for the chance behind `successes` of `trials`.

    It covers the true chance with probability `level` or more, whatever that chance is. Raises `SoftqError` when
    `successes` is not between 0 and `trials`, or `trials` is not positive.
    """
    _check(successes, trials)
    found = stats.binomtest(int(successes), int(trials)).proportion_ci(level, method="exact")
    return float(found.low), float(found.high)


def differ(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Fisher's exact two-sided p-value that two counts `(successes, trials)` come from one chance of success.

    Raises `SoftqError` as `interval` does.
    """
    for successes, trials in (first, second):
        _check(successes, trials)
    rows = [(successes, trials - successes) for successes, trials in (first, second)]
    return float(stats.fisher_exact(rows).pvalue)


def described(successes: int, trials: int, level: float = 0.95) -> str:
    """A count with its interval in per cent, as the tables of the book print it: "7 of 10 (35 to 93 %)"."""
    low, high = interval(successes, trials, level)
    return f"{successes} of {trials} ({100 * low:.0f} to {100 * high:.0f} %)"


def _check(successes: int, trials: int) -> None:
    if not trials > 0 or not 0 <= successes <= trials:
        raise SoftqError(
            f"{successes} of {trials} is no count: it must be at least 0, and at most a positive total."
        )
