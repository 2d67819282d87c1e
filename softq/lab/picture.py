"""The lab as a still picture."""

import numpy as np
from matplotlib.figure import Figure

from softq import plots
from softq.lab.law import CELLS


def draw_1d(
    figure: Figure, nodes: np.ndarray, values: np.ndarray, density: np.ndarray, actions: np.ndarray
) -> None:
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    above.plot(nodes[:, 0], values, color=plots.INK)
    above.set(ylabel="Q(a)", yticks=[])
    plots.histogram_1d(below, actions, label="particles")
    below.plot(nodes[:, 0], density, color=plots.EXACT, label="exact softmax")
    below.set(yticks=[])
    below.legend(fontsize=8)


def draw_2d(
    figure: Figure, nodes: np.ndarray, values: np.ndarray, density: np.ndarray, actions: np.ndarray
) -> None:
    ax = figure.subplots()
    side = CELLS[2]
    ax.imshow(density.reshape(side, side).T, origin="lower", extent=(-1, 1, -1, 1), cmap="Blues")
    plots.samples_2d(ax, actions)
