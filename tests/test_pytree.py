"""Frozen dataclasses as trees: leaves and static fields in order, and classes that JAX tells apart."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from softq.algorithms import ALGORITHMS
from softq.utils.pytree import pytree, replace, static


@pytree
class Point:
    x: float
    name: str = static(default="p")
    y: float = 2.0

    def value(self):
        return self.x + self.y


@pytree
class Mirrored(Point):
    def value(self):
        return -Point.value(self)


def test_leaves_and_static_fields():
    """Leaves in the order of the fields, under their names; static fields belong to the structure."""
    point = Point(1.0)
    assert jax.tree.leaves(point) == [1.0, 2.0]
    paths, structure = jax.tree_util.tree_flatten_with_path(point)
    assert [jax.tree_util.keystr(path) for path, _ in paths] == [".x", ".y"]
    assert jax.tree.unflatten(structure, [3.0, 4.0]) == Point(3.0, "p", 4.0)
    assert structure == jax.tree.structure(Point(5.0)) != jax.tree.structure(Point(1.0, "q"))
    assert replace(point, x=7.0) == Point(7.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2.0


def test_a_class_is_part_of_the_structure():
    """So that no program is taken for that of a class with the same fields."""
    assert jax.tree.structure(Point(1.0)) != jax.tree.structure(Mirrored(1.0))
    structures = [jax.tree.structure(cls()) for cls in ALGORITHMS.values()]
    assert all(a != b for i, a in enumerate(structures) for b in structures[:i])


def test_one_compiled_function_keeps_many_classes_apart():
    """With equal structures some of these classes get the number of another."""
    answer = jax.jit(lambda tree: jnp.int32(tree.number))
    for number in range(120):
        cls = pytree(type("Other", (Point,), {"number": number, "__annotations__": {}}))
        assert int(answer(cls(1.0))) == number
