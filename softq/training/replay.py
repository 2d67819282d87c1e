"""A ring buffer of transitions that lives on the device."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from softq.utils.pytree import pytree, replace


@pytree
class Replay:
    """`data`: a tree of arrays `(capacity, ...)`. `added`: how many rows were ever added. The oldest go
    first.

    `add` and `sample` are pure; jit them with the buffer donated and the rows are written in place.
    """

    data: Any
    added: Array

    @staticmethod
    def create(row: Any, capacity: int) -> "Replay":
        """Room for `capacity` rows shaped like the tree `row`."""
        data = jax.tree.map(lambda x: jnp.zeros((capacity, *jnp.shape(x)), jnp.result_type(x)), row)
        return Replay(data, jnp.zeros((), jnp.int32))

    @property
    def capacity(self) -> int:
        return jax.tree.leaves(self.data)[0].shape[0]

    @property
    def size(self) -> Array:
        """How many rows can be sampled."""
        return jnp.minimum(self.added, self.capacity)

    def add(self, rows: Any) -> "Replay":
        """Append the tree `rows`, arrays `(E, ...)` with E at most the capacity; E need not divide it.

        Rows take the types of the buffer.
        """
        count = jax.tree.leaves(rows)[0].shape[0]
        if count > self.capacity:
            raise ValueError(f"{count} rows do not fit a buffer of {self.capacity}; raise buffer_size.")
        where = (self.added + jnp.arange(count)) % self.capacity
        put = lambda old, new: old.at[where].set(new.astype(old.dtype), unique_indices=True)
        return replace(self, data=jax.tree.map(put, self.data, rows), added=self.added + count)

    def grown(self, capacity: int) -> "Replay":
        """The same rows with room for `capacity`; only while no row has been overwritten."""
        grow = lambda x: jnp.zeros((capacity, *x.shape[1:]), x.dtype).at[: self.capacity].set(x)
        return replace(self, data=jax.tree.map(grow, self.data))

    def sample(self, key: Array, num: int) -> Any:
        """`num` rows drawn uniformly with replacement, a tree of arrays `(num, ...)`."""
        where = jax.random.randint(key, (num,), 0, self.size)
        return jax.tree.map(lambda x: x[where], self.data)
