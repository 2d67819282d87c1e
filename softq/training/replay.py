"""A replay: a ring buffer of transitions on the device."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from softq.utils.pytree import pytree, replace


@pytree
class Replay:
    """A ring buffer whose rows are trees of arrays; when it is full, new rows replace the oldest.

    `add` and `sample` are pure functions. A compiled program to which the buffer is donated writes rows in place.
    """

    data: Any  # tree of arrays (capacity, ...)
    added: Array  # number of rows that were ever added

    @staticmethod
    def create(row: Any, capacity: int) -> "Replay":
        """An empty buffer with room for `capacity` rows, with the shapes and types of the tree `row`."""
        data = jax.tree.map(lambda x: jnp.zeros((capacity, *jnp.shape(x)), jnp.result_type(x)), row)
        return Replay(data, jnp.zeros((), jnp.int32))

    @property
    def capacity(self) -> int:
        """The number of rows for which there is room."""
        return jax.tree.leaves(self.data)[0].shape[0]

    @property
    def size(self) -> Array:
        """The number of rows that can be sampled."""
        return jnp.minimum(self.added, self.capacity)

    def add(self, rows: Any) -> "Replay":
        """The buffer with E more rows, a tree of arrays `(E, ...)`, converted to the types of the buffer.

        Raises `ValueError` when E is larger than the capacity.
        """
        count = jax.tree.leaves(rows)[0].shape[0]
        if count > self.capacity:
            raise ValueError(f"{count} rows do not fit a buffer of {self.capacity}; raise buffer_size.")
        where = (self.added + jnp.arange(count)) % self.capacity
        put = lambda old, new: old.at[where].set(new.astype(old.dtype), unique_indices=True)
        return replace(self, data=jax.tree.map(put, self.data, rows), added=self.added + count)

    def grown(self, capacity: int) -> "Replay":
        """The buffer with room for `capacity` rows; only correct while no row has been replaced."""
        grow = lambda x: jnp.zeros((capacity, *x.shape[1:]), x.dtype).at[: self.capacity].set(x)
        return replace(self, data=jax.tree.map(grow, self.data))

    def sample(self, key: Array, num: int) -> Any:
        """`num` rows, drawn uniformly with replacement, as a tree of arrays `(num, ...)`."""
        return self.rows(self.draw(key, num))

    def draw(self, key: Array, num: int) -> Array:
        """The places `(num,)` of rows, drawn uniformly with replacement."""
        return jax.random.randint(key, (num,), 0, self.size)

    def rows(self, where: Array) -> Any:
        """The rows at the places `where` `(num,)`, as a tree of arrays `(num, ...)`."""
        return jax.tree.map(lambda x: x[where], self.data)

    def revise(self, where: Array, actions: Array) -> "Replay":
        """The buffer of transitions with `actions` `(num, d)` as what is `revised` at the places `where` `(num,)`.

        At a place that is there twice one of its two actions is kept; which one is not said.
        """
        revised = self.data.revised.at[where].set(actions.astype(self.data.revised.dtype))
        return replace(self, data=replace(self.data, revised=revised))
