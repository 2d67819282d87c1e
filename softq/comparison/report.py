"""The text of `softq compare`: tables of values with their intervals, and what the numbers rest on."""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from softq.comparison import summary
from softq.comparison.references import normalised, reference_scores
from softq.comparison.statistics import LEVEL
from softq.comparison.summary import BEST, GAP, IQM, LAST, MEAN, MEDIAN, REACHED, TIMES, Of
from softq.comparison.table import UNKNOWN
from softq.utils.errors import SoftqError
from softq.utils.text import digits

FEW = 5  # seeds, below which an interval is noticeably too narrow
WIDE = 6  # methods, above which a matrix of them is printed without intervals


def by_environment(table: pd.DataFrame, scores: Of, options: argparse.Namespace) -> list[pd.DataFrame]:
    """Print a table of returns for each environment, and return its rows."""
    last = f"last {options.window} mean"
    until = table if options.at in (LAST, BEST) else table[table["updates"] <= options.at]
    of_last = summary.scores_of(until, LAST, options.metric, options.window)
    parts = [
        summary.estimates(scores, name, summary.AGGREGATES[name], options.resamples) for name in (IQM, MEAN)
    ]
    parts.append(summary.estimates(of_last, last, summary.AGGREGATES[MEAN], options.resamples))
    found = pd.concat(parts, ignore_index=True)
    when = {LAST: "last evaluation", BEST: "best evaluation"}.get(
        options.at, f"evaluation at {options.at} updates"
    )
    for env in table["env"].unique():
        here = found[found["env"] == env]
        cells = here.assign(cell=[cell(row) for row in here.to_dict("records")])
        lines = cells.pivot(index="method", columns="statistic", values="cell").reindex(
            here["method"].unique()
        )
        ends = table[table["env"] == env].groupby(["method", "seed"])["updates"].max().groupby("method")
        counts = {"seeds": here.groupby("method")["runs"].first(), "last update": ends.agg(span)}
        lines = pd.DataFrame(counts).join(lines[[IQM, MEAN, last]]).loc[lines.index]
        print(f"{env}, {options.metric} of the {when}\n{shown(lines)}\n")
    return parts


def who_improves(scores: Of, envs: list[str], options: argparse.Namespace) -> pd.DataFrame:
    """Print the probabilities of improvement over `envs`, which need no common unit, and return the rows."""
    found = summary.improvements(scores, options.resamples)
    number = share if len(scores) <= WIDE else lambda row: f"{row['value']:.2f}"
    text = matrix(found, "against", number).reindex(columns=list(scores)).fillna("")
    print(f"Probability that a run of the row is better than one of the column, mean over {', '.join(envs)}")
    print(f"{shown(text)}\n")
    return found


def across_environments(
    scores: Of, envs: list[str], unit: str, options: argparse.Namespace
) -> list[pd.DataFrame]:
    """Print aggregates and profiles over `envs`, and return their rows."""
    found = summary.aggregates(scores, names(options), options.resamples)
    over = f"over {', '.join(envs)}"
    if options.normalise or len(envs) > 1:
        print(f"{unit.capitalize()} {over}\n{shown(matrix(found, 'statistic', cell))}\n")
    levels = np.linspace(0, 1, 5) if options.normalise else np.linspace(*extent(scores, envs), 7)[1:-1]
    above = summary.profiles(scores, np.unique(levels), options.resamples)
    text = matrix(above, "at", share).rename(columns=digits)
    print(f"Share of runs with a {unit} above a threshold, {over}\n{shown(text)}\n")
    return [found, above]


def until_threshold(found: pd.DataFrame, thresholds: dict[str, float], window: int) -> None:
    """Print when each method reached the threshold of each environment, by the rows of `summary.times`."""
    for env, threshold in thresholds.items():
        here = found[found["env"] == env]
        lines = here.pivot(index="method", columns="statistic", values="value").loc[here["method"].unique()]
        total = here.groupby("method")["runs"].first()
        text = pd.DataFrame(
            {"seeds": [f"{lines[REACHED][m]:.0f} of {total[m]}" for m in lines.index]}, lines.index
        )
        for column in TIMES:
            when = lines[f"median {column} to threshold"]
            if when.notna().any():
                text[f"median {column}"] = [
                    "never" if np.isinf(x) else "unknown" if np.isnan(x) else digits(x) for x in when
                ]
        print(f"{env}, mean of {window} evaluations first at least {threshold:g}\n{shown(text)}\n")


