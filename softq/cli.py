"""The `softq` command; bad input gives one line on stderr and exit code 2.

Commands import what they need when they run, so that help and errors come at once.
"""

import codecs
import contextlib
import errno
import io
import os
import select
import shlex
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from softq import __version__
from softq.utils.cli_options import Parser, add_fields
from softq.utils.errors import SoftqError, SoftqWarning, suggest
from softq.utils.machine_errors import explain
from softq.utils.signals import INTERRUPTED, watch
from softq.utils.text import BARS, digits

if TYPE_CHECKING:
    from softq.training import Run

USAGE = """usage: softq COMMAND [options]

Softmax policies on continuous actions: train, evaluate, measure.

  softq list                                        list algorithms, landscapes and environments
  softq train ALGORITHM --env ID [options]          train; `softq train ALGORITHM --help` lists all options
  softq train --resume DIR [options]                continue a run exactly, to its end or to --iterations N updates
  softq sweep FILE.toml [--workers N] [--dry-run]   train every run of a list, and go on where it was left
  softq watch DIR ... [--once]                      follow runs, or all runs of a sweep, while they train
  softq evaluate DIR [--temperature X] [--sampler NAME]   play episodes with the policy of a run
  softq export DIR ... --out FILE.csv               write the learning curves of runs as one table
  softq export-policy DIR --out FILE.zip            write the policy of a run as one file that needs JAX alone
  softq export-critic DIR --out FILE.npz            write the critic of a run, with states that its policy visits
  softq video DIR [--temperature X ...] --out FILE.gif   film the policy of a run, at several temperatures side by side
  softq results DIR ... --out FILE                  collect the evaluations of runs in one tidy table
  softq compare FILE_OR_DIR ...                     compare methods: interquartile means, intervals, improvement
  softq plot FILE_OR_DIR ... --out FILE.png         draw learning curves, aggregates, profiles
  softq bench sampler | update ALGORITHM | all | loop | start | peers | labs   measure times beside a yardstick's
  softq visits bandit|multigoal|maze|pointmaze --out FILE.csv   count the modes and goals that policies visit
  softq visits all --out results                    complete the counts of bandit, multigoal and maze in results/
  softq gallery --out FILE.csv [--quick]            compare samplers with the exact softmax at equal budget

  softq --version
"""
BROKEN_PIPE = 141  # exit code that shells report when nobody reads the output
# replacements for characters that the encoding of a terminal lacks
PLAIN = {"±": "+/-", "×": "x", "∝": "~"} | dict(zip("γδελ", ("gamma", "delta", "eps", "lambda"), strict=True))
# the option of commands whose programs JAX keeps for the next time
NO_COMPILE_CACHE: dict[str, Any] = {
    "action": "store_true",
    "help": "neither read nor keep compiled programs in the user's cache folder; SOFTQ_NO_COMPILE_CACHE=1 is the same",
}
PLAIN |= dict(zip(BARS, "_.-~=+*#", strict=True))
FORMAT_WARNING: Any = warnings.formatwarning


def main(argv: list[str] | None = None) -> int:
    """Run the command in `argv` and return its exit code: 0, 2 for bad input, 130 after Ctrl-C.

    `argv` is by default that of the process. With SOFTQ_TRACEBACK set in the environment a `SoftqError` is raised.
    """
    argv = sys.argv[1:] if argv is None else argv
    prepare_streams()
    try:
        with watch():
            code = dispatch(argv)
        sys.stdout.flush()
        return code
    except SoftqError as error:
        if os.environ.get("SOFTQ_TRACEBACK"):
            raise
        tell(" ".join(str(error).split()))
        return 2
    except KeyboardInterrupt:
        tell("interrupted; a run is kept up to its last checkpoint.")
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.EIO) and closed(sys.stdout):
            return BROKEN_PIPE
        if line := explain(error):
            tell(line)
            return 2
        raise


