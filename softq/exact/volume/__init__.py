"""The volume function of a landscape: how much room there is within a regret of eps of the best action.

    Vol(eps) = |{a in [-1, 1]^d : Q* - Q(a) <= eps}|        (DDSQ Definition 2)

Divided by the volume of the box it is the distribution function of the regret Q* - Q(a) of a uniform action, and
everything about the price of softness follows from it (see `softq.exact.bounds`). Closed forms where they exist; in one
dimension exact level sets; in two, exact level sets along rays; in any dimension Monte Carlo with error bars.
`volume_of` picks. Q* means the essential supremum: a softmax cannot see a peak of volume zero.
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
    """The best volume function there is for `q`; its `method` says which that is.

    A closed form for a pure power landscape, exact level sets in one and two dimensions, Monte Carlo with `num`
    samples above. `q` maps one action `(dim,)` to a scalar; `dim` defaults to `q.dim`.
    """
    dim = getattr(q, "dim", None) if dim is None else dim
    pure = not (getattr(q, "bumps", ()) or getattr(q, "slope", None) or getattr(q, "cassini", None))
    if dim is not None and pure and getattr(q, "power", None):
        return PowerVolume(*q.power, dim=dim)
    if dim in (1, 2):
        return LineVolume(q, dim) if dim == 1 else PolarVolume(q, dim)
    return MonteCarloVolume(q, dim, num, seed)
