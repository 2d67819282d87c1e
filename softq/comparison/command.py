"""The commands `softq results`, `softq compare` and `softq plot`."""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from softq.comparison import summary
from softq.comparison.references import PUBLISHED, normalised, reference_scores
from softq.comparison.statistics import LEVEL, RESAMPLES
from softq.comparison.summary import BEST, GAP, IQM, LAST, MEAN, MEDIAN, REACHED, TIMES, Of
from softq.comparison.table import UNKNOWN, collect, table_file, write
from softq.utils.atomic_files import atomic_write, csv_file, out_file
from softq.utils.cli_options import Parser, int_option
from softq.utils.errors import SoftqError
from softq.utils.text import digits

FEW = 5  # seeds, below which an interval is noticeably too narrow
WIDE = 6  # methods, above which a matrix of them is printed without intervals
PICTURES = (".png", ".svg", ".pdf")


def results(argv: list[str]) -> int:
    """Run `softq results` and return its exit code. Raises `SoftqError` for bad input."""
    parser = inputs("softq results", "Collect the evaluations of runs in one tidy table, a row for each.")
    parser.add_argument("--out", required=True, metavar="FILE", help="file for the table, .csv or .parquet")
    options = parser.parse(argv)
    table_file(options.out)
    table = read(options)
    count = write(table, options.out)
    print(f"{options.out}: {count} evaluations of {runs(table)} runs, {table['method'].nunique()} methods")
    return 0


def compare(argv: list[str]) -> int:
    """Run `softq compare` and return its exit code. Raises `SoftqError` for bad input."""
    parser = inputs(
        "softq compare", "Compare methods: returns with intervals over seeds, and who improves on whom."
    )
    statistics_options(parser)
    parser.add_argument("--out", metavar="FILE.csv", help="file for all numbers, a row for each")
    options = parser.parse(argv)
    if options.out:
        csv_file(options.out)
    table, thresholds = read(options), levels(options)
    scores = summary.scores_of(table, options.at, options.metric)
    across, envs, unit = comparable(table, scores, options)
    parts = by_environment(table, scores, options)
    if len(scores) > 1 and envs:
        parts.append(who_improves(scores, envs, options))
    if across:
        parts += across_environments(across, envs, unit, options)
    else:
        print(f"{unit}\n")
    if thresholds:
        parts.append(until_threshold(table, thresholds, options.window))
    footnotes(table, options)
    if options.out:
        print(f"{options.out}: {write(pd.concat(parts, ignore_index=True), options.out)} numbers")
    return 0


def plot(argv: list[str]) -> int:
    """Run `softq plot` and return its exit code. Raises `SoftqError` for bad input."""
    parser = inputs("softq plot", "Draw learning curves and comparisons of methods.")
    statistics_options(parser)
    endings = ", ".join(PICTURES)
    parser.add_argument("--out", required=True, metavar="FILE", help=f"file for the picture, {endings}")
    parser.add_argument(
        "--kind",
        choices=("curves", "aggregate", "profile", "improvement", "threshold"),
        default="curves",
        help="curves, the returns during training; aggregate, statistics over all environments; profile, the share of "
        "runs above each score; improvement, who is better than whom; threshold, when a return was reached [curves]",
    )
    parser.add_argument(
        "--x", choices=TIMES, default=TIMES[1], help=f"what curves and thresholds are drawn over [{TIMES[1]}]"
    )
    parser.add_argument(
        "--dpi", type=int_option, default=150, metavar="N", help="dots per inch of a .png [150]"
    )
    options = parser.parse(argv)
    path = out_file(options.out, *PICTURES)
    table = read(options)

    import matplotlib as mpl

    mpl.use("agg")  # which draws into files and needs no display
    import matplotlib.pyplot as plt

    from softq.plots import STYLE

    with mpl.rc_context(STYLE), atomic_write(path) as partial:
        figure = drawn(table, options)
        figure.savefig(partial, format=path.suffix[1:], dpi=options.dpi, bbox_inches="tight")
        plt.close(figure)
    print(f"{path}: {options.kind} of {table['method'].nunique()} methods, {runs(table)} runs")
    return 0


def drawn(table: pd.DataFrame, options: argparse.Namespace) -> Any:
    """The figure of `options.kind`. Raises `SoftqError` for scores that cannot be put together."""
    from softq.comparison import figures

    if options.kind == "curves":
        return figures.curves(table, options.x)
    if options.kind == "threshold":
        if not (thresholds := levels(options)):
            raise SoftqError("name a return to reach: --threshold Reacher-v5=-6.")
        summary.times(table, thresholds, options.window)  # for its complaint about an unknown environment
        return figures.times(table, thresholds, options.window, options.x)
    scores = summary.scores_of(table, options.at, options.metric)
    if options.kind == "improvement":
        if len(scores) < 2 or not summary.shared(scores):
            raise SoftqError(
                "who is better than whom takes two methods that have runs in the same environment."
            )
        return figures.improvements(summary.improvements(scores, options.resamples), summary.shared(scores))
    across, envs, unit = comparable(table, scores, options)
    if not across:
        raise SoftqError(unit)
    if options.kind == "profile":
        thresholds = np.linspace(*extent(across, envs), 101)
        return figures.profiles(summary.profiles(across, thresholds, options.resamples), envs, unit)
    return figures.aggregates(summary.aggregates(across, names(options), options.resamples), envs, unit)


