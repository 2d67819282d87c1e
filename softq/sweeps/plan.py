"""The file of a sweep: TOML that becomes a list of runs, all of which are checked before the first one starts.

    out = "runs/temperatures"         # folder of the runs [runs/NAME-OF-THE-FILE]
    preset = "small"                  # what all runs share: preset, algorithm and env, each one name or a list
    env = ["Hopper-v5", "Walker2d-v5"]
    [options]                         # settings of all runs, under the names that `softq train` gives them
    seeds = 3
    [grid]                            # every combination of these lists is a run
    algorithm = ["sac", "ddsq"]
    temperature = [0.01, 0.1]
    [[run]]                           # one more run; where values are lists, one more for each combination
    algorithm = "td3"

Without [grid] and [[run]] the lists that all runs share are combined. A run is in the folder OUT/ALGORITHM-ENV, with
-NAME=VALUE at its end for each setting that [grid] or its [[run]] gives, in alphabetical order: a longer list in the
file leaves the folders of the runs that were in it as they are.
"""

import contextlib
import dataclasses
import itertools
import json
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from softq.algorithms import ALGORITHMS, Algorithm, get
from softq.envs import make
from softq.training import TrainConfig
from softq.training.config import plain_algorithm
from softq.training.old_names import heirs
from softq.training.start import configured
from softq.utils.errors import SoftqError, suggest
from softq.utils.flat_settings import flat, settings_of

NAMES = ("algorithm", "env", "preset")
TABLES = ("options", "grid", "tune")
KEYS = ("out", *NAMES, *TABLES, "run")
LONGEST = 200  # characters in the name of a folder


@dataclass(frozen=True)
class Planned:
    """A run of a sweep: its folder, and what it is made of."""

    folder: Path
    algo: Algorithm
    config: TrainConfig
    preset: str
    given: Mapping[str, Any]  # all other settings that the file gives, by flat name

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name

    @property
    def log(self) -> Path:
        """The file that takes what the training prints."""
        return self.folder.with_name(f"{self.name}.log")


@dataclass(frozen=True)
class Sweep:
    """The content of a sweep's file, and the folder of its runs."""

    file: Path
    folder: Path
    content: dict[str, Any]

    def runs(self, tuned: Mapping[str, Any] = MappingProxyType({}), prefix: str = "") -> list[Planned]:
        """The runs, in the order of the file, with the settings `tuned` too and `prefix` before their names.

        Raises `SoftqError`, which names the file, for a setting that some method of the sweep lacks, a value that a
        setting cannot have, an environment that cannot be made, and two runs that would share a folder.
        """
        with named(self.file):
            drafts = list(listed(self.content | {"options": self.content["options"] | tuned}))
            check_names(drafts)
            runs = [made(self.folder, settings, varied, prefix) for settings, varied in drafts]
            check_folders(runs)
            return runs


def load(file: Path | str, out: Path | str | None = None) -> Sweep:
    """The sweep in `file`; `out` replaces the folder that the file names.

    Raises `SoftqError`, which names the file, for one that cannot be read, an unknown key and an empty [grid].
    """
    file = Path(file)
    with named(file):
        content = read(file)
    return Sweep(file, Path(out or content.get("out") or Path("runs") / file.stem), content)


def plan(file: Path | str, out: Path | str | None = None) -> list[Planned]:
    """The runs of the sweep in `file`. Raises `SoftqError` as `load` and `Sweep.runs` do."""
    return load(file, out).runs()


@contextlib.contextmanager
def named(file: Path) -> Iterator[None]:
    """Let a `SoftqError` in this context begin with the name of the file."""
    try:
        yield
    except SoftqError as error:
        raise SoftqError(f"{file}: {error}") from None


