"""A temperature tuned towards a target entropy: DDSQ's rule (`temperature_step`), SAC's (`sac_step`), and estimates.

Two estimates of the entropy have an error of a known sign:

- snis: DDSQ's, from m uniform actions. Never below dim log 2 - log m, so a target under that floor drives the
  temperature to zero. `check_target` refuses one, in NC-LQL. DDSQ does not ask it: with the paper's target of -dim and
  m = 1000 every task of 5 dimensions or more is under the floor.
- ais: the weight of an annealed chain (`softq.samplers.ais`). On average at most the entropy of the law that the chain
  ends in, at any dimension: a policy that is this chain (MalaQ) is never more certain than was asked. Another policy is
  as far off as its law is from the chain's; on narrow hills the chain stays broader than the softmax, by a nat.

Both look at the critic and not at the policy, whatever a method makes of it when it acts. The diffusion policies
have a choice (`TunedBy`): "policy" goes by the likelihood of their own actions, which is wrong where their network is;
"softmax" by "ais" on their critic.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.common.learner import descend
from softq.box import uniform_actions
from softq.exact.importance import entropy_floor
from softq.networks.critic import Twins
from softq.samplers import stability_limit, steepest_curvature
from softq.samplers.ais import ais
from softq.samplers.entropy import snis_entropy
from softq.utils.errors import SoftqError, suggest
from softq.utils.pytree import replace

Estimator = Literal["ais", "snis"]
ESTIMATORS = ("ais", "snis")
TunedBy = Literal["policy", "softmax"]
HEAT = 64.0  # an annealed chain starts at so many temperatures,
LEVELS = 32  # comes down in so many, one step at each: for the bound, levels are worth more than steps;
SHARE = 0.5  # a step is this share of the stability limit,
PROBES = 4  # by the curvature at so many actions


def check_target(estimator: Estimator, target: float, dim: int, num_candidates: int) -> None:
    """`SoftqError` for an unknown estimator, or a `target` entropy, nats, that "snis" cannot reach with so many."""
    if estimator not in ESTIMATORS:
        raise SoftqError(f"unknown estimator '{estimator}'.{suggest(estimator, ESTIMATORS)}")
    floor = entropy_floor(dim, num_candidates)
    if estimator == "snis" and target < floor:
        raise SoftqError(
            f"a target entropy of {target:g} nats is below {floor:.3g}, the least that {num_candidates} uniform "
            "actions can show; raise the target or the number of samples, or estimate by 'ais'."
        )


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
    temperatures = temperature * jnp.geomspace(HEAT, 1.0, LEVELS)
    limit = stability_limit(temperatures, steepest_curvature(q, uniform_actions(probe, dim, PROBES)))
    return ais(run, q, dim, temperatures, jnp.minimum(SHARE * limit, 1.0), num_candidates).lower


def softmax_entropies(
    estimator: Estimator, key: Array, critic: Any, obs: Array, temperature: float | Array, num_candidates: int
) -> Array:
    """`softmax_entropy` of the critic in each of the states `(B, obs_dim)`: `(B,)`, nats."""
    estimate = lambda obs, key: softmax_entropy(
        estimator, key, critic.at(obs), critic.action_dim, temperature, num_candidates
    )
    return jax.vmap(estimate)(obs, jax.random.split(key, len(obs)))


def slope_unit(normalise: bool, twins: Twins) -> str:
    """Unit of the temperature, see `softq.algorithms.base`, of a chain that climbs twin critics joined by `twins`."""
    if normalise:  # slopes of length one
        return "action"
    return "Q / 2" if twins == "sum" else "Q"


def temperature_step(log_scale: Array, entropies: Array, target: float | Array, rate: float | Array) -> Array:
    """The next log of the temperature, from estimates `(B,)` over states: DDSQ's rule (B.3.4) on a log scale.

    Down when their mean is above the target, by rate * error / max(1, their standard deviation).
    """
    error = jnp.mean(entropies) - target
    return log_scale - rate * error / jnp.maximum(1.0, jnp.std(entropies))


def sac_step(
    state: Any,
    adam: optax.GradientTransformation,
    temperature: Array,
    entropy: Array,
    target: float | Array,
) -> Any:
    """`state` with a new `log_scale`: SAC's rule (Haarnoja et al. 2018, Equation 18) for a mean entropy, nats.

    One step of `adam` on `temperature`, the one in force, times (entropy - target): up when that is negative.
    """
    gradient = temperature * (entropy - target)
    log_scale, optimiser = descend(adam, state.temperature_optimiser, state.log_scale, gradient)
    return replace(state, log_scale=log_scale, temperature_optimiser=optimiser)