def prepare_streams() -> None:
    """Let stdout replace characters that its encoding lacks, and print each `SoftqWarning` as one line."""
    plain = lambda error: (
        "".join(PLAIN.get(x, "?") for x in error.object[error.start : error.end]),
        error.end,
    )
    codecs.register_error("softq", plain)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="softq")
    warnings.formatwarning = lambda message, category, *rest, **more: (
        f"softq: {message}\n"
        if issubclass(category, SoftqWarning)
        else FORMAT_WARNING(message, category, *rest, **more)
    )


def tell(text: str) -> None:
    """Print `text` as a line on stderr; an error in writing is ignored."""
    with contextlib.suppress(OSError):
        print(f"softq: {text}", file=sys.stderr)


def closed(stream: TextIO) -> bool:
    """Whether nobody reads `stream` any more, as after `| head`; if so, its further output is dropped."""
    try:
        number = stream.fileno()
    except OSError:
        return False  # a stream without a file descriptor
    try:
        stream.flush()
        if not hasattr(select, "poll"):  # Windows, where a closed pipe is noticed by a flush only
            return False
        poll = select.poll()  # an unbuffered stream reports no error on a flush, and is asked in this way
        poll.register(number, select.POLLOUT)
        if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
            return False
    except OSError:
        pass
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return True


def dispatch(argv: list[str]) -> int:
    """Run the command named by the first word of `argv`. Raises `SoftqError` for bad input."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if argv[0] == "--version":
        print(f"softq {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        raise SoftqError(f"unknown command {argv[0]!r}.{suggest(argv[0], COMMANDS)}")
    try:
        return COMMANDS[argv[0]](argv[1:])
    except SystemExit as exit:  # argparse leaves this way after --help
        return int(exit.code or 0)


def list_command(argv: list[str]) -> int:
    """Run `softq list` and return its exit code."""
    Parser(prog="softq list", description="Show algorithms, landscapes and environments.").parse(argv)
    import gymnasium

    from softq import landscapes
    from softq.algorithms import ALGORITHMS
    from softq.envs import JAX_ENVS

    mujoco = [name for name, spec in gymnasium.registry.items() if "mujoco" in str(spec.entry_point)]
    print("algorithms")
    for name, cls in ALGORITHMS.items():
        print(f"  {name:8} {(sys.modules[cls.__module__].__doc__ or '').splitlines()[0]}")
    print("landscapes\n  " + " ".join(landscapes.names()))
    print("environments in JAX\n  " + " ".join(JAX_ENVS))
    print("environments of Gymnasium (any id with bounded continuous actions), for example")
    print("  Pendulum-v1 " + " ".join(sorted(name for name in mujoco if name.endswith("-v5"))))
    print("environments of softq's extras, for example")
    print("  dmc/walker-run softq/PointMaze-v0 PointMaze_UMaze-v3 envpool/HalfCheetah-v5")
    print("environments of your own: module:Id, registered by module.py in the working directory")
    return 0


def train_command(argv: list[str]) -> int:
    """Run `softq train` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.algorithms import Algorithm, get
    from softq.algorithms.base import idle_settings
    from softq.training import TrainConfig, compile_cache, resume, train
    from softq.training.config import preset_help
    from softq.training.old_names import add_old_names
    from softq.training.run_directory import RunDirectory, default_run
    from softq.training.start import configured

    named = bool(argv) and not argv[0].startswith("-")
    parser = Parser(
        prog=f"softq train {argv[0] if named else 'ALGORITHM'}",
        description="Train an algorithm. Ctrl-C leaves a run that --resume continues exactly.",
    )
    parser.add_argument(
        "--resume",
        metavar="DIR",
        help="continue the run in DIR, with --iterations N to N updates in all; other options given with it take the "
        "place of the run's",
    )
    parser.add_argument(
        "--init-from", metavar="DIR", help="start from the learner of another run, in its newest checkpoint"
    )
    parser.add_argument(
        "--out", metavar="DIR", help="directory to make for the run [runs/ALGORITHM-ENV-DATE]"
    )
    if before := resumed(argv):
        if named:
            raise SoftqError(
                f"--resume DIR takes its algorithm and settings from DIR, so leave {argv[0]} out."
            )
        name = RunDirectory(before).training().algorithm
    else:
        name = argv[0] if named else None
    algorithm: Any = get(name) if name else Algorithm
    parser.add_argument("--preset", metavar="NAME", help=preset_help(algorithm))
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    parser.add_argument("--no-compile-cache", **NO_COMPILE_CACHE)
    paper = algorithm.presets.get("paper", {})
    add_fields(parser, TrainConfig, "training", leave_out=("algorithm",), defaults=paper)
    if name:
        add_fields(
            parser, algorithm, f"hyper-parameters of {name}", defaults=paper, hidden=idle_settings(algorithm)
        )
    if named:
        add_old_names(parser, algorithm)
    options = vars(parser.parse(argv[1:] if named else argv))
    compile_cache.turn_on(not options.pop("no_compile_cache"))
    folder, preset, silent = options.pop("out"), options.pop("preset"), options.pop("no_progress")
    before, source = options.pop("resume"), options.pop("init_from")
    if before:
        for option, value in {"--out": folder, "--preset": preset, "--init-from": source}.items():
            if value is not None:
                raise SoftqError(f"--resume DIR goes on in DIR with its own settings, so leave {option} out.")
        return report(resume(before, not silent, **options))
    if not named:
        raise SoftqError("name the algorithm first: softq train ALGORITHM --env ID (see `softq list`).")
    if "env" not in options:
        raise SoftqError(
            f"name an environment: softq train {argv[0]} --env InvertedPendulum-v5 (see `softq list`)."
        )
    algo, config = configured(argv[0], options, preset or "paper")
    out = folder or default_run(config)
    return report(train(algo, config.env, config, out=out, progress=not silent, init_from=source))


