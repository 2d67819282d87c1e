"""`ActorLab`: SAC's actor on two hills: its loss over mean and spread, its way downhill, and what it remembers.

The actor is a = tanh(mean + std * z) with a standard normal z, and its loss is E[log p(a) - Q(a) / temperature], the
KL divergence to the softmax up to a constant. The expectation is a sum over nodes of z, and so are its slopes.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtr

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.lab.controls import Slider, Toggle
from softq.lab.curves import Curve, CurveLab, Panel

Z = np.linspace(-6, 6, 161)
NODE = np.exp(-(Z**2) / 2) / np.exp(-(Z**2) / 2).sum()
LOG_NORMAL = float(NODE @ (-(Z**2) / 2)) - np.log(2 * np.pi) / 2  # the mean log-density of z
UPDATES, RATE = 400, 0.03
MEANS, LOG_STDS = (-2.0, 2.0), (-4.0, 1.0)  # the limits of the map
LOW, HIGH = np.array([MEANS[0], LOG_STDS[0]]), np.array([MEANS[1], LOG_STDS[1]])
SHAPE, LEVELS = (80, 60), (0.05, 20.0)  # its cells, and the KL divergences between which its shades differ
WARM, COLD, TURNS = 0.6, 0.03, 60
GRID = (np.arange(1000) + 0.5) / 500 - 1
STARTS = {"right hill": (0.69, -2.0), "left hill": (-0.69, -2.0), "average": (0.0, -0.2)}
HILLS = landscapes.get("twomode1").bumps


def q(a: np.ndarray) -> np.ndarray:
    """The two hills of `twomode1`."""
    return np.sum([h * np.exp(-(((a - c[0]) / w) ** 2) / 2) for h, c, w in HILLS], axis=0)


def q_slope(a: np.ndarray) -> np.ndarray:
    each = [-h * (a - c[0]) / w**2 * np.exp(-(((a - c[0]) / w) ** 2) / 2) for h, c, w in HILLS]
    return np.sum(each, axis=0)


def log_one_minus(u: np.ndarray) -> np.ndarray:
    """log(1 - tanh(u)^2)."""
    size = np.abs(u)
    return 2 * (np.log(2) - size - np.log1p(np.exp(-2 * size)))


def parts(mean: np.ndarray, log_std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E[log p] and E[Q] of actors, `(...)`, from which the loss at every temperature follows."""
    u = np.asarray(mean)[..., None] + np.exp(np.asarray(log_std))[..., None] * Z
    return LOG_NORMAL - log_std - log_one_minus(u) @ NODE, q(np.tanh(u)) @ NODE


def inside(law: np.ndarray) -> np.ndarray:
    """The nearest point of the map."""
    return np.minimum(np.maximum(law, LOW), HIGH)


def loss(law: np.ndarray, temperature: float) -> float:
    """E[log p - Q / temperature] of one actor `(2,)`."""
    log_p, value = parts(law[0], law[1])
    return float(log_p - value / temperature)


def slopes(law: np.ndarray, temperature: float, growth: float = 1.0) -> np.ndarray:
    """The loss's derivatives by mean and log std, `(2,)`, on the landscape times `growth`."""
    std = np.exp(law[1])
    u = law[0] + std * Z
    a = np.tanh(u)
    each = 2 * a - growth / temperature * q_slope(a) * (1 - a * a)
    return np.array([each @ NODE, (each * std * Z) @ NODE - 1])


def descend(start: tuple[float, float], temperature: float, grow: bool = False) -> np.ndarray:
    """Adam's way from a start, `(UPDATES + 1, 2)`: mean and log std after each update, with a rate that falls to zero.

    If `grow`, the landscape rises to its full height during the first half.
    """
    law, first, second = np.array(start, float), np.zeros(2), np.zeros(2)
    path = [law]
    for k in range(UPDATES):
        g = slopes(law, temperature, min(1.0, 2 * k / UPDATES) if grow else 1.0)
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        size = np.sqrt(second / (1 - 0.999 ** (k + 1))) + 1e-8
        law = law - RATE * (1 - k / UPDATES) * first / (1 - 0.9 ** (k + 1)) / size
        law = inside(law)
        path.append(law)
    return np.array(path)


