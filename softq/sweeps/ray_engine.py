"""The engine of many machines: Ray gives each run to a node with free cores, and again when its worker has died.

All nodes must have softq and reach the folder of the runs under the same path, since a run goes on from the checkpoints
there. Ray decides what runs where; a worker trains one run and ends, so that a killed one takes nothing else with it.
"""

import contextlib
import os
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from softq.sweeps.folders import Found, clear, look
from softq.sweeps.plan import Planned
from softq.sweeps.pool import THREADS, End
from softq.training import resume, train
from softq.utils.errors import SoftqError
from softq.utils.signals import INTERRUPTED

RETRIES = 3  # how often Ray starts a run again after the death of its worker or node
PATIENCE = 60.0  # seconds in which the workers can write checkpoints when the sweep is stopped


class RayEngine:
    """Runs trainings in the Ray cluster at `address`, each on `cores` cores and `gpus` GPUs.

    Without an address a cluster of this machine alone is started. Raises `SoftqError` when Ray is not installed or
    there is no cluster.
    """

    retries = 0  # Ray does that
    free = True  # Ray lets runs wait

    def __init__(self, address: str | None = None, cores: int = 1, gpus: float = 0.0):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
        try:
            import ray
        except ImportError:
            raise SoftqError(
                '--engine ray needs an extra that is not installed; pip install "softq[ray]".'
            ) from None
        try:
            with warnings.catch_warnings():
                # Ray starts its processes by a fork, of which JAX warns; they are replaced by other programs at once
                warnings.simplefilter("ignore", RuntimeWarning)
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:160].rstrip(".")
            raise SoftqError(
                f"there is no Ray cluster at {address} ({reason}); start one with `ray start`."
            ) from None
        self.ray, self.workers = ray, max(1, int(ray.cluster_resources().get("CPU", 1) // cores))
        environment = {"env_vars": dict.fromkeys(THREADS, str(cores))}
        needs = {"num_cpus": cores, "num_gpus": gpus, "max_retries": RETRIES}
        # a worker has JAX in one process only once: its threads and memory are set before it is loaded
        self.task = ray.remote(max_calls=1, runtime_env=environment, **needs)(train_here)
        self.running: dict[str, Planned] = {}
        self.tasks: dict[Any, str] = {}

    def start(self, run: Planned, found: Found) -> None:
        """Let Ray train `run`; what is in its folder is looked at where and when that begins."""
        self.running[run.name] = run
        self.tasks[self.task.remote(run, os.getcwd())] = run.name

    def ended(self) -> list[End]:
        """The runs that have ended since the last call."""
        if not self.tasks:
            return []
        ready, _ = self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=0)
        ends = []
        for task in ready:
            run = self.running.pop(self.tasks.pop(task))
            try:
                code, line = self.ray.get(task)
            except self.ray.exceptions.RayError as error:
                code, line = 1, f"Ray: {' '.join(str(error).split())[:160]}"
            ends.append(End(run, code, line))
        return ends

    def interrupt(self) -> None:
        """Nothing: the handler may run while Ray holds a lock, and Ray itself ends what a dead driver has started."""

    def stop(self) -> None:
        """Interrupt all runs, upon which each writes a checkpoint, and wait until they have ended."""
        tasks = list(self.tasks)
        for task in tasks:
            self.ray.cancel(task)
        if tasks:
            self.ray.wait(tasks, num_returns=len(tasks), timeout=PATIENCE)

    def close(self) -> None:
        """Leave the cluster."""
        self.ray.shutdown()


def train_here(run: Planned, cwd: str) -> tuple[int, str]:
    """Train `run` to its end in this process, in the working directory `cwd`; returns exit code and last line."""
    with contextlib.suppress(OSError):  # environments of one's own may be there
        os.chdir(cwd)
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    with printing_to(run.log):
        try:
            found = look(run)
            if found.state in ("finished", "refused", "busy"):
                return 2, found.note
            if found.state == "new":
                clear(run.folder)
                done = train(run.algo, run.config.env, run.config, run.folder, progress=False)
            else:
                done = resume(run.folder, progress=False, iterations=run.config.iterations)
            return (0, "") if done.finished else (INTERRUPTED, "stopped")
        except SoftqError as error:
            print(f"softq: {error}", flush=True)
            return 2, " ".join(str(error).split())
        except Exception as error:
            traceback.print_exc()
            return 1, f"{type(error).__name__}: {' '.join(str(error).split())}"


@contextlib.contextmanager
def printing_to(path: Path) -> Iterator[None]:
    """Let all that this process prints in this context, also outside Python, go to the end of the file at `path`."""
    saved = [os.dup(number) for number in (1, 2)]
    with open(path, "ab") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        for number, before in zip((1, 2), saved, strict=True):
            os.dup2(before, number)
            os.close(before)
