"""One line for a bad knob. Traced values cannot be looked at, so only concrete ones are checked."""

import jax
import numpy as np

from softq.errors import SoftqError


def positive(name: str, value: object) -> None:
    """Raise `SoftqError` unless every entry of a concrete `value` is finite and positive."""
    if isinstance(value, jax.core.Tracer):
        return
    values = np.asarray(value)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise SoftqError(
            f"{name} must be positive and finite, got {values[bad].flat[0]:g}; choose a value above 0."
        )


def inside_box(name: str, value: object) -> None:
    """Raise `SoftqError` unless a concrete `value` lies in [-1, 1]^d."""
    if isinstance(value, jax.core.Tracer):
        return
    values = np.asarray(value)
    bad = ~(np.abs(values) <= 1)
    if bad.any():
        raise SoftqError(
            f"{name} must lie in the box [-1, 1], got {values[bad].flat[0]:g}; clip or rescale it."
        )
