"""`ThermostatLab`: a temperature that follows an estimated entropy, on the parabola -|a|^2."""

from typing import Any

import numpy as np
from scipy.optimize import brentq

from softq.exact.importance import entropy_floor
from softq.lab.controls import Choice, Integer, Slider
from softq.lab.curves import Curve, CurveLab, Panel
from softq.lab.selection import line, masses

DIMS = (1, 2, 4, 6)
UPDATES = 300
START, LOWEST = 0.1, 1e-6  # the first temperature, and the one below which the linear rule may not fall
LAST = 100  # updates whose mean temperature is reported


def moments(temperature: float) -> tuple[float, float]:
    """Entropy and variance of Q of the softmax of one coordinate."""
    values, p = line("quad1")[1], masses("quad1", temperature)
    mean = p @ values
    log_partition = (
        np.log(np.mean(np.exp((values - values.max()) / temperature)) * 2) + values.max() / temperature
    )
    return float(log_partition - mean / temperature), float(p @ (values - mean) ** 2)


def exact(dim: int) -> dict[str, float]:
    """The temperature at which the entropy is -dim, and the rates below which the two rules are stable."""
    right = float(np.exp(brentq(lambda u: moments(np.exp(u))[0] + 1, -8, 0)))
    steepness = dim * moments(right)[1] / right**2
    return {"right temperature": right, "log": 2 / steepness, "linear": 2 * right / steepness}


def estimate(values: np.ndarray, dim: int, temperature: float) -> float:
    """DDSQ's estimate of the entropy from Q at uniform actions `(m,)`, see `softq.samplers.entropy.snis_entropy`."""
    logits = (values - values.max()) / temperature
    weights = np.exp(logits)
    total = weights.sum()
    return float(np.log(total / len(values)) + dim * np.log(2) - weights @ logits / total)


def move(rule: str, temperature: float, rate: float, error: float) -> float:
    """The next temperature after an entropy that is too large by `error`."""
    if rule == "log":
        return float(np.clip(temperature * np.exp(-rate * error), LOWEST, 1e3))
    return max(temperature - rate * error, LOWEST)


class ThermostatLab(CurveLab):
    """300 updates of a thermostat with the target entropy -d, from `num_candidates` fresh uniform actions each.

    `rule` is "log" or "linear", `dim` one of `DIMS`, `rate` in [0.003, 10] and `num_candidates` in [5, 1000]. Raises
    `SoftqError` for another name or number.
    """

    kind = "thermostat"

    def __init__(
        self,
        rule: str = "log",
        dim: int = 1,
        rate: float = 0.1,
        num_candidates: int = 100,
        seed: int = 0,
        alt: str = "Temperature and estimated entropy of a thermostat, update after update.",
        caption: str = "",
    ):
        controls = (
            Choice("rule", "rule", rule, [("on the logarithm of λ", "log"), ("on λ, as printed", "linear")]),
            Choice("dim", "dimension d", dim, [(str(d), d) for d in DIMS]),
            Slider("rate", "rate η", rate, 0.003, 10.0),
            Slider("num_candidates", "candidates m", num_candidates, 5, 1000, integer=True),
            Integer("seed", "seed", seed, 0, 9999),
        )
        super().__init__(controls, alt, caption)

    def run(self, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
        """The temperatures and the entropies that were estimated at them, `(UPDATES,)` each."""
        s = self.complete(settings)
        rng, temperature, path = np.random.default_rng(s["seed"]), START, []
        for _ in range(UPDATES):
            values = -(rng.uniform(-1, 1, (s["num_candidates"], s["dim"])) ** 2).sum(1)
            entropy = estimate(values, s["dim"], temperature)
            path.append((temperature, entropy))
            temperature = move(s["rule"], temperature, s["rate"], entropy + s["dim"])
        return tuple(np.array(path).T)

    def view(self, **settings: Any) -> tuple[list[Panel], dict[str, float]]:
        s = self.complete(settings)
        temperatures, entropies = self.run(**settings)
        known, x = exact(s["dim"]), np.arange(UPDATES, dtype=float)
        flat = lambda value: (np.array([0.0, UPDATES - 1]), np.full(2, value))
        floor = entropy_floor(s["dim"], s["num_candidates"])
        left = [
            Curve(x, temperatures, "thermostat", "thermostat"),
            Curve(*flat(known["right temperature"]), "right temperature", "exact"),
        ]
        right = [
            Curve(x, entropies, "estimate", "thermostat"),
            Curve(*flat(-float(s["dim"])), "target", "target"),
            Curve(*flat(floor), "floor of the estimate", "floor"),
        ]
        low, high = min(entropies.min(), floor, -s["dim"]), max(entropies.max(), floor)
        ylim = (low - 0.1 * (high - low), high + 0.1 * (high - low))
        panels = [
            Panel("update", "temperature", left, (False, True)),
            Panel("update", "entropy (nats)", right, ylim=ylim),
        ]
        return panels, {
            "right temperature": known["right temperature"],
            "mean of the last 100": float(temperatures[-LAST:].mean()),
            "lowest of the last 100": float(temperatures[-LAST:].min()),
            "rates are stable below": known[s["rule"]],
            "floor of the estimate": floor,
        }

    def tables(self) -> dict[str, Any]:
        known = {str(dim): {key: float(f"{v:.9g}") for key, v in exact(dim).items()} for dim in DIMS}
        return {"exact": known, "updates": UPDATES, "first": START, "lowest": LOWEST, "last": LAST}
