"""Diffusion as a sampler of the softmax: schedules, score estimates, reverse processes, likelihood, and a policy.

An action is noised, the score of the noised softmax is learned or estimated, and the noise is run backwards. Only
`DiffusionPolicy` needs a network: `softq.samplers.diffusion_sampler` estimates each score from values of Q.
"""

from softq.diffusion.likelihood import log_likelihood
from softq.diffusion.policy import DiffusionPolicy, Likelihood
from softq.diffusion.processes import (
    ancestral,
    noise_from_score,
    probability_flow,
    reverse_sde,
    score_from_noise,
    times,
)
from softq.diffusion.schedules import CosineVP, LinearVP, Schedule, StepsVP, VarianceExploding
from softq.diffusion.scores import combined, idem, qne, qsm
from softq.diffusion.truncated_normal import truncated_normal

__all__ = [
    "CosineVP",
    "DiffusionPolicy",
    "Likelihood",
    "LinearVP",
    "Schedule",
    "StepsVP",
    "VarianceExploding",
    "ancestral",
    "combined",
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
