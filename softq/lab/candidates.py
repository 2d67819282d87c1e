"""`CandidatesLab`: the candidates of one resampling, their shares of the weight, and the law of the one that survives.

On a landscape of one dimension m uniform actions are drawn, of which one survives with a probability proportional to
exp(Q / temperature). In a sweep the survivor competes again, with m - 1 fresh candidates. The exact law after a sweep
is that of `softq.exact.importance`, on NODES equal cells.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from scipy.special import logsumexp

from softq import plots
from softq.exact.importance import Importance
from softq.exact.values import evaluate
from softq.lab import export
from softq.lab.base import Lab
from softq.lab.controls import Choice, Integer, Slider
from softq.landscapes import Landscape
from softq.utils.errors import SoftqError

NODES, CELLS, DRAWS = 2000, 50, 500  # cells of the exact law, cells of the picture, draws at the start


class CandidatesLab(Lab):
    """SNIS and its sweeps on one of the 1-D `landscapes`, from `num_candidates` in [2, 300] at a `temperature`.

    `sweeps` in [0, 8] are taken after the first resampling, and `seed` decides the random numbers.
    Raises `SoftqError` for a landscape of another dimension or a number outside its range.
    """

    kind = "candidates"

    def __init__(
        self,
        landscapes: Sequence[Landscape],
        temperature: float = 0.1,
        num_candidates: int = 25,
        sweeps: int = 0,
        seed: int = 0,
        alt: str = "Candidates on a landscape, sized by weight, and the law of the one that survives.",
        caption: str = "",
    ):
        for landscape in landscapes:
            if landscape.dim != 1:
                raise SoftqError(f"'{landscape.name}' has dim {landscape.dim}; this lab draws dim 1.")
        self.landscapes = {landscape.name: landscape for landscape in landscapes}
        self.nodes = plots.grid(1, NODES)
        self.values = {name: evaluate(q, self.nodes) for name, q in self.landscapes.items()}
        names = [(name, name) for name in self.landscapes]
        controls = (
            Choice("landscape", "landscape", names[0][1], names),
            Slider("num_candidates", "candidates m", num_candidates, 2, 300, integer=True),
            Slider("temperature", "temperature λ", temperature, 0.02, 2.0),
            Slider("sweeps", "sweeps k", sweeps, 0, 8, log=False, integer=True),
            Integer("seed", "seed", seed, 0, 2**31 - 1),
        )
        super().__init__(controls, alt, caption)

    def law(self, landscape: str, temperature: float) -> Importance:
        """The law of the weight W under uniform actions. Weights below exp(-80) are set to exp(-80)."""
        log_w = self.values[landscape] / temperature
        log_w = log_w - logsumexp(log_w) + np.log(NODES)
        return Importance(np.maximum(log_w, -80.0), np.full(NODES, 1 / NODES))

    def exact(self, **settings: Any) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
        """The probabilities of the NODES cells under the softmax and after the last sweep, and the numbers."""
        s = self.complete(settings)
        law, values = self.law(s["landscape"], s["temperature"]), self.values[s["landscape"]]
        f = law.ratio(s["num_candidates"])
        if s["sweeps"]:
            f = law.sweep(s["num_candidates"], f, s["sweeps"])
        last = law.p_mass * f
        return (
            law.p_mass,
            last,
            {
                "total variation": float(np.abs(last - law.p_mass).sum() / 2),
                "mean value": float(last @ values),
                "mean value of the softmax": float(law.p_mass @ values),
                "effective sample size": law.ess(s["num_candidates"]),
            },
        )

    def numbers(self, **settings: Any) -> dict[str, float]:
        return self.exact(**settings)[2]

    def pools(self, **settings: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`(DRAWS, m)` candidates of the last resampling and their shares of the weight, and the `(DRAWS,)` survivors.

        After a sweep the last candidate of a pool is the survivor of the pool before.
        """
        s = self.complete(settings)
        rng, m = np.random.default_rng(s["seed"]), s["num_candidates"]
        actions, values = self.nodes[:, 0], self.values[s["landscape"]]
        kept, last = None, s["sweeps"]
        while True:
            pool = rng.uniform(-1, 1, (DRAWS, m))
            if kept is not None:
                pool[:, -1] = kept
            logits = np.interp(pool, actions, values) / s["temperature"]
            shares = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
            chosen = (np.cumsum(shares, 1) > rng.uniform(size=(DRAWS, 1))).argmax(1)
            kept, last = pool[np.arange(DRAWS), chosen], last - 1
            if last < 0:
                return pool, shares, kept

    def figure(self, **settings: Any) -> Figure:
        s = self.complete(settings)
        softmax, last, numbers = self.exact(**s)
        pool, shares, kept = self.pools(**s)
        actions, values = self.nodes[:, 0], self.values[s["landscape"]]
        at = lambda a: np.interp(a, actions, values)
        white = {key: "white" for key in ("figure.facecolor", "savefig.facecolor")}
        with mpl.rc_context(plots.STYLE | white | {"font.size": 9}):
            figure = Figure(
                figsize=(6.8, 5.2), layout="none"
            )  # to measure the margins would take half of the time
            figure.subplots_adjust(0.09, 0.09, 0.98, 0.93, hspace=0.08)
            above, below = figure.subplots(2, 1, sharex=True)
            above.plot(actions, values, **plots.look("landscape"))
            sizes = 4 + 500 * shares[-1]
            above.scatter(pool[-1], at(pool[-1]), s=sizes, color=plots.SAMPLE, alpha=0.6, linewidths=0)
            ring = {"s": 160, "facecolors": "none", "edgecolors": "black", "linewidths": 1.5}
            above.scatter(kept[-1:], at(kept[-1:]), label="the survivor", **ring)
            above.set(ylabel="value Q", xlim=(-1, 1))
            above.margins(y=0.15)
            above.legend(loc="upper left")
            edges = np.linspace(-1, 1, CELLS + 1)
            share = np.histogram(kept, edges)[0] / len(kept)
            below.stairs(
                share, edges, fill=True, color=plots.SAMPLE, alpha=0.3, label=f"{len(kept)} survivors"
            )
            for mass, look, label in (
                (softmax, "exact", "softmax"),
                (last, "samples", "law of the survivor"),
            ):
                line = plots.look(look)
                below.stairs(
                    mass.reshape(CELLS, -1).sum(1), edges, color=line["color"], linewidth=1.6, label=label
                )
            below.set(xlabel="action", ylabel="share of a cell", ylim=(0, None))
            below.legend(loc="upper left")
            text = ",  ".join(f"{name} {value:.3g}" for name, value in numbers.items())
            figure.suptitle(text, fontsize=8)
        return figure

    def tables(self) -> dict[str, Any]:
        rows = {name: export.landscape(q) for name, q in self.landscapes.items()}
        return {"landscapes": rows, "nodes": NODES, "cells": CELLS, "draws": DRAWS}
