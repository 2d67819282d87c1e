"""The ring buffer against a Python deque."""

from collections import deque

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from softq.training import Replay

ADD = jax.jit(Replay.add, donate_argnums=0)


def row(i):
    return {"a": jnp.asarray([float(i), -float(i)]), "b": jnp.asarray(i, jnp.int32)}


def rows(start, count):
    return jax.tree.map(lambda *x: jnp.stack(x), *(row(start + i) for i in range(count)))


def contents(replay):
    size = int(replay.size)
    return sorted(np.asarray(replay.data["b"])[:size].tolist())


@settings(max_examples=20, deadline=None)
@given(capacity=st.integers(1, 12), counts=st.lists(st.integers(1, 5), max_size=8))
def test_holds_what_a_deque_holds(capacity, counts):
    replay, model, added = Replay.create(row(0), capacity), deque(maxlen=capacity), 0
    for count in (count for count in counts if count <= capacity):
        replay = replay.add(rows(added, count))
        model.extend(range(added, added + count))
        added += count
        assert contents(replay) == sorted(model)
        np.testing.assert_array_equal(replay.data["a"][:, 0], replay.data["b"])
    assert int(replay.size) == len(model)
    assert replay.capacity == capacity


def test_samples_uniformly_with_replacement_from_filled_rows_only():
    replay = Replay.create(row(0), 100).add(rows(1, 7))
    drawn = np.asarray(replay.sample(jax.random.key(0), 70_000)["b"])
    counts = np.bincount(drawn, minlength=8)
    assert counts[0] == 0 and len(counts) == 8
    chi_square = np.sum((counts[1:] - 10_000) ** 2 / 10_000)
    assert chi_square < 38.3  # 6 degrees of freedom, p = 1e-6


def test_add_writes_in_place_when_donated():
    replay = ADD(Replay.create(row(0), 1000), rows(0, 3))
    before = replay.data["a"].unsafe_buffer_pointer()
    after = ADD(replay, rows(3, 3))
    assert after.data["a"].unsafe_buffer_pointer() == before
    assert replay.data["a"].is_deleted()


def test_too_many_rows_name_the_knob():
    with pytest.raises(ValueError, match="raise buffer_size"):
        Replay.create(row(0), 2).add(rows(0, 3))
