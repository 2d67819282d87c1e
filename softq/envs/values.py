"""Numbers, arrays and random generators as exact JSON: the leaves of the state that `gym_snapshot` saves."""

import random
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

GENERATORS = {cls.__name__: cls for cls in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937)}
GENERATORS |= {cls.__name__: cls for cls in (np.random.Philox, np.random.SFC64)}

# writes any value as JSON
Write = Callable[[Any], Any]
# reads JSON back; the second argument is the value in its place at present
Read = Callable[[Any, Any], Any]


def written(value: Any, write: Write) -> tuple[str, Any] | None:
    """`(kind, JSON)` of `value`, or None when it is not a leaf; `write` writes its parts, `READERS` read kinds back."""
    cls = type(value)
    if cls in (bytes, bytearray):
        return cls.__name__, value.hex()
    if cls is complex:
        return "complex", [value.real, value.imag]
    if isinstance(value, np.generic) and not value.dtype.hasobject and not value.dtype.names:
        return "number", [value.dtype.str, value.tobytes().hex()]
    if cls is np.ndarray and not value.dtype.hasobject and not value.dtype.names:
        return array(value, write)
    if isinstance(value, jax.Array):
        key = jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key)
        kind = str(jax.random.key_impl(value)) if key else None
        return "jax", [kind, write(np.asarray(jax.random.key_data(value) if key else value))]
    if cls is np.random.Generator:
        return "generator", write(value.bit_generator)
    if GENERATORS.get(cls.__name__) is cls:
        seed = value.seed_seq
        # the seed sequence belongs to the state, since `spawn` makes new generators from it
        known = type(seed) is np.random.SeedSequence
        names = ("entropy", "spawn_key", "pool_size", "n_children_spawned")
        return "bits", [write({name: getattr(seed, name) for name in names if known}), write(value.state)]
    if cls is np.random.RandomState:
        return "random_state", write(value.get_state(legacy=False))
    if cls is random.Random:
        return "random", write(value.getstate())
    return None


def array(value: np.ndarray, write: Write) -> tuple[str, Any]:
    """`(kind, JSON)` of an array whose kind says who owns its memory.

    An "array" owns it, a "view" shares that of another array, and a "memory" that of another library.
    """
    owner = value
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    kind = [value.dtype.str, list(value.shape)]
    # the memory belongs to an object other than an array, which may write to it too
    if owner.base is not None and value.flags.writeable:
        return "memory", [*kind, value.tobytes().hex()]
    if owner is value or owner.base is not None or type(owner) is not np.ndarray or owner.dtype.hasobject:
        order = "F" if value.flags.fnc else "C"
        return "array", [*kind, order, value.tobytes(order).hex()]
    start = value.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    return "view", [*kind, list(value.strides), start, write(owner)]


def read_array(content: list, read: Read, old: Any) -> np.ndarray:
    """A new array that owns its memory, as the one that was written did."""
    dtype, shape, order, text = content
    made = np.empty(shape, dtype, order)
    made[...] = np.frombuffer(bytes.fromhex(text), dtype).reshape(shape, order=order)
    return made


def read_memory(content: list, read: Read, old: Any) -> np.ndarray:
    """The array `old`, with the saved numbers written into the memory that it shares with another library.

    Raises `ValueError` when `old` is not an array of the same type and shape.
    """
    dtype, shape, text = content
    if not isinstance(old, np.ndarray) or (old.dtype.str, list(old.shape)) != (dtype, shape):
        raise ValueError("its memory shared with another library has no place in a fresh copy")
    old[...] = np.frombuffer(bytes.fromhex(text), dtype).reshape(shape)
    return old


def read_view(content: list, read: Read, old: Any) -> np.ndarray:
    """A view of the array that `read` returns for its owner, with the saved strides and first byte."""
    dtype, shape, strides, start, owner = content
    memory = read(owner, None).ravel(order="K")
    return np.ndarray(shape, dtype, memory, start, strides)


def read_jax(content: list, read: Read, old: Any) -> jax.Array:
    """An array of JAX, or random keys of the saved implementation."""
    kind, data = content
    found = jax.numpy.asarray(read(data, None))
    return found if kind is None else jax.random.wrap_key_data(found, impl=kind)


def read_bits(content: list, read: Read, old: Any) -> np.random.BitGenerator:
    """A bit generator of NumPy in the saved state, with the saved seed sequence if there is one."""
    seed, state = (read(part, None) for part in content)
    made = GENERATORS[state["bit_generator"]](np.random.SeedSequence(**seed) if seed else 0)
    made.state = state
    return made


def read_random_state(content: Any, read: Read, old: Any) -> np.random.RandomState:
    """NumPy's older generator in the saved state."""
    made, state = np.random.RandomState(0), read(content, None)
    made.set_state(state)
    return made


def read_random(content: Any, read: Read, old: Any) -> random.Random:
    """Python's generator in the saved state."""
    made = random.Random()
    made.setstate(read(content, None))
    return made


READERS: dict[str, Callable[[Any, Read, Any], Any]] = {
    "bytes": lambda text, read, old: bytes.fromhex(text),
    "bytearray": lambda text, read, old: bytearray.fromhex(text),
    "complex": lambda parts, read, old: complex(*parts),
    "number": lambda x, read, old: np.frombuffer(bytes.fromhex(x[1]), x[0])[0],
    "array": read_array,
    "memory": read_memory,
    "view": read_view,
    "jax": read_jax,
    "generator": lambda bits, read, old: np.random.Generator(read(bits, None)),
    "bits": read_bits,
    "random_state": read_random_state,
    "random": read_random,
}
