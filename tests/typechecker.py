"""What the tests hold softq's annotations to, on every call: the shapes of jaxtyping, the types of beartype.

An annotation names what a function returns or the most usual of what it takes. NumPy's numbers pass for Python's, and
arrays of NumPy, those of JAX and lists of numbers for each other.
"""

import jax
import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype

NUMBERS = {int: int | np.integer, float: float | int | np.number, bool: bool | np.bool_}
ARRAYS = {jax.Array: jax.Array | np.ndarray, np.ndarray: np.ndarray | np.generic | jax.Array | float | list}

check = beartype(conf=BeartypeConf(hint_overrides=FrozenDict(NUMBERS | ARRAYS)))
