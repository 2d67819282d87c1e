"""Learning algorithms, one file each, under one interface. A new one is its file and a line of `CLASSES`."""

from importlib import import_module
from typing import Any

from softq.algorithms.base import Algorithm, State, Transition
from softq.utils.checks import one_of

# the name of each method's file, by which the command line calls it, and of its class
CLASSES = {
    "ddsq": "DDSQ",
    "lql": "LQL",
    "nclql": "NCLQL",
    "malaq": "MalaQ",
    "dqs": "DQS",
    "maxentdp": "MaxEntDP",
    "sql": "SQL",
    "sac": "SAC",
    "ddpg": "DDPG",
    "td3": "TD3",
    "mfp": "MFP",
    "dipo": "DIPO",
    "qvpo": "QVPO",
    "qsm": "QSM",
    "meow": "MEow",
    "s2ac": "S2AC",
    "dacer": "DACER",
    "sdac": "SDAC",
    "dpmd": "DPMD",
    "aca": "ACA",
    "lac": "LAC",
}
ALGORITHMS: dict[str, type[Algorithm]] = {
    name: getattr(import_module(f"softq.algorithms.{name}"), cls) for name, cls in CLASSES.items()
}


def get(name: str) -> type[Algorithm]:
    """The algorithm class called `name`; raises `SoftqError` with the nearest name otherwise."""
    one_of("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def __getattr__(name: str) -> Any:
    """`softq.algorithms.DDSQ` and the other classes."""
    for cls in ALGORITHMS.values():
        if cls.__name__ == name:
            return cls
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["ALGORITHMS", "Algorithm", "State", "Transition", "get"]
