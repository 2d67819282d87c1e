"""Reverse diffusions on a line: their law with the exact score, on a grid, and samples with an estimate of it."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from softq.exact.histograms import tv_floor

ACTIONS = (np.arange(160) + 0.5) / 80 - 1  # behind a noisy action, for the guess of the reverse process
POINTS = 201  # of the grid of noisy actions
MOST, LEAST = 20.0, 0.02  # noise levels at which a reverse process starts and ends
QUANTILES = np.linspace(-5.0, 5.0, 361)
RULES = {"euler": "flow, Euler", "heun": "flow, Heun", "ancestral": "ancestral", "sde": "SDE"}
FLOWS = ("euler", "heun")  # the rules without noise
DRAWN, BINS = 400, 40  # samples, and the bins of their histogram

Clean = Callable[[np.ndarray, float], np.ndarray]  # the mean clean action behind noisy ones, at a noise level


class Chain(NamedTuple):
    """A rule at work: noise `levels` `(n + 1,)`; grids, exact and own densities there; and distances `(n + 1,)`.

    `soft` `(160,)` is the softmax on `ACTIONS`.
    """

    soft: np.ndarray
    levels: np.ndarray
    grids: np.ndarray
    exact: np.ndarray
    own: np.ndarray
    tv: np.ndarray


def guess(log_soft: np.ndarray, y: np.ndarray, sigma: float) -> np.ndarray:
    """The mean clean action behind each noisy action `(n,)`."""
    logs = log_soft - ((y[:, None] - ACTIONS) / sigma) ** 2 / 2
    p = np.exp(logs - logs.max(1, keepdims=True))
    return p @ ACTIONS / p.sum(1)


def normal(z: np.ndarray) -> np.ndarray:
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def grid_at(sigma: float) -> np.ndarray:
    """The grid of noisy actions at a noise level: the box and five deviations beyond."""
    return np.linspace(-1.0, 1.0, POINTS) * (1 + 5 * sigma)


def pushed(grid: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The density on `grid` of the normal quantiles after their map to `images`: mass between two spreads evenly."""
    mass = np.diff(ndtr(QUANTILES))
    low, high = np.minimum(images[:-1], images[1:]), np.maximum(images[:-1], images[1:])
    width = grid[1] - grid[0]
    edges = np.append(grid, grid[-1] + width) - width / 2
    below = np.clip((edges[:, None] - low) / np.maximum(high - low, 1e-12), 0.0, 1.0) @ mass
    return np.diff(below) / width / mass.sum()


