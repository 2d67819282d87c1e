"""The gallery's own instruments: landscapes as numbers, exact truths, counted calls, budgets, the table."""

from itertools import product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from softq import landscapes
from softq.cli import main
from softq.exact.boltzmann import Boltzmann
from softq.exact.separable import Separable
from softq.exact.values import evaluate
from softq.experiments.sampler_benchmark import (
    BUDGETS,
    COLUMNS,
    EXACT,
    GRADIENT,
    REGISTRY,
    TEMPERATURE_LEVELS,
    BenchmarkSampler,
    LandscapeInfo,
    View,
    contest,
    corners,
    count,
    draws,
    names,
    problem,
    read,
    regret,
    verdicts,
    winners,
)
from softq.experiments.sampler_benchmark.formula import CORNER, WEIGHT, corner_width, padded
from softq.experiments.sampler_benchmark.problems import DIMS
from softq.experiments.sampler_benchmark.reference import of_corners
from softq.experiments.sampler_benchmark.report import sized
from softq.samplers import ISIR
from softq.testing import THRESHOLD
from softq.utils.errors import SoftqError

TABLE = Path(__file__).parents[1] / "results" / "gallery.csv"
RNG = np.random.default_rng(0)


def margin(num: int) -> float:
    """A total variation of `num` draws exceeds its expectation by this with probability below the threshold.

    McDiarmid's inequality: one draw moves it by at most 1 / num.
    """
    return float(np.sqrt(-np.log(THRESHOLD) / (2 * num)))


# -- landscapes


@pytest.mark.parametrize("name", landscapes.names())
def test_a_formula_is_its_landscape(name):
    q = landscapes.get(name)
    actions = RNG.uniform(-1, 1, (200, q.dim))
    for formula in (q.formula(), padded(q.formula())):
        np.testing.assert_allclose(evaluate(formula, actions), evaluate(q, actions), atol=1e-13, rtol=1e-13)
    for sigma in (0.02, 0.6):
        blurred = evaluate(q.blurred(sigma), actions)
        again = evaluate(padded(q.formula()).blurred(sigma), actions)
        np.testing.assert_allclose(again, blurred, atol=1e-13, rtol=1e-13)


def test_sums_add_up():
    q1 = landscapes.get("skew1")
    actions = RNG.uniform(-1, 1, (50, 3))
    parts = evaluate(q1, actions.reshape(-1, 1)).reshape(50, 3)
    assert np.allclose(evaluate(q1.formula(3), actions), parts.sum(1), atol=1e-6)


def test_corners_are_two_bumps():
    actions, square = RNG.uniform(-1, 1, (50, 6)), corner_width(6) ** 2
    bump = lambda c: np.exp(-((actions - c) ** 2).sum(1) / (2 * square))
    expected = np.log(WEIGHT * bump(CORNER) + (1 - WEIGHT) * bump(-CORNER))
    assert np.allclose(evaluate(corners(6), actions), expected, atol=1e-6)


@pytest.mark.parametrize(("name", "tol"), [("abs1", 2e-3), ("lemniscate", 1e-6), ("corners", 1e-4)])
def test_blur_without_a_closed_formula_elsewhere(name, tol):
    """Against a hundred Gauss-Hermite nodes a coordinate, which see the kink of a tent less well than we do."""
    q = corners(2) if name == "corners" else landscapes.get(name).formula()
    x, w = np.polynomial.hermite_e.hermegauss(100)
    mesh = np.stack(np.meshgrid(*[x] * q.dim), -1).reshape(-1, q.dim)
    weights = w / w.sum() if q.dim == 1 else np.outer(w, w).ravel() / w.sum() ** 2
    for sigma in (0.1, 0.6):
        for action in RNG.uniform(-1, 1, (3, q.dim)):
            expected = weights @ evaluate(q, action + sigma * mesh)
            assert evaluate(q.blurred(sigma), action[None])[0] == pytest.approx(expected, abs=tol)


# -- truths


@pytest.mark.parametrize("level", TEMPERATURE_LEVELS)
def test_sums_have_the_moments_of_independent_coordinates(level):
    one = problem("sum of skew1", 4)
    law = Separable(landscapes.get("skew1"), one.temperature(level), 4)
    truth = one.truth(level)
    assert truth.mean_value == pytest.approx(law.mean_value, rel=1e-9)
    assert truth.std_value == pytest.approx(np.sqrt(law.var_value), rel=1e-9)
    assert one.uniform_std == pytest.approx(law.uniform_std, rel=1e-9)


