"""The labs of chapters 2 and 3: what they add to curves, against exact numbers, and the page against Python."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from book_browser import on_a_phone, set_all

from softq import landscapes
from softq.exact import bounds
from softq.exact.bellman import (
    BOLTZMANN,
    HARD,
    SOFT,
    fixed_points,
    policy_iteration,
    softmax,
    value_iteration,
)
from softq.exact.boltzmann import Boltzmann
from softq.exact.mdp import MDP, door
from softq.exact.separable import Separable
from softq.exact.volume import PowerVolume
from softq.lab import BackupLab, FloodLab, RoomsLab, TrapLab, VolumeLab
from softq.lab.backup import BACKUPS, branch
from softq.lab.rooms import PLACES, SOLUTIONS, hill
from softq.utils.errors import SoftqError

WARMING, COOLING = (0.15, 0.19, 0.21), (0.1, 0.08, 0.065)  # the branches end at 0.2007 and at 0.0731
FLOOD = FloodLab([landscapes.get("quad2"), landscapes.get("lemniscate")])


def parabola_lab() -> VolumeLab:
    return VolumeLab([landscapes.get("quad1"), landscapes.get("abs1")])


@pytest.mark.parametrize("kind", BACKUPS)
def test_a_branch_runs_through_all_fixed_points(kind: str) -> None:
    temperatures, values = branch(kind, 0.2, 0.01, 0.9)
    inside = np.flatnonzero((temperatures > 0.05) & (temperatures < 1))
    for i in inside[:: len(inside) // 4]:
        found = [p.q[0] for p in fixed_points(door(0.2, 0.01, 0.9), BACKUPS[kind], temperatures[i], 20_000)]
        assert min(abs(np.array(found) - values[i])) < 1e-9
    if kind == "boltzmann":  # it turns back where two fixed points meet
        turns = np.flatnonzero(np.diff(np.sign(np.diff(temperatures))))
        assert temperatures[turns + 1] == pytest.approx([0.07309, 0.20072], rel=1e-3)


def test_the_learner_falls_off_the_fold_and_comes_back_at_the_other() -> None:
    lab, settings, reached = BackupLab(start=2.0, begin="last", temperature=0.1), {}, []
    lab.numbers()
    for temperature in WARMING + COOLING:
        settings |= {"temperature": temperature}
        settings |= lab.follow("temperature", lab.settings | settings)
        reached.append(lab.numbers(**settings)["reached"])
    assert np.array(reached).round() == pytest.approx([2, 2, 0, 0, 0, 2])


@pytest.mark.parametrize(("cost", "cycles"), [(0.11, True), (0.02, False)])
def test_the_trap_is_policy_iteration_on_the_door(cost: float, cycles: bool) -> None:
    room, first = door(-cost, 0.99, 0.9), np.array([0.3, 0.7])
    panels, seen = TrapLab(cost=cost, first=0.3).view(**TrapLab(cost=cost, first=0.3).settings)
    for curve, soft in zip(panels[1].curves, (False, True), strict=True):
        exact = policy_iteration(room, 0.05, 40, np.stack([first, first]), soft=soft)[:, 0, 0]
        assert curve.y == pytest.approx(exact, abs=1e-9)
    (plain,), (soft,) = (fixed_points(room, backup, 0.05, 20_000) for backup in (BOLTZMANN, SOFT))
    assert seen["fixed point"] == pytest.approx(plain.q[0])
    assert seen["limit of soft policy iteration"] == pytest.approx(soft.q[0])
    boltzmann = panels[0].curves[1]
    slope = np.interp(plain.q[0], boltzmann.x, np.gradient(boltzmann.y, boltzmann.x))
    assert seen["slope there"] == pytest.approx(slope, abs=0.01)
    assert (seen["higher"] - seen["last two values, lower"] > 0.1) == cycles == (seen["slope there"] < -1)


@pytest.mark.parametrize("name", SOLUTIONS)
def test_the_rooms_are_solved_as_any_decision_problem(name: str) -> None:
    """Three rooms and an end on 2,000 actions each, by value iteration, at the temperatures 0.1 and 0.4."""
    lab, a = RoomsLab(), (np.arange(2000) + 0.5) / 1000 - 1
    world = {"precision": 0.08, "pay": 0.5, "rest": 0.3, "closes": 0.2}
    rewards, moves = np.zeros((4, a.size)), np.zeros((4, a.size, 4))
    rewards[1], rewards[2] = 0.5 * hill(a, 0.0, 0.08), 0.3
    moves[0, :, 1], moves[0, :, 2] = hill(a, *PLACES["workshop"]), hill(a, *PLACES["lounge"])
    moves[0] /= np.maximum(1, moves[0].sum(-1, keepdims=True))
    moves[0, :, 0] = np.maximum(0, 1 - moves[0].sum(-1))
    moves[1, :, 1], moves[2, :, 2], moves[3, :, 3] = hill(a, 0.0, 0.08), 0.8, 1
    moves[1, :, 3], moves[2, :, 3] = 1 - moves[1, :, 1], 0.2
    mdp = MDP(rewards, moves, np.full(a.size, 0.001), 0.9, np.arange(4) == 3)
    backup, start, _ = SOLUTIONS[name]
    best = value_iteration(mdp, HARD, 1.0, 150)[-1]
    found = lab.solve(name, np.array([0.1, 0.4]), **world)
    for i, temperature in enumerate((0.1, 0.4)):
        q = value_iteration(mdp, backup, temperature, 150, best if start == "optimum" else None)[-1]
        policy = softmax(q, mdp.weights, temperature)
        assert found.value[i] == pytest.approx((policy[0] * mdp.evaluate(policy)[0]).sum(), abs=1e-4)


@pytest.mark.parametrize("dim", [2, 6, 17])
def test_the_parabola_in_several_dimensions(dim: int) -> None:
    lab, volume = parabola_lab(), PowerVolume(1.0, 2.0, dim)
    law = Separable(landscapes.get("quad1"), 0.1, dim)
    seen = lab.numbers(dim=dim, temperature=0.1, eps=0.5)
    assert seen["Vol(ε)"] == pytest.approx(volume(0.5)) and seen["share of the box"] < 1
    assert seen["exact gap"] == pytest.approx(law.gap, rel=1e-9)
    assert seen["log-volume bound"] == pytest.approx(0.1 * (dim * np.log(2) - law.log_partition), rel=1e-9)
    assert seen["trivial bound"] == pytest.approx(dim / 3)
    least = bounds.lambert(volume, 0.1, t=None)
    assert least * (1 - 1e-6) <= seen["sharp bound, best t"] <= 1.002 * least


def test_a_dimension_is_one_of_the_parabola() -> None:
    lab = parabola_lab()
    assert lab.follow("dim", {"dim": 3, "landscape": "abs1"}) == {"landscape": "quad1"}
    assert lab.follow("landscape", {"dim": 3, "landscape": "abs1"}) == {"dim": 1}
    assert "dim" not in VolumeLab([landscapes.get("abs1")]).settings


def test_a_disc_is_flooded() -> None:
    """Of -|a|^2: the area is pi eps, and the regret of the softmax is exponential, away from the walls."""
    seen = FLOOD.numbers(eps=0.05, temperature=0.05)
    assert seen["Vol(ε)"] == pytest.approx(0.05 * np.pi) and seen["growth exponent at ε"] == pytest.approx(1)
    assert seen["share of the softmax"] == pytest.approx(1 - np.exp(-1), abs=2e-3)
    panels, _ = FLOOD.view("quad2", 0.05, 0.05)
    assert (panels[0].values >= panels[0].level).mean() == pytest.approx(seen["share of the box"], rel=0.02)


def test_a_ridge_is_flooded() -> None:
    """At the crossing Q is -(0.81 (x^2 - y^2))^2: Vol is sqrt(eps) (log(1/eps) / 0.81 + a constant)."""
    seen = FLOOD.numbers(landscape="lemniscate", eps=0.001, temperature=0.1)
    less = np.sqrt(0.001) / 0.81 / seen["Vol(ε)"]
    assert seen["growth exponent at ε"] == pytest.approx(0.5 - less, abs=0.005)
    assert seen["gap"] == pytest.approx(Boltzmann(landscapes.get("lemniscate"), 0.1).gap, rel=2e-3)
    with pytest.raises(SoftqError, match="give dim 2"):
        FloodLab([landscapes.get("quad1")])


def agree(page: Any, name: str, lab: Any, settings: dict[str, Any], **tolerance: float) -> dict[str, Any]:
    """Set the controls of the lab `name` in the page: its numbers are those of Python's `lab` there. Its report."""
    report = set_all(page, name, settings)
    assert report["numbers"] == pytest.approx(lab.numbers(**report["settings"]), **tolerance)
    return report


