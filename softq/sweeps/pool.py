"""The engine of one machine: as many trainings at once as there are workers, each on its own share of the cores."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Protocol

from softq.sweeps.folders import Found, clear, command
from softq.sweeps.plan import Planned

# variables by which OpenBLAS and XLA take their numbers of threads
THREADS = ("OPENBLAS_NUM_THREADS", "PJRT_NPROC")
MEMORY = 0.75  # part of a GPU's memory that JAX takes at its start, shared among the workers


@dataclass(frozen=True)
class End:
    """How a training ended: its exit code, below 0 for a signal, and the last line that it printed."""

    run: Planned
    code: int
    line: str

    @property
    def killed(self) -> bool:
        """Whether a signal ended it, at once or, as SIGTERM does, with a last checkpoint."""
        return self.code < 0 or self.code >= 128

    @property
    def reason(self) -> str:
        """The last line, or the signal where it died at once."""
        if self.code < 0:
            return f"ended by {signal.Signals(-self.code).name}"
        return self.line.removeprefix("softq: ") or f"ended with exit code {self.code}"


class Engine(Protocol):
    """What carries out runs: `start` returns at once, and `ended` gives back each run that was started, once."""

    retries: int  # how often a run that a signal has ended is to be started again
    workers: int  # how many runs it carries out at once
    running: dict[str, Planned]  # by name

    @property
    def free(self) -> bool:
        """Whether one more run can be started."""
        ...

    def start(self, run: Planned, found: Found) -> None:
        """Train `run`, whose folder holds `found`, to its end."""

    def ended(self) -> list[End]:
        """The runs that have ended since the last call."""
        ...

    def interrupt(self) -> None:
        """Ask all runs to end, if that can be done from a handler of signals."""

    def stop(self) -> None:
        """End all runs, each with a checkpoint, and return when they have ended."""

    def close(self) -> None:
        """Give back what the engine holds when there is nothing more to start."""


class LocalPool:
    """Runs `workers` trainings at once, each a process of its own that prints to the log of its run.

    They are no part of the terminal's group of processes: Ctrl-C reaches the sweep only, which then stops them.
    """

    retries = 3

    def __init__(self, workers: int):
        self.workers, self.shares = workers, shares(usable_cores(), workers)
        self.running: dict[str, Planned] = {}
        self.told: set[str] = set()  # the runs that have been interrupted
        self.children: dict[str, tuple[subprocess.Popen, int, IO[bytes], int]] = {}

    @property
    def free(self) -> bool:
        """Whether a worker has nothing to do."""
        return len(self.running) < self.workers

    def start(self, run: Planned, found: Found) -> None:
        """Train `run` on the cores of a free worker."""
        used = {worker for _, worker, _, _ in self.children.values()}
        worker = next(x for x in range(self.workers) if x not in used)
        cores = self.shares[worker]
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        if found.state == "new":
            clear(run.folder)
        log = open(run.log, "ab")  # noqa: SIM115 - open while the training runs
        threads = dict.fromkeys(THREADS, str(len(cores)))
        threads |= {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{MEMORY / self.workers:.3f}"}
        with pinned(cores):
            child = subprocess.Popen(
                [sys.executable, "-m", "softq", *command(run, found)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=threads | os.environ,
                start_new_session=True,
            )
        self.running[run.name] = run
        self.children[run.name] = child, worker, log, log.tell()

    def ended(self) -> list[End]:
        """The runs whose process has ended since the last call."""
        found = []
        for name, (child, _, log, began) in list(self.children.items()):
            if child.poll() is not None:
                log.close()
                run = self.running.pop(name)
                del self.children[name]
                found.append(End(run, child.returncode, last_line(run.log, began)))
        return found

    def interrupt(self) -> None:
        """Send SIGTERM to each process, once: it writes a checkpoint then, and a second signal would end it at once."""
        for name, (child, *_) in self.children.items():
            if name not in self.told:
                self.told.add(name)
                child.terminate()

    def stop(self) -> None:
        """Interrupt all processes and wait until they have ended."""
        self.interrupt()
        for child, *_ in self.children.values():
            child.wait()

    def close(self) -> None:
        """Nothing is held between two runs."""


def usable_cores() -> list[int]:
    """The cores on which this process may run; without numbers of their own where the system does not pin."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def shares(cores: list[int], workers: int) -> list[list[int]]:
    """The cores of each worker: as even as can be, and one core for several workers where there are too few."""
    if workers >= len(cores):
        return [[cores[i % len(cores)]] for i in range(workers)]
    ends = [i * len(cores) // workers for i in range(workers + 1)]
    return [cores[start:end] for start, end in pairwise(ends)]


@contextlib.contextmanager
def pinned(cores: list[int]) -> Iterator[None]:
    """Let processes that are started in this context run on `cores` only, where the system can pin them."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def last_line(path: Path, start: int = 0) -> str:
    """The last line of the file that is not empty, from byte `start` on."""
    with open(path, "rb") as file:
        file.seek(start)
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-1].split()) if lines else ""
