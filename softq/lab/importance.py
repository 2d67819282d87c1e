"""`ImportanceLab`: the exact law of resampling m uniform candidates on Q = -|a|^2, in 1 to 17 dimensions.

Self-normalised importance sampling depends on an action only through its weight. The law of the regret
S = sum_i a_i^2 under uniform actions therefore decides everything; it is tabulated on cells of equal width in log S.
"""

from functools import cache
from typing import Any

import numpy as np
from scipy.special import gammaincinv, logsumexp

from softq.exact.importance import Importance
from softq.exact.volume import PowerVolume
from softq.lab.controls import Choice, Slider
from softq.lab.curves import Curve, CurveLab, Panel

DIMS = (1, 2, 3, 4, 6, 8, 11, 17)
CELLS = 400
COUNTS = np.unique(np.geomspace(1, 10_000, 25).round().astype(int))


@cache
def regret_law(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The regrets at the middles of the cells in log S, and the probabilities of the cells under uniform actions.

    Both are `(CELLS,)`.
    """
    # a regret below which the softmax at the lowest temperature of the slider has a probability of 0.001
    low = 0.005 * gammaincinv(dim / 2, 1e-3)
    edges = np.geomspace(low, dim, CELLS + 1)
    share = PowerVolume(1.0, 2.0, dim)(edges) / 2.0**dim
    share[0], share[-1] = 0.0, 1.0
    return np.sqrt(edges[1:] * edges[:-1]), np.diff(share)


def weigh(regret: np.ndarray, mass: np.ndarray, temperature: float) -> Importance:
    """The law of the weight W, the softmax's density over the uniform one, on cells of these regrets and masses.

    Weights below exp(-80) are set to exp(-80), so that their logarithms stay finite.
    """
    log_w = -regret / temperature
    log_w = log_w - logsumexp(log_w, b=mass)
    return Importance(np.maximum(log_w, -80.0), mass)


class ImportanceLab(CurveLab):
    """The laws of the regret under uniform actions, under the softmax and under SNIS with `num_candidates`.

    `dim` is one of `DIMS`, `temperature` in [0.005, 2] divides Q = -|a|^2, and `num_candidates` is in [1, 10000].
    Raises `SoftqError` for a number outside these ranges.
    """

    kind = "importance"

    def __init__(
        self,
        temperature: float = 0.1,
        num_candidates: int = 100,
        dim: int = 1,
        alt: str = "Three laws of the regret: of uniform actions, of the softmax, and of resampled candidates.",
        caption: str = "",
    ):
        controls = (
            Choice("dim", "dimension d", dim, [(str(d), d) for d in DIMS]),
            Slider("num_candidates", "candidates m", num_candidates, 1, 10_000, integer=True),
            Slider("temperature", "temperature λ", temperature, 0.005, 2.0),
        )
        super().__init__(controls, alt, caption)

    def view(self, dim: int, num_candidates: int, temperature: float) -> tuple[list[Panel], dict[str, float]]:
        regret, mass = regret_law(dim)
        law = weigh(regret, mass, temperature)
        ratio, p_mass = law.ratio(num_candidates), law.p_mass
        scale = 1 / np.diff(np.log(regret))[0]
        laws = [
            Curve(regret, mass * scale, "uniform", "uniform"),
            Curve(regret, p_mass * scale, "softmax"),
            Curve(regret, p_mass * ratio * scale, "resampled", "samples"),
        ]
        left = Panel("regret (log scale)", "density per unit of log regret", laws, (True, False))
        tv = [Curve(COUNTS, np.array([law.tv(m) for m in COUNTS]), "exact", "tv")]
        tv.append(Curve(COUNTS, np.array([law.jensen(m) for m in COUNTS]), "Jensen bound", "jensen"))
        point = (num_candidates, law.tv(num_candidates), "tv")
        right = Panel("candidates m", "total variation", tv, (True, False), ylim=(0, 1.02), points=[point])
        return [left, right], {
            "total variation": law.tv(num_candidates),
            "Jensen bound": law.jensen(num_candidates),
            "effective sample size": law.ess(num_candidates),
            "mean regret": float(p_mass * ratio @ regret),
            "mean regret of the softmax": float(p_mass @ regret),
        }

    def tables(self) -> dict[str, Any]:
        rows = {}
        for dim in DIMS:
            regret, mass = regret_law(dim)
            rows[str(dim)] = {
                "first": regret[0],
                "last": regret[-1],
                "mass": [float(f"{p:.6e}") for p in mass],
            }
        return {"laws": rows, "counts": COUNTS.tolist()}
