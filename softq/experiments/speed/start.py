"""`softq bench start`: how long `softq train` takes up to its first updates, with an empty and with a filled cache."""

import sys
import tempfile
import time
from pathlib import Path

from softq.experiments.speed.peers import finished, option
from softq.experiments.speed.timing import row
from softq.training.compile_cache import OFF

# enough for every program to be compiled, and hardly anything to be trained
SHORT = {"preset": "small", "iterations": 10, "warmup": 16, "eval_episodes": 1, "buffer_size": 1000}


def start(
    methods: tuple[str, ...] = ("sac", "ddsq", "nclql"), env: str = "HalfCheetah-v5", rounds: int = 3
) -> list[dict]:
    """A whole `softq train` of ten updates and an evaluation, with its programs in the cache, beside the first one.

    Each round has a cache of its own, which the first training fills and the second one reads.
    """
    rows = []
    for method in methods:
        times: dict[str, list[float]] = {"first": [], "measured": []}
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                variables = {"XDG_CACHE_HOME": folder, "JAX_COMPILATION_CACHE_DIR": "", OFF: ""}
                for name, found in times.items():
                    settings = SHORT | {"env": env, "out": Path(folder) / name}
                    words = [word for pair in settings.items() for word in option(*pair)]
                    began = time.perf_counter()
                    finished([sys.executable, "-m", "softq", "train", method, *words], variables)
                    found.append(time.perf_counter() - began)
        rows.append(row(f"{method} {env}", times, "first"))
    return rows
