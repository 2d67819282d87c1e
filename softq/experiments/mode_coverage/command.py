"""The command `softq visits`: counts or snapshots of one algorithm after another; rows of a file are not made again."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from softq.algorithms import ALGORITHMS, get
from softq.envs import is_jax
from softq.experiments.growing_table import append, has_rows
from softq.experiments.mode_coverage.ablations import ABLATIONS, Ablation
from softq.experiments.mode_coverage.count import verdict, visits
from softq.experiments.mode_coverage.snapshot import snapshot
from softq.experiments.mode_coverage.tasks import TASKS
from softq.utils.atomic_files import csv_file
from softq.utils.cli_options import Keywords, Parser, int_option
from softq.utils.errors import SoftqError, suggest

USAGE = "|".join((*TASKS, "all"))


@dataclass(frozen=True)
class Table:
    """A file of counts, and the settings of the environment in which the episodes for it are played."""

    out: Path
    paths: Path | None = None  # file for some paths
    test_kwargs: dict[str, Any] = field(default_factory=dict)


def stored(folder: str) -> dict[str, list[Table]]:
    """The tables that `softq visits all` completes in `folder`, by task; those of a task share its trainings."""
    at = lambda name: csv_file(str(Path(folder) / name))
    return {
        "bandit": [Table(at("bandit-modes.csv"))],
        "multigoal": [
            Table(at("multigoal-modes.csv")),
            Table(at("multigoal-blocked.csv"), test_kwargs={"blocked": "north"}),
        ],
        "maze": [Table(at("maze-visits.csv"), at("maze-paths.csv"))],
    }


def parser_of(task: str | None) -> Parser:
    """The options of `softq visits`; `task` appears in the usage line."""
    parser = Parser(
        prog=f"softq visits {task or USAGE}",
        description="Train algorithms on a small task and count which modes, goals or paths their policies visit. "
        "The task all stands for the tables of bandit, multigoal and maze in the folder results/. The task pointmaze, "
        "the maze of DQS's released code, needs the extra robotics and is counted by itself.",
    )
    add_option, number = parser.add_argument, {"type": int_option, "metavar": "N"}
    add_option(
        "--out",
        metavar="FILE.csv",
        help="file for the counts, or with the task all the folder of the files; algorithms in a file are not trained "
        "for it again",
    )
    add_option("--paths", metavar="FILE.csv", help="file for some paths of the first seed of each algorithm")
    add_option(
        "--portrait",
        metavar="PREFIX",
        help="instead of counts, write PREFIX-during.csv, PREFIX-moves.csv and PREFIX-critics.csv: paths during one "
        "training of each algorithm, and at its end the moves and the critic",
    )
    add_option(
        "--algorithms", nargs="+", default=list(ALGORITHMS), metavar="NAME", help="algorithms to train [all]"
    )
    add_option("--seeds", **number, default=10, help="number of trainings of each algorithm [10]")
    add_option(
        "--episodes",
        **number,
        default=200,
        help="number of episodes that are counted for each training [200]",
    )
    add_option(
        "--keep", **number, default=40, help="number of paths of each algorithm that --paths stores [40]"
    )
    add_option("--iterations", **number, help="number of updates of a training, instead of the task's own")
    add_option(
        "--variants",
        action="store_true",
        help="train ablations of the algorithms, with one setting changed at a time, instead of the algorithms",
    )
    add_option(
        "--test-kwargs",
        nargs="+",
        action=Keywords,
        default={},
        metavar="NAME=VALUE",
        help="settings of the environment in which the episodes are counted, for example blocked=north in multigoal; "
        "training has the default ones",
    )
    add_option("--no-progress", action="store_true", help="show no progress bar")
    return parser


def command(argv: list[str]) -> int:
    """Run `softq visits` with the words `argv` and return its exit code. Raises `SoftqError` for bad input."""
    task = argv[0] if argv and not argv[0].startswith("-") else None
    options = parser_of(task).parse(argv[1:] if task else argv)
    if task is None or task not in (*TASKS, "all"):
        hint = suggest(task, (*TASKS, "all")) if task else ""
        raise SoftqError(f"name a task: softq visits {USAGE} --out FILE.csv.{hint}")
    for name in ("seeds", "episodes", "keep", "iterations"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise SoftqError(f"--{name} is {value}; it must be at least 1.")
    for name in options.algorithms:
        get(name)
    if task == "all":
        for each, tables in all_tables(options).items():
            count_all(each, tables, options)
        return 0
    if bool(options.out) == bool(options.portrait):
        raise SoftqError("name one of --out FILE.csv, for counts, and --portrait PREFIX.")
    if options.portrait:
        return snapshots(task, options)
    paths = csv_file(options.paths) if options.paths else None
    count_all(task, [Table(csv_file(options.out), paths, options.test_kwargs)], options)
    return 0


def all_tables(options: argparse.Namespace) -> dict[str, list[Table]]:
    """The tables of `softq visits all`. Raises `SoftqError` for options that it does not take."""
    if options.variants or options.paths or options.portrait or options.test_kwargs:
        raise SoftqError("softq visits all takes no --variants, --paths, --portrait or --test-kwargs.")
    if not options.out or not Path(options.out).is_dir():
        raise SoftqError(f"--out is {options.out}; softq visits all writes into a folder that exists.")
    return stored(options.out)


def count_all(task: str, tables: list[Table], options: argparse.Namespace) -> None:
    """Train and count the chosen algorithms, or with --variants their ablations, and print a line for each table.

    A training serves all `tables` in which the algorithm has no rows yet.
    """
    if options.variants:
        runs = {k: v for k, v in ABLATIONS[task].items() if v.algorithm in options.algorithms}
        if not runs:
            raise SoftqError(
                f"{task} has no variants of {', '.join(options.algorithms)}; leave --variants out."
            )
    else:
        runs = {name: Ablation(name) for name in options.algorithms}
    order = {"algorithm": [*ALGORITHMS, *ABLATIONS[task]]}
    for label, ablation in runs.items():
        missing = [table for table in tables if not has_rows(table.out, algorithm=label)]
        if not missing:
            continue
        size = options.seeds, options.episodes, options.keep, options.iterations
        tests = [table.test_kwargs for table in missing]
        found = visits(TASKS[task], label, ablation, *size, progress=not options.no_progress, tests=tests)
        for table, (counts, kept) in zip(missing, found, strict=True):
            if table.paths:
                append(kept, table.paths, 2, order)
            append(counts, table.out, 2, order)
            where = f"{label} in {table.out.name}" if len(tables) > 1 else label
            print(f"{where}: {verdict(TASKS[task], counts)}", flush=True)


def snapshots(task: str, options: argparse.Namespace) -> int:
    """Write the three files of --portrait PREFIX, one training of each chosen algorithm after another."""
    if options.variants or options.paths or options.test_kwargs:
        raise SoftqError(
            "--portrait looks at the algorithms themselves; leave --variants, --paths and --test-kwargs out."
        )
    if not is_jax(TASKS[task].env_id):
        raise SoftqError(f"--portrait does not look at {task}; it needs an environment of softq in pure JAX.")
    files = {part: csv_file(f"{options.portrait}-{part}.csv") for part in ("during", "moves", "critics")}
    for name in options.algorithms:
        if has_rows(files["critics"], algorithm=name):  # of the three files this one is written last
            continue
        tables = snapshot(TASKS[task], name, iterations=options.iterations)
        for part, digits in (("during", 2), ("moves", 3), ("critics", 4)):
            append(tables[part], files[part], digits, {"algorithm": ALGORITHMS})
        print(f"{name}: done", flush=True)
    return 0
