"""What several test files need: landscapes in float64 NumPy with slopes by hand, and the reference
numbers.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from softq.landscapes import Landscape


class Table(dict[str, Any]):
    """The entries of a table by name. It notes which of them a running test has asked for."""

    def __init__(self, entries: dict[str, Any]):
        super().__init__(entries)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401


_ENTRIES = json.loads(Path(__file__).with_name("reference.json").read_text())["entries"]
REFERENCE = Table({entry["id"]: entry for entry in _ENTRIES})

LINE = Landscape("line", 1, 1.0, slope=(1.0,))


def numpy_of(landscape: Landscape) -> tuple[Callable, Callable]:
    """A one-dimensional landscape's value and slope as functions of an array, without JAX."""

    def value(x: np.ndarray) -> np.ndarray:
        total = np.zeros_like(x)
        for height, (centre,), width in landscape.bumps:
            total = total + height * np.exp(-((x - centre) ** 2) / (2 * width**2))
        if landscape.power is not None:
            scale, p = landscape.power
            total = total - scale * np.abs(x) ** p
        if landscape.slope is not None:
            total = total + landscape.slope[0] * x
        return total

    def slope(x: np.ndarray) -> np.ndarray:
        total = np.zeros_like(x)
        for height, (centre,), width in landscape.bumps:
            total = total - height * (x - centre) / width**2 * np.exp(-((x - centre) ** 2) / (2 * width**2))
        if landscape.power is not None:
            scale, p = landscape.power
            total = total - scale * p * np.abs(x) ** (p - 1) * np.sign(x)
        if landscape.slope is not None:
            total = total + landscape.slope[0]
        return total

    return value, slope