@pytest.mark.parametrize("level", TEMPERATURE_LEVELS)
def test_corners_agree_with_quadrature(level):
    """In two dimensions both kinds of truth apply."""
    truth, law = problem("corners", 2).truth(level), Boltzmann(corners(2), 1 / TEMPERATURE_LEVELS[level])
    assert truth.mean_value == pytest.approx(law.mean_value, abs=1e-5)
    assert truth.std_value == pytest.approx(np.sqrt(law.var_value), rel=1e-4)
    upper = law.mean(lambda a: a.sum(1) > 0)
    assert truth.views["hills"].probabilities[1] == pytest.approx(
        upper, abs=2e-3
    )  # quadrature across a diagonal
    left = law.mean(lambda a: a[:, 0] < -0.5)  # where a panel of the quadrature ends
    assert truth.views["action"].probabilities[:10].sum() == pytest.approx(left, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "dim"), [("spike1", 1), ("twomode2", 2), ("sum of skew1", 6), ("corners", 8)]
)
def test_exact_draws_meet_the_floors_and_hotter_ones_do_not(name, dim):
    one, num = problem(name, dim), 20_000
    truth = one.truth("medium")
    fair = truth.compare(one.formula, truth.sample(np.random.default_rng(1), num))
    for view in ("tv_action", "tv_scalar", "tv_hills"):
        assert abs(fair[view] - fair[f"{view}_floor"]) < margin(num)
    assert abs(fair["mean_q"]) < stats.norm.isf(THRESHOLD / 2) / np.sqrt(num)
    assert fair["w1"] < 4 * fair["w1_floor"]
    other = of_corners(dim, 2) if name == "corners" else one.truth("hot")
    unfair = truth.compare(one.formula, other.sample(np.random.default_rng(1), num))
    assert unfair["error"] > 2 * margin(num) and unfair["w1"] > 4 * unfair["w1_floor"]
    assert abs(unfair["mean_q"]) > 10 / np.sqrt(num)


