"""The figures that several chapters draw, in one style.

The background is transparent and the ink a middle grey, so that a figure can be read on a light and on a dark page.
Colour-blind readers can tell the colours apart. The exact law is always blue and a sampler always orange.
"""

from collections.abc import Callable, Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.image import AxesImage

from softq.exact.boltzmann import Boltzmann
from softq.exact.values import evaluate
from softq.utils.errors import SoftqError, suggest

EXACT, SAMPLE = "#0077bb", "#e0700a"
CYCLE = (EXACT, SAMPLE, "#009e73", "#cc6699", "#8c7ae6", "#b58900", "#4a96cc")
# Text on white and on the black ground that figures have on a dark page: its contrast is at least 4.5 on both.
INK = "#70767c"
# The colours and the dashes by the names that the labs' scripts use too.
ROLES = dict(zip(("exact", "sample", "third", "fourth", "fifth", "sixth"), CYCLE, strict=False)) | {
    "ink": INK
}
STYLES: dict[str, Any] = {
    "line": "-",
    "dash": (0, (5, 2)),
    "dot": (0, (1.5, 1.5)),
    "dashdot": (0, (5, 1.5, 1.5, 1.5)),
}
# One look for one thing, in all figures and labs: its role, which gives the colour, and its dashes.
CONCEPTS = {
    # laws and values
    "exact": ("exact", "line"),
    "samples": ("sample", "line"),
    "uniform": ("ink", "dot"),
    "maximum": ("ink", "dash"),
    "entropy": ("third", "line"),
    "landscape": ("ink", "line"),
    "tolerance": ("exact", "dot"),
    "temperature": ("sample", "dot"),
    "gaussian": ("fourth", "dashdot"),
    # backups of a value
    "boltzmann": ("exact", "line"),
    "boltzmann from the optimum": ("exact", "dash"),
    "soft": ("sample", "dash"),
    "mellowmax": ("third", "dot"),
    "diagonal": ("ink", "dot"),
    "iterates": ("fourth", "line"),
    # the price of softness and what bounds it
    "gap": ("exact", "line"),
    "theorem 1": ("sample", "dash"),
    "lambert": ("third", "dash"),
    "log-volume": ("fourth", "dash"),
    "free energy": ("fifth", "dashdot"),
    "trivial": ("ink", "dot"),
    "integrated": ("sixth", "dot"),
    "lambert one": ("third", "dot"),
    # the distance of resampled actions and what bounds it
    "tv": ("exact", "line"),
    "jensen": ("third", "dash"),
    "variance": ("third", "dot"),
    "lemma 3": ("sample", "dashdot"),
    "theorem 2": ("fourth", "dot"),
    "sweeps": ("fifth", "line"),
    # the two rules at a wall, and what bounds the distance of a chain
    "reflect": ("third", "line"),
    "project": ("sample", "dash"),
    "as printed": ("fourth", "dash"),
    "corrected": ("third", "dashdot"),
    # estimates of a noised score
    "qne": ("sample", "line"),
    "idem": ("third", "dash"),
    "combined": ("fourth", "dot"),
    "qsm": ("fifth", "dashdot"),
    # rules of a reverse process
    "sde": ("sixth", "dashdot"),
    "ancestral": ("sample", "dash"),
    "posterior": ("third", "dot"),
    "euler": ("fifth", "line"),
    "heun": ("fourth", "dashdot"),
    # sums for the log-density of a diffusion
    "left rule": ("sample", "dash"),
    "trapezoid rule": ("third", "dot"),
    "log-snr rule": ("fourth", "line"),
    # SVGD and its bandwidth: as printed, as in the official code, and repaired
    "printed": ("sample", "line"),
    "official": ("fourth", "dot"),
    "before tanh": ("third", "dash"),
    "squared": ("third", "line"),
    "fixed width": ("fifth", "dashdot"),
    # the choice of one end point out of several, and its temperature
    "arg max": ("sample", "dash"),
    "by weight": ("third", "dot"),
    "at random": ("fifth", "line"),
    "colder": ("fourth", "dash"),
    "best of S": ("fifth", "dot"),
    # a temperature that follows an entropy
    "thermostat": ("sample", "line"),
    "target": ("ink", "dash"),
    "floor": ("fourth", "dot"),
    # blurred landscapes, and a sampler whose slopes have length one
    "values blurred": ("sample", "line"),
    "density blurred": ("third", "dash"),
    "normalised": ("sample", "dash"),
    "drift": ("sample", "line"),
    "noise": ("third", "dash"),
    # the dimension of a space, and a formula beside what was measured
    "dim 1": ("sample", "line"),
    "dim 2": ("third", "line"),
    "dim 6": ("fourth", "line"),
    "dim 17": ("fifth", "line"),
    "formula": ("ink", "dot"),
    # goals, and the routes of the maze by their names in `softq.envs.maze`
    # goals, and the routes of the maze of `softq.envs.maze`
    "goal": ("third", "line"),
    "a left": ("exact", "line"),
    "a top": ("fifth", "line"),
    "b right": ("sample", "line"),
    "b bottom": ("fourth", "line"),
    "none": ("ink", "line"),
    # the goals of multigoal
    "east": ("exact", "line"),
    "north": ("fifth", "line"),
    "west": ("sample", "line"),
    "south": ("fourth", "line"),
}
# Each method has one look in all figures: the seven of a line differ in colour, and the three lines in their dashes.
DASHES = ("", (5, 2), (1.5, 1.5))
METHODS = (
    ("sac", "ddsq", "nclql", "maxentdp", "dqs", "sql", "lql"),
    ("qsm", "dacer", "dipo", "ddpg", "qvpo", "td3", "malaq"),
    ("meow", "s2ac", "mfp", "sdac", "dpmd", "aca", "lac"),
)
LOOKS = {
    name: (colour, dash)
    for names, dash in zip(METHODS, DASHES, strict=True)
    for name, colour in zip(names, CYCLE, strict=True)
}

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
    "axes.prop_cycle": mpl.cycler(color=CYCLE),  # pyrefly: ignore[missing-attribute]
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "image.cmap": "viridis",
}