def read(file: Path) -> dict[str, Any]:
    """The content of `file`, whose tables have flat names of settings. Raises `SoftqError` for a wrong form."""
    try:
        content = tomllib.loads(file.read_text())
    except OSError as error:
        raise SoftqError(f"it cannot be read ({error.strerror}); name a sweep's TOML file.") from None
    except ValueError as error:
        raise SoftqError(f"it is not TOML ({error}).") from None
    for key, value in content.items():
        if key not in KEYS:
            owners = [
                cls for cls in (TrainConfig, *ALGORITHMS.values()) if flat_name(key) in settings_of(cls)
            ]
            raise SoftqError(
                f"{key} is a setting; put it under [options], [grid] or [[run]]."
                if owners
                else f"unknown key {key!r}.{suggest(key, KEYS)}"
            )
        forms = {name: (dict, f"[{name}]") for name in TABLES} | {"run": (list, "[[run]]")}
        kind, form = forms.get(key, (str if key == "out" else str | list, f'{key} = "NAME"'))
        if not isinstance(value, kind) or (key == "run" and not all(isinstance(x, dict) for x in value)):
            raise SoftqError(f"{key} is {value!r}; write {form}.")
    for key in TABLES:
        content[key] = renamed_keys(content[key], f"[{key}]") if key in content else None
    content["options"] = content["options"] or {}
    content["run"] = [renamed_keys(table, "[[run]]") for table in content.get("run", [])]
    if content["grid"] == {}:
        raise SoftqError(
            "[grid] is empty; give it lists, such as temperature = [0.01, 0.1], or leave it out."
        )
    return content


def flat_name(name: str) -> str:
    """The name of a setting where its option has hyphens."""
    return name.replace("-", "_")


def renamed_keys(table: dict[str, Any], where: str) -> dict[str, Any]:
    """`table` by flat names. Raises `SoftqError` for a setting that is given twice."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if flat_name(name) in found:
            raise SoftqError(f"{where} gives {flat_name(name)} twice, once with a hyphen; leave one out.")
        found[flat_name(name)] = value
    return found


def listed(content: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """`(settings, varied)` of each run: all that it is given, and the part by which its folder is named."""
    shared = {name: choices(name, content[name], "it") for name in NAMES if name in content}
    options, grid = content["options"], content["grid"]
    for name in options.keys() & set(NAMES):
        raise SoftqError(f"[options] cannot hold {name}; write it above the tables, in [grid] or in [[run]].")
    for name, value in (grid or {}).items():
        if not isinstance(value, list):
            raise SoftqError(
                f"[grid] has {name} = {value!r}, which is no list; write [{value!r}] or put it under [options]."
            )
        if name in several() and not all(isinstance(item, list) for item in value):
            raise SoftqError(f"[grid] has {name} = {value}; each value is a list itself: write [{value}].")
    tables = ([("[grid]", grid or {})] if grid or not content["run"] else []) + [
        ("[[run]]", table) for table in content["run"]
    ]
    for where, table in tables:
        own = {name: choices(name, value, where) for name, value in table.items()}
        axes = shared | own
        for values in itertools.product(*axes.values()):
            chosen = dict(zip(axes, values, strict=True))
            varied = {x: chosen[x] for x in sorted(own) if x not in ("algorithm", "env")}
            yield options | chosen, varied


def choices(name: str, value: Any, where: str) -> list[Any]:
    """The values that `value` lists, or the only one. Raises `SoftqError` for an empty list."""
    if value == []:
        raise SoftqError(f"{where} has {name} = [], of which there is no run; list at least one value.")
    lists = isinstance(value, list) and (name not in several() or all(isinstance(x, list) for x in value))
    return value if lists else [value]


def several() -> set[str]:
    """The settings whose one value is a list, such as hidden_sizes."""
    classes = (TrainConfig, *ALGORITHMS.values())
    return {
        name for cls in classes for name, x in settings_of(cls).items() if typing.get_origin(x.kind) is tuple
    }


def check_names(drafts: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Raise `SoftqError` unless each run has an algorithm and an environment, and its algorithm all its settings."""
    for settings, _ in drafts:
        for name in ("algorithm", "env"):
            if not isinstance(settings.get(name), str):
                raise SoftqError(
                    f'a run has no {name}; write {name} = "NAME" above the tables (see `softq list`).'
                )
        get(settings["algorithm"])
    has = {settings["algorithm"]: of_method(settings["algorithm"]) for settings, _ in drafts}
    for name in dict.fromkeys(name for settings, _ in drafts for name in settings):
        owners = [algorithm for algorithm, names in has.items() if name in names]
        if not owners:
            known = {name for names in has.values() for name in names}
            raise SoftqError(f"{' and '.join(has)} have no setting {name!r}.{suggest(name, known)}")
        lack = [x["algorithm"] for x, _ in drafts if name in x and x["algorithm"] not in owners]
        if lack:
            raise SoftqError(
                f"{', '.join(dict.fromkeys(lack))} ({len(lack)} runs) would be given {name}, which only "
                f"{', '.join(owners)} has; give it in a [[run]] of its methods."
            )


