"""`BackupLab`: three Bellman backups on `softq.exact.mdp.door`, the smallest MDP on which they disagree."""

from typing import Any

import numpy as np

from softq.exact.bellman import BOLTZMANN, LOG_MEAN_EXP, SOFT, Backup, fixed_points
from softq.exact.mdp import door
from softq.lab.controls import Choice, Slider
from softq.lab.curves import Curve, CurveLab, Panel

BACKUPS = {"boltzmann": BOLTZMANN, "soft": SOFT, "mellowmax": LOG_MEAN_EXP}
TEXTS = {
    "boltzmann": "Boltzmann average of Q",
    "soft": "soft value, log-sum-exp",
    "mellowmax": "log-mean-exp",
}
SWEEPS = 200
RESOLUTION = 20_000


def door_map(
    backup: Backup, x: np.ndarray, reward: float, width: float, discount: float, temperature: float
) -> np.ndarray:
    """The value of going through the door after one backup, `(...)`, where it was `x` `(...)` before.

    Every other action has the value 0. `reward` is that of one passage and `width` the door's share of the box.
    """
    q = np.stack([x, np.zeros_like(x)], -1)
    return reward + discount * backup.value(q, door(reward, width, discount).weights, temperature)


class BackupLab(CurveLab):
    """The value of the door after a backup as a function of its value before, with fixed points and an iteration.

    `reward` is that of one passage, `width` the door's share of the box, `temperature` the number that divides Q,
    `start` the first value of the iteration and `backup` one of `BACKUPS`. Raises `SoftqError` for a number outside the
    range of its slider, or an unknown backup.
    """

    kind = "backup"

    def __init__(
        self,
        reward: float = 0.2,
        width: float = 0.01,
        discount: float = 0.9,
        temperature: float = 0.2,
        start: float = 0.0,
        backup: str = "boltzmann",
        alt: str = "Three backups of the door's value as curves, their fixed points and an iteration as a staircase.",
        caption: str = "",
    ):
        controls = (
            Choice("backup", "staircase of", backup, [(text, kind) for kind, text in TEXTS.items()]),
            Slider("start", "first guess", start, 0.0, 3.0, log=False),
            Slider("temperature", "temperature λ", temperature, 0.02, 2.0),
            Slider("width", "share of the door", width, 1e-4, 0.9),
            Slider("reward", "reward r", reward, 0.02, 0.5),
            Slider("discount", "discount γ", discount, 0.0, 0.98, log=False),
        )
        super().__init__(controls, alt, caption)

    def view(self, backup: str, start: float, **settings: float) -> tuple[list[Panel], dict[str, float]]:
        best = settings["reward"] / (1 - settings["discount"])
        mdp = door(settings["reward"], settings["width"], settings["discount"])
        found = {
            kind: [float(p.q[0]) for p in fixed_points(mdp, operator, settings["temperature"], RESOLUTION)]
            for kind, operator in BACKUPS.items()
        }
        high = 1.15 * max(best, start, *(max(points) for points in found.values()))
        x = np.linspace(0, high, 400)
        curves = [Curve(x, x, "now = next", "diagonal")]
        curves += [
            Curve(x, door_map(BACKUPS[kind], x, **settings), text, kind) for kind, text in TEXTS.items()
        ]
        path = [start]
        for _ in range(SWEEPS):
            path.append(float(door_map(BACKUPS[backup], np.float64(path[-1]), **settings)))
        stairs = np.repeat(path, 2)
        curves.append(Curve(stairs[:-1], stairs[1:], "", "iterates"))
        points = [(p, p, kind) for kind, ps in found.items() for p in ps]
        left = Panel(
            "value of the door now", "after one backup", curves, xlim=(0, high), ylim=(0, high), points=points
        )
        sweeps = [Curve(np.arange(SWEEPS + 1), np.array(path), "iterates", "iterates")]
        sweeps.append(Curve(np.array([0, SWEEPS]), np.full(2, best), "optimal value", "maximum"))
        right = Panel("sweep", "value of the door", sweeps, xlim=(0, SWEEPS), ylim=(0, high))
        numbers = {f"Boltzmann fixed point {i + 1}": p for i, p in enumerate(found["boltzmann"])}
        numbers |= {"soft fixed point": found["soft"][0], "log-mean-exp fixed point": found["mellowmax"][0]}
        return [left, right], numbers | {"optimal value": best, "reached": path[-1]}

    def tables(self) -> dict[str, Any]:
        return {"sweeps": SWEEPS}
