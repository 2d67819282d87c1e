"""Frozen dataclasses that JAX sees through.

Every hyper-parameter set, state and network of softq is one. Float fields are leaves: changing a temperature or
a learning rate never recompiles, and `jax.vmap` over a batch of them sweeps it. Whatever decides shapes or
Python control flow is `static`.
"""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


def static(**kwargs: Any) -> Any:
    """A field that is part of the tree's structure: a new value means a new compilation."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, static))
def pytree(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass and a JAX pytree; fields are leaves unless they are `static`."""
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True)(cls))


@jax.jit
def unstacked(tree: T, index: int) -> T:
    """The part of `tree` at `index` of the leading axis of its leaves: one program for whatever index."""
    return jax.tree.map(lambda x: x[index], tree)


def replace(tree: T, **changes: Any) -> T:
    """A copy of `tree` with some fields changed."""
    return dataclasses.replace(tree, **changes)
