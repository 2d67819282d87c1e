"""A landscape as numbers: one compiled program serves all of one shape, and each can be blurred exactly.

A `Landscape` is static, so each is a program of its own. Here its coefficients are leaves, and `blurred(sigma)` is the
average of Q over normal noise: closed formulas, but for two terms whose average is a Gauss-Hermite sum.
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
SQUARE = np.polynomial.hermite_e.hermegauss(5)  # exact for the lemniscate, a polynomial of degree eight
LINE = np.polynomial.hermite_e.hermegauss(32)
NO_NOISE = 1e-12  # below this a tent is not blurred, so that none of its derivatives divides by zero


def check_one_action(landscape: str, dim: int, action: Array) -> None:
    """`SoftqError` unless `action` has the shape `(dim,)`."""
    if action.shape != (dim,):
        raise SoftqError(
            f"{landscape} takes one action of shape ({dim},), got {action.shape}; use jax.vmap for a batch."
        )


@pytree
class Formula:
    """Q of one action `(dim,)`; with a `sigma` >= 0 (units of the action), its average over normal noise of that size.

    A sum of terms; None leaves one out. `bumps` `(k, 2 + dim)` are height, width, centre; `hills` `(m, 3)` height,
    width, centre of bumps in each coordinate; `powers` `(2,)` the scales of -a^2 and -a^4, `tent` that of -|a|, per
    coordinate; `slope` `(dim,)`; `cassini` `(2,)` as in `Landscape`; `fold` `(3,)` are k, u, v of
    log(u exp(k S) + v exp(-k S)), S the sum of the coordinates. Raises `SoftqError` for an action of another shape.
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
        """E[Q(a + sigma * xi)] as a function of a, xi standard normal on R^dim; beyond the walls Q goes on."""
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
            value -= q.tent * jnp.sum(q._blunt(action))
        if q.slope is not None:
            value += jnp.sum(q.slope * action)
        if q.cassini is not None:
            value -= q._average(lambda noise: q._ridge(action + noise), *_square_nodes())
        if q.fold is not None:
            k, up, down = q.fold
            line = lambda s: jnp.logaddexp(jnp.log(up) + k * s, jnp.log(down) - k * s)
            along = lambda noise: line(jnp.sum(action) + noise * jnp.sqrt(float(q.dim)))
            value += q._average(along, LINE[0], LINE[1] / LINE[1].sum())
        return value

    def _blunt(self, action: Array) -> Array:
        """E|a + sigma xi| of each coordinate."""
        if self.sigma is None:
            return jnp.abs(action)
        sigma = jnp.maximum(self.sigma, NO_NOISE)
        z = action / sigma
        return sigma * jnp.sqrt(2 / jnp.pi) * jnp.exp(-(z**2) / 2) + action * erf(z / jnp.sqrt(2.0))

    def _ridge(self, action: Array) -> Array:
        x, y = action**2
        scale, c = self.cassini
        return scale * ((x + y) ** 2 - c**2 * (x - y)) ** 2

    def _average(self, f: Callable[[Array], Array], nodes: np.ndarray, weights: np.ndarray) -> Array:
        """f at no noise, or its mean over Gauss-Hermite `nodes` times sigma."""
        if self.sigma is None:
            return f(0.0)
        at = jnp.asarray(nodes, self.sigma.dtype) * self.sigma
        return jnp.asarray(weights, at.dtype) @ jax.vmap(f)(at)


def _square_nodes() -> tuple[np.ndarray, np.ndarray]:
    x, w = SQUARE
    return np.stack(np.meshgrid(x, x), -1).reshape(-1, 2), np.outer(w, w).ravel() / w.sum() ** 2
