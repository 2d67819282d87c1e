"""Strict JAX for every test: on the CPU, in single precision, with no silent broadcasting between ranks.

Three quarters of the time of the tests go into compiling small programs that run once, so XLA optimises less here.
"""

import os
from collections.abc import Iterator

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=1".strip()

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_enable_x64", False)

LONGEST = ("test_problems.py", "test_training.py", "test_contract.py", "test_policies.py", "test_ddsq.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that of several processes none is left alone with one at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture
def key() -> jax.Array:
    """A fixed key: every statistical test is a computation with one outcome."""
    return jax.random.key(20240501)


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """For modules whose time goes into compiling many tiny programs: skip XLA's costly passes."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
