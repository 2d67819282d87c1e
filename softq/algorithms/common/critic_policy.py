"""Any critic with any sampler: a trained critic acts through a sampler, and at a temperature, it was not trained with.

`CriticPolicy("mala", temperature=0.1)` is a policy for every state that has a `critic`, whichever algorithm learnt it;
`CriticPolicy("mala", algo=algo)` samples at the temperature that `algo` has there. The command line says
`softq evaluate DIR --sampler mala --temperature 0.1`.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array

from softq.algorithms.base import Algorithm
from softq.samplers import registry
from softq.utils.checks import positive
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, static


@pytree
class AtTemperature:
    """The policy of `algo` at one temperature, in its own unit. Raises `SoftqError` unless it can act at another."""

    algo: Algorithm
    temperature: float | Array

    def policy(self, state: Any, obs: Array, key: Array) -> Array:
        """One action `(action_dim,)`."""
        return self.algo.policy(state, obs, key, self.temperature)


@pytree
class CriticPolicy:
    """A policy that samples exp(Q / temperature) of whatever critic it is given, through a sampler by name.

    With `algo` the temperature has that algorithm's unit, and None is the one in force at each state. Where it has none
    that divides Q (LQL, NC-LQL, DDPG), and without `algo`, a temperature must be given and divides Q. `budget` is what
    the sampler may spend (`Sampler.at_budget`): candidates, or gradients. `policy(state, obs, key)` and `exploit` are
    those of an algorithm, for any state with a `critic`. Raises `SoftqError` for an unknown sampler, a temperature that
    is missing, a temperature that is not positive, a budget that is too small, or a state without a critic.
    """

    sampler: str = static()
    temperature: float | Array | None = None
    budget: int = static(default=100)
    algo: Algorithm | None = None

    def __post_init__(self) -> None:
        registry.get(self.sampler)
        if isinstance(self.temperature, int | float):
            positive("temperature", self.temperature)
        positive("budget", self.budget)

    def policy(self, state: Any, obs: Array, key: Array) -> Array:
        """One action `(action_dim,)`."""
        if not hasattr(state, "critic"):
            raise SoftqError(
                f"{type(state).__name__} holds no critic; samplers need one, leave --sampler out."
            )
        critic, temperature = state.critic.network, self.temperature_of(state, obs)
        sampler = registry.get(self.sampler).at_budget(self.budget, critic.action_dim)
        if sampler is None:
            raise SoftqError(
                f"a budget of {self.budget} is too small for {self.sampler}; give more: --budget N."
            )
        seen = state.seen(obs) if hasattr(state, "seen") else obs
        return sampler(key, critic.at(seen), critic.action_dim, temperature).action

    exploit = policy

    def temperature_of(self, state: Any, obs: Array) -> Array:
        """What divides Q at `obs`."""
        own = None if self.algo is None else self.algo.temperature_of(state, obs, self.temperature)
        if own is None and self.temperature is None:
            raise SoftqError(
                f"no temperature divides Q in {type(self.algo).__name__ if self.algo else 'a bare critic'}; "
                "give one in the unit of Q: --temperature X."
            )
        return jnp.asarray(self.temperature) if own is None else own


def acting(
    algo: Algorithm,
    method: str | None = None,
    temperature: float | Array | None = None,
    sampler: str | None = None,
    budget: int = 100,
) -> tuple[Any, str]:
    """Who acts, and by which of its methods: "policy", or "exploit", the action whose return is reported.

    That is `algo`; at another `temperature`, `AtTemperature`; with a `sampler`, `CriticPolicy`. Without a `method`
    another temperature and a sampler are played by "policy", and the temperature in force by "exploit". Raises
    `SoftqError` for a temperature that is not positive, for one at which the policy cannot act, and for another one
    with "exploit".
    """
    if temperature is not None:
        positive("temperature", temperature)
    method = method or ("exploit" if temperature is None else "policy")
    if sampler is not None:
        return CriticPolicy(sampler, temperature, budget, algo), "policy"
    if temperature is None:
        return algo, method
    algo.check_adjustable(temperature)
    if method == "exploit":
        raise SoftqError(
            "exploit acts at the temperature in force and takes no other; leave the temperature out or play policy."
        )
    return AtTemperature(algo, temperature), method
