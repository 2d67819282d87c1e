"""The volume function of a landscape: the volume of the actions whose regret is at most eps.

    Vol(eps) = |{a in [-1, 1]^d : Q* - Q(a) <= eps}|        (DDSQ Definition 2)

Divided by the volume of the box it is the distribution function of the regret Q* - Q(a) of a uniform action. The price
of softness follows from it alone, see `softq.exact.bounds`. `volume_of` picks the best method for a landscape: a closed
form, exact level sets in one dimension, exact level sets along rays in two, or Monte Carlo with error bars in more.
Q* is the essential supremum, since a peak of volume zero does not change a softmax.
"""

from collections.abc import Callable

from softq.exact.volume.base import Volume, quadrature
from softq.exact.volume.closed import PowerVolume, TwoLevel
from softq.exact.volume.levels import LineVolume, MaxNormVolume
from softq.exact.volume.monte_carlo import MonteCarloVolume
from softq.exact.volume.polar import PolarVolume

__all__ = [
    "LineVolume",
    "MaxNormVolume",
    "MonteCarloVolume",
    "PolarVolume",
    "PowerVolume",
    "TwoLevel",
    "Volume",
    "quadrature",
    "volume_of",
]


def volume_of(q: Callable, dim: int | None = None, num: int = 100_000, seed: int = 0) -> Volume:
    """The most accurate volume function available for `q`, which maps one action `(dim,)` to a scalar.

    It is a closed form for a pure power landscape, exact level sets in one and two dimensions, and Monte Carlo with
    `num` samples above. Its attribute `method` says which. `dim` None means `q.dim`.
    Raises `SoftqError` if the dimension is not known.
    """
    dim = getattr(q, "dim", None) if dim is None else dim
    pure = not (getattr(q, "bumps", ()) or getattr(q, "slope", None) or getattr(q, "cassini", None))
    if dim is not None and pure and getattr(q, "power", None):
        return PowerVolume(*q.power, dim=dim)
    if dim in (1, 2):
        return LineVolume(q, dim) if dim == 1 else PolarVolume(q, dim)
    return MonteCarloVolume(q, dim, num, seed)
