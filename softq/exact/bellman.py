"""Four ways in which a Bellman target averages the values q of a state over its actions, and their iteration.

- BOLTZMANN     E_pi[q] under pi ∝ exp(q / temperature)                  DDSQ, NC-LQL (Eq. 6), DQS (Eq. 7)
- SOFT          temperature * log integral exp(q / temperature)          SQL (Eq. 5), MaxEntDP and SAC in expectation
- LOG_MEAN_EXP  temperature * log mean exp(q / temperature)              "mellowmax"; no method of softq uses it
- HARD          max q                                                    Q-learning; the temperature is ignored

Each node of the actions has a weight: its quadrature weight on the box, the volume of a region in which nothing
changes, or 1 for finitely many actions. Arrays may have leading axes, so that one call serves a batch of MDPs.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp

from softq.exact.mdp import MDP
from softq.utils.checks import positive
from softq.utils.errors import SoftqError


def softmax(q: np.ndarray, weights: np.ndarray, temperature: float) -> np.ndarray:
    """Probability of each node under pi ∝ exp(q / temperature), `(..., A)`; the sum over the last axis is 1."""
    positive("temperature", temperature)
    logits = q / temperature
    p = weights * np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def _mean(q: np.ndarray, weights: np.ndarray, temperature: float) -> np.ndarray:
    return (softmax(q, weights, temperature) * q).sum(-1)


def _mean_gradient(q: np.ndarray, weights: np.ndarray, temperature: float) -> np.ndarray:
    advantage = q - _mean(q, weights, temperature)[..., None]
    return softmax(q, weights, temperature) * (1 + advantage / temperature)


def _log_integral(q: np.ndarray, weights: np.ndarray, temperature: float) -> np.ndarray:
    positive("temperature", temperature)
    return temperature * logsumexp(q / temperature, b=weights, axis=-1)


def _log_mean(q: np.ndarray, weights: np.ndarray, temperature: float) -> np.ndarray:
    return _log_integral(q, weights / weights.sum(), temperature)


def _max(q: np.ndarray, weights: np.ndarray, temperature: float) -> np.ndarray:
    return q.max(-1)


def _max_gradient(q: np.ndarray, weights: np.ndarray, temperature: float) -> np.ndarray:
    return (np.arange(q.shape[-1]) == q.argmax(-1)[..., None]).astype(float)


class Backup(NamedTuple):
    """`value(q, weights, temperature)` maps `(..., A)` to `(...)`; `gradient` is its derivative by q, `(..., A)`.

    The gradient sums to 1 over the actions, since a constant added to q is added to the value. The sum of its
    *absolute* values is the local Lipschitz constant in the supremum norm: it is 1 if no entry is negative.
    """

    name: str
    value: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    gradient: Callable[[np.ndarray, np.ndarray, float], np.ndarray]


BOLTZMANN = Backup("Boltzmann", _mean, _mean_gradient)
SOFT = Backup("soft value", _log_integral, softmax)
LOG_MEAN_EXP = Backup("log-mean-exp", _log_mean, softmax)
HARD = Backup("hard max", _max, _max_gradient)


def lipschitz(backup: Backup, q: np.ndarray, weights: np.ndarray, temperature: float) -> np.ndarray:
    """Local Lipschitz constant of a backup in the supremum norm, `(...)`: at least 1; above 1 the backup expands."""
    return np.abs(backup.gradient(q, weights, temperature)).sum(-1)


def worst_lipschitz(width: float) -> float:
    """Largest Lipschitz constant of BOLTZMANN for two values of q, the higher one on a fraction `width` of the actions.

    It is the L > 1 with L tanh(L - log((1 - width) / width) / 2) = 1, attained when the values differ by 2 L
    temperatures, and grows without bound as `width` tends to 0. That L exceeds 1 is shown by Asadi and Littman (2017).
    Raises `SoftqError` for a `width` outside (0, 1).
    """
    if not 0 < width < 1:
        raise SoftqError(f"width is the fraction of the best actions, got {width:g}; choose one in (0, 1).")
    shift = np.log((1 - width) / width) / 2
    # both factors of x tanh(x - shift) grow with x, and at `low` the product is below 1
    low = max(1.0, shift)
    return brentq(lambda x: x * np.tanh(x - shift) - 1, low, low + abs(shift) + 3, xtol=1e-14)


def value_iteration(
    mdp: MDP, backup: Backup, temperature: float, sweeps: int, q: np.ndarray | None = None
) -> np.ndarray:
    """Q_0, ..., Q_sweeps with Q_{k+1} = r + discount * P backup(Q_k), `(sweeps + 1, ..., S, A)`.

    Q_0 is `q` `(..., S, A)`, whose leading axes may be a batch of starts, or zero where `q` is None.
    Raises `SoftqError` for a `q` of another size.
    """
    q = np.zeros(mdp.rewards.shape) if q is None else np.asarray(q, float)
    if q.shape[-2:] != mdp.rewards.shape[-2:]:
        raise SoftqError(
            f"q must end in the shape {mdp.rewards.shape[-2:]} of states and actions, got {q.shape}."
        )
    history = [np.broadcast_to(q, np.broadcast_shapes(q.shape, mdp.rewards.shape))]
    for _ in range(sweeps):
        history.append(mdp.lookahead(backup.value(history[-1], mdp.weights, temperature)))
    return np.stack(history)


def policy_iteration(
    mdp: MDP, temperature: float, sweeps: int, policy: np.ndarray | None = None, soft: bool = False
) -> np.ndarray:
    """Q of each policy of the iteration "evaluate exactly, then take the softmax of Q", `(sweeps + 1, ..., S, A)`.

    With plain values it is DQS's "Boltzmann policy iteration" (Section 4.1), with `soft` ones the iteration of SQL
    (Theorem 4), SAC and MaxEntDP (Lemma A.2). The first policy is `policy` `(..., S, A)`, or uniform if it is None.
    """
    policy = mdp.uniform() if policy is None else policy
    history = []
    for _ in range(sweeps + 1):
        history.append(mdp.evaluate(policy, temperature if soft else 0.0))
        policy = softmax(history[-1], mdp.weights, temperature)
    return np.stack(history)


class FixedPoint(NamedTuple):
    """A solution of V = backup(r + discount * P V): its `value` V, `q` `(A,)` and softmax `policy` `(A,)`.

    `slope` is the derivative of one sweep of value iteration there; the fixed point attracts if `abs(slope) < 1`.
    """

    value: float
    q: np.ndarray
    policy: np.ndarray
    slope: float

    @property
    def stable(self) -> bool:
        return abs(self.slope) < 1


def fixed_points(mdp: MDP, backup: Backup, temperature: float, resolution: int = 2000) -> list[FixedPoint]:
    """All fixed points of a backup, from low to high, in an MDP with exactly one state that is not terminal.

    Only the value V of that state is unknown. The sign of backup(V) - V on a grid of `resolution` cells brackets the
    solutions, and Brent's method finds them to rounding. Two solutions within one grid cell are both missed.
    Raises `SoftqError` for another number of such states, or for a batch of MDPs.
    """
    live = np.flatnonzero(~mdp.terminal)
    if len(live) != 1 or mdp.rewards.ndim != 2:
        raise SoftqError(
            f"fixed_points needs a single MDP with one state that is not terminal, got {len(live)} such states; "
            "use value_iteration from several starts."
        )
    (state,) = live
    stay, rewards = mdp.transitions[state, :, state], mdp.rewards[state]

    def q_of(value: np.ndarray) -> np.ndarray:
        return rewards + mdp.discount * np.asarray(value)[..., None] * stay

    def excess(value: np.ndarray) -> np.ndarray:
        return backup.value(q_of(value), mdp.weights, temperature) - value

    # the value of SOFT can exceed the range of the returns by at most `bonus` a step, the others stay within the range
    bonus = temperature * abs(np.log(mdp.weights.sum()))
    reach = (np.abs(rewards).max() + bonus) / (1 - mdp.discount) + 1e-9
    grid = np.linspace(-reach, reach, resolution + 1)
    signs = np.concatenate([excess(part) for part in np.array_split(grid, 50)]) > 0
    points = []
    for i in np.flatnonzero(signs[1:] != signs[:-1]):
        value = brentq(excess, grid[i], grid[i + 1], xtol=1e-15, rtol=1e-15)
        q = q_of(value)
        slope = mdp.discount * backup.gradient(q, mdp.weights, temperature) @ stay
        points.append(FixedPoint(float(value), q, softmax(q, mdp.weights, temperature), float(slope)))
    return points
