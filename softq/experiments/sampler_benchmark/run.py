"""The benchmark: a row for each landscape, temperature, budget and sampler, and the command that writes the table."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from zlib import crc32

import jax
import numpy as np
import pandas as pd
from jax import Array
from tqdm.auto import tqdm

from softq import __version__
from softq.experiments.sampler_benchmark.problems import (
    DIMS,
    TEMPERATURE_LEVELS,
    BenchmarkProblem,
    names,
    problem,
)
from softq.experiments.sampler_benchmark.reference import Truth
from softq.experiments.sampler_benchmark.registry import REGISTRY, LandscapeInfo
from softq.landscapes import Formula
from softq.utils.atomic_files import atomic_write, csv_file
from softq.utils.cli_options import Parser
from softq.utils.errors import SoftqError, suggest

BUDGETS = {
    20: 4096,
    200: 2048,
    2000: 1024,
}  # by evaluations of Q for one action: the number of actions that are drawn
BATCH = 256  # number of actions that are drawn side by side
REFERENCE = "langevin"  # the sampler whose time is the unit of all times
EXACT = "exact"  # the name in the table of draws from the exact softmax, whose distances should be near the floors
VIEWS = ("tv_action", "tv_scalar", "tv_hills", "mean_q", "w1")
FLOORS = [f"{view}_floor" for view in VIEWS]
ROUND = ["landscape", "dim", "temperature_level", "budget"]
COLUMNS = [
    "landscape",
    "dim",
    "temperature_level",
    "temperature",
    "budget",
    "sampler",
    "setting",
    "values",
    "gradients",
]
COLUMNS += ["num_samples", "error", *VIEWS, "time_ratio", *FLOORS, "device", "versions"]
# columns that are equal for all samplers at one landscape, temperature and budget; the file has them once
REPEATED = [*FLOORS, "device", "versions"]


@cache
def program(
    sampler: str, dim: int, budget: int, num: int
) -> Callable[[Array, Formula, LandscapeInfo], Array]:
    """A compiled program for any landscape q, whose call with `(key, q, given)` returns `num` actions `(num, dim)`.

    It has the lowest of LLVM's levels of optimisation, which compiles faster and does not slow the samplers down.
    """

    def draw(key: Array, q: Formula, given: LandscapeInfo) -> Array:
        chosen = REGISTRY[sampler].sampler(budget, dim, given)
        one = lambda key: chosen(key, q, dim, given.temperature).action
        return jax.lax.map(one, jax.random.split(key, num), batch_size=min(BATCH, num))

    shapes = jax.random.key(0), *_arguments(dim)
    fast = jax.default_backend() != "cpu" or jax.config.read("jax_disable_most_optimizations")
    options = None if fast else {"xla_backend_optimization_level": 1}
    return jax.jit(draw).lower(*shapes).compile(options)


@cache
def _arguments(dim: int) -> tuple[Formula, LandscapeInfo]:
    """A landscape in `dim` dimensions and its `LandscapeInfo`; the arrays of all others have the same shapes."""
    one = problem(names(dim)[0], dim)
    return one.formula, one.info("hot")


def draws(sampler: str, one: BenchmarkProblem, level: str, budget: int, num: int) -> np.ndarray:
    """`num` independent actions `(num, dim)`, by a key that depends on the arguments alone."""
    key = jax.random.key(_seed(one.name, one.dim, level, sampler, budget))
    return np.asarray(program(sampler, one.dim, budget, num)(key, one.formula, one.info(level)))


def _seed(*label: object) -> int:
    return crc32(" ".join(map(str, label)).encode())


def contest(
    dims: Sequence[int] = (1, *DIMS),
    budgets: dict[int, int] | None = None,
    temperature_levels: Sequence[str] = tuple(TEMPERATURE_LEVELS),
    samplers: Sequence[str] = tuple(REGISTRY),
    landscapes: Sequence[str] | None = None,
    tick: Callable[[str], object] = lambda what: None,
) -> pd.DataFrame:
    """The table with the columns `COLUMNS` of the given part of the benchmark, by default of all of it.

    `landscapes` are the names of those to include. `Truth.compare` defines `error`. `time_ratio` is the processor time
    of an action over that of reflected Langevin, without compilation; both are medians over the landscapes and
    temperatures of a dimension, which run one program. `tick` is called with a line of text for each set of draws.
    Raises `SoftqError` for an unknown sampler, temperature level or landscape.
    """
    budgets = BUDGETS if budgets is None else budgets
    known = {name for dim in dims for name in names(dim)}
    for given, options in (
        (samplers, REGISTRY),
        (temperature_levels, TEMPERATURE_LEVELS),
        (landscapes or (), known),
    ):
        for name in given:
            if name not in options:
                raise SoftqError(f"the gallery has no '{name}'.{suggest(name, options)}")
    rows = []
    for dim in dims:
        _compile(dim, budgets, samplers, tick)
        chosen = (name for name in names(dim) if landscapes is None or name in landscapes)
        for one in (problem(name, dim) for name in chosen):
            for level in temperature_levels:
                truth = one.truth(level)
                for budget, num in budgets.items():
                    rows += _round(one, level, truth, budget, num, samplers, tick)
    versions = f"softq={__version__} jax={jax.__version__} numpy={np.__version__}"
    frame = pd.DataFrame(rows).assign(device=jax.devices()[0].device_kind, versions=versions)
    seconds = frame.groupby(["sampler", "dim", "budget"])["seconds"].transform("median")
    unit = (
        seconds.where(frame["sampler"] == REFERENCE)
        .groupby([frame["dim"], frame["budget"]])
        .transform("first")
    )
    frame["time_ratio"] = seconds / unit
    return frame.reindex(columns=COLUMNS).astype({"values": "Int64", "gradients": "Int64"})


def _affordable(dim: int, budgets: dict[int, int], samplers: Sequence[str]) -> list[tuple]:
    sets = ((name, dim, budget, num) for name, (budget, num) in product(samplers, budgets.items()))
    return [one for one in sets if REGISTRY[one[0]].plan(one[2], dim) is not None]


def _compile(dim: int, budgets: dict[int, int], samplers: Sequence[str], tick: Callable) -> None:
    """Compile the programs of all samplers in `dim` dimensions, on all cores at once."""
    program.cache_clear()
    tick(f"d = {dim}: compiling")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda one: program(*one), _affordable(dim, budgets, samplers)))


def _round(
    one: BenchmarkProblem,
    level: str,
    truth: Truth,
    budget: int,
    num: int,
    samplers: Sequence[str],
    tick: Callable,
) -> list[dict]:
    """The rows of the table of one landscape at one temperature and budget."""
    label = {
        "landscape": one.name,
        "dim": one.dim,
        "temperature_level": level,
        "temperature": one.temperature(level),
    }
    label |= {"budget": budget, "num_samples": num}
    exact = truth.sample(np.random.default_rng(_seed(one.name, one.dim, level, budget)), num)
    rows = [label | {"sampler": EXACT, "seconds": np.nan} | truth.compare(one.formula, exact)]
    for name, *_ in _affordable(one.dim, {budget: num}, samplers):
        began = time.process_time()
        actions = draws(name, one, level, budget, num)
        row = {"sampler": name, "seconds": time.process_time() - began}
        entry = REGISTRY[name]
        row["setting"] = entry.setting(budget, one.dim)
        rows.append(
            label | row | entry.calls(one.dim, budget)._asdict() | truth.compare(one.formula, actions)
        )
        tick(f"{one.name}, d = {one.dim}")
    return rows


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table of `contest` to a CSV file with three digits, the columns `REPEATED` in rows of exact draws only.

    `report.read` fills these columns in again.
    """
    lean = table.assign(**{name: table[name].where(table["sampler"] == EXACT) for name in REPEATED})
    lean.to_csv(path, index=False, float_format="%.3g")


