"""A forecast of the memory and time that many copies of an environment will take, from the first copies."""

import os
import warnings
from pathlib import Path
from time import perf_counter

from softq.utils.errors import SoftqError, SoftqWarning
from softq.utils.memory import amount, of_host

# bytes that the copies so far must have taken before their memory is extrapolated; less may be chance
SURE = 1e8
SLOW = 60.0  # seconds of expected further work from which a warning is given


def resident() -> int:
    """Bytes of physical memory that this process uses; 0 where the system has no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


class Forecast:
    """An object to call with the number of copies made so far, out of `num` copies of `env_id`.

    Memory and time are counted from the first copy on, because making that one may load libraries.
    """

    def __init__(self, env_id: str, num: int):
        self.env_id, self.num = env_id, num
        self.began = self.held = 0.0
        self.warned = False

    def __call__(self, made: int) -> None:
        """Extrapolate from `made` copies to all of them, each time that their number has doubled.

        Raises `SoftqError` when the memory will not suffice, and gives one `SoftqWarning` when the copies yet to be
        made will take more than `SLOW` seconds.
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
        """Raise `SoftqError` unless the copies yet to be made fit; all but the first of `made` took `grown` bytes."""
        free, needed = of_host(), grown / (made - 1) * (self.num - made)
        if grown > SURE and free is not None and needed > free:
            raise SoftqError(
                f"{self.num:,} copies of {self.env_id} need {amount(needed)} of memory beyond the {made:,} that have "
                f"been made; this machine has {amount(free)} free. Lower --num-envs, --seeds or the number of episodes."
            )
