"""Volume functions by Monte Carlo in any dimension, with standard errors."""

from collections.abc import Callable

import numpy as np

from softq.exact.values import evaluate
from softq.exact.volume.base import Volume
from softq.exact.volume.levels import TINY_REGRET
from softq.utils.checks import positive
from softq.utils.errors import SoftqError


class MonteCarloVolume(Volume):
    """The volume function of any landscape in any dimension, from `num` uniform actions; `error` is one standard error.

    Without `q.maximum` the best sample takes the place of Q*, which makes every volume too large. A set of less than
    1 / num of the box may contain no sample; `error` is at least that share of the box.
    Raises `SoftqError` for an unknown dimension or `num` below 1.
    """

    def __init__(self, q: Callable, dim: int | None = None, num: int = 100_000, seed: int = 0):
        dim = getattr(q, "dim", None) if dim is None else dim
        if dim is None or dim < 1:
            raise SoftqError(f"the dimension of the box must be at least 1, got {dim}; pass dim=.")
        positive("num", num)
        values = evaluate(q, np.random.default_rng(seed).uniform(-1, 1, (int(num), dim)))
        self.num, self.area = int(num), 2.0**dim
        self.method = f"Monte Carlo with {self.num} uniform actions"
        self._sorted = np.sort(float(getattr(q, "maximum", values.max())) - values)
        self.breaks = np.maximum(self._sorted[-1:], TINY_REGRET)

    @property
    def mean_regret(self) -> float:
        return float(self._sorted.mean())

    def _volume(self, eps: np.ndarray) -> np.ndarray:
        return self.area * np.searchsorted(self._sorted, eps, side="right") / self.num

    def _error(self, eps: np.ndarray) -> np.ndarray:
        share = self(eps) / self.area
        return self.area * np.maximum(np.sqrt(share * (1 - share) / self.num), 1 / self.num)