def of_method(algorithm: str) -> set[str]:
    """All that a run of `algorithm` can be given: the settings, their old names, algorithm, env and preset."""
    cls = get(algorithm)
    return {*settings_of(cls), *settings_of(TrainConfig), *heirs(cls), *NAMES}


def made(out: Path, settings: dict[str, Any], varied: dict[str, Any], prefix: str = "") -> Planned:
    """The run with these settings in a folder of `out`, whose name begins with `prefix`.

    Raises `SoftqError`, which names the run, for a bad value.
    """
    algorithm, preset = settings["algorithm"], settings.get("preset", "paper")
    given = {name: value for name, value in settings.items() if name not in NAMES}
    where = f"{algorithm} in {settings['env']}"
    try:
        algo, config = configured(algorithm, given | {"env": settings["env"]}, preset)
        algo = plain_algorithm(algo)
        env = known_env(config.env, json.dumps(config.env_kwargs, default=str))
        config = dataclasses.replace(config, env=env)
    except SoftqError as error:
        raise SoftqError(f"{where}: {error}") from None
    values = flat(config) | flat(algo)
    parts = [f"{name}={shown(values.get(name, varied[name]))}" for name in varied]
    name = prefix + "-".join([algorithm, shown(env), *parts])
    if len(name) > LONGEST:
        raise SoftqError(f"{where}: {name} is too long for a folder; vary fewer settings in one sweep.")
    return Planned(out / name, algo, config, preset, given)


ENVS: dict[tuple[str, str], str] = {}


def known_env(env: str, kwargs: str) -> str:
    """The id of `env` in its own spelling, found by making it. Raises `SoftqError` when it cannot be made."""
    if (env, kwargs) not in ENVS:
        one: Any = make(env, 1, 0, json.loads(kwargs))
        ENVS[env, kwargs] = getattr(one, "env_id", env)
        if hasattr(one, "close"):
            one.close()
    return ENVS[env, kwargs]


def shown(value: Any) -> str:
    """`value` in characters that a file name can have anywhere."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, dict):
        text = "+".join(f"{name}={shown(x)}" for name, x in value.items())
    elif isinstance(value, list | tuple):
        text = "x".join(map(shown, value))
    else:
        text = str(value)
    return re.sub(r"[^A-Za-z0-9._+=-]", "_", text)


def check_folders(runs: list[Planned]) -> None:
    """Raise `SoftqError` when two runs would share a folder, also where file names have no upper and lower case."""
    seen: dict[str, Planned] = {}
    for run in runs:
        other = seen.setdefault(run.name.lower(), run)
        if other is not run:
            same = "are the same run" if (other.algo, other.config) == (run.algo, run.config) else "differ"
            raise SoftqError(f"two runs would share the folder {run.folder}, and {same}; leave one out.")
