"""What the person at the terminal sees, and how a run is asked to stop."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from tqdm.auto import tqdm

from softq.utils.signals import ENDING

CHUNK_SECONDS = 0.5  # between two looks at the progress bar and at Ctrl-C


class Interrupt:
    """`with Interrupt() as stop:` turns the first Ctrl-C, SIGTERM or SIGHUP into `stop()`; a second ends at once.

    A hang-up that is ignored, as after `nohup`, stays ignored.
    """

    def __init__(self) -> None:
        self.requested = False

    def __call__(self) -> bool:
        return self.requested

    def __enter__(self) -> "Interrupt":
        # Python delivers signals to the main thread only
        signals = ENDING if threading.current_thread() is threading.main_thread() else ()
        ignored = [x for x in signals if x.name == "SIGHUP" and signal.getsignal(x) == signal.SIG_IGN]
        self.previous = {x: signal.signal(x, self.handle) for x in signals if x not in ignored}
        return self

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self.restore()

    def restore(self) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def __exit__(self, *_: object) -> None:
        self.restore()


class Pace:
    """How many steps to run before the next look: about `CHUNK_SECONDS` worth, by the last measurement."""

    def __init__(self) -> None:
        self.num, self.started = 1, 0.0

    def next(self, limit: int) -> int:
        self.started = time.perf_counter()
        self.num = max(1, min(self.num, limit))
        return self.num

    def ran(self) -> None:
        per_step = (time.perf_counter() - self.started) / self.num
        self.num = min(int(CHUNK_SECONDS / max(per_step, 1e-7)), 4 * self.num)


class Progress:
    """A bar for the warm-up, then one for the updates; both with the latest returns.

    Where nothing can be written, because the terminal is gone for example, nothing is shown and the run goes on.
    """

    def __init__(self, title: str, warmup: int, updates: int, num_envs: int, show: bool):
        self.title, self.warmup, self.updates, self.num_envs = title, warmup, updates, num_envs
        self.show, self.notes = show, {}
        self.bar: Any = None  # a tqdm, once there is something to show

    def draw(self, move: Callable[[], object]) -> None:
        """Call `move`, which writes to the terminal; give up showing anything when that fails."""
        try:
            move()
        except (OSError, UnicodeError):
            self.show = False
            if self.bar is not None:
                self.bar.disable = True

    def say(self, text: str) -> None:
        """A line of its own."""
        if self.show:
            self.draw(lambda: tqdm.write(text))

    def at(self, step: int, **notes: str) -> None:
        """Move the bar to this step of the run; `notes` stay beside it."""
        self.notes |= notes
        self.draw(lambda: self.move(step))

    def move(self, step: int) -> None:
        learning = step >= self.warmup
        total, done = self.updates if learning else self.warmup, step - self.warmup if learning else step
        scale = 1 if learning else self.num_envs
        if self.bar is None or self.bar.total != total * scale:
            self.close()
            self.bar = tqdm(
                total=total * scale,
                initial=done * scale,
                desc=self.title if learning else f"{self.title} warm-up",
                unit="update" if learning else "transition",
                disable=not self.show,
                mininterval=0.2 if sys.stderr.isatty() else 10,
                dynamic_ncols=True,
            )
        self.bar.set_postfix({k: v for k, v in self.notes.items() if v}, refresh=False)
        self.bar.update(done * scale - self.bar.n)

    def note(self, **notes: str) -> None:
        """Show a note at once."""
        self.notes |= notes
        if self.bar is not None:
            self.draw(lambda: self.bar.set_postfix({k: v for k, v in self.notes.items() if v}, refresh=True))

    def close(self) -> None:
        if self.bar is not None:
            self.draw(self.bar.close)
