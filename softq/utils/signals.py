"""A second Ctrl-C ends the process, also where Python cannot answer because it waits for a compiled program."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

# signals that ask for an end; Windows has no SIGHUP
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
SLOW = 10.0  # seconds after the first signal until the person is told why nothing happens yet
PATIENCE = 3.0  # seconds that the main thread has to end by itself after the second signal


@contextlib.contextmanager
def watch() -> Iterator[None]:
    """Within this context the second of `ENDING` ends the process if the main thread has not, 3 seconds later.

    Python runs signal handlers in the main thread between two bytecodes, so never while a compiled program runs. The
    number of a signal is written to a socket at once, and a thread reads it there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=wait, args=(reader,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()  # ends the thread
        thread.join()
        reader.close()


def wait(reader: socket.socket) -> None:
    """Read signal numbers until the other end is closed; end the process if the second is not answered."""
    if not following(reader, None):
        return
    second = following(reader, SLOW)
    if second is None:
        say("softq: stopping at the end of the present computation; a second signal ends at once.")
        second = following(reader, None)
    if second and following(reader, PATIENCE) != 0:
        say("softq: ended at once; a run is kept up to its last checkpoint.")
        os._exit(128 + second)


def following(reader: socket.socket, seconds: float | None) -> int | None:
    """The number of the next ending signal; 0 when the other end is closed, None after so many seconds."""
    reader.settimeout(seconds)
    try:
        while number := reader.recv(1):
            if number[0] in ENDING:
                return number[0]
    except TimeoutError:
        return None
    return 0


def say(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        os.write(2, f"{text}\n".encode())
