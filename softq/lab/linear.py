"""`LinearMapLab`: amortised SVGD of the linear map f(xi) = w xi towards a Gaussian, with the same noises or others.

The target is N(0, I) in `dim` dimensions and the particles are N(0, w^2 I), so that the mean push on w is a Gaussian
integral. The kernel's width h is that of the squared rule, with the median of the law of squared distances. Then the
mean kernel of two particles is c^dim with c^-2 = 1 + 4 w^2 / h, whatever w is, and other noises push each coordinate
of w by (1 / w^2 - 1) (w / 2) c^dim (1 - c^2), which vanishes at w = 1. With the same noises one particle in K is the
particle itself: it has the kernel 1 and pulls by -w.
"""

from typing import Any

import numpy as np
from scipy.stats import chi2

from softq.lab.controls import Choice, Slider
from softq.lab.curves import Curve, CurveLab, Panel
from softq.lab.swarm import COUNTS, DIMS, SPREADS

MEDIANS = {dim: float(chi2(dim).median()) for dim in DIMS}  # of the squared length of a normal vector
MOST = 256  # noises


def kernel(num: np.ndarray | int, dim: int) -> Any:
    """c: the mean kernel of two particles to the power 1 / dim, by the squared rule for `num` of them."""
    return (1 + 2 * np.log(np.asarray(num) + 1) / MEDIANS[dim]) ** -0.5


def push(variance: np.ndarray | float, num: int, dim: int, same: bool) -> Any:
    """The mean push on w at w^2 = `variance`, in each coordinate, by `num` particles."""
    w, c = np.sqrt(variance), kernel(num, dim)
    others = (1 / variance - 1) * w / 2 * c**dim * (1 - c**2)
    return (1 - 1 / num) * others - w / num if same else others


def variance_at_rest(num: np.ndarray | int, dim: int) -> Any:
    """The variance at which the push with the same noises vanishes."""
    c = kernel(num, dim)
    return 1 / (1 + 2 / ((num - 1) * c**dim * (1 - c**2)))


class LinearMapLab(CurveLab):
    """The push on a linear map against its variance, and the variance at rest against the number of noises.

    `num` noises of each kind, in [2, 256], are drawn for a step; `dim` is one of `softq.lab.swarm.DIMS`.
    Raises `SoftqError` for another value.
    """

    kind = "linear"
    columns = 2

    def __init__(
        self,
        num: int = 32,
        dim: int = 6,
        alt: str = "The push on a linear map against its variance, and the variance at rest against the noises.",
        caption: str = "",
    ):
        controls = (
            Slider("num", "noises K", num, 2, MOST, integer=True),
            Choice("dim", "dimension", dim, [(str(d), d) for d in DIMS]),
        )
        super().__init__(controls, alt, caption)

    def view(self, num: int, dim: int) -> tuple[list[Panel], dict[str, float]]:
        variances, rest = np.linspace(0.02, 1.5, 149), float(variance_at_rest(num, dim))
        lines = [Curve(variances, 0 * variances, "", "diagonal")]
        lines += [
            Curve(variances, push(variances, num, dim, same), text, look)
            for same, text, look in ((False, "different", "squared"), (True, "the same", "printed"))
        ]
        reach = 1.3 * push(0.1, num, dim, False)
        points = [(1.0, 0.0, "squared"), (rest, 0.0, "printed")]
        force = Panel(
            "variance over the exact one",
            "push on w",
            lines,
            xlim=(0, 1.5),
            ylim=(-reach, reach),
            points=points,
        )
        counts = np.geomspace(2, MOST, 60)
        swarm = np.array([SPREADS[m][DIMS.index(dim)] for m in COUNTS])
        widths = [
            Curve(np.array([2.0, MOST]), np.ones(2), "different", "squared"),
            Curve(counts, variance_at_rest(counts, dim), "the same", "printed"),
            Curve(np.array(COUNTS, float), swarm, "swarm of K", "formula"),
        ]
        width = Panel(
            "noises K",
            "variance at rest",
            widths,
            (True, False),
            (2, MOST),
            (0, 1.1),
            [(num, rest, "printed")],
        )
        return [force, width], {
            "variance at rest, the same noises": rest,
            "kernel to all others (to itself 1)": float((num - 1) * kernel(num, dim) ** dim),
        }

    def tables(self) -> dict[str, Any]:
        swarms = [[SPREADS[m][i] for m in COUNTS] for i in range(len(DIMS))]
        return {
            "dims": DIMS,
            "medians": [MEDIANS[d] for d in DIMS],
            "counts": COUNTS,
            "swarms": swarms,
            "most": MOST,
        }
