"""The progress bar of a training, and the signals that ask it to stop."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from tqdm.auto import tqdm

from softq.utils.signals import ENDING

CHUNK_SECONDS = 0.5  # seconds of steps between two updates of the bar, after which Ctrl-C is noticed


class Interrupt:
    """A context in which the first Ctrl-C, SIGTERM or SIGHUP makes `stop()` True, with `with Interrupt() as stop:`.

    The second signal is handled as it was before. A SIGHUP that is ignored, as under `nohup`, stays ignored.
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
        """Note the first signal, and leave the next one to the handlers from before."""
        self.requested = True
        self.restore()

    def restore(self) -> None:
        """Put the signal handlers from before the context back."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def __exit__(self, *_: object) -> None:
        self.restore()


class Pace:
    """The number of steps to run at once, which take about `CHUNK_SECONDS` by the last measurement."""

    def __init__(self) -> None:
        self.num, self.started = 1, 0.0

    def next(self, limit: int) -> int:
        """The number of steps to run now, at most `limit`; starts the clock."""
        self.started = time.perf_counter()
        self.num = max(1, min(self.num, limit))
        return self.num

    def ran(self) -> None:
        """Stop the clock after the steps have run; their number grows at most fourfold."""
        per_step = (time.perf_counter() - self.started) / self.num
        self.num = min(int(CHUNK_SECONDS / max(per_step, 1e-7)), 4 * self.num)


class Progress:
    """A bar for the warm-up and then one for the updates, each with the latest returns beside it.

    When writing fails, because the terminal is gone for example, nothing more is shown and the run goes on.
    """

    def __init__(
        self, title: str, warmup: int, iterations: int, num_envs: int, show: bool, updates_per_step: int = 1
    ):
        self.title, self.warmup, self.iterations = title, warmup, iterations
        self.num_envs, self.updates_per_step = num_envs, updates_per_step
        self.show, self.notes = show, {}
        self.bar: Any = None  # the present tqdm bar

    def draw(self, move: Callable[[], object]) -> None:
        """Call `move`, which writes to the terminal; when that fails, show nothing from then on."""
        try:
            move()
        except (OSError, UnicodeError):
            self.show = False
            if self.bar is not None:
                self.bar.disable = True

    def say(self, text: str) -> None:
        """Write `text` as a line above the bar."""
        if self.show:
            self.draw(lambda: tqdm.write(text))

    def at(self, step: int, **notes: str) -> None:
        """Move the bar to `step`, a step of the run; `notes` stay beside it until they change."""
        self.notes |= notes
        self.draw(lambda: self.move(step))

    def move(self, step: int) -> None:
        """Move the bar to `step`, and begin the bar of the updates where the warm-up ends."""
        learning = step >= self.warmup
        total, done = self.iterations if learning else self.warmup, step - self.warmup if learning else step
        scale = self.updates_per_step if learning else self.num_envs
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
        """Show `notes` beside the bar at once."""
        self.notes |= notes
        if self.bar is not None:
            self.draw(lambda: self.bar.set_postfix({k: v for k, v in self.notes.items() if v}, refresh=True))

    def close(self) -> None:
        """End the present bar."""
        if self.bar is not None:
            self.draw(self.bar.close)
