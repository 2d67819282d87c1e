"""The temperature, and the rule by which it learns.

Three rules move its logarithm towards a target entropy. Up when the policy is more certain than was asked, down when it
is less:

- "sac": one step of Adam on temperature * (entropy - target), SAC's Equation 18 (Haarnoja et al. 2018).
- "log": one step of Adam on log temperature * (entropy - target), as in DACER's code: SAC's without the factor.
- "ddsq": a step of learning_rate * (entropy - target) / max(1, standard deviation of the entropies over the states), in
  the other direction (DDSQ, Appendix B.3.4). Deviation: the paper steps the temperature itself, which nothing keeps
  positive; here its logarithm.

Which entropy a method goes by is its own: that of its actor, or of the softmax of its critic (`common.entropy`).
"""

from typing import Any, Literal

import jax.numpy as jnp
import optax
from jax import Array

from softq.utils.fields import choice, count, nested, nonnegative, number, positive
from softq.utils.pytree import pytree, replace

Rule = Literal["fixed", "sac", "log", "ddsq"]


@pytree
class TemperatureState:
    """What a temperature has learned."""

    # the temperature in force is the value at the start times exp(log_scale)
    log_scale: Array
    # the last mean entropy that a step went by, nats; before there is one, that of the uniform policy
    entropy: Array
    optimiser: optax.OptState = ()  # Adam's moments under the rules "sac" and "log"


@pytree
class Temperature:
    """What divides Q: its value at the start, and the rule by which it learns."""

    value: float = positive(
        1.0, "Temperature at the start of training, or for good under the rule fixed.", option=""
    )
    rule: Rule = choice(
        "fixed", "Rule by which the temperature learns: not at all, SAC's, its log or DDSQ's."
    )
    target_entropy: float = number(
        -1.0, "Target of the policy's mean entropy, in nats per action dimension.", option="target-entropy"
    )
    learning_rate: float = nonnegative(3e-4, "Learning rate of the temperature's logarithm.")
    every: int = count(1, "Number of updates between two steps of the temperature.")

    def init(self, dim: int) -> TemperatureState:
        """Nothing learned yet; actions have `dim` coordinates."""
        log_scale = jnp.zeros(())
        moments = optax.adam(self.learning_rate).init(log_scale) if self.rule in ("sac", "log") else ()
        return TemperatureState(log_scale, dim * jnp.log(2.0), moments)

    def __call__(self, state: TemperatureState) -> Array:
        """The temperature in force."""
        return self.value * jnp.exp(state.log_scale)

    def update(
        self, state: TemperatureState, entropies: Array, dim: int, now: Array | None = None
    ) -> TemperatureState:
        """One step by entropies `(B,)` of the policy in B states, nats; actions have `dim` coordinates.

        `now` is the temperature in force where a schedule lowers it too.
        """
        entropy = jnp.mean(entropies).astype(state.entropy.dtype)  # draws may be in higher precision
        excess = entropy - dim * self.target_entropy
        if self.rule == "ddsq":
            step = -self.learning_rate * excess / jnp.maximum(1.0, jnp.std(entropies))
            return replace(state, log_scale=state.log_scale + step, entropy=entropy)
        if self.rule in ("sac", "log"):
            gradient = excess
            if self.rule == "sac":
                gradient = (self(state) if now is None else now) * excess
            step, moments = optax.adam(self.learning_rate).update(gradient, state.optimiser)
            log_scale: Any = optax.apply_updates(state.log_scale, step)
            return TemperatureState(log_scale, entropy, moments)
        return replace(state, entropy=entropy)


def tempered(default: Temperature, help: str) -> Any:
    """The field `temperature` of a method; a number in its place is where the method's own rule starts."""
    return nested(default, help, shorthand="value")


def slope_unit(unit_slope: bool, twins: str) -> str:
    """Unit of the temperature, see `softq.algorithms.base`, of a chain that climbs twin critics reduced by `twins`."""
    if unit_slope:
        return "action"
    return "Q / 2" if twins == "sum" else "Q"
