"""The runs of a sweep are carried out by an engine: what is finished is left alone, and what fails stops no other."""

import contextlib
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass
from types import FrameType

import numpy as np
from tqdm.auto import tqdm

from softq.sweeps.folders import look, status, updates_of
from softq.sweeps.plan import Planned
from softq.sweeps.pool import End, Engine
from softq.training.progress import Interrupt
from softq.training.run_directory import read_log
from softq.utils.errors import SoftqError
from softq.utils.text import digits, duration

POLL = 0.5  # seconds between two looks at the runs
SHOWN = 4  # runs under way that are named beside the bar


@dataclass(frozen=True)
class Outcome:
    """What became of a run: finished, failed, refused or stopped, and why."""

    run: Planned
    state: str
    note: str = ""


class Bar:
    """A bar over the updates of all runs, with the time left at the mean pace so far; `show` shows it."""

    def __init__(self, runs: list[Planned], show: bool):
        self.runs, self.done = runs, {run.name: updates_of(run.folder) for run in runs}
        self.bar = tqdm(
            total=sum(run.config.total_updates for run in runs),
            initial=sum(self.done.values()),
            desc="sweep",
            unit="update",
            unit_scale=True,
            smoothing=0,
            mininterval=POLL if sys.stderr.isatty() else 10,
            dynamic_ncols=True,
            disable=not show,
        )

    def at(self, running: dict[str, Planned], ended: int) -> None:
        """Move the bar to what `running` runs have logged by now."""
        self.done |= {name: updates_of(run.folder) for name, run in running.items()}
        at_work = [run for run in running.values() if run.folder.exists()][:SHOWN]
        parts = [f"{ended} of {len(self.runs)} runs"]
        parts += [
            f"{run.name} {self.done[run.name] / max(1, run.config.total_updates):.0%}" for run in at_work
        ]
        self.bar.set_postfix_str(", ".join(parts), refresh=False)
        with contextlib.suppress(OSError, UnicodeError):  # the terminal may be gone; the runs go on
            self.bar.update(sum(self.done.values()) - self.bar.n)

    def say(self, text: str) -> None:
        """Write `text` as a line on stdout, above the bar."""
        with contextlib.suppress(OSError, UnicodeError):
            tqdm.write(text)

    def close(self) -> None:
        """End the bar."""
        with contextlib.suppress(OSError, UnicodeError):
            self.bar.close()


