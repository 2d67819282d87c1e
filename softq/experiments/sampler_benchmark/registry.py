"""The samplers of the benchmark: those of `softq.samplers.registry`, each with settings that a budget decides.

A budget is a number of evaluations of Q for one action. A gradient counts as two, and so does every value that a
sampler needs, also for the start of a chain and for its last action; `Sampler.at_budget` leaves these out.

No sampler is tuned to a landscape. A sampler may know the temperature, the standard deviation of Q over uniform actions
and a typical large curvature L, from which its steps are shares of the stability limit 4 * temperature / L. Neither
this knowledge nor the blurred landscapes of annealing count as evaluations. A sampler called "printed" has the settings
of its paper, whose numbers of candidates, schedules, levels or steps are scaled to the budget.

L is a second derivative, which is zero beside the kinks of `abs1` and `abs2`. There, chains that accept every step take
the longest one that is allowed; chapter 10 shows their error. A `StableStep` without a curvature measures kinks too.

In the settings of a sampler m is a number of candidates, T of steps, S of schedules, M of particles, and K of actions
for one estimate of a score; these letters are also in the column "setting" of the table.
"""

from collections.abc import Callable
from functools import cache, partial
from math import isqrt
from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
from jax import Array

from softq import samplers as s
from softq.box import project, reflect
from softq.diffusion import VarianceExploding
from softq.samplers.base import Landscape, Sample, Sampler
from softq.samplers.cost import Calls
from softq.samplers.start import absolute_step
from softq.samplers.temperatures import HOTTEST
from softq.utils.pytree import pytree, static

LEVELS = s.geometric_levels(0.6, 0.02, 5)  # the noise levels of annealing where it aims at the softmax
# The step of a chain that accepts every proposal, as a share of the stability limit. On a parabola the variance of the
# chain is then larger than that of the softmax by the factor 1 / (1 - 0.1).
LANGEVIN_SHARE = 0.1
# the same of a chain that may refuse proposals in one dimension; in d dimensions it is multiplied by d^(-1/3)
METROPOLIS_SHARE = 0.5


class LandscapeInfo(NamedTuple):
    """The numbers that a sampler may know of a landscape, in the units of Q and of an action.

    `uniform_std` is the standard deviation of Q over uniform actions, `curvature` the typical large second derivative,
    and `blurred` `(5,)` that of Q blurred by each of `LEVELS`.
    """

    temperature: Array | float
    uniform_std: Array | float
    curvature: Array | float
    blurred: Array

    @property
    def hottest(self) -> Array:
        """The highest temperature of a ladder."""
        return jnp.maximum(HOTTEST * self.uniform_std, 2 * self.temperature)

    def step(self, share: float, longest: float = 0.1) -> s.StableStep:
        """A step of this share of the stability limit, at most `longest`."""
        return s.StableStep(share, longest, self.curvature)

    def metropolis(self, dim: int) -> s.StableStep:
        """The step of a chain that may refuse proposals."""
        return self.step(METROPOLIS_SHARE * dim ** (-1 / 3), 1.0)


class BenchmarkSampler(NamedTuple):
    """A sampler of the benchmark at any budget, described by the words `about`.

    `plan(budget, dim)` are the numbers that the budget pays for, by name, or None if it is too small. The sampler is
    `make(given, dim, **plan)`, where `given` is a `LandscapeInfo`. `exact` says whether the law of its actions tends to
    the softmax as the budget grows.
    """

    about: str
    make: Callable[..., Sampler]
    plan: Callable[[int, int], dict[str, int] | None]
    exact: bool = False

    def sampler(self, budget: int, dim: int, given: LandscapeInfo) -> Sampler:
        """The sampler at a budget that is large enough for it."""
        return self.make(given, dim, **self.plan(budget, dim))

    def setting(self, budget: int, dim: int) -> str:
        """The plan as text, such as "m=4 sweeps=4"."""
        return " ".join(f"{name}={number}" for name, number in self.plan(budget, dim).items())

    def calls(self, dim: int, budget: int) -> Calls:
        """The numbers of values and of gradients of Q for one action, counted in the compiled program."""
        return _calls(self, dim, budget)


@cache
def _calls(entry: BenchmarkSampler, dim: int, budget: int) -> Calls:
    return entry.sampler(budget, dim, LandscapeInfo(1.0, 1.0, 1.0, jnp.ones(len(LEVELS)))).cost(dim)


