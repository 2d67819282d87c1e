"""The lab of denoising: its integrals against other quadratures and draws, and the page's numbers against Python's."""

from pathlib import Path

import numpy as np
import pytest
from book_browser import on_a_phone, set_all

from softq import landscapes
from softq.exact.laws.diffused import noised_softmax, proposal_nodes, self_normalised
from softq.lab import DenoiseLab
from softq.lab.reverse import ACTIONS, LEAST, MOST, chain, guess, histogram, sampled
from softq.landscapes import Landscape
from softq.utils.errors import SoftqError

SLOPE = Landscape("slope", 1, 1.0, slope=(1.0,))
LAB = DenoiseLab([landscapes.get("twomode1"), SLOPE])


@pytest.mark.parametrize(
    "settings",
    [
        {"num": 50, "noise": 0.3, "place": 0.3, "theta": 0.5},
        {"num": 1000, "noise": 0.05, "place": 0.55},
        {"landscape": "slope", "temperature": 0.5, "noise": 0.1, "place": 0.95, "theta": 0.9},
    ],
)
def test_the_errors_are_those_of_the_exact_laws(settings: dict) -> None:
    given = LAB.complete(settings)
    q, sigma, place = LAB.landscapes[given["landscape"]], given["noise"], np.array([given["place"]])
    exact = noised_softmax(q, given["temperature"], place[None], 1.0, sigma).score[0, 0]
    nodes = proposal_nodes(place, 1.0, sigma)
    values, slopes = LAB.value(given["landscape"])(nodes.actions[:, 0])
    f = np.stack([(nodes.actions[:, 0] - place) / sigma**2, slopes / given["temperature"]], 1)
    f = np.column_stack([f, f @ [given["theta"], 1 - given["theta"]]])
    mean, deviation = self_normalised(nodes.mass, values / given["temperature"], f, given["num"])
    numbers = LAB.numbers(**settings)
    assert numbers["exact score"] == pytest.approx(exact, rel=1e-4)
    found = [numbers[f"error of {name}"] for name in ("QNE", "iDEM", "the combination")]
    assert found == pytest.approx(np.hypot(mean - exact, deviation), rel=2e-4)


def test_one_proposal_has_the_moments_of_a_truncated_normal() -> None:
    """With K = 1 there is nothing to weigh: the estimate is one proposal."""
    moments = LAB.moments("twomode1", 0.1, 0.3, 0.3, 1)
    nodes = proposal_nodes(np.array([0.3]), 1.0, 0.3)
    by_noise = (nodes.actions[:, 0] - 0.3) / 0.09
    mean = nodes.mass @ by_noise
    assert moments.mean[0] == pytest.approx(mean, abs=1e-3)
    assert moments.covariance[0, 0] == pytest.approx(nodes.mass @ (by_noise - mean) ** 2, rel=1e-4)


def test_no_share_is_better_than_the_best_one() -> None:
    moments = LAB.moments("twomode1", 0.1, 0.5, 0.1, 20)
    errors = [moments.error(theta) for theta in np.linspace(0, 1, 101)]
    assert 0 < moments.best < 1 and moments.error(moments.best) <= min(errors)


@pytest.mark.parametrize("rule", ["euler", "heun", "ancestral", "sde"])
def test_the_law_of_a_rule_is_that_of_its_draws(rule: str) -> None:
    """100,000 actions that take the steps of the rule, in the cells of the grid."""
    log_soft = LAB.value("twomode1")(ACTIONS)[0] / 0.1
    law, rng = chain(log_soft, rule, 12), np.random.default_rng(0)

    def clean(y: np.ndarray, sigma: float) -> np.ndarray:
        line = np.linspace(y.min(), y.max(), 3000)
        return np.interp(y, line, guess(log_soft, line, sigma))

    y = MOST * rng.standard_normal(100_000)
    for sigma, cleaner in zip(law.levels[:-1], law.levels[1:], strict=True):
        k, there = cleaner / sigma, clean(y, sigma)
        if rule == "euler":
            y = there + k * (y - there)
        elif rule == "heun":
            slope = (y - there) / sigma
            trial = y + (cleaner - sigma) * slope
            y = y + (cleaner - sigma) * (slope + (trial - clean(trial, cleaner)) / cleaner) / 2
        else:
            fresh = (cleaner if rule == "ancestral" else sigma) * np.sqrt(1 - k**2)
            y = there + k**2 * (y - there) + fresh * rng.standard_normal(y.size)
    grid = law.grids[-1]
    width = grid[1] - grid[0]
    counted = np.histogram(y, np.append(grid, grid[-1] + width) - width / 2)[0] / y.size / width
    assert 0.5 * np.abs(counted - law.own[-1]).sum() * width < 0.025
    assert law.levels[0] == pytest.approx(MOST) and law.levels[-1] == pytest.approx(LEAST)


