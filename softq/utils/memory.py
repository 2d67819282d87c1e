"""The free memory of this machine, within the limits of the system, of a container and of the process."""

import os
from pathlib import Path

# files of control groups of version 2 and 1 with the limit and the use of memory, and the name in memory.stat of the
# part of the use that is given back on demand
LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def amount(number: float) -> str:
    """A number of bytes in words, for example "1.5 GB" or "20.0 MB"."""
    return f"{number / 1e9:,.1f} GB" if number > 1e8 else f"{number / 1e6:,.1f} MB"


def of_host() -> int | None:
    """Free bytes of host memory for this process, or None when the system does not say."""
    found = [free for free in (of_system(), of_container(), of_process()) if free is not None]
    return min(found, default=None)


def of_system() -> int | None:
    """Bytes of host memory that can be used without swapping, or None when the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def of_container(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int | None:
    """Bytes left within the tightest memory limit of the control groups of this process, as containers set them.

    None when there is no limit. `root` holds the control groups, and `own` names those of this process.
    """
    left = []
    try:
        groups = [line.split(":", 2)[1:] for line in own.read_text().splitlines()]
    except OSError:
        return None
    for controllers, path in groups:
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / controllers if controllers else root
        group = top / path.lstrip("/")
        for folder in (group, *group.parents[: len(group.parts) - len(top.parts)]):
            for names in LIMITS:
                try:
                    limit, used = (int((folder / name).read_text()) for name in names[:2])
                    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                    left.append(limit - used + int(stat.get(names[2], 0)))
                except (OSError, ValueError):
                    continue  # the file does not exist, or it says "max", for no limit
    return min(left, default=None)


def of_process() -> int | None:
    """Bytes left of the address space that `ulimit -v` allows, or None without a limit."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, ValueError):
        return None
    return None if limit == resource.RLIM_INFINITY else limit - used
