"""Frozen dataclasses that JAX sees through.

Every hyper-parameter set, state and network of softq is one. Float fields are leaves: changing a temperature or
a learning rate never recompiles, and `jax.vmap` over a batch of them sweeps it. Whatever decides shapes or
Python control flow is `static`.
"""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

from softq.utils.fields import check_fields

T = TypeVar("T")
CHECKING: set[Any] = set()
"""Each `__post_init__` that begins with a check of the fields."""


def static(**kwargs: Any) -> Any:
    """A field that is part of the tree's structure: a new value means a new compilation."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


@dataclass_transform(
    frozen_default=True,
    field_specifiers=(dataclasses.field, static),
)
def pytree(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass and a JAX pytree; fields are leaves unless they are `static`.

    Its constructor raises `SoftqError` for a value that a field of `softq.utils.fields` does not allow, before the
    class's own `__post_init__`.

    Not by `jax.tree_util.register_dataclass`: to JAX 0.10 and 0.11 the structures of two such classes are equal if they
    have as many leaves and the same static values, and only their hashes differ. About one time in 128 `jax.jit` then
    takes the program that it has compiled for one class for that of the other.
    """
    checking(cls)
    cls = dataclasses.dataclass(frozen=True)(cls)
    fields = dataclasses.fields(cls)
    leaves = tuple(field.name for field in fields if not field.metadata.get("static"))
    fixed = tuple(field.name for field in fields if field.metadata.get("static"))
    keys = tuple(map(jax.tree_util.GetAttrKey, leaves))

    def flatten(tree: T) -> tuple[tuple, tuple]:
        given = tree.__dict__
        return tuple([given[name] for name in leaves]), tuple([given[name] for name in fixed])

    def flatten_with_keys(tree: T) -> tuple[tuple, tuple]:
        children, rest = flatten(tree)
        return tuple(zip(keys, children, strict=True)), rest

    def unflatten(rest: tuple, children: tuple) -> T:
        tree = object.__new__(cls)  # its fields were checked when it was made
        tree.__dict__.update(zip(leaves, children, strict=True), **dict(zip(fixed, rest, strict=True)))
        return tree

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


def checking(cls: type) -> None:
    """Let the `__post_init__` of a class, its own or an inherited one, begin with a check of the fields."""
    own = getattr(cls, "__post_init__", None)
    if "__post_init__" not in vars(cls) and own in CHECKING:
        return  # the inherited one checks the fields of whatever class an object has

    def __post_init__(self: Any, *args: Any) -> None:
        check_fields(self)
        if own is not None:
            own(self, *args)

    CHECKING.add(__post_init__)
    cls.__post_init__ = __post_init__


@jax.jit
def unstacked(tree: T, index: int) -> T:
    """The part of `tree` at `index` of the leading axis of its leaves: one program for whatever index."""
    return jax.tree.map(lambda x: x[index], tree)


def replace(tree: T, **changes: Any) -> T:
    """A copy of `tree` with some fields changed."""
    return dataclasses.replace(tree, **changes)
