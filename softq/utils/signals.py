"""A watch that lets a second Ctrl-C end the process even while Python waits for a compiled program."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

# signals that ask the process to end; Windows has no SIGHUP
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
INTERRUPTED = 130  # exit code that shells report after Ctrl-C
SLOW = 10.0  # seconds after the first signal until a message says why the process still runs
PATIENCE = 3.0  # seconds after the second signal in which the main thread can end by itself


@contextlib.contextmanager
def watch() -> Iterator[None]:
    """End the process in this context `PATIENCE` seconds after the second signal, if the main thread has not ended.

    Python runs signal handlers in the main thread between two bytecodes, and so not while a compiled program runs. It
    writes the number of a signal to a socket at once, however, where a thread can read it.
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
        writer.close()  # the thread ends when the socket is closed
        thread.join()
        reader.close()


def wait(reader: socket.socket) -> None:
    """Read signal numbers until the other end of the socket is closed; end the process after the second signal."""
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
    """The number of the next signal in `ENDING`, 0 when the other end is closed, or None after `seconds`."""
    reader.settimeout(seconds)
    try:
        while number := reader.recv(1):
            if number[0] in ENDING:
                return number[0]
    except TimeoutError:
        return None
    return 0


def say(text: str) -> None:
    """Write `text` as a line to stderr, without Python's buffers, which the main thread may hold."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        os.write(2, f"{text}\n".encode())
