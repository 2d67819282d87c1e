"""Many copies of an environment: what all of them will take in memory and time, told from the first ones."""

import os
import warnings
from pathlib import Path
from time import perf_counter

from softq.utils.errors import SoftqError, SoftqWarning
from softq.utils.memory import amount, of_host

SURE = 1e8  # bytes that the copies so far must have taken before more are foretold from them
SLOW = 60.0  # seconds: a warning says how long the making will last when that is more


def resident() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


class Forecast:
    """Called after each of `num` copies has been made; counts from the first, which may load libraries."""

    def __init__(self, env_id: str, num: int):
        self.env_id, self.num = env_id, num
        self.began = self.held = 0.0
        self.warned = False

    def __call__(self, made: int) -> None:
        """Compare what the rest will take, when `made` exist, with what there is, each time that `made` has doubled.

        Raises `SoftqError` when the memory will not do; a `SoftqWarning` says when the making will last long.
        """
        if made & (made - 1):
            return
        now, held = perf_counter(), resident()
        if made == 1:
            self.began, self.held = now, held
            return
        self.check_memory(held - self.held, made)
        seconds = (now - self.began) / (made - 1) * (self.num - made)
        if seconds > SLOW and now - self.began >= 1 and not self.warned:
            self.warned = True
            warnings.warn(
                f"making {self.num:,} copies of {self.env_id}, which step one after another, will take "
                f"{seconds:,.0f} seconds more.",
                SoftqWarning,
                stacklevel=4,
            )

    def check_memory(self, grown: float, made: int) -> None:
        free, needed = of_host(), grown / (made - 1) * (self.num - made)
        if grown > SURE and free is not None and needed > free:
            raise SoftqError(
                f"{self.num:,} copies of {self.env_id} need {amount(needed)} of memory beyond the {made:,} that have "
                f"been made; this machine has {amount(free)} free. Lower --num-envs, --seeds or the number of episodes."
            )
