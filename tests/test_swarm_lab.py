"""The lab of Stein particles: its steps and distances by other ways, and the page's numbers against Python's."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from book_browser import on_a_phone, set_all

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.lab import SwarmLab
from softq.lab.swarm import DIMS, SPREADS, bandwidth, beginning, direction, simplex
from softq.landscapes import Landscape
from softq.samplers import median_bandwidth, softmax_score, svgd, svgd_direction
from softq.utils.errors import SoftqError

SLOPE = Landscape("slope", 1, 1.0, slope=(1.0,))
LAB = SwarmLab([landscapes.get("twomode1"), SLOPE, landscapes.get("quad1")])


def test_two_particles_by_hand() -> None:
    """At -1 and 1 with h = 2: the right one is drawn by (exp(-2) - 1) / 2 and pushed by exp(-2)."""
    places = np.array([-1.0, 1.0])
    moves = direction(places, -places, 2.0)
    assert moves == pytest.approx([-(1.5 * np.exp(-2) - 0.5), 1.5 * np.exp(-2) - 0.5])


def test_the_direction_and_the_bandwidth_are_those_of_the_sampler() -> None:
    places = np.array([-0.8, -0.3, 0.1, 0.15, 0.6, 0.9])
    column = jnp.asarray(places)[:, None]
    for rule in ("squared", "printed", "official"):
        assert bandwidth(places, rule) == pytest.approx(float(median_bandwidth(column, rule)), rel=1e-5)
    expected = svgd_direction(lambda a: -a / 0.3, column, 0.2)[:, 0]
    assert direction(places, -places / 0.3, 0.2) == pytest.approx(np.asarray(expected), rel=1e-4)


def test_a_run_ends_where_the_sampler_ends() -> None:
    run = LAB.run("twomode1", 0.1, 12, 0.25, "squared", "box", 100)
    start = jnp.asarray(beginning(12, 0.25))[:, None]
    score = softmax_score(LAB.landscapes["twomode1"], 0.1)
    expected = svgd(score, start, jnp.full(100, 0.005))[:, 0]
    assert run.paths[-1] == pytest.approx(np.asarray(expected), abs=1e-4)
    assert np.mean(run.paths[0] > 0) == 0.25 and np.mean(run.paths[-1] > 0) == 0.25


def test_before_tanh_a_wall_keeps_its_share() -> None:
    """The slope to the wall of chapter 9: particles before tanh are nearer to the softmax than those in the box."""
    given = {"landscape": "slope", "temperature": 0.5, "particles": 40, "steps": 1500}
    far, near = (LAB.numbers(space=space, **given)["W₁ to the softmax"] for space in ("box", "tanh"))
    assert near < 0.5 * far


def test_the_distance_is_an_integral_of_distribution_functions() -> None:
    law, exact = LAB.law("twomode1", 0.1), Boltzmann(LAB.landscapes["twomode1"], 0.1)
    places = np.array([-0.6, 0.5, 0.7])
    x, p = exact.nodes[:, 0], exact.probabilities
    reached = np.searchsorted(places, x) / 3
    expected = exact.weights @ np.abs(np.cumsum(p) - p / 2 - reached)
    assert law.transport(places) == pytest.approx(expected, abs=1e-3)
    assert law.transport(law.spaced(40)) < 0.02


def test_the_table_of_spreads_is_the_formula_where_there_is_one() -> None:
    for num, row in SPREADS.items():
        for dim, spread in zip(DIMS, row, strict=True):
            if num <= dim + 1:
                assert spread == pytest.approx(simplex(num, dim), abs=0.002)
    eight = LAB.run("quad1", 0.1, 8, 0.5, "squared", "box", 1500).paths[-1]
    assert eight.var() / 0.05 == pytest.approx(SPREADS[8][0], abs=0.005)  # the softmax of -a^2 / 0.1


def test_a_plane_is_refused() -> None:
    with pytest.raises(SoftqError, match="give dim 1"):
        SwarmLab([landscapes.get("bandit")])


@pytest.mark.browser
def test_the_page_computes_the_same(tmp_path: Path) -> None:
    query = "?particles=900&steps=0"  # beyond the sliders
    with on_a_phone(tmp_path, LAB, query=query, still=True) as (page, (name,)):
        found = page.evaluate("softqLab.report(softqLab.ids()[0])")["settings"]
        assert (found["particles"], found["steps"]) == (40, 1)
        for settings in (
            {"particles": 20, "steps": 300},
            {"share": 0.3, "rule": "official", "particles": 7},
            {"landscape": "slope", "temperature": 0.5, "space": "tanh", "rule": "printed", "steps": 200},
            {"rule": "fixed", "space": "box", "particles": 1},
        ):
            report = set_all(page, name, settings)
            assert report["numbers"] == pytest.approx(LAB.numbers(**report["settings"]), rel=1e-4, abs=1e-5)
        chosen = {"landscape": "twomode1", "temperature": 0.1, "particles": 4, "share": 0.5}
        before = set_all(page, name, chosen)["numbers"]["share on the right"]
        page.get_by_role("slider", name="start of particle 1", exact=True).focus()
        for _ in range(20):
            page.keyboard.press("ArrowUp")
        after = page.evaluate("id => softqLab.report(id)", name)["numbers"]["share on the right"]
        assert (before, after) == (0.5, 0.75)
