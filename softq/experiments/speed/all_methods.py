"""`softq bench all`: one update of every method beside its bare matrix products, at the sizes of two MuJoCo tasks.

A method has the settings of its paper and a batch of `batch` transitions of noise, since its time does not depend on
what the numbers are. The update that is measured is one in which everything is due: the actor and the targets of a
method that delays them, and a step of a temperature that learns.
"""

import math
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd
from tqdm.auto import tqdm

from softq.algorithms import ALGORITHMS, Algorithm, Transition, get
from softq.experiments.speed.matmuls import bare, flops, products_of
from softq.experiments.speed.timing import against
from softq.training import TrainConfig, preset_of
from softq.training.run_directory import versions
from softq.utils.atomic_files import atomic_write, csv_file
from softq.utils.checks import one_of
from softq.utils.flat_settings import built
from softq.utils.pytree import replace

# dimensions of the observations and of the actions
SIZES = {"HalfCheetah": (17, 6), "Humanoid": (348, 17)}


def update_row(
    algo: Algorithm, obs_dim: int, act_dim: int, batch: int, seconds: float, rounds: int
) -> dict[str, Any]:
    """The times of one update of `algo`, of its compilation, and of the matrix products that its own program makes."""
    key = jax.random.key(0)
    state = jax.jit(algo.init)(key, jnp.zeros(obs_dim), jnp.zeros(act_dim))
    state = replace(state, step=state.step + period(algo) - 1)
    obs = jax.random.normal(key, (batch, obs_dim))
    action = jax.random.uniform(key, (batch, act_dim), minval=-1.0)
    rows = Transition(obs, action, obs[:, 0], jnp.ones(batch), obs[::-1])
    function, args = jax.jit(lambda algo, *x: algo.update(*x)), (algo, state, rows, key)
    began = time.perf_counter()
    compiled = function.lower(*args).compile()
    took = time.perf_counter() - began
    program = products_of(function, *args)
    products, given = bare(program)
    pair = (lambda: compiled(*args)), (lambda: products(*given))
    made = against(f"update {type(algo).__name__}", pair[0], "products", pair[1], seconds, rounds)
    return made | {"gflop": flops(program) / 1e9, "compile_s": took}


def period(algo: Algorithm) -> int:
    """The number of updates after which everything is due at once, from the start."""
    every = 1 if algo.temperature is None else algo.temperature.every
    return math.lcm(int(algo.policy_delay), int(every))


def every_method(
    only: tuple[str, ...] = (),
    sizes: tuple[str, ...] = tuple(SIZES),
    preset: str = "paper",
    batch: int = 256,
    seconds: float = 10.0,
    rounds: int = 5,
    out: str = "",
) -> list[dict]:
    """One update of every method, or of those in `only`, beside the matrix products that its own program makes.

    Actor, targets and temperature are due in the update that is measured. With `--out` the times are also written as a
    table, with the device and the versions.
    """
    for size in sizes:
        one_of("size", size, SIZES)
    methods = {name: get(name) for name in only or ALGORITHMS}
    path = csv_file(out) if out else None
    cases = [(name, size) for name in methods for size in sizes]
    made, bar = [], tqdm(cases, unit="case", disable=len(cases) == 1)
    for name, size in bar:
        bar.set_description(f"{name} {size}")
        algo = built(methods[name], preset_of(methods[name], preset), TrainConfig)
        row = update_row(algo, *SIZES[size], batch, seconds, rounds)
        made.append(row | {"name": f"{name} {size}"})
    if path:
        write(made, path, {"preset": preset, "batch": batch})
    return made


def write(rows: list[dict], path: Path, settings: dict[str, Any]) -> None:
    """Write the rows of `every_method` to the CSV file `path`."""
    table = pd.DataFrame(rows)
    table[["algorithm", "size"]] = table.pop("name").str.split(" ", expand=True)
    found = versions()
    table = table.assign(
        **settings, device=found["device"], versions=f"softq={found['softq']} jax={found['jax']}"
    )
    table = table.assign(commit=found.get("commit", "unknown"))
    columns = ["algorithm", "size", *(x for x in table if x not in ("algorithm", "size"))]
    with atomic_write(path) as partial_file:
        table[columns].to_csv(partial_file, index=False, float_format="%.4g")
