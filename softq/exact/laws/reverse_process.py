"""Exact laws of reverse diffusions with finitely many steps, in one dimension and for a given score.

A finite chain does not sample the softmax even with the exact score, but its own law can be computed. The only code
shared with the samplers is the schedule.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import ndtr

from softq.diffusion.processes import Final, Spacing
from softq.diffusion.schedules import Schedule
from softq.exact.boltzmann import nodes_and_weights
from softq.exact.laws.cells import Law, cell_edges
from softq.exact.values import evaluate
from softq.utils.checks import positive
from softq.utils.errors import SoftqError

Process = Literal["sde", "beta", "posterior", "euler", "heun"]
LineScore = Callable[[np.ndarray, float, float], np.ndarray]  # score(noisy actions (n,), signal, noise), (n,)


def line_score(q: Callable, temperature: float, panels: int = 200) -> LineScore:
    """The exact score of the noised softmax of a 1-D `q` on the box, by one quadrature for all noisy actions.

    noise / signal must be at least half the width of a panel, which is 2 / `panels`.
    Raises `SoftqError` for a temperature that is not positive.
    """
    positive("temperature", temperature)
    nodes, weights = nodes_and_weights(1, panels)
    actions = nodes[:, 0]
    logits = evaluate(q, nodes) / temperature + np.log(weights)

    def score(x: np.ndarray, signal: float, noise: float) -> np.ndarray:
        rows = []
        for b in _blocks(x):
            logs = logits - ((b[:, None] - signal * actions) / noise) ** 2 / 2
            p = np.exp(logs - logs.max(1, keepdims=True))
            rows.append((signal * (p @ actions) / p.sum(1) - b) / noise**2)
        return np.concatenate(rows)

    return score


def reverse_law(
    score: LineScore,
    schedule: Schedule,
    num_steps: int,
    process: Process = "sde",
    spacing: Spacing = "time",
    t_end: float | None = None,
    clip: bool = True,
    final: Final = "project",
    cells: int = 1000,
) -> Law:
    """Exact law of `reverse_sde` ("sde"), `ancestral` ("beta", "posterior") or `probability_flow` ("euler", "heun").

    The density is carried through the Gaussian transitions by the trapezoidal rule, at a third of a transition's
    standard deviation, where it is above 1e-13 of its peak; the flow moves quantiles instead. `final` "project" also
    describes `ancestral` with `clip`, and "none" returns cells on an interval larger than the box.
    Raises `SoftqError` if a step without noise is not monotone in the action.
    """
    nodes = _nodes(schedule, num_steps, spacing, t_end)
    if process in ("euler", "heun"):
        quantiles = nodes.noise[0] * np.linspace(-6.5, 6.5, 8001)
        images = _flow(score, nodes, quantiles, process)
        masses, s = np.ones(1), nodes.noise[0]
        through = lambda e: _cdf_through(e, quantiles, images, np.zeros(1), s, masses)
        return _law(through, final, cells, images)
    means, s, masses = np.zeros(1), nodes.noise[0], np.ones(1)
    for mean_of, s_next in _moves(score, nodes, process, clip):
        low, high = means.min() - 8 * s, means.max() + 8 * s
        finest = min(s, s_next or s) / 3
        x = np.linspace(low, high, int(np.ceil((high - low) / finest)) + 1)
        density = _density(x, means, s, masses)
        held = np.flatnonzero(density > 1e-13 * density.max())
        x, density = x[held[0] : held[-1] + 1], density[held[0] : held[-1] + 1]
        if s_next == 0:  # the last step of an ancestral chain adds no noise
            fine = np.linspace(x[0], x[-1], 40 * len(x))
            through = lambda e: _cdf_through(e, fine, mean_of(fine), means, s, masses)
            return _law(through, final, cells, x)
        means, s, masses = mean_of(x), s_next, density * (x[1] - x[0])
    return _law(lambda e: _cdf(e, means, s, masses), final, cells, means)


class _Nodes(NamedTuple):
    t: np.ndarray
    signal: np.ndarray
    noise: np.ndarray
    drift: np.ndarray
    g2: np.ndarray


def _nodes(schedule: Schedule, num_steps: int, spacing: str, t_end: float | None) -> _Nodes:
    ends = np.array([schedule.t_max, schedule.t_min if t_end is None else t_end])

    @jax.jit
    def at(ends: Array) -> tuple[Array, ...]:
        t = jnp.linspace(ends[0], ends[1], num_steps + 1)
        if spacing == "log_sigma":
            low, high = schedule.log_snr(ends)
            t = schedule.time_of(jnp.linspace(low, high, num_steps + 1))
        return t, *(getattr(schedule, name)(t) for name in _Nodes._fields[1:])

    with jax.enable_x64(True):
        return _Nodes(*map(np.asarray, at(ends)))


def _moves(
    score: LineScore, nodes: _Nodes, process: str, clip: bool
) -> list[tuple[Callable[[np.ndarray], np.ndarray], float]]:
    """For each step, the mean of the next action as a function of the present one, and its standard deviation."""
    t, signal, noise, drift, g2 = nodes
    moves: list[tuple[Callable[[np.ndarray], np.ndarray], float]] = []
    for i, j in pairwise(range(len(t))):
        if process == "sde":
            dt = t[i] - t[j]
            mean = lambda x, i=i, dt=dt: x - dt * (drift[i] * x - g2[i] * score(x, signal[i], noise[i]))
            moves.append((mean, float(np.sqrt(g2[i] * dt))))
            continue
        # Bayes' rule: a_j has the prior N(signal_j clean, noise_j^2), and a_i = shrink a_j + sqrt(beta) z is observed
        shrink = signal[i] / signal[j]
        beta = noise[i] ** 2 - (shrink * noise[j]) ** 2
        variance = 1 / (1 / noise[j] ** 2 + shrink**2 / beta)

        def mean(x: np.ndarray, i=i, j=j, shrink=shrink, beta=beta, variance=variance) -> np.ndarray:
            clean = (x + noise[i] ** 2 * score(x, signal[i], noise[i])) / signal[i]
            clean = np.clip(clean, -1, 1) if clip else clean
            return variance * (signal[j] * clean / noise[j] ** 2 + shrink * x / beta)

        last = j == len(t) - 1
        deviation = 0.0 if last else np.sqrt(beta if process == "beta" else variance)
        moves.append((mean, float(deviation)))
    return moves


def _flow(score: LineScore, nodes: _Nodes, x: np.ndarray, method: str) -> np.ndarray:
    t, signal, noise, drift, g2 = nodes
    slope = lambda x, i: drift[i] * x - g2[i] / 2 * score(x, signal[i], noise[i])
    for i, j in pairwise(range(len(t))):
        k = slope(x, i)
        there = x + (t[j] - t[i]) * k
        x = there if method == "euler" else x + (t[j] - t[i]) * (k + slope(there, j)) / 2
    return x


def _blocks(points: np.ndarray) -> list[np.ndarray]:
    return np.array_split(points, max(1, len(points) // 200))


def _density(x: np.ndarray, means: np.ndarray, s: float, masses: np.ndarray) -> np.ndarray:
    rows = [np.exp(-(((b[:, None] - means) / s) ** 2) / 2) @ masses for b in _blocks(x)]
    return np.concatenate(rows) / (s * np.sqrt(2 * np.pi))


def _cdf(e: np.ndarray, means: np.ndarray, s: float, masses: np.ndarray) -> np.ndarray:
    return np.concatenate([ndtr((b[:, None] - means) / s) @ masses for b in _blocks(e)])


def _cdf_through(
    e: np.ndarray, points: np.ndarray, images: np.ndarray, means: np.ndarray, s: float, masses: np.ndarray
) -> np.ndarray:
    """P(map(x) <= e) at each e, for a monotone map with the `images` of `points`, and x from a mixture of Gaussians."""
    if np.any(np.diff(images) < -1e-9):
        raise SoftqError("a step without noise is not monotone, so its law is not read off; take more steps.")
    where = np.searchsorted(images, e, side="right")
    i = np.clip(where, 1, len(images) - 1)
    rise = np.maximum(images[i] - images[i - 1], 1e-300)
    origin = points[i - 1] + np.clip((e - images[i - 1]) / rise, 0, 1) * (points[i] - points[i - 1])
    inside = _cdf(origin, means, s, masses)
    return np.where(where == 0, 0.0, np.where(where == len(images), 1.0, inside))


def _law(cdf: Callable[[np.ndarray], np.ndarray], final: str, cells: int, support: np.ndarray) -> Law:
    """The law of the last action after the map `final`, from the distribution function `cdf` before it."""
    edges, none = cell_edges(cells), np.zeros(2)
    if final == "none":
        edges = np.linspace(support.min() - 0.5, support.max() + 0.5, cells + 1)
        return Law(np.diff(cdf(edges)), edges, none)
    if final == "tanh":
        inner = cdf(np.arctanh(edges[1:-1]))
        return Law(np.diff(np.concatenate([[0.0], inner, [1.0]])), edges, none)
    if final == "reflect":
        total = np.zeros(cells)
        for shift in np.arange(-2, 3) * 4.0:
            total += np.diff(cdf(edges + shift)) + np.diff(cdf((2 - edges)[::-1] + shift))[::-1]
        return Law(total, edges, none)
    inner = cdf(edges)
    below = cdf(np.array([np.nextafter(1.0, 0)]))[0]
    inner[-1] = below
    return Law(np.diff(inner), edges, np.array([inner[0], 1 - below]))