@pytest.mark.parametrize("rule", ["euler", "heun"])
def test_one_proposal_is_enough_on_a_gaussian_hill(rule: str) -> None:
    """By the theorem the combined estimate is the score itself, so that the samples follow the flow."""
    log_soft, variance = -(ACTIONS**2) / 0.05, 0.025
    y = sampled(log_soft, -2 * ACTIONS / 0.05, rule, 20, 1, variance)
    levels = np.geomspace(MOST, LEAST, len(y))
    exact = lambda a, sigma: a * variance / (variance + sigma**2)  # the clean action behind a
    for now, end, sigma, cleaner in zip(y[:-1], y[1:], levels[:-1], levels[1:], strict=True):
        slope = (now - exact(now, sigma)) / sigma
        expected = now + (cleaner - sigma) * slope
        if rule == "heun":
            again = (expected - exact(expected, cleaner)) / cleaner
            expected = now + (cleaner - sigma) * (slope + again) / 2
        assert end == pytest.approx(expected, abs=1e-9)


def test_many_proposals_are_the_exact_score() -> None:
    """With QNE the samples are then draws from the law of the rule, which is itself not quite the softmax."""
    log_soft = LAB.value("twomode1")(ACTIONS)[0] / 0.1
    law = chain(log_soft, "ancestral", 12)
    y = sampled(log_soft, 0 * ACTIONS, "ancestral", 12, 100_000, 0.0)
    for i in (3, 7, 12):
        seen = histogram(y[i], law.soft, law.levels[i])
        assert seen.tv < 1.5 * seen.floor + law.tv[i]
        assert np.trapezoid(seen.stairs[1], seen.stairs[0]) == pytest.approx(1, abs=0.03)


def test_slopes_alone_lose_their_way() -> None:
    ends = {driver: LAB.numbers(driver=driver, num=50)["TV at the end"] for driver in ("qne", "idem")}
    assert ends["qne"] < 0.2 < 0.5 < ends["idem"]


def test_a_plane_is_refused() -> None:
    with pytest.raises(SoftqError, match="give dim 1"):
        DenoiseLab([landscapes.get("bandit")])


@pytest.mark.browser
def test_the_page_computes_the_same(tmp_path: Path) -> None:
    query = "?temperature=99&scores=1"  # beyond the sliders
    with on_a_phone(tmp_path, LAB, query=query, still=True) as (page, (name,)):
        assert page.evaluate("softqLab.report(softqLab.ids()[0])")["settings"]["temperature"] == 2
        for settings in (
            {"temperature": 0.1, "scores": 20},
            {"num": 3, "noise": 0.08, "place": 0.5, "theta": 0.4, "rule": "heun", "step": 7},
            {"landscape": "slope", "temperature": 0.5, "rule": "sde", "step": 20, "place": 0.95},
            {"rule": "ancestral", "scores": 9, "num": 1000},
        ):
            report = set_all(page, name, settings)
            assert report["numbers"] == pytest.approx(LAB.numbers(**report["settings"]), rel=1e-4, abs=1e-6)
        for settings in (
            {"driver": "qne", "num": 10},
            {"driver": "idem", "rule": "heun", "step": 3},
            {"driver": "combined", "rule": "euler", "landscape": "twomode1", "scores": 20, "num": 30},
        ):
            report = set_all(page, name, settings)
            numbers, expected = report["numbers"], LAB.numbers(**report["settings"])
            ends = ("TV at this step", "TV at the end")  # of draws of the page and of Python's
            assert [numbers.pop(key) for key in ends] == pytest.approx(
                [expected.pop(key) for key in ends], abs=0.08
            )
            assert numbers == pytest.approx(expected, rel=1e-3, abs=1e-6)
        set_all(page, name, {"driver": "exact", "rule": "ancestral", "scores": 9})
        page.get_by_role("button", name="Denoise").click()  # without motion it is at the end at once
        assert page.evaluate("id => softqLab.report(id)", name)["settings"]["step"] == 9
