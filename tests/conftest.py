"""Strict JAX for every test: on the CPU, in single precision, with no silent broadcasting between ranks.

Most of the time of the tests goes into compiling small programs that run once. So XLA compiles here as the conftest.py
of the repository says and, where a module does not ask for `optimised`, with few of its own optimisations too: in a
third of the time. A program that was compiled before, by another test of the same process or by a process that it
started, is read from a folder: one of this process alone, for JAX does not write whole files, or `SOFTQ_COMPILED`,
which is kept. With `SOFTQ_AS_USERS` set, XLA compiles as it does for everybody; `make robust` runs the tests
so too.
"""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "0" if "SOFTQ_AS_USERS" in os.environ else "1"
os.environ.setdefault("PJRT_NPROC", "1")  # threads of XLA: the cores have a process of tests each
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ.get("SOFTQ_COMPILED") or tempfile.mkdtemp(
    prefix="softq-"
)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0" if "SOFTQ_COMPILED" in os.environ else "0.1"

import jax
import pytest
from jaxtyping import install_import_hook
from reference import REFERENCE

# Tracing makes many small objects, most of which live on: looking for garbage among them less often saves time.
gc.set_threshold(200_000, 50, 100)

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_enable_x64", False)

# The annotations of these modules are checked on every call, see `typechecker`; installed before they are imported. Not
# of all: some tests pass a wrong type on purpose, and for lists beartype draws from Python's generator of random
# numbers, which softq.envs.trial watches.
CHECKED = ["exact.boltzmann", "exact.mdp", "envs.bandit", "envs.maze", "envs.multigoal", "networks.critic"]
install_import_hook([f"softq.{name}" for name in CHECKED], "typechecker.check")

LONGEST = ("book", "interrupted", "problems", "temperature", "training", "book_gallery", "working")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that of several processes none is left alone with one at the end."""
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in LONGEST)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of tests ends and tells which entries of the reference table its tests have read."""
    REFERENCE.read.update(getattr(node, "workeroutput", {}).get("reference", ()))


@pytest.hookimpl(optionalhook=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run of all unit tests fails if some entry of the reference table was read by none of them.

    Nothing that was compiled outlives the process of tests: the next one may have other options or another XLA.
    """
    if hasattr(session.config, "workeroutput"):  # one of several processes
        session.config.workeroutput["reference"] = sorted(REFERENCE.read)
    elif exitstatus == 0 and everything(session.config):
        for name in sorted(REFERENCE.keys() - REFERENCE.read):
            print(f"\ntests/reference.json: no test reads the entry {name}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if "SOFTQ_COMPILED" not in os.environ:
        shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


def needs_browser(file: str | Path) -> bool:
    """Whether a file of tests needs the built book or a browser: the Makefile's unit tests leave those files out."""
    return "mark.browser" in Path(file).read_text()


def everything(config: pytest.Config) -> bool:
    """Whether a run was asked for all files of tests, but for those that need the built book or a browser."""
    chosen = config.option.keyword or config.option.markexpr or config.option.collectonly
    left_out = config.option.ignore or ()
    return not chosen and config.args == ["tests"] and all(map(needs_browser, left_out))


@pytest.fixture
def key() -> jax.Array:
    """A fixed key: every statistical test is a computation with one outcome."""
    return jax.random.key(20240501)


@pytest.fixture(scope="module")
def optimised() -> Iterator[None]:
    """For modules whose programs run longer than XLA needs to optimise them."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
