"""The exact state of one Gymnasium environment as JSON text and bytes, without pickle and without rounding.

The state is everything that can be reached from the attributes of the environment and of its wrappers: numbers, arrays,
containers, random generators, plain Python objects, and the variables that functions close over. Modules, classes and
functions themselves are not state. For any other object, such as a socket, an iterator or an object of a C library,
saving raises an error that names the attribute.

Of MuJoCo every array of `MjData` with a fixed size is copied: `pickle` drops the MuJoCo state of an environment without
a word, and `mj_getState` leaves out derived fields that Ant and Humanoid read.
"""

import contextlib
import json
import types
from collections import OrderedDict, deque
from enum import Enum
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np

from softq.envs import values
from softq.envs.parts import attributes, cells, fields, is_fixed, is_plain, label, slots
from softq.utils.errors import SoftqError

CONTAINERS = {cls.__name__: cls for cls in (list, tuple, set, frozenset, deque)}
MAPPINGS = {cls.__name__: cls for cls in (dict, OrderedDict)}


class Writer:
    """Writes a value, and all objects that it reaches, as JSON; an object that is met twice is written once.

    Raises `TypeError` for an object that cannot be written, unless `strict` is False: then the object is skipped.
    """

    def __init__(self, strict: bool = True) -> None:
        self.strict = strict
        self.index: dict[int, int] = {}
        # all objects met so far: Python may give the id of an object that is gone to another one
        self.alive: list[Any] = []
        self.physics: list[np.ndarray] = []

    def write(self, value: Any, where: str) -> Any:
        """`value` as JSON; `where` is the attribute that an error names."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if is_fixed(value):
            return {"fixed": label(value)}
        if id(value) in self.index:
            return {"same": self.index[id(value)]}
        self.index[id(value)] = len(self.alive)
        self.alive.append(value)
        kind, content = self.parts(value, where)
        return {kind: content}

    def parts(self, value: Any, where: str) -> tuple[str, Any]:
        """`(kind, JSON)` of an object that is met for the first time; `Reader.value` reads kinds back."""
        cls = type(value)
        if leaf := values.written(value, lambda part: self.write(part, where)):
            return leaf
        if isinstance(value, mujoco.MjData):
            found = [np.ascontiguousarray(getattr(value, name)) for name in fields(value)]
            self.physics.extend(x.view(np.uint8).ravel() for x in found)
            return "physics", float(value.time)
        if CONTAINERS.get(cls.__name__) is cls or (issubclass(cls, tuple) and hasattr(cls, "_fields")):
            more = {"maxlen": value.maxlen} if cls is deque else {}
            return "items", {"class": label(cls), "of": [self.write(x, f"{where}[]") for x in value]} | more
        if MAPPINGS.get(cls.__name__) is cls:
            pairs = [[self.write(k, where), self.write(x, f"{where}[{k!r}]")] for k, x in value.items()]
            return "mapping", {"class": label(cls), "of": pairs}
        if isinstance(value, Enum):
            return "enum", {"class": label(cls), "of": self.write(value.value, where)}
        if cls is types.MethodType:
            return "method", {"class": label(value), "of": self.write(value.__self__, where)}
        if cls is types.FunctionType:
            inside = {name: self.write(cell.cell_contents, where) for name, cell in cells(value).items()}
            return "function", {"class": label(value), "of": inside}
        if is_plain(cls):
            inside = {k: self.write(x, f"{cls.__name__}.{k}") for k, x in attributes(value).items()}
            return "object", {"class": label(cls), "of": inside}
        if self.strict:
            raise TypeError(f"{where} is a {cls.__name__}")
        return "unknown", None


class Reader:
    """Puts the state that a `Writer` wrote into another environment that was made with the same settings.

    Environments, plain objects and functions keep their identity and get new attributes, because other objects refer to
    them; everything else is made anew. Raises `ValueError` where the state does not fit the environment.
    """

    def __init__(self, physics: np.ndarray):
        self.made: list[Any] = []
        # the objects that have their new attributes already, by id
        self.filled: dict[int, Any] = {}
        self.classes: dict[str, type] = {}
        self.physics, self.start = physics, 0

    def read(self, text: Any, old: Any) -> Any:
        """The value that the JSON `text` describes; `old` is the value in its place in the environment at present."""
        if not isinstance(text, dict):
            return text
        ((kind, content),) = text.items()
        if kind == "same":
            return self.made[content]
        if kind == "fixed":
            self.fits(label(old) == content, content)
            return old
        place = len(self.made)
        self.made.append(None)
        self.made[place] = self.value(kind, content, old, place)
        return self.made[place]

    def fits(self, agrees: bool, what: str) -> None:
        """Raise `ValueError` that names `what` unless `agrees`."""
        if not agrees:
            raise ValueError(f"its {what} has no place in a fresh copy")

    def value(self, kind: str, content: Any, old: Any, place: int) -> Any:
        """The value of a `kind` of `Writer.parts`, read from its JSON `content`.

        A container or object is entered in `self.made[place]` before its parts are read, since they may refer to it.
        """
        if kind in values.READERS:
            return values.READERS[kind](content, self.read, old)
        if kind == "physics":
            return self.data(content, old)
        name, parts = content["class"], content["of"]
        if kind == "items" and name in CONTAINERS:
            olds = list(old) if isinstance(old, list | tuple | deque) else []
            more = {"maxlen": content["maxlen"]} if name == "deque" else {}
            made = self.made[place] = CONTAINERS[name]((), **more)
            olds += [None] * (len(parts) - len(olds))
            found = [self.read(part, before) for part, before in zip(parts, olds, strict=False)]
            if isinstance(made, list | deque):
                made.extend(found)
                return made
            if isinstance(made, set):
                made.update(found)
                return made
            return CONTAINERS[name](found)
        if kind == "mapping":
            made = self.made[place] = MAPPINGS[name]()
            olds = old if isinstance(old, dict) else {}
            for key, part in parts:
                key = self.read(key, None)
                made[key] = self.read(part, olds.get(key))
            return made
        if kind == "object":
            return self.fill(name, parts, old, place)
        self.fits(label(old if kind in ("method", "function") else type(old)) == name, name)
        if kind == "items":  # a named tuple
            return type(old)(*(self.read(part, before) for part, before in zip(parts, old, strict=True)))
        if kind == "enum":
            return type(old)(self.read(parts, None))
        if kind == "method":
            return types.MethodType(old.__func__, self.read(parts, old.__self__))
        for cell_name, cell in cells(old).items():
            cell.cell_contents = self.read(parts[cell_name], cell.cell_contents)
        return old

    def fill(self, name: str, parts: dict, old: Any, place: int) -> Any:
        """The object `old` of the class `name` with the attributes in `parts`.

        A new object of that class is made where `old` has another class, or was filled before.
        """
        if label(type(old)) == name and is_plain(type(old)):
            self.classes[name] = type(old)
        self.fits(name in self.classes, name)
        cls = self.classes[name]
        # two objects that were one when this copy was made must not become one again
        free = type(old) is cls and id(old) not in self.filled
        new = self.made[place] = old if free else object.__new__(cls)
        self.filled[id(new)] = new
        before = attributes(old) if type(old) is cls else {}
        found = {name: self.read(part, before.get(name)) for name, part in parts.items()}
        if free:
            for attribute in before.keys() - found.keys():
                object.__delattr__(old, attribute)
        for attribute, x in found.items():
            if attribute in slots(cls):
                object.__setattr__(new, attribute, x)
            else:
                vars(new)[attribute] = x
        return new

    def data(self, time: float, old: Any) -> mujoco.MjData:
        """The `MjData` `old` with its arrays filled from the next bytes of `self.physics`; `time` is in seconds."""
        self.fits(isinstance(old, mujoco.MjData), "MjData")
        for name in fields(old):
            target = getattr(old, name)
            piece = self.physics[self.start : self.start + target.nbytes]
            self.start += target.nbytes
            self.fits(piece.size == target.nbytes, f"MuJoCo array {name}")
            target[...] = piece.view(target.dtype).reshape(target.shape)
        old.time = time
        return old


def reached(env: gym.Env) -> list[Any]:
    """All objects that can be reached from the attributes of `env` and may be state."""
    writer = Writer(strict=False)
    with contextlib.suppress(RecursionError):
        writer.write(env, "")
    return writer.alive


def snapshot(env: gym.Env) -> tuple[str, np.ndarray]:
    """The state of `env` as `(text, physics)`: JSON, and the bytes of MuJoCo's arrays one after another, `(n,)` uint8.

    Raises `SoftqError` that names the first attribute that cannot be written down exactly.
    """
    writer = Writer()
    try:
        text = json.dumps(writer.write(env, type(env).__name__))
    except RecursionError:
        raise SoftqError("its attributes are nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise SoftqError(str(error)) from None
    return text, np.concatenate([np.zeros(0, np.uint8), *writer.physics])


def restore(env: gym.Env, text: str, physics: np.ndarray) -> None:
    """Put `env` into a state that `snapshot` returned; it was made with the same settings and has been reset once.

    Raises `SoftqError` when the state does not fit `env`, which must then be reset before it is used again.
    """
    reader = Reader(physics)
    try:
        reader.read(json.loads(text), env)
        reader.fits(reader.start == physics.size, "MuJoCo state")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise SoftqError(" ".join(str(error).split())) from None
