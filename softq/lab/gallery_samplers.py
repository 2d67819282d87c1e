"""The samplers of the gallery: those of `softq.samplers` at the gallery's settings, and what each costs.

`book/_static/softq-gallery.js` has an object of the same name for each, and reads texts and constants from here. Every
one starts from uniform actions, so what a reader sees after t steps is the law of the t-th action.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import BOUNDARIES, uniform_action, uniform_actions
from softq.landscapes import Landscape
from softq.samplers import (
    annealed_langevin,
    geometric_levels,
    isir,
    langevin,
    level_steps,
    linear_schedules,
    mala,
    qglg,
    snis,
    softmax_score,
    svgd,
    tempering,
)

LEVELS = geometric_levels(0.1, 0.001, 10)  # NC-LQL, Table 6
STEPS_PER_LEVEL = 2
RUNGS = 4  # temperatures of parallel tempering
SCHEDULES, SCHEDULE_STEPS = 4, 20  # of QGLG; each ends at a tenth of the longest step
SHRINK = 0.1


class Given(NamedTuple):
    """Settings of one run. `step` is in absolute units, `hottest` the top of the ladder; the rest decides shapes.

    `steps` are those taken, no more than complete an action.
    """

    temperature: float | Array
    step: float | Array
    hottest: float | Array
    steps: int
    candidates: int
    boundary: str


# -- one action each; the twin of `start` and of `steps` times `step` in the page


def _snis(key: Array, q: Landscape, g: Given) -> Array:
    return snis(key, q, q.dim, g.temperature, g.steps + 1)


def _isir(key: Array, q: Landscape, g: Given) -> Array:
    start, drive = jax.random.split(key)
    return isir(drive, q, q.dim, g.temperature, g.candidates, g.steps, uniform_action(start, q.dim))


def _langevin(key: Array, q: Landscape, g: Given) -> Array:
    start, drive = jax.random.split(key)
    steps = jnp.full(g.steps, g.step)
    return langevin(
        drive, softmax_score(q, g.temperature), uniform_action(start, q.dim), steps, BOUNDARIES[g.boundary]
    )


def _mala(key: Array, q: Landscape, g: Given) -> Array:
    start, drive = jax.random.split(key)
    return mala(drive, q, g.temperature, uniform_action(start, q.dim), jnp.full(g.steps, g.step))[0]


def _tempering(key: Array, q: Landscape, g: Given) -> Array:
    start, drive = jax.random.split(key)
    temperatures = jnp.geomspace(g.temperature, g.hottest, RUNGS)
    steps = jnp.minimum(1.0, g.step * temperatures / g.temperature)
    return tempering(drive, q, temperatures, uniform_actions(start, q.dim, RUNGS), steps, g.steps)[0][0]


def _annealed(key: Array, q: Landscape, g: Given) -> Array:
    start, drive = jax.random.split(key)
    slope = lambda action, sigma: jax.grad(q.blurred(sigma))(action)
    levels = jnp.asarray(LEVELS, jnp.float32)
    path = annealed_langevin(
        drive,
        slope,
        uniform_action(start, q.dim),
        levels,
        level_steps(levels, g.step),
        g.temperature,
        STEPS_PER_LEVEL,
        trajectory=True,
    )
    return path[g.steps]


def _qglg(select: str, key: Array, q: Landscape, g: Given) -> Array:
    starts = jnp.geomspace(g.step, SHRINK * g.step, SCHEDULES)
    schedules = linear_schedules(starts, jnp.full(SCHEDULES, SHRINK * g.step), SCHEDULE_STEPS)
    boundary = BOUNDARIES[g.boundary]
    return qglg(key, q, q.dim, g.temperature, schedules[:, : g.steps], g.candidates, boundary, select)


def each(sampler: Callable[[Array, Landscape, Given], Array]) -> Callable:
    """Many independent actions from a sampler of one."""
    return lambda key, q, g, n: jax.vmap(lambda key: sampler(key, q, g))(jax.random.split(key, n))


def _svgd(key: Array, q: Landscape, g: Given, n: int) -> Array:
    steps = jnp.full(g.steps, g.step)
    return svgd(
        softmax_score(q, g.temperature),
        uniform_actions(key, q.dim, n),
        steps,
        boundary=BOUNDARIES[g.boundary],
    )


class Entry(NamedTuple):
    """A sampler as the gallery shows it.

    `run(key, q, given, n)` gives `(n, dim)` actions; `uses` names the settings that matter. Its own step is
    `factor * temperature / curvature`, at most `cap` (just `cap` without a factor); no multiple exceeds `largest`.
    After `length` steps the action is complete. `cost(given)` counts Q and gradients for an action, kept values not
    counted again.
    """

    text: str
    note: str
    run: Callable[[Array, Landscape, Given, int], Array]
    cost: Callable[[Given], tuple[int, int]]
    uses: tuple[str, ...] = ()
    factor: float | None = 1.0
    cap: float = 0.05
    largest: float | None = None
    length: int | None = None

    def own_step(self, temperature: float, curvature: float) -> float:
        return self.cap if self.factor is None else min(self.cap, self.factor * temperature / curvature)


def _qglg_entry(select: str, text: str, note: str) -> Entry:
    cost = lambda g: (g.candidates + SCHEDULES, SCHEDULES * g.steps)
    uses = ("step", "boundary", "candidates")
    return Entry(text, note, each(partial(_qglg, select)), cost, uses, length=SCHEDULE_STEPS)


ENTRIES = {
    "snis": Entry(
        "resampling (SNIS)",
        "After step t each particle is one of t + 1 uniform candidates, drawn by weight. At step 0 it is uniform; "
        "only as the candidates grow in number does it follow the softmax.",
        each(_snis),
        lambda g: (g.steps + 1, 0),
    ),
    "isir": Entry(
        "iterated resampling",
        "In each step the current action competes with fresh uniform candidates. The softmax is invariant at any "
        "number of candidates from two on.",
        each(_isir),
        lambda g: (1 + (g.candidates - 1) * g.steps, 0),
        ("candidates",),
    ),
    "langevin": Entry(
        "Langevin",
        "Follow the slope, add noise, come back into the box. A finite step leaves a bias; clipping at the walls "
        "leaves atoms there.",
        each(_langevin),
        lambda g: (0, g.steps),
        ("step", "boundary"),
    ),
    "mala": Entry(
        "MALA",
        "A reflected Langevin step that is accepted or refused. The softmax is invariant at any step; crossing a wide "
        "valley still takes long.",
        each(_mala),
        lambda g: (0, g.steps + 1),
        ("step",),
        factor=2.0,
        cap=1.0,
        largest=1.0,
    ),
    "tempering": Entry(
        "parallel tempering",
        "Four MALA chains at rising temperatures offer to swap places after every step; the coldest is shown.",
        each(_tempering),
        lambda g: (0, RUNGS * (g.steps + 1)),
        ("step",),
        factor=2.0,
        cap=1.0,
        largest=1.0,
    ),
    "annealed": Entry(
        "annealed Langevin, NC-LQL",
        "As printed: two steps at each of ten blurs, coarse to fine, the slope divided by its length, clipped at the "
        "walls. Its temperature has the unit of an action, not of Q, so it does not aim at the softmax shown.",
        each(_annealed),
        lambda g: (0, g.steps),
        ("step",),
        factor=None,
        cap=1e-4,  # Table 6
        length=STEPS_PER_LEVEL * len(LEVELS),
    ),
    "qglg-argmax": _qglg_entry(
        "argmax",
        "QGLG, best end point",
        "Four step schedules from one resampled action, driven by the same noise; the end point with the largest "
        "Q is kept. That is a maximisation, so the result is colder than the temperature asked for.",
    ),
    "qglg-random": _qglg_entry(
        "random",
        "QGLG, random end point",
        "Four step schedules from one resampled action, driven by the same noise; one of the end points is kept at "
        "random, so nothing is maximised.",
    ),
    "svgd": Entry(
        "SVGD",
        "Particles climb together and a kernel keeps them apart. No noise after the start; near a wall with mass the "
        "limit is not the softmax.",
        _svgd,
        lambda g: (0, g.steps),
        ("step", "boundary"),
    ),
}


@partial(jax.jit, static_argnums=(0, 3, 4, 5, 6))
def draw(
    sampler: str,
    q: Landscape,
    key: Array,
    n: int,
    steps: int,
    candidates: int,
    boundary: str,
    temperature: float,
    step: float,
    hottest: float,
) -> Array:
    """`n` actions `(n, dim)`, compiled once for all temperatures and step sizes."""
    given = Given(temperature, step, hottest, steps, candidates, boundary)
    return ENTRIES[sampler].run(key, q, given, n)
