"""The ways in which a Bellman target averages over the next action, and what comes of iterating each of them.

Four backups of the values q of one state, all at a temperature, all with the same weights on the actions:

- BOLTZMANN     E_pi[q] under pi ∝ exp(q / temperature)             DDSQ, NC-LQL (Eq. 6), DQS (Eq. 7)
- SOFT          temperature * log integral exp(q / temperature)     SQL (Eq. 5), MaxEntDP and SAC in expectation
- LOG_MEAN_EXP  the same with a mean for the integral ("mellowmax") none of them
- HARD          max q                                               Q-learning; the temperature is ignored

Weights say what a sum over actions means: quadrature weights of the box, exact volumes of two regions, or ones for
finitely many actions. Arrays may have any leading axes: a thousand MDPs are one call.
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
    """Probability of each node under pi ∝ exp(q / temperature), `(..., A)`, summing to one over the last axis."""
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
    """`value(q, weights, temperature)` maps `(..., A)` to `(...)`; `gradient` is its derivative by each q, `(..., A)`.

    The gradient always sums to one (adding a constant to q adds it to the value). The sum of its *absolute* values
    is the local Lipschitz constant in the supremum norm, so a backup contracts if no entry is negative.
    """

    name: str
    value: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    gradient: Callable[[np.ndarray, np.ndarray, float], np.ndarray]


BOLTZMANN = Backup("Boltzmann", _mean, _mean_gradient)
SOFT = Backup("soft value", _log_integral, softmax)
LOG_MEAN_EXP = Backup("log-mean-exp", _log_mean, softmax)
HARD = Backup("hard max", _max, _max_gradient)


def lipschitz(backup: Backup, q: np.ndarray, weights: np.ndarray, temperature: float) -> np.ndarray:
    """Local Lipschitz constant of a backup in the supremum norm, `(...)`: at least one, one if it contracts."""
    return np.abs(backup.gradient(q, weights, temperature)).sum(-1)


def worst_lipschitz(width: float) -> float:
    """Largest Lipschitz constant of BOLTZMANN on two values, the better one on a fraction `width` of the actions.

    It is the L > 1 with L tanh(L - log((1 - width) / width) / 2) = 1, attained when the values differ by 2 L
    temperatures. That it exceeds one is in Asadi and Littman 2017; as `width` shrinks it has no bound.
    """
    if not 0 < width < 1:
        raise SoftqError(f"width is the fraction of the best actions, got {width:g}; choose one in (0, 1).")
    shift = np.log((1 - width) / width) / 2
    low = max(1.0, shift)  # both factors of the product grow; there it is below one
    return brentq(lambda x: x * np.tanh(x - shift) - 1, low, low + abs(shift) + 3, xtol=1e-14)


def value_iteration(
    mdp: MDP, backup: Backup, temperature: float, sweeps: int, q: np.ndarray | None = None
) -> np.ndarray:
    """Q_0, ..., Q_sweeps with Q_{k+1} = r + discount * P backup(Q_k), `(sweeps + 1, ..., S, A)`.

    Q_0 is `q`, zero without one; its leading axes may be a batch of starts.
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
    """Q of each policy of the iteration "evaluate exactly, then take the softmax", `(sweeps + 1, ..., S, A)`.

    Plain values give DQS's iteration (Section 4.1, "Boltzmann policy iteration"), `soft` ones that of SQL (Theorem 4),
    SAC and MaxEntDP (Lemma A.2). `policy` `(..., S, A)` is where it starts; without one, uniform.
    """
    policy = mdp.uniform() if policy is None else policy
    history = []
    for _ in range(sweeps + 1):
        history.append(mdp.evaluate(policy, temperature if soft else 0.0))
        policy = softmax(history[-1], mdp.weights, temperature)
    return np.stack(history)


class FixedPoint(NamedTuple):
    """A solution of V = backup(r + discount * P V): its `value` V, `q` `(A,)`, softmax `policy` `(A,)`, and the
    `slope` of one sweep of value iteration, which returns to the fixed point if `abs(slope) < 1`.
    """

    value: float
    q: np.ndarray
    policy: np.ndarray
    slope: float

    @property
    def stable(self) -> bool:
        return abs(self.slope) < 1


def fixed_points(mdp: MDP, backup: Backup, temperature: float, resolution: int = 2000) -> list[FixedPoint]:
    """All fixed points, from low to high, of a backup in an MDP with a single state that is not terminal.

    There one number, the value V of that state, decides everything: the sign of `backup(V) - V` on a grid brackets the
    solutions and Brent's method finds them to rounding. Two that lie within one grid cell are missed together.
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

    # only SOFT can leave the range of the returns, by this much a step
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