QUICK = {"dims": (1,), "budgets": {20: 2000}, "temperature_levels": ("medium",), "landscapes": ("twomode1",)}
QUICK["samplers"] = ("uniform", "snis", "isir", "langevin", "mala", "svgd")


def command(argv: list[str]) -> int:
    """Run `softq gallery` with the words `argv` and return its exit code. Raises `SoftqError` for bad input."""
    parser = Parser(
        prog="softq gallery",
        description="Every sampler on every landscape at equal budget, measured against the exact softmax.",
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE.csv", help="file for the table, which is written at the end"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="run six samplers on one landscape at one temperature and budget only",
    )
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    options = parser.parse(argv)
    path, chosen = csv_file(options.out), QUICK if options.quick else {}
    with tqdm(total=_size(**chosen), unit="draws", disable=options.no_progress, dynamic_ncols=True) as bar:

        def tick(what: str) -> None:
            bar.set_postfix_str(what, refresh=False)
            bar.update(not what.endswith("compiling"))

        table = contest(tick=tick, **chosen)
    with atomic_write(path) as partial_path:
        write(table, partial_path)
    print(f"{path}: {len(table)} rows")
    return 0


def _size(
    dims=(1, *DIMS),
    budgets=BUDGETS,
    temperature_levels=TEMPERATURE_LEVELS,
    landscapes=None,
    samplers=REGISTRY,
) -> int:
    """The number of sets of draws that `contest` makes with these arguments."""
    count = lambda dim: sum(landscapes is None or name in landscapes for name in names(dim))
    return sum(
        len(temperature_levels) * count(dim) * len(_affordable(dim, budgets, samplers)) for dim in dims
    )
