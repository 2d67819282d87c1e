"""The commands `softq results`, `softq compare` and `softq plot`."""

import argparse
from typing import Any

import numpy as np
import pandas as pd

from softq.comparison import report, summary
from softq.comparison.references import PUBLISHED
from softq.comparison.statistics import RESAMPLES
from softq.comparison.summary import BEST, LAST, TIMES
from softq.comparison.table import collect, table_file, write
from softq.utils.atomic_files import atomic_write, csv_file, out_file
from softq.utils.cli_options import Parser, int_option
from softq.utils.errors import SoftqError

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
    across, envs, unit = report.comparable(table, scores, options)
    reached = summary.times(table, thresholds, options.window)
    parts = report.by_environment(table, scores, options)
    if len(scores) > 1 and envs:
        parts.append(report.who_improves(scores, envs, options))
    if across:
        parts += report.across_environments(across, envs, unit, options)
    else:
        print(f"{unit}\n")
    if thresholds:
        report.until_threshold(reached, thresholds, options.window)
        parts.append(reached)
    report.footnotes(table, options)
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
    across, envs, unit = report.comparable(table, scores, options)
    if not across:
        raise SoftqError(unit)
    if options.kind == "profile":
        thresholds = np.linspace(*report.extent(across, envs), 101)
        return figures.profiles(summary.profiles(across, thresholds, options.resamples), envs, unit)
    return figures.aggregates(
        summary.aggregates(across, report.names(options), options.resamples), envs, unit
    )


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
    parser.add_argument(
        "--by",
        nargs="+",
        default=[],
        metavar="SETTING",
        help="tell the runs of one algorithm apart by these settings, such as temperature; for run directories",
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
    return collect(options.paths, labels, [name.replace("-", "_") for name in options.by])


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
