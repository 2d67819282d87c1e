"""Diffusion as a sampler of the softmax: schedules, score estimates, reverse processes, likelihood.

Noise an action, learn or estimate the score of the noised softmax, run the noise backwards. No part of it needs a
network: `diffusion_sampler` estimates each score from Q on the fly.
"""

from softq.samplers.diffusion.estimators import combined, idem, qne, qsm
from softq.samplers.diffusion.likelihood import log_likelihood
from softq.samplers.diffusion.reverse import (
    ancestral,
    noise_from_score,
    probability_flow,
    reverse_sde,
    score_from_noise,
    times,
)
from softq.samplers.diffusion.sampler import diffusion_sampler
from softq.samplers.diffusion.schedules import CosineVP, Schedule, VarianceExploding
from softq.samplers.diffusion.truncated import truncated_normal

__all__ = [
    "CosineVP",
    "Schedule",
    "VarianceExploding",
    "ancestral",
    "combined",
    "diffusion_sampler",
    "idem",
    "log_likelihood",
    "noise_from_score",
    "probability_flow",
    "qne",
    "qsm",
    "reverse_sde",
    "score_from_noise",
    "times",
    "truncated_normal",
]