def settle(law: np.ndarray, temperature: float, steps: int = 40) -> np.ndarray:
    """The law after steps downhill that are measured in the actor's own spread: it ends at the next minimum."""
    height = loss(law, temperature)
    for _ in range(steps):
        g = slopes(law, temperature)
        move = np.array([-0.5 * np.exp(2 * law[1]) * g[0], -0.25 * g[1]])
        move = np.minimum(np.maximum(move, -0.3), 0.3)
        if np.abs(move).max() < 1e-6:
            break
        for _ in range(8):  # a step that is too long is halved
            moved = inside(law + move)
            new = loss(moved, temperature)
            if new < height:
                break
            move = move / 2
        if new >= height:
            break
        law, height = moved, new
    return law


def turn(temperature: float, k: int) -> float:
    """The temperature after `k` of `TURNS` turns: up to `WARM` and back to `COLD`."""
    half = TURNS // 2
    if k <= half:
        return temperature * (WARM / temperature) ** (k / half)
    return WARM * (COLD / WARM) ** ((k - half) / half)


def right_share(law: np.ndarray) -> Any:
    """The mass on the right of zero, `(...)`, of laws `(..., 2)`."""
    return ndtr(law[..., 0] / np.exp(law[..., 1]))


def density(law: np.ndarray) -> np.ndarray:
    """The actor's density on `GRID`."""
    u = np.arctanh(GRID)
    return np.exp(-(((u - law[0]) / np.exp(law[1])) ** 2) / 2 - law[1] - log_one_minus(u)) / np.sqrt(
        2 * np.pi
    )


@lru_cache(1)
def surface() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Means, log stds, and E[log p] and E[Q] on their grid, `(log stds, means)`."""
    mean, log_std = np.linspace(*MEANS, SHAPE[0]), np.linspace(*LOG_STDS, SHAPE[1])
    return mean, log_std, *parts(*np.meshgrid(mean, log_std))


def kind_of(law: np.ndarray) -> str:
    share = float(right_share(law))
    return "right hill" if share > 0.9 else "left hill" if share < 0.1 else "average"


@lru_cache(128)
def minima(temperature: float) -> dict[str, tuple[float, float]]:
    """The minima of the loss by name, as far as they exist at this temperature."""
    found = {}
    for name, start in STARTS.items():
        law = settle(np.array(start), temperature, 200)
        if kind_of(law) == name:
            found[name] = (float(law[0]), float(law[1]))
    return found


@lru_cache(1)
def branches() -> dict[str, list[tuple[float, float]]]:
    """For each kind of minimum its temperatures and its mass on the right hill."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in STARTS}
    for t in np.geomspace(COLD, WARM, 41):
        for name, law in minima(float(t)).items():
            found[name].append((float(t), float(right_share(np.array(law)))))
    return found


@lru_cache(64)
def journey(start: tuple[float, float], temperature: float, grow: bool) -> tuple[np.ndarray, np.ndarray]:
    """The laws of a training `(UPDATES + 1, 2)`, and those while the temperature turns afterwards `(TURNS + 1, 2)`."""
    trained = descend(start, temperature, grow)
    followed = [settle(trained[-1], temperature)]
    for k in range(1, TURNS + 1):
        followed.append(settle(followed[-1], turn(temperature, k)))
    return trained, np.array(followed)


