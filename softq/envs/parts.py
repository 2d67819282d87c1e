"""Which of the objects that an environment's attributes reach are state, for `softq.envs.gym_snapshot`."""

import logging
import pathlib
import types
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np

# classes of objects that an environment refers to and that are not part of its state
FIXED = (type, types.ModuleType, np.dtype, np.ufunc, logging.Logger, pathlib.PurePath, mujoco.MjModel)
FIXED += (gym.envs.registration.EnvSpec, gym.envs.registration.WrapperSpec)
# names of further such classes, whose modules are costly to import or private
FIXED_NAMES = ("MujocoRenderer", "PjitFunction")


class Plain:
    """A class without memory beyond its attributes, whose size `is_plain` compares other classes with."""


def layers(env: gym.Env) -> list[gym.Env]:
    """The wrappers of `env` from the outermost to the innermost, and last the environment within them."""
    found: list[Any] = [env]
    while found[-1] is not found[-1].unwrapped:
        found.append(found[-1].env)
    return found


def fields(data: mujoco.MjData) -> list[str]:
    """Names of the arrays of `data` whose size depends on the MuJoCo model alone.

    Arrays of contacts and constraints are left out: their size changes, and every step computes them again.
    """
    fresh = mujoco.MjData(data.model)
    names = [name for name in sorted(dir(fresh)) if not name.startswith("_") and name != "plugin_data"]
    arrays = {name: getattr(fresh, name) for name in names}
    return [name for name, x in arrays.items() if isinstance(x, np.ndarray) and x.size and x.dtype != object]


def slots(cls: type) -> list[str]:
    """Names of the attributes that `cls` and its bases declare in `__slots__`."""
    declared = (vars(base).get("__slots__", ()) for base in cls.__mro__)
    names = [name for some in declared for name in ([some] if isinstance(some, str) else some)]
    return [name for name in names if name not in ("__dict__", "__weakref__")]


def is_plain(cls: type) -> bool:
    """Whether an instance of `cls` keeps all that it holds in its attributes, and nothing in memory of a C library."""
    rest = cls.__basicsize__ - 8 * len(slots(cls))
    return rest in (object.__basicsize__, Plain.__basicsize__) and cls.__itemsize__ == 0 and cls is not object


def attributes(value: Any) -> dict[str, Any]:
    """The attributes of the plain object `value` that are state, by name.

    Of a space they are its random generator and the spaces within it; an environment's spec is not state.
    """
    named = {name: getattr(value, name) for name in slots(type(value)) if hasattr(value, name)}
    named |= getattr(value, "__dict__", {})
    if isinstance(value, gym.Space):  # the bounds of a space never change
        return {name: x for name, x in named.items() if name in ("_np_random", "spaces")}
    left_out = {"spec", "_cached_spec"} if isinstance(value, gym.Env) else set()
    left_out |= {"_previous_data"} if isinstance(value, gym.wrappers.PassiveEnvChecker) else set()
    return {name: x for name, x in named.items() if name not in left_out}


def cells(function: types.FunctionType) -> dict[str, types.CellType]:
    """The cells of the variables that `function` closes over, by name."""
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def is_fixed(value: Any) -> bool:
    """Whether `value` is not state: a class, a module, a function that closes over nothing, or a constant object."""
    if isinstance(value, types.FunctionType):
        return not value.__closure__
    if isinstance(value, types.BuiltinFunctionType):
        return value.__self__ is None or isinstance(value.__self__, types.ModuleType)
    cls = type(value)
    return isinstance(value, FIXED) or cls.__name__ in FIXED_NAMES or cls.__module__ == "typing"


def label(value: Any) -> str:
    """The name by which a class, function or path is recognised when a state is put back."""
    if isinstance(value, pathlib.PurePath):
        return str(value)
    return getattr(value, "__qualname__", None) or type(value).__name__
