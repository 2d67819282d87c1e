"""The problems of the benchmark: a landscape, its temperatures, the numbers that samplers may know, and its softmax."""

import abc
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from softq import landscapes
from softq.box import uniform_actions
from softq.exact.boltzmann import Boltzmann
from softq.experiments.sampler_benchmark.formula import corners, padded
from softq.experiments.sampler_benchmark.reference import (
    Truth,
    by_quadrature,
    of_corners,
    of_sum,
    scattered,
    tops_of,
)
from softq.experiments.sampler_benchmark.registry import LEVELS, LandscapeInfo
from softq.landscapes import Formula
from softq.utils.errors import SoftqError, suggest

# the temperature is the standard deviation of Q divided by this number; for corners it is 1 divided by it
TEMPERATURE_LEVELS = {"hot": 1, "medium": 3, "cold": 10}
SUM = "sum of "
SUMMANDS, DIMS = ("twomode1", "skew1", "quad1"), (2, 4, 6, 8, 17)
# the typical large curvature of a landscape is this quantile of the curvatures at this many uniform actions
CURVATURE_QUANTILE, CURVATURE_ACTIONS = 0.9, 512


class BenchmarkProblem(abc.ABC):
    """One landscape in `dim` dimensions. `uniform_std` is the standard deviation of Q over uniform actions."""

    def __init__(self, name: str, dim: int, formula: Formula, uniform_std: float):
        self.name, self.dim, self.uniform_std = name, dim, uniform_std
        self.formula = jax.tree.map(jnp.float32, padded(formula))

    def temperature(self, level: str) -> float:
        """The temperature of a `level` of `TEMPERATURE_LEVELS`, in the unit of Q."""
        return self.uniform_std / TEMPERATURE_LEVELS[level]

    @abc.abstractmethod
    def truth(self, level: str) -> Truth:
        """The exact softmax at the temperature of `level`."""

    @cached_property
    def _curvatures(self) -> np.ndarray:
        """Typical large curvatures: of the landscape, then of the landscape blurred by each of `LEVELS`."""
        actions = uniform_actions(jax.random.key(1), self.dim, CURVATURE_ACTIONS)
        return np.asarray([_typical(self.formula.blurred(s), actions) for s in (1e-4, *LEVELS.tolist())])

    def info(self, level: str) -> LandscapeInfo:
        """The numbers that a sampler may know of the landscape, at the temperature of `level`."""
        first, *others = self._curvatures
        numbers = (self.temperature(level), self.uniform_std, first, others)
        return LandscapeInfo(*(jnp.asarray(x, jnp.float32) for x in numbers))


@jax.jit
def _typical(q: Formula, actions: jax.Array) -> jax.Array:
    """The quantile of the largest absolute curvatures of `q` at `actions` `(n, d)`."""
    steepest = jnp.max(jnp.abs(jnp.linalg.eigvalsh(jax.vmap(jax.hessian(q))(actions))), axis=1)
    return jnp.maximum(jnp.quantile(steepest, CURVATURE_QUANTILE), 1e-6)


class Named(BenchmarkProblem):
    """A landscape of `softq.landscapes`, or the sum of a one-dimensional one over `dim` coordinates."""

    def __init__(self, name: str, dim: int | None = None):
        q = landscapes.get(name)
        self.one, self.is_sum = Boltzmann(q, 1.0), dim is not None
        self.levels = None if self.is_sum else scattered(q)
        self.tops = tops_of(q)
        dim = q.dim if dim is None else dim
        values, flat = self.one.values, self.one.weights / self.one.weights.sum()
        uniform_std = np.sqrt(dim / q.dim) if self.is_sum else 1.0
        uniform_std *= np.sqrt(flat @ (values - flat @ values) ** 2)
        super().__init__(f"{SUM}{name}" if self.is_sum else name, dim, q.formula(dim), float(uniform_std))

    def truth(self, level: str) -> Truth:
        law = self.one.at(self.temperature(level))
        if self.is_sum:
            return of_sum(law, self.tops, self.dim)
        return by_quadrature(law, self.levels, self.tops)


class Corners(BenchmarkProblem):
    """`corners` at the temperatures 1, 1/3 and 1/10, since `of_corners` needs the reciprocal of a whole number."""

    def __init__(self, dim: int):
        super().__init__("corners", dim, corners(dim), float(of_corners(dim, 0).std_value))

    def temperature(self, level: str) -> float:
        return 1 / TEMPERATURE_LEVELS[level]

    def truth(self, level: str) -> Truth:
        return of_corners(self.dim, TEMPERATURE_LEVELS[level])


def names(dim: int) -> list[str]:
    """The names of all problems in `dim` dimensions."""
    named = [name for name in landscapes.names() if landscapes.get(name).dim == dim]
    return named + [f"{SUM}{name}" for name in SUMMANDS] + ["corners"] if dim in DIMS else named


def problem(name: str, dim: int) -> BenchmarkProblem:
    """The problem called `name`, such as "bandit", "sum of skew1" or "corners", in `dim` dimensions.

    Raises `SoftqError` for a name that is not one of `names(dim)`.
    """
    if name not in names(dim):
        raise SoftqError(f"no landscape '{name}' in {dim} dimensions.{suggest(name, names(dim))}")
    if name == "corners":
        return Corners(dim)
    return Named(name.removeprefix(SUM), dim if name.startswith(SUM) else None)