def resumed(argv: list[str]) -> str | None:
    """The folder that --resume names in the words of `softq train`, None without that option or its folder."""
    for word, after in zip(argv, [*argv[1:], None], strict=False):
        if word == "--resume" or word.startswith("--resume="):
            return after if word == "--resume" else word.split("=", 1)[1]
    return None


def report(run: "Run") -> int:
    """Print the last returns of a training, or how to continue it, and return the exit code."""
    if not run.finished:
        how = " (with new episodes; the learner and the replay go on)" if run.inexact else ""
        tell(f"stopped; continue with: softq train --resume {shlex.quote(str(run.folder))}{how}")
        return INTERRUPTED
    last = run.curve[run.curve["kind"] == "eval"].tail(run.config.seeds)
    for row in last.to_dict("records"):
        print(
            f"seed {row['seed']}: return {digits(row['return'])} ± {digits(row['std'])} over "
            f"{int(row['episodes'])} episodes"
            f"{cut_at(row.get('cut'))} after {row['updates']} updates, {row['env_steps']} steps"
        )
    print(f"ended early, {run.stopped}: {run.folder}" if run.stopped else f"finished: {run.folder}")
    return 0


def cut_at(cut: float | None) -> str:
    """A remark that `cut` episodes of an evaluation were cut because they did not end; empty when there are none."""
    from softq.training.evaluate import NO_LIMIT

    return f" ({int(cut)} cut at {NO_LIMIT:,} steps)" if cut and cut > 0 else ""


