"""Run directories, one for each run, with config.json, versions.json, log.jsonl, status.json and checkpoints/."""

import contextlib
import dataclasses
import itertools
import json
import math
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import jax
import pandas as pd

from softq import __version__
from softq.algorithms import Algorithm, get
from softq.training.config import TrainConfig, plain, plain_algorithm
from softq.training.normalise import bare
from softq.training.old_names import renamed
from softq.utils.atomic_files import write_json
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import built, flat

try:
    import fcntl
except ImportError:  # Windows has no such locks, so nothing keeps two processes from training one run
    fcntl = None

T = TypeVar("T")
FILES = ("log.jsonl", "versions.json", "config.json", "status.json", "checkpoints", "best", "tensorboard")
FORMAT = 2  # version of the format of config.json and of the learners in checkpoints
# the last version of softq that wrote, and reads, each earlier format
WRITERS = {1: "softq 0.1.0 (commit 7346a94)"}
# the first columns of a table of curves
COLUMNS = ["algorithm", "env", "seed", "kind", "updates", "env_steps", "return", "std", "episodes"]


def versions() -> dict[str, str]:
    """The versions of packages and Python, the device and the commit, on which the numbers of a run depend."""
    packages = ("jax", "flax", "optax", "numpy", "gymnasium", "mujoco", "orbax-checkpoint")
    found = {"softq": __version__} | {name: version(name) for name in packages}
    found |= {"python": platform.python_version(), "device": jax.devices()[0].device_kind}
    found |= {"backend": jax.default_backend(), "machine": platform.machine()}
    return found | commit()


def commit() -> dict[str, str]:
    """The commit of the checkout from which softq runs, under the key "commit"; empty without a checkout or git.

    Git is told the repository, for by a search it could find that of another project around an installed softq.
    """
    own = Path(__file__).parents[2] / ".git"
    if not own.exists():
        return {}
    try:
        command = ["git", f"--git-dir={own}", "rev-parse", "HEAD"]
        git = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return {}
    return {"commit": git.stdout.strip()} if git.returncode == 0 else {}


def numbered_paths(path: Path) -> Iterator[Path]:
    """Yield `path`, `path-2`, `path-3` and so on, without end."""
    yield path
    yield from (path.with_name(f"{path.name}-{i}") for i in itertools.count(2))


def described(algo: Algorithm, config: TrainConfig, dims: dict) -> dict:
    """The content of config.json for a run; hyper-parameters have their flat names.

    Raises `SoftqError` for a hyper-parameter that JSON cannot hold.
    """
    algo = bare(algo)
    content = {"format": FORMAT, "train": dataclasses.asdict(config)}
    content |= {"algorithm": {"class": type(algo).__name__} | flat(algo), "dims": dims}
    try:
        return json.loads(json.dumps(content))
    except TypeError as error:
        raise SoftqError(f"config.json cannot hold this algorithm ({error}); train without `out`.") from None


def parsed(content: dict) -> tuple[Algorithm, TrainConfig, dict]:
    """The algorithm, the training configuration and `{obs_dim, action_dim}` from the content of config.json.

    Settings may have their names of softq 0.1.0. Raises `KeyError`, `TypeError`, `AttributeError` or `SoftqError` for
    content that does not fit.
    """
    config = TrainConfig(**content["train"])
    hyper = {name: value for name, value in content["algorithm"].items() if name != "class"}
    dims = {name: plain(name, content["dims"][name], int) for name in ("obs_dim", "action_dim")}
    algorithm = get(config.algorithm)
    return plain_algorithm(built(algorithm, renamed(hyper, algorithm))), config, dims


def writer(content: dict) -> str | None:
    """The earlier softq that wrote, and can read, a run with the `content` of config.json; None for this softq."""
    return WRITERS.get(content.get("format", 1))


class Busy(SoftqError):
    """The error of a run that another process trains."""


