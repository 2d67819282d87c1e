"""Samplers of exp(Q / temperature) on the box [-1, 1]^d.

A sampler gets Q as a function of the action alone, without a state or an environment. It draws one action; `jax.vmap`
over keys draws many. The functions are the kernels, with all their arguments. The classes hold settings and are called
alike, see `softq.samplers.base`; `SAMPLERS` lists them by name.
"""

from softq.samplers.ais import AIS, Annealed, ais
from softq.samplers.amortised import amortised_direction, amortised_loss, change_of_variables, squashed
from softq.samplers.annealed import (
    AnnealedLangevin,
    annealed_langevin,
    geometric_levels,
    initial_action,
    level_steps,
)
from softq.samplers.bandwidth import median_bandwidth
from softq.samplers.base import Sample, Sampler
from softq.samplers.diffusion import Diffusion, diffusion_sampler
from softq.samplers.isir import ISIR, isir
from softq.samplers.langevin import Langevin, chain, langevin, softmax_score
from softq.samplers.mala import MALA, mala
from softq.samplers.qglg import QGLG, linear_schedules, printed_schedules, qglg, uniform_std
from softq.samplers.registry import SAMPLERS, get
from softq.samplers.snis import SNIS, snis
from softq.samplers.step_size import StableStep, stability_limit, stable_step, steepest_curvature
from softq.samplers.svgd import SVGD, svgd, svgd_direction
from softq.samplers.temperatures import ladder
from softq.samplers.tempering import Tempering, tempering
from softq.samplers.uniform import Greedy, Uniform, best_of

__all__ = [
    "AIS",
    "ISIR",
    "MALA",
    "QGLG",
    "SAMPLERS",
    "SNIS",
    "SVGD",
    "Annealed",
    "AnnealedLangevin",
    "Diffusion",
    "Greedy",
    "Langevin",
    "Sample",
    "Sampler",
    "StableStep",
    "Tempering",
    "Uniform",
    "ais",
    "amortised_direction",
    "amortised_loss",
    "annealed_langevin",
    "best_of",
    "chain",
    "change_of_variables",
    "diffusion_sampler",
    "geometric_levels",
    "get",
    "initial_action",
    "isir",
    "ladder",
    "langevin",
    "level_steps",
    "linear_schedules",
    "mala",
    "median_bandwidth",
    "printed_schedules",
    "qglg",
    "snis",
    "softmax_score",
    "squashed",
    "stability_limit",
    "stable_step",
    "steepest_curvature",
    "svgd",
    "svgd_direction",
    "tempering",
    "uniform_std",
]
