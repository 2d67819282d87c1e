"""What the pages on families of actors show of the stored laws: a table of distances, and a picture of draws.

The laws are those of `softq.experiments.actor_laws`: the actor of each method, trained on a landscape that is known.
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from softq import landscapes, plots
from softq.experiments.actor_laws import TEMPERATURE
from softq.experiments.settings import title, wrapped
from softq.utils.errors import SoftqError

HILLS = {"twomode1": "two hills", "bandit": "bandit"}  # landscapes, as the book calls them
MEASURED = {"tv": "TV", "mean_q": "mean Q", "least_hill": "least hill", "largest_hill": "largest hill"}


def span(values: pd.Series) -> str:
    """Mean, least and largest of a number over the trainings, such as "0.31 (0.28 to 0.35)"."""
    if len(values) == 1:
        return f"{values.iloc[0]:.2f}"
    return f"{values.mean():.2f} ({values.min():.2f} to {values.max():.2f})"


def rows(laws: pd.DataFrame, methods: tuple[str, ...], landscape: str) -> dict[str, pd.DataFrame]:
    """The trainings of the `methods` on one landscape, for each preset, by the name that the book gives it.

    The small preset has no name of its own: "SAC", but "DQS, code". Raises `SoftqError` for a method without trainings.
    """
    here = laws[laws["landscape"] == landscape]
    found = {}
    for method in methods:
        own = here[here["method"] == method]
        if own.empty:
            raise SoftqError(f"the stored laws have no '{method}' on '{landscape}'; run actor_laws for it.")
        for preset, part in own.groupby("setting", sort=False):
            name = title(method, str(preset)) + ("" if preset == "small" else f", {preset}")
            found[name] = part
    return found


def table(laws: pd.DataFrame, methods: tuple[str, ...], landscape: str) -> Styler:
    """A row for each law: mean and, in brackets, least and largest value of its trainings.

    The first row is the exact softmax, whose distance is what as many independent draws have on average. Raises
    `SoftqError` for a method without trainings on the landscape.
    """
    found = rows(laws, methods, landscape)
    first = next(iter(found.values())).iloc[0]
    exact = {"trainings": "", "temperature": f"{TEMPERATURE:g} Q", "TV": f"{first['tv_floor']:.2f}"}
    text = {"softmax": exact | {"mean Q": f"{first['exact_mean_q']:.2f}"}}
    for name, frame in found.items():
        settled = ", ".join(dict.fromkeys(frame["temperature"]))
        text[name] = {"trainings": str(len(frame)), "temperature": settled}
        text[name] |= {to: span(frame[was]) for was, to in MEASURED.items()}
    return wrapped(pd.DataFrame(text).T.fillna("").rename_axis(HILLS[landscape]))


def histograms(draws: pd.DataFrame, methods: tuple[str, ...]) -> Figure:
    """The law of each method on the two hills as a histogram of its draws, over the density of the softmax."""
    q, here = landscapes.get("twomode1"), draws[draws["landscape"] == "twomode1"]
    columns = 2 if len(methods) in (2, 4) else 3
    height = -(-len(methods) // columns)
    size = 5.6, 1.75 * height + 0.5
    figure, axes = plt.subplots(height, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(methods) :]:
        ax.remove()
    for ax, name in zip(axes.flat, methods, strict=False):
        plots.histogram_1d(ax, here[here["method"] == name]["x"].to_numpy())
        plots.density_1d(ax, q, TEMPERATURE)
        ax.set(title=title(name), ylim=(0, 10), xlabel="", xticks=[-1, 0, 1])
    for ax in axes[-1]:
        ax.set(xlabel="action")
    return figure
