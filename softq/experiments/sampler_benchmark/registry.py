"""The samplers of the gallery, each at the settings that a budget of evaluations pays for.

Nothing is tuned to a landscape. What a sampler may know: the temperature, the spread of Q, and a typical large
curvature L, from which steps are shares of the stability limit 4 * temperature / L. Knowing these is free of charge,
and so are the blurred landscapes of annealing; a gradient of any of them counts. `printed` are the settings of a
paper, with its numbers of candidates, schedules, levels or steps scaled to the budget.

L is of the second derivative, which does not see the kinks of `abs1` and `abs2`: there chains that accept every step
take the longest, and chapter 10 shows what that costs. `softq.samplers.stable_step` sees kinks.
"""

from collections.abc import Callable
from functools import cache, partial
from math import isqrt
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from softq import samplers as s
from softq.box import project, reflect, uniform_action, uniform_actions
from softq.diffusion import VarianceExploding
from softq.experiments.sampler_benchmark.cost import Calls, count

LEVELS = s.geometric_levels(0.6, 0.02, 5)  # of the repaired annealing
PRINTED_LEVELS = s.geometric_levels(0.1, 0.001, 10)  # NC-LQL, Table 6
SHARE = 0.1  # of the stability limit, for chains that accept every step: on a parabola a tenth too wide
METROPOLIS = 0.5  # for those that may refuse, in one dimension; it falls as dim^(-1/3)
HOTTEST = 4.0  # the top of tempering's ladder, in standard deviations of Q


class Given(NamedTuple):
    """What a sampler is told about a landscape. `blurred` `(5,)` are the curvatures at `LEVELS`."""

    temperature: Array | float
    spread: Array | float
    curvature: Array | float
    blurred: Array

    def step(self, share: float, longest: float = 0.1, temperature: Array | None = None) -> Array:
        temperature = self.temperature if temperature is None else temperature
        return jnp.minimum(share * s.stability_limit(temperature, self.curvature), longest)

    def metropolis(self, dim: int, temperature: Array | None = None) -> Array:
        return self.step(METROPOLIS * dim ** (-1 / 3), 1.0, temperature)


class Entry(NamedTuple):
    """`run(key, q, given, **plan)` is one action; `plan(budget, dim)` what the budget pays for, None if nothing.

    `exact`: the law tends to the softmax as the budget grows.
    """

    about: str
    run: Callable[..., Array]
    plan: Callable[[int, int], dict[str, int] | None]
    exact: bool = False

    def setting(self, budget: int, dim: int) -> str:
        return " ".join(f"{name}={number}" for name, number in self.plan(budget, dim).items())

    def calls(self, dim: int, budget: int) -> Calls:
        """Values and gradients per action, counted in the program."""
        return _calls(self, dim, budget)


@cache
def _calls(entry: Entry, dim: int, budget: int) -> Calls:
    given = Given(1.0, 1.0, 1.0, jnp.ones(len(LEVELS)))
    return count(lambda key, q: entry.run(key, q, given, **entry.plan(budget, dim)), dim)


def _uniform(key, q, g):
    return uniform_action(key, q.dim)


def _snis(key, q, g, m):
    return s.snis(key, q, q.dim, g.temperature, m)


def _isir(key, q, g, m, sweeps):
    return s.isir(key, q, q.dim, g.temperature, m, sweeps)


def _langevin(boundary, key, q, g, T):
    start, drive = jax.random.split(key)
    score = s.softmax_score(q, g.temperature)
    return s.langevin(drive, score, uniform_action(start, q.dim), jnp.full(T, g.step(SHARE)), boundary)


def _mala(key, q, g, T, m=1):
    """From the survivor of `m` candidates, or from a uniform action."""
    start, drive = jax.random.split(key)
    a0 = uniform_action(start, q.dim) if m == 1 else s.snis(start, q, q.dim, g.temperature, m)
    return s.mala(drive, q, g.temperature, a0, jnp.full(T, g.metropolis(q.dim)))[0]


def _isir_mala(key, q, g, m, cycles, T):
    """Sweeps of iterated resampling for the far way, MALA steps for the near one; both leave the softmax invariant."""
    start, drive = jax.random.split(key)
    steps = jnp.full(T, g.metropolis(q.dim))

    def cycle(action: Array, key: Array) -> tuple[Array, None]:
        far, near = jax.random.split(key)
        action = s.isir(far, q, q.dim, g.temperature, m, 1, action)
        return s.mala(near, q, g.temperature, action, steps)[0], None

    a0 = s.snis(start, q, q.dim, g.temperature, m)
    return jax.lax.scan(cycle, a0, jax.random.split(drive, cycles))[0]


def _ladder(dim, g, num):
    """`num` temperatures from the one asked for to a hot one, in geometric progression, and a step for each."""
    hottest = jnp.maximum(HOTTEST * g.spread, 2 * g.temperature)
    temperatures = g.temperature * (hottest / g.temperature) ** jnp.linspace(0, 1, num)
    return temperatures, jax.vmap(lambda t: g.metropolis(dim, t))(temperatures)


