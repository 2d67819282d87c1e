"""Numbers, arrays and random generators as JSON, exactly: the leaves of an environment's state (see `snapshot`)."""

import random
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

GENERATORS = {cls.__name__: cls for cls in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937)}
GENERATORS |= {cls.__name__: cls for cls in (np.random.Philox, np.random.SFC64)}

Write = Callable[[Any], Any]  # any value -> JSON
Read = Callable[[Any, Any], Any]  # JSON, and what is in its place now -> value


def written(value: Any, write: Write) -> tuple[str, Any] | None:
    """`(kind, JSON)` of a leaf, None when `value` is none; `write` writes its parts."""
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
        known = type(seed) is np.random.SeedSequence  # from which `spawn` makes generators
        names = ("entropy", "spawn_key", "pool_size", "n_children_spawned")
        return "bits", [write({name: getattr(seed, name) for name in names if known}), write(value.state)]
    if cls is np.random.RandomState:
        return "random_state", write(value.get_state(legacy=False))
    if cls is random.Random:
        return "random", write(value.getstate())
    return None


def array(value: np.ndarray, write: Write) -> tuple[str, Any]:
    """An array with its memory, or as a view of the array whose memory it shares."""
    owner = value
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    kind = [value.dtype.str, list(value.shape)]
    if owner.base is not None and value.flags.writeable:  # memory of something else, which also writes to it
        return "memory", [*kind, value.tobytes().hex()]
    if owner is value or owner.base is not None or type(owner) is not np.ndarray or owner.dtype.hasobject:
        order = "F" if value.flags.fnc else "C"
        return "array", [*kind, order, value.tobytes(order).hex()]
    start = value.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    return "view", [*kind, list(value.strides), start, write(owner)]


def read_array(content: list, read: Read, old: Any) -> np.ndarray:
    dtype, shape, order, text = content
    made = np.empty(shape, dtype, order)  # which owns its memory, as the written one did
    made[...] = np.frombuffer(bytes.fromhex(text), dtype).reshape(shape, order=order)
    return made


def read_memory(content: list, read: Read, old: Any) -> np.ndarray:
    """Written into the memory that `old` shares with its owner."""
    dtype, shape, text = content
    if not isinstance(old, np.ndarray) or (old.dtype.str, list(old.shape)) != (dtype, shape):
        raise ValueError("its memory shared with another library has no place in a fresh copy")
    old[...] = np.frombuffer(bytes.fromhex(text), dtype).reshape(shape)
    return old


def read_view(content: list, read: Read, old: Any) -> np.ndarray:
    dtype, shape, strides, start, owner = content
    memory = read(owner, None).ravel(order="K")
    return np.ndarray(shape, dtype, memory, start, strides)


def read_jax(content: list, read: Read, old: Any) -> jax.Array:
    kind, data = content
    found = jax.numpy.asarray(read(data, None))
    return found if kind is None else jax.random.wrap_key_data(found, impl=kind)


def read_bits(content: list, read: Read, old: Any) -> np.random.BitGenerator:
    seed, state = (read(part, None) for part in content)
    made = GENERATORS[state["bit_generator"]](np.random.SeedSequence(**seed) if seed else 0)
    made.state = state
    return made


def read_random_state(content: Any, read: Read, old: Any) -> np.random.RandomState:
    made, state = np.random.RandomState(0), read(content, None)
    made.set_state(state)
    return made


def read_random(content: Any, read: Read, old: Any) -> random.Random:
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
