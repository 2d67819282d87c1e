"""The lab of an actor: its loss and minima against quadrature and scipy, and the page's numbers against Python's."""

from pathlib import Path

import numpy as np
import pytest
from book_browser import on_a_phone, set_all
from scipy.optimize import minimize

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.lab import ActorLab, actor

TWO = Boltzmann(landscapes.get("twomode1"), 0.1)


def divergence(law: np.ndarray, temperature: float) -> float:
    """KL(actor | softmax) by quadrature over actions, which the lab does over noise."""
    exact, u = TWO.at(temperature), np.arctanh(TWO.nodes[:, 0])
    log_p = (
        -(((u - law[0]) / np.exp(law[1])) ** 2) / 2
        - law[1]
        - np.log(2 * np.pi) / 2
        - np.log1p(-(np.tanh(u) ** 2))
    )
    p = TWO.weights * np.exp(log_p)
    return float(p @ (log_p - exact.log_density(TWO.nodes)))


@pytest.mark.parametrize("temperature", [0.05, 0.1, 0.3])
def test_minima_are_those_of_the_divergence(temperature: float) -> None:
    found = actor.minima(temperature)
    expected = {0.05: 2, 0.1: 3, 0.3: 3}[temperature]
    assert len(found) == expected
    for law in found.values():
        best = minimize(divergence, law, (temperature,))
        assert law == pytest.approx(best.x, abs=2e-3)
        seen = ActorLab(temperature=temperature, mean=law[0], log_std=law[1], updates=0).numbers()
        assert seen["KL to the softmax"] == pytest.approx(best.fun, abs=1e-4)
        # the price of an actor: E[Q] + temperature * entropy is the soft value less temperature * KL
        log_p, value = actor.parts(np.array(law[0]), np.array(law[1]))
        soft = temperature * TWO.at(temperature).log_partition
        assert value - temperature * log_p == pytest.approx(soft - seen["price λ KL"], abs=1e-9)


def test_a_training_ends_in_a_minimum() -> None:
    for start, name in (((0.7, -2.0), "right hill"), ((-0.7, -2.0), "left hill"), ((0.0, 0.0), "average")):
        trained = actor.descend(start, 0.1)
        assert trained[-1] == pytest.approx(actor.minima(0.1)[name], abs=0.02)


def test_a_landscape_that_grows_leads_a_narrow_start_to_the_average() -> None:
    lab = ActorLab(mean=0.1, log_std=-1.5)
    assert lab.numbers()["right hill, actor"] > 0.99
    assert 0.4 < lab.numbers(grow=True)["right hill, actor"] < 0.7


def test_the_actor_does_not_come_back_the_way_it_went() -> None:
    """From the left hill, warmed until that minimum ends and cooled again, it lands on the right one."""
    lab = ActorLab(mean=-0.7, log_std=-2.0)
    up = {t: lab.numbers(turns=t)["right hill, actor"] for t in (0, 10, 30, 60)}
    assert up[0] < 0.01 and up[10] < 0.01 and 0.4 < up[30] < 0.6 and up[60] > 0.99


@pytest.mark.browser
def test_the_page_computes_the_same(tmp_path: Path) -> None:
    lab = ActorLab()
    query = "?temperature=99&mean=-7"  # beyond the sliders
    with on_a_phone(tmp_path, lab, query=query, still=True) as (page, (name,)):
        settings = page.evaluate("id => softqLab.report(id).settings", name)
        assert (settings["temperature"], settings["mean"]) == (actor.WARM, -2.0)
        for chosen in (
            {"temperature": 0.1, "mean": 0.1, "log_std": -1.5, "grow": True},
            {"temperature": 0.07, "grow": False, "updates": 60},
            {"temperature": 0.2, "mean": -0.7, "turns": 45},
        ):
            report = set_all(page, name, chosen)
            assert report["numbers"] == pytest.approx(lab.numbers(**report["settings"]), abs=1e-4)
        page.evaluate("id => softqLab.lab(id).restore()", name)
        page.click("text=Warm up and cool down")  # at once, since motion is not wanted
        page.wait_for_function("id => softqLab.report(id).settings.turns === 60", arg=name)
        grip = page.get_by_role("slider", name="Start of the training")
        grip.focus()
        page.keyboard.press("ArrowRight")
        assert page.evaluate("id => softqLab.report(id).settings.mean", name) > -2.0
        assert "log std" in grip.get_attribute("aria-valuetext")
