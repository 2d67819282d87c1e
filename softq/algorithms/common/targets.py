"""What a Bellman target adds for the next state: Q at an action of the policy, or a log-sum-exp of Q over all actions.

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

Backup = Literal["boltzmann", "soft", "mellowmax"]


def mellowmax(values: Array, temperature: float | Array) -> Array:
    """temperature * log mean exp(Q / temperature) over Q at m uniform actions `(m,)`; below max Q."""
    return temperature * (logsumexp(values / temperature) - jnp.log(len(values)))


def soft_value(values: Array, temperature: float | Array, dim: int) -> Array:
    """temperature * log of the integral of exp(Q / temperature) over the box, from m uniform actions `(m,)`."""
    return mellowmax(values, temperature) + temperature * dim * jnp.log(2.0)


def best_action(q: Callable[[Array], Array], actions: Array) -> Array:
    """The one of `actions` `(n, d)` where Q is largest."""
    return actions[jnp.argmax(jax.vmap(q)(actions))]


def best_of(num: int, draw: Callable[[Array], Array], q: Callable[[Array], Array], key: Array) -> Array:
    """The best by q of `num` actions `draw(key)`, each from its own key; one alone has the key itself."""
    if num == 1:
        return draw(key)
    return best_action(q, jax.vmap(draw)(jax.random.split(key, num)))
