"""The named landscapes, each with its maximum."""

import math

from softq.landscapes.landscape import Landscape
from softq.utils.checks import one_of


def _bandit() -> Landscape:
    """The bandit of NC-LQL C.1: eight Gaussians of std 0.3 and weights 2 and 1 on a circle of radius sqrt(2).

    The paper gives no domain; [-2, 2]^2 is assumed and scaled to the box, so that lengths are half of the paper's. The
    values are scaled to the maximum 1.
    """
    normaliser = 2.00298495914615  # the unscaled sum's maximum, by scalar optimisation on the x axis
    angles = [math.pi / 4 * i for i in range(8)]
    return Landscape(
        "bandit",
        2,
        1.0,
        "eight modes on a circle, four high and four low (NC-LQL C.1)",
        bumps=tuple(
            ((1 + (i + 1) % 2) / normaliser, (math.cos(t) / math.sqrt(2), math.sin(t) / math.sqrt(2)), 0.15)
            for i, t in enumerate(angles)
        ),
    )


_ALL = {
    landscape.name: landscape
    for landscape in (
        Landscape("quad1", 1, 0.0, "a parabola, -a^2", power=(1.0, 2.0)),
        Landscape("abs1", 1, 0.0, "a tent, -|a|", power=(1.0, 1.0)),
        Landscape("quart1", 1, 0.0, "a flat top, -a^4", power=(1.0, 4.0)),
        Landscape(
            "spike1",
            1,
            1.03515196024766,
            "a needle over a broad hump",
            bumps=((1.0, (0.7,), 0.01), (0.8, (-0.3,), 0.4)),
        ),
        Landscape(
            "twomode1",
            1,
            1.00000000000001,
            "two hills, the right one a little higher",
            bumps=((1.0, (0.6,), 0.15), (0.9, (-0.6,), 0.15)),
        ),
        Landscape(
            "skew1",
            1,
            0.6,
            "a slope that ends at a wall, with a hill on the way",
            bumps=((0.7, (-0.4,), 0.15),),
            slope=(0.6,),
        ),
        Landscape("quad2", 2, 0.0, "a bowl turned over, -|a|^2", power=(1.0, 2.0)),
        Landscape("abs2", 2, 0.0, "a pyramid, -|x| - |y|", power=(1.0, 1.0)),
        Landscape(
            "twomode2",
            2,
            1.0000000000125,
            "two hills on the diagonal",
            bumps=((1.0, (0.5, 0.5), 0.2), (0.9, (-0.5, -0.5), 0.2)),
        ),
        Landscape(
            "lemniscate", 2, 0.0, "a ridge in the shape of an eight (DDSQ Figure 2)", cassini=(1.0, 0.9)
        ),
        _bandit(),
    )
}


def names() -> list[str]:
    """The names of all landscapes that `get` returns."""
    return list(_ALL)


def get(name: str) -> Landscape:
    """The landscape called `name`; raises `SoftqError` with the nearest name otherwise."""
    one_of("landscape", name, _ALL)
    return _ALL[name]