@pytree
class ISIRMALA(Sampler):
    """Sweeps of iterated resampling, which jump between hills, alternating with MALA steps, which move within one.

    Both leave the softmax invariant.
    """

    num_candidates: int = static()
    cycles: int = static()
    num_steps: int = static()
    step: s.StableStep

    def __call__(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Sample:
        start, drive = jax.random.split(key)
        steps = jnp.full(self.num_steps, absolute_step(self.step, None, q, dim, temperature))

        def cycle(action: Array, key: Array) -> tuple[Array, None]:
            far, near = jax.random.split(key)
            action = s.isir(far, q, dim, temperature, self.num_candidates, 1, action)
            return s.mala(near, q, temperature, action, steps)[0], None

        a0 = s.snis(start, q, dim, temperature, self.num_candidates)
        return Sample(jax.lax.scan(cycle, a0, jax.random.split(drive, self.cycles))[0], {})

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self | None:
        plan = _cycles(evaluations, dim)
        return cls(plan["m"], plan["cycles"], plan["T"], s.StableStep()) if plan["m"] > 1 else None


def _langevin(boundary: Callable[[Array], Array], g: LandscapeInfo, dim: int, T: int) -> Sampler:
    return s.Langevin(T, step=g.step(LANGEVIN_SHARE), boundary=boundary)


def _mala(g: LandscapeInfo, dim: int, T: int, m: int = 1) -> Sampler:
    """MALA from one of `m` uniform candidates, drawn by SNIS; with one candidate it is a uniform action."""
    return s.MALA(T, m, g.metropolis(dim))


def _isir_mala(g: LandscapeInfo, dim: int, m: int, cycles: int, T: int) -> Sampler:
    return ISIRMALA(m, cycles, T, g.metropolis(dim))


def _tempering(g: LandscapeInfo, dim: int, rungs: int, T: int) -> Sampler:
    return s.Tempering(rungs, T, g.metropolis(dim), g.hottest)


def _ais(g: LandscapeInfo, dim: int, m: int, levels: int, T: int) -> Sampler:
    return s.AIS(m, levels, T, step=g.metropolis(dim), hottest=g.hottest)


def _svgd(g: LandscapeInfo, dim: int, M: int, T: int) -> Sampler:
    return s.SVGD(M, T, g.step(0.5, 0.2))  # SVGD takes half of this step


def _qglg_printed(g: LandscapeInfo, dim: int, m: int, S: int, T: int) -> Sampler:
    return s.QGLG(s.linear_schedules(jnp.logspace(0, -4, S), jnp.full(S, 1e-4), T), m)


def _qglg(select: str, g: LandscapeInfo, dim: int, m: int, S: int, T: int) -> Sampler:
    """QGLG whose schedules start between three times and a third of `LANGEVIN_SHARE` of the stability limit."""
    limit = s.stability_limit(g.temperature, g.curvature)
    steps = jnp.minimum(jnp.geomspace(3 * LANGEVIN_SHARE, LANGEVIN_SHARE / 3, S) * limit, 0.1)
    return s.QGLG(s.linear_schedules(steps, jnp.full(S, jnp.min(steps)), T), m, select=select)


def _blurred_slope(q: Landscape, action: Array, sigma: Array) -> Array:
    return jax.grad(q.blurred(sigma))(action)


def _annealed_printed(g: LandscapeInfo, dim: int, T: int) -> Sampler:
    return s.AnnealedLangevin(steps_per_level=T, slope=_blurred_slope)


def _annealed(g: LandscapeInfo, dim: int, T: int, last: int) -> Sampler:
    steps = jnp.minimum(2 * LANGEVIN_SHARE * s.stability_limit(g.temperature, g.blurred), 1.0)
    repeats = (T,) * (len(LEVELS) - 1) + (last,)
    how = {"unit_slope": False, "boundary": reflect, "slope": _blurred_slope}
    return s.AnnealedLangevin(LEVELS, step_sizes=steps, steps_per_level=repeats, **how)


def _idem(g: LandscapeInfo, dim: int, T: int, K: int) -> Sampler:
    return s.Diffusion(T, K, "idem", "sde", VarianceExploding())


def _combined(g: LandscapeInfo, dim: int, T: int, K: int) -> Sampler:
    return s.Diffusion(T, K, "combined", options=(("variance", "posterior"),))


# The plans: numbers of candidates, steps and so on that a budget of evaluations pays for


def _cycles(budget: int, dim: int) -> dict[str, int]:
    n = max(1, isqrt(budget // 10))
    return {"m": budget // (2 * (n + 1)), "cycles": n, "T": max(1, budget // (4 * n) - 1)}


def _rungs(budget: int, dim: int) -> dict[str, int]:
    rungs = 2 if budget < 100 else 4
    return {"rungs": rungs, "T": budget // (2 * rungs) - 1}


def _cooling(budget: int, dim: int) -> dict[str, int]:
    m, levels = budget // 5, 3 if budget < 100 else 5
    return {"m": m, "levels": levels, "T": max(1, ((budget - m) // 2 - 1) // levels)}


def _schedules(budget: int, dim: int) -> dict[str, int]:
    # the paper has 100 candidates, 10 schedules and 20 steps
    m, n = budget // 5, min(10, max(2, budget // 40))
    return {"m": m, "S": n, "T": (budget - m - n) // (2 * n)}


def _levels(budget: int, dim: int) -> dict[str, int]:
    early = max(1, budget // 20)
    return {"T": early, "last": max(1, budget // 2 - early * (len(LEVELS) - 1))}


def _denoising(most: int, cost: Callable[[int], int], budget: int, dim: int) -> dict[str, int] | None:
    """At most `most` denoising steps T, with K >= 2 actions for each score; an action costs `cost(dim)` evaluations."""
    afford = budget // cost(dim)
    steps = min(most, isqrt(budget), afford // 2)
    return {"T": steps, "K": afford // steps} if steps else None


def _square(budget: int, dim: int) -> dict[str, int]:
    particles = isqrt(budget // 5)
    return {"M": particles, "T": budget // 2 // particles}


_gradients = lambda budget, dim: {"T": budget // 2}

REGISTRY = {
    "uniform": BenchmarkSampler("no look at Q at all", lambda g, dim: s.Uniform(), lambda budget, dim: {}),
    "snis": BenchmarkSampler(
        "one resampling of uniform candidates",
        lambda g, dim, m: s.SNIS(m),
        lambda budget, dim: {"m": budget},
        True,
    ),
    "isir": BenchmarkSampler(
        "iterated resampling",
        lambda g, dim, m, sweeps: s.ISIR(m, sweeps),
        lambda budget, dim: {"m": budget // 5, "sweeps": 4},
        True,
    ),
    "langevin": BenchmarkSampler("unadjusted Langevin, reflected", partial(_langevin, reflect), _gradients),
    "langevin-project": BenchmarkSampler(
        "unadjusted Langevin, clipped", partial(_langevin, project), _gradients
    ),
    "mala": BenchmarkSampler(
        "Metropolis-adjusted Langevin", _mala, lambda budget, dim: {"T": budget // 2 - 1}, True
    ),
    "snis-mala": BenchmarkSampler(
        "half of the budget for a start by resampling, half for MALA",
        _mala,
        lambda budget, dim: {"m": budget // 2, "T": budget // 4 - 1},
        True,
    ),
    "isir-mala": BenchmarkSampler("resampling sweeps and MALA steps by turns", _isir_mala, _cycles, True),
    "tempering": BenchmarkSampler("parallel tempering with MALA steps", _tempering, _rungs, True),
    "ais": BenchmarkSampler(
        "resampling at a high temperature, MALA steps while it falls", _ais, _cooling, True
    ),
    "svgd": BenchmarkSampler("Stein particles, the first of them acts", _svgd, _square),
    "qglg-printed": BenchmarkSampler("DDSQ: printed steps, best end point", _qglg_printed, _schedules),
    "qglg-weight": BenchmarkSampler(
        "QGLG: stable steps, end point by weight", partial(_qglg, "weight"), _schedules
    ),
    "qglg-random": BenchmarkSampler(
        "QGLG: stable steps, end point at random", partial(_qglg, "random"), _schedules
    ),
    "annealed-printed": BenchmarkSampler(
        "NC-LQL: slope normalised, clipped", _annealed_printed, lambda budget, dim: {"T": budget // 20}
    ),
    "annealed": BenchmarkSampler("annealed Langevin, not normalised, reflected", _annealed, _levels),
    "diffusion-qne": BenchmarkSampler(
        "MaxEntDP: noise estimates",
        lambda g, dim, T, K: s.Diffusion(T, K),
        partial(_denoising, 20, lambda dim: 1),
    ),
    "diffusion-idem": BenchmarkSampler(
        "DQS: averaged slopes", _idem, partial(_denoising, 1000, lambda dim: 2)
    ),
    "diffusion-combined": BenchmarkSampler(
        "both estimates and the walls", _combined, partial(_denoising, 20, lambda dim: 2 + 2 * dim)
    ),
}
