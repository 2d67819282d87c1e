"""Samplers of exp(Q / temperature) on the box [-1, 1]^d.

A sampler sees a function of the action and nothing else: no state, no agent, no environment. Each is written for one
action; `jax.vmap` over keys makes many.
"""

from softq.samplers.ais import Annealed, ais
from softq.samplers.amortised import amortised_direction, amortised_loss, change_of_variables, squashed
from softq.samplers.annealed import annealed_langevin, geometric_levels, initial_action, level_steps
from softq.samplers.boundary import project, reflect
from softq.samplers.diffusion import (
    CosineVP,
    VarianceExploding,
    ancestral,
    combined,
    diffusion_sampler,
    idem,
    log_likelihood,
    noise_from_score,
    probability_flow,
    qne,
    qsm,
    reverse_sde,
    score_from_noise,
)
from softq.samplers.isir import isir
from softq.samplers.langevin import chain, langevin, softmax_score
from softq.samplers.mala import mala
from softq.samplers.qglg import linear_schedules, qglg, spread
from softq.samplers.snis import candidates, snis, uniform
from softq.samplers.stability import stability_limit, stable_step, steepest_curvature
from softq.samplers.svgd import median_bandwidth, svgd, svgd_direction
from softq.samplers.tempering import ladder, tempering

__all__ = [
    "Annealed",
    "CosineVP",
    "VarianceExploding",
    "ais",
    "amortised_direction",
    "amortised_loss",
    "ancestral",
    "annealed_langevin",
    "candidates",
    "chain",
    "change_of_variables",
    "combined",
    "diffusion_sampler",
    "geometric_levels",
    "idem",
    "initial_action",
    "isir",
    "ladder",
    "langevin",
    "level_steps",
    "linear_schedules",
    "log_likelihood",
    "mala",
    "median_bandwidth",
    "noise_from_score",
    "probability_flow",
    "project",
    "qglg",
    "qne",
    "qsm",
    "reflect",
    "reverse_sde",
    "score_from_noise",
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
    "uniform",
]
