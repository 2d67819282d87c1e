"""What may change between a checkpoint of a run and its continuation: settings, and the versions of what it runs on."""

import jax

from softq.algorithms import Algorithm
from softq.training.run_directory import RunDirectory, described, parsed, versions
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import settings_of

Changes = dict[str, list]  # [old, new] by name

# the settings of a training that may change: they decide neither what is in a checkpoint nor how long the warm-up is
FREE = {"iterations", "batch_size", "eval_every", "eval_episodes", "log_every", "checkpoint_every"}
FREE |= {"keep_best", "patience", "min_change", "tracker", "precision"}
# the versions on which rounding and random numbers depend, and those on which an environment of Gymnasium does
NUMERIC, PHYSICS = ("jax", "flax", "optax", "device", "backend", "machine"), ("gymnasium", "mujoco")


def free_settings(algo: Algorithm) -> set[str]:
    """The names of the settings that may change: of an algorithm its numbers, which decide no shape."""
    leaves = jax.tree_util.tree_leaves_with_path(algo, is_leaf=lambda x: x is None)
    paths = {tuple(key.name for key in path) for path, _ in leaves}
    return FREE | {name for name, setting in settings_of(type(algo)).items() if setting.path in paths}


def fixed(name: str) -> str:
    """Why a setting cannot change, and what to do instead."""
    return (
        f"what a run has learned and stored depends on {name}. A new run can start from its learner where the shapes "
        "agree: softq train ALGORITHM --init-from DIR."
    )


def settings_changed(run: RunDirectory, before: dict | None, now: dict, algo: Algorithm) -> Changes:
    """The settings that config.json's content `now` has changed; `before` is its content at the checkpoint.

    Raises `SoftqError` for one that may not change.
    """
    if not before:
        return {}
    # with the names of today, and with the settings that have come since
    before = run.fitting(lambda content: described(*parsed(content)), before)
    changes: Changes = {}
    for part in ("train", "algorithm"):
        for name, new in now[part].items():
            if (old := before[part].get(name)) == new:
                continue
            if name not in free_settings(algo):
                raise SoftqError(
                    f"{run.folder / 'config.json'} says {name} {new}, but the run was trained with {old}; put that "
                    f"back: {fixed(name)}"
                )
            changes[name] = [old, new]
    return changes


def versions_changed(before: dict, jax_env: bool) -> Changes:
    """The versions, and the device, that differ now from those `before` and on which the numbers of a run depend.

    `jax_env` means that they do not depend on those of Gymnasium and MuJoCo.
    """
    now, names = versions(), (*NUMERIC, *(() if jax_env else PHYSICS))
    return {name: [before[name], now[name]] for name in names if before.get(name, now[name]) != now[name]}


def told(changes: Changes) -> str:
    """The changes in words."""
    return ", ".join(f"{name} {old} -> {new}" for name, (old, new) in changes.items())