class Stop(Interrupt):
    """An `Interrupt` whose first signal reaches the runs of `engine` at once, before a second can end this process."""

    def __init__(self, engine: Engine):
        super().__init__()
        self.engine = engine

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal and hand it on."""
        super().handle(number, frame)
        self.engine.interrupt()


def carry_out(runs: list[Planned], engine: Engine, show: bool = True) -> list[Outcome]:
    """Train all `runs` with `engine` to their ends; after Ctrl-C, SIGTERM or SIGHUP all are stopped with a checkpoint.

    A run that another process trains is left to it, and taken up when that process ends. A run that a signal has ended
    is started again, `engine.retries` times. A run that fails is reported, and the others go on.
    """
    outcomes: dict[str, Outcome] = {}
    bar, queue, deaths, waited = Bar(runs, show), deque(runs), Counter(), set()

    def settle(run: Planned, state: str, note: str = "") -> None:
        outcomes[run.name] = Outcome(run, state, note)
        # a run that has ended early, as its settings say, has nothing left either
        bar.done[run.name] = run.config.total_updates if state == "finished" else updates_of(run.folder)
        bar.say(f"{run.name}: {state}{f' ({note})' if note else ''}")

    def begin() -> None:
        for _ in range(len(queue)):
            if not engine.free:
                return
            run = queue.popleft()
            found = look(run)
            if found.state == "finished":
                settle(run, *result(run))
            elif found.state == "refused":
                settle(run, "refused", found.note)
            elif found.state == "busy":
                queue.append(run)
                if run.name not in waited:
                    bar.say(f"{run.name}: another process trains it; it is taken up when that one ends")
                    waited.add(run.name)
            else:
                engine.start(run, found)

    def after(end: End) -> None:
        found = look(end.run)
        if found.state == "finished":
            settle(end.run, *result(end.run))
        elif end.killed and deaths[end.run.name] < engine.retries:
            deaths[end.run.name] += 1
            bar.say(f"{end.run.name}: {end.reason}; it goes on from its last checkpoint")
            queue.appendleft(end.run)
        elif found.state == "busy":
            queue.append(end.run)
        else:
            settle(end.run, "failed", f"{end.reason}; see {end.run.log}")

    at_work = False
    with Stop(engine) as stop:
        try:
            while (queue or engine.running) and not stop():
                begin()
                at_work = bool(engine.running)  # they may end before the signal that stops them is seen here
                bar.at(engine.running, len(outcomes))
                if queue or engine.running:
                    time.sleep(POLL)
                for end in engine.ended():
                    if not stop():
                        after(end)
            if stop() and at_work:
                bar.say("stopping; each run under way writes a checkpoint first")
        finally:
            engine.stop()
            bar.close()
    stopped = {run.name: Outcome(run, "stopped") for run in runs}
    return list((stopped | outcomes).values())


def result(run: Planned) -> tuple[str, str]:
    """The outcome of a finished run in words: its last return and its time."""
    score, seconds = last_return(run), spent(run)
    return "finished", f"return {score or '-'} in {duration(seconds)}"


def last_scores(run: Planned) -> np.ndarray:
    """The returns of the last evaluation, one for each seed; empty when there was none."""
    with contextlib.suppress(OSError, SoftqError):
        rows = [row for row in read_log(run.folder) if row["kind"] == "eval" and row["return"] is not None]
        return np.array([row["return"] for row in rows[-run.config.seeds :]])
    return np.zeros(0)


def last_return(run: Planned) -> str:
    """The mean return of the last evaluation over the seeds, with their standard deviation where there are several."""
    scores = last_scores(run)
    if not scores.size:
        return ""
    spread = f" ± {digits(float(scores.std(ddof=1)))}" if scores.size > 1 else ""
    return f"{digits(float(scores.mean()))}{spread}"


def spent(run: Planned) -> float:
    """The seconds of training up to the last checkpoint."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return float(status(run.folder)["seconds"])
    return 0.0


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as a table: run, state, updates, last return, time."""
    head = ["run", "state", "updates", "last return", "time"]
    rows = [
        [x.run.name, x.state, f"{updates_of(x.run.folder):,}", last_return(x.run), duration(spent(x.run))]
        for x in outcomes
    ]
    return aligned([head, *rows])


def aligned(rows: list[list[str]]) -> str:
    """`rows` of cells as lines of columns, each as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def dry(runs: list[Planned]) -> str:
    """What a sweep would do: a table of the runs as they are now, and the work that is left."""
    found = [(run, look(run)) for run in runs]
    words = {"new": "new", "started": "to be continued", "shorter": "to be made longer"}
    head = ["run", "state", "updates", "of"]
    rows = [
        [run.name, words.get(x.state, x.state), f"{x.updates:,}", f"{run.config.total_updates:,}"]
        for run, x in found
    ]
    todo = [(run, x) for run, x in found if x.state in words]
    updates = sum(run.config.total_updates - x.updates for run, x in todo)
    steps = sum(work(run) - x.updates * run.config.num_envs * run.config.seeds for run, x in todo)
    refused = [f"{run.name}: refused ({x.note})" for run, x in found if x.state == "refused"]
    counts = Counter(words.get(x.state, x.state) for _, x in found)
    total = f"{len(runs)} runs: {', '.join(f'{number} {state}' for state, number in counts.items())}"
    left = f"left to do: {updates:,} updates, each for all seeds of a run, and {steps:,} environment steps"
    return "\n".join([aligned([head, *rows]), *refused, total, left])


def work(run: Planned) -> int:
    """The environment steps of a run in all, over its seeds."""
    return run.config.total_steps * run.config.num_envs * run.config.seeds