class ActorLab(CurveLab):
    """SAC's actor after `updates` of a training from `mean` and `log_std`, and after `turns` of the temperature.

    All turns together warm the trained actor up slowly and cool it down again. `grow` lets the landscape rise during
    the first half of the training. Raises `SoftqError` for a number outside the range of its slider.
    """

    kind = "actor"

    def __init__(
        self,
        temperature: float = 0.1,
        mean: float = 0.0,
        log_std: float = 0.0,
        grow: bool = False,
        updates: int = UPDATES,
        turns: int = 0,
        alt: str = "The loss of a squashed Gaussian over its mean and spread with the way of a training, its density "
        "beside the softmax, and its mass on the right hill against the temperature.",
        caption: str = "",
    ):
        controls = (
            Slider("temperature", "temperature λ", temperature, COLD, WARM),
            Slider("updates", "updates", updates, 0, UPDATES, log=False, integer=True),
            Toggle("grow", "the landscape grows", grow),
            Slider("turns", "warm up, cool down", turns, 0, TURNS, log=False, integer=True),
            Slider("mean", "first mean", mean, *MEANS, log=False),
            Slider("log_std", "first log std", log_std, *LOG_STDS, log=False),
        )
        super().__init__(controls, alt, caption)
        self.softmax = Boltzmann(landscapes.get("twomode1"), 0.1)

    def law(self, temperature: float, updates: int, grow: bool, turns: int, mean: float, log_std: float):
        """The actor `(2,)`, the temperature that it has now, and its way there `(n, 2)`."""
        trained, followed = journey((mean, log_std), temperature, grow)
        if not turns:
            return trained[updates], temperature, trained[: updates + 1]
        way = np.concatenate([trained, followed[: turns + 1]])
        return way[-1], turn(temperature, turns), way

    def view(self, **settings: Any) -> tuple[list[Panel], dict[str, float]]:
        law, now, way = self.law(**settings)
        exact = self.softmax.at(now)
        log_p, value = (float(x) for x in parts(law[0], law[1]))
        found = minima(now)
        kl_of = lambda x: float(np.subtract(*(np.array(parts(*x)) / (1, now)))) + exact.log_partition
        path = Curve(way[:, 0], way[:, 1], "way of the actor", "iterates")
        start, end = (settings["mean"], settings["log_std"], "uniform"), (law[0], law[1], "samples")
        points = [(*x, "landscape") for x in found.values()] + [start, end]
        map_panel = Panel("mean before tanh", "log std", [path], xlim=MEANS, ylim=LOG_STDS, points=points)
        laws = [
            Curve(GRID, exact.density(GRID[:, None]), "softmax", "exact"),
            Curve(GRID, density(law), "actor", "samples"),
        ]
        law_panel = Panel("action", "density", laws, xlim=(-1, 1), ylim=(0, 8))
        times = np.geomspace(COLD, WARM, 41)
        softmax = np.array([self.softmax.at(t).mean(lambda a: a[:, 0] > 0) for t in times])
        shares = [Curve(times, softmax, "softmax", "exact")]
        for i, points_of in enumerate(branches().values()):
            x, y = np.array(points_of).T
            shares.append(Curve(x, y, "" if i else "minima of the loss", "maximum"))
        if settings["turns"]:
            t = np.array([turn(settings["temperature"], k) for k in range(settings["turns"] + 1)])
            trace = right_share(way[-len(t) :])
            shares.append(Curve(t, trace, "way of the actor", "iterates"))
        share = float(right_share(law))
        share_panel = Panel(
            "temperature λ",
            "mass on the right hill",
            shares,
            (True, False),
            (COLD, WARM),
            (-0.05, 1.05),
            [(now, share, "samples")],
        )
        right = float(exact.mean(lambda a: a[:, 0] > 0))
        kl = log_p - value / now + exact.log_partition
        numbers = {
            "temperature now": now,
            "right hill, actor": share,
            "right hill, softmax": right,
            "KL to the softmax": kl,
        }
        numbers |= {"price λ KL": now * kl, "mean Q, actor": value, "mean Q, softmax": exact.mean_value}
        return [map_panel, law_panel, share_panel], numbers | {
            f"KL, {name}": kl_of(x) for name, x in found.items()
        }

    def figure(self, **settings: Any) -> Figure:
        figure = super().figure(**settings)
        settings = self.complete(settings)
        mean, log_std, log_p, value = surface()
        _, now, _ = self.law(**settings)
        height = log_p - value / now + self.softmax.at(now).log_partition
        levels = np.geomspace(*LEVELS, 16)
        place, share = figure.axes[0], figure.axes[2]
        place.contourf(
            mean, log_std, height, levels, norm="log", cmap="Blues_r", alpha=0.6, extend="both", zorder=0
        )
        share.set_xticks([0.03, 0.1, 0.3, 0.6], ["0.03", "0.1", "0.3", "0.6"])
        share.minorticks_off()
        return figure

    def tables(self) -> dict[str, Any]:
        lines = {
            name: [[float(f"{x:.6g}") for x in row] for row in rows] for name, rows in branches().items()
        }
        return {
            "hills": [[h, c[0], w] for h, c, w in HILLS],
            "branches": lines,
            "starts": STARTS,
            "counts": {"updates": UPDATES, "turns": TURNS, "shape": SHAPE, "cells": len(GRID)},
            "rate": RATE,
            "levels": LEVELS,
            "ends": {"cold": COLD, "warm": WARM},
        }
