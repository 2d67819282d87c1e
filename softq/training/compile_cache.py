"""Compiled programs in the user's cache folder, so that the second `softq train` of a kind need not compile again.

The command line turns this on; `softq.train` does not, since a library should not change what holds for the whole
process. A script that wants it calls `turn_on` before its first computation.
"""

import contextlib
import os
import platform
import sys
import tempfile
import zlib
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

LIMIT = 2**30  # bytes of programs that are kept; of more than that the longest unused are deleted
SHORTEST = 0.1  # seconds of compilation from which a program is kept
OFF = "SOFTQ_NO_COMPILE_CACHE"  # the environment variable that, when it is set, leaves the cache off


def folder() -> Path:
    """The folder of compiled programs: softq/jax/KIND in $XDG_CACHE_HOME, or where the system keeps a user's caches.

    KIND is that of the processor, for computers that share a home. Raises `RuntimeError` for a user without a home.
    """
    usual = {"darwin": ("HOME", "Library/Caches"), "win32": ("LOCALAPPDATA", "")}.get(sys.platform)
    if given := os.environ.get("XDG_CACHE_HOME"):
        root = Path(given)
    elif usual and usual[0] in os.environ:
        root = Path(os.environ[usual[0]]) / usual[1]
    else:
        root = Path.home() / ".cache"
    return root / "softq" / "jax" / processor()


def processor() -> str:
    """A name for processors that can run the same programs: their family, and a sum of the instructions they know."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        known = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        known = platform.processor()
    return f"{platform.machine()}-{zlib.crc32(known.encode()):08x}"


def turn_on(wanted: bool = True) -> Path | None:
    """Let JAX keep the programs of this process that it compiles from now on, and read those of earlier ones.

    Returns the folder. Nothing is done, and None returned, unless `wanted`; when the environment variable `OFF` is set;
    when JAX has a cache already, that of JAX_COMPILATION_CACHE_DIR for example; and when the folder cannot be written.
    """
    if not wanted or os.environ.get(OFF) or jax.config.values["jax_compilation_cache_dir"]:
        return None
    try:
        where = folder()
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=where):
            pass
        trim(where)
    except (OSError, RuntimeError):
        return None
    jax.config.update("jax_compilation_cache_dir", str(where))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)
    compilation_cache.reset_cache()  # else JAX stays without one when it has compiled something before
    return where


def trim(where: Path, limit: int = LIMIT) -> None:
    """Delete the longest unused files of a folder until the others have at most `limit` bytes.

    Not by JAX's own limit, which needs the package filelock.
    """
    stats = {path: path.stat() for path in where.iterdir() if path.is_file()}
    used = lambda path: max(stats[path].st_atime, stats[path].st_mtime)
    total = 0
    for path in sorted(stats, key=used, reverse=True):
        total += stats[path].st_size
        if total > limit:
            with contextlib.suppress(OSError):  # another process may have deleted it
                path.unlink()
