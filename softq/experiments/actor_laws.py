"""The law that each method really reaches when its critic is exact: a known landscape in a single state.

`python -m softq.experiments.actor_laws results/actor-laws.csv --draws results/actor-draws.csv` trains every method's
actor on the landscape, which grows from zero to its full height in half of the updates, and compares draws of
`Algorithm.policy`, the policy of the Bellman target, with the exact softmax. A method without an actor samples the
landscape at once. MEow's flow, which is critic and policy, is fitted to the landscape; the critics of NC-LQL and ACA
know it blurred by the noise of each level. What a method adds to its actions when it gathers data counts where its
target has it too (DACER, SDAC, DPMD, ACA).

Where a temperature divides Q in the law that a method aims at, it is held at 0.1 in the unit of Q, at which the exact
softmax is taken. Elsewhere it is that of the preset, with the method's own rule.
"""

import argparse
from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import Array

from softq import landscapes
from softq.algorithms import ACA, ALGORITHMS, DPMD, NCLQL, Algorithm, State, get
from softq.diffusion import CosineVP
from softq.exact.boltzmann import Boltzmann
from softq.exact.modes import modes
from softq.exact.values import evaluate
from softq.experiments.exact_critic import Levels, fit
from softq.experiments.growing_table import append, has_rows
from softq.experiments.script import run
from softq.landscapes import Landscape
from softq.training import TrainConfig, preset_of
from softq.utils.atomic_files import csv_file
from softq.utils.checks import one_of
from softq.utils.cli_options import Parser, int_option
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import built
from softq.utils.pytree import unstacked

TEMPERATURE = 0.1  # of the exact softmax with which the laws are compared, in units of Q
GROWTH = 0.5  # share of the updates in which the landscape grows
BATCH, DRAWS, KEPT_DRAWS = 32, 20_000, 400
OBS = jnp.ones(1)  # the one state, as in `fit`
LAWS = ["method", "setting", "landscape", "seed", "temperature", "updates"]
LAWS += ["tv", "tv_floor", "mean_q", "exact_mean_q", "least_hill", "largest_hill"]


@dataclass(frozen=True)
class Case:
    """A landscape, the cells along a coordinate by which laws are compared, and the number of its high hills."""

    landscape: str
    bins: int
    hills: int


CASES = {case.landscape: case for case in (Case("twomode1", 40, 2), Case("bandit", 20, 4))}

ORDER = {"method": ALGORITHMS, "landscape": CASES}  # of the rows of a file


def settled(name: str, preset: str, truth: Boltzmann) -> Algorithm:
    """The method called `name` with the settings of `preset`, at the temperature of `truth` if one divides Q.

    DDSQ measures its temperature in standard deviations of Q over uniform actions, which are known here. That of DPMD
    is the size of a step, and those with the unit of an action divide nothing. Raises `SoftqError` for an unknown name
    or preset.
    """
    cls = get(name)
    made = lambda given: built(cls, given, TrainConfig)
    given = preset_of(cls, preset)
    unit = made(given).temperature_unit
    if unit in ("action", None) or cls is DPMD:
        return made(given)
    values = evaluate(truth.q, truth.nodes)
    mean, square = (np.average(x, weights=truth.weights) for x in (values, values**2))
    number = {"Q": 1.0, "Q / 2": 2.0, "std of Q": 1 / np.sqrt(square - mean**2)}[unit]
    return made(given | {"temperature": truth.temperature * number, "temperature_rule": "fixed"})


def noise_levels(algo: Algorithm) -> Levels | None:
    """The noise levels that the critic of `algo` knows; None for a critic that knows none."""
    if isinstance(algo, NCLQL):
        return jnp.ones(algo.num_levels), algo.levels()
    if isinstance(algo, ACA):
        times = algo.times()[:-1]
        return CosineVP().signal(times), CosineVP().noise(times)
    return None


def trained(algo: Algorithm, landscape: Landscape, seeds: int, updates: int, num: int) -> tuple[State, Array]:
    """States of `algo` after `updates`, with a leading axis of length `seeds`, and draws of each `(seeds, num, d)`."""

    def one(seed: Array) -> tuple[State, Array]:
        learn, act = jax.random.split(jax.random.key(seed))
        state = fit(algo, landscape, learn, updates, BATCH, GROWTH, noise_levels(algo))
        draw = lambda key: algo.policy(state, OBS, key)
        return state, jax.lax.map(draw, jax.random.split(act, num), batch_size=min(num, 1000))

    return jax.jit(jax.vmap(one))(jnp.arange(seeds))


@cache
def tops_of(landscape: str) -> np.ndarray:
    """The tops of a landscape's hills, `(n, d)`, the high ones first."""
    return np.array([mode.action for mode in modes(Boltzmann(landscapes.get(landscape), TEMPERATURE), 0.05)])


