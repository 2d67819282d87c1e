"""softq: softmax (Boltzmann) policies for continuous control, in JAX.

The names below are imported when they are first asked for: `import softq` alone loads nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softq import algorithms, box, diffusion, envs, landscapes, networks, plots, samplers
    from softq.algorithms import Algorithm, Transition
    from softq.envs import make
    from softq.exact.boltzmann import Boltzmann
    from softq.policies import Policy, load
    from softq.training import TrainConfig, evaluate_run, resume, train
    from softq.utils.errors import SoftqError, SoftqWarning

__version__ = "0.2.0"

MODULES = ("algorithms", "box", "diffusion", "envs", "landscapes", "networks", "plots", "samplers")
HOMES = {
    "Algorithm": "softq.algorithms",
    "Boltzmann": "softq.exact.boltzmann",
    "Policy": "softq.policies",
    "SoftqError": "softq.utils.errors",
    "SoftqWarning": "softq.utils.errors",
    "TrainConfig": "softq.training",
    "Transition": "softq.algorithms",
    "evaluate_run": "softq.training",
    "load": "softq.policies",
    "make": "softq.envs",
    "resume": "softq.training",
    "train": "softq.training",
}
"""The module that each public name comes from."""

__all__ = [
    "Algorithm",
    "Boltzmann",
    "Policy",
    "SoftqError",
    "SoftqWarning",
    "TrainConfig",
    "Transition",
    "algorithms",
    "box",
    "diffusion",
    "envs",
    "evaluate_run",
    "landscapes",
    "load",
    "make",
    "networks",
    "plots",
    "resume",
    "samplers",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return importlib.import_module(f"softq.{name}")
    if name in HOMES:
        return getattr(importlib.import_module(HOMES[name]), name)
    raise AttributeError(f"module 'softq' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
