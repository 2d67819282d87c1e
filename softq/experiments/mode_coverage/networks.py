"""Networks that were trained in the maze, rounded to half precision, for the lab of chapter 14.

`python -m softq.experiments.mode_coverage.networks FILE.npz` trains and writes them; `softq.lab.MazeLab.stored` reads
such a file. The rounded networks are those that the lab shows, in Python and in the page.
"""

from pathlib import Path
from typing import Any

import numpy as np

from softq.experiments.mode_coverage.ablations import Ablation
from softq.experiments.mode_coverage.count import trained
from softq.experiments.mode_coverage.tasks import TASKS
from softq.experiments.script import only_file, run
from softq.utils.atomic_files import atomic_write, out_file
from softq.utils.pytree import unstacked

# the trainings of each method, and in a file: the network that is kept, and of how many of them
SEEDS = 3
KEPT = {"malaq": ("critic", SEEDS), "sac": ("actor", 1), "ddpg": ("actor", 1)}


def networks_of(name: str, iterations: int | None = None) -> dict[str, np.ndarray]:
    """The arrays of the method `name` in the file, by "SEED/LAYER/PART". `iterations` shortens the training."""
    part, seeds = KEPT[name]
    _, states = trained(TASKS["maze"], Ablation(name), SEEDS, iterations)
    arrays: dict[str, np.ndarray] = {}
    for seed in range(seeds):
        state: Any = unstacked(states, seed)
        network = getattr(state, part).network
        for layer, weights in network.params.items():
            arrays |= {f"{seed}/{layer}/{k}": np.asarray(x, np.float16) for k, x in weights.items()}
    return arrays


def write(out: Path, **size: Any) -> None:
    """Write the file of all networks to `out`; `size` goes to `networks_of`."""
    arrays = {f"{name}/{key}": x for name in KEPT for key, x in networks_of(name, **size).items()}
    with atomic_write(out) as partial_file, partial_file.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def command(argv: list[str]) -> None:
    """Write the file that `argv` names. Raises `SoftqError` for bad input."""
    description = "Train the methods that the lab of chapter 14 shows, and write their networks."
    write(out_file(only_file(argv, "mode_coverage.networks", description, "FILE.npz"), ".npz"))


if __name__ == "__main__":
    run(command)
