"""Run directories: config.json, versions.json, log.jsonl, status.json, checkpoints/. One run is one
directory.
"""

import dataclasses
import fcntl
import json
import math
import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import pandas as pd

from softq import __version__
from softq.algorithms import Algorithm, get
from softq.errors import SoftqError
from softq.files import write_whole
from softq.training.config import TrainConfig

COLUMNS = ["algorithm", "env", "seed", "kind", "updates", "env_steps", "return", "std", "episodes"]


def versions() -> dict[str, str]:
    """What this run's numbers depend on: packages, Python, device, commit."""
    here = Path(__file__).parent
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    packages = ("jax", "flax", "optax", "numpy", "gymnasium", "mujoco", "orbax-checkpoint")
    found = {"softq": __version__} | {name: version(name) for name in packages}
    found |= {"python": platform.python_version(), "device": jax.devices()[0].device_kind}
    found |= {"backend": jax.default_backend(), "machine": platform.machine()}
    return found | ({"commit": git.stdout.strip()} if git.returncode == 0 else {})


def numbered(path: Path) -> Path:
    """`path`, or `path-2`, `path-3` ...: the first that does not exist."""
    tries = [path, *(path.with_name(f"{path.name}-{i}") for i in range(2, 1000))]
    return next(p for p in tries if not p.exists())


def tupled(value: Any) -> Any:
    return tuple(map(tupled, value)) if isinstance(value, list) else value


class RunDirectory:
    """A run on disk, open for writing by one process at a time."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self.log = None

    @classmethod
    def create(cls, folder: Path | str, algo: Algorithm, config: TrainConfig, dims: dict) -> "RunDirectory":
        """A new run; raises `SoftqError` when `folder` holds anything."""
        run = cls(folder)
        run.check_free()
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
            run.open_log(0)
        except OSError as error:
            raise SoftqError(
                f"{run.folder} cannot be written ({error.strerror}); choose another --out."
            ) from None
        hyper = {"class": type(algo).__name__} | {
            name: float(value) if isinstance(value, jax.Array) else value
            for name, value in dataclasses.asdict(algo).items()
        }
        write_whole(run.folder / "versions.json", versions())
        content = {"train": dataclasses.asdict(config), "algorithm": hyper, "dims": dims}
        write_whole(run.folder / "config.json", content)
        return run

    def check_free(self) -> None:
        """`SoftqError` when the folder exists and is not empty."""
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            holds = "another run" if (self.folder / "config.json").exists() else "other files"
            remedy = f"continue it with --resume {self.folder}, or choose" if "run" in holds else "choose"
            raise SoftqError(f"{self.folder} already holds {holds}; {remedy} another --out.")

    def read(self, name: str) -> dict:
        """A JSON file of the run. Raises `SoftqError` when it is missing or broken."""
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
        """The algorithm, the training configuration and `{obs_dim, action_dim}`."""
        content = self.read("config.json")
        try:
            config = TrainConfig(**content["train"])
            hyper = {name: tupled(value) for name, value in content["algorithm"].items() if name != "class"}
            return get(config.algorithm)(**hyper), config, content["dims"]
        except (KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise SoftqError(
                f"{self.folder / 'config.json'} does not fit this softq ({reason}); use the one in "
                "versions.json."
            ) from None

    def finished(self) -> bool:
        return (self.folder / "status.json").exists() and bool(self.read("status.json").get("finished"))

    def status(self, **content: Any) -> None:
        """Replace status.json."""
        write_whole(self.folder / "status.json", content)

    def open_log(self, position: int) -> None:
        """Take the run for this process; cut its log back to `position` bytes, so that no row comes twice."""
        log = open(self.folder / "log.jsonl", "ab")  # noqa: SIM115 - held while the run lives, for its lock
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SoftqError(
                f"{self.folder} is being trained by another process; wait or stop that one."
            ) from None
        if log.seek(0, os.SEEK_END) < position:
            raise SoftqError(
                f"{self.folder / 'log.jsonl'} is shorter than its checkpoint says; the run is damaged."
            )
        log.truncate(position)
        self.log = log

    def append(self, row: dict) -> None:
        """One row of the log; what is not finite becomes null."""
        clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        self.log.write(json.dumps(clean).encode() + b"\n")
        self.log.flush()

    @property
    def position(self) -> int:
        """Length of the log in bytes."""
        return self.log.tell()

    def close(self) -> None:
        if self.log:
            self.log.close()


def default_folder(config: TrainConfig) -> Path:
    """runs/ALGORITHM-ENV-DATE, with a number behind it where that exists."""
    env = config.env.replace("/", "_").replace(":", "_")
    return numbered(Path("runs") / f"{config.algorithm}-{env}-{time.strftime('%Y%m%d-%H%M%S')}")


def tidy(rows: list[dict], config: TrainConfig) -> pd.DataFrame:
    """Rows of a log as a table with the columns `COLUMNS` first, then the metrics."""
    table = pd.DataFrame(rows).assign(algorithm=config.algorithm, env=config.env)
    # a run stopped before its first evaluation has no column of theirs yet
    return table.reindex(columns=[*COLUMNS, *(name for name in table if name not in COLUMNS)])


def read_log(folder: Path | str) -> list[dict]:
    """All complete rows of a run's log; half a row at its end, left by a crash, does not count."""
    path = Path(folder) / "log.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    try:
        return [json.loads(line) for line in lines]
    except ValueError:
        raise SoftqError(
            f"{path} holds a broken row; resuming the run cuts the log back to a good one."
        ) from None
