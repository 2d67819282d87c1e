"""Q at many actions at once, in double precision; every exact result is computed from these values."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import Partial

from softq.utils.errors import SoftqError


@jax.jit
def _values(q: Callable, actions: Array) -> Array:
    """Q at each row of `actions`. One compilation serves all critics of one shape, whose weights are arguments."""
    return jax.vmap(q)(actions)


def evaluate(q: Callable, actions: np.ndarray) -> np.ndarray:
    """Q at each row of `actions` `(n, d)`, in double precision where Q allows it.

    Returns `(n,)`. Raises `SoftqError` if Q does not return a scalar for an action, or is not finite.
    """
    if jax.tree_util.all_leaves([q]):  # a bare function is no pytree; JAX caches its compilation by identity
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


def evaluate_padded(q: Callable, actions: np.ndarray) -> np.ndarray:
    """`evaluate` on a batch that is padded to a power of four, so that few batch sizes are compiled."""
    size = 4 ** ((max(len(actions) - 1, 255).bit_length() + 1) // 2)
    return evaluate(q, np.resize(actions, (size, actions.shape[1])))[: len(actions)]
