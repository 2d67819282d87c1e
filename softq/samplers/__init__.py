"""Samplers of exp(Q / temperature) on the box [-1, 1]^d.

A sampler sees a function of the action and nothing else: no state, no agent, no environment. Each is written for one
action; `jax.vmap` over keys makes many.
"""

from softq.samplers.boundary import project, reflect
from softq.samplers.isir import isir
from softq.samplers.langevin import chain, langevin, softmax_score
from softq.samplers.mala import mala
from softq.samplers.qglg import linear_schedules, qglg, spread
from softq.samplers.snis import candidates, snis, uniform
from softq.samplers.tempering import ladder, tempering

__all__ = [
    "candidates",
    "chain",
    "isir",
    "ladder",
    "langevin",
    "linear_schedules",
    "mala",
    "project",
    "qglg",
    "reflect",
    "snis",
    "softmax_score",
    "spread",
    "tempering",
    "uniform",
]
