"""Does a run fit into memory? Asked before anything starts, because a computer without memory hangs or kills."""

import math
import warnings
from typing import Any

import jax

from softq.training.config import TrainConfig
from softq.training.loop import LoopState
from softq.utils.errors import SoftqError, SoftqWarning
from softq.utils.memory import amount, of_host

TIGHT = 0.8  # of the free memory: a run that needs more gets a warning


def size(tree: Any) -> int:
    """Bytes of all arrays in `tree`, or of arrays of these shapes."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def check(loop: LoopState, config: TrainConfig, copies: int = 1) -> None:
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


def available() -> tuple[int | None, str]:
    """Free bytes where arrays live, and the name of that place; None where nobody can tell."""
    device = jax.devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0), device.device_kind
    return of_host(), "this machine"
