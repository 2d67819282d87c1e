"""The still picture of a lab: the exact density and the particles, in one or two dimensions."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from softq import plots


def draw_1d(
    figure: Figure | SubFigure,
    nodes: np.ndarray,
    values: np.ndarray,
    density: np.ndarray,
    actions: np.ndarray,
    label: str = "particles",
) -> None:
    """Draw Q, and below it the density and a histogram of the `actions` `(n, 1)`, over the `nodes` `(k, 1)`."""
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    above.plot(nodes[:, 0], values, color=plots.INK)
    above.set(ylabel="Q(a)", yticks=[])
    plots.histogram_1d(below, actions, label=label)
    below.plot(nodes[:, 0], density, color=plots.EXACT, label="exact softmax")
    below.set(yticks=[])
    below.legend(fontsize=8)


def draw_2d(figure: Figure | SubFigure, numbers: np.ndarray, actions: np.ndarray) -> None:
    """Draw the `numbers` on a square grid of midpoints as an image, and the `actions` `(n, 2)` as dots."""
    ax = figure.subplots()
    side = round(np.sqrt(len(numbers)))
    ax.imshow(numbers.reshape(side, side).T, origin="lower", extent=(-1, 1, -1, 1), cmap="Blues")
    plots.samples_2d(ax, actions)


def draw_atoms(ax: Axes, actions: np.ndarray) -> None:
    """Draw points that several of the `actions` `(n, 2)` share as discs whose area is their number, with the number."""
    points, counts = np.unique(np.round(actions, 9), axis=0, return_counts=True)
    for point, count in zip(points[counts > 1], counts[counts > 1], strict=True):
        look = {"color": plots.SAMPLE, "edgecolors": "white", "clip_on": False, "zorder": 5}
        ax.scatter(*point, s=6 * count, **look)
        ax.annotate(str(count), point, fontsize=9, ha="center", va="center", zorder=6, color="black")


def draw_ridge(ax: Axes, reach: float) -> None:
    """Draw the curve on which a landscape with a Cassini ridge is highest: an eight between -reach and reach."""
    angle = np.linspace(-np.pi / 4, np.pi / 4, 100)
    radius = reach * np.sqrt(np.maximum(np.cos(2 * angle), 0))
    for side in (1, -1):
        line = side * radius * np.cos(angle), side * radius * np.sin(angle)
        ax.plot(*line, **plots.look("maximum") | {"linewidth": 1.5, "color": "black"})
