"""Two estimates of the entropy of the softmax of a critic, each with an error of a known sign.

- "snis": DDSQ's, from m uniform actions. Never below dim * log 2 - log m, so a target under that floor drives the
  temperature to zero. With the paper's target of -dim and m = 1000 every task of 5 dimensions or more is under it.
- "ais": the weight of an annealed chain (`softq.samplers.ais`). On average at most the entropy of the law that the
  chain ends in, at any dimension: a policy that is this chain (MalaQ) is never more certain than was asked. Another
  policy is as far off as its law is from the chain's; on narrow hills the chain stays broader than the softmax, by a
  nat.

Both look at the critic and not at the policy, whatever a method makes of the critic when it acts.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import uniform_actions
from softq.samplers import stability_limit, steepest_curvature
from softq.samplers.ais import ais
from softq.samplers.entropy import snis_entropy

Estimator = Literal["ais", "snis"]
TunedBy = Literal["policy", "softmax"]
# The annealed chain of "ais": it starts at 64 times the temperature and takes one step at each of 32 levels, since the
# bound gains more from levels than from steps. A step is half of the stability limit, by the curvature at 4 actions.
START_RATIO, LEVELS, STEP_SHARE, PROBES = 64.0, 32, 0.5, 4


def softmax_entropy(
    estimator: Estimator,
    key: Array,
    q: Callable[[Array], Array],
    dim: int,
    temperature: float | Array,
    num_candidates: int,
) -> Array:
    """Estimated entropy, nats, of exp(Q / temperature) on the box, from `num_candidates` uniform actions.

    For "snis" they are all that is used, for "ais" the start of one chain of 32 steps.
    """
    if estimator == "snis":
        return snis_entropy(jax.vmap(q)(uniform_actions(key, dim, num_candidates)), dim, temperature)
    probe, run = jax.random.split(key)
    temperatures = temperature * jnp.geomspace(START_RATIO, 1.0, LEVELS)
    limit = stability_limit(temperatures, steepest_curvature(q, uniform_actions(probe, dim, PROBES)))
    return ais(run, q, dim, temperatures, jnp.minimum(STEP_SHARE * limit, 1.0), num_candidates).lower


def softmax_entropies(
    estimator: Estimator, key: Array, critic: Any, obs: Array, temperature: float | Array, num_candidates: int
) -> Array:
    """`softmax_entropy` of the critic in each of the states `(B, obs_dim)`: `(B,)`, nats."""
    estimate = lambda obs, key: softmax_entropy(
        estimator, key, critic.at(obs), critic.action_dim, temperature, num_candidates
    )
    return jax.vmap(estimate)(obs, jax.random.split(key, len(obs)))
