"""Samplers of exp(Q / temperature) on the box [-1, 1]^d.

A sampler sees a function of the action and nothing else: no state, no agent, no environment. Each is written for one
action; `jax.vmap` over keys makes many.
"""

from softq.samplers.annealed import annealed_langevin, geometric_levels, initial_action, level_steps
from softq.samplers.boundary import project, reflect
from softq.samplers.isir import isir
from softq.samplers.langevin import chain, langevin, softmax_score
from softq.samplers.mala import mala
from softq.samplers.qglg import linear_schedules, qglg, spread
from softq.samplers.snis import candidates, snis, uniform
from softq.samplers.stability import stability_limit, steepest_curvature
from softq.samplers.svgd import median_bandwidth, svgd, svgd_direction
from softq.samplers.tempering import ladder, tempering

__all__ = [
    "annealed_langevin",
    "candidates",
    "chain",
    "geometric_levels",
    "initial_action",
    "isir",
    "ladder",
    "langevin",
    "level_steps",
    "linear_schedules",
    "mala",
    "median_bandwidth",
    "project",
    "qglg",
    "reflect",
    "snis",
    "softmax_score",
    "spread",
    "stability_limit",
    "steepest_curvature",
    "svgd",
    "svgd_direction",
    "tempering",
    "uniform",
]
