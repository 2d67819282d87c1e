"""The entropy of a softmax from uniform samples (DDSQ B.3.4)."""

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import logsumexp

from softq.utils.finite import weighable


def snis_entropy(values: Array, dim: int, temperature: float | Array) -> Array:
    """Estimated differential entropy, nats, of exp(Q / temperature) on [-1, 1]^dim.

    `values` `(m,)` are Q at uniform actions; they serve both the log-partition and the mean of Q. The estimate is
    dim log 2 - log m + (entropy of the m weights), so it lies in [dim log 2 - log m, dim log 2] whatever Q is: with
    m = 1000 it cannot reach the target entropy -dim once dim is 5 or more. Values that are not
    finite have weight nought.
    """
    values = weighable(values, values)
    best = jnp.max(values)  # the entropy does not feel a constant in Q; single precision does
    logits = (values - jnp.where(best > -jnp.inf, best, 0.0)) / temperature
    log_partition = logsumexp(logits) - jnp.log(len(values)) + dim * jnp.log(2.0)
    weights = jnp.exp(logits - logsumexp(logits))
    return log_partition - jnp.sum(weights * jnp.where(logits > -jnp.inf, logits, 0.0))
