"""`CriticLab`: one critic, one sampler and one backup, where a critic-only learner can go wrong.

The problem has one state. A wide hill on the left pays and ends the episode; a narrow one on the right pays little
and leads back. So the critic is Q(a) = left(a) + (PAY + DISCOUNT * V) * right(a) with the state's value V: two hills,
of which the right one grows with V, and every backup is a map of the number V.

The random numbers are hashes of counters, and an action is rounded to a multiple of 2^-20 after each step, so that the
script of the page computes the same actions.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from softq.exact.bellman import BOLTZMANN, LOG_MEAN_EXP, SOFT, Backup, FixedPoint, fixed_points
from softq.exact.boltzmann import nodes_and_weights
from softq.exact.mdp import MDP
from softq.lab.controls import Choice, Integer, Slider
from softq.lab.curves import Curve, CurveLab, Panel

HEIGHT, PAY, DISCOUNT = 0.8, 0.2, 0.9  # what the left hill pays, the right one, and the discount
CENTRES, WIDTHS = (-0.4, 0.6), (0.25, 0.05)
BEST = PAY / (1 - DISCOUNT)  # to take the right hill for ever
CROSSING = 0.4  # between the hills
BACKUPS = {"boltzmann": BOLTZMANN, "soft": SOFT, "mellowmax": LOG_MEAN_EXP}
BACKUP_TEXTS = {
    "boltzmann": "mean of Q over its actions",
    "soft": "soft value, log-sum-exp",
    "mellowmax": "log-mean-exp",
}
SAMPLERS = {
    "exact": "exact softmax",
    "argmax": "QGLG as printed: best of ten",
    "random": "QGLG, any of the ten",
    "gentle": "QGLG, any of ten stable ones",
    "nclql": "NC-LQL's chain",
}
DRAWS, FEW, CANDIDATES = 1000, 200, 100  # actions of the histogram, and for a point of the map
STEPS = np.linspace(np.logspace(0, -4, 10), 1e-4, 20, axis=1)  # DDSQ's ten schedules
GENTLE = np.linspace(0.2 * np.logspace(0, -4, 10), 2e-5, 20, axis=1)  # in units of the stability limit
SIGMAS = np.geomspace(0.1, 0.001, 10)  # NC-LQL's levels, its step and its temperature
LAST_STEP, CHAIN_TEMPERATURE = 1e-4, 1 / 500
VALUES = np.linspace(0, 2.4, 17)  # at which the map of a sampler is computed
LINE = np.linspace(0, 2.4, 97)  # at which an exact backup is drawn
SWEEPS, BINS = 40, 40
GRID = (np.arange(800) + 0.5) / 400 - 1
ROUND = 2.0**20


def uniforms(stream: int, count: int) -> np.ndarray:
    """`count` numbers in (0, 1), hashes of a counter; another `stream` has others."""
    x = np.arange(count, dtype=np.uint32) + np.uint32(stream * 0x01000193)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return ((x ^ (x >> np.uint32(16))) + 0.5) / 4294967296


def normals(stream: int, count: int) -> np.ndarray:
    """`count` standard normal numbers, by Box and Muller from two streams."""
    radius = np.sqrt(-2 * np.log(uniforms(stream, count)))
    return radius * np.cos(2 * np.pi * uniforms(stream + 1, count))


def q(a: np.ndarray, value: np.ndarray | float) -> np.ndarray:
    """The critic at actions, where the state has the given `value`."""
    left, right = (np.exp(-(((a - c) / w) ** 2) / 2) for c, w in zip(CENTRES, WIDTHS, strict=True))
    return HEIGHT * left + (PAY + DISCOUNT * value) * right


def slope(a: np.ndarray, value: np.ndarray | float, sigma: float = 0.0) -> np.ndarray:
    """The derivative of the critic, blurred by noise of size `sigma` (beyond the walls, too)."""
    total = np.zeros(np.shape(a))
    for height, c, w in zip((HEIGHT, PAY + DISCOUNT * value), CENTRES, WIDTHS, strict=True):
        wide = w * w + sigma * sigma
        total = total - height * w / np.sqrt(wide) * (a - c) / wide * np.exp(-((a - c) ** 2) / wide / 2)
    return total


def reflect(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) <= 1, x, np.abs(np.mod(x - 1, 4) - 2) - 1)


def resampled(value: np.ndarray | float, temperature: float, count: int) -> np.ndarray:
    """Starts of QGLG, `(count,)` or, for a column of values, `(values, count)`: one of 100 candidates by weight."""
    candidates = (2 * uniforms(1, count * CANDIDATES) - 1).reshape(count, CANDIDATES)
    values = q(candidates, np.asarray(value)[..., None, None] if np.ndim(value) else value)
    weights = np.exp((values - values.max(-1, keepdims=True)) / temperature).cumsum(-1)
    below = weights < uniforms(2, count)[:, None] * weights[..., -1:]
    return np.take_along_axis(np.broadcast_to(candidates, weights.shape), below.sum(-1)[..., None], -1)[
        ..., 0
    ]


def stable_step(value: np.ndarray | float, temperature: float) -> np.ndarray | float:
    """The largest stable Langevin step, 4 * temperature / L with the curvature L of the steeper top."""
    steep = np.maximum(HEIGHT / WIDTHS[0] ** 2, (PAY + DISCOUNT * np.asarray(value)) / WIDTHS[1] ** 2)
    return 4 * temperature / steep


def ends_of(value: np.ndarray | float, temperature: float, count: int, gentle: bool) -> tuple[Any, Any]:
    """The starts `(..., count)` of `count` actions of QGLG and the ends of its ten schedules `(..., count, 10)`."""
    column = np.asarray(value)[..., None, None] if np.ndim(value) else value
    start = resampled(value, temperature, count)
    a = np.repeat(start[..., None], 10, -1)
    noise = normals(3, count * 20).reshape(count, 20)
    scale = stable_step(column, temperature) if gentle else 1.0
    for k in range(20):
        step = scale * (GENTLE if gentle else STEPS)[:, k]
        moved = a + step / 2 * slope(a, column) / temperature + np.sqrt(step) * noise[:, k, None]
        a = np.round(reflect(moved) * ROUND) / ROUND
    return start, a


def annealed(value: np.ndarray | float, count: int) -> np.ndarray:
    """NC-LQL's actions `(..., count)`: two steps at each of ten levels, slopes of length one, clipped at the walls."""
    column = np.asarray(value)[..., None] if np.ndim(value) else value
    a = np.broadcast_to(2 * uniforms(5, count) - 1, (*np.shape(value), count))
    noise = normals(6, count * 20).reshape(count, 20)
    for k in range(20):
        sigma = SIGMAS[k // 2]
        step = LAST_STEP * (sigma / SIGMAS[-1]) ** 2
        way = np.sign(slope(a, column, sigma))
        a = a + step / 2 * way / CHAIN_TEMPERATURE + np.sqrt(step) * noise[:, k]
        a = np.round(np.clip(a, -1, 1) * ROUND) / ROUND
    return a


def softmax(value: np.ndarray | float, temperature: float) -> np.ndarray:
    """The masses of the cells of `GRID` under the softmax, `(..., 800)`."""
    values = q(GRID, np.asarray(value)[..., None] if np.ndim(value) else value)
    p = np.exp((values - values.max(-1, keepdims=True)) / temperature)
    return p / p.sum(-1, keepdims=True)


def actions_of(sampler: str, value: np.ndarray | float, temperature: float, count: int) -> np.ndarray:
    """`count` actions of a sampler on the critic of each value, `(..., count)`."""
    if sampler == "nclql":
        return annealed(value, count)
    if sampler == "exact":
        mass = softmax(value, temperature).cumsum(-1)
        u = uniforms(7, count)
        cell = (mass[..., None, :] < u[:, None]).sum(-1)
        return GRID[np.minimum(cell, len(GRID) - 1)]
    _, ends = ends_of(value, temperature, count, sampler == "gentle")
    if sampler == "argmax":
        column = np.asarray(value)[..., None, None] if np.ndim(value) else value
        chosen = q(ends, column).argmax(-1)
    else:
        chosen = np.broadcast_to((uniforms(8, count) * 10).astype(int), ends.shape[:-1])
    return np.take_along_axis(ends, chosen[..., None], -1)[..., 0]


@lru_cache(256)
def sampled_map(sampler: str, temperature: float) -> np.ndarray:
    """The mean of Q over the actions of a sampler at each of `VALUES`, `(17,)`: the next value, if that is learned."""
    if sampler == "exact":
        return backed_up("boltzmann", VALUES, temperature)
    actions = actions_of(sampler, VALUES, temperature, FEW)
    return q(actions, VALUES[:, None]).mean(-1)


def backed_up(backup: str, value: np.ndarray, temperature: float) -> np.ndarray:
    """The next value by an exact backup, at each value."""
    weights = np.full(len(GRID), 2 / len(GRID))
    return BACKUPS[backup].value(q(GRID, np.asarray(value)[..., None]), weights, temperature)


def problem() -> MDP:
    """The decision problem, on quadrature nodes: its first state is the one that matters."""
    nodes, weights = nodes_and_weights(1, 60)
    stay = (q(nodes[:, 0], 1.0) - q(nodes[:, 0], 0.0)) / DISCOUNT
    transitions = np.zeros((2, len(stay), 2))
    transitions[0], transitions[1, :, 1] = np.stack([stay, 1 - stay], -1), 1
    rewards = np.stack([q(nodes[:, 0], 0.0), 0 * stay])
    return MDP(rewards, transitions, weights, DISCOUNT, np.array([False, True]))


@lru_cache(256)
def rests(backup: str, temperature: float) -> tuple[FixedPoint, ...]:
    """The fixed points of an exact backup."""
    chosen: Backup = BACKUPS[backup]
    return tuple(fixed_points(problem(), chosen, temperature, 400))


def stems(actions: np.ndarray, value: float, label: str, look: str) -> Curve:
    """Vertical lines from the axis to the critic at actions."""
    x = np.sort(actions)
    y = np.stack([0 * x, q(x, value), 0 * x], -1)
    return Curve(np.repeat(x, 3), y.ravel(), label, look)


class CriticLab(CurveLab):
    """The critic after some sweeps of value iteration, the actions that a sampler makes of it, and the value's way.

    `sampler` is one of `SAMPLERS`, `backup` one of `BACKUPS`, `start` the first guess of the value, `sweeps` their
    number and `action` the number of the action whose ten end points are drawn. Raises `SoftqError` for what a control
    does not offer.
    """

    kind = "critic"
    columns = 2

    def __init__(
        self,
        sampler: str = "argmax",
        backup: str = "boltzmann",
        temperature: float = 0.1,
        start: float = 0.0,
        sweeps: int = 40,
        action: int = 1,
        alt: str = "A critic with a wide and a narrow hill, the actions that a sampler draws from it beside the "
        "softmax, the gain of the state's value in a sweep, and the value after each sweep.",
        caption: str = "",
    ):
        controls = (
            Choice("sampler", "sampler", sampler, [(text, name) for name, text in SAMPLERS.items()]),
            Choice("backup", "backup", backup, [(text, name) for name, text in BACKUP_TEXTS.items()]),
            Slider("temperature", "temperature λ", temperature, 0.02, 1.0),
            Slider("start", "first guess of the value", start, 0.0, 2.4, log=False),
            Slider("sweeps", "sweeps", sweeps, 0, SWEEPS, log=False, integer=True),
            Integer("action", "action number", action, 1, DRAWS),
        )
        super().__init__(controls, alt, caption)

    def learned(
        self, sampler: str, backup: str, temperature: float, start: float, sweeps: int
    ) -> list[float]:
        """The value of the state before and after each sweep, `sweeps + 1` numbers."""
        path = [start]
        for _ in range(sweeps):
            if backup == "boltzmann" and sampler != "exact":
                path.append(float(np.interp(path[-1], VALUES, sampled_map(sampler, temperature))))
            else:
                path.append(float(backed_up(backup, np.array([path[-1]]), temperature)[0]))
        return path

    def view(
        self, sampler: str, backup: str, temperature: float, start: float, sweeps: int, action: int
    ) -> tuple[list[Panel], dict[str, float]]:
        path = self.learned(sampler, backup, temperature, start, sweeps)
        value = path[-1]
        actions = actions_of(sampler, value, temperature, DRAWS)
        law, mass = GRID[::2], softmax(value, temperature)
        critic = [Curve(law, q(law, value), "critic Q", "landscape")]
        taken = actions[action - 1 : action]
        if sampler in ("argmax", "random", "gentle"):
            _, ends = ends_of(value, temperature, action, sampler == "gentle")
            critic.append(stems(ends[action - 1], value, "ten ends of one action", "iterates"))
        critic.append(stems(taken, value, "the action", "samples"))
        marks = [(float(a), float(q(a, value)), curve.look) for curve in critic[1:] for a in curve.x[1::3]]
        top = 1.1 * max(HEIGHT, PAY + DISCOUNT * max(value, 1.0))
        critic_panel = Panel("action", "critic Q", critic, xlim=(-1, 1), ylim=(0, top), points=marks)

        counts = np.histogram(actions, BINS, (-1, 1))[0] / DRAWS * BINS / 2
        edges = np.repeat(np.linspace(-1, 1, BINS + 1), 2)[1:-1]
        cells = mass.reshape(BINS, -1).sum(-1)
        laws = [
            Curve(edges, np.repeat(cells * BINS / 2, 2), "softmax", "exact"),
            Curve(edges, np.repeat(counts, 2), "1000 actions", "samples"),
        ]
        law_panel = Panel("action", "density", laws, xlim=(-1, 1))

        found, low, high = rests(backup, temperature), float(VALUES[0]), float(VALUES[-1])
        nothing = np.zeros(2)
        gains = [
            Curve(np.array([low, high]), nothing, "no change", "diagonal"),
            Curve(LINE, backed_up(backup, LINE, temperature) - LINE, "exact backup", backup),
        ]
        if backup == "boltzmann" and sampler != "exact":
            gains.append(Curve(VALUES, sampled_map(sampler, temperature) - VALUES, "as sampled", "samples"))
        points = [(p.value, 0.0, backup) for p in found]
        gain_panel = Panel(
            "value of the state", "gain in a sweep", gains, xlim=(low, high), ylim=(-0.3, 0.3), points=points
        )
        count = np.arange(sweeps + 1)
        ends_at = np.array([0, SWEEPS])
        sweep = [Curve(ends_at, np.full(2, BEST), "best value", "maximum")]
        sweep += [
            Curve(ends_at, np.full(2, p.value), "" if i else "fixed points", backup)
            for i, p in enumerate(found)
            if p.stable
        ]
        sweep.append(Curve(count, np.array(path), "value of the state", "iterates"))
        path_panel = Panel(
            "sweep",
            "value of the state",
            sweep,
            xlim=(0, SWEEPS),
            ylim=(low, high),
            points=[(sweeps, value, "iterates")],
        )

        numbers = {"value of the state": value, "best value": BEST}
        numbers |= {
            f"fixed point {i + 1}" + ("" if p.stable else " (repels)"): p.value for i, p in enumerate(found)
        }
        numbers |= {
            "right hill, actions": float(np.mean(actions > CROSSING)),
            "right hill, softmax": float(mass[GRID > CROSSING].sum()),
            "TV to the softmax": float(np.abs(counts * 2 / BINS - cells).sum() / 2),
            "mean Q, actions": float(q(actions, value).mean()),
            "mean Q, softmax": float(mass @ q(GRID, value)),
        }
        return [critic_panel, law_panel, gain_panel, path_panel], numbers

    def tables(self) -> dict[str, Any]:
        return {
            "hills": {
                "height": HEIGHT,
                "pay": PAY,
                "discount": DISCOUNT,
                "centres": CENTRES,
                "widths": WIDTHS,
            },
            "counts": {
                "draws": DRAWS,
                "few": FEW,
                "candidates": CANDIDATES,
                "bins": BINS,
                "cells": len(GRID),
            },
            "chain": {
                "step": LAST_STEP,
                "temperature": CHAIN_TEMPERATURE,
                "first": SIGMAS[0],
                "last": SIGMAS[-1],
            },
            "values": VALUES.tolist(),
            "crossing": CROSSING,
        }