def evaluate_command(argv: list[str]) -> int:
    """Run `softq evaluate` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.samplers.registry import SAMPLERS
    from softq.training import compile_cache
    from softq.training.results import evaluate_run, export_evaluation
    from softq.utils.atomic_files import csv_file

    parser = Parser(prog="softq evaluate", description="Play episodes with the newest checkpoint of a run.")
    parser.add_argument("folder", metavar="DIR", help="run directory")
    parser.add_argument(
        "--episodes", type=int, default=20, metavar="N", help="number of episodes for each seed [20]"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        metavar="X",
        help="act at this temperature, in the algorithm's own unit, instead of the one that training ended with",
    )
    parser.add_argument(
        "--policy",
        choices=("exploit", "policy"),
        help="play the action whose return is reported, or samples of the policy [exploit; policy with --temperature]",
    )
    parser.add_argument(
        "--sampler",
        metavar="NAME",
        help="let the critic act through this sampler, at the temperature that training ended with unless another is "
        "given: " + " ".join(SAMPLERS),
    )
    parser.add_argument(
        "--budget",
        type=int,
        default=100,
        metavar="N",
        help="number of candidates or gradients that --sampler uses for one action [100]",
    )
    parser.add_argument(
        "--checkpoint",
        choices=("newest", "best"),
        default="newest",
        help="play with the newest checkpoint, or for each seed with the learner that --keep-best has kept [newest]",
    )
    parser.add_argument("--out", metavar="FILE.csv", help="file for the table, which is printed as well")
    parser.add_argument("--no-compile-cache", **NO_COMPILE_CACHE)
    options = parser.parse(argv)
    compile_cache.turn_on(not options.no_compile_cache)
    if options.sampler and options.policy:
        raise SoftqError("--sampler replaces the policy; leave --policy out.")
    if options.out:
        csv_file(options.out)  # a bad name is reported before the episodes, not after them
    table = evaluate_run(
        options.folder,
        options.episodes,
        options.policy,
        options.temperature,
        options.sampler,
        options.budget,
        options.checkpoint,
    )
    print(table.to_string(index=False))
    if options.out:
        print(f"{options.out}: {export_evaluation(table, options.folder, options.out)} rows")
    return 0


def export_command(argv: list[str]) -> int:
    """Run `softq export` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.training.results import export

    parser = Parser(prog="softq export", description="Write the learning curves of runs as one CSV file.")
    parser.add_argument("folders", nargs="+", metavar="DIR", help="run directories")
    parser.add_argument("--out", required=True, metavar="FILE.csv", help="file for the table")
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=[],
        metavar="NAME",
        help="further columns of the log to write, such as temperature",
    )
    options = parser.parse(argv)
    rows = export(options.folders, options.out, options.metrics)
    print(f"{options.out}: {rows} rows from {len(options.folders)} runs")
    return 0


def export_policy_command(argv: list[str]) -> int:
    """Run `softq export-policy` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.policies.export import command

    return command(argv)


def export_critic_command(argv: list[str]) -> int:
    """Run `softq export-critic` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.policies.critics import command

    return command(argv)


def video_command(argv: list[str]) -> int:
    """Run `softq video` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.policies.video import command

    return command(argv)


def results_command(argv: list[str]) -> int:
    """Run `softq results` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.comparison.command import results

    return results(argv)


def compare_command(argv: list[str]) -> int:
    """Run `softq compare` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.comparison.command import compare

    return compare(argv)


def plot_command(argv: list[str]) -> int:
    """Run `softq plot` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.comparison.command import plot

    return plot(argv)


def bench_command(argv: list[str]) -> int:
    """Run `softq bench` and return its exit code. Raises `SoftqError` for bad input."""
    if argv[:1] == ["labs"]:  # above the experiments, which know no labs
        from softq.lab.speed import command as command_of_labs

        return command_of_labs(argv[1:])
    from softq.experiments.speed.benchmark import command

    return command(argv)


def gallery_command(argv: list[str]) -> int:
    """Run `softq gallery` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.experiments.sampler_benchmark.run import command

    return command(argv)


def visits_command(argv: list[str]) -> int:
    """Run `softq visits` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.experiments.mode_coverage.command import command

    return command(argv)


def sweep_command(argv: list[str]) -> int:
    """Run `softq sweep` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.sweeps.command import command

    return command(argv)


def watch_command(argv: list[str]) -> int:
    """Run `softq watch` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.sweeps.watch import command

    return command(argv)


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "list": list_command,
    "train": train_command,
    "sweep": sweep_command,
    "watch": watch_command,
    "evaluate": evaluate_command,
    "export": export_command,
    "export-policy": export_policy_command,
    "export-critic": export_critic_command,
    "video": video_command,
    "results": results_command,
    "compare": compare_command,
    "plot": plot_command,
    "bench": bench_command,
    "gallery": gallery_command,
    "visits": visits_command,
}
