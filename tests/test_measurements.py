"""`results/commands.csv` names the command of each stored result, and the result is of that command's size."""

import shlex
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import softq.training
from softq import landscapes
from softq.algorithms import ALGORITHMS
from softq.cli import dispatch
from softq.exact.boltzmann import Boltzmann
from softq.experiments.actor_laws import CASES, DRAWS, KEPT_DRAWS, LAWS, TEMPERATURE
from softq.experiments.actor_laws import parser as parser_of_laws
from softq.experiments.killed import ENVS as DISTURBED
from softq.experiments.mode_coverage.command import parser_of
from softq.experiments.score_estimates import ESTIMATORS, LOG_SNR, PLACES, PROPOSALS
from softq.experiments.score_estimates import table as compute_estimates
from softq.experiments.settings import MEASURED
from softq.experiments.speed.all_methods import SIZES
from softq.sweeps.plan import plan

RESULTS = Path(__file__).parents[1] / "results"
COMMANDS = pd.read_csv(RESULTS / "commands.csv").set_index("file")["command"]
# One has a command for each row, the other was counted by the code in chapter 13.
WITHOUT = {"commands.csv", "bench.csv", "multigoal-visits.csv"}


def starting(words: str) -> pd.Series:
    return COMMANDS[COMMANDS.str.startswith(f"softq {words} ")]


