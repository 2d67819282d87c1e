"""`PathsLab`: what each method does on multigoal: paths while it learns, its moves beside the softmax, its counts."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import optimize, special

from softq import plots
from softq.envs.multigoal import MultiGoal
from softq.lab.base import Lab
from softq.lab.controls import Choice, Slider

GOALS = ("east", "north", "west", "south", "none")
CELLS = 24  # along each side of the square of moves
MIDDLES = (np.arange(CELLS) + 0.5) * 2 / CELLS - 1
LEVELS = 10  # of the critic, drawn as lines
DIALS = ((1.0, "as in training"), (0.333, "a third of it"), (3.0, "three times it"))
SCALE = 127 / 7  # a position in the page is a whole number of steps of 0.055
CAPTION = (
    "One training of each method on multigoal. Left: twenty paths from near the origin, coloured by the goal that they "
    "reach; choose the time in the training. Right: the moves at the state that you click (a ring), over level lines "
    "of the learned critic and its exact softmax (blue), at any temperature. Below: where 200 episodes from the exact "
    "origin end, in ten trainings by the method's own policy, and in ten by the exact softmax of its critics. Does "
    "MaxEntDP's softmax keep four sides? Turn the temperature until it does."
)
ALT = (
    "A square map with goals in the east, north, west and south and paths from the origin. Beside it a square of moves "
    "of the policy over the softmax of its critic. Ten thin bars show which goals ten trainings reach, and ten more "
    "those of the exact softmax."
)


class PathsLab(Lab):
    """Stored paths and moves of methods on multigoal, the exact softmax of their critics, and counts of goals.

    The tables are those that `softq visits multigoal` writes: `during`, `moves` and `critics` of --portrait, `counts`
    of the methods, and `variants`, which has the counts of the exact sampler. `titles` are the names of the methods
    that the reader sees. `alt` and `caption` are those of `Lab`.
    """

    kind = "paths"

    def __init__(
        self,
        during: pd.DataFrame,
        moves: pd.DataFrame,
        critics: pd.DataFrame,
        counts: pd.DataFrame,
        variants: pd.DataFrame,
        method: str = "maxentdp",
        titles: Mapping[str, str] | None = None,
        alt: str = ALT,
        caption: str = CAPTION,
    ):
        names = list(dict.fromkeys(critics["algorithm"]))
        self.titles = {name: name for name in names} | dict(titles or {})
        self.updates = sorted(int(x) for x in set(during["updates"]))
        by = ["algorithm", "updates", "episode"]
        self.during = {key: part[["x", "y"]].to_numpy() for key, part in during.groupby(by)}
        self.places = sorted({(float(x), float(y)) for x, y in critics[["x", "y"]].to_numpy()})
        self.q, self.temperatures, self.moves = {}, {}, {}
        for (name, x, y), part in critics.groupby(["algorithm", "x", "y"]):
            where = name, self.places.index((x, y))
            side = len(part) // CELLS
            blocks = part.iloc[:, 5:].to_numpy().reshape(CELLS, side, CELLS, side)
            self.q[where] = blocks.mean((1, 3))  # a row for each dy
            self.temperatures[where] = float(part["temperature"].iloc[0])
        for (name, x, y, factor), part in moves.groupby(["algorithm", "x", "y", "factor"]):
            dial = min(DIALS, key=lambda pair: abs(pair[0] - factor))[0]
            self.moves[name, self.places.index((x, y)), dial] = part[["dx", "dy"]].to_numpy()
        self.counts = {name: _counts(counts, name) for name in names}
        self.exact_counts = {name: _counts(variants, f"{name}, exact sampler") for name in names}
        controls = [
            Choice("method", "method", method, [(self.titles[name], name) for name in names]),
            Choice(
                "updates", "after updates", self.updates[-1], [(f"{x:,}", x) for x in reversed(self.updates)]
            ),
            Choice("place", "moves at", 0, [(_name(place), k) for k, place in enumerate(self.places)]),
            Slider("temperature", "temperature λ of the softmax", self.temperatures[method, 0], 0.03, 10.0),
            Choice("dial", "the method's temperature", 1.0, [(text, dial) for dial, text in DIALS]),
        ]
        super().__init__(controls, alt, caption)

    @classmethod
    def stored(cls, folder: Path | str, **more: Any) -> "PathsLab":
        """The lab of the tables in the folder `results/`."""
        names = ("during", "moves", "critics", "modes", "variants")
        return cls(*(pd.read_csv(Path(folder) / f"multigoal-{name}.csv") for name in names), **more)

    # Numbers

    def follow(self, changed: str, settings: dict[str, Any]) -> dict[str, Any]:
        if changed not in ("method", "place"):
            return {}
        return {"temperature": self.temperatures[settings["method"], settings["place"]]}

    def paths(self, method: str, updates: int) -> tuple[list[np.ndarray], np.ndarray]:
        """The paths `(time, 2)` at this time of the training, and the index in `GOALS` at which each ends."""
        found = [path for (name, when, _), path in self.during.items() if (name, when) == (method, updates)]
        return found, np.array([goal_of(path[-1]) for path in found])

    def softmax(self, method: str, place: int, temperature: float) -> np.ndarray:
        """The probabilities `(24, 24)` of the cells of moves by the critic, a row for each dy."""
        return special.softmax(self.q[method, place] / temperature)

    def own_moves(self, method: str, place: int, dial: float) -> np.ndarray:
        """The moves `(300, 2)` of the policy; those as in training if it has no dial."""
        return self.moves.get((method, place, dial), self.moves[method, place, 1.0])

    def implied(self, method: str, place: int, dial: float) -> float:
        """The temperature at which the exact softmax earns what the moves earn; 0 or infinite beyond its reach."""
        q = self.q[method, place]
        column, row = (np.clip((self.own_moves(method, place, dial) + 1) * CELLS / 2, 0, CELLS - 1)).T.astype(
            int
        )
        earned = q[row, column].mean()
        excess = lambda log: (special.softmax(q / np.exp(log)) * q).sum() - earned
        low, high = np.log(1e-4), np.log(1e4)
        if excess(low) < 0 or excess(high) > 0:
            return 0.0 if excess(low) < 0 else np.inf
        return float(np.exp(optimize.brentq(excess, low, high)))

    def numbers(self, **settings: Any) -> dict[str, float]:
        chosen = self.complete(settings)
        method, place, temperature = chosen["method"], chosen["place"], chosen["temperature"]
        own = self.own_moves(method, place, chosen["dial"])
        return {
            "goals reached": float(len(set(self.paths(method, chosen["updates"])[1]) - {4})),
            "rarest side, exact softmax": float(sides(self.softmax(method, place, temperature)).min()),
            "rarest side, policy": float(side_shares(own).min()),
            "implied temperature": self.implied(method, place, chosen["dial"]),
            "its own temperature": self.temperatures[method, place] * chosen["dial"],
        }

    # Renderings

    def figure(self, **settings: Any) -> Figure:
        """The paths, the moves over the softmax of the critic, and the counts of goals."""
        chosen = self.complete(settings)
        method, place, temperature = chosen["method"], chosen["place"], chosen["temperature"]
        paths, goals = self.paths(method, chosen["updates"])
        colours = [plots.look(goal)["color"] for goal in GOALS]
        white = {key: "white" for key in ("figure.facecolor", "savefig.facecolor")}
        with mpl.rc_context(plots.STYLE | white | {"font.size": 9}):
            figure = Figure(figsize=(7.2, 5.4))
            grid = figure.add_gridspec(2, 2, height_ratios=[2.2, 1])
            ax, square = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
            for path, goal in zip(paths, goals, strict=True):
                ax.plot(*path.T, color=colours[goal], linewidth=1, alpha=0.7)
            ax.plot(*np.asarray(MultiGoal().goals).T, "*", color=plots.look("goal")["color"], markersize=12)
            ax.plot(*np.array(self.places).T, "o", color=plots.INK, markersize=5, fillstyle="none")
            title = f"{self.titles[method]}, {chosen['updates']:,} updates"
            ax.set(
                xlim=(-7, 7), ylim=(-7, 7), xticks=[-5, 0, 5], yticks=[-5, 0, 5], aspect="equal", title=title
            )
            law = self.softmax(method, place, temperature)
            square.imshow(law, origin="lower", extent=(-1, 1, -1, 1), cmap="Blues", vmin=0)
            lines = {"colors": plots.INK, "linewidths": 0.6, "linestyles": "-", "alpha": 0.6}
            square.contour(MIDDLES, MIDDLES, self.q[method, place], levels=LEVELS, **lines)
            own = self.own_moves(method, place, chosen["dial"])
            square.plot(*own.T, ".", color=plots.SAMPLE, markersize=2.5, alpha=0.6)
            title = f"moves at {_name(self.places[place])}, λ = {temperature:.2g}"
            square.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], title=title)
            titles = "ten trainings, own policy", "ten trainings, exact softmax"
            for column, (title, table) in enumerate(
                zip(titles, (self.counts, self.exact_counts), strict=True)
            ):
                bars, left = figure.add_subplot(grid[1, column]), np.zeros(10)
                for k, colour in enumerate(colours if len(table[method]) else []):
                    bars.barh(range(10), table[method][:, k], left=left, color=colour, height=0.9)
                    left = left + table[method][:, k]
                bars.set(xlim=(0, 200), yticks=[], title=title)
                bars.invert_yaxis()
        return figure

    def tables(self) -> dict[str, Any]:
        methods = {}
        for name in self.counts:
            paths = [self.paths(name, updates)[0] for updates in self.updates]
            tables = []
            for k in range(len(self.places)):
                q, low = self.q[name, k], self.q[name, k].min()
                span = float(np.ptp(q))
                dials = [dial for dial, _ in DIALS if (name, k, dial) in self.moves]
                tables.append(
                    {
                        "q": _bytes(np.round((q - low) / span * 65535), "<u2"),
                        "low": float(f"{low:.6g}"),
                        "span": float(f"{span:.6g}"),
                        "temperature": self.temperatures[name, k],
                        "moves": {
                            f"{dial:g}": _bytes(np.round(self.moves[name, k, dial] * 127), "i1")
                            for dial in dials
                        },
                    }
                )
            methods[name] = {
                "paths": [_bytes(np.round(np.concatenate(several) * SCALE), "i1") for several in paths],
                "times": [[len(path) for path in several] for several in paths],
                "goals": [self.paths(name, updates)[1].tolist() for updates in self.updates],
                "places": tables,
                "counts": self.counts[name].tolist(),
                "exact": self.exact_counts[name].tolist(),
            }
        fixed = {"names": GOALS, "updates": self.updates, "states": self.places, "cells": CELLS}
        stars = np.asarray(MultiGoal().goals).tolist()
        return {"methods": methods, **fixed, "levels": LEVELS, "stars": stars}


def goal_of(point: np.ndarray) -> int:
    """The index in `GOALS` of the goal within whose radius `point` `(2,)` lies."""
    env = MultiGoal()
    order = [GOALS.index(side) for side in ("east", "west", "north", "south")]
    goals = env.goal_distance * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    distance = np.linalg.norm(goals - point, axis=1)
    # positions are stored with two digits
    return order[int(distance.argmin())] if distance.min() < env.goal_radius + 0.01 else 4


def sides(cells: np.ndarray) -> np.ndarray:
    """The masses of the quarters east, north, west and south of the square of moves `(n, n)`, a row for each dy.

    A cell on a diagonal counts half for each of its quarters.
    """
    x, y = np.meshgrid(MIDDLES, MIDDLES)
    ahead = x - np.abs(y), y - np.abs(x), -x - np.abs(y), -y - np.abs(x)
    mass = lambda d: cells[d > 1e-9].sum() + cells[np.abs(d) <= 1e-9].sum() / 2
    return np.array([mass(d) for d in ahead])


def side_shares(moves: np.ndarray) -> np.ndarray:
    """The shares `(4,)` of moves `(n, 2)` whose direction lies in the quarters east, north, west and south."""
    quarter = np.round(np.arctan2(moves[:, 1], moves[:, 0]) * 2 / np.pi).astype(int) % 4
    return np.bincount(quarter, minlength=4) / len(moves)


def _counts(table: pd.DataFrame, label: str) -> np.ndarray:
    """The goals of 200 episodes from the exact origin, `(trainings, 5)`; no rows for a label that is not there."""
    part = table[(table["algorithm"] == label) & (table["start"] == "fixed")]
    return part[list(GOALS)].to_numpy(int)


def _name(place: tuple[float, float]) -> str:
    return "the origin" if place == (0.0, 0.0) else f"({place[0]:g}, {place[1]:g})"


def _bytes(array: Any, kind: str) -> str:
    """The numbers of `array` as base64 of the numpy type `kind`."""
    return base64.b64encode(np.ascontiguousarray(array, kind).tobytes()).decode()