@pytest.mark.browser
def test_the_page_computes_the_same(tmp_path: Path) -> None:
    lab, trap, rooms, reached = BackupLab(start=2.0, begin="last", temperature=0.1), TrapLab(), RoomsLab(), []
    query = "?reward=99&reward=0.2&2.exit=9"
    with on_a_phone(tmp_path, lab, trap, rooms, query=query) as (page, (name, second, third)):
        set_all(page, name, {"reward": 0.2, "start": 2.0})
        for temperature in WARMING + COOLING:
            report = agree(page, name, lab, {"temperature": temperature}, rel=1e-5)
            reached.append(round(report["numbers"]["reached"]))
        assert reached == [2, 2, 0, 0, 0, 2]
        set_all(page, name, {"temperature": 1.0})
        page.get_by_role("button", name="Reset").first.click()  # to the first guess, not to what was reached
        assert page.evaluate("id => softqLab.report(id)", name)["settings"]["start"] == 2.0
        assert page.evaluate("id => softqLab.report(id)", second)["settings"]["exit"] == 0.5
        for chosen in (
            {"exit": 0.01},
            {"iteration": "soft", "temperature": 0.4, "first": 0},
            {"discount": 0},
        ):
            agree(page, second, trap, chosen, rel=1e-6, abs=1e-9)
        world = {"precision": 0.1, "rest": 0, "closes": 0, "temperature": 0.3}
        agree(page, third, rooms, world, rel=1e-5, abs=1e-6)

    lab = parabola_lab()
    with on_a_phone(tmp_path, lab, FLOOD, query="?dim=99&2.eps=-1") as (page, (name, second)):
        for dim in (17, 6, 1):
            assert agree(page, name, lab, {"dim": dim}, rel=3e-3)["settings"]["dim"] == dim
        assert set_all(page, name, {"landscape": "abs1"})["settings"]["dim"] == 1
        assert set_all(page, name, {"dim": 2})["settings"]["landscape"] == "quad1"
        for chosen in (
            {"eps": 0.05},
            {"landscape": "lemniscate", "eps": 0.003, "temperature": 1},
            {"eps": 2},
        ):
            agree(page, second, FLOOD, chosen, rel=5e-3, abs=1e-4)
        page.locator(f"#{second} canvas").focus()  # the keyboard's cursor begins in the middle of the map
        page.keyboard.press("Enter")
        middle = page.evaluate("id => softqLab.report(id)", second)["settings"]["eps"]
        assert middle == pytest.approx(1e-4)  # the crossing of the ridge is at the maximum
