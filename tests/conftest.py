"""Strict JAX for every test: on the CPU, in single precision, with no silent broadcasting between ranks."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_enable_x64", False)


@pytest.fixture
def key() -> jax.Array:
    """A fixed key: every statistical test is a computation with one outcome."""
    return jax.random.key(20240501)
