"""A landscape whose coefficients are arrays: one compiled program serves all of one shape, and each can be blurred.

A `Landscape` is static, so that JAX compiles each one separately; the coefficients of a `Formula` are leaves of a
pytree. `blurred(sigma)` is the average of Q over normal noise, in closed form or for two terms by a Gauss-Hermite sum.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import erf

from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace, static

Numbers = np.ndarray | Array | float
# Gauss-Hermite rules: five points are exact for the term `cassini`, a polynomial of degree eight
CASSINI_RULE = np.polynomial.hermite_e.hermegauss(5)
FOLD_RULE = np.polynomial.hermite_e.hermegauss(32)
MIN_SIGMA = 1e-12  # least sigma of a blurred tent, so that no derivative divides by zero


def check_one_action(landscape: str, dim: int, action: Array) -> None:
    """Raise `SoftqError`, naming the `landscape`, unless `action` has the shape `(dim,)`."""
    if action.shape != (dim,):
        raise SoftqError(
            f"{landscape} takes one action of shape ({dim},), got {action.shape}; use jax.vmap for a batch."
        )


@pytree
class Formula:
    """Q of one action `(dim,)`, or with `sigma` its average over normal noise of that standard deviation.

    Q is a sum of terms, and a term that is None is left out:

    - `bumps` `(k, 2 + dim)`: height, width and centre of each Gaussian bump.
    - `hills` `(m, 3)`: height, width and centre of Gaussian bumps of each coordinate, summed over the coordinates.
    - `powers` `(2,)`: the scales of -a^2 and -a^4, and `tent` `()`: that of -|a|, summed over the coordinates.
    - `slope` `(dim,)`: the coefficients of the linear term; `cassini` `(2,)`: scale and c, as in `Landscape`.
    - `fold` `(3,)`: k, u and v of log(u exp(k S) + v exp(-k S)), where S is the sum of the coordinates.

    `sigma` >= 0 is in units of the action. Raises `SoftqError` for an action of another shape.
    """

    dim: int = static()
    bumps: Numbers | None = None
    hills: Numbers | None = None
    powers: Numbers | None = None
    tent: Numbers | None = None
    slope: Numbers | None = None
    cassini: Numbers | None = None
    fold: Numbers | None = None
    sigma: Numbers | None = None

    def blurred(self, sigma: Numbers) -> "Formula":
        """E[Q(a + sigma * xi)] as a function of a, for a standard normal xi; outside the box Q's formula continues."""
        return replace(self, sigma=sigma)

    def __call__(self, action: Array) -> Array:
        check_one_action("a landscape", self.dim, action)
        q = jax.tree.map(partial(jnp.asarray, dtype=action.dtype), self)
        v = 0.0 if q.sigma is None else q.sigma**2
        value, squares = jnp.zeros((), action.dtype), action**2
        if q.bumps is not None:
            height, width, centre = q.bumps[:, 0], q.bumps[:, 1] ** 2, q.bumps[:, 2:]
            away = jnp.sum((action[None] - centre) ** 2, axis=1)
            lower = (width / (width + v)) ** (q.dim / 2)
            value += jnp.sum(height * lower * jnp.exp(-away / (2 * (width + v))))
        if q.hills is not None:
            height, width, centre = q.hills[:, :1], q.hills[:, 1:2] ** 2, q.hills[:, 2:]
            away = (action[None] - centre) ** 2
            value += jnp.sum(height * jnp.sqrt(width / (width + v)) * jnp.exp(-away / (2 * (width + v))))
        if q.powers is not None:
            fourth = squares**2 + 6 * v * squares + 3 * v**2
            value -= q.powers[0] * jnp.sum(squares + v) + q.powers[1] * jnp.sum(fourth)
        if q.tent is not None:
            value -= q.tent * jnp.sum(q._mean_abs(action))
        if q.slope is not None:
            value += jnp.sum(q.slope * action)
        if q.cassini is not None:
            value -= q._average(lambda noise: q._cassini_term(action + noise), *_cassini_nodes())
        if q.fold is not None:
            k, up, down = q.fold
            line = lambda s: jnp.logaddexp(jnp.log(up) + k * s, jnp.log(down) - k * s)
            along = lambda noise: line(jnp.sum(action) + noise * jnp.sqrt(float(q.dim)))
            value += q._average(along, FOLD_RULE[0], FOLD_RULE[1] / FOLD_RULE[1].sum())
        return value

    def _mean_abs(self, action: Array) -> Array:
        """E|a + sigma xi| of each coordinate for a standard normal xi, `(dim,)`."""
        if self.sigma is None:
            return jnp.abs(action)
        sigma = jnp.maximum(self.sigma, MIN_SIGMA)
        z = action / sigma
        return sigma * jnp.sqrt(2 / jnp.pi) * jnp.exp(-(z**2) / 2) + action * erf(z / jnp.sqrt(2.0))

    def _cassini_term(self, action: Array) -> Array:
        """The term `cassini`, without its minus sign, at one action `(2,)`."""
        x, y = action**2
        scale, c = self.cassini
        return scale * ((x + y) ** 2 - c**2 * (x - y)) ** 2

    def _average(self, f: Callable[[Array], Array], nodes: np.ndarray, weights: np.ndarray) -> Array:
        """The mean of f over noise, by Gauss-Hermite `nodes` times sigma and `weights`; f(0) where sigma is None."""
        if self.sigma is None:
            return f(0.0)
        at = jnp.asarray(nodes, self.sigma.dtype) * self.sigma
        return jnp.asarray(weights, at.dtype) @ jax.vmap(f)(at)


def _cassini_nodes() -> tuple[np.ndarray, np.ndarray]:
    x, w = CASSINI_RULE
    return np.stack(np.meshgrid(x, x), -1).reshape(-1, 2), np.outer(w, w).ravel() / w.sum() ** 2
