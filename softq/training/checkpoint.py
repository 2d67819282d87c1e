"""Checkpoints of a whole run: learner, replay, environments, counters. Orbax writes each one whole or not at
all.
"""

import contextlib
import json
import logging
import shutil
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from softq.training.run_directory import writer
from softq.utils.atomic_files import write_json
from softq.utils.errors import SoftqError

KEEP = 2  # the last one, and the one before should a disk fail

for name in ("absl", "orbax"):  # what they log as an error, with a traceback, is raised here too
    logging.getLogger(name).setLevel(logging.CRITICAL)


def flatten(tree: Any) -> dict[str, np.ndarray]:
    """The non-empty leaves of `tree` in order, as NumPy arrays."""
    leaves = enumerate(jax.tree.leaves(tree))
    return {f"{i:04d}": np.asarray(leaf) for i, leaf in leaves if np.size(leaf)}


def names(tree: Any) -> list[list]:
    """Where each leaf of `tree` is, with its shape and type: what a checkpoint must agree on."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [[jax.tree_util.keystr(path), list(np.shape(x)), np.dtype(x.dtype).name] for path, x in leaves]


class Checkpoints:
    """The checkpoints of one run directory, by step. Each holds a `learner`, the `rest` of the loop, and
    `meta`.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        options = ocp.CheckpointManagerOptions(max_to_keep=KEEP, enable_async_checkpointing=False)
        self.manager = ocp.CheckpointManager(folder.absolute(), options=options)

    @property
    def latest(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return self.manager.latest_step()

    def save(self, step: int, learner: Any, rest: Any, meta: dict) -> None:
        """Write a checkpoint; one of the same step is kept, for it is the same.

        Raises `SoftqError` when it cannot be written, on a full disk for example; the ones before stay.
        """
        if step == self.latest:
            return
        try:
            with quiet_writers():
                self._write(step, learner, rest, meta)
        except (OSError, ValueError, RuntimeError) as error:
            for half in self.folder.glob("*orbax-checkpoint-tmp*"):
                shutil.rmtree(half, ignore_errors=True)
            reason = " ".join(str(error).split())[:160].rstrip(".")
            raise SoftqError(
                f"a checkpoint cannot be written to {self.folder} ({reason}); free room there, then continue "
                f"with softq train --resume {self.folder.parent}."
            ) from error

    def _write(self, step: int, learner: Any, rest: Any, meta: dict) -> None:
        meta = meta | {"names": {"learner": names(learner), "rest": names(rest)}}
        items = {
            "learner": ocp.args.StandardSave(flatten(learner)),
            "rest": ocp.args.StandardSave(flatten(rest)),
            "meta": ocp.args.JsonSave(meta),
        }
        self.manager.save(step, args=ocp.args.Composite(**items))
        self.manager.wait_until_finished()
        for old in self.folder.glob("*.sums.json"):
            if int(old.name.split(".")[0]) not in self.manager.all_steps():
                old.unlink()
        write_json(self.folder / f"{step}.sums.json", checksums(self.folder / str(step)))

    def meta(self) -> dict:
        """Counters and positions of the newest checkpoint."""
        return self._read({"meta": ocp.args.JsonRestore()})["meta"]

    def rows(self, path: str) -> int | None:
        """Length of the second axis, after that of the seeds, of the array of `rest` whose path ends so."""
        shapes = (shape for name, shape, _ in self.meta()["names"]["rest"] if name.endswith(path))
        return next((shape[1] for shape in shapes if len(shape) > 1), None)

    def restore(self, **templates: Any) -> list[Any]:
        """`restore(learner=tree, rest=tree)`: the newest leaves in the shape of the templates, as NumPy
        arrays.

        Raises `SoftqError` when there is no checkpoint, it cannot be read, or it was made for other shapes or by an
        earlier softq.
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
        if self.latest is None:
            raise SoftqError(f"{self.folder} holds no complete checkpoint; train again with another --out.")
        folder, sums = self.folder / str(self.latest), self.folder / f"{self.latest}.sums.json"
        try:
            if sums.exists() and json.loads(sums.read_text()) != checksums(folder):
                raise ValueError("its files are not as they were written")
            return self.manager.restore(self.latest, args=ocp.args.Composite(**items))
        except (ValueError, KeyError, OSError, TypeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise SoftqError(
                f"checkpoint {folder} cannot be read ({reason}); delete that folder to fall back on the "
                "one before."
            ) from None


@contextlib.contextmanager
def quiet_writers() -> Iterator[None]:
    """After an error, what the other writers still report to Orbax's event loop, which is closed by then, is dropped.

    Each would print a traceback of its own, by `sys.unraisablehook` or the log of asyncio, until the process ends.
    """
    log = logging.getLogger("asyncio")
    before, level = sys.unraisablehook, log.level

    def hook(report: Any) -> None:
        if str(report.exc_value) != "Event loop is closed":
            before(report)

    sys.unraisablehook = hook
    log.setLevel(logging.CRITICAL)
    yield
    sys.unraisablehook = before  # not after an error
    log.setLevel(level)


def checksums(folder: Path) -> dict[str, int]:
    """CRC-32 of every file in `folder`, by relative path."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        crc = 0
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                crc = zlib.crc32(block, crc)
        found[str(path.relative_to(folder))] = crc
    return found


def different(a: list, b: list) -> tuple[list, list]:
    """What only `a` holds, and what only `b` holds."""
    return [x for x in a if x not in b], [x for x in b if x not in a]


def abstract(tree: Any) -> dict[str, Any]:
    """The leaves that `flatten` would keep, without their values."""
    leaves = enumerate(jax.tree.leaves(tree))
    return {f"{i:04d}": leaf for i, leaf in leaves if np.prod(leaf.shape)}


def refill(tree: Any, leaves: dict[str, np.ndarray]) -> Any:
    """`tree` with the values of `leaves`; its empty leaves stay empty."""
    old, structure = jax.tree.flatten(tree)
    new = [leaves.get(f"{i:04d}", np.zeros(x.shape, x.dtype)) for i, x in enumerate(old)]
    return jax.tree.unflatten(structure, new)