def looks(labels: Iterable[str]) -> dict[str, tuple[str, Any]]:
    """The colour and the dashes of each label: those of `LOOKS` for a method, and free ones in their order for others.

    Raises `SoftqError` for more labels than there are looks.
    """
    labels = list(dict.fromkeys(labels))
    free = [look for name, look in LOOKS.items() if name not in labels]
    others = [label for label in labels if label not in LOOKS]
    if len(others) > len(free):
        raise SoftqError(f"{len(labels)} methods are too many for one figure; draw at most {len(LOOKS)}.")
    given = LOOKS | dict(zip(others, free, strict=False))
    return {label: given[label] for label in labels}


def look(concept: str) -> dict[str, Any]:
    """The colour and the dashes of a concept of `CONCEPTS`, as keyword arguments of `ax.plot`.

    Raises `SoftqError` for an unknown concept.
    """
    if concept not in CONCEPTS:
        raise SoftqError(
            f"no look of '{concept}'.{suggest(concept, CONCEPTS)} Looks are in softq.plots.CONCEPTS."
        )
    role, style = CONCEPTS[concept]
    return {"color": ROLES[role], "linestyle": STYLES[style]}


def use() -> None:
    """Set matplotlib's defaults to the style of the book, for all figures drawn afterwards."""
    mpl.rcParams.update(STYLE)


def grid(dim: int, resolution: int) -> np.ndarray:
    """Midpoints of a regular grid on [-1, 1]^dim, `(resolution**dim, dim)`; the last coordinate varies fastest."""
    line = (np.arange(resolution) + 0.5) * 2 / resolution - 1
    return np.stack(np.meshgrid(*[line] * dim, indexing="ij"), -1).reshape(-1, dim)


def density_1d(ax: Axes, q: Callable, temperature: float, resolution: int = 1000, **kwargs) -> None:
    """Draw the exact softmax density of a 1-D `q` as a line; `kwargs` go to `ax.plot`."""
    actions = grid(1, resolution)
    law = Boltzmann(q, temperature, dim=1)
    style: dict[str, Any] = {"color": EXACT, "label": "exact softmax"}
    ax.plot(actions[:, 0], law.density(actions), **style | kwargs)
    ax.set(xlim=(-1, 1), xlabel="action")
    ax.autoscale(axis="y")  # so that a taller curve drawn later raises the limit
    ax.set_ylim(bottom=0)


def histogram_1d(ax: Axes, actions: np.ndarray, bins: int = 40, **kwargs) -> None:
    """Draw samples `(n,)` or `(n, 1)` as a histogram of their density on [-1, 1]; `kwargs` go to `ax.hist`."""
    style: dict[str, Any] = {"color": SAMPLE, "alpha": 0.5, "label": "samples"}
    ax.hist(np.ravel(actions), bins=bins, range=(-1, 1), density=True, **style | kwargs)
    ax.set(xlim=(-1, 1), xlabel="action")


def landscape_2d(
    ax: Axes, q: Callable, temperature: float | None = None, resolution: int = 160, **kwargs
) -> AxesImage:
    """Draw a 2-D `q` as colours, or with a `temperature` its exact softmax density; `kwargs` go to `ax.imshow`."""
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
    """Draw samples `(n, 2)` as dots on the box; `kwargs` go to `ax.scatter`.

    Raises `SoftqError` for actions of another shape.
    """
    actions = np.asarray(actions)
    if actions.ndim != 2 or actions.shape[1] != 2:
        raise SoftqError(
            f"samples_2d draws actions of shape (n, 2), got {actions.shape}; reshape them first."
        )
    style: dict[str, Any] = {"s": 6, "color": SAMPLE, "edgecolors": "white", "linewidths": 0.3}
    dots = ax.scatter(actions[:, 0], actions[:, 1], **style | kwargs)
    ax.set(xlim=(-1, 1), ylim=(-1, 1), xticks=[-1, 0, 1], yticks=[-1, 0, 1], aspect="equal")
    return dots


def learning_curves(
    ax: Axes, frame: pd.DataFrame, x: str = "env_steps", y: str = "return", hue: str | None = None
) -> None:
    """Draw each seed as a thin line and the median over seeds as a thick one, in one colour for each value of `hue`.

    `frame` has one row for each seed and evaluation; `x`, `y` and `hue` name its columns.
    Raises `SoftqError` for a column that it lacks.
    """
    import seaborn as sns  # slow to import, and needed by no other figure

    missing = [name for name in (x, y, "seed", hue) if name is not None and name not in frame]
    if missing:
        raise SoftqError(f"no column '{missing[0]}' in the results; they have {', '.join(frame.columns)}.")
    style = {"color": EXACT} if hue is None else {"hue": hue, "palette": list(CYCLE[: frame[hue].nunique()])}
    thin = {"units": "seed", "estimator": None, "linewidth": 0.9, "alpha": 0.6, "legend": False}
    sns.lineplot(frame, x=x, y=y, ax=ax, **style, **thin)
    sns.lineplot(frame, x=x, y=y, ax=ax, **style, estimator="median", errorbar=None)
