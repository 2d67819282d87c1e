"""The picture of the page about MEow: its sets are in as many pieces as the caption says."""

from functools import cache

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from softq.experiments import unimodal

examples = cache(unimodal.examples)


def test_the_levels_hold_their_shares():
    """On a normal law: a share p is inside the circle of radius sqrt(-2 log(1 - p))."""
    line = (np.arange(200) + 0.5) / 20 - 5
    log_density = -(line[:, None] ** 2 + line**2) / 2
    np.testing.assert_allclose(unimodal.levels(log_density), np.log(1 - np.array(unimodal.SHARES)), atol=0.02)
    two = np.logaddexp(log_density, np.roll(log_density, 80, axis=0))
    assert [unimodal.pieces(log_density, 0.8), unimodal.pieces(two, 0.8)] == [1, 2]


@pytest.mark.parametrize("share", unimodal.SHARES)
def test_one_piece_before_tanh_and_two_for_the_hills(share):
    found = {name: unimodal.pieces(before, share) for name, (before, _) in examples().items()}
    assert found == {"weights 1": 1, "weights 2": 1, "two hills": 2}


def test_in_the_box_a_set_may_fall_into_pieces():
    """As the caption says of the second flow, and not of the first."""
    assert unimodal.pieces(examples()["weights 1"][1], 0.5) == 1
    assert unimodal.pieces(examples()["weights 2"][1], 0.5) == 3


def test_the_grid_holds_the_laws():
    """The mode before tanh is at 0, and no set that is drawn reaches the edge of the grid of u."""
    for name, (before, _) in examples().items():
        edge = np.concatenate([before[[0, -1]].ravel(), before[:, [0, -1]].ravel()])
        assert edge.max() < unimodal.levels(before)[-1], name
        if name != "two hills":
            middle = np.array(np.unravel_index(before.argmax(), before.shape)) - (len(before) - 1) / 2
            assert np.abs(middle).max() < 3, name


def test_the_figure_draws_two_rows_of_three(monkeypatch):
    mpl.use("agg")
    monkeypatch.setattr(unimodal, "examples", lambda temperature: examples())
    figure = unimodal.draw()
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["weights 1", "weights 2", "two hills", "", "", ""]
    assert all(len(ax.collections) == len(unimodal.SHARES) for ax in figure.axes)
    plt.close(figure)
