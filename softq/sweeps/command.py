"""The command `softq sweep`: a file of runs, trained on this machine or, with Ray, on several."""

import contextlib
import sys
from argparse import Namespace

from softq.sweeps.drive import Outcome, carry_out, dry, table
from softq.sweeps.plan import load
from softq.sweeps.pool import Engine, LocalPool, usable_cores
from softq.sweeps.tuning import Tuning
from softq.utils.cli_options import Parser, int_option
from softq.utils.errors import SoftqError
from softq.utils.machine_errors import check_backend
from softq.utils.signals import INTERRUPTED


def parser() -> Parser:
    """The options of `softq sweep`."""
    parser = Parser(
        prog="softq sweep",
        description="Train all runs of a list. The same command goes on where it was left: finished runs are skipped, "
        "interrupted ones continue exactly, one whose process is killed is started again up to three times, and a run "
        "that fails stops no other.",
    )
    add = parser.add_argument
    add("file", metavar="FILE.toml", help="the list; sweeps/smoke.toml in softq's repository is an example")
    add("--out", metavar="DIR", help="folder of the runs [out of the file, or runs/FILE]")
    add(
        "--workers",
        type=int_option,
        metavar="N",
        help="number of runs at once on this machine, which share its cores [as many as cores; 1 on a GPU]",
    )
    add(
        "--dry-run",
        action="store_true",
        help="print the runs, what is done of them and what is left, and end",
    )
    add("--no-progress", action="store_true", help="show no progress bar")
    add(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="ray: a cluster of Ray, see the extra ray [local]",
    )
    add(
        "--address",
        metavar="ADDRESS",
        help="of Ray's cluster, such as auto or 10.0.0.1:6379 [a new local one]",
    )
    add("--cores", type=int_option, metavar="N", help="number of cores for each run with --engine ray [1]")
    add(
        "--gpus",
        type=float,
        metavar="X",
        help="number of GPUs, or part of one, for each run with --engine ray [0]",
    )
    return parser


def command(argv: list[str]) -> int:
    """Run `softq sweep` and return its exit code: 2 when a run failed, 130 after Ctrl-C.

    Raises `SoftqError` for bad input, before any run is started.
    """
    options = parser().parse(argv)
    check(options)
    check_backend()
    sweep = load(options.file, options.out)
    if sweep.content["tune"] is not None:
        return tune(Tuning(sweep), options)
    runs = sweep.runs()
    if options.dry_run:
        print(dry(runs))
        return 0
    with contextlib.closing(engine_of(options)) as engine:
        outcomes = carry_out(runs, engine, not options.no_progress)
    print(table(outcomes))
    return report(outcomes)


def tune(tuning: Tuning, options: Namespace) -> int:
    """Make the trials of a [tune], print them as a table with the best first, and return the exit code."""
    if options.dry_run:
        print(f"{tuning.trials} trials of {', '.join(tuning.space)} in {tuning.sweep.folder}")
        return 0
    with contextlib.closing(engine_of(options)) as engine:
        study, bad = tuning.search(engine, not options.no_progress)
    print(tuning.table(study))
    return report(bad)


def report(outcomes: list[Outcome]) -> int:
    """Say which runs failed or were stopped, and return the exit code of the sweep."""
    bad = [x for x in outcomes if x.state in ("failed", "refused")]
    for x in bad:
        print(f"softq: {x.run.name} {x.state}: {x.note}.", file=sys.stderr)
    if any(x.state == "stopped" for x in outcomes):
        print("softq: stopped; the same command goes on with the rest.", file=sys.stderr)
        return INTERRUPTED
    return 2 if bad else 0


def check(options: Namespace) -> None:
    """Raise `SoftqError` for a number that is too small, and for an option of the other engine."""
    for name, least in (("workers", 1), ("cores", 1), ("gpus", 0)):
        value = getattr(options, name)
        if value is not None and not value >= least:
            raise SoftqError(f"--{name} is {value}; it must be at least {least}.")
    for name in ("workers",) if options.engine == "ray" else ("address", "cores", "gpus"):
        if getattr(options, name) is not None:
            raise SoftqError(f"--{name} does not go with --engine {options.engine}; leave one of them out.")


def engine_of(options: Namespace) -> Engine:
    """The engine that the options ask for."""
    if options.engine == "ray":
        from softq.sweeps.ray_engine import RayEngine

        return RayEngine(options.address, options.cores or 1, options.gpus or 0.0)
    import jax

    default = len(usable_cores()) if jax.default_backend() == "cpu" else 1
    return LocalPool(options.workers or default)
