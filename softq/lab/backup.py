"""`BackupLab`: three Bellman backups on `softq.exact.mdp.door`, the smallest MDP on which they disagree."""

from typing import Any

import numpy as np

from softq.exact.bellman import BOLTZMANN, LOG_MEAN_EXP, SOFT, Backup, fixed_points
from softq.exact.mdp import door
from softq.lab.controls import Choice, Control, Slider
from softq.lab.curves import Curve, CurveLab, Panel

BACKUPS = {"boltzmann": BOLTZMANN, "soft": SOFT, "mellowmax": LOG_MEAN_EXP}
TEXTS = {
    "boltzmann": "Boltzmann average of Q",
    "soft": "soft value, log-sum-exp",
    "mellowmax": "log-mean-exp",
}
SWEEPS = 200
RESOLUTION = 20_000
RATIOS = np.geomspace(
    0.005, 2000, 500
)  # of the door's value to the temperature, along a branch of fixed points
TEMPERATURES = (0.02, 2.0)
BEGINNINGS = (("at the first guess", "guess"), ("where the last one ended", "last"))
HIGHEST = 3.0  # first guess
ZOOM = 0.005  # half of the range of the change in one sweep, as a share of the optimal value


def door_map(
    backup: Backup, x: np.ndarray, reward: float, width: float, discount: float, temperature: float
) -> np.ndarray:
    """The value of going through the door after one backup, `(...)`, where it was `x` `(...)` before.

    Every other action has the value 0. `reward` is that of one passage and `width` the door's share of the box.
    """
    q = np.stack([x, np.zeros_like(x)], -1)
    return reward + discount * backup.value(q, door(reward, width, discount).weights, temperature)


def branch(kind: str, reward: float, width: float, discount: float) -> tuple[np.ndarray, np.ndarray]:
    """Temperatures and values of the door at all fixed points of a backup: one curve, followed along `RATIOS`.

    A backup is homogeneous: at the ratio u of value and temperature, x = reward + discount * temperature * average(u)
    is linear in the temperature.
    """
    q = np.stack([RATIOS, np.zeros_like(RATIOS)], -1)
    average = BACKUPS[kind].value(q, door(reward, width, discount).weights, 1.0)
    left = RATIOS - discount * average
    temperatures = reward / left[left > 0]
    return temperatures, RATIOS[left > 0] * temperatures


class BackupLab(CurveLab):
    """The value of the door after a backup as a function of its value before, with fixed points and an iteration.

    The second panel magnifies the change in one sweep, and the last shows the fixed points at all temperatures. If
    `begin` is "last", another temperature begins at the value that the one before reached, not at the first guess.

    `reward` is that of one passage, `width` the door's share of the box, `temperature` the number that divides Q,
    `start` the first value of the iteration and `backup` one of `BACKUPS`. Raises `SoftqError` for a number outside the
    range of its slider, or an unknown backup.
    """

    kind = "backup"
    columns = 2

    def __init__(
        self,
        reward: float = 0.2,
        width: float = 0.01,
        discount: float = 0.9,
        temperature: float = 0.2,
        start: float = 0.0,
        backup: str = "boltzmann",
        begin: str = "guess",
        alt: str = "Three backups of the door's value as curves, their fixed points and an iteration as a staircase.",
        caption: str = "",
    ):
        controls: list[Control] = [
            Choice("backup", "staircase of", backup, [(text, kind) for kind, text in TEXTS.items()]),
            Slider("temperature", "temperature λ", temperature, *TEMPERATURES),
            Choice("begin", "each temperature begins", begin, BEGINNINGS),
            Slider("start", "first guess", start, 0.0, HIGHEST, log=False),
            Slider("width", "share of the door", width, 1e-4, 0.9),
            Slider("reward", "reward r", reward, 0.02, 0.5),
            Slider("discount", "discount γ", discount, 0.0, 0.98, log=False),
        ]
        super().__init__(controls, alt, caption)
        self.reached = start  # by the iteration that was drawn last

    def follow(self, changed: str, settings: dict[str, Any]) -> dict[str, Any]:
        keep = changed == "temperature" and settings["begin"] == "last"
        return {"start": min(max(self.reached, 0.0), HIGHEST)} if keep else {}

    def view(
        self, backup: str, start: float, begin: str, **settings: float
    ) -> tuple[list[Panel], dict[str, float]]:
        best = settings["reward"] / (1 - settings["discount"])
        fixed = {name: settings[name] for name in ("reward", "width", "discount")}
        mdp = door(**fixed)
        found = {
            kind: [float(p.q[0]) for p in fixed_points(mdp, operator, settings["temperature"], RESOLUTION)]
            for kind, operator in BACKUPS.items()
        }
        high = 1.15 * max(best, start, *(max(points) for points in found.values()))
        x = np.linspace(0, high, 400)
        after = {kind: door_map(operator, x, **settings) for kind, operator in BACKUPS.items()}
        curves = [Curve(x, x, "now = next", "diagonal")]
        curves += [Curve(x, after[kind], text, kind) for kind, text in TEXTS.items()]
        path = [start]
        for _ in range(SWEEPS):
            path.append(float(door_map(BACKUPS[backup], np.float64(path[-1]), **settings)))
        self.reached = path[-1]
        stairs = np.repeat(path, 2)
        curves.append(Curve(stairs[:-1], stairs[1:], "", "iterates"))
        points = [(p, p, kind) for kind, ps in found.items() for p in ps]
        sweep = Panel(
            "value of the door now", "after one backup", curves, xlim=(0, high), ylim=(0, high), points=points
        )
        changes = [Curve(np.array([0, high]), np.zeros(2), "no change", "diagonal")]
        changes += [Curve(x, 1000 * (after[kind] - x), "", kind) for kind in BACKUPS]
        change = Panel(
            "value of the door now",
            "1000 × change in one backup",
            changes,
            xlim=(0, high),
            ylim=(-1000 * ZOOM * best, 1000 * ZOOM * best),
            points=[(p, 0.0, kind) for kind, ps in found.items() for p in ps],
        )
        label = "iterates, from where the last ended" if begin == "last" else "iterates"
        values = [Curve(np.arange(SWEEPS + 1), np.array(path), label, "iterates")]
        values.append(Curve(np.array([0, SWEEPS]), np.full(2, best), "optimal value", "maximum"))
        time = Panel("sweep", "value of the door", values, xlim=(0, SWEEPS), ylim=(0, high))
        loop = [Curve(*branch(kind, **fixed), "", kind) for kind in BACKUPS]
        now = np.full(2, settings["temperature"])
        loop.append(Curve(now, np.array([0, high]), "this temperature", "diagonal"))
        branches = Panel(
            "temperature λ",
            "fixed points",
            loop,
            (True, False),
            xlim=TEMPERATURES,
            ylim=(0, high),
            points=[(settings["temperature"], path[-1], "iterates")],
        )
        numbers = {f"Boltzmann fixed point {i + 1}": p for i, p in enumerate(found["boltzmann"])}
        numbers |= {"soft fixed point": found["soft"][0], "log-mean-exp fixed point": found["mellowmax"][0]}
        return [sweep, change, time, branches], numbers | {"optimal value": best, "reached": path[-1]}

    def tables(self) -> dict[str, Any]:
        ratios = [float(f"{u:.6g}") for u in RATIOS]
        return {"sweeps": SWEEPS, "zoom": ZOOM, "range": TEMPERATURES, "highest": HIGHEST, "ratios": ratios}
