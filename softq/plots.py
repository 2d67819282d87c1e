"""The few figures that every chapter draws, in one style.

Figures have no ground of their own and ink of a middle grey, so that the same picture reads on a light page
and on a dark one. Colours are chosen so that colour-blind readers tell them apart; the exact law is always
blue and a sampler always orange.
"""

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.image import AxesImage

from softq.boltzmann import Boltzmann
from softq.errors import SoftqError
from softq.values import evaluate

EXACT, SAMPLE = "#0077bb", "#e0700a"
CYCLE = (EXACT, SAMPLE, "#009e73", "#cc6699", "#8c7ae6", "#b58900", "#56a4d9")
INK = "#757b82"

STYLE = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "figure.figsize": (6.4, 3.4),
    "figure.dpi": 120,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": mpl.cycler(color=CYCLE),
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "image.cmap": "viridis",
}


def use() -> None:
    """Draw everything that follows in the style of the book."""
    mpl.rcParams.update(STYLE)


def grid(dim: int, resolution: int) -> np.ndarray:
    """Midpoints of a regular grid on [-1, 1]^dim, `(resolution**dim, dim)`, last one fastest."""
    line = (np.arange(resolution) + 0.5) * 2 / resolution - 1
    return np.stack(np.meshgrid(*[line] * dim, indexing="ij"), -1).reshape(-1, dim)


def density_1d(ax: Axes, q: Callable, temperature: float, resolution: int = 1000, **kwargs) -> None:
    """The exact softmax density of a 1-D `q` as a line."""
    actions = grid(1, resolution)
    law = Boltzmann(q, temperature, dim=1)
    ax.plot(actions[:, 0], law.density(actions), **{"color": EXACT, "label": "exact softmax"} | kwargs)
    ax.set(xlim=(-1, 1), xlabel="action")
    ax.autoscale(axis="y")  # a later, taller curve raises the limit
    ax.set_ylim(bottom=0)


def histogram_1d(ax: Axes, actions: np.ndarray, bins: int = 40, **kwargs) -> None:
    """Samples `(n,)` or `(n, 1)` as a normalised histogram on [-1, 1]."""
    look = {"color": SAMPLE, "alpha": 0.5, "label": "samples"}
    ax.hist(np.ravel(actions), bins=bins, range=(-1, 1), density=True, **look | kwargs)
    ax.set(xlim=(-1, 1), xlabel="action")


def landscape_2d(
    ax: Axes, q: Callable, temperature: float | None = None, resolution: int = 160, **kwargs
) -> AxesImage:
    """A 2-D `q` as colours; with a `temperature`, its exact softmax density instead."""
    actions = grid(2, resolution)
    values = evaluate(q, actions)
    if temperature is not None:
        values = np.exp((values - values.max()) / temperature)
        values /= values.mean() * 4  # a density on a square of area 4
    image = ax.imshow(
        values.reshape(resolution, resolution).T, origin="lower", extent=(-1, 1, -1, 1), **kwargs
    )
    ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], aspect="equal")
    return image


def samples_2d(ax: Axes, actions: np.ndarray, **kwargs) -> PathCollection:
    """Samples `(n, 2)` as dots on the box."""
    actions = np.asarray(actions)
    if actions.ndim != 2 or actions.shape[1] != 2:
        raise SoftqError(
            f"samples_2d draws actions of shape (n, 2), got {actions.shape}; reshape them first."
        )
    look = {"s": 6, "color": SAMPLE, "edgecolors": "white", "linewidths": 0.3}
    dots = ax.scatter(actions[:, 0], actions[:, 1], **look | kwargs)
    ax.set(xlim=(-1, 1), ylim=(-1, 1), xticks=[-1, 0, 1], yticks=[-1, 0, 1], aspect="equal")
    return dots


def learning_curves(
    ax: Axes,
    frame: pd.DataFrame,
    x: str = "step",
    y: str = "return",
    hue: str | None = None,
    seeds: bool = True,
) -> None:
    """Median over seeds with the interquartile range as a band, one curve for each value of column `hue`.

    `frame` is tidy: one row for each seed and evaluation. With `seeds`, and a column `seed`, each seed is
    drawn faintly as well.
    """
    missing = [name for name in (x, y, hue) if name is not None and name not in frame]
    if missing:
        raise SoftqError(f"no column '{missing[0]}' in the results; they have {', '.join(frame.columns)}.")
    groups = [("median", frame)] if hue is None else list(frame.groupby(hue, sort=False))
    for number, (name, group) in enumerate(groups):
        colour = CYCLE[number % len(CYCLE)]
        if seeds and "seed" in group:
            for _, one in group.groupby("seed"):
                ax.plot(one[x], one[y], color=colour, alpha=0.3, linewidth=0.8)
        low, median, high = (group.groupby(x)[y].quantile(level) for level in (0.25, 0.5, 0.75))
        ax.fill_between(median.index, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.plot(median.index, median, color=colour, label=str(name))
    ax.set(xlabel=x, ylabel=y)
    if hue is not None:
        ax.legend()
