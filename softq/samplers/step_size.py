"""Langevin steps as shares of the stability limit 4 * temperature / L, where L is the largest curvature of Q.

On a parabola of curvature L the Euler chain with step delta multiplies the distance to the top by
1 - delta L / (2 * temperature), so that it diverges for delta > 4 * temperature / L (DDSQ Theorem 3 asks for smaller
steps). DDSQ prints steps as numbers; whether these are stable depends on the temperature, which the paper multiplies
with the standard deviation of Q. A share of the limit is stable wherever the curvature of Q is at most L.

On a landscape with kinks, such as a network of ReLU units, the second derivative is zero almost everywhere. The change
of the slope over the length of a step decides its stability there. On a parabola that change, divided by the length, is
L at every length. Across a kink it grows as the length shrinks, so that step and curvature are found together.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import reflect
from softq.exact.langevin_convergence import stability_limit
from softq.utils.pytree import pytree

MIN_CURVATURE = (
    1e-6  # the smallest curvature that is returned, since on a flat landscape every step is stable
)
# The number of times that a step is shortened. At a kink each time leaves the square root of the remaining factor by
# which the step is too long.
ROUNDS = 4


def steepest_curvature(
    q: Callable[[Array], Array], actions: Array, reach: float | Array | None = None
) -> Array:
    """The largest absolute eigenvalue of the Hessian of Q over `actions` `(n, d)`: an estimate of L from below.

    With a `reach`, in units of the action, the Hessian is that of secants: column j is the difference of the slopes at
    a + reach e_j and a - reach e_j, over 2 reach. On a parabola the two Hessians are equal. Beyond a wall the landscape
    is continued as its mirror image, as a reflected chain sees it, so that a slope at a wall is a kink. A Hessian costs
    about 2 d gradients, and a few actions are enough to choose a step. Entries that are not finite count as zero.
    """
    hessians = jax.vmap(jax.hessian(q) if reach is None else lambda a: secants(q, a, reach))(actions)
    hessians = jnp.where(jnp.isfinite(hessians), hessians, 0.0)
    return jnp.maximum(jnp.max(jnp.abs(jnp.linalg.eigvalsh(hessians))), MIN_CURVATURE)


def secants(q: Callable[[Array], Array], action: Array, reach: float | Array) -> Array:
    """The Hessian `(d, d)` of central differences of slopes, `reach` to either side, made symmetric."""
    slope, moves = jax.grad(lambda a: q(reflect(a))), reach * jnp.eye(len(action), dtype=action.dtype)
    difference = lambda move: slope(action + move) - slope(action - move)
    rows = jax.vmap(difference)(moves) / (2 * reach)
    return (rows + rows.T) / 2


def stable_step(
    q: Callable[[Array], Array], actions: Array, temperature: float | Array, share: float, longest: float
) -> Array:
    """A `share` of 4 * temperature / L with L the steepest curvature over the length sqrt(step) of the step itself.

    The first step is the share by the second derivative at `actions` `(n, d)`, at most `longest`. It is then shortened
    until the secants over its own length allow it. On a parabola the first step is the result. At a kink where the
    slope jumps by J the step tends to (8 * share * temperature / J)^2, which is in proportion to the squared width of
    exp(Q / temperature) there. Kinks that are near none of the actions are missed, so the actions should be some where
    the chain will be. The cost is that of five calls of `steepest_curvature`. Raises `SoftqError` for a concrete
    temperature that is not positive.
    """
    allowed = lambda curvature: share * stability_limit(temperature, curvature)
    step = jnp.minimum(allowed(steepest_curvature(q, actions)), longest)
    for _ in range(ROUNDS):
        step = jnp.minimum(step, allowed(steepest_curvature(q, actions, jnp.sqrt(step))))
    return step


@pytree
class StableStep:
    """The setting of a step size that is a `share` of the stability limit, at most `longest`.

    `curvature` is L where it is known. With None the step is that of `stable_step`, at actions drawn by SNIS.
    """

    share: float | Array = 0.25
    longest: float | Array = 0.1
    curvature: float | Array | None = None