class Started(Exception):
    pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The algorithm and the configuration with which `softq train` would have started."""
    found: list[Any] = []

    def train(algo: Any, env: str, config: Any, **rest: Any) -> None:
        found.extend((algo, config))
        raise Started

    monkeypatch.setattr(softq.training, "train", train)
    return found


def test_every_result_has_one_command() -> None:
    assert COMMANDS.index.is_unique
    assert set(COMMANDS.index) == {file.name for file in RESULTS.glob("*.csv")} - WITHOUT
    kinds = [starting(words) for words in ("train", "evaluate", "visits", "gallery", "bench", "results")]
    modules = COMMANDS[COMMANDS.str.startswith("python -m softq.experiments.")]
    assert sum(map(len, kinds)) + len(modules) == len(COMMANDS)


def test_the_sweep_of_the_book_has_whole_curves_of_the_runs_that_it_names() -> None:
    """Each run of `sweeps/book.toml` that has begun: evaluations at equal distances, by all three seeds."""
    planned = {run.name for run in plan(RESULTS.parent / "sweeps" / "book.toml")}
    table = pd.read_csv(RESULTS / "book.csv")
    assert {Path(run).name for run in table["run"]} <= planned
    for run, curve in table.groupby("run"):
        asked = curve.groupby("updates")["seed"].apply(list)
        assert list(asked.index) == list(range(2000, 2000 * len(asked) + 1, 2000)), run
        assert all(seeds == [0, 1, 2] for seeds in asked), run


def test_the_table_of_estimates_has_every_level_and_estimator() -> None:
    table = pd.read_csv(RESULTS / "score-estimates.csv")
    rows = product(LOG_SNR, PROPOSALS, ESTIMATORS)
    assert sorted(zip(table["log_snr"], table["proposals"], table["estimator"], strict=True)) == sorted(rows)
    assert set(table["n"]) == {PLACES}
    again = compute_estimates((4.0,), (16,)).set_index("estimator")
    stored = table[(table["log_snr"] == 4) & (table["proposals"] == 16)].set_index("estimator")
    for name in ESTIMATORS:
        assert again.loc[name, "median"] == pytest.approx(stored.loc[name, "median"], rel=0.05)
        assert again.loc[name, "error"] == pytest.approx(stored.loc[name, "error"], rel=0.05)


def test_the_times_of_updates_are_of_all_methods_at_both_sizes() -> None:
    table = pd.read_csv(RESULTS / "update-times.csv")
    assert sorted(zip(table["algorithm"], table["size"], strict=True)) == sorted(product(ALGORITHMS, SIZES))
    assert (table["ratio_min"] <= table["ratio"]).all() and (table["ratio"] <= table["ratio_max"]).all()
    assert table["measured_ms"].div(table["products_ms"]).sub(table["ratio"]).abs().max() < 0.01


def test_every_training_that_was_killed_ended_as_one_that_never_was() -> None:
    """Thirty kills over both environments, many of them while a checkpoint was written; and a full disk in each."""
    table = pd.read_csv(RESULTS / "killed.csv")
    kills = table[table["event"] == "SIGKILL"]
    assert len(kills) == 30 and set(kills["when"]) == {"start", "training", "checkpoint"}
    assert table.groupby("env")["event"].nunique().to_dict() == dict.fromkeys(DISTURBED, 3)
    assert (kills["left"] == "half a checkpoint").sum() >= 5 and table["identical"].all()


def test_the_laws_have_the_size_of_their_commands() -> None:
    """A row for each method, landscape and seed beside the numbers of the exact law, and draws of each law."""
    assert COMMANDS["actor-laws.csv"] == COMMANDS["actor-draws.csv"]
    commands = COMMANDS["actor-laws.csv"].split("; ")
    runs = [parser_of_laws().parse(shlex.split(words)[3:]) for words in commands]
    ((out, points),) = {(run.out, run.draws) for run in runs}
    table, draws = (pd.read_csv(RESULTS / Path(file).name) for file in (out, points))
    assert list(table) == LAWS and list(draws) == ["method", "landscape", "x", "y"]
    rows = [
        row for run in runs for row in product(run.methods, run.landscapes, range(run.seeds), [run.updates])
    ]
    found = table[["method", "landscape", "seed", "updates"]].itertuples(index=False, name=None)
    assert sorted(found) == sorted(rows)
    for name, law in table.groupby("landscape"):
        case, truth = CASES[name], Boltzmann(landscapes.get(name), TEMPERATURE)
        assert law["tv_floor"].unique() == pytest.approx(truth.tv_floor(DRAWS, case.bins), abs=1e-4)
        assert law["exact_mean_q"].unique() == pytest.approx(truth.mean_value, abs=1e-4)
        assert law["tv"].between(0, 1).all() and (law["least_hill"] <= law["largest_hill"]).all()
    sizes = draws.groupby(["method", "landscape"]).size()
    assert set(sizes.index) == {row[:2] for row in rows} and set(sizes) == {KEPT_DRAWS}
    assert (draws[["x", "y"]].abs().max() <= 1).all()
    assert list(draws["y"].isna()) == list(draws["landscape"] == "twomode1")


@pytest.mark.parametrize("file", starting("train").index)
def test_a_training_has_the_size_of_its_command(file: str, asked: list[Any]) -> None:
    table = pd.read_csv(RESULTS / file)
    with pytest.raises(Started):
        dispatch(shlex.split(COMMANDS[file])[1:])
    _, config = asked
    assert set(table["algorithm"]) == {config.algorithm} and set(table["env"]) == {config.env}
    assert set(table["seed"]) == set(config.seed_list)
    end = table[table["updates"] == table["updates"].max()]
    assert set(end["updates"]) == {config.iterations}
    assert set(end["env_steps"]) == {config.warmup + config.num_envs * config.iterations}
    evaluations = table[table["kind"] == "evaluation"]
    assert set(evaluations["episodes"]) == {config.eval_episodes}
    assert evaluations["updates"].min() == config.eval_every


def test_only_a_variant_departs_from_the_preset(asked: list[Any]) -> None:
    """Two files of one algorithm in one environment and of one length differ in a setting."""
    settings = []
    for command in starting("train"):
        with pytest.raises(Started):
            dispatch(shlex.split(command)[1:])
        settings.append(tuple(map(repr, asked[-2:])))
    assert len(set(settings)) == len(settings)


@pytest.mark.parametrize("file", starting("evaluate").index)
def test_an_evaluation_has_the_sampler_and_temperature_of_its_command(file: str) -> None:
    words = shlex.split(COMMANDS[file])
    options = dict(zip(words[3::2], words[4::2], strict=True))
    table = pd.read_csv(RESULTS / file)
    assert set(table["policy"]) == {options["--sampler"]}
    assert set(table["temperature"]) == {float(options["--temperature"])}
    assert f"{Path(words[2]).name}.csv" in COMMANDS.index


@pytest.mark.parametrize("file", [x for x in starting("visits").index if "--portrait" not in COMMANDS[x]])
def test_counts_have_the_size_of_their_command(file: str) -> None:
    """A second command for a file adds the variants that its options name, with a number of seeds of its own."""
    words = [shlex.split(command)[2:] for command in COMMANDS[file].split("; ")]
    parsed = [parser_of(task).parse(rest) for task, *rest in words]
    task, options = words[0][0], parsed[0]
    table = pd.read_csv(RESULTS / file)
    if file == Path(options.paths or "").name:
        assert set(table["episode"]) == set(range(options.keep))
        return
    assert file == Path(options.out).name and file.startswith(task)
    assert {more.out for more in parsed} == {options.out}
    seeds = table.groupby("algorithm")["seed"].nunique()
    for more in parsed:
        assert {label.split(",")[0] for label in seeds[seeds == more.seeds].index} <= set(more.algorithms)
    assert set(seeds) == {more.seeds for more in parsed}
    outcomes = table.columns.difference(["algorithm", "seed", "start", "return"])
    assert set(table[outcomes].sum(axis=1)) == {options.episodes}
    known = {label.split(",")[0] for label in table["algorithm"]}
    assert known <= set(ALGORITHMS) and (options.variants or options.test_kwargs or known >= set(MEASURED))
