"""The samplers of `GalleryLab`: those of `softq.samplers.registry` with the settings of the lab, and their costs.

`book/_static/softq-gallery.js` has an object of the same name for each, and reads texts and constants from this module.
Every sampler starts from uniform actions, so that the particles after t steps show the law of the t-th action.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import BOUNDARIES
from softq.landscapes import Landscape
from softq.samplers import (
    ISIR,
    MALA,
    QGLG,
    SNIS,
    SVGD,
    AnnealedLangevin,
    Langevin,
    Sample,
    Sampler,
    Tempering,
    geometric_levels,
    linear_schedules,
)
from softq.utils.pytree import pytree, static

LEVELS = geometric_levels(0.1, 0.001, 10)  # the noise levels of annealed Langevin, NC-LQL Table 6
STEPS_PER_LEVEL = 2
RUNGS = 4  # the number of temperatures of parallel tempering
SCHEDULES, SCHEDULE_STEPS = 4, 20  # the number of step schedules of QGLG, and of the steps of each
SHRINK = 0.1  # the ratio of the last step of every schedule to the longest first step


class RunSettings(NamedTuple):
    """The settings of one run of a sampler on a landscape.

    `temperature` divides Q, `step` is the step size in squared units of an action, and `hottest` is the highest
    temperature of a ladder. `steps` is the number of steps taken, at most those of a complete action, `candidates` that
    of the actions to resample from, and `boundary` "reflect" or "project".
    """

    temperature: float | Array
    step: float | Array
    hottest: float | Array
    steps: int
    candidates: int
    boundary: str


# The samplers that are not one class at these settings


def _qglg(select: str, g: RunSettings, n: int) -> QGLG:
    starts = jnp.geomspace(g.step, SHRINK * g.step, SCHEDULES)
    schedules = linear_schedules(starts, jnp.full(SCHEDULES, SHRINK * g.step), SCHEDULE_STEPS)
    return QGLG(schedules[:, : g.steps], g.candidates, BOUNDARIES[g.boundary], select)


def blurred_slope(q: Landscape, action: Array, sigma: Array) -> Array:
    """The slope `(d,)` of Q blurred by a Gaussian of standard deviation `sigma`, at `action` `(d,)`."""
    return jax.grad(q.blurred(sigma))(action)


@pytree
class Interrupted(Sampler):
    """The sampler `whole` stopped after `steps` of its steps, whose settings are those of its whole chain."""

    whole: Sampler
    steps: int = static()

    def __call__(self, key: Array, q: Landscape, dim: int, temperature: float | Array) -> Sample:
        return Sample(self.whole.path(key, q, dim, temperature)[self.steps], {})

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> None:
        return None


def _annealed(g: RunSettings, n: int) -> Interrupted:
    whole = AnnealedLangevin(LEVELS, g.step, steps_per_level=STEPS_PER_LEVEL, slope=blurred_slope)
    return Interrupted(whole, g.steps)


class GallerySampler(NamedTuple):
    """A sampler with all that the lab shows of it.

    `text` is its name in the list and `note` the sentences below the figure. `make(given, n)` is the sampler of `n`
    particles at the settings `given`, of which `uses` names those that matter to it besides temperature and steps.
    `cost(given)` is the number of values and of gradients of Q for one action; values that are kept count once. The
    step size is `own_step` times the control's multiple, at most `largest`. An action is complete after `length`
    steps; None means that the chain can go on for ever.
    """

    text: str
    note: str
    make: Callable[[RunSettings, int], Sampler]
    cost: Callable[[RunSettings], tuple[int, int]]
    uses: tuple[str, ...] = ()
    factor: float | None = 1.0
    cap: float = 0.05
    largest: float | None = None
    length: int | None = None

    def steps_within(self, budget: int, given: RunSettings) -> int:
        """The most steps that one action can take for `budget` values and gradients, counted alike; at least one."""
        first, second = (sum(self.cost(given._replace(steps=steps))) for steps in (0, 1))
        steps = max(1, (budget - first) // (second - first))
        return steps if self.length is None else min(steps, self.length)

    def own_step(self, temperature: float, curvature: float) -> float:
        """`factor` times temperature / curvature, at most `cap`; `cap` itself without a factor."""
        return self.cap if self.factor is None else min(self.cap, self.factor * temperature / curvature)


def _qglg_sampler(select: str, text: str, note: str) -> GallerySampler:
    cost = lambda g: (g.candidates + SCHEDULES, SCHEDULES * g.steps)
    uses = ("step", "boundary", "candidates")
    return GallerySampler(text, note, partial(_qglg, select), cost, uses, length=SCHEDULE_STEPS)


GALLERY_SAMPLERS = {
    "snis": GallerySampler(
        "resampling (SNIS)",
        "After step t each particle is one of t + 1 uniform candidates, drawn by weight. At step 0 it is uniform; "
        "only as the candidates grow in number does it follow the softmax.",
        lambda g, n: SNIS(g.steps + 1),
        lambda g: (g.steps + 1, 0),
    ),
    "isir": GallerySampler(
        "iterated resampling",
        "In each step the current action competes with fresh uniform candidates. The softmax is invariant at any "
        "number of candidates from two on.",
        lambda g, n: ISIR(g.candidates, g.steps, uniform_start=True),
        lambda g: (1 + (g.candidates - 1) * g.steps, 0),
        ("candidates",),
    ),
    "langevin": GallerySampler(
        "Langevin",
        "Follow the slope, add noise, come back into the box. A finite step leaves a bias; clipping at the walls "
        "leaves atoms there.",
        lambda g, n: Langevin(g.steps, step=g.step, boundary=BOUNDARIES[g.boundary]),
        lambda g: (0, g.steps),
        ("step", "boundary"),
    ),
    "mala": GallerySampler(
        "MALA",
        "A reflected Langevin step that is accepted or refused. The softmax is invariant at any step; crossing a wide "
        "valley still takes long.",
        lambda g, n: MALA(g.steps, step=g.step),
        lambda g: (0, g.steps + 1),
        ("step",),
        factor=2.0,
        cap=1.0,
        largest=1.0,
    ),
    "snis-mala": GallerySampler(
        "resampling, then MALA",
        "MALA from the survivor of uniform candidates, drawn by weight, instead of a uniform action: the candidates "
        "find the hills, and the steps find the shape of each.",
        lambda g, n: MALA(g.steps, g.candidates, step=g.step),
        lambda g: (g.candidates, g.steps + 1),
        ("step", "candidates"),
        factor=2.0,
        cap=1.0,
        largest=1.0,
    ),
    "tempering": GallerySampler(
        "parallel tempering",
        "Four MALA chains at rising temperatures offer to swap places after every step; the coldest is shown.",
        lambda g, n: Tempering(RUNGS, g.steps, g.step, g.hottest),
        lambda g: (0, RUNGS * (g.steps + 1)),
        ("step",),
        factor=2.0,
        cap=1.0,
        largest=1.0,
    ),
    "annealed": GallerySampler(
        "annealed Langevin, NC-LQL",
        "As printed: two steps at each of ten blurs, coarse to fine, the slope divided by its length, clipped at the "
        "walls. Its temperature has the unit of an action, not of Q, so it does not aim at the softmax shown.",
        _annealed,
        lambda g: (0, g.steps),
        ("step",),
        factor=None,
        cap=1e-4,  # NC-LQL Table 6
        length=STEPS_PER_LEVEL * len(LEVELS),
    ),
    "qglg-argmax": _qglg_sampler(
        "argmax",
        "QGLG, best end point",
        "Four step schedules from one resampled action, driven by the same noise; the end point with the largest "
        "Q is kept. That is a maximisation, so the result is colder than the temperature asked for.",
    ),
    "qglg-random": _qglg_sampler(
        "random",
        "QGLG, random end point",
        "Four step schedules from one resampled action, driven by the same noise; one of the end points is kept at "
        "random, so nothing is maximised.",
    ),
    "svgd": GallerySampler(
        "SVGD",
        "Particles climb together and a kernel keeps them apart. No noise after the start; near a wall with mass the "
        "limit is not the softmax.",
        lambda g, n: SVGD(n, g.steps, g.step, BOUNDARIES[g.boundary]),
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
    """`n` actions `(n, dim)` of the sampler of that name, compiled once for all temperatures and step sizes."""
    given = RunSettings(temperature, step, hottest, steps, candidates, boundary)
    made = GALLERY_SAMPLERS[sampler].make(given, n)
    one = lambda key: made(key, q, q.dim, temperature)
    if isinstance(made, SVGD):
        return one(key).info["particles"]
    return jax.vmap(one)(jax.random.split(key, n)).action
