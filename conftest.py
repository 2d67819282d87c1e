"""Notebooks are executed once, by nbmake, into the cache that the book is built from.

`pytest notebooks --nbmake --nbcache=DIR` stores each notebook that passed; `--nbcache-reuse` leaves out those
whose code cells have not changed since. What a notebook computes depends on more than its cells, so the whole
cache is dropped when softq/, results/, requirements.txt or Python's version changes.

A chapter may take 60 s of a processor, on an idle machine like the one where this limit was set; where a fixed program
takes longer than it did there, so may a chapter. Not the clock is judged but the time of the processor, since a busy
machine is no fault of the chapter.

Most of the time of chapters and tests goes into compiling programs that run once. XLA compiles here with its older code
generator, in one piece and with few of LLVM's optimisations: chapters take a fifth to a third less, and those that
train are no slower. With `SOFTQ_AS_USERS` set it compiles as it does for everybody; `make robust` does that.
"""

import hashlib
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
SECONDS = 60  # of the processor, for one chapter
CALIBRATION = 2.3  # what `calibration.py` took where this was set, and 23 to 50 s the chapters

if "SOFTQ_AS_USERS" not in os.environ:
    os.environ["XLA_FLAGS"] = " ".join(
        [
            os.environ.get("XLA_FLAGS", ""),
            "--xla_backend_optimization_level=1",
            "--xla_cpu_use_fusion_emitters=false",
            "--xla_cpu_parallel_codegen_split_count=1",
        ]
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("nbcache", "notebook cache of the book")
    group.addoption("--nbcache", default=None, help="jupyter-cache folder to store executed notebooks in")
    group.addoption("--nbcache-reuse", action="store_true", help="do not execute what the cache holds")


def pytest_configure(config: pytest.Config) -> None:
    if not config.option.nbcache:
        return
    import nbformat  # takes more than a second; the tests of softq do without it
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn
    from nbmake import pytest_items
    from nbmake.nb_result import NotebookError, NotebookResult

    reuse = config.option.nbcache_reuse
    folder = (ROOT / config.option.nbcache).resolve()
    key_file = folder / "softq-key.txt"
    key = _digest()
    first = not hasattr(config, "workerinput")  # of several processes, the one that starts the others
    if first and folder.exists() and not (reuse and key_file.is_file() and key_file.read_text() == key):
        shutil.rmtree(folder)
    cache = get_cache(str(folder))
    if first:
        cache.list_cache_records()  # makes the data base before others look for it

    class CachedRun(pytest_items.NotebookRun):
        def execute(self) -> NotebookResult:
            if reuse:
                notebook = nbformat.read(self.filename, 4)
                try:
                    cache.match_cache_notebook(notebook)
                except KeyError:
                    pass
                else:
                    return NotebookResult(nb=notebook, error=None)
            start, used = time.perf_counter(), processor_time()
            result = super().execute()
            seconds, used = time.perf_counter() - start, processor_time() - used
            if result.error is None and (text := too_long(used)):
                text = f"{self.filename} {text}"
                result = NotebookResult(result.nb, NotebookError(text, text, len(result.nb.cells) - 1))
            if result.error is None:
                for cell in result.nb.cells:
                    cell.metadata.pop("execution", None)  # part of the hash, and different in each run
                bundle = CacheBundleIn(result.nb, str(self.filename), data={"execution_seconds": seconds})
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
                key_file.write_text(key)
            return result

    pytest_items.NotebookRun = CachedRun


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The last chapters are the longest: two processes that begin with them end together."""
    if config.option.nbcache:
        items.reverse()


def too_long(used: float) -> str | None:
    """What is wrong with `used` seconds of the processor; None where nothing is. Calibrates only when in doubt."""
    if used <= SECONDS:
        return None
    slower = max(1.0, calibration() / CALIBRATION)
    if used <= SECONDS * slower:
        return None
    return (
        f"used {used:.0f} s of the processor, expected at most {SECONDS} s, times {slower:.1f} since a fixed program "
        "takes that much longer here than where the limit was set. Compile less, or draw less."
    )


def processor_time() -> float:
    """Seconds of the processor, over all cores, that the ended children of this process have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def calibration() -> float:
    """Seconds of the processor that a fixed program takes now; it imports JAX, compiles and runs, as notebooks do."""
    before = processor_time()
    subprocess.run([sys.executable, ROOT / "tests" / "calibration.py"], check=True)
    return processor_time() - before


def _digest() -> str:
    files = [ROOT / "requirements.txt", *(ROOT / "softq").rglob("*.py"), *(ROOT / "results").rglob("*")]
    digest = hashlib.sha256(platform.python_version().encode())
    for file in sorted(path for path in files if path.is_file()):
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
