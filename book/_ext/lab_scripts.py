"""Which scripts of `book/_static` a page with labs needs: what all labs share, and one file for each kind of lab."""

import re
from collections.abc import Iterable

SHARED = ("softq-kit.js", "softq-base.js", "softq-curves.js", "softq-particles.js", "softq-samplers.js")
BELOW = {"hero": ("draws",)}  # kinds whose class extends that of other kinds


def kinds_in(body: str) -> list[str]:
    """The kinds of the labs in the HTML of a page, each once."""
    return list(dict.fromkeys(re.findall(r'class="softq-lab" data-kind="([\w-]+)"', body)))


def scripts(kinds: Iterable[str]) -> list[str]:
    """The scripts of a page with labs of these `kinds`, in the order in which they run; none without labs."""
    needed = dict.fromkeys(name for kind in kinds for name in (*BELOW.get(kind, ()), kind))
    return [*SHARED, *(f"softq-lab-{kind}.js" for kind in needed)] if needed else []
