"""Landscapes as numbers: one compiled sampler serves every landscape of a dimension, and each can be blurred exactly.

`softq.landscapes` keeps a landscape static, so each is a program of its own. Here its coefficients are leaves. Three
families: the landscapes by name, in one and two dimensions; sums q1(a_1) + ... + q1(a_d) of a one-dimensional one; and
`corners`, two hills of unequal weight on the diagonal of a box in any dimension, which is no sum:

    Q(a) = log( w exp(-|a - c|^2 / 2 s^2) + (1 - w) exp(-|a + c|^2 / 2 s^2) ),   c = (1/2, ..., 1/2)
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import erf

from softq.landscapes import Landscape
from softq.utils.pytree import pytree, replace, static

CORNER, WEIGHT = 0.5, 0.6  # of `corners`: where the hills are, the weight w of the upper one
SQUARE = np.polynomial.hermite_e.hermegauss(5)  # exact for the lemniscate, a polynomial of degree eight
LINE = np.polynomial.hermite_e.hermegauss(32)


def corner_width(dim: int) -> float:
    """s of `corners`: the standard deviation of Q over uniform actions is then about 1 in every dimension."""
    return 0.4 * dim**0.25


@pytree
class Formula:
    """Q of one action `(dim,)`; with a `sigma` (units of the action), its average over normal noise of that size.

    `bumps` `(k, 2 + dim)` are height, width, centre; `hills` `(m, 3)` height, width, centre of bumps in each
    coordinate; `powers` `(2,)` the scales of -a^2 and -a^4, `tent` `(1,)` or `(0,)` that of -|a|, per coordinate;
    `slope` that of the sum S of all coordinates; `cassini` as in `Landscape`; `fold` `(3,)` are k, u, v of
    log(u exp(k S) + v exp(-k S)). An empty array costs nothing.
    """

    dim: int = static()
    bumps: Array
    hills: Array
    powers: Array
    tent: Array
    slope: Array
    cassini: Array
    fold: Array
    sigma: Array | float | None = None

    def blurred(self, sigma: Array | float) -> "Formula":
        """E[Q(a + sigma * xi)], xi standard normal."""
        return replace(self, sigma=sigma)

    def __call__(self, action: Array) -> Array:
        v = 0.0 if self.sigma is None else self.sigma**2
        squares, total = action**2, jnp.sum(action)
        fourth = squares**2 + 6 * v * squares + 3 * v**2
        value = self.slope * total - self.powers[0] * jnp.sum(squares + v) - self.powers[1] * jnp.sum(fourth)
        if len(self.bumps):
            height, width, centre = self.bumps[:, 0], self.bumps[:, 1] ** 2, self.bumps[:, 2:]
            away = jnp.sum((action[None] - centre) ** 2, axis=1)
            lower = (width / (width + v)) ** (self.dim / 2)
            value += jnp.sum(height * lower * jnp.exp(-away / (2 * (width + v))))
        if len(self.hills):
            height, width, centre = self.hills[:, :1], self.hills[:, 1:2] ** 2, self.hills[:, 2:]
            away = (action[None] - centre) ** 2
            value += jnp.sum(height * jnp.sqrt(width / (width + v)) * jnp.exp(-away / (2 * (width + v))))
        if len(self.tent):
            value -= self.tent[0] * jnp.sum(self._blunt(action))
        if len(self.cassini):
            value -= self._average(lambda noise: self._ridge(action + noise), *_square_nodes())
        if len(self.fold):
            k, up, down = self.fold
            line = lambda noise: jnp.logaddexp(jnp.log(up) + k * noise, jnp.log(down) - k * noise)
            along = lambda noise: line(total + noise * jnp.sqrt(float(self.dim)))
            value += self._average(along, LINE[0], LINE[1] / LINE[1].sum())
        return value

    def _blunt(self, action: Array) -> Array:
        """E|a + sigma xi| of each coordinate."""
        if self.sigma is None:
            return jnp.abs(action)
        z = action / self.sigma
        return self.sigma * jnp.sqrt(2 / jnp.pi) * jnp.exp(-(z**2) / 2) + action * erf(z / jnp.sqrt(2.0))

    def _ridge(self, action: Array) -> Array:
        x, y = action**2
        scale, c = self.cassini
        return scale * ((x + y) ** 2 - c**2 * (x - y)) ** 2

    def _average(self, f, nodes: np.ndarray, weights: np.ndarray) -> Array:
        """f at no noise, or its mean over Gauss-Hermite `nodes` times sigma."""
        if self.sigma is None:
            return f(jnp.zeros(nodes.shape[1:], self.slope.dtype))
        at = jnp.asarray(nodes, self.slope.dtype) * self.sigma
        return jnp.asarray(weights, self.slope.dtype) @ jax.vmap(f)(at)


def _square_nodes() -> tuple[np.ndarray, np.ndarray]:
    x, w = SQUARE
    return np.stack(np.meshgrid(x, x), -1).reshape(-1, 2), np.outer(w, w).ravel() / w.sum() ** 2


def _formula(dim: int, **given) -> Formula:
    """With all that is not given at zero, in the shapes that every formula of this dimension has."""
    blank = {
        "bumps": np.tile([0.0, 1.0] + [0.0] * dim, (8 if dim == 2 else 0, 1)),
        "hills": np.tile([0.0, 1.0, 0.0], (2, 1)),
        "powers": np.zeros(2),
        "tent": np.zeros(1 if dim <= 2 else 0),
        "slope": np.zeros(()),
        "cassini": np.array([0.0, 1.0]) if dim == 2 else np.zeros(0),
        "fold": np.array([0.0, 0.5, 0.5]) if dim >= 2 else np.zeros(0),
    }
    for name, value in given.items():
        value = np.asarray(value, np.float64)
        if name in ("bumps", "hills"):
            blank[name][: len(value)] = value.reshape(-1, blank[name].shape[1])
        else:
            blank[name] = value
    return Formula(dim, **blank)


def formula_of(q: Landscape, dim: int | None = None) -> Formula:
    """A landscape of `softq.landscapes`; one-dimensional ones also as a sum over `dim` coordinates."""
    dim = q.dim if dim is None else dim
    given = {}
    if q.bumps:
        kind = "hills" if q.dim == 1 else "bumps"
        given[kind] = [(height, width, *centre) for height, centre, width in q.bumps]
    if q.power is not None:
        scale, p = q.power
        given |= {"tent": [scale]} if p == 1 else {"powers": [scale * (p == 2), scale * (p == 4)]}
    if q.slope is not None:
        given["slope"] = q.slope[0]
    if q.cassini is not None:
        given["cassini"] = q.cassini
    return _formula(dim, **given)


def corners(dim: int) -> Formula:
    """Two hills on the diagonal, written as a parabola and a fold along the sum of the coordinates."""
    square = corner_width(dim) ** 2
    lower = np.exp(-dim * CORNER**2 / (2 * square))
    fold = [CORNER / square, WEIGHT * lower, (1 - WEIGHT) * lower]
    return _formula(dim, powers=[1 / (2 * square), 0.0], fold=fold)
