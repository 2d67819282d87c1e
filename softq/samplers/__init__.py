"""Samplers of exp(Q / temperature) on the box [-1, 1]^d.

A sampler sees a function of the action and nothing else: no state, no agent, no environment. Each is written for one
action; `jax.vmap` over keys makes many.
"""

from softq.samplers.boundary import project, reflect
from softq.samplers.langevin import chain, langevin, softmax_score
from softq.samplers.qglg import linear_schedules, qglg, spread
from softq.samplers.snis import candidates, snis, uniform

__all__ = [
    "candidates",
    "chain",
    "langevin",
    "linear_schedules",
    "project",
    "qglg",
    "reflect",
    "snis",
    "softmax_score",
    "spread",
    "uniform",
]