def _tempering(key, q, g, rungs, T):
    start, drive = jax.random.split(key)
    temperatures, steps = _ladder(q.dim, g, rungs)
    return s.tempering(drive, q, temperatures, uniform_actions(start, q.dim, rungs), steps, T)[0][0]


def _ais(key, q, g, m, levels, T):
    temperatures, steps = _ladder(q.dim, g, levels)
    return s.ais(key, q, q.dim, temperatures[::-1], steps[::-1], m, T).action


def _svgd(key, q, g, M, T):
    steps = jnp.full(T, g.step(0.25))
    return s.svgd(s.softmax_score(q, g.temperature), uniform_actions(key, q.dim, M), steps)[0]


def _qglg_printed(key, q, g, m, S, T):
    plan = s.linear_schedules(jnp.logspace(0, -4, S), jnp.full(S, 1e-4), T)
    return s.qglg(key, q, q.dim, g.temperature, plan, m)


def _qglg(select, key, q, g, m, S, T):
    """Shares of the stability limit from `SHARE` downwards, as far as the printed range but for its ends."""
    steps = jnp.minimum(
        jnp.geomspace(3 * SHARE, SHARE / 3, S) * s.stability_limit(g.temperature, g.curvature), 0.1
    )
    plan = s.linear_schedules(steps, jnp.full(S, jnp.min(steps)), T)
    return s.qglg(key, q, q.dim, g.temperature, plan, m, select=select)


def _annealed_printed(key, q, g, T):
    start, drive = jax.random.split(key)
    levels = jnp.asarray(PRINTED_LEVELS, jnp.float32)
    slope = lambda action, sigma: jax.grad(q.blurred(sigma))(action)
    a0, steps = uniform_action(start, q.dim), s.level_steps(levels, 1e-4)
    return s.annealed_langevin(drive, slope, a0, levels, steps, g.temperature, T)


def _annealed(key, q, g, T, last):
    start, drive = jax.random.split(key)
    levels = jnp.asarray(LEVELS, jnp.float32)
    slope = lambda action, sigma: jax.grad(q.blurred(sigma))(action)
    steps = jnp.minimum(2 * SHARE * s.stability_limit(g.temperature, g.blurred), 1.0)
    repeats = [T] * (len(LEVELS) - 1) + [last]
    a0 = uniform_action(start, q.dim)
    return s.annealed_langevin(
        drive, slope, a0, levels, steps, g.temperature, repeats, normalise=False, boundary=reflect
    )


def _qne(key, q, g, T, K):
    return s.diffusion_sampler(key, q, q.dim, g.temperature, T, K)


def _idem(key, q, g, T, K):
    return s.diffusion_sampler(key, q, q.dim, g.temperature, T, K, "idem", "sde", VarianceExploding())


def _combined(key, q, g, T, K):
    return s.diffusion_sampler(
        key, q, q.dim, g.temperature, T, K, "combined", "ancestral", variance="posterior"
    )


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
    "uniform": Entry("no look at Q at all", _uniform, lambda budget, dim: {}),
    "snis": Entry("one resampling of uniform candidates", _snis, lambda budget, dim: {"m": budget}, True),
    "isir": Entry("iterated resampling", _isir, lambda budget, dim: {"m": budget // 5, "sweeps": 4}, True),
    "langevin": Entry("unadjusted Langevin, reflected", partial(_langevin, reflect), _gradients),
    "langevin-project": Entry("unadjusted Langevin, clipped", partial(_langevin, project), _gradients),
    "mala": Entry("Metropolis-adjusted Langevin", _mala, lambda budget, dim: {"T": budget // 2 - 1}, True),
    "snis-mala": Entry(
        "half of the budget for a start by resampling, half for MALA",
        _mala,
        lambda budget, dim: {"m": budget // 2, "T": budget // 4 - 1},
        True,
    ),
    "isir-mala": Entry("resampling sweeps and MALA steps by turns", _isir_mala, _cycles, True),
    "tempering": Entry("parallel tempering with MALA steps", _tempering, _rungs, True),
    "ais": Entry("resampling at a high temperature, MALA steps while it falls", _ais, _cooling, True),
    "svgd": Entry("Stein particles, the first of them acts", _svgd, _square),
    "qglg-printed": Entry("DDSQ: printed steps, best end point", _qglg_printed, _schedules),
    "qglg-weight": Entry("QGLG: stable steps, end point by weight", partial(_qglg, "weight"), _schedules),
    "qglg-random": Entry("QGLG: stable steps, end point at random", partial(_qglg, "random"), _schedules),
    "annealed-printed": Entry(
        "NC-LQL: slope normalised, clipped", _annealed_printed, lambda budget, dim: {"T": budget // 20}
    ),
    "annealed": Entry("annealed Langevin, not normalised, reflected", _annealed, _levels),
    "diffusion-qne": Entry("MaxEntDP: noise estimates", _qne, partial(_denoising, 20, lambda dim: 1)),
    "diffusion-idem": Entry("DQS: averaged slopes", _idem, partial(_denoising, 1000, lambda dim: 2)),
    "diffusion-combined": Entry(
        "both estimates and the walls", _combined, partial(_denoising, 20, lambda dim: 2 + 2 * dim)
    ),
}
