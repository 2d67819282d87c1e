"""The measure of a law is exact where the law is known, and the command makes no row twice."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from softq import landscapes
from softq.algorithms import ALGORITHMS
from softq.exact.boltzmann import Boltzmann
from softq.experiments.actor_laws import (
    CASES,
    DRAWS,
    KEPT_DRAWS,
    LAWS,
    command,
    measure,
    noise_levels,
    settled,
)
from softq.landscapes import Landscape
from softq.utils.errors import SoftqError


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_exact_draws_are_at_the_floor_and_know_all_hills(case):
    truth = Boltzmann(landscapes.get(case.landscape), 0.1)
    found = measure(truth.sample(np.random.default_rng(0), DRAWS), truth, case)
    # the floor is a mean; on the 20 cells that hold the law in one dimension a single distance varies by a sixth of it
    assert 0.5 < found["tv"] / found["tv_floor"] < 1.6
    assert found["mean_q"] == pytest.approx(found["exact_mean_q"], abs=0.005)
    shares = {"twomode1": (0.27, 0.73), "bandit": (0.25, 0.25)}[case.landscape]
    assert (found["least_hill"], found["largest_hill"]) == pytest.approx(shares, abs=0.03)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_point_has_one_hill_and_next_to_nothing_of_the_law(case):
    """It has the mass of its cell: at a wall nothing, on the highest top what the law has there."""
    truth = Boltzmann(landscapes.get(case.landscape), 0.1)
    dim = truth.dim
    wall = measure(np.full((10, dim), 0.999), truth, case)
    assert wall["tv"] == pytest.approx(1, abs=1e-3)
    top = np.array([0.6]) if dim == 1 else np.array([np.sqrt(0.5), 0.0])
    found = measure(np.broadcast_to(top, (10, dim)), truth, case)
    cell = tuple(((top + 1) / 2 * case.bins).astype(int))
    assert found["tv"] == pytest.approx(1 - truth.cell_probabilities(case.bins)[cell], abs=1e-9)
    assert (found["least_hill"], found["largest_hill"]) == (0, 1)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_divides_q_is_the_temperature_of_the_exact_law(name):
    """In the unit of Q, where the method's law has such a number; DDSQ's is 0.1 over the std of this landscape."""
    hill = Landscape(
        "slope", 1, 1.0, slope=(np.sqrt(3.0),)
    )  # Q has standard deviation 1 over uniform actions
    algo = settled(name, "small", Boltzmann(hill, 0.1))
    unit = algo.temperature_unit
    if unit in (None, "action") or name == "dpmd":
        assert algo == settled(name, "small", Boltzmann(hill, 0.2))
    else:
        assert algo.temperature.rule == "fixed"
        assert algo.temperature.value * {"Q / 2": 0.5}.get(unit, 1.0) == pytest.approx(0.1, rel=1e-5)


def test_critics_that_know_noise_have_a_level_for_each_slope_of_a_chain():
    truth = Boltzmann(landscapes.get("twomode1"), 0.1)
    for name, num in (("nclql", 10), ("aca", 20)):
        signal, noise = noise_levels(settled(name, "small", truth))
        assert signal.shape == noise.shape == (num,)
        assert jnp.all(jnp.diff(noise) < 0)
    assert noise_levels(settled("lql", "small", truth)) is None


def test_a_row_is_made_once(tmp_path, capsys):
    out, draws = tmp_path / "laws.csv", tmp_path / "draws.csv"
    words = [str(out), "--draws", str(draws), "--landscapes", "twomode1", "--seeds", "2", "--updates", "3"]
    command([*words, "--methods", "ddpg"])
    assert "ddpg on twomode1: TV " in capsys.readouterr().out
    table, points = pd.read_csv(out), pd.read_csv(draws)
    assert list(table) == LAWS
    assert list(table["seed"]) == [0, 1]
    assert set(table["temperature"]) == {"none"}
    assert list(points) == ["method", "landscape", "x", "y"]
    assert len(points) == KEPT_DRAWS
    assert points["y"].isna().all()
    before = out.read_text(), draws.read_text()
    command([*words, "--methods", "ddpg"])
    assert not capsys.readouterr().out
    assert (out.read_text(), draws.read_text()) == before


def test_bad_words_are_named():
    with pytest.raises(SoftqError, match="seeds is 0"):
        command(["x.csv", "--seeds", "0"])
    with pytest.raises(SoftqError, match="landscape"):
        command(["x.csv", "--landscapes", "banditt"])
    with pytest.raises(SoftqError, match="dpg"):
        command(["x.csv", "--methods", "dpg"])
