"""The settings of a training run other than the hyper-parameters of its algorithm, and the presets of both."""

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
from softq.networks.precision import Precision
from softq.utils.errors import SoftqError
from softq.utils.fields import check_fields, choice, count, flag, nonnegative, text
from softq.utils.flat_settings import flat, settings_of, with_settings

# What the preset "small" of every algorithm begins with: a run that a laptop finishes in minutes. It holds settings of
# TrainConfig and of the algorithm together. The Polyak rate is four times that of most papers: with discount 0.99 a
# target needs 1 / (polyak * 0.01) updates to fill up, 20,000 at the papers' 0.005.
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
# what the help of --preset says of each preset
FROM = {
    "paper": "as the method's paper trained",
    "code": "as its authors' code trains",
    "small": "for a first result in minutes on a laptop",
}


def preset_of(algorithm: type[Algorithm], preset: str) -> dict[str, Any]:
    """The settings of the algorithm and of `TrainConfig` that `preset` gives a class of algorithms, by flat name.

    The preset "small" of a class is added to those of `SMALL` that the class or `TrainConfig` has. A setting that is
    not returned has the default of the class or of `TrainConfig`. Raises `SoftqError` for a preset that the class does
    not have.
    """
    presets = algorithm.presets
    if preset not in presets:
        raise SoftqError(f"unknown preset {preset!r}; {algorithm.__name__} has {', '.join(presets)}.")
    common = SMALL if preset == "small" else {}
    has = settings_of(algorithm).keys() | settings_of(TrainConfig).keys()
    return {name: value for name, value in common.items() if name in has} | presets[preset]


def preset_help(algorithm: type[Algorithm]) -> str:
    """The help of --preset in `softq train NAME --help`, which lists the presets of a class of algorithms."""
    named = (f"{name}, {FROM[name]}" if name in FROM else name for name in algorithm.presets)
    return f"preset of settings, which other options then change: {'; '.join(named)} [paper]"


Tracker = Literal["none", "tensorboard", "trackio"]
# fields of TrainConfig that concern the length of a run and what is written of it, and not how it learns
LENGTH = ("env", "algorithm", "seeds", "seed", "iterations", "eval_every", "eval_episodes", "log_every")
LENGTH += ("checkpoint_every", "keep_best", "patience", "min_change", "tracker")
LAST_SEED = 2**32 - 1  # the largest seed, since JAX makes keys from 32 bits
KINDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}


def plain(name: str, value: Any, kind: Any) -> Any:
    """The value of the setting `name` in Python's own type `kind`: int, float, bool, str, or a tuple of these.

    Numbers of NumPy and JAX are converted. Values of another kind, and those that JAX is tracing, are returned as they
    are. Raises `SoftqError` for a value of the wrong type.
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
    if kind is int and isinstance(value, float) and value.is_integer():  # for example 1e6
        value = int(value)
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise wrong
    return kind(value)


def plain_algorithm(algo: Algorithm) -> Algorithm:
    """A copy of `algo` whose hyper-parameters have Python's own types. Raises `SoftqError` for a wrong type."""
    values, settings = flat(algo), settings_of(type(algo))
    return with_settings(algo, {name: plain(name, values[name], settings[name].kind) for name in values})


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run; each iteration is one step of all environments and `updates_per_step` updates.

    The defaults are those of DDSQ (Table 2). Other methods have the settings of their papers in their preset "paper",
    which `train` uses. Raises `SoftqError` for a value that a setting cannot have.
    """

    env: str = text(
        "MultiGoal", "Environment to train in: an id that `softq list` shows, or module:Id of your own."
    )
    env_kwargs: dict[str, Any] = dataclasses.field(
        default_factory=dict,
        metadata={"help": "Settings of the environment, as NAME=VALUE words or one JSON object."},
    )
    algorithm: str = text("ddsq", "Name of the algorithm.")
    seeds: int = count(1, "Number of training seeds, learned side by side.")
    seed: int = count(0, "First training seed, which the others follow one by one.", least=0)
    num_envs: int = count(20, "Number of environments for each training seed, which step together.")
    iterations: int = count(
        1_500_000,
        "Number of steps of all environments after the warm-up, each with one update, or updates-per-step of them.",
        least=0,
    )
    updates_per_step: int = count(
        1,
        "Number of updates, each on a batch of its own, at each step of all environments; divided by num-envs it is "
        "the number of updates for each transition.",
    )
    warmup: int = count(
        200_000,
        "Number of transitions for each seed by uniform random actions before the first update.",
        least=0,
    )
    batch_size: int = count(256, "Number of transitions in the batch of one update.")
    buffer_size: int = count(
        1_000_000, "Number of transitions that the replay keeps for each seed; new ones replace the oldest."
    )
    n_step: int = count(
        1,
        "Number of rewards, at most, that a target adds up before it asks the critic; fewer where an episode ends.",
    )
    normalise_obs: bool = flag(
        False,
        "Whether the networks see observations less their running mean, divided by their running standard deviation.",
    )
    eval_every: int = count(
        10_000, "Number of iterations between two evaluations; the run ends with one more."
    )
    eval_episodes: int = count(20, "Number of episodes of one evaluation for each seed.")
    log_every: int = count(1000, "Number of iterations between two rows of the log.")
    checkpoint_every: int = count(
        10_000, "Number of iterations between two checkpoints; Ctrl-C writes one too."
    )
    keep_best: bool = flag(
        False, "Keep in DIR/best, for each seed, the learner of its evaluation with the highest mean return."
    )
    patience: int = count(
        0,
        "End the run early after this many evaluations in a row without a higher mean return over seeds; 0 is never.",
        least=0,
    )
    min_change: float = nonnegative(
        0.0, "Rise of the mean return that counts for --patience, in units of return."
    )
    precision: Precision = choice(
        "default", "Precision of the products of networks; bfloat16 is mixed precision, for GPUs."
    )
    tracker: Tracker = choice(
        "none", "Program that draws the log while the run trains: TensorBoard or trackio, extras of softq."
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = plain(field.name, getattr(self, field.name), field.type)
            object.__setattr__(self, field.name, value)  # the way into a frozen dataclass
        check_fields(self)
        # as config.json will hold them; settings that JSON cannot hold stay as they are
        with contextlib.suppress(TypeError):
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
        """The training seeds, `seeds` numbers from `seed` on."""
        return [self.seed + i for i in range(self.seeds)]

    @property
    def warmup_steps(self) -> int:
        """Steps of all environments before the first update: enough for `warmup` transitions, and at least one."""
        return max(1, math.ceil(self.warmup / self.num_envs))

    @property
    def total_steps(self) -> int:
        """Steps of all environments in the whole run, warm-up included."""
        return self.warmup_steps + self.iterations

    @property
    def total_updates(self) -> int:
        """Updates in the whole run, for each seed."""
        return self.iterations * self.updates_per_step

    @property
    def capacity(self) -> int:
        """Transitions for which the replay of a seed has room: no more than the run will ever store."""
        return max(self.num_envs, min(self.buffer_size, self.total_steps * self.num_envs))
