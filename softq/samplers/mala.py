"""Langevin steps that are accepted or refused, so that the softmax is invariant exactly, at any step size.

The Metropolis-adjusted Langevin algorithm (Roberts and Tweedie 1996) on a box. The proposal is a reflected Langevin
step; its density is that of a folded Gaussian, a sum over images, and with it the Metropolis-Hastings rule leaves
exp(Q / temperature) invariant exactly. A step needs one value of Q and the images more than one of `langevin`.
"""

from collections.abc import Callable
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.box import reflect
from softq.samplers.base import Chain, Landscape
from softq.samplers.start import repeated, start_and_step
from softq.samplers.step_size import StableStep
from softq.utils.checked import checked
from softq.utils.checks import positive
from softq.utils.errors import SoftqError
from softq.utils.finite import tamed, working
from softq.utils.pytree import pytree, static

LARGEST_STEP = 1.0  # up to this step the images of `log_folded_normal` are exact to single precision
ONE_IMAGE_STEP = 0.1
State = tuple[Array, Array, Array]  # an action (d,), the value of Q at it, and the slope of Q at it (d,)


def log_folded_normal(action: Array, mean: Array, step: Array, all_images: bool = True) -> Array:
    """log density of reflect(mean + sqrt(step) * xi) at `action`, coordinate by coordinate, xi standard normal.

    The folded law does not change when its mean is folded first, to c. The images of an action x then lie at 2 - x,
    -2 - x, x + 4, x - 4 and so on. The code has the density of each image relative to that of x, in v = x + c and
    u = |x - c|; images that it leaves out have less than 1e-7 at steps up to 1. All images but the nearest are at a
    distance of 2 or more from c. Up to a step of 0.1 a proposal comes from there with a probability below 3e-10 for a
    coordinate, and `all_images=False` leaves them out.
    """
    x, c = action, reflect(mean)
    u, v = jnp.abs(x - c), jnp.abs(x + c)
    near = jnp.exp(-2 * (1 + x * c - v) / step)  # the image mirrored in the nearer wall
    weights = 1 + near
    if all_images:
        # the images mirrored in both walls, in either order; then those mirrored in the other wall, and three times
        across = jnp.exp(-(8 - 4 * u) / step) + jnp.exp(-(8 + 4 * u) / step)
        weights += near * (jnp.exp(-4 * v / step) + jnp.exp(-(16 - 4 * v) / step)) + across
    return jnp.log(weights) - u**2 / (2 * step) - jnp.log(2 * jnp.pi * step) / 2


def needs_all_images(step_sizes: Array) -> bool:
    """Whether a step is above 0.1, or could be since it is traced; the answer is fixed when a program is compiled."""
    return isinstance(step_sizes, jax.core.Tracer) or bool(np.max(np.asarray(step_sizes)) > ONE_IMAGE_STEP)


def metropolis_step(
    q_and_slope: Callable[[Array], tuple[Array, Array]],
    state: State,
    temperature: Array,
    step: Array,
    xi: Array,
    coin: Array,
    all_images: bool = True,
) -> tuple[State, Array]:
    """One proposal from a `tamed` state by the standard-normal noise `xi` `(d,)`, accepted or refused.

    `coin` is the logarithm of a uniform number in (0, 1). Returns the next state, and whether it is the proposal. An
    action where Q is not finite is never accepted; from such an action, which only a start can be, all proposals are.
    """
    action, value, slope = state
    mean = action + step / 2 * slope / temperature
    there = reflect(mean + jnp.sqrt(step) * xi)
    _, value_there, slope_there = new = tamed(there, *q_and_slope(there))
    back = log_folded_normal(action, there + step / 2 * slope_there / temperature, step, all_images)
    forth = log_folded_normal(there, mean, step, all_images)
    # a product with ones instead of a sum, since XLA is slow on a CPU at the sum of a few numbers for each chain
    change = jnp.dot(back - forth, jnp.ones_like(back), precision="highest")
    accept = (coin < (value_there - value) / temperature + change) | (value == -jnp.inf)
    return jax.tree.map(lambda proposed, old: jnp.where(accept, proposed, old), new, state), accept


def check_steps(step_sizes: Array) -> None:
    """Raise `SoftqError` for a concrete step that is not in (0, 1]."""
    positive("step_sizes", step_sizes)
    if not isinstance(step_sizes, jax.core.Tracer) and np.max(np.asarray(step_sizes)) > LARGEST_STEP:
        raise SoftqError(
            f"step_sizes must be at most {LARGEST_STEP:g}, got {np.max(np.asarray(step_sizes)):g}; the box has side 2."
        )


@checked(above_zero=("temperature",), in_box=("a0",))
def mala(
    key: Array,
    q: Callable[[Array], Array],
    temperature: float | Array,
    a0: Array,
    step_sizes: Array,
    trajectory: bool = False,
) -> tuple[Array, Array]:
    """One proposal for each of `step_sizes` `(T,)`, from `a0` `(d,)` in the box.

    Returns the last action `(d,)`, or all `(T + 1, d)` with `trajectory`, and the share of accepted proposals. The
    softmax is invariant at any steps; steps of which a share near 0.6 is accepted are efficient. Raises `SoftqError`
    for a start outside the box, a temperature that is not positive, or a concrete step that is not in (0, 1]; called by
    hand, also where Q or its slope is not finite. In a compiled program a proposal where Q is not finite is refused,
    and a chain started at such an action moves by its noise alone until it leaves.
    """
    check_steps(step_sizes)
    q_and_slope, all_images = jax.value_and_grad(q), needs_all_images(step_sizes)

    def move(state: State, given: tuple[Array, Array, Array]) -> tuple[State, tuple]:
        state, accept = metropolis_step(q_and_slope, state, temperature, *given, all_images)
        return state, (state[0] if trajectory else None, accept)

    a0 = working(a0)
    steps, temperature = jnp.asarray(step_sizes, a0.dtype), jnp.asarray(temperature, a0.dtype)
    for_noise, for_coins = jax.random.split(key)
    noise = jax.random.normal(for_noise, (len(steps), *a0.shape), a0.dtype)
    coins = jnp.log(jax.random.uniform(for_coins, (len(steps),), a0.dtype))
    start = tamed(a0, *q_and_slope(a0))
    (last, _, _), (path, accepted) = jax.lax.scan(move, start, (steps, noise, coins))
    share = jnp.mean(accepted.astype(a0.dtype))
    return (jnp.concatenate([a0[None], path]) if trajectory else last), share


@pytree
class MALA(Chain):
    """`mala` with equal steps, from a draw of SNIS from `num_candidates`; one candidate is a uniform action."""

    num_steps: int = static(default=50)
    num_candidates: int = static(default=1)
    step: float | Array | StableStep = StableStep()

    def run(
        self, key: Array, q: Landscape, dim: int, temperature: float | Array, trajectory: bool
    ) -> tuple[Array, dict[str, Array]]:
        first, drive = jax.random.split(key)
        start, step = start_and_step(first, q, dim, temperature, self.num_candidates, self.step)
        steps = repeated(step, self.num_steps)
        actions, accepted = mala(drive, q, temperature, start, steps, trajectory)
        return actions, {"accepted": accepted}

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self | None:
        half = evaluations // 2  # half of the evaluations for the start, and half for the steps
        return cls(half, half) if half else None
