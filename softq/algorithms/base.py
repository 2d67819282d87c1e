"""What an algorithm is: how to start, how to act, how to learn. Three papers' worth of ideas fit in these names.

Written for one observation and one action; `vmap` outside. `update` alone sees a batch.

"Temperature" means one thing in all of them. The policy aims at pi ∝ exp(Q / temperature), and `temperature_unit` says
in what the number is measured:

- "Q": the unit of the critic. The temperature is what divides Q.
- "std of Q": the standard deviation of Q(s, .) over uniform actions; in each state this many of it divide Q.
- "Q / 2": half of it divides Q. LQL and NC-LQL with twins="sum" climb the sum of twin critics, which is 2 Q.
- "action": LQL and NC-LQL divide each slope by its length. The temperature weighs the noise of the chain against steps
  of length one, and no number divides Q.
- None: there is no temperature (DDPG).

The field `temperature`, the argument of `policy`, the metric in the log and `softq evaluate --temperature` all have
this unit. The field is where training starts; `in_force` is what tuning or a schedule has made of it; the argument
takes the place of the latter, whatever was learned. `temperature_of` is what divides Q.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import Array

from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree


@pytree
class Transition:
    """One step of experience, or a batch of them with a leading axis.

    `action` lies in [-1, 1]; `discount` is 0 where the episode truly ended and 1 otherwise, time limits included
    (they bootstrap); `next_obs` is the true successor, never the observation after a reset.
    """

    obs: Array
    action: Array
    reward: Array
    discount: Array
    next_obs: Array


class Algorithm(ABC):
    """The interface. Subclasses are frozen pytrees of hyper-parameters, and final.

    Observations are `(obs_dim,)`; actions lie in [-1, 1], `softq.envs.rescale` gives them the environment's units.
    Keys are arguments, never part of the state; `state` holds networks, optimiser moments and learned temperatures.
    """

    small: ClassVar[dict[str, Any]] = {}
    """What `softq train --preset small` changes beyond the general preset: hyper-parameters, `TrainConfig` fields."""
    paper: ClassVar[dict[str, Any]] = {}
    """How the method's own paper trained: the `TrainConfig` fields in which it differs from DDSQ's, the default."""
    temperature_unit: ClassVar[str | None] = None
    """What the temperature is measured in, see above; None without one."""
    adjustable: ClassVar[bool] = False
    """Whether `policy` can act at another temperature than the one in force."""

    @abstractmethod
    def init(self, key: Array, obs: Array, action: Array) -> Any:
        """A fresh state for observations `(obs_dim,)` and actions `(action_dim,)` of these shapes."""

    @abstractmethod
    def policy(self, state: Any, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """An action of the policy that the Bellman target uses, or of the same critic at another temperature.

        None is the temperature in force. Raises `SoftqError` for another one unless `adjustable`.
        """

    def in_force(self, state: Any) -> Array | None:
        """The temperature of the policy now, after tuning; None for a method that has none."""
        return None if self.temperature_unit is None else jnp.asarray(self.temperature)

    def temperature_of(
        self, state: Any, obs: Array, temperature: float | Array | None = None
    ) -> Array | None:
        """What divides Q at `obs`, in the unit of Q, at this temperature or at the one in force.

        None where nothing does: no temperature, or one with the unit of an action.
        """
        if self.temperature_unit in (None, "action"):
            return None
        divisor = jnp.asarray(self.in_force(state) if temperature is None else temperature)
        return divisor / 2 if self.temperature_unit == "Q / 2" else divisor

    def check_adjustable(self, temperature: float | Array | None) -> None:
        """Raise `SoftqError` for a temperature, unless there is none or the policy can act at another one."""
        if temperature is None or self.adjustable:
            return
        why = "has no temperature"
        if self.temperature_unit is not None:
            why = "acts by an actor that was trained at one temperature and knows no other"
        raise SoftqError(
            f"{type(self).__name__} {why}; leave the temperature out, or sample its critic instead: softq evaluate "
            "DIR --sampler mala --temperature X, or softq.algorithms.common.critic_policy.CriticPolicy('mala', X)."
        )

    def explore(self, state: Any, obs: Array, key: Array) -> Array:
        """The action that gathers data."""
        return self.policy(state, obs, key)

    def exploit(self, state: Any, obs: Array, key: Array) -> Array:
        """The action whose return is reported, in [-1, 1] (see `softq.envs.rescale`)."""
        return self.policy(state, obs, key)

    @abstractmethod
    def update(self, state: Any, batch: Transition, key: Array) -> tuple[Any, dict[str, Array]]:
        """One learning step on a batch; returns the new state and scalars for the log."""
