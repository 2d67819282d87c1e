"""Shift every seed of a process: `SOFTQ_SEED_SHIFT=K PYTHONPATH=tests/robust python ...` adds K to each.

Python imports this file at its start where it lies on the path. Each seed given to `jax.random.key`, to
`jax.random.PRNGKey` or to `numpy.random.default_rng` becomes seed + K, in notebooks, in tests and in softq alike, so
that a claim which holds for one seed only fails. The functions are replaced when their module is imported: nothing is
imported earlier than it would be.
"""

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

SHIFT = int(os.environ.get("SOFTQ_SEED_SHIFT", "0"))
SEEDED = {"jax.random": ("key", "PRNGKey"), "numpy.random": ("default_rng",)}


def shifted(function: Callable) -> Callable:
    """`function` of a seed, with `SHIFT` added to a seed that is a number or an array; others pass as they are."""

    @wraps(function)
    def call(seed: Any = None, *args: Any, **kwargs: Any) -> Any:
        number = isinstance(seed, int) or hasattr(seed, "dtype")
        return function(seed + SHIFT if number else seed, *args, **kwargs)

    return call


class Patched(importlib.abc.Loader):
    """Loads a module as `loader` does, then replaces its seeded functions."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self.loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        for name in SEEDED[module.__name__]:
            setattr(module, name, shifted(getattr(module, name)))


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of `SEEDED`, and no others."""

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in SEEDED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = Patched(spec.loader)
        return spec


if SHIFT:
    sys.meta_path.insert(0, Finder())
