"""What an algorithm is: how to start, how to act, how to learn. Three papers' worth of ideas fit in these names.

Written for one observation and one action; `vmap` outside. `update` alone sees a batch.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from jax import Array

from softq.pytree import pytree


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

    @abstractmethod
    def init(self, key: Array, obs: Array, action: Array) -> Any:
        """A fresh state for observations `(obs_dim,)` and actions `(action_dim,)` of these shapes."""

    @abstractmethod
    def policy(self, state: Any, obs: Array, key: Array) -> Array:
        """An action of the policy that the Bellman target uses."""

    def explore(self, state: Any, obs: Array, key: Array) -> Array:
        """The action that gathers data."""
        return self.policy(state, obs, key)

    def exploit(self, state: Any, obs: Array, key: Array) -> Array:
        """The action whose return is reported, in [-1, 1] (see `softq.envs.rescale`)."""
        return self.policy(state, obs, key)

    @abstractmethod
    def update(self, state: Any, batch: Transition, key: Array) -> tuple[Any, dict[str, Array]]:
        """One learning step on a batch; returns the new state and scalars for the log."""
