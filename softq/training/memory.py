"""Does a run fit into memory? Asked before anything starts, because a computer without memory hangs or kills."""

import math
import os
import warnings
from pathlib import Path
from typing import Any

import jax

from softq.errors import SoftqError, SoftqWarning
from softq.training.config import TrainConfig
from softq.training.loop import Loop

TIGHT = 0.8  # of the free memory: a run that needs more gets a warning
# in cgroups of version 2 and 1: limit, use, and the name of the part of the use that is given back on demand
LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def size(tree: Any) -> int:
    """Bytes of all arrays in `tree`, or of arrays of these shapes."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def check(loop: Loop, config: TrainConfig, copies: int = 1) -> None:
    """`SoftqError` when a run whose loop has these shapes, `copies` times, needs more memory than is free.

    A `SoftqWarning` when it needs nearly all. What compiled programs need in between is not counted.
    """
    row = size(loop.replay.data) / jax.tree.leaves(loop.replay.data)[0].shape[1]  # of all seeds together
    parts = {
        "--buffer-size": copies * size(loop.replay),
        "--hidden-sizes": copies * size(loop.state),
        "--batch-size": int(row * config.batch_size),
        "--num-envs": size((loop.env, loop.obs, loop.returns)),
    }
    needed, (free, where) = sum(parts.values()), available()
    if free is None or needed <= TIGHT * free:
        return
    rows, largest = jax.tree.leaves(loop.replay.data)[0].shape[1], max(parts, key=lambda part: parts[part])
    text = (
        f"{'resuming ' if copies > 1 else ''}{config.algorithm} in {config.env} needs {amount(needed)} of memory, "
        f"{amount(parts['--buffer-size'])} of it for a replay of {rows:,} transitions for each of {config.seeds} "
        f"seeds; {where} has {amount(free)} free"
    )
    if needed > free:
        raise SoftqError(f"{text}. Lower {largest} or --seeds.")
    warnings.warn(
        f"{text}; lower {largest} or --seeds if it gets slow or is killed.", SoftqWarning, stacklevel=2
    )


def amount(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number > 1e8 else f"{number / 1e6:,.1f} MB"


def available() -> tuple[int | None, str]:
    """Free bytes where arrays live, and the name of that place; None where nobody can tell."""
    device = jax.devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0), device.device_kind
    return of_host(), "this machine"


def of_host() -> int | None:
    """Free bytes for this process outside of any accelerator; None where nobody can tell."""
    found = [free for free in (of_system(), of_container(), of_process()) if free is not None]
    return min(found, default=None)


def of_system() -> int | None:
    """Bytes that a program can take without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def of_container(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int | None:
    """Bytes left within the tightest limit of a control group around this process, as containers set it."""
    left = []
    try:
        groups = [line.split(":", 2)[1:] for line in own.read_text().splitlines()]
    except OSError:
        return None
    for controllers, path in groups:
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / controllers if controllers else root
        group = top / path.lstrip("/")
        for folder in (group, *group.parents[: len(group.parts) - len(top.parts)]):
            for names in LIMITS:
                try:
                    limit, used = (int((folder / name).read_text()) for name in names[:2])
                    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                    left.append(limit - used + int(stat.get(names[2], 0)))
                except (OSError, ValueError):
                    continue  # no such file, or "max"
    return min(left, default=None)


def of_process() -> int | None:
    """Bytes left of the address space that `ulimit -v` allows."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, ValueError):
        return None
    return None if limit == resource.RLIM_INFINITY else limit - used
