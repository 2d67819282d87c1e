"""The box [-1, 1]^d of actions: uniform actions in it, what a step at its walls becomes, and tanh, which fills it."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike


def uniform_action(key: Array, dim: int) -> Array:
    """One action `(dim,)`, uniform on the box."""
    return jax.random.uniform(key, (dim,), minval=-1.0, maxval=1.0)


def uniform_actions(key: Array, dim: int, num: int, dtype: DTypeLike = float) -> Array:
    """`(num, dim)` uniform actions, in JAX's default float type or another."""
    return jax.random.uniform(key, (num, dim), dtype, minval=-1.0, maxval=1.0)


def perturb(key: Array, action: Array, std: float | Array) -> Array:
    """The action with independent normal noise of standard deviation `std`, clipped to the box."""
    return jnp.clip(action + std * jax.random.normal(key, action.shape), -1.0, 1.0)


def reflect(action: Array) -> Array:
    """Specular reflection: fold the line onto [-1, 1], exact for a step of any length (DDSQ Section 4, R).

    Deviation: DDSQ B.3.2 prints a fold without the offset of the lower wall; on [-1, 1] that maps 0 to -1.
    """
    return jnp.abs((action - 1) % 4 - 2) - 1


def project(action: Array) -> Array:
    """Clip to [-1, 1]: the projected chain, which leaves atoms of probability on the walls (DDSQ Figure 2)."""
    return jnp.clip(action, -1.0, 1.0)


def unbounded(action: Array) -> Array:
    """Let it go where it goes, as LQL and NC-LQL are printed: a chain on R^d, where exp(Q) may have no integral."""
    return action


Boundary = Literal["project", "reflect", "none"]
BOUNDARIES: dict[str, Callable[[Array], Array]] = {
    "reflect": reflect,
    "project": project,
    "none": unbounded,
}


def log_tanh_slope(u: Array) -> Array:
    """log(1 - tanh(u)^2), the log of tanh's derivative, exact in the tails where 1 - tanh^2 rounds to zero."""
    return 2 * (jnp.log(2.0) - u - jax.nn.softplus(-2 * u))
