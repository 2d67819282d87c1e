"""The exact state of one Gymnasium environment, as JSON and bytes: nothing is pickled, nothing is rounded.

`pickle(env)` silently drops MuJoCo's state and `mj_getState` loses derived fields that Ant and Humanoid read,
so every fixed-size array of `MjData` is copied. The rest of an environment is its instance attributes:
numbers, arrays and random generators, in each wrapper and at the core.
"""

import json
from typing import Any

import gymnasium as gym
import numpy as np

from softq.errors import SoftqError

CONSTANT = {"env", "metadata", "spec", "observation_structure", "mujoco_renderer", "model", "data"}
CONSTANT |= {
    "_saved_kwargs",
    "_cached_spec",
    "_metadata",
    "_previous_data",
    "_ezpickle_args",
    "_ezpickle_kwargs",
}


def layers(env: gym.Env) -> list[gym.Env]:
    """The environment's wrappers from the outside in, then its core."""
    found = [env]
    while found[-1] is not found[-1].unwrapped:
        found.append(found[-1].env)
    return found


def physics_fields(env: gym.Env) -> list[str]:
    """Names of the arrays of `MjData` whose size the model fixes; empty without MuJoCo.

    Contacts and constraints live in an arena, are empty in fresh data, and are recomputed by every step.
    """
    data = getattr(env.unwrapped, "data", None)
    if type(data).__name__ != "MjData":
        return []
    fresh = type(data)(env.unwrapped.model)
    names = [name for name in sorted(dir(fresh)) if not name.startswith("_") and name != "plugin_data"]
    arrays = {name: getattr(fresh, name) for name in names}
    return [name for name, x in arrays.items() if isinstance(x, np.ndarray) and x.size and x.dtype != object]


def encode(value: Any) -> Any:
    """JSON for a number, string, array, generator or plain container; `TypeError` for anything else."""
    if isinstance(value, np.random.Generator):
        return {"generator": encode(value.bit_generator.state)}
    if isinstance(value, np.ndarray | np.generic) and value.dtype != object:
        return {"array": [value.dtype.str, list(value.shape), value.tobytes().hex()]}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {"dict": {name: encode(item) for name, item in value.items()}}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [encode(item) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(type(value).__name__)


def decode(value: Any) -> Any:
    """The inverse of `encode`, except that a generator comes back as the state of its bit generator."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        dtype, shape, text = content
        return np.frombuffer(bytes.fromhex(text), dtype).reshape(shape).copy()[()]
    if kind == "dict":
        return {name: decode(item) for name, item in content.items()}
    if kind == "generator":
        return decode(content)
    return (tuple if kind == "tuple" else list)(map(decode, content))


def snapshot(env: gym.Env, fields: list[str]) -> tuple[str, np.ndarray]:
    """`(text, physics)`: JSON of all attributes, and MuJoCo's `fields` end to end as bytes `(n,)`.

    Raises `SoftqError` when an attribute is of a kind that cannot be written down exactly.
    """
    attributes = []
    for layer in layers(env):
        kept = {}
        for name, value in vars(layer).items():
            if name in CONSTANT or isinstance(value, gym.Space):
                continue
            try:
                kept[name] = encode(value)
            except TypeError as error:
                raise SoftqError(
                    f"the state of {env.spec.id} cannot be saved ({type(layer).__name__}.{name} is a "
                    f"{error}), so "
                    "its runs can be evaluated but not resumed; train it in one go."
                ) from None
        attributes.append(kept)
    data = getattr(env.unwrapped, "data", None)
    parts = [np.ascontiguousarray(getattr(data, name)).view(np.uint8).ravel() for name in fields]
    time = float(data.time) if fields else 0.0
    return json.dumps({"time": time, "layers": attributes}), np.concatenate([np.zeros(0, np.uint8), *parts])


def restore(env: gym.Env, fields: list[str], text: str, physics: np.ndarray) -> None:
    """Put an environment of the same id, already reset once, into a state from `snapshot`."""
    data = getattr(env.unwrapped, "data", None)
    if physics.size != sum(getattr(data, name).nbytes for name in fields):
        raise SoftqError(
            f"the saved state of {env.spec.id} has {physics.size} bytes, this MuJoCo needs another number; "
            "resume with the mujoco version named in the run's versions.json."
        )
    content, start = json.loads(text), 0
    for name in fields:
        target = getattr(data, name)
        target[...] = physics[start : start + target.nbytes].view(target.dtype).reshape(target.shape)
        start += target.nbytes
    if fields:
        data.time = content["time"]
    for layer, attributes in zip(layers(env), content["layers"], strict=True):
        for name, value in attributes.items():
            if isinstance(value, dict) and "generator" in value:
                getattr(layer, name).bit_generator.state = decode(value)
            else:
                setattr(layer, name, decode(value))
