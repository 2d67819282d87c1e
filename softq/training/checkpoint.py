"""Checkpoints of a run with its learner, replay, environments and counters, each written by Orbax as a whole."""

import contextlib
import json
import logging
import shutil
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from softq.training.run_directory import writer
from softq.utils.atomic_files import write_json
from softq.utils.errors import SoftqError, SoftqWarning

KEEP = 2  # checkpoints to keep: the newest, and the one before it in case the newest cannot be read

# errors that these packages log with a traceback are raised as well, and reported by softq
for name in ("absl", "orbax"):
    logging.getLogger(name).setLevel(logging.CRITICAL)


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of `tree` that are not empty, as NumPy arrays, by their number in order."""
    leaves = enumerate(jax.tree.leaves(tree))
    return {f"{i:04d}": np.asarray(leaf) for i, leaf in leaves if np.size(leaf)}


def names(tree: Any) -> list[list]:
    """The path, shape and type of each leaf of `tree`; a checkpoint can be read into a tree with the same ones."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [[jax.tree_util.keystr(path), list(np.shape(x)), np.dtype(x.dtype).name] for path, x in leaves]


class Checkpoints:
    """The checkpoints in one folder, by training step, of which the newest `keep` stay.

    Each holds trees of arrays by name, for a run the `learner` and the `rest` of the loop, and `meta`, a dictionary for
    JSON. What is read is the newest checkpoint that can be read; a damaged newer one is named in a warning.
    """

    def __init__(self, folder: Path, keep: int = KEEP):
        self.folder, self.keep = folder, keep
        options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
        self.manager = ocp.CheckpointManager(folder.absolute(), options=options)
        self.metas: dict[int, dict] = {}  # of the checkpoints that were found to be readable

    @property
    def latest(self) -> int | None:
        """The step of the newest complete checkpoint, or None when there is none."""
        return self.manager.latest_step()

    @property
    def readable(self) -> int:
        """The step of the newest checkpoint that can be read.

        Gives a `SoftqWarning` for each newer one. Raises `SoftqError` when there is none. A checkpoint is complete once
        its checksums are there, which are written last; one without them counts only where no other has any.
        """
        reason, steps = "", self.manager.all_steps()
        complete = [step for step in steps if self._sums(step).exists()]
        for step in sorted(complete or steps, reverse=True):
            try:
                self.metas[step] = self.metas.get(step) or self._checked(step)
                return step
            except (ValueError, KeyError, OSError, TypeError) as error:
                reason = " ".join(str(error).split())[:160].rstrip(".")
                warnings.warn(
                    f"checkpoint {self.folder / str(step)} cannot be read ({reason}); the one before it is next.",
                    SoftqWarning,
                    stacklevel=2,
                )
        what = f"no checkpoint that can be read ({reason})" if reason else "no complete checkpoint"
        raise SoftqError(f"{self.folder} holds {what}; train again with another --out.")

    def _checked(self, step: int) -> dict:
        """The dictionary `meta` of a checkpoint, after its files were compared with their checksums."""
        folder, sums = self.folder / str(step), self._sums(step)
        if sums.exists() and json.loads(sums.read_text()) != checksums(folder):
            raise ValueError("its files are not as they were written")
        meta = self.manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
        if not isinstance(meta, dict) or "names" not in meta:
            raise ValueError("its part meta is missing")
        return meta

    def _sums(self, step: int) -> Path:
        """The file with the checksums of a checkpoint."""
        return self.folder / f"{step}.sums.json"

    def mend(self) -> None:
        """Clear the way for further checkpoints, after a process that was killed and after damage to the files.

        Checkpoints that are newer than the newest one that can be read are renamed STEP.damaged; those that were not
        written to their end are removed. Raises `SoftqError` when no checkpoint can be read.
        """
        if self.latest is not None:
            self.drop_after(self.readable, keep_as="damaged")
        for half in [*self.folder.glob("*orbax-checkpoint-tmp*"), *self.folder.glob(".*.sums.json.*")]:
            shutil.rmtree(half, ignore_errors=True)
            half.unlink(missing_ok=True)
        for sums in self.folder.glob("*.sums.json"):
            if int(sums.name.split(".")[0]) not in self.manager.all_steps():
                sums.unlink()

    def drop_after(self, step: int, keep_as: str = "") -> None:
        """Remove the checkpoints of later steps than this one, or rename them STEP.`keep_as` if they are complete."""
        for later in [x for x in self.manager.all_steps() if x > step]:
            folder, aside = self.folder / str(later), self.folder / f"{later}.{keep_as}"
            if keep_as and self._sums(later).exists():
                shutil.rmtree(aside, ignore_errors=True)  # of an earlier time
                folder.rename(aside)
            else:
                shutil.rmtree(folder)
            self._sums(later).unlink(missing_ok=True)
            self.metas.pop(later, None)
        self.manager.reload()

    def save(self, step: int, meta: dict, **trees: Any) -> None:
        """Write a checkpoint of this step; when the newest one has the same step, nothing is written.

        Raises `SoftqError` when it cannot be written, on a full disk for example; earlier checkpoints stay.
        """
        if step == self.latest:
            return
        try:
            with quiet_writers():
                self._write(step, meta, trees)
        except (OSError, ValueError, RuntimeError) as error:
            for half in self.folder.glob("*orbax-checkpoint-tmp*"):
                shutil.rmtree(half, ignore_errors=True)
            reason = " ".join(str(error).split())[:160].rstrip(".")
            raise SoftqError(
                f"a checkpoint cannot be written to {self.folder} ({reason}); free room there, then continue "
                f"with softq train --resume {self.folder.parent}."
            ) from error

    def _write(self, step: int, meta: dict, trees: dict) -> None:
        meta = meta | {"names": {item: names(tree) for item, tree in trees.items()}}
        items: dict[str, Any] = {item: ocp.args.StandardSave(flatten(tree)) for item, tree in trees.items()}
        items["meta"] = ocp.args.JsonSave(meta)
        self.manager.save(step, args=ocp.args.Composite(**items))
        self.manager.wait_until_finished()
        write_json(self._sums(step), checksums(self.folder / str(step)))
        for old in sorted(self.manager.all_steps())[: -self.keep]:  # only now, as this one is complete
            self._sums(old).unlink(missing_ok=True)
            self.manager.delete(old)

    def meta(self) -> dict:
        """The dictionary `meta` of the newest readable checkpoint. Raises `SoftqError` when there is none."""
        return self.metas[self.readable]

    def rows(self, path: str) -> int | None:
        """Length of the second axis of the array of `rest` whose path ends with `path`; its first axis is the seeds.

        None when there is no such array with two axes.
        """
        shapes = (shape for name, shape, _ in self.meta()["names"]["rest"] if name.endswith(path))
        return next((shape[1] for shape in shapes if len(shape) > 1), None)

    def restore(self, **templates: Any) -> list[Any]:
        """Items of the newest readable checkpoint: `restore(learner=tree, rest=tree)` is a tree of arrays for each.

        A template has the structure, shapes and types of its item. Raises `SoftqError` when there is no checkpoint,
        when it cannot be read, or when it was made with other shapes or by an earlier softq.
        """
        meta = self.meta()
        written, earlier = meta["names"], writer(meta.get("config", {}))
        for item, tree in templates.items():
            if written[item] != names(tree):
                if earlier:
                    raise SoftqError(
                        f"{self.folder} was written by {earlier} and holds another learner than this softq trains; "
                        "load it with that version."
                    )
                old, new = (next(iter(x), ["nothing"]) for x in different(written[item], names(tree)))
                raise SoftqError(
                    f"{self.folder} does not fit config.json ({old} there, {new} here); put config.json back "
                    "as it was written, or use the softq named in versions.json."
                )
        blank = {
            item: ocp.args.StandardRestore({k: np.empty(x.shape, x.dtype) for k, x in abstract(tree).items()})
            for item, tree in templates.items()
        }
        found = self._read(blank)
        return [refill(tree, found[item]) for item, tree in templates.items()]

    def _read(self, items: dict) -> Any:
        try:
            return self.manager.restore(self.readable, args=ocp.args.Composite(**items))
        except (ValueError, KeyError, OSError, TypeError) as error:
            if isinstance(error, SoftqError):
                raise
            reason = " ".join(str(error).split())[:160]
            raise SoftqError(
                f"checkpoint {self.folder / str(self.readable)} cannot be read ({reason}); delete that folder to "
                "fall back on the one before."
            ) from None