def footnotes(table: pd.DataFrame, options: argparse.Namespace) -> None:
    """Print what the numbers rest on."""
    seeds = table.groupby(["method", "env"])["seed"].nunique()
    ends = table.groupby(["env", "method", "seed"])["updates"].max().groupby("env").nunique()
    lines = [
        f"Brackets: {LEVEL:.0%} intervals over seeds (not over environments), by {options.resamples} stratified "
        "bootstrap resamples. An interquartile mean leaves out the lowest and the highest quarter of the runs, rounded "
        "down."
    ]
    if (seeds == 1).any():
        lines.append("A method with one seed has no interval.")
    if ((seeds > 1) & (seeds < FEW)).any():
        lines.append(
            f"Intervals from fewer than {FEW} seeds are too narrow: three seeds in one environment have their range, "
            "which contains the centre of a symmetric law in 75% of cases. One without width says that no resample "
            "differs, not that the number is certain."
        )
    if (ends > 1).any() and options.at in (LAST, BEST):
        several = ", ".join(ends.index[ends > 1])
        lines.append(
            f"In {several} the runs end after different numbers of updates; --at N compares them after N."
        )
    if options.at == BEST:
        lines.append("The best of many noisy evaluations is above the expected return.")
    if (table["settings"] == UNKNOWN).any():
        files = table.loc[table["settings"] == UNKNOWN, "run"].nunique()
        lines.append(
            f"{files} of the files do not record settings, so that softq cannot tell whether they are equal."
        )
    print("\n".join(lines))


def comparable(table: pd.DataFrame, scores: Of, options: argparse.Namespace) -> tuple[Of, list[str], str]:
    """The scores that can be put together, the environments that all methods have, and what the scores are.

    Without scores the last of these says why: raw returns of several environments have different units.
    """
    envs = summary.shared(scores)
    if not envs:
        return {}, [], "No environment has runs of every method, so there is nothing to put together."
    if options.normalise:
        if options.metric != "return":
            raise SoftqError(f"--normalise is for returns, not for {options.metric}; leave one out.")
        table = normalised(table[table["env"].isin(envs)], reference_scores(options.normalise))
        return summary.scores_of(table, options.at), envs, "normalised return"
    if len(envs) > 1:
        why = "Returns of different environments have no common unit; --normalise puts them together."
        return {}, envs, why
    return scores, envs, options.metric


def names(options: argparse.Namespace) -> tuple[str, ...]:
    """The aggregates to compute: the optimality gap only of normalised scores, since it needs a goal of 1."""
    return (IQM, MEAN, MEDIAN, GAP) if options.normalise else (IQM, MEAN)


def extent(scores: Of, envs: list[str]) -> tuple[float, float]:
    """The least and the largest score."""
    found = np.concatenate([by_env[env] for by_env in scores.values() for env in envs])
    return found.min(), found.max()


def span(values: pd.Series) -> str:
    """The range of whole numbers: "40000", or "20000 to 40000"."""
    least, most = values.min(), values.max()
    return f"{least}" if least == most else f"{least} to {most}"


def cell(row: dict[str, Any]) -> str:
    """A value and its interval, such as "9.3 [8.9, 9.6]", without the interval if there is none."""
    if np.isnan(row["low"]):
        return digits(row["value"])
    return f"{digits(row['value'])} [{digits(row['low'])}, {digits(row['high'])}]"


def share(row: dict[str, Any]) -> str:
    """A share and its interval, such as "0.67 [0.33, 1.00]", without the interval if there is none."""
    interval = "" if np.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return f"{row['value']:.2f}{interval}"


def shown(lines: pd.DataFrame) -> str:
    """The text of a table whose index and columns have no names."""
    return lines.rename_axis(index=None, columns=None).to_string()


def matrix(found: pd.DataFrame, columns: str, text: Callable[[dict], str]) -> pd.DataFrame:
    """The `text` of each row of `found`, by method and by another column, in their order."""
    cells = found.assign(cell=[text(row) for row in found.to_dict("records")])
    table = cells.pivot(index="method", columns=columns, values="cell")
    return table.loc[found["method"].unique(), found[columns].unique()]