def levels_of(rule: str, scores: int) -> np.ndarray:
    """The noise levels of a rule that asks for `scores` scores; Heun's asks for two in a step."""
    return np.geomspace(MOST, LEAST, (scores // 2 if rule == "heun" else scores) + 1)


def flow(rule: str, clean: Clean, y: np.ndarray, sigma: float, cleaner: float) -> np.ndarray:
    """A step of the probability flow from `y` `(n,)`, by Euler's rule or Heun's."""
    slope = (y - clean(y, sigma)) / sigma
    if rule == "heun":
        end = y + (cleaner - sigma) * slope
        slope = (slope + (end - clean(end, cleaner)) / cleaner) / 2
    return y + (cleaner - sigma) * slope


def noisy(rule: str, clean: Clean, y: np.ndarray, sigma: float, cleaner: float) -> tuple[np.ndarray, float]:
    """Mean `(n,)` and standard deviation of a random step from `y` `(n,)`, ancestral or of the SDE."""
    k, there = cleaner / sigma, clean(y, sigma)
    return there + k**2 * (y - there), (cleaner if rule == "ancestral" else sigma) * np.sqrt(1 - k**2)


def chain(log_soft: np.ndarray, rule: str, scores: int) -> Chain:
    """The law after each step of `rule`, from N(0, MOST^2), with the exact score asked for `scores` times."""
    levels, clean = levels_of(rule, scores), partial(guess, log_soft)
    soft = np.exp(log_soft - log_soft.max())
    soft /= soft.sum()
    grids = np.stack([grid_at(s) for s in levels])
    exact = np.stack(
        [normal((x[:, None] - ACTIONS) / s) @ soft / s for x, s in zip(grids, levels, strict=True)]
    )
    own = [normal(grids[0] / MOST) / MOST]
    y = MOST * QUANTILES
    for (sigma, cleaner), (x, after) in zip(pairwise(levels), pairwise(grids), strict=True):
        if rule in FLOWS:
            y = flow(rule, clean, y, sigma, cleaner)
            own.append(pushed(after, y))
        else:
            mean, spread = noisy(rule, clean, x, sigma, cleaner)
            density = normal((after[:, None] - mean) / spread) @ own[-1]
            own.append(density / (density.sum() * (after[1] - after[0])))
    own = np.stack(own)
    tv = 0.5 * np.abs(own - exact).sum(1) * (grids[:, 1] - grids[:, 0])
    return Chain(soft, levels, grids, exact, own, tv)


def sampled(
    log_soft: np.ndarray,
    scores_at: np.ndarray,
    rule: str,
    num_scores: int,
    num: int,
    variance: float,
    count: int = DRAWN,
    seed: int = 0,
) -> np.ndarray:
    """`count` noisy actions at each level of `chain`, where `num` proposals estimate each score, `(n + 1, count)`.

    `log_soft` and `scores_at`, Q / temperature and its slope, are those at `ACTIONS`, of which the proposals are drawn.
    The estimate is theta QNE + (1 - theta) iDEM with theta = sigma^2 / (sigma^2 + `variance`): QNE for the variance 0
    and iDEM for an infinite one.
    """
    rng, weight = np.random.default_rng(seed), np.exp(log_soft - log_soft.max())

    def clean(y: np.ndarray, sigma: float) -> np.ndarray:
        """The estimate of the mean clean action behind each noisy one: y + sigma^2 times that of the score."""
        logs = -(((y[:, None] - ACTIONS) / sigma) ** 2) / 2
        p = np.exp(logs - logs.max(1, keepdims=True))
        w = rng.multinomial(num, p / p.sum(1, keepdims=True)) * weight
        w /= w.sum(1, keepdims=True)
        theta = sigma**2 / (sigma**2 + variance)
        return theta * (w @ ACTIONS) + (1 - theta) * (y + sigma**2 * (w @ scores_at))

    path = [MOST * rng.standard_normal(count)]
    for sigma, cleaner in pairwise(levels_of(rule, num_scores)):
        if rule in FLOWS:
            path.append(flow(rule, clean, path[-1], sigma, cleaner))
        else:
            mean, spread = noisy(rule, clean, path[-1], sigma, cleaner)
            path.append(mean + spread * rng.standard_normal(count))
    return np.stack(path)


class Histogram(NamedTuple):
    """Samples in bins: the `stairs` of their density, their `tv` from the noised softmax and its mean for draws."""

    stairs: tuple[np.ndarray, np.ndarray]
    tv: float
    floor: float


def histogram(y: np.ndarray, soft: np.ndarray, sigma: float) -> Histogram:
    """The samples `(n,)` beside the softmax `(160,)` of `ACTIONS`, noised; what lies outside the bins is one more."""
    width = 1 + 2.5 * sigma
    edges = np.linspace(-width, width, BINS + 1)
    exact = np.diff(ndtr((edges[:, None] - ACTIONS) / sigma) @ soft)
    seen = np.histogram(y, edges)[0] / len(y)
    exact, seen = np.append(exact, 1 - exact.sum()), np.append(seen, 1 - seen.sum())
    heights = seen[:-1] * BINS / (2 * width)
    stairs = np.repeat(edges, 2)[1:-1], np.repeat(heights, 2)
    return Histogram(stairs, float(0.5 * np.abs(seen - exact).sum()), tv_floor(exact.clip(0), len(y)))
