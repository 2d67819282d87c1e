"""What several test files need: landscapes in float64 NumPy with slopes by hand."""

from collections.abc import Callable

import numpy as np

from softq.landscapes import Landscape

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