def measure(draws: np.ndarray, truth: Boltzmann, case: Case) -> dict[str, float]:
    """How far `draws` `(n, d)` are from `truth`, their mean Q, and the least and largest share of a high hill.

    A draw belongs to the hill with the nearest top, also to one that is not high.
    """
    tops = tops_of(case.landscape)
    nearest = ((draws[:, None] - tops) ** 2).sum(-1).argmin(1)
    shares = np.bincount(nearest, minlength=len(tops))[: case.hills] / len(draws)
    return {
        "tv": truth.tv(draws, case.bins),
        "tv_floor": truth.tv_floor(len(draws), case.bins),
        "mean_q": float(evaluate(truth.q, draws).mean()),
        "exact_mean_q": truth.mean_value,
        "least_hill": shares.min(),
        "largest_hill": shares.max(),
    }


def laws(
    name: str, case: Case, preset: str = "small", seeds: int = 4, updates: int = 1500, num: int = DRAWS
) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows of the method `name` on one landscape, with the columns `LAWS`, and the draws of seed 0 `(num, d)`."""
    landscape = landscapes.get(case.landscape)
    truth = Boltzmann(landscape, TEMPERATURE)
    algo = settled(name, preset, truth)
    states, draws = trained(algo, landscape, seeds, updates, num)
    draws = np.asarray(draws, np.float64)
    rows = []
    for seed in range(seeds):
        where = {"method": name, "setting": preset, "landscape": case.landscape, "seed": seed}
        how = {"temperature": in_words(algo, unstacked(states, seed)), "updates": updates}
        rows.append(where | how | measure(draws[seed], truth, case))
    return pd.DataFrame(rows, columns=LAWS), draws[0]


def in_words(algo: Algorithm, state: State) -> str:
    """The temperature in force with its unit, as "0.1 Q" or "0.02 action", or "none"."""
    if algo.temperature_unit is None:
        return "none"
    return f"{float(algo.current_temperature(state)):.3g} {algo.temperature_unit}"


def parser() -> Parser:
    """The options of the command."""
    parser = Parser(
        prog="python -m softq.experiments.actor_laws",
        description="Train the actor of each method on exact critics, and compare its law with the softmax.",
    )
    number = {"type": int_option, "metavar": "N"}
    parser.add_argument("out", metavar="FILE.csv", help="file of the table; rows in it are not made again")
    parser.add_argument(
        "--draws", metavar="FILE.csv", help=f"file for {KEPT_DRAWS} draws of seed 0 of each law"
    )
    parser.add_argument(
        "--methods", nargs="+", default=list(ALGORITHMS), metavar="NAME", help="methods [all]"
    )
    parser.add_argument(
        "--landscapes", nargs="+", default=list(CASES), metavar="NAME", help=f"of {', '.join(CASES)} [all]"
    )
    parser.add_argument("--preset", default="small", metavar="NAME", help="settings of the methods [small]")
    parser.add_argument("--seeds", **number, default=4, help="number of trainings of each method [4]")
    parser.add_argument("--updates", **number, default=1500, help="number of updates of a training [1500]")
    return parser


def checked(options: argparse.Namespace) -> argparse.Namespace:
    """The same options. Raises `SoftqError` for an unknown method or landscape, or a number below 1."""
    for name in options.methods:
        get(name)
    for name in options.landscapes:
        one_of("landscape", name, CASES)
    for name in ("seeds", "updates"):
        if getattr(options, name) < 1:
            raise SoftqError(f"--{name} is {getattr(options, name)}; it must be at least 1.")
    return options


def command(argv: list[str]) -> None:
    """Run the command with the words `argv`, and print a line for each law. Raises `SoftqError` for bad input."""
    options = checked(parser().parse(argv))
    out, kept = csv_file(options.out), csv_file(options.draws) if options.draws else None
    for name in options.methods:
        for case in (CASES[name] for name in options.landscapes):
            if has_rows(out, method=name, setting=options.preset, landscape=case.landscape):
                continue
            table, draws = laws(name, case, options.preset, options.seeds, options.updates)
            if kept and not has_rows(kept, method=name, landscape=case.landscape):
                points = np.round(draws[:KEPT_DRAWS], 3)
                shown = pd.DataFrame({"method": name, "landscape": case.landscape, "x": points[:, 0]})
                append(shown.assign(y=points[:, 1] if case.landscape == "bandit" else np.nan), kept, 3, ORDER)
            append(table, out, 4, ORDER)
            print(
                f"{name} on {case.landscape}: TV {', '.join(map('{:.2f}'.format, table['tv']))}", flush=True
            )


if __name__ == "__main__":
    run(command)
