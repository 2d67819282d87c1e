"""The entropy of a softmax, estimated from uniform actions (DDSQ B.3.4)."""

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import logsumexp

from softq.utils.finite import weighable


def snis_entropy(values: Array, dim: int, temperature: float | Array) -> Array:
    """Estimated differential entropy, nats, of exp(Q / temperature) on [-1, 1]^dim.

    `values` `(m,)` are Q at uniform actions, from which both the log-partition and the mean of Q are estimated. The
    result is dim log 2 - log m + (entropy of the m weights) and lies in [dim log 2 - log m, dim log 2] for every Q:
    with m = 1000 it cannot reach the target entropy -dim in 5 or more dimensions. Values that are not finite have
    weight zero.
    """
    values = weighable(values, values)
    # a constant in Q does not change the entropy, but without it fewer digits are lost in single precision
    best = jnp.max(values)
    logits = (values - jnp.where(best > -jnp.inf, best, 0.0)) / temperature
    log_partition = logsumexp(logits) - jnp.log(len(values)) + dim * jnp.log(2.0)
    weights = jnp.exp(logits - logsumexp(logits))
    return log_partition - jnp.sum(weights * jnp.where(logits > -jnp.inf, logits, 0.0))