@contextlib.contextmanager
def quiet_writers() -> Iterator[None]:
    """Silence Orbax's writers after one of them has failed in this context.

    The other writers report to an event loop that is closed by then, and each would print a traceback, by
    `sys.unraisablehook`, `sys.excepthook` or the log of asyncio, until the process ends.
    """
    log, closed = logging.getLogger("asyncio"), "Event loop is closed"
    unraisable, uncaught, level = sys.unraisablehook, sys.excepthook, log.level
    sys.unraisablehook = lambda report: None if str(report.exc_value) == closed else unraisable(report)
    sys.excepthook = lambda kind, error, where: None if str(error) == closed else uncaught(kind, error, where)
    log.setLevel(logging.CRITICAL)
    yield
    sys.unraisablehook, sys.excepthook = unraisable, uncaught  # only when no error was raised in the context
    log.setLevel(level)


def checksums(folder: Path) -> dict[str, int]:
    """The CRC-32 of every file in `folder` and its subfolders, by relative path."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        crc = 0
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                crc = zlib.crc32(block, crc)
        found[str(path.relative_to(folder))] = crc
    return found


def different(a: list, b: list) -> tuple[list, list]:
    """`(only_a, only_b)`: the items of `a` that are not in `b`, and those of `b` that are not in `a`."""
    return [x for x in a if x not in b], [x for x in b if x not in a]


def abstract(tree: Any) -> dict[str, Any]:
    """The leaves of `tree` that `flatten` keeps, as they are: arrays, or shapes with types."""
    leaves = enumerate(jax.tree.leaves(tree))
    return {f"{i:04d}": leaf for i, leaf in leaves if np.prod(leaf.shape)}


def refill(tree: Any, leaves: dict[str, np.ndarray]) -> Any:
    """`tree` with the values in `leaves`, which are keyed as `flatten` keys them; empty leaves stay empty."""
    old, structure = jax.tree.flatten(tree)
    new = [leaves.get(f"{i:04d}", np.zeros(x.shape, x.dtype)) for i, x in enumerate(old)]
    return jax.tree.unflatten(structure, new)
