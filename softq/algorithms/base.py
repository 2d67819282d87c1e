"""What an algorithm is: how to start, how to act, what a state is worth, how its networks learn.

A method says `init`, `policy` and, where they differ from what stands here, `next_value`, `actor_loss` and `entropies`.
They see one observation and one action; `targets` and `update` see a batch and are written once, below.

"Temperature" means one thing in all methods. The policy aims at pi ∝ exp(Q / temperature), and `temperature_unit` says
in what the number is measured:

- "Q": the unit of the critic. The temperature is what divides Q.
- "std of Q": the standard deviation of Q(s, .) over uniform actions; in each state this many of it divide Q. In DPMD,
  the running one of Q at the actions that it draws, over all states.
- "Q / 2": half of it divides Q. LQL and NC-LQL with twins="sum" climb the sum of twin critics, which is 2 Q.
- "action": LQL, NC-LQL and ACA divide each slope by its length. The temperature weighs the noise of the chain against
  steps of length one, and no number divides Q. In DACER it weighs the noise that is added to an action.
- None: there is no temperature (DDPG).

The field `temperature`, the argument of `policy`, the metric in the log and `softq evaluate --temperature` all have
this unit. The field says where training starts and how the temperature learns; `current_temperature` is what tuning or
a schedule has made of it; the argument takes the place of the latter. `temperature_of` is what divides Q.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.common.learner import Learner
from softq.algorithms.common.targets import Backup, mellowmax, soft_value
from softq.algorithms.common.temperature import Rule, Temperature, TemperatureState
from softq.box import uniform_actions
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import settings_of
from softq.utils.pytree import pytree, replace

Info = dict[str, Array]  # scalars of one state, or of a batch of them, for the log


@pytree
class Transition:
    """One step of experience, or a batch of them with a leading axis.

    `action` lies in [-1, 1]; `discount` is 0 where the episode truly ended and 1 otherwise, time limits included
    (they bootstrap); `next_obs` is the true successor, never the observation after a reset. For a method that revises
    actions, `revised` is the one that it has made of the executed one; None for all others. `ended` says whether the
    episode ended with this step, by itself or by its time limit; None unless returns of several steps need it.
    """

    obs: Array
    action: Array
    reward: Array
    discount: Array
    next_obs: Array
    revised: Array | None = None
    ended: Array | None = None


@pytree
class State:
    """All that learning changes."""

    critic: Learner
    actor: Any  # its Learner, or None
    temperature: Any  # its TemperatureState, or None
    step: Array  # updates so far
    extra: Any = None  # whatever else a method learns
    observed: Any = None  # the mean and variance of observations, where training normalises them

    def seen(self, obs: Array) -> Array:
        """What the networks see of an observation `(obs_dim,)` as the environment gives it."""
        return obs if self.observed is None else self.observed.normalised(obs)


class Algorithm(ABC):
    """The interface. Subclasses are frozen pytrees of hyper-parameters.

    Observations are `(obs_dim,)`; actions lie in [-1, 1], `softq.envs.rescale` gives them the environment's units.
    Keys are arguments, never part of the state.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    # fields that every subclass has
    discount: float
    learning_rate: float
    polyak: float
    reward_scale: float

    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "small": {}}
    """Named settings, hyper-parameters and `TrainConfig` fields together: "paper", as the method's own paper trained,
    where that is not the default; "small", what a laptop needs beyond the general preset; "code", the released code."""
    temperature_unit: ClassVar[str | None] = None
    """What the temperature is measured in, see above; None without one."""
    adjustable: ClassVar[bool] = False
    """Whether `policy` can act at another temperature than the one in force."""
    revises: ClassVar[bool] = False
    """Whether the replay keeps the actions that `improved` returns, and gives them back the next time."""
    tuned_by: ClassVar[Rule | None] = None
    """The rule by which the temperature learns where it is asked to; None for a method that measures no entropy."""
    temperature: ClassVar[Temperature | None] = None
    actor_learning_rate: ClassVar[float | None] = None
    """The learning rate of the actor; None is that of the critics."""
    policy_delay: ClassVar[int] = 1
    """Number of updates between two steps of the actor and of all targets."""
    backup: ClassVar[Backup] = "boltzmann"
    num_value_samples: ClassVar[int] = 100

    def __post_init__(self) -> None:
        if self.tuned_by is None and self.temperature is not None and self.temperature.rule != "fixed":
            raise SoftqError(
                f"{type(self).__name__} estimates no entropy to tune its temperature by; leave the rule at 'fixed'."
            )

    # A method says these

    @abstractmethod
    def init(self, key: Array, obs: Array, action: Array) -> State:
        """A fresh state for observations `(obs_dim,)` and actions `(action_dim,)` of these shapes."""

    @abstractmethod
    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """An action of the policy that the Bellman target uses, or of the same critic at another temperature.

        None is the temperature in force. Raises `SoftqError` for another one unless `adjustable`.
        """

    # A method may say these

    def explore(self, state: State, obs: Array, key: Array) -> Array:
        """The action that gathers data."""
        return self.policy(state, obs, key)

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """The action whose return is reported, in [-1, 1] (see `softq.envs.rescale`)."""
        return self.policy(state, obs, key)

    def next_value(self, state: State, next_obs: Array, key: Array) -> tuple[Array, Info]:
        """What the Bellman target adds for one next state, from the target critic; and scalars for the log.

        A number, or as many of them as `critic_step` wants for a transition.
        """
        q = state.critic.target.at(next_obs)
        if self.backup == "boltzmann":
            return q(self.policy(state, next_obs, key)), {}
        dim = state.critic.network.action_dim
        values = jax.vmap(q)(uniform_actions(key, dim, self.num_value_samples))
        temperature = self.divisor(state, values)
        if self.backup == "mellowmax":
            return mellowmax(values, temperature), {}
        return soft_value(values, temperature, dim), {}

    def improved(self, state: State, obs: Array, action: Array) -> Array:
        """The action that the actor learns from in place of a replayed one, by the critic as it is."""
        return action

    def actor_loss(
        self, actor: Any, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """What the actor lowers, in one state and with its replayed action; and scalars for the log."""
        raise SoftqError(f"{type(self).__name__} has an actor and says no loss for it; define actor_loss.")

    def entropies(self, state: State, batch: Transition, key: Array, info: Info) -> Array:
        """The entropies `(B,)`, nats, that a temperature is tuned by; `info` is what this update has put together."""
        return info["entropy"]

    def critic_optimiser(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def actor_optimiser(self) -> optax.GradientTransformation:
        rate = self.actor_learning_rate
        return optax.adam(self.learning_rate if rate is None else rate)

    def target_rate(self, step: Array) -> float | Array:
        """How far the targets move in the update number `step`, in [0, 1]."""
        return self.polyak if self.policy_delay == 1 else self.due(step) * self.polyak

    def due(self, step: Array) -> Array:
        """Whether the actor and the targets move in the update number `step`."""
        return step % self.policy_delay == 0

    # The temperature

    def current_temperature(self, state: State) -> Any:
        """The temperature of the policy now, a scalar in its own unit; None for a method that has none."""
        return None if self.temperature is None else self.temperature(state.temperature)

    def divisor(self, state: State, values: Array) -> Array:
        """What divides Q in a state in which Q is `values` `(n,)` at uniform actions."""
        return self.in_unit_of_q(self.current_temperature(state))

    def in_unit_of_q(self, temperature: float | Array) -> Array:
        """The number that divides Q at a temperature of the unit "Q" or "Q / 2"."""
        return jnp.asarray(temperature) / (2 if self.temperature_unit == "Q / 2" else 1)

    def temperature_of(
        self, state: State, obs: Array, temperature: float | Array | None = None
    ) -> Array | None:
        """What divides Q at `obs`, in the unit of Q, at this temperature or at the one in force.

        None where nothing does: no temperature, or one with the unit of an action.
        """
        if self.temperature_unit in (None, "action"):
            return None
        return self.in_unit_of_q(self.current_temperature(state) if temperature is None else temperature)

    def check_adjustable(self, temperature: float | Array | None) -> None:
        """Raise `SoftqError` for a temperature, unless there is none or the policy can act at another one."""
        if temperature is None or self.adjustable:
            return
        why = "has no temperature"
        if self.temperature_unit is not None:
            why = "acts by an actor that was trained at one temperature and knows no other"
        raise SoftqError(
            f"{type(self).__name__} {why}; leave the temperature out, or sample its critic instead: softq evaluate "
            "DIR --sampler mala --temperature X, or softq.load(DIR)(obs, X, sampler='mala')."
        )

    # And gets these

    def fresh_state(
        self, critic: Any, actor: Any = None, actor_target: bool = False, extra: Any = None
    ) -> State:
        """The state of fresh networks: a target beside the critic, and beside the actor if it is asked for."""
        return State(
            Learner.create(critic, self.critic_optimiser(), target=True),
            None if actor is None else Learner.create(actor, self.actor_optimiser(), actor_target),
            None if self.temperature is None else self.temperature.init(critic.action_dim),
            jnp.zeros((), jnp.int32),
            extra,
        )

    def targets(self, state: State, batch: Transition, key: Array) -> tuple[Array, Info]:
        """reward_scale * r + discount * (0 where the episode ended, else 1) * next_value, `(B,)`, held fixed."""

        def target(row: Transition, key: Array) -> tuple[Array, Info]:
            value, info = self.next_value(state, row.next_obs, key)
            return self.reward_scale * row.reward + self.discount * row.discount * value, info

        return jax.vmap(target)(batch, jax.random.split(key, len(batch.reward)))

    def update(self, state: State, batch: Transition, key: Array) -> tuple[State, Info]:
        """One learning step on a batch: critic, its target, actor, temperature. Returns the state and the log."""
        return self.update_and_revise(state, batch, key)[:2]

    def update_and_revise(self, state: State, batch: Transition, key: Array) -> tuple[State, Info, Array]:
        """`update`, and the actions `(B, d)` that its actor has learned from."""
        for_target, for_actor, for_entropy, for_critic = jax.random.split(key, 4)
        targets, info = self.targets(state, batch, for_target)
        critic, metrics = self.critic_step(state.critic, batch, targets, for_critic)
        state = replace(state, critic=critic.follow(self.target_rate(state.step + 1)))
        batch = self.revise(state, batch)
        state, more = self.policy_step(state, batch, for_actor, for_entropy, info)
        return state, metrics | {"target_mean": jnp.mean(targets)} | more, batch.action

    def revise(self, state: State, batch: Transition) -> Transition:
        """The batch as its actor learns from it: with improved actions, each from where it was left the last time."""
        start = batch.action if batch.revised is None else batch.revised
        return replace(batch, action=jax.vmap(self.improved, (None, 0, 0))(state, batch.obs, start))

    def policy_step(
        self, state: State, batch: Transition, for_actor: Array, for_entropy: Array, info: Info
    ) -> tuple[State, Info]:
        """The actor, its target and the temperature, by the critic as it is. `info` is what the targets told."""
        step, before = state.step + 1, self.current_temperature(state)
        metrics: Info = {}
        if state.actor is not None:
            actor, error, more = self.actor_step(state, batch, for_actor)
            state = replace(state, actor=actor.follow(self.target_rate(step)))
            metrics, info = {"actor_loss": error}, info | more
        metrics |= {name: jnp.mean(values, axis=0) for name, values in info.items()}
        if self.temperature is not None:
            metrics["temperature"] = before
            if self.temperature.rule != "fixed":
                tuned = self.temperature_step(state, batch, for_entropy, info)
                state, metrics["entropy"] = replace(state, temperature=tuned), tuned.entropy
        return replace(state, step=step), metrics

    def critic_step(
        self, critic: Learner, batch: Transition, targets: Array, key: Array
    ) -> tuple[Learner, Info]:
        """One step of every critic towards `targets` `(B,)`: squared error, summed over the critics."""
        critic, error, values = critic.step(
            self.critic_optimiser(), lambda network: squared_error(network, batch, targets)
        )
        return critic, {"critic_loss": error, "q_mean": jnp.mean(values)}

    def actor_step(self, state: State, batch: Transition, key: Array) -> tuple[Learner, Array, Info]:
        """One step of the actor down the mean of `actor_loss`: the learner, that mean, and the states' scalars.

        Where no step is due the actor stays, and its loss is only looked at.
        """
        keys = jax.random.split(key, len(batch.obs))

        def loss(actor: Any) -> tuple[Array, Info]:
            one = lambda obs, action, key: self.actor_loss(actor, state, obs, action, key)
            losses, info = jax.vmap(one)(batch.obs, batch.action, keys)
            return jnp.mean(losses), info

        due = self.policy_delay == 1 or self.due(state.step + 1)
        return state.actor.step(self.actor_optimiser(), loss, due)

    def temperature_step(self, state: State, batch: Transition, key: Array, info: Info) -> TemperatureState:
        """The temperature after this update; entropies are estimated only where a step is due."""
        rule: Any = self.temperature

        def learn() -> TemperatureState:
            entropies = self.entropies(state, batch, key, info)
            dim, now = state.critic.network.action_dim, self.current_temperature(state)
            return rule.update(state.temperature, entropies, dim, now)

        if rule.every == 1:
            return learn()
        return jax.lax.cond((state.step + 1) % rule.every == 0, learn, lambda: state.temperature)


def squared_error(critic: Any, batch: Transition, targets: Array) -> tuple[Array, Array]:
    """The mean squared error towards `targets` `(B,)`, summed over the critics, and their values `(B, critics)`."""
    values = jax.vmap(critic)(batch.obs, batch.action)
    return jnp.sum(jnp.mean((values - targets[:, None]) ** 2, axis=0)), values


def idle_settings(cls: type[Algorithm]) -> set[str]:
    """The flat names of settings that a method which cannot tune its temperature refuses or never reads."""
    tuning = lambda path: path[0] == "temperature" and path[1:] not in ((), ("value",))
    return {name for name, x in settings_of(cls).items() if cls.tuned_by is None and tuning(x.path)}
