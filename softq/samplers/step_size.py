"""How long a Langevin step may be: multiples of 4 * temperature / L, where L is the steepest curvature of Q.

On a parabola of curvature L the Euler chain with step delta multiplies the distance to the top by
1 - delta L / (2 * temperature): beyond delta = 4 * temperature / L it diverges (DDSQ Theorem 3 needs less). A step in
absolute units, as DDSQ prints it, is stable or not depending on a temperature that the paper scales with Q; a share of
this limit is stable wherever Q is no steeper than L.

On a landscape with kinks, such as a network of ReLU units, the second derivative is zero almost everywhere and says
nothing: what a step meets is the change of the slope over its own length. On a parabola that change, divided by the
length, is L at every length. Across a kink it grows as the length shrinks, so the two are found together.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import reflect
from softq.exact.langevin_convergence import stability_limit
from softq.utils.pytree import pytree

FLOOR = 1e-6  # of a curvature: on a flat landscape every step is stable
ROUNDS = 4  # of shortening a step: at a kink each takes the square root of what is still too much


def steepest_curvature(
    q: Callable[[Array], Array], actions: Array, reach: float | Array | None = None
) -> Array:
    """The largest absolute eigenvalue of the Hessian of Q over `actions` `(n, d)`: an estimate of L from below.

    With a `reach`, units of the action, the Hessian is that of the secants: column j is the difference of the slopes at
    a + reach e_j and a - reach e_j, over 2 reach. On a parabola the two Hessians are equal. Beyond a wall the landscape
    goes on as its mirror image, which is how a reflected chain meets it: a slope into a wall is a kink. One Hessian
    each costs about 2 d gradients; a handful of actions is enough to choose a step. What is not finite is zero.
    """
    hessians = jax.vmap(jax.hessian(q) if reach is None else lambda a: secants(q, a, reach))(actions)
    hessians = jnp.where(jnp.isfinite(hessians), hessians, 0.0)
    return jnp.maximum(jnp.max(jnp.abs(jnp.linalg.eigvalsh(hessians))), FLOOR)


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

    From the second derivative at `actions` `(n, d)`, and `longest`, the step is shortened until the secants over its
    own length allow it. On a parabola it is the share of the limit at once. At a kink where the slope jumps by J it
    tends to (8 * share * temperature / J)^2, a share of the width that exp(Q / temperature) has there. Kinks that no
    action is near to are not seen: give actions from where the chain will be. Costs the Hessians of five
    `steepest_curvature`. Raises `SoftqError` for a concrete temperature that is not positive.
    """
    allowed = lambda curvature: share * stability_limit(temperature, curvature)
    step = jnp.minimum(allowed(steepest_curvature(q, actions)), longest)
    for _ in range(ROUNDS):
        step = jnp.minimum(step, allowed(steepest_curvature(q, actions, jnp.sqrt(step))))
    return step


@pytree
class StableStep:
    """The setting of a chain whose step follows temperature and curvature: a `share` of the limit, at most `longest`.

    `curvature` is L where it is known; None has it measured by `stable_step`, at draws of SNIS.
    """

    share: float | Array = 0.25  # for chains that refuse steps; on a parabola about 0.9 are accepted
    longest: float | Array = 0.1  # a flat landscape would allow any
    curvature: float | Array | None = None
