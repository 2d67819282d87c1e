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
    assert table.loc["softmax", "mean Q"] == "0.90" and table.loc["softmax", "least hill"] == ""


def test_a_missing_law_is_refused() -> None:
    with pytest.raises(SoftqError, match="no 'sql' on 'bandit'"):
        reached.table(LAWS, ("sql",), "bandit")
    with pytest.raises(SoftqError, match="no 'sac' on 'twomode1'"):
        reached.table(LAWS, ("sac",), "twomode1")


def test_a_square_for_each_law() -> None:
    """Each method's own draws, and as many of the exact softmax, all in the box."""
    x = np.linspace(-0.9, 0.9, 5)
    parts = [pd.DataFrame({"method": m, "landscape": "bandit", "x": x, "y": s * x}) for m, s in PAIRS]
    figure = reached.clouds(pd.concat(parts), tuple(m for m, _ in PAIRS))
    shown = {ax.get_title(): np.asarray(ax.collections[0].get_offsets()) for ax in figure.axes}
    assert list(shown) == ["softmax", "SAC", "DQS (QNE)", "SQL"]
    assert np.allclose(shown["SAC"], np.stack([x, -x], -1)) and np.allclose(
        shown["SQL"], np.stack([x, x], -1)
    )
    assert shown["softmax"].shape == (5, 2) and np.abs(shown["softmax"]).max() <= 1
    plt.close(figure)


PAIRS = (("sac", -1.0), ("dqs", 0.5), ("sql", 1.0))
