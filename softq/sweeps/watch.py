"""The command `softq watch`: the runs in some folders as they are now, and again every few seconds until all are done.

It only reads, so it can look at runs of this machine and at those of others in a shared folder.
"""

import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from softq.sweeps.folders import status
from softq.training import TrainConfig
from softq.training.run_directory import RunDirectory, read_log
from softq.utils.cli_options import Parser
from softq.utils.errors import SoftqError
from softq.utils.text import digits, duration, sparkline

PACE_ROWS = 5  # the pace of a run is that since so many rows of training before the last one


@dataclass
class View:
    """A run as `softq watch` sees it; its log is read again only when it has grown."""

    folder: Path
    config: TrainConfig | None = None
    size: int = -1
    rows: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False
    fault: str = ""

    def refresh(self) -> None:
        """Read what has changed in the folder; a file that cannot be read is noted in `fault`."""
        log, self.fault = self.folder / "log.jsonl", ""
        try:
            self.config = self.config if self.rows else RunDirectory(self.folder).training()
            size = log.stat().st_size
            if size != self.size:
                # an extended run has another number of iterations
                self.config, self.rows, self.size = (
                    RunDirectory(self.folder).training(),
                    read_log(self.folder),
                    size,
                )
            self.finished = bool(status(self.folder).get("finished"))
        except FileNotFoundError:  # no row or no checkpoint yet
            self.finished = False
        except (SoftqError, OSError, ValueError) as error:
            self.fault = " ".join(str(error).split())

    def of(self, kind: str, seed: int) -> list[float]:
        """The returns in rows of this kind, oldest first."""
        found = (row for row in self.rows if row["kind"] == kind and row["seed"] == seed)
        return [row["return"] for row in found if row["return"] is not None]

    @property
    def updates(self) -> int:
        """The updates up to the last row of the log."""
        return self.rows[-1]["updates"] if self.rows else 0

    @property
    def pace(self) -> float:
        """Updates per second of training, evaluations included, over the last rows; 0 when there are too few."""
        first = [row for row in self.rows if row["kind"] == "train" and row["seed"] == self.rows[0]["seed"]]
        recent = first[-PACE_ROWS - 1 :]
        seconds = recent[-1]["seconds"] - recent[0]["seconds"] if recent else 0.0
        return (recent[-1]["updates"] - recent[0]["updates"]) / seconds if seconds > 0 else 0.0

    def head(self, now: float) -> str:
        """A line on the whole run at the time `now`, in seconds since the epoch."""
        if self.fault or self.config is None:
            return f"{self.folder.name}: {self.fault or 'not begun'}"
        done, total = self.updates, self.config.total_updates
        text = f"{self.folder.name}: {done:,} of {total:,} updates"
        if self.finished:
            return f"{text}, finished in {duration(self.rows[-1]['seconds'] if self.rows else 0)}"
        text += f" ({done / max(1, total):.0%})"
        if self.pace:
            text += f", {digits(self.pace)} per second, {duration((total - done) / self.pace)} left"
        if self.size > 0:
            text += f", last row {duration(max(0, now - (self.folder / 'log.jsonl').stat().st_mtime))} ago"
        return text

    def seeds(self) -> list[str]:
        """A line for each seed with its last returns in training and evaluation, and a curve of its evaluations."""
        lines = []
        for seed in self.config.seed_list if self.config and not self.fault else ():
            train, evaluation = self.of("train", seed), self.of("eval", seed)
            last = [f"{x[-1]:>10.4g}" if x else f"{'-':>10}" for x in (train, evaluation)]
            lines.append(
                f"  seed {seed}  training {last[0]}  evaluation {last[1]}  {sparkline(evaluation)}".rstrip()
            )
        return lines


def runs_in(folders: list[str]) -> list[Path]:
    """The run directories among `folders` and directly inside them. Raises `SoftqError` for a folder without one."""
    found: list[Path] = []
    for folder in map(Path, folders):
        here = [folder] if (folder / "config.json").exists() else []
        inside = here or sorted(path.parent for path in folder.glob("*/config.json"))
        if not inside:
            what = "holds no run yet" if folder.is_dir() else "does not exist"
            raise SoftqError(f"{folder} {what}; name a folder made by `softq train` or `softq sweep`.")
        found += inside
    return list(dict.fromkeys(found))


def lines_of(views: list[View], now: float, room: int | None = None) -> list[str]:
    """What to print of `views`: those under way with their seeds first; at most `room` lines, if that is given."""
    under_way = [view for view in views if not view.finished]
    finished = [view for view in views if view.finished]
    lines = [line for view in under_way for line in (view.head(now), *view.seeds())]
    lines += [line for view in finished for line in (view.head(now), *view.seeds())]
    lines.append(f"{len(finished)} of {len(views)} runs are finished")
    if room is not None and len(lines) > room:
        lines = [*lines[: room - 2], f"... {len(lines) - room + 1} more lines: softq watch --once", lines[-1]]
    return lines


def command(argv: list[str]) -> int:
    """Run `softq watch` and return its exit code. Raises `SoftqError` when there is no run in a folder."""
    parser = Parser(
        prog="softq watch",
        description="Show runs while they train: updates, pace, time left and the last returns of each seed, with a "
        "curve of the evaluations. Ends when all runs are finished, or at Ctrl-C.",
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", help="run directories, or folders of a sweep")
    parser.add_argument(
        "--every", type=float, default=5.0, metavar="SECONDS", help="time between two looks [5]"
    )
    parser.add_argument("--once", action="store_true", help="print once and end")
    options = parser.parse(argv)
    if not options.every > 0:
        raise SoftqError(f"--every is {options.every}; it must be above 0 seconds.")
    views: dict[Path, View] = {}
    height = 0  # lines on the screen that the next ones replace
    try:
        while True:
            for folder in runs_in(options.folders):
                views.setdefault(folder, View(folder)).refresh()
            terminal = sys.stdout.isatty() and not options.once
            size = shutil.get_terminal_size()
            lines = lines_of(list(views.values()), time.time(), size.lines - 1 if terminal else None)
            if terminal:
                # up to the first line of before, and each line anew with nothing of the old one after it
                print(f"\x1b[{height}F" if height else "", end="")
                lines = [f"{line[: size.columns - 1]}\x1b[K" for line in lines]
                print("\n".join(lines), end="\x1b[J\n", flush=True)
                height = len(lines)
            else:
                print("\n".join(lines), flush=True)
            if options.once or all(view.finished for view in views.values()):
                return 0
            time.sleep(options.every)
    except KeyboardInterrupt:
        return 0
