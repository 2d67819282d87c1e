"""The lab of every method: its numbers against the tables and plain sums, and the page's numbers against Python's."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from book_browser import on_a_phone, set_all
from scipy import special

from softq.envs.multigoal import MultiGoal
from softq.experiments.mode_coverage.tasks import SIDES, multigoal_goal
from softq.lab import PathsLab
from softq.lab.paths import CELLS, GOALS, MIDDLES, goal_of, side_shares, sides

RESULTS = Path(__file__).parents[1] / "results"


@pytest.fixture(scope="module")
def lab() -> PathsLab:
    return PathsLab.stored(RESULTS, titles={"ddpg": "DDPG"})


def test_sides_of_a_uniform_law_are_quarters() -> None:
    assert sides(np.full((CELLS, CELLS), CELLS**-2.0)) == pytest.approx([0.25] * 4)
    east = np.zeros((CELLS, CELLS))
    east[CELLS // 2, -1] = 1
    assert sides(east).tolist() == [1, 0, 0, 0]
    assert side_shares(np.array([[0, 1], [0, -1], [-1, 0.2], [0.5, 0.2]])).tolist() == [0.25] * 4


def test_a_path_counts_for_the_goal_of_the_environment() -> None:
    assert GOALS[:4] == SIDES
    for point in ([4.2, 0.3], [0, 5.5], [-4.5, 0], [0.5, -5], [2, 2]):
        assert goal_of(np.array(point)) == int(multigoal_goal(MultiGoal(), np.array([point], np.float32)))


def test_the_softmax_is_that_of_the_stored_critic(lab: PathsLab) -> None:
    """In the shares of the sides; the finer grid of the table and that of the lab differ by little."""
    table = pd.read_csv(RESULTS / "multigoal-critics.csv")
    part = table[(table["algorithm"] == "malaq") & (table["x"] == 0)]
    fine = special.softmax(part.iloc[:, 5:].to_numpy() / 0.3).reshape(CELLS, 2, CELLS, 2).sum((1, 3))
    assert sides(lab.softmax("malaq", 0, 0.3)) == pytest.approx(sides(fine), abs=0.01)


def test_moves_of_a_softmax_imply_its_temperature(lab: PathsLab) -> None:
    rng = np.random.default_rng(0)
    law = lab.softmax("ddsq", 0, 0.8).ravel()
    row, column = np.divmod(rng.choice(law.size, 20_000, p=law), CELLS)
    drawn = np.stack([MIDDLES[column], MIDDLES[row]], -1)
    lab.moves["drawn", 0, 1.0], lab.q["drawn", 0] = drawn, lab.q["ddsq", 0]
    assert lab.implied("drawn", 0, 1.0) == pytest.approx(0.8, rel=0.03)
    del lab.moves["drawn", 0, 1.0], lab.q["drawn", 0]


def test_counts_are_those_of_the_table(lab: PathsLab) -> None:
    assert all(table.shape == (10, 5) and (table.sum(1) == 200).all() for table in lab.counts.values())
    without = {name for name, table in lab.exact_counts.items() if len(table) == 0}
    assert without == {"sac", "ddpg"}


@pytest.mark.browser
def test_the_page_computes_the_same(lab: PathsLab, tmp_path: Path) -> None:
    query = "?temperature=1e9&updates=7"
    with on_a_phone(tmp_path, lab, query=query) as (page, (name,)):
        call = lambda body, *given: page.evaluate(f"([lab, x]) => ({body})", [name, *given, None][:2])
        settings = call("softqLab.report(lab).settings")
        assert settings["temperature"] == 10 and settings["updates"] == 2500
        for method, place, dial in (
            ("maxentdp", 0, 1.0),
            ("ddsq", 1, 3.0),
            ("lql", 0, 0.333),
            ("ddpg", 0, 1.0),
        ):
            chosen = {"method": method, "place": place, "dial": dial, "updates": 750}
            report = set_all(page, name, chosen)
            assert report["settings"]["temperature"] == lab.temperatures[method, place]
            call("softqLab.set(lab, 'temperature', 0.4)")
            numbers = lab.numbers(temperature=0.4, **chosen)
            # the page has moves in 127ths, so its moves and the temperature they imply are others by about a hundredth
            assert call("softqLab.report(lab).numbers") == pytest.approx(numbers, rel=0.03, abs=2e-4)
        canvas = page.locator("canvas")
        canvas.focus()
        for _ in range(4):
            canvas.press("ArrowRight")
        canvas.press("Enter")
        assert page.locator(".softq-lab-hover").inner_text() != ""
        assert "DDPG" in canvas.get_attribute("aria-label")
