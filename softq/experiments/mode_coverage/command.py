"""`softq visits`: count, or look closely, one algorithm after the other; what a file holds already is not redone."""

import argparse
from pathlib import Path

import pandas as pd

from softq.algorithms import ALGORITHMS, get
from softq.experiments.mode_coverage.ablations import ABLATIONS, Ablation
from softq.experiments.mode_coverage.count import verdict, visits
from softq.experiments.mode_coverage.snapshot import snapshot
from softq.experiments.mode_coverage.tasks import TASKS
from softq.utils.atomic_files import atomic_write, csv_file
from softq.utils.cli_options import Parser, int_option
from softq.utils.errors import SoftqError, suggest


def add(table: pd.DataFrame, path: Path, digits: int, order: list[str]) -> None:
    """Write `table` behind what `path` holds, whole or not at all; algorithms in this order."""
    table = pd.concat([pd.read_csv(path), table]) if path.exists() else table
    table = table.sort_values("algorithm", key=lambda c: c.map(order.index), kind="stable")
    with atomic_write(path) as partial:
        table.round(digits).to_csv(partial, index=False)


def has_rows(path: Path, name: str) -> bool:
    return path.exists() and name in set(pd.read_csv(path)["algorithm"])


def parser_of(task: str | None) -> Parser:
    parser = Parser(
        prog=f"softq visits {task or '|'.join(TASKS)}",
        description="Train algorithms in a small task and count which modes, goals or paths their policies visit.",
    )
    add_option, number = parser.add_argument, {"type": int_option, "metavar": "N"}
    add_option("--out", metavar="FILE.csv", help="counts; algorithms in it are not redone")
    add_option("--paths", metavar="FILE.csv", help="also some paths of the first seed")
    add_option(
        "--portrait",
        metavar="PREFIX",
        help="instead: one training of each, its paths while it learns, its moves and its critic, in three files",
    )
    add_option("--algorithms", nargs="+", default=list(ALGORITHMS), metavar="NAME", help="[all]")
    add_option("--seeds", **number, default=10, help="trainings of each [10]")
    add_option("--episodes", **number, default=200, help="counted per training [200]")
    add_option("--keep", **number, default=40, help="paths that are stored [40]")
    add_option("--iterations", **number, help="updates, instead of the world's own")
    add_option("--variants", action="store_true", help="of the algorithms: one setting changed at a time")
    add_option("--no-progress", action="store_true", help="no progress bar")
    return parser


def command(argv: list[str]) -> int:
    """`softq visits`."""
    task = argv[0] if argv and not argv[0].startswith("-") else None
    options = parser_of(task).parse(argv[1:] if task else argv)
    if task not in TASKS:
        hint = suggest(task, TASKS) if task else ""
        raise SoftqError(f"name a task: softq visits {'|'.join(TASKS)} --out FILE.csv.{hint}")
    for name in ("seeds", "episodes", "keep", "iterations"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise SoftqError(f"--{name} is {value}; it must be at least 1.")
    for name in options.algorithms:
        get(name)
    if bool(options.out) == bool(options.portrait):
        raise SoftqError("name one of --out FILE.csv, for counts, and --portrait PREFIX.")
    return snapshots(task, options) if options.portrait else count_all(task, options)


def count_all(task: str, options: argparse.Namespace) -> int:
    """Trainings of every algorithm, or of every ablation, counted."""
    out, paths = csv_file(options.out), csv_file(options.paths) if options.paths else None
    if options.variants:
        runs = {k: v for k, v in ABLATIONS[task].items() if v.algorithm in options.algorithms}
        if not runs:
            raise SoftqError(
                f"{task} has no variants of {', '.join(options.algorithms)}; leave --variants out."
            )
    else:
        runs = {name: Ablation(name) for name in options.algorithms}
    order = [*ALGORITHMS, *ABLATIONS[task]]
    for label, ablation in runs.items():
        if has_rows(out, label):
            continue
        size = options.seeds, options.episodes, options.keep, options.iterations
        table, kept = visits(TASKS[task], label, ablation, *size, progress=not options.no_progress)
        if paths:
            add(kept, paths, 2, order)
        add(table, out, 2, order)
        print(f"{label}: {verdict(TASKS[task], table)}", flush=True)
    return 0


def snapshots(task: str, options: argparse.Namespace) -> int:
    """One training of every algorithm; PREFIX-during.csv, PREFIX-moves.csv, PREFIX-critics.csv."""
    if options.variants or options.paths:
        raise SoftqError("--portrait is of the algorithms as they are; leave --variants and --paths out.")
    files = {part: csv_file(f"{options.portrait}-{part}.csv") for part in ("during", "moves", "critics")}
    for name in options.algorithms:
        if has_rows(files["critics"], name):  # written last
            continue
        tables = snapshot(TASKS[task], name, iterations=options.iterations)
        for part, digits in (("during", 2), ("moves", 3), ("critics", 4)):
            add(tables[part], files[part], digits, list(ALGORITHMS))
        print(f"{name}: done", flush=True)
    return 0