class RunDirectory:
    """A run on disk, which one process at a time can have open for writing.

    With `unique_path` a new run takes the first of `folder`, `folder-2`, `folder-3` and so on that does not exist.
    """

    def __init__(self, folder: Path | str, unique_path: bool = False):
        self.folder, self.unique_path = Path(folder), unique_path
        self.log: Any = None  # the open log file, from when the run is locked
        self.made: list[Path] | None = None  # folders that `create` has made, the innermost first
        # whether the run is worth keeping: False from `create` to its first row of the log or checkpoint
        self.kept = True

    def create(self, algo: Algorithm, config: TrainConfig, dims: dict, init_from: dict | None = None) -> None:
        """Make the folder, lock it and write versions.json and config.json; `init_from` is where the learner is from.

        Raises `SoftqError` when the folder holds files already or cannot be written; nothing is then left behind.
        """
        made_with: dict[str, Any] = versions() | ({"init_from": init_from} if init_from else {})
        files = {"versions.json": made_with, "config.json": described(algo, config, dims)}
        try:
            self.make()
        except OSError as error:
            raise SoftqError(
                f"{self.folder} cannot be written ({error.strerror}); choose another --out."
            ) from None
        self.lock()
        try:
            for name, content in files.items():
                write_json(self.folder / name, content)
        except BaseException:
            self.discard()
            raise
        self.kept = False

    def make(self) -> None:
        """Make the folder. When two processes want the same one, a single one gets it.

        Raises `SoftqError` when the folder holds files already, and `OSError` when it cannot be made.
        """
        for folder in numbered_paths(self.folder):
            made = [path for path in (folder, *folder.parents) if not path.exists()]
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                if self.unique_path:
                    continue
                self.check_free()  # a folder that is empty can be used
            self.folder, self.made = folder, made
            return

    def discard(self) -> None:
        """Close the run and remove the files and folders that `create` has made."""
        self.close()
        for name in FILES:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            with contextlib.suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
        for path in self.made or []:
            with contextlib.suppress(OSError):  # the folder stays if another run has files in it
                path.rmdir()

    def check_free(self) -> None:
        """Raise `SoftqError` when the folder exists and is not empty.

        What a process has left that was killed before it had written config.json does not count: no row is in its log.
        """
        if self.folder.is_dir() and all(
            path.name == "versions.json"
            or path.name.startswith((".versions.json.", ".config.json."))
            or (path.name == "log.jsonl" and not path.stat().st_size)
            for path in self.folder.iterdir()
        ):
            return
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            holds = "another run" if (self.folder / "config.json").exists() else "other files"
            remedy = f"continue it with --resume {self.folder}, or choose" if "run" in holds else "choose"
            raise SoftqError(f"{self.folder} already holds {holds}; {remedy} another --out.")

    def read(self, name: str) -> dict:
        """The content of the JSON file `name` of the run. Raises `SoftqError` when it is missing or broken."""
        try:
            return json.loads((self.folder / name).read_text())
        except FileNotFoundError:
            what = "is not a run directory" if self.folder.is_dir() else "does not exist"
            raise SoftqError(
                f"{self.folder} {what} (no {name}); name a folder made by `softq train`."
            ) from None
        except (OSError, ValueError) as error:
            raise SoftqError(f"{self.folder / name} cannot be read ({error}); the run is damaged.") from None

    def config(self) -> tuple[Algorithm, TrainConfig, dict]:
        """The algorithm, the training configuration and `{obs_dim, action_dim}` of the run.

        Raises `SoftqError` when config.json is missing, or does not fit this softq.
        """
        return self.fitting(parsed)

    def training(self) -> TrainConfig:
        """The training configuration of the run, whose algorithm this softq need not know.

        Raises `SoftqError` when config.json is missing, or does not fit this softq.
        """
        return self.fitting(lambda content: TrainConfig(**content["train"]))

    def fitting(self, read: Callable[[dict], T], content: dict | None = None) -> T:
        """The result of `read` for the content of config.json, or for an earlier content of it.

        Raises `SoftqError` when it does not fit this softq.
        """
        content = self.read("config.json") if content is None else content
        try:
            return read(content)
        except (KeyError, TypeError, AttributeError, SoftqError) as error:
            earlier = writer(content) if isinstance(content, dict) else None
            if earlier:
                raise SoftqError(
                    f"{self.folder} was written by {earlier} and its config.json does not fit this softq; load it "
                    "with that version."
                ) from None
            reason = " ".join(str(error).split()).rstrip(".")
            raise SoftqError(
                f"{self.folder / 'config.json'} does not fit this softq ({reason}); put it back as it was "
                "written, or use the softq named in versions.json."
            ) from None

    def describe(self, content: dict) -> None:
        """Replace config.json when `content` differs from what it holds."""
        if self.read("config.json") != content:
            write_json(self.folder / "config.json", content)

    def finished(self) -> bool:
        """Whether the run has made all its iterations or was ended early by a callback, by status.json."""
        return (self.folder / "status.json").exists() and bool(self.read("status.json").get("finished"))

    def status(self, **content: Any) -> None:
        """Replace status.json by `content`."""
        write_json(self.folder / "status.json", content)

    def lock(self) -> None:
        """Open the log and lock the run for this process.

        Raises `Busy` when another process trains the run, and `SoftqError` when the log cannot be written.
        """
        try:
            log = open(self.folder / "log.jsonl", "ab")  # noqa: SIM115 - held while the run lives
            try:
                if fcntl:
                    fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.close()
                raise Busy(
                    f"{self.folder} is being trained by another process; wait or stop that one."
                ) from None
        except OSError as error:
            raise SoftqError(
                f"{self.folder} cannot be written ({error.strerror}); a run goes on in a folder that can be: "
                "copy it."
            ) from None
        self.log = log
        for name in FILES:  # what a process has left that was killed while it replaced a file
            for half in self.folder.glob(f".{name}.*"):
                half.unlink(missing_ok=True)

    def cut(self, position: int) -> None:
        """Cut the log back to `position` bytes, its length at a checkpoint. Raises `SoftqError` when it is shorter."""
        if self.log.seek(0, os.SEEK_END) < position:
            raise SoftqError(
                f"{self.folder / 'log.jsonl'} is shorter than its checkpoint says; put the whole log back, or "
                f"start again: the learner can still be evaluated with softq evaluate {self.folder}."
            )
        self.log.truncate(position)
        self.log.seek(0, os.SEEK_END)

    def append(self, row: dict) -> None:
        """Write one row of the log, in which numbers that are not finite become null.

        Raises `SoftqError` when the log cannot be written, on a full disk for example.
        """
        clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        self.kept = True
        try:
            self.log.write(json.dumps(clean).encode() + b"\n")
            self.log.flush()
        except OSError as error:
            raise SoftqError(
                f"{self.folder / 'log.jsonl'} cannot be written ({error.strerror}); free room there, then "
                f"continue with softq train --resume {self.folder}."
            ) from None

    @property
    def position(self) -> int:
        """The length of the log in bytes."""
        return self.log.tell()

    def close(self) -> None:
        """Close the log, which unlocks the run."""
        if self.log:
            with contextlib.suppress(OSError):  # `append` has reported what could not be written
                self.log.close()


def default_run(config: TrainConfig) -> RunDirectory:
    """A new run in runs/ALGORITHM-ENV-DATE, with a number at its end when that folder exists."""
    env = config.env.replace("/", "_").replace(":", "_")
    name = f"{config.algorithm}-{env}-{time.strftime('%Y%m%d-%H%M%S')}"
    return RunDirectory(Path("runs") / name, unique_path=True)


def to_frame(rows: list[dict], config: TrainConfig) -> pd.DataFrame:
    """The rows of a log as a table, with the columns `COLUMNS` first and then the metrics."""
    table = pd.DataFrame(rows).assign(algorithm=config.algorithm, env=config.env)
    # the rows of a run that was stopped before its first evaluation lack columns of evaluations
    return table.reindex(columns=[*COLUMNS, *(name for name in table if name not in COLUMNS)])


def read_log(folder: Path | str) -> list[dict]:
    """The complete rows of the log of a run; half a row at its end, left by a crash, is skipped.

    Raises `SoftqError` for any other row that cannot be read.
    """
    path = Path(folder) / "log.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    try:
        return [json.loads(line) for line in lines]
    except ValueError:
        raise SoftqError(
            f"{path} holds a broken row; resuming the run cuts the log back to a good one."
        ) from None
