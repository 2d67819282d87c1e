"""The still picture of a lab: the exact density and the particles, in one or two dimensions."""

import numpy as np
from matplotlib.figure import Figure

from softq import plots


def draw_1d(
    figure: Figure, nodes: np.ndarray, values: np.ndarray, density: np.ndarray, actions: np.ndarray
) -> None:
    """Draw Q, and below it the density and a histogram of the `actions` `(n, 1)`, over the `nodes` `(k, 1)`."""
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    above.plot(nodes[:, 0], values, color=plots.INK)
    above.set(ylabel="Q(a)", yticks=[])
    plots.histogram_1d(below, actions, label="particles")
    below.plot(nodes[:, 0], density, color=plots.EXACT, label="exact softmax")
    below.set(yticks=[])
    below.legend(fontsize=8)


def draw_2d(figure: Figure, numbers: np.ndarray, actions: np.ndarray) -> None:
    """Draw the `numbers` on a square grid of midpoints as an image, and the `actions` `(n, 2)` as dots."""
    ax = figure.subplots()
    side = round(np.sqrt(len(numbers)))
    ax.imshow(numbers.reshape(side, side).T, origin="lower", extent=(-1, 1, -1, 1), cmap="Blues")
    plots.samples_2d(ax, actions)
