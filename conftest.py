"""Notebooks are executed once, by nbmake, into the cache that the book is built from.

`pytest notebooks --nbmake --nbcache=DIR` stores each notebook that passed; `--nbcache-reuse` leaves out those
whose code cells have not changed since. What a notebook computes depends on more than its cells, so the whole
cache is dropped when softq/, results/, requirements.txt or Python's version changes.
"""

import hashlib
import platform
import shutil
import time
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("nbcache", "notebook cache of the book")
    group.addoption("--nbcache", default=None, help="jupyter-cache folder to store executed notebooks in")
    group.addoption("--nbcache-reuse", action="store_true", help="do not execute what the cache holds")


def pytest_configure(config: pytest.Config) -> None:
    if not config.option.nbcache:
        return
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn
    from nbmake import pytest_items
    from nbmake.nb_result import NotebookResult

    reuse = config.option.nbcache_reuse
    folder = (ROOT / config.option.nbcache).resolve()
    key_file = folder / "softq-key.txt"
    key = _digest()
    if folder.exists() and not (reuse and key_file.is_file() and key_file.read_text() == key):
        shutil.rmtree(folder)
    cache = get_cache(str(folder))

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
            start = time.perf_counter()
            result = super().execute()
            seconds = time.perf_counter() - start
            if result.error is None:
                for cell in result.nb.cells:
                    cell.metadata.pop("execution", None)  # part of the hash, and different in each run
                bundle = CacheBundleIn(result.nb, str(self.filename), data={"execution_seconds": seconds})
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
                key_file.write_text(key)
            return result

    pytest_items.NotebookRun = CachedRun


def _digest() -> str:
    files = [ROOT / "requirements.txt", *(ROOT / "softq").rglob("*.py"), *(ROOT / "results").rglob("*")]
    digest = hashlib.sha256(platform.python_version().encode())
    for file in sorted(path for path in files if path.is_file()):
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
