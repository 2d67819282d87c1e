"""A check before a run starts that it fits into memory: without memory a machine hangs, or kills the process."""

import math
import warnings
from typing import Any

import jax

from softq.training.config import TrainConfig
from softq.training.loop import LoopState
from softq.utils.errors import SoftqError, SoftqWarning
from softq.utils.memory import amount, of_host

TIGHT = 0.8  # share of the free memory above which a run is warned of


def size(tree: Any) -> int:
    """Bytes of all arrays, or shapes of arrays, in `tree`."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def check(loop: LoopState, config: TrainConfig, copies: int = 1) -> None:
    """Raise `SoftqError` when `copies` of a loop with the shapes of `loop` need more memory than is free.

    Give a `SoftqWarning` when they need more than the share `TIGHT` of it. Temporary arrays of the compiled programs
    are not counted.
    """
    # bytes of one transition of all seeds together
    row = size(loop.replay.data) / jax.tree.leaves(loop.replay.data)[0].shape[1]
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
    """`(bytes, name)`: the free memory of the device that holds JAX's arrays, None if unknown, and its name."""
    device = jax.devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0), device.device_kind
    return of_host(), "this machine"
