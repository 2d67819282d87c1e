"""Errors of the machine, not of the input, as one line: little memory, a full disk, a backend that is absent."""

import contextlib
import errno
from collections.abc import Iterator

from softq.utils.errors import SoftqError

DISK = {
    errno.ENOSPC: "free room there",
    errno.EDQUOT: "free room there",
    errno.EFBIG: "raise the limit on files",
}
DISK |= {
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder that can be written",
}
MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")


def explain(error: BaseException) -> str | None:
    """One line for an error of the machine: what happened and the remedy. None for any other error."""
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
    """Within this context an error of the machine is a `SoftqError` of one line."""
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
    """One line when JAX cannot start the backend that JAX_PLATFORMS asks for; None when it can."""
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
    """`SoftqError` when JAX cannot start the backend that it was asked for."""
    if line := missing_backend():
        raise SoftqError(line)
