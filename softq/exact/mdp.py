"""Small MDPs that are solved exactly: a few states, and weighted nodes in place of a continuous action.

The nodes of a continuous action are those of `softq.exact.boltzmann.nodes_and_weights`. If the action set divides into
regions in which nothing changes, one node for each region, with the region's volume as its weight, is exact. Finitely
many actions have weight 1. `softq.exact.bellman` iterates Bellman backups on these MDPs.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import xlogy

from softq.exact.boltzmann import nodes_and_weights
from softq.utils.checks import positive
from softq.utils.errors import SoftqError


class MDP:
    """S states and A action nodes with `weights` `(A,)`: `rewards` `(..., S, A)` and `transitions` `(..., S, A, S)`.

    `transitions` holds P(next state | state, action), and `discount` lies in [0, 1). `terminal` `(S,)` marks the states
    where the episode is over: their value is 0 under every backup, also under one that rewards entropy. Leading axes
    are a batch of MDPs of the same size.

    Raises `SoftqError` for shapes that do not fit, rewards that are not finite, transitions that are negative or do
    not sum to one over the next state, weights that are not positive, and a discount outside [0, 1).
    """

    def __init__(
        self,
        rewards: np.ndarray,
        transitions: np.ndarray,
        weights: np.ndarray,
        discount: float,
        terminal: np.ndarray | None = None,
    ):
        self.rewards, self.transitions = np.asarray(rewards, float), np.asarray(transitions, float)
        self.weights, self.discount = np.asarray(weights, float), float(discount)
        states = self.rewards.shape[-2] if self.rewards.ndim > 1 else 0
        self.terminal = np.zeros(states, bool) if terminal is None else np.asarray(terminal, bool)
        _check(self)

    def lookahead(self, values: Float[np.ndarray, "... S"]) -> Float[np.ndarray, "... S A"]:
        """Q = r + discount * P V `(..., S, A)`, from the values V `(..., S)`; Q and V are 0 in terminal states."""
        ahead = (self.transitions @ (values * ~self.terminal)[..., None, :, None])[..., 0]
        return (self.rewards + self.discount * ahead) * ~self.terminal[:, None]

    def evaluate(self, policy: np.ndarray, temperature: float = 0.0) -> Float[np.ndarray, "... S A"]:
        """Q `(..., S, A)` of a policy `(..., S, A)`, the probabilities of the nodes in each state, by one linear solve.

        With a positive `temperature` it is the soft Q of SQL Equation 15: each later state adds temperature * entropy
        to the return. Raises `SoftqError` for a policy of another shape or whose sums over actions are not 1.
        """
        policy = np.asarray(policy, float)
        if policy.shape != self.rewards.shape or not np.allclose(policy.sum(-1), 1, atol=1e-9):
            raise SoftqError(
                f"a policy must have shape {self.rewards.shape} and sum to 1 over actions, got shape {policy.shape}; "
                "multiply a density by the weights."
            )
        entropy = -xlogy(policy, policy / self.weights).sum(-1)
        gain = ((policy * self.rewards).sum(-1) + temperature * entropy) * ~self.terminal
        chain = (policy[..., None, :] @ self.transitions)[..., 0, :] * ~self.terminal[:, None]
        values = np.linalg.solve(np.eye(len(self.terminal)) - self.discount * chain, gain[..., None])[..., 0]
        return self.lookahead(values)

    def uniform(self) -> Float[np.ndarray, "... S A"]:
        """The uniform policy over the actions, as probabilities of the nodes, `(..., S, A)`."""
        return np.broadcast_to(self.weights / self.weights.sum(), self.rewards.shape)

    def state_probabilities(
        self, policy: Float[np.ndarray, "S A"], start: int, steps: int
    ) -> Float[np.ndarray, "{steps} S"]:
        """Probability of each state at times 0, ..., steps - 1 from state `start`, `(steps, S)`, in a single MDP."""
        chain = (policy[:, None, :] @ self.transitions)[:, 0, :]
        rows = [np.eye(len(chain))[start]]
        for _ in range(steps - 1):
            rows.append(rows[-1] @ chain)
        return np.stack(rows)


def _check(mdp: MDP) -> None:
    """Raise `SoftqError` unless the arrays of `mdp` describe a Markov decision process."""
    shape, states = mdp.rewards.shape, len(mdp.terminal)
    for name, array, expected in (
        ("rewards", mdp.rewards, (*shape[:-2], states, mdp.weights.size)),
        ("transitions", mdp.transitions, (*shape, states)),
        ("weights", mdp.weights, shape[-1:]),
        ("terminal", mdp.terminal, shape[-2:-1]),
    ):
        if len(shape) < 2 or array.shape != expected:
            raise SoftqError(
                f"{name} has shape {array.shape}, expected {expected if len(shape) > 1 else '(states, actions)'} "
                "to fit the other arrays; see softq.exact.mdp.MDP."
            )
    if not 0 <= mdp.discount < 1:
        raise SoftqError(f"discount must lie in [0, 1), got {mdp.discount:g}; choose for example 0.9.")
    if not np.isfinite(mdp.rewards).all():
        bad = mdp.rewards[~np.isfinite(mdp.rewards)][0]
        raise SoftqError(f"rewards must be finite, got {bad}; mend the reward function there.")
    positive("weights", mdp.weights)
    total = mdp.transitions.sum(-1)
    off = ~(np.abs(total - 1) <= 1e-9) | (mdp.transitions < 0).any(-1)
    if off.any():
        raise SoftqError(
            "transitions must be at least 0 and sum to 1 over the next state, got a row with sum "
            f"{total[off][0]:g} and smallest entry {mdp.transitions.min(-1)[off][0]:g}; normalise it."
        )


def door(reward: float, width: float, discount: float) -> MDP:
    """An MDP with one decision: an action |a| <= `width` gives `reward` and stays, every other gives 0 and ends it.

    Its two regions of actions make it exact. With a negative reward it is a trap, which the other actions leave.
    Raises `SoftqError` for a `width` outside (0, 1).
    """
    if not 0 < width < 1:
        raise SoftqError(
            f"width is half the width of the door in [-1, 1], got {width:g}; choose one in (0, 1)."
        )
    return _one_state(
        np.array([reward, 0.0]), np.array([1.0, 0.0]), np.array([2 * width, 2 - 2 * width]), discount
    )


def smooth_door(reward: float, width: float, discount: float, panels: int = 400) -> MDP:
    """The `door` with a smooth edge: b(a) = exp(-a^2 / (2 width^2)) is the chance of staying and scales the reward.

    Raises `SoftqError` for a `width` that is not positive.
    """
    positive("width", width)
    nodes, weights = nodes_and_weights(1, panels)
    bump = np.exp(-(nodes[:, 0] ** 2) / (2 * width**2))
    return _one_state(reward * bump, bump, weights, discount)


def _one_state(rewards: np.ndarray, stay: np.ndarray, weights: np.ndarray, discount: float) -> MDP:
    """An MDP whose action nodes lead back to state 0 with probability `stay` `(A,)`, else to the terminal state 1."""
    transitions = np.zeros((2, len(stay), 2))
    transitions[0], transitions[1, :, 1] = np.stack([stay, 1 - stay], -1), 1
    return MDP(np.stack([rewards, 0 * rewards]), transitions, weights, discount, np.array([False, True]))


def random_mdps(
    rng: np.random.Generator,
    num: int,
    states: int = 5,
    actions: int = 4,
    concentration: float = 0.3,
    discount: float = 0.9,
) -> MDP:
    """A batch of `num` MDPs with finitely many actions: Dirichlet transitions, rewards uniform on [0, 1]."""
    transitions = rng.dirichlet(np.full(states, concentration), (num, states, actions))
    return MDP(rng.uniform(size=(num, states, actions)), transitions, np.ones(actions), discount)
