"""The statistics of a tidy table as rows of one long table: what `softq compare` prints and what `softq plot` draws."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from softq.comparison.statistics import (
    RESAMPLES,
    bootstrap,
    improvement,
    interquartile_mean,
    mean,
    median,
    optimality_gap,
    profile,
    time_to_threshold,
)
from softq.utils.errors import SoftqError

COLUMNS = ["env", "method", "against", "statistic", "at", "value", "low", "high", "runs"]
ALL = "all"  # in the place of an environment: all that every method has
IQM, MEAN, MEDIAN, GAP = "interquartile mean", "mean", "median", "optimality gap"
AGGREGATES: Mapping[str, Callable] = {
    IQM: interquartile_mean,
    MEAN: mean,
    MEDIAN: median,
    GAP: optimality_gap,
}
IMPROVEMENT, PROFILE, REACHED = "probability of improvement", "share above", "reached"
TIMES = ("updates", "env_steps", "seconds")
LAST, BEST = "last", "best"
Of = dict[str, dict[str, np.ndarray]]  # scores `(runs,)` by method and environment


def scores_of(table: pd.DataFrame, at: str | int = LAST, metric: str = "return", window: int = 1) -> Of:
    """One score of each run, by method and environment.

    `at` is "last", the mean of the last `window` evaluations; "best", the largest value of all evaluations; or a
    number of updates. Raises `SoftqError` for a metric that the table lacks, and when a run was not evaluated then.
    """
    known = [str(name) for name in table.select_dtypes("number")]
    if metric not in known:
        raise SoftqError(f"no metric '{metric}' in the evaluations; they have {', '.join(known)}.")
    found: Of = {}
    for (method, env), rows in table.groupby(["method", "env"], sort=False):
        runs = rows.sort_values("updates").groupby("seed", sort=True)
        scores = [score(run[["updates", metric]].dropna(), at, window) for _, run in runs]
        if any(x is None for x in scores):
            there = sorted(rows["updates"].unique())
            near = min(there, key=lambda x: abs(x - int(at)))
            raise SoftqError(
                f"{method} in {env} has a run without evaluation at {at} updates; near it is {near}."
            )
        found.setdefault(str(method), {})[str(env)] = np.array(scores, float)
    return found


def score(run: pd.DataFrame, at: str | int, window: int) -> float | None:
    """The score of one run whose evaluations are in order, None if it has none at the asked number of updates."""
    values = run.iloc[:, 1]
    if at == LAST:
        return values.tail(window).mean()
    if at == BEST:
        return values.max()
    there = values[run["updates"] == at]
    return None if there.empty else there.iloc[0]


def shared(scores: Of) -> list[str]:
    """The environments in which every method has runs, in their order."""
    first, *rest = scores.values()
    return [env for env in first if all(env in other for other in rest)]


def rows(lines: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    """The long table of `lines`."""
    return pd.DataFrame(list(lines), columns=COLUMNS)


def estimates(scores: Of, name: str, statistic: Callable, resamples: int = RESAMPLES) -> pd.DataFrame:
    """A row for each method and environment: `statistic`, which is called `name`, with its interval."""
    lines = []
    for method, by_env in scores.items():
        for env, x in by_env.items():
            low, high = bootstrap(statistic, [x], resamples=resamples)
            lines.append((env, method, "", name, np.nan, statistic([x]), low, high, x.size))
    return rows(lines)


def aggregates(scores: Of, names: Iterable[str] = AGGREGATES, resamples: int = RESAMPLES) -> pd.DataFrame:
    """A row for each method and aggregate over the shared environments, with its interval."""
    lines = []
    for method, by_env in scores.items():
        given = [by_env[env] for env in shared(scores)]
        for name in names:
            low, high = bootstrap(AGGREGATES[name], given, resamples=resamples)
            value = AGGREGATES[name](given)
            lines.append((ALL, method, "", name, np.nan, value, low, high, sum(x.size for x in given)))
    return rows(lines)


def improvements(scores: Of, resamples: int = RESAMPLES) -> pd.DataFrame:
    """A row for each ordered pair of methods: the probability of improvement over the shared environments."""
    lines = []
    for method, by_env in scores.items():
        for other, of_other in scores.items():
            if method == other:
                continue
            pair = [[x[env] for env in shared(scores)] for x in (by_env, of_other)]
            low, high = bootstrap(improvement, *pair, resamples=resamples)
            runs = sum(x.size for x in pair[0])
            lines.append((ALL, method, other, IMPROVEMENT, np.nan, improvement(*pair), low, high, runs))
    return rows(lines)


def profiles(scores: Of, thresholds: np.ndarray, resamples: int = RESAMPLES) -> pd.DataFrame:
    """A row for each method and threshold: the share of runs of the shared environments with a score above it."""
    parts = []
    for method, by_env in scores.items():
        given = [by_env[env] for env in shared(scores)]
        share = lambda x: profile(x, thresholds)
        low, high = bootstrap(share, given, resamples=resamples)
        numbers = {"at": thresholds, "value": share(given), "low": low, "high": high}
        part = pd.DataFrame(numbers).assign(env=ALL, method=method, against="", statistic=PROFILE)
        parts.append(part.assign(runs=sum(x.size for x in given))[COLUMNS])
    return pd.concat(parts, ignore_index=True)


def first_times(
    table: pd.DataFrame, env: str, threshold: float, column: str, window: int
) -> dict[str, np.ndarray]:
    """For each method the `column` at which each of its runs first reached the `threshold`, infinite where none did."""
    found: dict[str, list[float]] = {}
    here = table[table["env"] == env].sort_values("updates")
    for (method, _), run in here.groupby(["method", "seed"]):
        when, returns = run[column].to_numpy(float), run["return"].to_numpy(float)
        found.setdefault(str(method), []).append(time_to_threshold(when, returns, threshold, window))
    order = table["method"].unique()
    return {method: np.array(found[method]) for method in order if method in found}


def times(table: pd.DataFrame, thresholds: Mapping[str, float], window: int) -> pd.DataFrame:
    """Rows for each method: how many runs reached the threshold of an environment, and the medians of when.

    The median is over all runs of the method, those that never reached it counting as infinite. Seconds are NaN where
    the table does not have them. Raises `SoftqError` for an environment that the table does not have.
    """
    lines = []
    for env, threshold in thresholds.items():
        if env not in set(table["env"]):
            raise SoftqError(f"--threshold names {env}; the results have {', '.join(table['env'].unique())}.")
        for column in TIMES:
            for method, x in first_times(table, env, threshold, column, window).items():
                if column == TIMES[0]:
                    lines.append(
                        (env, method, "", REACHED, threshold, np.isfinite(x).sum(), np.nan, np.nan, x.size)
                    )
                name = f"median {column} to threshold"
                lines.append((env, method, "", name, threshold, np.median(x), np.nan, np.nan, x.size))
    return rows(lines)
