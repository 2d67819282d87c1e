"""The lab of Stein particles: its steps and distances by other ways, and the page's numbers against Python's."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from book_browser import on_a_phone, set_all

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.lab import LinearMapLab, SwarmLab
from softq.lab.linear import push, variance_at_rest
from softq.lab.swarm import DIMS, SPREADS, bandwidth, beginning, direction, simplex
from softq.landscapes import Landscape
from softq.samplers import amortised_loss, median_bandwidth, softmax_score, svgd, svgd_direction
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


def test_the_push_on_a_linear_map_is_the_mean_of_the_loss() -> None:
    """The gradient of SQL's loss over many draws; the median of 32 particles is not quite that of their law."""

    @jax.jit
    def gradients(variance: jax.Array, same: jax.Array) -> jax.Array:
        def one(key: jax.Array) -> jax.Array:
            fixed, other = jax.random.normal(key, (2, 32, 6))
            score, updated = lambda a: -a, jnp.where(same, fixed, other)
            loss = lambda w: amortised_loss(lambda xi: w * xi, score, fixed, updated)
            return -jax.grad(loss)(jnp.sqrt(variance)) / 6

        return jax.vmap(one)(jax.random.split(jax.random.key(0), 1000))

    for variance, same in ((0.5, False), (0.5, True), (float(variance_at_rest(32, 6)), True)):
        seen = np.asarray(gradients(variance, same))
        error = 5 * seen.std() / np.sqrt(len(seen)) + 4e-4
        assert seen.mean() == pytest.approx(push(variance, 32, 6, same), abs=error)
        assert push(variance, 32, 6, False) > 3 * error  # the other kind of noises would differ by more


def test_different_noises_rest_at_the_exact_variance() -> None:
    for num, dim in ((2, 1), (32, 17)):
        assert push(1.0, num, dim, False) == 0 and push(1.0, num, dim, True) == pytest.approx(-1 / num)
        assert push(float(variance_at_rest(num, dim)), num, dim, True) == pytest.approx(0, abs=1e-12)
    # what the chapter says
    assert variance_at_rest(85, 1) < 0.9 < variance_at_rest(95, 1) and variance_at_rest(256, 17) < 0.4
    sums = [
        LinearMapLab().numbers(num=num, dim=17)["kernel to all others (to itself 1)"] for num in (32, 256)
    ]
    assert sums == pytest.approx([1.5, 3.1], abs=0.05)


def test_a_plane_is_refused() -> None:
    with pytest.raises(SoftqError, match="give dim 1"):
        SwarmLab([landscapes.get("bandit")])


@pytest.mark.browser
def test_the_page_computes_the_same(tmp_path: Path) -> None:
    query = "?particles=900&steps=0"  # beyond the sliders
    with on_a_phone(tmp_path, LAB, LinearMapLab(), query=query, still=True) as (page, (name, second)):
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
        for settings in ({"num": 2}, {"num": 100, "dim": 17}, {"num": 9999, "dim": 1}):
            report = set_all(page, second, settings)
            assert report["numbers"] == pytest.approx(LinearMapLab().numbers(**report["settings"]), rel=1e-6)
