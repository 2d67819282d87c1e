"""What a critic-only method bootstraps with: Q at an action of its policy, or a log-sum-exp of Q over all actions.

- boltzmann: Q(s', a'), a' ~ pi, as DDSQ, LQL and NC-LQL print it. The average of plain Q under the softmax of Q; it
  does not contract and can have several fixed points.
- soft: E_pi[Q - temperature * log pi] = temperature * log of the integral of exp(Q / temperature) (SQL Equation 5).
- mellowmax: the same with the mean over the box instead of the integral. A contraction without an entropy bonus.

The last two need no sampler: with m uniform actions the mean of exp(Q / temperature) is unbiased. Its logarithm is too
low on average, by about temperature * Var(W) / (2 m), W being the softmax over the uniform density.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import logsumexp

from softq.box import uniform_actions
from softq.utils.errors import SoftqError, suggest

Backup = Literal["boltzmann", "soft", "mellowmax"]
BACKUPS = ("boltzmann", "soft", "mellowmax")


def mellowmax(values: Array, temperature: float | Array) -> Array:
    """temperature * log mean exp(Q / temperature) over Q at m uniform actions `(m,)`; below max Q."""
    return temperature * (logsumexp(values / temperature) - jnp.log(len(values)))


def bootstrap(
    backup: Backup,
    key: Array,
    q: Callable[[Array], Array],
    dim: int,
    temperature: float | Array | Callable[[Array], Array],
    num_value_samples: int,
    draw: Callable[[Array], Array],
) -> Array:
    """The value of a state that a Bellman target adds, from its target landscape `q`.

    `draw(key)` is an action of the policy, used by "boltzmann" only. The others use `num_value_samples` uniform actions
    and a `temperature` that may be a function of Q at them. Raises `SoftqError` for an unknown backup.
    """
    if backup not in BACKUPS:
        raise SoftqError(f"unknown backup '{backup}'.{suggest(backup, BACKUPS)}")
    if backup == "boltzmann":
        return q(draw(key))
    values = jax.vmap(q)(uniform_actions(key, dim, num_value_samples))
    temperature = temperature(values) if callable(temperature) else temperature
    volume = dim * jnp.log(2.0) if backup == "soft" else 0.0
    return mellowmax(values, temperature) + temperature * volume
