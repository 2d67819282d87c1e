"""The samplers of the gallery: those of `softq.samplers.registry`, each at the settings that a budget pays for.

Nothing is tuned to a landscape. What a sampler may know: the temperature, the standard deviation of Q over uniform
actions, and a typical large curvature L, from which steps are shares of the stability limit 4 * temperature / L.
Knowing these is free of charge, and so are the blurred landscapes of annealing. `printed` are the settings of a paper,
with its numbers of candidates, schedules, levels or steps scaled to the budget.

The budgets are not those of `Sampler.at_budget`: here methods compete, so a gradient costs what it costs, two
evaluations, and all that a sampler asks of Q has to be paid for, the start of a chain and the last end point too.

L is of the second derivative, which does not see the kinks of `abs1` and `abs2`: there chains that accept every step
take the longest, and chapter 10 shows what that costs. A `StableStep` without a curvature sees kinks.
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

LEVELS = s.geometric_levels(0.6, 0.02, 5)  # of the repaired annealing
SHARE = 0.1  # of the stability limit, for chains that accept every step: on a parabola a tenth too wide
METROPOLIS = 0.5  # for those that may refuse, in one dimension; it falls as dim^(-1/3)


class LandscapeInfo(NamedTuple):
    """What a sampler may know of a landscape, in the units of Q and of an action.

    `uniform_std` is the standard deviation of Q over uniform actions, `curvature` the typical large second derivative,
    and `blurred` `(5,)` that of Q blurred by each of `LEVELS`.
    """

    temperature: Array | float
    uniform_std: Array | float
    curvature: Array | float
    blurred: Array

    @property
    def hottest(self) -> Array:
        """The top of a ladder."""
        return jnp.maximum(HOTTEST * self.uniform_std, 2 * self.temperature)

    def step(self, share: float, longest: float = 0.1) -> s.StableStep:
        return s.StableStep(share, longest, self.curvature)

    def metropolis(self, dim: int) -> s.StableStep:
        return self.step(METROPOLIS * dim ** (-1 / 3), 1.0)


class BenchmarkSampler(NamedTuple):
    """`make(given, dim, **plan)` is a sampler; `plan(budget, dim)` what the budget pays for, None if nothing.

    `exact`: the law tends to the softmax as the budget grows.
    """

    about: str
    make: Callable[..., Sampler]
    plan: Callable[[int, int], dict[str, int] | None]
    exact: bool = False

    def sampler(self, budget: int, dim: int, given: LandscapeInfo) -> Sampler:
        return self.make(given, dim, **self.plan(budget, dim))

    def setting(self, budget: int, dim: int) -> str:
        return " ".join(f"{name}={number}" for name, number in self.plan(budget, dim).items())

    def calls(self, dim: int, budget: int) -> Calls:
        """Values and gradients per action, counted in the program."""
        return _calls(self, dim, budget)


@cache
def _calls(entry: BenchmarkSampler, dim: int, budget: int) -> Calls:
    return entry.sampler(budget, dim, LandscapeInfo(1.0, 1.0, 1.0, jnp.ones(len(LEVELS)))).cost(dim)


@pytree
class ISIRMALA(Sampler):
    """Sweeps of iterated resampling for the far way, MALA steps for the near one; both leave the softmax invariant."""

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
    return s.Langevin(T, step=g.step(SHARE), boundary=boundary)


def _mala(g: LandscapeInfo, dim: int, T: int, m: int = 1) -> Sampler:
    """From the survivor of `m` candidates, or from a uniform action."""
    return s.MALA(T, m, g.metropolis(dim))


def _isir_mala(g: LandscapeInfo, dim: int, m: int, cycles: int, T: int) -> Sampler:
    return ISIRMALA(m, cycles, T, g.metropolis(dim))


def _tempering(g: LandscapeInfo, dim: int, rungs: int, T: int) -> Sampler:
    return s.Tempering(rungs, T, g.metropolis(dim), g.hottest)


def _ais(g: LandscapeInfo, dim: int, m: int, levels: int, T: int) -> Sampler:
    return s.AIS(m, levels, T, step=g.metropolis(dim), hottest=g.hottest)


def _svgd(g: LandscapeInfo, dim: int, M: int, T: int) -> Sampler:
    return s.SVGD(M, T, g.step(0.5, 0.2))  # which is halved


def _qglg_printed(g: LandscapeInfo, dim: int, m: int, S: int, T: int) -> Sampler:
    return s.QGLG(s.linear_schedules(jnp.logspace(0, -4, S), jnp.full(S, 1e-4), T), m)


def _qglg(select: str, g: LandscapeInfo, dim: int, m: int, S: int, T: int) -> Sampler:
    """Shares of the stability limit from `SHARE` downwards, as far as the printed range but for its ends."""
    limit = s.stability_limit(g.temperature, g.curvature)
    steps = jnp.minimum(jnp.geomspace(3 * SHARE, SHARE / 3, S) * limit, 0.1)
    return s.QGLG(s.linear_schedules(steps, jnp.full(S, jnp.min(steps)), T), m, select=select)


def _blurred_slope(q: Landscape, action: Array, sigma: Array) -> Array:
    return jax.grad(q.blurred(sigma))(action)


def _annealed_printed(g: LandscapeInfo, dim: int, T: int) -> Sampler:
    return s.AnnealedLangevin(steps_per_level=T, slope=_blurred_slope)


def _annealed(g: LandscapeInfo, dim: int, T: int, last: int) -> Sampler:
    steps = jnp.minimum(2 * SHARE * s.stability_limit(g.temperature, g.blurred), 1.0)
    repeats = (T,) * (len(LEVELS) - 1) + (last,)
    how = {"unit_slope": False, "boundary": reflect, "slope": _blurred_slope}
    return s.AnnealedLangevin(LEVELS, step_sizes=steps, steps_per_level=repeats, **how)


def _idem(g: LandscapeInfo, dim: int, T: int, K: int) -> Sampler:
    return s.Diffusion(T, K, "idem", "sde", VarianceExploding())


def _combined(g: LandscapeInfo, dim: int, T: int, K: int) -> Sampler:
    return s.Diffusion(T, K, "combined", options=(("variance", "posterior"),))


# -- what a budget B of evaluations pays for


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
    m, n = budget // 5, min(10, max(2, budget // 40))  # printed: 100 candidates, 10 schedules, 20 steps
    return {"m": m, "S": n, "T": (budget - m - n) // (2 * n)}


def _levels(budget: int, dim: int) -> dict[str, int]:
    early = max(1, budget // 20)
    return {"T": early, "last": max(1, budget // 2 - early * (len(LEVELS) - 1))}


def _denoising(most: int, cost: Callable[[int], int], budget: int, dim: int) -> dict[str, int] | None:
    """T steps with K actions each, T as large as K allows: at least two."""
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
