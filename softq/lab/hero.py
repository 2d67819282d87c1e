"""`HeroLab`: the figure of the front page, two hills of values and the softmax of them, filled with draws."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from softq import landscapes, plots
from softq.lab.temperature import TemperatureLab


class HeroLab(TemperatureLab):
    """The landscape `twomode1`, its softmax at `temperature`, and exact draws as dots that fill the density.

    In a page the hills and a thermometer can be dragged, and one sentence says the numbers.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        draws: int = 900,
        alt: str = "Two hills of values over the actions from -1 to 1. Below them the density of their softmax, filled "
        "with dots, each of which is a draw.",
        caption: str = "",
    ):
        q = landscapes.get("twomode1")
        super().__init__(q, temperature, particles=draws, sampler="exact", alt=alt, caption=caption)
        self.kind = "hero"

    def sentence(self, **settings: Any) -> str:
        """What the figure shows, in numbers."""
        n, s = self.numbers(**settings), self.complete(settings)
        left, right = n["mass of the left hill"], n["mass of the right hill"]
        return (
            f"At temperature {s['temperature']:.3g} the left hill has {100 * left:.1f} % of the mass and the right "
            f"one {100 * right:.1f} %; the mean value is {n['exact E[Q]']:.3f} and the entropy "
            f"{n['exact entropy']:.2f} nats.".replace("-", "−")
        )

    def figure(self, **settings: Any) -> Figure:
        nodes, values, density = self.scene(**settings)
        actions = self.sample(**settings)[:, 0]
        heights = np.random.default_rng(1).uniform(size=len(actions))
        white = {key: "white" for key in ("figure.facecolor", "savefig.facecolor")}
        with mpl.rc_context(plots.STYLE | white):
            figure = Figure(figsize=(6.4, 3.6))
            above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 3])
            above.plot(nodes[:, 0], values, **plots.look("landscape"))
            above.set(ylabel="value Q", yticks=[])
            below.plot(nodes[:, 0], density, **plots.look("exact"))
            dots = heights * np.interp(actions, nodes[:, 0], density)
            below.plot(actions, dots, ".", color=plots.SAMPLE, markersize=3)
            below.set(xlabel="action", ylabel="softmax", yticks=[], xlim=(-1, 1), ylim=(0, None))
            figure.suptitle(self.sentence(**settings), fontsize=8.5, wrap=True)
        return figure
