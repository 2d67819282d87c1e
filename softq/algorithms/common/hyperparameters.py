"""Fields that nearly every method has, explained once; the values stand in each method's own table.

`note` says where a value comes from or what another source has; it ends the sentence of `softq train --help`.
"""

from typing import Any

from softq.networks import ACTIVATIONS
from softq.utils.fields import choice, count, name, number, positive, share, sizes


def discount(default: float = 0.99, note: str = "") -> Any:
    return share(default, said("Discount factor gamma", note))


def learning_rate(default: float, whose: str = "the critics", note: str = "") -> Any:
    return positive(default, said(f"Learning rate of {whose}, by Adam", note))


def polyak(default: float = 0.005, note: str = "") -> Any:
    return share(default, said("Share tau of the way to its network that a target goes in an update", note))


def reward_scale(default: float = 1.0, note: str = "") -> Any:
    return number(default, said("Factor by which every reward is multiplied", note))


def hidden_sizes(default: tuple[int, ...], whose: str = "every network", note: str = "") -> Any:
    return sizes(default, said(f"Units of each hidden layer of {whose}", note))


def activation(default: str, whose: str = "every network", note: str = "") -> Any:
    return name(default, said(f"Activation of the hidden layers of {whose}", note), ACTIVATIONS)


def backup(default: str, note: str = "") -> Any:
    return choice(
        default, said("Value of a next state in a target, see softq.algorithms.common.targets", note)
    )


def num_value_samples(default: int = 100) -> Any:
    return count(default, "Number of uniform actions that the backups soft and mellowmax are estimated from.")


def tune_by(default: str = "policy") -> Any:
    return choice(
        default, "Whose entropy tunes the temperature: the policy's, or that of its critic's softmax."
    )


def action_gain(whose: str) -> Any:
    return positive(1.0, f"Factor of the first weights of the action in {whose}; not in the paper.")


def said(sentence: str, note: str) -> str:
    return f"{sentence}; {note}." if note else f"{sentence}."
