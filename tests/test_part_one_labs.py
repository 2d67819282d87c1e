"""The labs of chapters 2 and 3: what they add to curves, against exact numbers, and the page against Python."""

from pathlib import Path

import numpy as np
import pytest
from book_browser import on_a_phone, set_all

from softq import landscapes
from softq.exact import bounds
from softq.exact.bellman import fixed_points
from softq.exact.mdp import door
from softq.exact.separable import Separable
from softq.exact.volume import PowerVolume
from softq.lab import BackupLab, VolumeLab
from softq.lab.backup import BACKUPS, branch

WARMING, COOLING = (0.15, 0.19, 0.21), (0.1, 0.08, 0.065)  # the branches end at 0.2007 and at 0.0731


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


@pytest.mark.browser
def test_the_page_computes_the_same(tmp_path: Path) -> None:
    lab, reached = BackupLab(start=2.0, begin="last", temperature=0.1), []
    with on_a_phone(tmp_path, lab, query="?reward=99&reward=0.2") as (page, (name,)):
        set_all(page, name, {"reward": 0.2, "start": 2.0})
        for temperature in WARMING + COOLING:
            report = set_all(page, name, {"temperature": temperature})
            chosen = report["settings"]
            assert report["numbers"] == pytest.approx(lab.numbers(**chosen), rel=1e-5)
            reached.append(round(report["numbers"]["reached"]))
        assert reached == [2, 2, 0, 0, 0, 2]

    lab = parabola_lab()
    with on_a_phone(tmp_path, lab, query="?dim=99") as (page, (name,)):
        for dim in (17, 6, 1):
            report = set_all(page, name, {"dim": dim})
            assert report["numbers"] == pytest.approx(lab.numbers(dim=dim), rel=3e-3)
        assert set_all(page, name, {"landscape": "abs1"})["settings"]["dim"] == 1
        assert set_all(page, name, {"dim": 2})["settings"]["landscape"] == "quad1"
