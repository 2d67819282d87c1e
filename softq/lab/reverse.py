"""Reverse diffusions on a line: their law with the exact score, on a grid, and samples with an estimate of it."""

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
DRAWN, BINS = 400, 40  # samples, and the bins of their histogram


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


def chain(log_soft: np.ndarray, rule: str, scores: int) -> Chain:
    """The law after each step of `rule`, from N(0, MOST^2), with the exact score asked for `scores` times."""
    steps = scores // 2 if rule == "heun" else scores
    levels = np.geomspace(MOST, LEAST, steps + 1)
    soft = np.exp(log_soft - log_soft.max())
    soft /= soft.sum()
    grids = np.stack([grid_at(s) for s in levels])
    exact = np.stack(
        [normal((x[:, None] - ACTIONS) / s) @ soft / s for x, s in zip(grids, levels, strict=True)]
    )
    own = [normal(grids[0] / MOST) / MOST]
    y = MOST * QUANTILES
    for i in range(steps):
        sigma, cleaner = levels[i], levels[i + 1]
        k = cleaner / sigma
        if rule in ("euler", "heun"):
            here = (y - guess(log_soft, y, sigma)) / sigma
            end = y + (cleaner - sigma) * here
            if rule == "heun":
                there = (end - guess(log_soft, end, cleaner)) / cleaner
                end = y + (cleaner - sigma) * (here + there) / 2
            y = end
            own.append(pushed(grids[i + 1], y))
            continue
        x, width = grids[i], grids[i][1] - grids[i][0]
        clean = guess(log_soft, x, sigma)
        mean = clean + k**2 * (x - clean)
        spread = (cleaner if rule == "ancestral" else sigma) * np.sqrt(1 - k**2)
        density = normal((grids[i + 1][:, None] - mean) / spread) @ own[-1] * width / spread
        own.append(density / (density.sum() * (grids[i + 1][1] - grids[i + 1][0])))
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

    levels = np.geomspace(MOST, LEAST, (num_scores // 2 if rule == "heun" else num_scores) + 1)
    path = [MOST * rng.standard_normal(count)]
    for sigma, cleaner in pairwise(levels):
        y, k = path[-1], cleaner / sigma
        there = clean(y, sigma)
        if rule in ("euler", "heun"):
            end = there + k * (y - there)
            if rule == "heun":
                slopes = (y - there) / sigma, (end - clean(end, cleaner)) / cleaner
                end = y + (cleaner - sigma) * (slopes[0] + slopes[1]) / 2
        else:
            spread = (cleaner if rule == "ancestral" else sigma) * np.sqrt(1 - k**2)
            end = there + k**2 * (y - there) + spread * rng.standard_normal(count)
        path.append(end)
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
