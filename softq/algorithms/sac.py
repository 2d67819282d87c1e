"""SAC, soft actor-critic: a tanh-Gaussian fitted to the softmax of twin critics, and a temperature that learns.

"Soft actor-critic algorithms and applications" (Haarnoja et al. 2018), Algorithm 1 and Table 1. A baseline here: its
policy has one mode per state, whatever the softmax has.
"""

import math
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.algorithms.common.learner import copy, descend, polyak, regress, td_target
from softq.networks import Critic, GaussianActor
from softq.networks.actors import LOG_STD_MAX
from softq.utils.pytree import pytree, replace, static


@pytree
class SACState:
    """All that learning changes."""

    critic: Critic  # theta_1, theta_2
    target: Critic  # their Polyak averages
    actor: GaussianActor  # phi
    log_temperature: Array  # log alpha
    critic_optimiser: optax.OptState
    actor_optimiser: optax.OptState
    temperature_optimiser: optax.OptState


@pytree
class SAC(Algorithm):
    """Hyper-parameters of Table 1, with their values; the temperature is the paper's alpha."""

    small: ClassVar[dict] = {}
    # Table 1: one update a step, batch 256, buffer 1e6. It names no warm-up, this is Spinning Up's and jaxrl5's, nor
    # one length for all tasks: DDSQ's stays.
    paper: ClassVar[dict] = {"num_envs": 1, "warmup": 10_000}
    # The port in the DPRL code, the SAC baseline of SDAC and NC-LQL: `SAC(**SAC.port)`. It updates from 30,000
    # transitions on, from 5 environments.
    port: ClassVar[dict] = {
        "temperature": math.e,
        "reward_scale": 0.2,
        "hidden_sizes": (256, 256, 256),
        "activation": "gelu",
        "jacobian": False,
        "log_std_max": 0.5,
    }
    temperature_unit: ClassVar[str] = "Q"

    temperature: float = 1.0  # alpha at the start, or for good with tune=False; DPRL starts at e
    target_entropy: float = -1.0  # nats per action dimension; jaxrl5 has -1/2
    discount: float = 0.99  # gamma
    learning_rate: float = 3e-4  # Adam, for critics, actor and temperature alike
    polyak: float = 0.005  # tau, after every update
    reward_scale: float = 1.0  # DPRL: 0.2
    hidden_sizes: tuple[int, ...] = static(default=(256, 256))  # units of each layer, critics and actor
    activation: str = static(default="relu")  # of these layers; DPRL "gelu", by erf
    tune: bool = static(default=True)  # False: the temperature stays where it is
    actor_value: Literal["min", "mean"] = static(default="min")  # of the twins; jaxrl5 takes the mean
    jacobian: bool = static(default=True)  # False: the density before tanh, a defect, see below
    # Deviation: the DPRL code leaves log(1 - tanh^2) out of log pi. Its actor is rewarded for the entropy of the
    # Gaussian before tanh, which the target entropy holds at a std of exp(-1) / sqrt(2 pi e) = 0.089 a coordinate. That
    # entropy has no maximum, where the entropy of the action has one: only the ceiling below bounds the spread.
    log_std_max: float = LOG_STD_MAX  # ceiling of the log of std before tanh; DPRL 0.5

    def init(self, key: Array, obs: Array, action: Array) -> SACState:
        """Fresh networks, and targets equal to the critics."""
        for_critic, for_actor = jax.random.split(key)
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.activation)
        actor = GaussianActor.create(for_actor, obs, action, self.hidden_sizes, self.activation)
        adam, log_temperature = self.adam(), jnp.log(jnp.asarray(self.temperature, jnp.float32))
        return SACState(
            critic,
            copy(critic),
            actor,
            log_temperature,
            adam.init(critic.params),
            adam.init(actor.params),
            adam.init(log_temperature),
        )

    def adam(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    # Acting

    def policy(
        self, state: SACState, obs: Array, key: Array, temperature: float | Array | None = None
    ) -> Array:
        """A draw from the actor; it gathers the data too. Raises `SoftqError` for a temperature."""
        self.check_adjustable(temperature)
        return state.actor.at(obs, self.log_std_max).sample(key)[0]

    def in_force(self, state: SACState) -> Array:
        """The paper's alpha, as far as it has been tuned."""
        return jnp.exp(state.log_temperature)

    def exploit(self, state: SACState, obs: Array, key: Array) -> Array:
        """tanh(mean)."""
        return state.actor.at(obs).mode

    # Learning (Algorithm 1)

    def update(self, state: SACState, batch: Transition, key: Array) -> tuple[SACState, dict[str, Array]]:
        """Critics (Equation 6), actor (Equation 9), temperature (Equation 18), target critics, in this order."""
        for_target, for_actor = jax.random.split(key)
        targets = self.targets(state, batch, for_target)
        critic, critic_optimiser, metrics = regress(
            state.critic, self.adam(), state.critic_optimiser, batch, targets
        )
        state = replace(state, critic=critic, critic_optimiser=critic_optimiser)
        state, more = self.improve(state, batch.obs, for_actor)
        return replace(state, target=polyak(self.polyak, critic, state.target)), metrics | more

    def targets(self, state: SACState, batch: Transition, key: Array) -> Array:
        """r + gamma * (min_j Q_target_j(s', a') - alpha log pi(a'|s')), a' from the actor, `(B,)` (Equation 5)."""
        temperature = self.in_force(state)

        def bootstrap(next_obs: Array, key: Array) -> Array:
            action, log_prob = state.actor.at(next_obs, self.log_std_max).sample(key, self.jacobian)
            return state.target.at(next_obs)(action) - temperature * log_prob

        values = jax.vmap(bootstrap)(batch.next_obs, jax.random.split(key, len(batch.reward)))
        return td_target(batch, values, self.discount, self.reward_scale)

    def improve(self, state: SACState, obs: Array, key: Array) -> tuple[SACState, dict[str, Array]]:
        """One actor step on E[alpha log pi - Q] over states `(B, obs_dim)`, then the temperature's."""
        temperature = self.in_force(state)
        value = {"min": jnp.min, "mean": jnp.mean}[self.actor_value]

        def loss(params: dict) -> tuple[Array, Array]:
            actor = replace(state.actor, params=params)

            def one(obs: Array, key: Array) -> tuple[Array, Array]:
                action, log_prob = actor.at(obs, self.log_std_max).sample(key, self.jacobian)
                return temperature * log_prob - value(state.critic(obs, action)), log_prob

            losses, log_prob = jax.vmap(one)(obs, jax.random.split(key, len(obs)))
            return jnp.mean(losses), -jnp.mean(log_prob)

        (error, entropy), gradient = jax.value_and_grad(loss, has_aux=True)(state.actor.params)
        params, optimiser = descend(self.adam(), state.actor_optimiser, state.actor.params, gradient)
        state = replace(state, actor=replace(state.actor, params=params), actor_optimiser=optimiser)
        state = self.adjust(state, entropy) if self.tune else state
        return state, {"actor_loss": error, "entropy": entropy, "temperature": temperature}

    def adjust(self, state: SACState, entropy: Array) -> SACState:
        """One step of log alpha on alpha * (entropy - target entropy): up when the entropy is too low."""
        excess = entropy - self.target_entropy * state.actor.action_dim
        gradient = self.in_force(state) * excess
        log_temperature, optimiser = descend(
            self.adam(), state.temperature_optimiser, state.log_temperature, gradient
        )
        return replace(state, log_temperature=log_temperature, temperature_optimiser=optimiser)