def inputs(prog: str, description: str) -> Parser:
    """The parser of a command that reads runs."""
    parser = Parser(prog=prog, description=description)
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="FILE_OR_DIR",
        help="run directories, folders of these, and files that `softq results` or `softq export` has written",
    )
    parser.add_argument(
        "--label",
        nargs="+",
        default=[],
        metavar="NAME=PATH",
        help="read PATH too, as a method called NAME; without it a method is called by its algorithm",
    )
    return parser


def statistics_options(parser: Parser) -> None:
    """Add the options that `softq compare` and `softq plot` share."""
    add, number = parser.add_argument, {"type": int_option, "metavar": "N"}
    add(
        "--metric",
        default="return",
        metavar="NAME",
        help="column of the evaluations to compare, more is better [return]",
    )
    add(
        "--at",
        default=LAST,
        metavar="WHEN",
        help="the evaluation of each run that counts: last; best, which flatters noisy methods; or a number of updates "
        "[last]",
    )
    add(
        "--normalise",
        metavar="FILE",
        help="CSV file with env, low and high: scores become (return - low) / (high - low), which puts environments "
        f"together; {PUBLISHED}: returns of random actions and published ones of SAC and TD3 on MuJoCo",
    )
    add(
        "--threshold",
        nargs="+",
        default=[],
        metavar="ENV=RETURN",
        help="say when the mean of the last --window evaluations first reached this return",
    )
    add("--window", **number, default=3, help="number of evaluations in that mean and in the last mean [3]")
    add(
        "--resamples", **number, default=RESAMPLES, help=f"number of resamples of the bootstrap [{RESAMPLES}]"
    )


def read(options: argparse.Namespace) -> pd.DataFrame:
    """The table of the paths in `options`. Raises `SoftqError` for options that make no sense."""
    for name in ("window", "resamples", "dpi"):
        if getattr(options, name, 1) < 1:
            raise SoftqError(f"--{name} is {getattr(options, name)}; it must be at least 1.")
    if (at := getattr(options, "at", LAST)) not in (LAST, BEST):
        try:
            options.at = int_option(at)
        except argparse.ArgumentTypeError:
            raise SoftqError(f"--at is {at}; it must be {LAST}, {BEST} or a number of updates.") from None
    labels = {}
    for word in options.label:
        name, found, path = word.partition("=")
        if not (name and found and path):
            raise SoftqError(f"--label is {word}; write NAME=PATH.")
        labels[path] = name
    if not options.paths and not labels:
        raise SoftqError("name run directories, or files of `softq results`.")
    return collect(options.paths, labels)


def levels(options: argparse.Namespace) -> dict[str, float]:
    """The returns of --threshold, by environment. Raises `SoftqError` for words of another form."""
    found = {}
    for word in options.threshold:
        env, _, value = word.rpartition("=")
        try:
            found[env] = float(value)
        except ValueError:
            env = ""
        if not env:
            raise SoftqError(f"--threshold is {word}; write ENV=RETURN, as in Reacher-v5=-6.")
    return found


def runs(table: pd.DataFrame) -> int:
    """The number of runs, one for each seed, in a table of evaluations."""
    return len(table[["method", "env", "seed"]].drop_duplicates())


def names(options: argparse.Namespace) -> tuple[str, ...]:
    """The aggregates to compute: the optimality gap only of normalised scores, since it needs a goal of 1."""
    return (IQM, MEAN, MEDIAN, GAP) if options.normalise else (IQM, MEAN)


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


def extent(scores: Of, envs: list[str]) -> tuple[float, float]:
    """The least and the largest score."""
    found = np.concatenate([by_env[env] for by_env in scores.values() for env in envs])
    return found.min(), found.max()


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


def span(values: pd.Series) -> str:
    """The range of whole numbers: "40000", or "20000 to 40000"."""
    least, most = values.min(), values.max()
    return f"{least}" if least == most else f"{least} to {most}"


def cell(row: dict[str, Any]) -> str:
    """A value and its interval, such as "9.3 [8.9, 9.6]", without the interval if there is none."""
    if np.isnan(row["low"]):
        return digits(row["value"])
    return f"{digits(row['value'])} [{digits(row['low'])}, {digits(row['high'])}]"


def shown(lines: pd.DataFrame) -> str:
    """The text of a table whose index and columns have no names."""
    return lines.rename_axis(index=None, columns=None).to_string()


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


def share(row: dict[str, Any]) -> str:
    """A share and its interval, such as "0.67 [0.33, 1.00]", without the interval if there is none."""
    interval = "" if np.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return f"{row['value']:.2f}{interval}"


def matrix(found: pd.DataFrame, columns: str, text: Callable[[dict], str]) -> pd.DataFrame:
    """The `text` of each row of `found`, by method and by another column, in their order."""
    cells = found.assign(cell=[text(row) for row in found.to_dict("records")])
    table = cells.pivot(index="method", columns=columns, values="cell")
    return table.loc[found["method"].unique(), found[columns].unique()]


def until_threshold(table: pd.DataFrame, thresholds: dict[str, float], window: int) -> pd.DataFrame:
    """Print when each method reached the threshold of each environment, and return the rows."""
    found = summary.times(table, thresholds, window)
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
                text[f"median {column}"] = ["never" if np.isinf(x) else digits(x) for x in when]
        print(f"{env}, mean of {window} evaluations first at least {threshold:g}\n{shown(text)}\n")
    return found


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
