"""One-line messages for errors of the machine and not of the input: no memory, a full disk, a missing backend."""

import contextlib
import errno
from collections.abc import Iterator

from softq.utils.errors import SoftqError

# the remedies for errors of files, by their number
DISK = {
    errno.ENOSPC: "free room there",
    errno.EDQUOT: "free room there",
    errno.EFBIG: "raise the limit on files",
}
DISK |= {
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder that can be written",
}
# parts of messages of RuntimeError by which JAX reports a lack of memory
MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")


def explain(error: BaseException) -> str | None:
    """A line that names an error of the machine and its remedy, or None for any other error."""
    text = " ".join(str(error).split())[:200].rstrip(".")
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(x in text for x in MEMORY)):
        return (
            f"out of memory ({text or 'no more to be had'}); lower whichever is large of --buffer-size, --seeds, "
            "--num-envs, --batch-size, --hidden-sizes and the number of episodes."
        )
    if isinstance(error, OSError) and error.errno in DISK:
        return f"{error.filename or 'a file'} cannot be written ({error.strerror}); {DISK[error.errno]}."
    if isinstance(error, FloatingPointError):
        return f"JAX_DEBUG_NANS stopped the computation ({text})."
    if isinstance(error, RuntimeError | AssertionError):
        return missing_backend()
    return None


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn an error of the machine in this context into a `SoftqError` of one line."""
    try:
        yield
    except SoftqError:
        raise
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        raise SoftqError(line) from error


def missing_backend() -> str | None:
    """A line that says that JAX cannot start the backend in JAX_PLATFORMS, or None when it can."""
    import jax

    asked = jax.config.jax_platforms  # pyrefly: ignore[missing-attribute] - JAX adds its options at run time
    try:
        jax.devices()
        return None
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:160].rstrip(".")
    jax.config.update("jax_platforms", None)
    try:
        found = sorted({device.platform for device in jax.devices()})
    except (RuntimeError, AssertionError):
        found = []
    finally:
        jax.config.update("jax_platforms", asked)
    return (
        f"JAX_PLATFORMS asks for {asked!r}, which cannot be used here{f' ({reason})' if reason else ''}; "
        f"there is {', '.join(found) or 'none'}. Set JAX_PLATFORMS to one of these, or unset it."
    )


def check_backend() -> None:
    """Raise `SoftqError` when JAX cannot start the backend in JAX_PLATFORMS."""
    if line := missing_backend():
        raise SoftqError(line)