def test_floor_is_the_expected_distance():
    """Against the binomial law, summed term by term."""
    p, num = np.array([0.003, 0.2, 0.797]), 60
    k = np.arange(num + 1)
    expected = sum(0.5 * np.abs(k / num - x) @ stats.binom.pmf(k, num, x) for x in p)
    view = View(lambda actions, values: np.zeros(len(actions), int), p)
    assert view.floor(num) == pytest.approx(expected, rel=1e-12)
    assert view._replace(pooled=2).floor(num // 2) == pytest.approx(expected, rel=1e-12)


def test_lost_actions_count_as_missing():
    one = problem("quad1", 1)
    actions = np.full((10, 1), 0.01, np.float32)
    actions[3] = np.nan
    truth = one.truth("hot")
    cell = truth.views["action"].probabilities[20]
    assert truth.compare(one.formula, actions)["tv_action"] == pytest.approx(1 - cell, rel=1e-6)


# -- costs


class Counted:
    """A landscape that reports each value and each gradient while the program runs."""

    def __init__(self, dim):
        self.dim, self.values, self.gradients = dim, 0, 0
        f = jax.custom_vjp(self.value)
        f.defvjp(self.with_slope, lambda slope, weight: (weight * slope,))
        self.call = f

    def value(self, action):
        jax.debug.callback(lambda _: setattr(self, "values", self.values + 1), action)
        return -jnp.sum(action**2)

    def with_slope(self, action):
        jax.debug.callback(lambda _: setattr(self, "gradients", self.gradients + 1), action)
        return -jnp.sum(action**2), -2 * action

    def __call__(self, action):
        return self.call(action)

    def blurred(self, sigma):
        return self


@pytest.mark.parametrize(
    "name", ["isir", "snis-mala", "qglg-weight", "svgd", "annealed", "diffusion-combined"]
)
def test_calls_are_those_of_the_running_program(name):
    entry, q = REGISTRY[name], Counted(2)
    given = LandscapeInfo(1.0, 1.0, 1.0, jnp.ones(5))
    jax.jit(lambda key: entry.sampler(40, 2, given)(key, q, 2, 1.0).action)(jax.random.key(0))
    jax.effects_barrier()
    calls = entry.calls(2, 40)
    assert (q.values, q.gradients) == (calls.values, calls.gradients)
    assert calls.values + calls.gradients > 0


def test_calls_by_hand():
    by_hand = {  # at 200 evaluations in three dimensions
        "uniform": (0, 0),
        "snis": (200, 0),
        "isir": (40 * (1 + 4), 0),
        "langevin": (0, 100),
        "mala": (0, 99 + 1),
        "snis-mala": (100, 49 + 1),
        "isir-mala": (20 * (1 + 4), 4 * (11 + 1)),
        "tempering": (0, 4 * (24 + 1)),
        "ais": (40, 5 * 15 + 1),
        "svgd": (0, 6 * 16),
        "qglg-printed": (40 + 5, 5 * 15),
        "annealed": (0, 4 * 10 + 60),
        "diffusion-qne": (14 * 14, 0),
        "diffusion-idem": (0, 14 * 7),
        "diffusion-combined": (12 * 2 * 2 * 3, 12 * 2),
    }
    assert {name: tuple(REGISTRY[name].calls(3, 200)) for name in by_hand} == by_hand


def test_counting_refuses_an_unknown_number_of_calls():
    loop = lambda key, q: jax.lax.while_loop(lambda a: q(a) < 1, lambda a: a + 1, jnp.zeros(2))
    with pytest.raises(SoftqError, match="not fixed"):
        count(loop, 2)


# -- samplers


EXACT_ONES = sorted(name for name, entry in REGISTRY.items() if entry.exact)


@pytest.fixture(scope="module")
def small_case():
    """A parabola, 400 evaluations an action: enough for whatever converges."""
    samplers = [*EXACT_ONES, "annealed-printed", "qglg-printed"]
    return contest((1,), {400: 2000}, ("medium",), samplers, ("quad1",)).set_index("sampler")


@pytest.mark.parametrize("name", EXACT_ONES)
def test_exact_samplers_reach_the_floor(name, small_case):
    row = small_case.loc[name]
    for view in ("tv_action", "tv_scalar"):
        assert row[view] < row[f"{view}_floor"] + margin(2000)


@pytest.mark.parametrize("name", ["annealed-printed", "qglg-printed"])
def test_others_do_not(name, small_case):
    row = small_case.loc[name]
    assert row["tv_scalar"] > row["tv_scalar_floor"] + margin(2000)


def test_a_sampler_that_is_too_hot_ranks_below_the_same_at_the_right_temperature(monkeypatch):
    class TooHot(ISIR):
        def __call__(self, key, q, dim, temperature):
            return super().__call__(key, q, dim, 1.3 * temperature)

    mutant = BenchmarkSampler(
        "a mutant", lambda given, dim, m, sweeps: TooHot(m, sweeps), REGISTRY["isir"].plan
    )
    monkeypatch.setitem(REGISTRY, "too hot", mutant)
    rows = contest((2,), {100: 4000}, ("cold",), ("isir", "too hot"), ("corners",)).set_index("sampler")
    assert rows["error"]["isir"] < margin(4000) < rows["error"]["too hot"]
    assert rows["mean_q"]["too hot"] < rows["mean_q"]["isir"] - 10 / np.sqrt(4000)


def test_draws_repeat_themselves():
    one = problem("twomode2", 2)
    first, again = (draws("snis", one, "hot", 20, 64) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, draws("snis", one, "cold", 20, 64))


# -- the table and its command


def check(table: pd.DataFrame) -> None:
    assert list(table.columns) == [*COLUMNS, "size"]
    taken = table[table["sampler"] != EXACT]
    assert table.drop(columns=["setting", "values", "gradients", "time_ratio"]).notna().all(axis=None)
    assert taken.drop(columns="setting").notna().all(axis=None)
    assert table["error"].between(0, 1).all() and table["w1"].between(0, 2).all()
    assert (taken.loc[taken["sampler"] == "langevin", "time_ratio"] == 1).all() and (
        taken["time_ratio"] > 0
    ).all()
    keys = ["landscape", "dim", "temperature_level", "budget", "sampler"]
    assert not table.duplicated(keys).any()


def test_quick_command(tmp_path, capsys):
    out = tmp_path / "new" / "quick.csv"
    assert main(["gallery", "--quick", "--no-progress", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 7 rows\n"
    assert [path.name for path in out.parent.iterdir()] == ["quick.csv"]
    table = read(out, exact=True)
    check(table)
    errors = table.set_index("sampler")["error"].drop(EXACT)
    assert REGISTRY[errors.idxmin()].exact and errors.idxmax() == "uniform"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "--out"),
        ("--out table.txt", "ends in .csv"),
        ("--out x.csv --quik", "Did you mean '--quick'?"),
        ("--out /proc/x.csv", "cannot be written"),
    ],
)
def test_mistakes(arguments, message, capsys):
    assert main(["gallery", *arguments.split()]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"samplers": ("malla",)}, "Did you mean 'mala'?"),
        ({"temperature_levels": ("warm",)}, "no 'warm'"),
        ({"landscapes": ("bandid",)}, "Did you mean 'bandit'?"),
    ],
)
def test_unknown_names(wrong, message):
    with pytest.raises(SoftqError, match=message.replace("?", r"\?")):
        contest(**wrong)
    with pytest.raises(SoftqError, match="in 1 dimensions"):
        problem("bandit", 1)


