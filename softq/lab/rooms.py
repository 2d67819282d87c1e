"""`RoomsLab`: a hall with a narrow way to a workshop and a wide one to a lounge, and four solutions of this world."""

from typing import Any, NamedTuple

import numpy as np

from softq.exact.bellman import BOLTZMANN, LOG_MEAN_EXP, SOFT, softmax
from softq.lab.controls import Control, Slider
from softq.lab.curves import Curve, CurveLab, Panel

DISCOUNT = 0.9
SWEEPS = 150
HALL = (np.arange(200) + 0.5) / 100 - 1  # actions in the hall
ROOT = (np.arange(160) + 0.5) / 160
WORKSHOP = ROOT**3  # sizes of actions in the workshop, dense where it matters
PLACES = {"workshop": (0.6, 0.1), "lounge": (-0.4, 0.3)}  # centre and width of the ways out of the hall
TEMPERATURES = np.geomspace(0.02, 1.0, 12)
SOLUTIONS = {  # by name: the backup, where its iteration starts, and the concept whose look it has
    "Boltzmann, from zero": (BOLTZMANN, "zero", "boltzmann"),
    "Boltzmann, from the optimum": (BOLTZMANN, "optimum", "boltzmann from the optimum"),
    "log-mean-exp": (LOG_MEAN_EXP, "zero", "mellowmax"),
    "soft value": (SOFT, "zero", "soft"),
}


def hill(a: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.exp(-(((a - centre) / width) ** 2) / 2)


class Solved(NamedTuple):
    """At each temperature the densities of actions in the hall and the workshop, and the true `value` of the hall."""

    hall: np.ndarray
    workshop: np.ndarray
    value: np.ndarray


class RoomsLab(CurveLab):
    """The policies in the hall and the workshop by four solutions, and what they earn, at all temperatures.

    In the hall an action near 0.6 leads to the workshop, one near -0.4 to the lounge. In the workshop an action of size
    a pays `pay` times hill(a) and the room stays open with the probability hill(a), a Gaussian of the width
    `precision`. The lounge pays `rest` for any action and closes with the probability `closes`. The discount is 0.9.
    Raises `SoftqError` for a number outside the range of its slider.
    """

    kind = "rooms"

    def __init__(
        self,
        temperature: float = 0.2,
        precision: float = 0.03,
        pay: float = 0.4,
        rest: float = 0.2,
        closes: float = 0.1,
        alt: str = "What four solutions of three rooms earn against the temperature, and their policies.",
        caption: str = "",
    ):
        controls: list[Control] = [
            Slider("temperature", "temperature λ", temperature, 0.02, 1.0),
            Slider("precision", "width of the good action", precision, 0.01, 0.3),
            Slider("pay", "workshop pays", pay, 0.05, 1.0),
            Slider("rest", "lounge pays", rest, 0.0, 0.4, log=False),
            Slider("closes", "lounge closes with probability", closes, 0.0, 1.0, log=False),
        ]
        super().__init__(controls, alt, caption)
        ways = {name: hill(HALL, *place) for name, place in PLACES.items()}
        scale = np.maximum(1, sum(ways.values()))
        self.ways = {name: way / scale for name, way in ways.items()}
        self.stay = 1 - sum(self.ways.values())
        self.weights = np.full(HALL.size, 2 / HALL.size), 2 * ROOT**2 / np.sum(ROOT**2)

    def values(
        self, precision: float, pay: float, rest: float, closes: float
    ) -> tuple[np.ndarray, float, float]:
        """The chance of success of each action in the workshop, and the optimal values of workshop and lounge."""
        lounge = rest / (1 - DISCOUNT * (1 - closes))
        return hill(WORKSHOP, 0.0, precision), pay / (1 - DISCOUNT), lounge

    def best(self, workshop: float, lounge: float) -> float:
        """The optimal value of the hall, where one action is best for as long as one stays."""
        out = self.ways["workshop"] * workshop + self.ways["lounge"] * lounge
        return float((DISCOUNT * out / (1 - DISCOUNT * self.stay)).max())

    def solve(self, name: str, temperatures: np.ndarray, **world: float) -> Solved:
        """One of `SOLUTIONS` at temperatures `(n,)`, by value iteration."""
        backup, start, _ = SOLUTIONS[name]
        success, workshop, lounge = self.values(**world)
        t, pay, rest, closes = temperatures[:, None], world["pay"], world["rest"], world["closes"]
        value = lambda q, w: temperatures * backup.value(q / t, w, 1.0)
        v, hall, work = np.zeros((3, temperatures.size)), np.empty(0), np.empty(0)
        if start == "optimum":
            v += np.array([self.best(workshop, lounge), workshop, lounge])[:, None]
        for _ in range(SWEEPS):
            out = self.ways["workshop"] * v[1][:, None] + self.ways["lounge"] * v[2][:, None]
            hall = DISCOUNT * (out + self.stay * v[0][:, None])
            work = success * (pay + DISCOUNT * v[1][:, None])
            # the soft value of equal actions is their value and the entropy of a uniform policy
            idle = rest + DISCOUNT * (1 - closes) * v[2] + temperatures * np.log(2.0) * (backup is SOFT)
            v = np.stack([value(hall, self.weights[0]), value(work, self.weights[1]), idle])
        p, s = (softmax(q / t, w, 1.0) for q, w in zip((hall, work), self.weights, strict=True))
        earned = pay * (s @ success) / (1 - DISCOUNT * (s @ success))
        value_of_hall = DISCOUNT * (p @ self.ways["workshop"] * earned + p @ self.ways["lounge"] * lounge)
        return Solved(
            p / self.weights[0], s / self.weights[1], value_of_hall / (1 - DISCOUNT * (p @ self.stay))
        )

    def view(self, temperature: float, **world: float) -> tuple[list[Panel], dict[str, float]]:
        at = np.append(TEMPERATURES, temperature)
        solved = {name: self.solve(name, at, **world) for name in SOLUTIONS}
        best = self.best(*self.values(**world)[1:])
        looks = {name: look for name, (_, _, look) in SOLUTIONS.items()}
        earn = [Curve(TEMPERATURES, one.value[:-1], name, looks[name]) for name, one in solved.items()]
        earn.append(Curve(TEMPERATURES[[0, -1]], np.full(2, best), "", "maximum"))
        points = [(temperature, float(one.value[-1]), looks[name]) for name, one in solved.items()]
        high = (0.0, max(1.1 * best, 1e-3))
        earned = Panel(
            "temperature λ", "return from the hall", earn, (True, False), (0.02, 1.0), high, points=points
        )
        halls = [Curve(HALL, one.hall[-1], "", looks[name]) for name, one in solved.items()]
        both = np.concatenate([-WORKSHOP[::-1], WORKSHOP])
        mirrored = lambda p: np.concatenate([p[::-1], p])
        works = [Curve(both, mirrored(one.workshop[-1]), "", looks[name]) for name, one in solved.items()]
        box = {"log": (False, True), "xlim": (-1, 1), "ylim": (0.05, 100)}
        hall = Panel("action in the hall", "density", halls, **box)
        workshop = Panel("action in the workshop", "density", works, **box)
        numbers = {f"return, {name}": float(one.value[-1]) for name, one in solved.items()}
        return [earned, hall, workshop], numbers | {"optimum": best}

    def tables(self) -> dict[str, Any]:
        names = [[name, start, look] for name, (_, start, look) in SOLUTIONS.items()]
        return {"discount": DISCOUNT, "sweeps": SWEEPS, "solutions": names, "places": PLACES}
