"""What a training run is, apart from the algorithm's own hyper-parameters."""

import contextlib
import dataclasses
import json
import math
import typing
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from softq.algorithms import Algorithm
from softq.utils.errors import SoftqError, suggest

# A run that a laptop finishes in minutes; names of TrainConfig and of the algorithm together;
# what an algorithm needs beyond it is in its own `small`. The Polyak rate is four
# times the paper's: with discount 0.99 a target needs 1 / (polyak * 0.01) updates to fill up, 20,000 at the paper's.
SMALL = {
    "num_envs": 8,
    "warmup": 1000,
    "iterations": 12_000,
    "batch_size": 128,
    "buffer_size": 100_000,
    "eval_every": 1000,
    "log_every": 500,
    "checkpoint_every": 2000,
    "hidden_sizes": (64, 64),
    "learning_rate": 2e-3,
    "polyak": 0.02,
}
# what hyper-parameters of these names can be, in every algorithm; counts (num_...) are at least one
POSITIVE = {
    "temperature",
    "learning_rate",
    "start_step",
    "end_step",
    "step_size",
    "sigma_max",
    "sigma_min",
    "heat",
}
SHARES = {"discount", "polyak", "explore_prob", "acceptance"}
PRESETS = {"paper": {}, "small": SMALL}


def preset_of(algorithm: type[Algorithm], preset: str) -> dict[str, Any]:
    """Hyper-parameters and `TrainConfig` fields that the preset "paper" or "small" gives to a class of algorithms.

    What it does not name has the class's or `TrainConfig`'s default. Raises `SoftqError` for another preset.
    """
    if preset not in PRESETS:
        raise SoftqError(f"unknown preset {preset!r}.{suggest(preset, PRESETS)}")
    return PRESETS[preset] | (algorithm.small if preset == "small" else algorithm.paper)


LAST_SEED = 2**32 - 1  # JAX's keys are made from 32 bits
KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}


def plain(name: str, value: Any, kind: Any) -> Any:
    """`value` as Python's own int, float, bool, str or tuple of these, where `kind` is one; NumPy's and JAX's pass.

    Raises `SoftqError` when it is something else. Other kinds, and values that JAX is tracing, stay as they are.
    """
    wrong = SoftqError(f"{name} is {value!r}; it must be {KINDS.get(kind, 'whole numbers')}.")
    if typing.get_origin(kind) is tuple:
        if isinstance(value, str) or not np.iterable(value):
            raise wrong
        return tuple(plain(name, item, typing.get_args(kind)[0]) for item in value)
    if kind not in KINDS or isinstance(value, jax.core.Tracer):
        return value
    if isinstance(value, np.generic | np.ndarray | jax.Array) and np.ndim(value) == 0:
        value = value.item()
    if kind is int and isinstance(value, float) and value.is_integer():  # 1e6
        value = int(value)
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise wrong
    return kind(value)


def plain_algorithm(algo: Algorithm) -> Algorithm:
    """`algo` with hyper-parameters of Python's own types."""
    hints = typing.get_type_hints(type(algo))
    return dataclasses.replace(
        algo,
        **{x.name: plain(x.name, getattr(algo, x.name), hints[x.name]) for x in dataclasses.fields(algo)},
    )


@dataclass(frozen=True)
class TrainConfig:
    """One iteration is one step of all environments and one update.

    Defaults are DDSQ's Table 2; how another method's paper trained is in its `Algorithm.paper`, which `train` and the
    preset "paper" take up.
    """

    env: str = "MultiGoal"  # environment id, or module:Id of your own; `softq list` shows some
    env_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)  # its settings: NAME=VALUE or JSON
    algorithm: str = "ddsq"  # name of the algorithm
    seeds: int = 1  # how many training seeds, learned side by side
    seed: int = 0  # the first of them; the others follow
    num_envs: int = 20  # environments per seed, stepped together
    iterations: int = 1_500_000  # updates, each with one step of all environments
    warmup: int = 200_000  # transitions per seed from uniform random actions before the first update
    batch_size: int = 256  # transitions per update
    buffer_size: int = 1_000_000  # transitions that the replay keeps per seed
    eval_every: int = 10_000  # updates between evaluations; there is always one at the end
    eval_episodes: int = 20  # episodes per evaluation and seed
    log_every: int = 1000  # iterations between rows of the log
    checkpoint_every: int = 10_000  # iterations between checkpoints; Ctrl-C always writes one

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = plain(field.name, getattr(self, field.name), field.type)
            object.__setattr__(self, field.name, value)  # the way into a frozen dataclass
            least = 0 if field.name in ("seed", "iterations", "warmup") else 1
            if field.type is int and value < least:
                raise SoftqError(f"{field.name} is {value}; it must be at least {least}.")
        with contextlib.suppress(TypeError):  # as config.json will hold them, where it can
            object.__setattr__(self, "env_kwargs", json.loads(json.dumps(self.env_kwargs)))
        if self.seed + self.seeds - 1 > LAST_SEED:
            raise SoftqError(
                f"seed {self.seed} with seeds {self.seeds} reaches {self.seed + self.seeds - 1}; seeds lie "
                f"between 0 and {LAST_SEED}."
            )
        if self.buffer_size < self.num_envs:
            raise SoftqError(
                f"buffer_size {self.buffer_size} is smaller than num_envs {self.num_envs}; raise buffer_size."
            )

    @property
    def seed_list(self) -> list[int]:
        return [self.seed + i for i in range(self.seeds)]

    @property
    def warmup_steps(self) -> int:
        """Steps of the whole vector before the first update; at least one, to have something to sample."""
        return max(1, math.ceil(self.warmup / self.num_envs))

    @property
    def total_steps(self) -> int:
        return self.warmup_steps + self.iterations

    @property
    def capacity(self) -> int:
        """Rows of the replay: no more than the run will ever fill."""
        return max(self.num_envs, min(self.buffer_size, self.total_steps * self.num_envs))


def check_hyperparameters(algo: Algorithm) -> None:
    """`SoftqError` for a value that no algorithm can use; compiled programs cannot check their arguments.

    Nor does Python check a `Literal`: without this a misspelt switch is read as one of its other values.
    """
    for name, kind in typing.get_type_hints(type(algo)).items():
        value, options = getattr(algo, name), typing.get_args(kind)
        if typing.get_origin(kind) is Literal and value not in options:
            raise SoftqError(f"unknown {name} {value!r}.{suggest(value, options)}")
    for name, value in ((field.name, getattr(algo, field.name)) for field in dataclasses.fields(algo)):
        if isinstance(value, float) and not math.isfinite(value):
            raise SoftqError(f"{name} is {value}; it must be finite.")
        if name in POSITIVE and not value > 0:
            raise SoftqError(f"{name} is {value}; it must be positive.")
        if name in SHARES and not 0 <= value <= 1:
            raise SoftqError(f"{name} is {value}; it must lie between 0 and 1.")
        if name.startswith("num_") and value < 1:
            raise SoftqError(f"{name} is {value}; it must be at least 1.")
