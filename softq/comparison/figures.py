"""Pictures of a comparison: learning curves, aggregates, performance profiles, times to a threshold, improvements."""

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from softq import plots
from softq.comparison.statistics import LEVEL, bootstrap, interquartile_mean
from softq.comparison.summary import first_times
from softq.utils.errors import SoftqError

AXES = {"env_steps": "environment steps", "updates": "updates", "seconds": "wall time of all seeds (s)"}
LETTERS, LINE = 13, 0.21  # of a title, in an inch; height in inches of a line of the legend
INTERVAL = f"{LEVEL:.0%} interval over seeds"


def panels(
    count: int, width: float = 3.2, height: float = 2.5, columns: int = 3
) -> tuple[Figure, list[Axes]]:
    """A figure with room for a legend on its right, and `count` panels in rows of at most `columns`."""
    columns = min(count, columns)
    rows = -(-count // columns)
    size = width * columns + 1.6, height * rows + 0.5
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in axes.flat[count:]:
        ax.remove()
    return figure, list(axes.flat[:count])


def title(figure: Figure, text: str) -> None:
    """Write `text` over the figure, in as many lines as it takes."""
    broken = textwrap.fill(text, int(LETTERS * figure.get_figwidth()))
    figure.suptitle(broken, x=0.01, ha="left", fontsize="medium")


def legend(figure: Figure, looks: Mapping[str, tuple[str, Any]]) -> None:
    """The methods with their looks on the right of the figure, which grows if they need more room."""
    least = LINE * (len(looks) + 1) + 0.7
    figure.set_figheight(max(figure.get_figheight(), least))
    style = {
        label: {"color": colour, "dashes": dash or (None, None)} for label, (colour, dash) in looks.items()
    }
    handles = [plt.Line2D([], [], label=label, **given) for label, given in style.items()]
    figure.legend(handles=handles, loc="outside right center", title="method")


def lines(ax: Axes, frame: pd.DataFrame, looks: Mapping[str, tuple[str, Any]], **kwargs: Any) -> None:
    """Draw a line for each `method` of `frame`, in its look; `kwargs` go to `seaborn.lineplot`."""
    given = {"hue": "method", "style": "method", "hue_order": list(looks), "style_order": list(looks)}
    given |= {"palette": {label: colour for label, (colour, _) in looks.items()}}
    given |= {"dashes": {label: dash for label, (_, dash) in looks.items()}, "legend": False}
    sns.lineplot(frame, ax=ax, **given, **kwargs)


def curves(table: pd.DataFrame, x: str = "env_steps") -> Figure:
    """The return of each method over `x` in each environment: interquartile mean over seeds, interval as a band."""
    table = having(table, x)
    # seeds of different runs took different times to the same number of updates
    table = table.assign(**{x: table.groupby(["method", "env", "updates"])[x].transform("mean")})
    looks, envs = plots.looks(table["method"]), table["env"].unique()
    figure, axes = panels(len(envs))
    over_seeds = lambda values: float(interquartile_mean([np.asarray(values)]))
    interval = lambda values: tuple(map(float, bootstrap(interquartile_mean, [np.asarray(values)])))
    for ax, env in zip(axes, envs, strict=True):
        here = table[table["env"] == env]
        kind = {
            "estimator": over_seeds,
            "errorbar": interval,
            "err_kws": {"alpha": opacity(looks), "linewidth": 0},
        }
        lines(ax, here, looks, x=x, y="return", **kind)
        ax.set(title=env, xlabel=AXES[x], ylabel="return of an evaluation")
        ax.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
    title(figure, f"Interquartile mean, {INTERVAL} ({seeds(table)})")
    legend(figure, looks)
    return figure


def having(table: pd.DataFrame, x: str) -> pd.DataFrame:
    """The rows of `table` that have `x`. Raises `SoftqError` when there is none."""
    if (found := table.dropna(subset=x)).empty:
        raise SoftqError(f"the results have no {x}; draw over env_steps or updates.")
    return found


def opacity(looks: Mapping[str, tuple[str, Any]]) -> float:
    """The opacity of the bands of so many methods, through which those behind can be seen."""
    return min(0.15, 0.9 / len(looks))


def seeds(table: pd.DataFrame) -> str:
    """The number of seeds of the methods in words: "3 seeds", or "2 to 5 seeds"."""
    counts = table.groupby(["method", "env"])["seed"].nunique()
    least, most = counts.min(), counts.max()
    return f"{least} to {most} seeds" if least < most else f"{most} seed{'s' if most > 1 else ''}"


def aggregates(summary: pd.DataFrame, envs: list[str], unit: str) -> Figure:
    """A panel for each aggregate: a dot for each method, its interval as a line; `unit` says what scores are."""
    names, looks = summary["statistic"].unique(), plots.looks(summary["method"])
    figure, axes = panels(len(names), 2.2, 0.9 + 0.25 * len(looks), columns=4)
    for i, (ax, name) in enumerate(zip(axes, names, strict=True)):
        here = summary[summary["statistic"] == name]
        palette = {label: colour for label, (colour, _) in looks.items()}
        ax.hlines(
            here["method"],
            here["low"],
            here["high"],
            colors=here["method"].map(palette),
            linewidth=5,
            alpha=0.4,
        )
        sns.scatterplot(here, x="value", y="method", hue="method", palette=palette, ax=ax, legend=False, s=40)
        ax.set(title=name, xlabel=unit, ylabel="")
        ax.set_ylim(len(looks) - 0.5, -0.5)
        if i:
            ax.set_yticklabels([])
    title(figure, f"Over {', '.join(envs)}; {INTERVAL}")
    return figure


def profiles(summary: pd.DataFrame, envs: list[str], unit: str) -> Figure:
    """The share of runs whose score is above a threshold, over the threshold, with pointwise intervals."""
    looks = plots.looks(summary["method"])
    figure, (ax,) = panels(1, 4.6, 3.2)
    lines(ax, summary, looks, x="at", y="value", drawstyle="steps-post")
    for method, here in summary.groupby("method", sort=False):
        colour = looks[str(method)][0]
        ax.fill_between(
            here["at"],
            here["low"],
            here["high"],
            step="post",
            color=colour,
            alpha=opacity(looks),
            linewidth=0,
        )
    ax.set(xlabel=unit, ylabel="share of runs above it", ylim=(-0.02, 1.02))
    title(figure, f"Over {', '.join(envs)}; pointwise {INTERVAL}")
    legend(figure, looks)
    return figure


def times(table: pd.DataFrame, thresholds: Mapping[str, float], window: int, x: str = "env_steps") -> Figure:
    """The share of runs that have reached the threshold of each environment, over `x`."""
    table = having(table, x)
    looks = plots.looks(table["method"])
    figure, axes = panels(len(thresholds))
    for ax, (env, threshold) in zip(axes, thresholds.items(), strict=True):
        end, steps = table.loc[table["env"] == env, x].max(), []
        for method, found in first_times(table, env, threshold, x, window).items():
            reached = np.sort(found[np.isfinite(found)])
            shares = np.arange(reached.size + 1) / found.size
            part = pd.DataFrame({x: [0, *reached, end], "share": [*shares, shares[-1]]})
            steps.append(part.assign(method=method))
        lines(ax, pd.concat(steps), looks, x=x, y="share", drawstyle="steps-post", estimator=None)
        ax.set(
            title=f"{env}: return {threshold:g}", xlabel=AXES[x], ylabel="share of seeds", ylim=(-0.02, 1.02)
        )
        ax.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
    over = f"the mean of {window} evaluations" if window > 1 else "an evaluation"
    title(figure, f"Seeds of which {over} has reached the return ({seeds(table)})")
    legend(figure, looks)
    return figure


def improvements(summary: pd.DataFrame, envs: list[str]) -> Figure:
    """The probability that a run of the method in the row is better than one of that in the column, as colours."""
    order = list(dict.fromkeys(summary["method"]))
    matrix = summary.pivot(index="method", columns="against", values="value").loc[order, order]
    side = 1.6 + 0.55 * len(order)
    figure, ax = plt.subplots(figsize=(side + 1.2, side))
    bar = {"label": "P(row better than column)"}
    sns.heatmap(
        matrix,
        vmin=0,
        vmax=1,
        center=0.5,
        cmap="PuOr",
        annot=True,
        fmt=".2f",
        ax=ax,
        cbar_kws=bar,
        square=True,
    )
    ax.set(xlabel="", ylabel="")
    ax.tick_params(length=0)
    ax.tick_params(axis="y", labelrotation=0)
    title(figure, f"Over {', '.join(envs)}")
    return figure
