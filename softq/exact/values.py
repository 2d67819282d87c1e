"""Q at many actions at once, in double precision: what every exact number here is made of."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import Partial

from softq.utils.errors import SoftqError


@jax.jit
def _values(q: Callable, actions: Array) -> Array:
    """Compiled once for each kind of landscape; a critic's weights are arguments."""
    return jax.vmap(q)(actions)


def evaluate(q: Callable, actions: np.ndarray) -> np.ndarray:
    """Q at each row of `actions` `(n, d)`, in double precision where Q allows it.

    Raises `SoftqError` if Q is not one number an action, or not finite.
    """
    if jax.tree_util.all_leaves([q]):  # a bare function: its identity is all there is to cache by
        q = Partial(q)
    with jax.enable_x64(True):
        values = np.asarray(_values(q, jnp.asarray(actions, jnp.float64)), np.float64)
    if values.shape != (len(actions),):
        raise SoftqError(
            f"the landscape returned shape {values.shape[1:]} for one action, expected a scalar."
        )
    bad = ~np.isfinite(values)
    if bad.any():
        raise SoftqError(
            f"the landscape is {values[bad][0]} at action {actions[bad][0].round(4).tolist()}; mend Q there."
        )
    return values


def padded(q: Callable, actions: np.ndarray) -> np.ndarray:
    """`evaluate`, in batches whose sizes are powers of four: few sizes, few compilations."""
    size = 4 ** ((max(len(actions) - 1, 255).bit_length() + 1) // 2)
    return evaluate(q, np.resize(actions, (size, actions.shape[1])))[: len(actions)]
