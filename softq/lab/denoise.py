"""`DenoiseLab`: three estimates of the score of a noised softmax on a line, and four rules that run backwards.

The noisy action is y = a + sigma z. The mean and the error of an estimate from K proposals are integrals, as in
`softq.exact.laws.diffused`, and so is the law of the actions after each step of a rule with the exact score
(`softq.lab.reverse`): the page computes the same numbers. With an estimate in its place samples are drawn.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from softq.exact.values import evaluate
from softq.lab import export
from softq.lab.controls import Choice, Slider, landscape_choice
from softq.lab.curves import Curve, CurveLab, Panel
from softq.lab.reverse import ACTIONS, DRAWN, QUANTILES, RULES, Chain, chain, histogram, sampled
from softq.landscapes import Landscape

NODES = 200  # proposals of a quadrature, over eight deviations on both sides as far as the box goes
PLACES = np.linspace(-1.2, 1.2, 33)  # noisy actions at which the estimates are drawn
TIMES = np.exp(np.arange(-30.0, 62.0, 0.5))  # of the Laplace transform of the weight; its trapezoid in log t
LIGHTEST = -55.0  # log-weights below are set to it, so that the transform ends within TIMES
DRIVERS = {"exact": "exact score", "qne": "QNE", "idem": "iDEM", "combined": "combined"}


class Moments(NamedTuple):
    """At one noisy action: the exact `score`; means `(2,)` and covariances `(2, 2)` of QNE and iDEM."""

    score: float
    mean: np.ndarray
    covariance: np.ndarray

    def mixture(self, theta: float) -> tuple[float, float]:
        """The mean and the deviation of theta QNE + (1 - theta) iDEM."""
        share = np.array([theta, 1 - theta])
        return float(share @ self.mean), float(np.sqrt(max(share @ self.covariance @ share, 0.0)))

    def error(self, theta: float) -> float:
        """The root mean square error of the mixture."""
        mean, deviation = self.mixture(theta)
        return float(np.hypot(mean - self.score, deviation))

    @property
    def best(self) -> float:
        """The share theta in [0, 1] with the least error."""
        off = self.mean - self.score
        second = self.covariance + np.outer(off, off)
        spread = second[0, 0] + second[1, 1] - 2 * second[0, 1]
        return float(np.clip((second[1, 1] - second[0, 1]) / max(spread, 1e-300), 0.0, 1.0))


def moments(
    value: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    temperature: float,
    y: float,
    sigma: float,
    num: int,
) -> Moments:
    """The exact moments of the estimates from `num` proposals, which are truncated to the box.

    `value` gives Q and its slope at actions `(n,)`. By 1/S = int exp(-t S) dt the moments of a self-normalised average
    are integrals over the Laplace transform of one weight.
    """
    nearest = np.clip(y, -1.0, 1.0)
    low, high = max(-1.0, nearest - 8 * sigma), min(1.0, nearest + 8 * sigma)
    a = low + (np.arange(NODES) + 0.5) * (high - low) / NODES
    log_mass = -(((a - y) / sigma) ** 2) / 2
    mass = np.exp(log_mass - log_mass.max())
    mass /= mass.sum()
    q, slope = value(a)
    w = np.exp((q - q.max()) / temperature)
    w = np.exp(np.maximum(np.log(np.maximum(w / (mass @ w), 1e-300)), LIGHTEST))
    w /= mass @ w
    f = np.stack([(a - y) / sigma**2, slope / temperature], 1)
    centre = (mass * w) @ f
    f = f - centre
    decay = mass * np.exp(-np.outer(TIMES, w))
    phi = decay.sum(1)
    one = decay @ (w[:, None] * f)
    pairs = np.stack([f[:, 0] ** 2, f[:, 0] * f[:, 1], f[:, 1] ** 2], 1)
    two = decay @ (w[:, None] ** 2 * pairs)
    left = 0.5 * num * phi ** (num - 1)
    first = (left * TIMES) @ one
    second = (left * TIMES**2) @ two
    if num > 1:
        joint = np.stack([one[:, 0] ** 2, one[:, 0] * one[:, 1], one[:, 1] ** 2], 1)
        second += (0.5 * num * (num - 1) * phi ** (num - 2) * TIMES**2) @ joint
    second = second[[0, 1, 1, 2]].reshape(2, 2)
    return Moments(float(centre[0]), centre + first, second - np.outer(first, first))


class DenoiseLab(CurveLab):
    """Estimates of a score beside the exact one, and the law of a reverse process beside the softmax, on a line.

    `landscapes` are one-dimensional; the first is shown at the start. `temperature` is in [0.05, 2], `noise`, the level
    at which the estimates are shown, in [0.03, 10], `num` the proposals of an estimate, in [1, 1000], `theta` the share
    of QNE in the combined estimate, and `place` the noisy action of the numbers. `rule` is one of `RULES`, `scores` the
    number of scores that it may ask for, in [4, 40], and `step` the step of the rule that is shown. `driver` is one of
    `DRIVERS`: what the rule takes for the score. The share of QNE that "combined" takes at another noise level than
    `noise` is that of one sample that is enough for a Gaussian hill, the one to which `theta` belongs.
    Raises `SoftqError` for a landscape in more than one dimension, or a number out of its range.
    """

    kind = "denoise"

    def __init__(
        self,
        landscapes: Sequence[Landscape],
        temperature: float = 0.1,
        noise: float = 0.08,
        num: int = 5,
        theta: float = 0.9,
        place: float = 0.55,
        driver: str = "exact",
        rule: str = "euler",
        scores: int = 20,
        step: int = 40,
        alt: str = "Estimates of a score beside the exact one, and the law of a reverse process beside the softmax.",
        caption: str = "",
    ):
        self.landscapes = {landscape.name: landscape for landscape in landscapes}
        controls = (
            landscape_choice("DenoiseLab", landscapes, 1),
            Slider("temperature", "temperature λ", temperature, 0.05, 2.0),
            Slider("noise", "noise level σ", noise, 0.03, 10.0),
            Slider("num", "proposals K", num, 1, 1000, integer=True),
            Slider("theta", "share θ of QNE", theta, 0.0, 1.0, log=False),
            Slider("place", "noisy action", place, -1.2, 1.2, log=False),
            Choice("driver", "driven by", driver, [(text, name) for name, text in DRIVERS.items()]),
            Choice("rule", "rule", rule, [(text, name) for name, text in RULES.items()]),
            Slider("scores", "scores", scores, 4, 40, integer=True),
            Slider("step", "steps taken", step, 0, 40, log=False, integer=True),
        )
        super().__init__(controls, alt, caption)
        self.moments = lru_cache(20_000)(self._moments)
        self.chain = lru_cache(200)(self._chain)
        self.samples = lru_cache(50)(self._samples)

    def value(self, name: str) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Q of a landscape and its slope, by a difference of 1e-5, at actions `(n,)`."""
        q = self.landscapes[name]
        at = lambda a: evaluate(q, a[:, None])
        return lambda a: (at(a), (at(a + 1e-5) - at(a - 1e-5)) / 2e-5)

    def _moments(self, name: str, temperature: float, y: float, sigma: float, num: int) -> Moments:
        return moments(self.value(name), temperature, y, sigma, num)

    def _chain(self, name: str, temperature: float, rule: str, scores: int) -> Chain:
        log_soft = evaluate(self.landscapes[name], ACTIONS[:, None]) / temperature
        return chain(log_soft, rule, scores)

    def _samples(
        self, name: str, temperature: float, rule: str, scores: int, num: int, variance: float
    ) -> np.ndarray:
        values, slopes = self.value(name)(ACTIONS)
        return sampled(values / temperature, slopes / temperature, rule, scores, num, variance)

    def view(self, **settings: Any) -> tuple[list[Panel], dict[str, float]]:
        name, temperature = settings["landscape"], settings["temperature"]
        sigma, num, theta, place = (settings[key] for key in ("noise", "num", "theta", "place"))
        estimates = [self.moments(name, temperature, float(y), sigma, num) for y in PLACES]
        score = np.array([m.score for m in estimates])
        curves = [Curve(PLACES, score, "exact")]
        for label, look, share in (
            ("QNE", "qne", 1.0),
            ("iDEM", "idem", 0.0),
            ("combined", "combined", theta),
        ):
            mean, deviation = np.array([m.mixture(share) for m in estimates]).T
            curves += [
                Curve(PLACES, mean + deviation, label, look),
                Curve(PLACES, mean - deviation, "", look),
            ]
        here = self.moments(name, temperature, place, sigma, num)
        reach = 1.5 * np.abs(score[np.abs(PLACES) < 0.95]).max() + 1e-9
        points = [(place, here.score, "exact")]
        left = Panel("noisy action", "score", curves, xlim=(-1.2, 1.2), ylim=(-reach, reach), points=points)

        scores, rule, driver = settings["scores"], settings["rule"], settings["driver"]
        chains = {key: self.chain(name, temperature, key, scores) for key in RULES}
        now = chains[rule]
        step = min(settings["step"], len(now.levels) - 1)
        asked = lambda key, c: np.arange(len(c.levels)) * (2.0 if key == "heun" else 1.0)
        rules = [Curve(asked(key, c), c.tv, RULES[key], key) for key, c in chains.items()]
        law, tv, draws = Curve(now.grids[step], now.own[step], RULES[rule], "samples"), now.tv, {}
        if driver != "exact":
            of_hill = (1 / theta - 1) * sigma**2 if theta else np.inf
            variance = {"qne": 0.0, "idem": np.inf, "combined": of_hill}[driver]
            y = self.samples(name, temperature, rule, scores, num, variance)
            seen = [histogram(one, now.soft, level) for one, level in zip(y, now.levels, strict=True)]
            tv = np.array([one.tv for one in seen])
            law = Curve(*seen[step].stairs, f"{DRAWN} samples, {DRIVERS[driver]}", "samples")
            rules.append(Curve(asked(rule, now), tv, f"samples, {DRIVERS[driver]}", "samples"))
            draws = {f"TV of {DRAWN} exact draws": seen[step].floor}
        width = 1 + 2.5 * now.levels[step]
        laws = [Curve(now.grids[step], now.exact[step], "noised softmax"), law]
        middle = Panel("noisy action", "density", laws, xlim=(-width, width))
        point = (float(asked(rule, now)[step]), float(tv[step]), rule if driver == "exact" else "samples")
        right = Panel("scores asked for", "total variation", rules, xlim=(0, scores), points=[point])
        numbers = {
            "exact score": here.score,
            "error of QNE": here.error(1.0),
            "error of iDEM": here.error(0.0),
            "error of the combination": here.error(theta),
            "best share θ": here.best,
            "noise level of the step": float(now.levels[step]),
            "TV at this step": float(tv[step]),
            "TV at the end": float(tv[-1]),
        }
        return [left, middle, right], numbers | draws

    def tables(self) -> dict[str, Any]:
        return {
            "landscapes": {name: export.landscape(q) for name, q in self.landscapes.items()},
            "normal": [float(f"{p:.9g}") for p in np.diff(ndtr(QUANTILES))],
        }
