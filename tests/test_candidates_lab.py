"""The lab of the candidates: its law against the exact one, its draws against its law, and the page against Python."""

from pathlib import Path

import numpy as np
import pytest
from book_browser import on_a_phone, set_all
from scipy import stats

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.exact.importance import Importance
from softq.lab import CandidatesLab
from softq.utils.errors import SoftqError

NAMES = ("spike1", "twomode1")


@pytest.fixture(scope="module")
def lab() -> CandidatesLab:
    return CandidatesLab([landscapes.get(name) for name in NAMES], alt="Candidates.", caption="Press <Draw>.")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("temperature", [0.05, 0.3])
def test_numbers_are_those_of_the_exact_law(lab: CandidatesLab, name: str, temperature: float) -> None:
    softmax = Boltzmann(landscapes.get(name), temperature, panels=3200)
    exact = Importance.of(softmax)
    for m in (2, 25):
        one = {"landscape": name, "num_candidates": m, "temperature": temperature}
        swept = exact.isir(m, 3)
        for sweeps in (0, 3):
            seen = lab.numbers(**one, sweeps=sweeps)
            assert seen["total variation"] == pytest.approx(swept[sweeps], abs=2e-3)  # 2,000 cells
            assert seen["effective sample size"] == pytest.approx(exact.ess(m), rel=1e-4)
            assert seen["mean value"] < seen["mean value of the softmax"]
            assert seen["mean value of the softmax"] == pytest.approx(softmax.mean_value, abs=1e-5)


@pytest.mark.parametrize("sweeps", [0, 2])
def test_survivors_follow_the_law(lab: CandidatesLab, sweeps: int) -> None:
    """Drawn survivors, on twenty cells, against the exact law and, as a check of the check, against the softmax."""
    softmax, law, _ = lab.exact(sweeps=sweeps)
    kept = np.concatenate([lab.pools(sweeps=sweeps, seed=seed)[2] for seed in range(8)])
    counts = np.histogram(kept, 20, (-1, 1))[0]
    chance = lambda p: stats.chisquare(counts, p.reshape(20, -1).sum(1) * len(kept)).pvalue
    assert chance(law) > 1e-4 and (sweeps or chance(softmax) < 1e-6)


def test_a_sweep_keeps_the_survivor_in_the_pool(lab: CandidatesLab) -> None:
    before = lab.pools(num_candidates=5)[2]
    pool, shares, kept = lab.pools(num_candidates=5, sweeps=1)
    assert (pool[:, -1] == before).all() and shares.sum(1) == pytest.approx(1)
    assert (kept[:, None] == pool).any(1).all()


def test_every_control_changes_the_picture(lab: CandidatesLab) -> None:
    first = lab.png()
    changes = {"landscape": "twomode1", "num_candidates": 9, "temperature": 0.2, "sweeps": 1, "seed": 3}
    assert {control.name for control in lab.controls} == set(changes)
    for name, value in changes.items():
        assert lab.png(**{name: value}) != first, name
    assert len(lab.html()) < 250_000


def test_bad_arguments() -> None:
    with pytest.raises(SoftqError, match="'quad2' has dim 2; this lab draws dim 1"):
        CandidatesLab([landscapes.get("quad2")])
    with pytest.raises(SoftqError, match=r"num_candidates must lie in \[2, 300\], got 1"):
        CandidatesLab([landscapes.get("quad1")], num_candidates=1)


@pytest.mark.browser
def test_the_page(lab: CandidatesLab, tmp_path: Path) -> None:
    """Numbers equal to Python's; draws, sweeps, a candidate of the reader's, and the keyboard."""
    query = "?num_candidates=99999&seed=2"  # beyond the slider
    with on_a_phone(tmp_path, lab, query=query, still=True) as (page, (name,)):
        report = lambda: page.evaluate("id => softqLab.report(id)", name)
        assert report()["settings"]["num_candidates"] == 300 and report()["drawn"] == 500
        for chosen in (
            {"num_candidates": 25},
            {"landscape": "twomode1", "temperature": 0.05, "num_candidates": 2},
            {"sweeps": 3},
            {"landscape": "spike1", "temperature": 0.1, "num_candidates": 25, "sweeps": 0},
        ):
            seen = set_all(page, name, chosen)
            assert seen["numbers"] == pytest.approx(lab.numbers(**seen["settings"]), abs=1e-6)
        button = lambda text: page.get_by_role("button", name=text, exact=True).click()
        for _ in range(3):
            button("Draw 500")
        button("Draw")
        seen = report()
        assert seen["drawn"] == 2001 and len(seen["pool"]["actions"]) == 25
        assert abs(seen["measured"]["tv"] - seen["measured"]["exact"]) < 2 * seen["measured"]["floor"]
        before = seen["measured"]
        button("Sweep")
        button("Sweep")
        assert report()["taken"] == 2 and report()["measured"]["exact"] < before["exact"] / 2
        assert report()["measured"]["tv"] < before["tv"]
        # the middle of the landscape, by keyboard: a candidate there
        page.locator("canvas").focus()
        page.keyboard.press("ArrowRight")
        assert "Cell: softmax" in page.locator(".softq-lab-hover").inner_text()
        page.keyboard.press("Enter")
        assert report()["note"].startswith("Your candidate at 0.0") and report()["drawn"] == 2001
        assert "percent" not in page.locator("canvas").get_attribute("aria-label")
        button("Reset")
        assert report()["settings"]["temperature"] == 0.1 and report()["drawn"] == 500