def test_the_committed_table_is_complete_and_of_these_samplers():
    """A changed plan makes the table stale: its settings and counts are compared with the registry's."""
    table = read(TABLE, exact=True)
    check(table)
    expected = {
        (name, dim, level, budget, sampler)
        for dim in (1, *DIMS)
        for name, level, budget, sampler in product(
            names(dim), TEMPERATURE_LEVELS, BUDGETS, (EXACT, *REGISTRY)
        )
        if sampler == EXACT or REGISTRY[sampler].plan(budget, dim) is not None
    }
    rows = table[["landscape", "dim", "temperature_level", "budget", "sampler"]].itertuples(
        index=False, name=None
    )
    assert set(rows) == expected
    assert (table["num_samples"] == table["budget"].map(BUDGETS)).all()
    taken = table[table["sampler"] != EXACT]
    spent = (taken["values"] + GRADIENT * taken["gradients"]) / taken["budget"]
    assert (spent <= 1).all() and (spent[taken["sampler"] != "uniform"] >= 0.6).all()
    for row in taken[taken["dim"] == 17].drop_duplicates(["budget", "sampler"]).to_dict("records"):
        entry = REGISTRY[row["sampler"]]
        assert row["setting"] == entry.setting(row["budget"], 17)
        assert (row["values"], row["gradients"]) == tuple(entry.calls(17, row["budget"]))
    exact = table[table["sampler"] == EXACT]
    assert (exact["error"] < exact["num_samples"].map(margin)).all()


# -- reading the table


@pytest.fixture
def toy():
    """Three samplers at two budgets in one and in seventeen dimensions, four landscapes each, errors by hand."""
    errors = {"good": [0.3, 0.01], "greedy": [0.2, 0.4], "poor": [0.5, 0.3]}
    rows = [
        {
            "landscape": f"q{i}",
            "dim": dim,
            "temperature_level": "hot",
            "budget": budget,
            "sampler": name,
            "error": error,
        }
        | {"mean_q": {"good": 0.0, "greedy": 2.0, "poor": -2.0}[name]}
        for name, both in errors.items()
        for budget, error in zip((20, 200), both, strict=True)
        for dim in (1, 17)
        for i in range(4)
    ]
    table = sized(pd.DataFrame(rows))
    return table[(table["sampler"] != "poor") | (table["dim"] == 1)]


def test_winners_by_hand(toy):
    best = winners(toy)
    assert best["best"].tolist() == ["greedy", "good", "greedy", "good"]
    assert best["error"].tolist() == pytest.approx([0.2, 0.01, 0.2, 0.01])
    close = (toy["budget"] == 20) & (toy["sampler"] == "good")
    tied = toy.assign(error=toy["error"].mask(close, 0.215))
    assert winners(tied)["within"].tolist() == ["greedy good", "good", "greedy good", "good"]


def test_regret_by_hand_leaves_out_who_cannot_afford_all(toy):
    frame = regret(toy)
    assert frame.index.tolist() == ["good", "greedy"]
    assert frame["mean"].tolist() == pytest.approx([0.05, 0.195])
    assert frame["worst"].tolist() == frame["single"].tolist() == pytest.approx([0.1, 0.39])
    one = (toy["landscape"] == "q0") & (toy["dim"] == 1) & (toy["budget"] == 20) & (toy["sampler"] == "good")
    frame = regret(toy.assign(error=toy["error"].mask(one, 0.6)))
    assert frame.loc["good", "worst"] == pytest.approx(0.175)  # the mean of 0.6 and three 0.3, less 0.2
    assert frame.loc["good", "single"] == pytest.approx(0.4)


def test_verdicts_by_hand(toy):
    assert verdicts(toy)["d = 1, 2"].to_dict() == {"good": "sampler", "greedy": "search", "poor": "short"}
    missed = toy.assign(error=toy["error"].where(toy["landscape"] != "q0", 0.5))
    assert verdicts(missed)["d = 17"]["good"] == "sampler"  # one of four
    missed = toy.assign(error=toy["error"].where(toy["landscape"] > "q1", 0.5))
    assert verdicts(missed)["d = 17"]["good"] == "short"


def test_read_refuses_other_tables(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SoftqError, match="no table of `softq gallery`"):
        read(tmp_path / "x.csv")
