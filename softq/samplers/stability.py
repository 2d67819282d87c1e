"""How long a Langevin step may be: multiples of 4 * temperature / L, where L is the steepest curvature of Q.

On a parabola of curvature L the Euler chain with step delta multiplies the distance to the top by
1 - delta L / (2 * temperature): beyond delta = 4 * temperature / L it diverges (DDSQ Theorem 3 needs less). A step in
absolute units, as DDSQ prints it, is stable or not depending on a temperature that the paper scales with Q; a share of
this limit is stable wherever Q is no steeper than L.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from softq.samplers.check import positive

FLOOR = 1e-6  # of a curvature: on a flat landscape every step is stable


def stability_limit(temperature: float | Array, curvature: float | Array) -> Array:
    """The step 4 * temperature / curvature, from which on a Langevin chain diverges on a parabola that steep.

    Raises `SoftqError` for a concrete temperature or curvature that is not positive.
    """
    positive("temperature", temperature)
    positive("curvature", curvature)
    return 4 * jnp.asarray(temperature) / curvature


def steepest_curvature(q: Callable[[Array], Array], actions: Array) -> Array:
    """The largest absolute eigenvalue of the Hessian of Q over `actions` `(n, d)`: an estimate of L from below.

    One Hessian each, d gradients' worth; a handful of candidates is enough to choose a step.
    """
    hessians = jax.vmap(jax.hessian(q))(actions)
    return jnp.maximum(jnp.max(jnp.abs(jnp.linalg.eigvalsh(hessians))), FLOOR)
