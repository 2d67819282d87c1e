"""The ring buffer against a Python deque."""

from collections import deque
from functools import partial

import hypothesis.strategies as st
import jax
import numpy as np
import pytest
from hypothesis import given, settings

from softq.training import Replay

ADD = jax.jit(Replay.add, donate_argnums=0)


def row(i):
    return {"a": np.array([i, -i], np.float32), "b": np.array(i, np.int32)}


def rows(start, count):
    return jax.tree.map(lambda *x: np.stack(x), *(row(start + i) for i in range(count)))


@partial(jax.jit, static_argnums=(0, 1))
def filled(capacity, counts):
    """The buffer when it is new, and after each of `counts` rows were added."""
    replays = [Replay.create(row(0), capacity)]
    for i, count in enumerate(counts):
        replays.append(replays[-1].add(rows(sum(counts[:i]), count)))
    return replays


def contents(replay):
    size = int(replay.size)
    return sorted(np.asarray(replay.data["b"])[:size].tolist())


@settings(max_examples=20, deadline=None)
@given(capacity=st.integers(1, 12), counts=st.lists(st.integers(1, 5), max_size=8))
def test_holds_what_a_deque_holds(capacity, counts):
    counts = tuple(count for count in counts if count <= capacity)
    (replay, *later), model, added = filled(capacity, counts), deque(maxlen=capacity), 0
    for count, replay in zip(counts, later, strict=True):
        model.extend(range(added, added + count))
        added += count
        assert contents(replay) == sorted(model)
        np.testing.assert_array_equal(np.asarray(replay.data["a"])[:, 0], replay.data["b"])
    assert int(replay.size) == len(model)
    assert replay.capacity == capacity


def test_samples_uniformly_with_replacement_from_filled_rows_only():
    draw = lambda key: Replay.create(row(0), 100).add(rows(1, 7)).sample(key, 70_000)["b"]
    drawn = np.asarray(jax.jit(draw)(jax.random.key(0)))
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
