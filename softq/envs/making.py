"""Making Gymnasium environments by name, and checking that softq can use them; an error is one line with its remedy."""

import contextlib
import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np

from softq.envs.adapter import Adapter, kind_of, one_line, unusable
from softq.envs.gym_ids import REGISTERED
from softq.envs.gym_snapshot import reached
from softq.envs.many import Forecast
from softq.envs.parts import layers
from softq.utils.errors import SoftqError, suggest

# ids of softq's extras: how the id begins, the extra, and the module whose import registers it
EXTRAS = [("dmc/", "dmc", "softq.envs.dmc"), ("softq/PointMaze", "robotics", "softq.envs.point_maze")]
EXTRAS += [("envpool/", "envpool", "envpool")]
EXTRAS += [
    (name, "robotics", "gymnasium_robotics")
    for name in ("PointMaze", "AntMaze", "Fetch", "Hand", "Adroit", "FrankaKitchen", "Maze")
]
OWN = "under an id of your own (the book's page on environments shows how)"
# names of attributes by which an object that keeps running statistics is recognised: a mean, a spread, a count
STATISTICS = ({"mean"}, {"var", "std", "M2", "S", "variance"}, {"count", "n", "num"})


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Python's warnings and MuJoCo's messages, which address the authors of environments, in this context."""
    printer = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        mujoco.set_mju_user_warning(printer)


def imported(module: str, env_id: str) -> Any:
    """The `module` that the extra of `env_id` brings.

    Raises `SoftqError` that names the extra of softq to install when a package is missing.
    """
    try:
        # Gymnasium-Robotics prints a note about some of its environments whenever it is imported
        with quiet(), contextlib.redirect_stderr(io.StringIO()):
            return importlib.import_module(module)
    except ImportError as error:
        extra = next(extra for start, extra, _ in EXTRAS if env_id.startswith(start))
        raise SoftqError(
            f'{env_id} needs an extra that is not installed; pip install "softq[{extra}]" ({one_line(error)}).'
        ) from None


def register_extra(env_id: str) -> None:
    """Import the module that registers `env_id`, if it is one of `EXTRAS`; raises `SoftqError` as `imported` does."""
    for start, _, module in EXTRAS:
        if env_id.startswith(start) and env_id not in gym.registry:
            gym.register_envs(imported(module, env_id))
            return


def import_own(module: str) -> None:
    """Import `module`, which registers the environment `module:Id`; it is looked for in the working directory too.

    Raises `SoftqError` when there is no such module, or when its import fails.
    """
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise SoftqError(f"{module}.py cannot be imported: {one_line(error)}.") from error
        raise SoftqError(
            f"there is no module {error.name!r}: neither in the working directory nor on PYTHONPATH; run softq in "
            f"the folder that holds {error.name}.py."
        ) from error
    except Exception as error:
        raise SoftqError(f"the module {module!r} cannot be imported: {kind_of(error)}.") from error


def unknown(env_id: str) -> SoftqError:
    """The error for an `env_id` that is not registered with Gymnasium, with the nearest id that is."""
    module, _, name = env_id.rpartition(":")
    if module:
        return SoftqError(f"the module {module!r} registers no {name!r}.{suggest(name, gym.registry)}")
    hint = suggest(env_id, [*gym.registry, *REGISTERED])
    return SoftqError(
        f"unknown environment {env_id!r}.{hint} See `softq list`; one of your own is named module:Id."
    )


def newer(env_id: str) -> str:
    """The end of an error message that names the newest version of `env_id`; empty when `env_id` is the newest."""
    name, _, version = env_id.rpartition("-v")
    if not version.isdigit() or not name:
        return ""
    found = [int(other[len(name) + 2 :]) for other in gym.registry if other.rpartition("-v")[0] == name]
    newest = max(found, default=0)
    return f" Did you mean '{name}-v{newest}'?" if newest > int(version) else ""


def make_one(env_id: str, index: int, kwargs: Mapping[str, Any]) -> Adapter:
    """Make environment number `index` of a vector of `env_id`, with `kwargs` for `gymnasium.make`.

    Raises `SoftqError` when it cannot be made, or when softq cannot use its spaces or its running statistics.
    """
    env = None
    try:
        with quiet():
            env = gym.make(env_id, disable_env_checker=True, **kwargs)
        check_spaces(env_id, env.observation_space, env.action_space)
        if index == 0:
            check_statistics(env_id, env)
        return Adapter(env, env_id, index)
    except gym.error.UnregisteredEnv as error:
        raise unknown(env_id) from error
    except gym.error.DependencyNotInstalled as error:
        raise SoftqError(f"{env_id} needs a package that is not installed: {one_line(error)}.") from error
    except Exception as error:
        if env is not None:
            with contextlib.suppress(Exception):  # the first error is the one to report
                env.close()
        if isinstance(error, SoftqError):
            raise
        raise SoftqError(f"{env_id} cannot be made: {kind_of(error)}.{newer(env_id)}") from error


def make_all(env_id: str, num: int, kwargs: Mapping[str, Any]) -> list[Adapter]:
    """Make `num` environments of `env_id`, with `kwargs` for `gymnasium.make`.

    Raises `SoftqError` when one cannot be made, or when two have different spaces; those made before are then closed.
    """
    register_extra(env_id)
    if ":" in env_id:
        import_own(env_id.rpartition(":")[0])
    made: list[Adapter] = []
    forecast = Forecast(env_id, num)
    try:
        for index in range(num):
            made.append(make_one(env_id, index, kwargs))
            if made[-1].action_space != made[0].action_space:
                raise SoftqError(f"{env_id} has another action space each time that it is made.")
            if made[-1].observation_space != made[0].observation_space:
                raise SoftqError(f"{env_id} has another observation space each time that it is made.")
            forecast(len(made))
    except BaseException:
        close_all(made)
        raise
    return made


def close_all(envs: list[Adapter]) -> None:
    """Close every environment; an exception while one is closed is ignored, and the others are closed all the same."""
    for env in envs:
        with contextlib.suppress(Exception):
            env.close()


def check_spaces(env_id: str, observation: gym.Space, action: gym.Space) -> None:
    """Raise `SoftqError` unless softq can use the spaces of `env_id`.

    It needs a fixed number of observed numbers, one at least, and one or more real actions with finite bounds.
    """
    if not isinstance(action, gym.spaces.Box) or not np.issubdtype(action.dtype, np.floating):
        raise SoftqError(
            f"{env_id} has the action space {one_line(action)}; softq needs real actions in a bounded Box. "
            "Choose a continuous task such as InvertedPendulum-v5."
        )
    if not np.prod(action.shape):
        raise SoftqError(f"{env_id} has the action space {one_line(action)}, which has no dimension.")
    if not (np.isfinite(action.low).all() and np.isfinite(action.high).all()):
        raise SoftqError(
            f"{env_id} has an unbounded action space ({one_line(action)}); softq needs finite bounds. "
            f"Declare them with the wrapper softq.envs.BoundActions(env, low, high) {OWN}."
        )
    if not (action.low <= action.high).all():
        raise SoftqError(f"{env_id} has an empty action space: some lower bound is above the upper one.")
    if part := unusable(observation):
        raise SoftqError(
            f"{env_id} has {part} observations; softq needs numbers, and as many each time: Box, Discrete, "
            f"MultiBinary, MultiDiscrete, or Dict and Tuple of them. Wrap it {OWN}."
        )
    if not gym.spaces.flatdim(observation):
        raise SoftqError(f"{env_id} has observations of no numbers; let it observe at least a constant.")


def check_statistics(env_id: str, env: gym.Env) -> None:
    """Raise `SoftqError` when `env` normalises by running statistics of what it has seen.

    Two copies of such an environment would show different observations or rewards for the same state.
    """
    frozen = [layer for layer in layers(env) if getattr(layer, "_update_running_mean", True) is False]
    exempt = {id(value) for layer in frozen for value in (layer, *vars(layer).values())}
    for value in reached(env):
        if is_running(value) and id(value) not in exempt:
            raise SoftqError(
                f"{env_id} normalises by running statistics ({holder(env, value)}), which differ from one copy of "
                "an environment to the next, so that evaluation would see other numbers than training. Scale by "
                "fixed numbers instead, with gymnasium.wrappers.TransformObservation or TransformReward."
            )


def is_running(value: Any) -> bool:
    """Whether `value` keeps a running mean, spread and count, as Gymnasium's RunningMeanStd does."""
    if any("RunningMeanStd" in cls.__name__ for cls in type(value).__mro__):
        return True
    names = {name.strip("_").removeprefix("running_") for name in getattr(value, "__dict__", {})}
    learns = isinstance(value, gym.Wrapper) or any(hasattr(value, name) for name in ("update", "push", "add"))
    return learns and all(names & kind for kind in STATISTICS)


def holder(env: gym.Env, value: Any) -> str:
    """The class name of the wrapper of `env` that has `value` as an attribute, or else of `value` itself."""
    holding = (layer for layer in layers(env) if any(x is value for x in vars(layer).values()))
    return type(value if isinstance(value, gym.Env) else next(holding, value)).__name__
