"""A landscape as data: a sum of terms of four kinds, from which Python and the book's JavaScript compute Q.

- bump      (height, centre, width):  height * exp(-|a - centre|^2 / (2 width^2))
- power     (scale, p):               -scale * sum_i |a_i|^p
- slope     (one per coordinate):      slope . a
- cassini   (scale, c):               -scale * ((x^2 + y^2)^2 - c^2 (x^2 - y^2))^2, zero on a lemniscate
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.landscapes.formula import Formula, Numbers, check_one_action
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, static

ActionValue = Callable[[Array], Array]  # Q(s, .) in one state, from an action (dim,) to a scalar


@pytree
class Landscape:
    """A function from one action `(dim,)` to a scalar. Every field is static, so that JAX treats it as a constant.

    `maximum` is the largest value on the box, the f* of DDSQ Definition 1. Where it has no closed form, it was found by
    scalar optimisation in double precision. Raises `SoftqError` for an action of another shape.
    """

    name: str = static()
    dim: int = static()
    maximum: float = static()
    about: str = static(default="")
    bumps: tuple[tuple[float, tuple[float, ...], float], ...] = static(default=())
    power: tuple[float, float] | None = static(default=None)
    slope: tuple[float, ...] | None = static(default=None)
    cassini: tuple[float, float] | None = static(default=None)

    def __call__(self, action: Array) -> Array:
        check_one_action(f"landscape '{self.name}'", self.dim, action)
        value = jnp.zeros((), action.dtype)
        for height, centre, width in self.bumps:
            offset = action - jnp.asarray(centre, action.dtype)
            value += height * jnp.exp(-jnp.sum(offset * offset) / (2 * width**2))
        if self.power is not None:
            scale, p = self.power
            value -= scale * jnp.sum(jnp.abs(action) ** p)
        if self.slope is not None:
            value += jnp.dot(jnp.asarray(self.slope, action.dtype), action)
        if self.cassini is not None:
            scale, c = self.cassini
            x2, y2 = action[0] ** 2, action[1] ** 2
            value -= scale * ((x2 + y2) ** 2 - c**2 * (x2 - y2)) ** 2
        return value

    def formula(self, dim: int | None = None) -> Formula:
        """This landscape as a `Formula`; a one-dimensional landscape also as its sum over `dim` coordinates.

        Raises `SoftqError` for a power other than 1, 2 and 4, or for the sum of a landscape in two dimensions.
        """
        dim = self.dim if dim is None else dim
        if dim != self.dim != 1:
            raise SoftqError(f"landscape '{self.name}' has dim {self.dim}; a sum takes one of dim 1.")
        given = {}
        if self.bumps:
            kind = "hills" if self.dim == 1 else "bumps"
            given[kind] = np.array([(height, width, *centre) for height, centre, width in self.bumps])
        if self.power is not None:
            scale, p = self.power
            if p not in (1, 2, 4):
                raise SoftqError(f"landscape '{self.name}' has the power {p:g}; a formula knows 1, 2 and 4.")
            given |= {"tent": scale} if p == 1 else {"powers": np.array([scale * (p == 2), scale * (p == 4)])}
        if self.slope is not None:
            given["slope"] = np.broadcast_to(np.array(self.slope), (dim,))
        if self.cassini is not None:
            given["cassini"] = np.array(self.cassini)
        return Formula(dim, **given)

    def blurred(self, sigma: Numbers) -> Formula:
        """The landscape a -> E[Q(a + sigma * xi)] for a standard normal xi and sigma >= 0, as a `Formula`.

        Raises `SoftqError` for a power other than 1, 2 and 4.
        """
        return self.formula().blurred(sigma)
