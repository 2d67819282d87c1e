"""Samplers of exp(Q / temperature) on the box [-1, 1]^d.

A sampler sees a function of the action and nothing else: no state, no agent, no environment. Each is written for one
action; `jax.vmap` over keys makes many.
"""

from softq.samplers.ais import Annealed, ais
from softq.samplers.amortised import amortised_direction, amortised_loss, change_of_variables, squashed
from softq.samplers.annealed import annealed_langevin, geometric_levels, initial_action, level_steps
from softq.samplers.diffusion import diffusion_sampler
from softq.samplers.isir import isir
from softq.samplers.langevin import chain, langevin, softmax_score
from softq.samplers.mala import mala
from softq.samplers.qglg import linear_schedules, qglg, spread
from softq.samplers.snis import snis
from softq.samplers.step_size import stability_limit, stable_step, steepest_curvature
from softq.samplers.svgd import median_bandwidth, svgd, svgd_direction
from softq.samplers.tempering import ladder, tempering

__all__ = [
    "Annealed",
    "ais",
    "amortised_direction",
    "amortised_loss",
    "annealed_langevin",
    "chain",
    "change_of_variables",
    "diffusion_sampler",
    "geometric_levels",
    "initial_action",
    "isir",
    "ladder",
    "langevin",
    "level_steps",
    "linear_schedules",
    "mala",
    "median_bandwidth",
    "qglg",
    "snis",
    "softmax_score",
    "spread",
    "squashed",
    "stability_limit",
    "stable_step",
    "steepest_curvature",
    "svgd",
    "svgd_direction",
    "tempering",
]
