"""`TrapLab`: policy iteration in the trap, a room whose way out is narrow, as a cobweb.

The policy that stays with probability p is worth F(p) to an action that stays. The next policy is the softmax of that
value, and so on: one number is mapped to the next.
"""

from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, xlogy

from softq.lab.controls import Choice, Control, Slider
from softq.lab.curves import Curve, CurveLab, Panel

SWEEPS = 40  # drawn
LATE = 2000  # sweeps after which a cycle or a fixed point is reached
ITERATIONS = {"boltzmann": "Boltzmann", "soft": "soft"}


class TrapLab(CurveLab):
    """What staying is worth under one policy, against what it is worth under the next, with a staircase.

    Actions of a box of volume 2 either stay in the room, for a `cost`, or leave it for nothing; a share `exit` of them
    leaves. `temperature` divides Q, and the first policy stays with probability `first`. Boltzmann policy iteration
    evaluates a policy plainly, soft policy iteration adds temperature * entropy in every later state (SQL, Theorem 4).
    Both are `softq.exact.bellman.policy_iteration` on `softq.exact.mdp.door` with the reward -`cost`.
    Raises `SoftqError` for a number outside the range of its slider, or an unknown `iteration`.
    """

    kind = "trap"
    columns = 2

    def __init__(
        self,
        cost: float = 0.11,
        exit: float = 0.01,
        discount: float = 0.9,
        temperature: float = 0.05,
        first: float = 0.99,
        iteration: str = "boltzmann",
        alt: str = "The value of staying under one policy against that under the next, with a staircase.",
        caption: str = "",
    ):
        controls: list[Control] = [
            Choice(
                "iteration",
                "staircase of",
                iteration,
                [(f"{text} policy iteration", kind) for kind, text in ITERATIONS.items()],
            ),
            Slider("temperature", "temperature λ", temperature, 0.01, 1.0),
            Slider("cost", "cost of staying", cost, 0.02, 0.5),
            Slider("exit", "share of the way out", exit, 1e-4, 0.5),
            Slider("discount", "discount γ", discount, 0.0, 0.98, log=False),
            Slider("first", "first policy stays with probability", first, 0.0, 1.0, log=False),
        ]
        super().__init__(controls, alt, caption)

    def view(
        self, iteration: str, temperature: float, cost: float, exit: float, discount: float, first: float
    ) -> tuple[list[Panel], dict[str, float]]:
        stays = lambda x: expit(x / temperature - logit(exit))

        def worth(p: np.ndarray, kind: str) -> np.ndarray:
            """What staying is worth under a policy that stays with probability p."""
            entropy = xlogy(p, 2 * (1 - exit) / p) + xlogy(1 - p, 2 * exit / (1 - p))
            bonus = discount * temperature * entropy if kind == "soft" else 0.0
            return (bonus - cost) / (1 - discount * p)

        paths = {}
        for kind in ITERATIONS:
            x = worth(np.clip(first, 1e-12, 1 - 1e-12), kind)
            paths[kind] = [x := worth(stays(x), kind) if k else x for k in range(LATE + 1)]
        low = min(-cost / (1 - discount), *paths["soft"][:SWEEPS])
        high = max(0.0, *paths["soft"][:SWEEPS])
        pad = 0.05 * (high - low)
        xlim = (low - pad, high + pad)
        x = np.linspace(*xlim, 400)
        curves = [Curve(x, x, "now = next", "diagonal")]
        curves += [Curve(x, worth(stays(x), kind), text, kind) for kind, text in ITERATIONS.items()]
        stairs = np.repeat(paths[iteration][: SWEEPS + 1], 2)
        curves.append(Curve(stairs[:-1], stairs[1:], "", "iterates"))
        fixed = brentq(lambda x: worth(stays(x), "boltzmann") - x, *(-cost / (1 - discount) - 1e-9, 0.0))
        settled = paths["soft"][-1]
        points = [(fixed, fixed, "boltzmann"), (settled, settled, "soft")]
        web = Panel(
            "value of staying, now", "under the next policy", curves, xlim=xlim, ylim=xlim, points=points
        )
        sweeps = np.arange(SWEEPS + 1)
        lines = [Curve(sweeps, np.array(path[: SWEEPS + 1]), "", kind) for kind, path in paths.items()]
        time = Panel("sweep", "value of staying", lines, xlim=(0, SWEEPS), ylim=xlim)
        p = stays(fixed)
        last = sorted(paths["boltzmann"][-2:])
        numbers = {
            "fixed point": fixed,
            "slope there": discount * fixed / temperature * p * (1 - p) / (1 - discount * p),
            "last two values, lower": last[0],
            "higher": last[1],
            "limit of soft policy iteration": settled,
        }
        return [web, time], {name: float(number) for name, number in numbers.items()}

    def tables(self) -> dict[str, Any]:
        return {"sweeps": SWEEPS, "late": LATE, "iterations": list(ITERATIONS.items())}
