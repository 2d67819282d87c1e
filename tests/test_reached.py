"""The table and the picture of stored laws: numbers by hand, and a refusal where a law is missing."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from softq.experiments import reached
from softq.utils.errors import SoftqError


def one(method: str, seed: int, tv: float, setting: str = "small") -> dict:
    row = {"method": method, "setting": setting, "landscape": "bandit", "seed": seed, "temperature": "0.1 Q"}
    numbers = {"tv": tv, "tv_floor": 0.03, "mean_q": 0.5, "exact_mean_q": 0.9}
    return row | numbers | {"least_hill": 0.1, "largest_hill": 0.4}


LAWS = pd.DataFrame(
    [one("sac", 0, 0.2), one("sac", 1, 0.6), one("dqs", 0, 0.25, "code"), one("dqs", 0, 0.35)]
)


def test_rows_and_numbers() -> None:
    """The mean of the trainings with least and largest; a row for each preset, and the exact law first."""
    table = reached.table(LAWS, ("dqs", "sac"), "bandit").data
    assert list(table.index) == ["softmax", "DQS, code", "DQS (QNE)", "SAC"]
    assert list(table["TV"]) == ["0.03", "0.25", "0.35", "0.40 (0.20 to 0.60)"]
    assert list(table["trainings"]) == ["", "1", "1", "2"]
    assert table.loc["softmax", "mean Q"] == "0.90" and table.loc["softmax", "least hill"] == ""


def test_a_missing_law_is_refused() -> None:
    with pytest.raises(SoftqError, match="no 'sql' on 'bandit'"):
        reached.table(LAWS, ("sql",), "bandit")
    with pytest.raises(SoftqError, match="no 'sac' on 'twomode1'"):
        reached.table(LAWS, ("sac",), "twomode1")


def test_a_histogram_for_each_law() -> None:
    """Each panel has the draws of its own method, on the two hills only."""
    x = np.linspace(-0.9, 0.9, 5)
    parts = [
        pd.DataFrame({"method": method, "landscape": place, "x": sign * x**2 * (place == "twomode1")})
        for method, sign in (("sac", -1.0), ("dqs", 1.0))
        for place in ("twomode1", "bandit")
    ]
    figure = reached.histograms(pd.concat(parts), ("sac", "dqs"))
    shown = {ax.get_title(): [(bar.get_x(), bar.get_height()) for bar in ax.patches] for ax in figure.axes}
    assert list(shown) == ["SAC", "DQS (QNE)"]
    for (_, bars), sign in zip(shown.items(), (-1, 1), strict=True):
        assert sum(height for _, height in bars) * 0.05 == pytest.approx(1)
        filled = [at for at, height in bars if height > 0]
        assert len(filled) == 3 and all(sign * (at + 0.025) > 0 or abs(at) < 0.06 for at in filled)
    plt.close(figure)
