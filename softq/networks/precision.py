"""The precision of the matrix products of all networks, by JAX's own switch `jax.default_matmul_precision`.

"bfloat16" is mixed precision: both factors are rounded to bfloat16, which has 8 significant bits, and the products are
added up in single precision. Parameters, activations and sums stay in single precision. JAX's switch alone would do so
on TPUs only; here it holds on every device, so that its effect can be measured on any. The other values are passed on
to the device as they are: on a CPU they all mean single precision, on a recent GPU the default is "tensorfloat32".
"""

import contextlib
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

Precision = Literal["default", "float32", "tensorfloat32", "bfloat16"]


def matmul_precision(precision: Precision) -> contextlib.AbstractContextManager:
    """A context in which networks have products of this precision; "default" leaves JAX's switch as it is."""
    return contextlib.nullcontext() if precision == "default" else jax.default_matmul_precision(precision)


def dot_general(left: Array, right: Array, dims: Any, **settings: Any) -> Array:
    """`jax.lax.dot_general`, which a layer of Flax calls; of factors in bfloat16 where the switch says so."""
    if jax.config.values["jax_default_matmul_precision"] == "bfloat16":
        settings = {"preferred_element_type": jnp.float32}
        left, right = left.astype(jnp.bfloat16), right.astype(jnp.bfloat16)
    return jax.lax.dot_general(left, right, dims, **settings)
