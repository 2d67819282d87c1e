"""The ratio of the times of two programs, which run in alternating rounds so that a busy machine disturbs both.

Reported are the medians over rounds, and the smallest and the largest ratio of a round.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from softq.experiments.speed.matmuls import Program, bare, flops

# what `show` calls a yardstick
LABELS = {
    "products": "bare products",
    "update": "the bare update",
    "plain": "a plain critic",
    "first": "the first time",
}


def compare(functions: dict[str, Callable[[], Any]], seconds: float, rounds: int) -> dict[str, list[float]]:
    """The time of a call of each function in each round, in seconds; all `rounds` take about `seconds` in all."""
    repeats = {}
    for name, function in functions.items():
        jax.block_until_ready(function())  # the first call compiles
        began = time.perf_counter()
        jax.block_until_ready(function())
        share = seconds / rounds / len(functions)
        repeats[name] = max(1, int(share / (time.perf_counter() - began)))
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            out = None
            began = time.perf_counter()
            for _ in range(repeats[name]):
                out = function()
            jax.block_until_ready(out)
            times[name].append((time.perf_counter() - began) / repeats[name])
    return times


def against(
    name: str, function: Callable[[], Any], base: str, other: Callable[[], Any], seconds: float, rounds: int
) -> dict:
    """The row `name` of a table, with the times of `function` and of the `other` one, which is called `base`."""
    return row(name, compare({"measured": function, base: other}, seconds, rounds), base)


def against_products(
    name: str, function: Callable, args: tuple, program: Program, seconds: float, rounds: int
) -> dict:
    """The row `name` of a table, with the times of `function(*args)` and of the products of `program`."""
    compiled, (products, given) = jax.jit(function), bare(program)
    made = against(name, lambda: compiled(*args), "products", lambda: products(*given), seconds, rounds)
    return made | {"gflop": flops(program) / 1e9}


def row(name: str, times: dict[str, list[float]], base: str) -> dict:
    """A row of a table: the median `times` in milliseconds, their ratio, and its range over rounds."""
    ratios = sorted(a / b for a, b in zip(times["measured"], times[base], strict=True))
    medians = {key: statistics.median(value) for key, value in times.items()}
    result: dict[str, Any] = {"name": name} | {f"{key}_ms": 1e3 * value for key, value in medians.items()}
    return result | {
        "ratio": medians["measured"] / medians[base],
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
    }


def show(rows: list[dict]) -> str:
    """The rows as text, one line each."""
    lines = []
    for r in rows:
        (base,) = (name[:-3] for name in r if name.endswith("_ms") and name != "measured_ms")
        lines.append(
            f"{r['name']}: {r['measured_ms']:.2f} ms, {LABELS.get(base, base)} {r[base + '_ms']:.2f} ms, "
            f"ratio {r['ratio']:.2f}"
            f" ({r['ratio_min']:.2f} to {r['ratio_max']:.2f} over rounds)"
        )
    return "\n".join(lines)
