"""DDPG: a deterministic actor that climbs one critic.

"Continuous control with deep reinforcement learning" (Lillicrap et al. 2016), Algorithm 1, with the settings of the
`OurDDPG.py` of Fujimoto's TD3 repository, the fair ones beside newer methods. It is the limit of soft methods as the
temperature goes to zero: no entropy, one action a state. The paper's own settings: hidden_sizes (400, 300),
actor_learning_rate 1e-4, learning_rate 1e-3, weight_decay 1e-2, polyak 0.001, exploration_noise 0.38.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.algorithms.common.learner import copy, descend, polyak, regress, td_target
from softq.networks import Critic, DeterministicActor
from softq.utils.pytree import pytree, replace, static


@pytree
class DDPGState:
    """All that learning changes."""

    critic: Critic
    target: Critic
    actor: DeterministicActor
    actor_target: DeterministicActor
    critic_optimiser: optax.OptState
    actor_optimiser: optax.OptState


@pytree
class DDPG(Algorithm):
    """Hyper-parameters with the values of `OurDDPG.py`."""

    small: ClassVar[dict] = {"actor_learning_rate": 2e-3}
    # Like the values below those of Fujimoto's repository; the paper has batches of 64.
    paper: ClassVar[dict] = {"num_envs": 1, "iterations": 1_000_000, "warmup": 25_000}

    discount: float = 0.99  # gamma
    learning_rate: float = 3e-4  # of the critic, Adam; paper 1e-3
    actor_learning_rate: float = 3e-4  # paper 1e-4
    weight_decay: float = 0.0  # added to the critic's gradient, times the weights; paper 1e-2
    polyak: float = 0.005  # tau, critic and actor, after every update; paper 1e-3
    reward_scale: float = 1.0  # multiplies the rewards
    exploration_noise: float = 0.1  # standard deviation of normal noise, clipped to the box
    # Deviation: the paper adds Ornstein-Uhlenbeck noise, theta 0.15 and sigma 0.2, which needs a memory. Independent
    # noise of its stationary spread, sigma / sqrt(2 theta - theta^2) = 0.38, explores less far: it does not persist.
    # Deviation: the action enters the critic's first layer; the paper lets it enter the second.
    hidden_sizes: tuple[int, ...] = static(default=(256, 256))  # paper (400, 300)
    activation: str = static(default="relu")  # of critic and actor

    def init(self, key: Array, obs: Array, action: Array) -> DDPGState:
        """Fresh networks, and targets equal to them."""
        for_critic, for_actor = jax.random.split(key)
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.activation, num=1)
        actor = DeterministicActor.create(for_actor, obs, action, self.hidden_sizes, self.activation)
        optimisers = self.critic_adam().init(critic.params), self.actor_adam().init(actor.params)
        return DDPGState(critic, copy(critic), actor, copy(actor), *optimisers)

    def critic_adam(self) -> optax.GradientTransformation:
        return optax.chain(optax.add_decayed_weights(self.weight_decay), optax.adam(self.learning_rate))

    def actor_adam(self) -> optax.GradientTransformation:
        return optax.adam(self.actor_learning_rate)

    # Acting

    def policy(
        self, state: DDPGState, obs: Array, key: Array, temperature: float | Array | None = None
    ) -> Array:
        """The target actor's action, which the Bellman target uses; `key` is ignored.

        Raises `SoftqError` for a temperature.
        """
        self.check_adjustable(temperature)
        return state.actor_target(obs)

    def exploit(self, state: DDPGState, obs: Array, key: Array) -> Array:
        """The actor's action; `key` is ignored."""
        return state.actor(obs)

    def explore(self, state: DDPGState, obs: Array, key: Array) -> Array:
        """The actor's action with normal noise."""
        action = state.actor(obs)
        noise = self.exploration_noise * jax.random.normal(key, action.shape)
        return jnp.clip(action + noise, -1.0, 1.0)

    # Learning (Algorithm 1)

    def targets(self, state: DDPGState, batch: Transition, key: Array) -> Array:
        """r + gamma * Q_target(s', mu_target(s')), `(B,)`."""
        next_value = lambda obs: state.target.at(obs)(self.policy(state, obs, key))
        return td_target(batch, jax.vmap(next_value)(batch.next_obs), self.discount, self.reward_scale)

    def update(self, state: DDPGState, batch: Transition, key: Array) -> tuple[DDPGState, dict[str, Array]]:
        """The critic towards its targets, the actor up the new critic, then the targets."""
        targets = self.targets(state, batch, key)
        critic, optimiser, metrics = regress(
            state.critic, self.critic_adam(), state.critic_optimiser, batch, targets
        )
        state = replace(state, critic=critic, critic_optimiser=optimiser)
        state, more = self.improve(state, batch.obs, key)
        online, slow = (state.critic, state.actor), (state.target, state.actor_target)
        target, actor_target = polyak(self.polyak, online, slow)
        return replace(state, target=target, actor_target=actor_target), metrics | more

    def improve(self, state: DDPGState, obs: Array, key: Array) -> tuple[DDPGState, dict[str, Array]]:
        """One actor step up Q(s, mu(s)) over states `(B, obs_dim)`; `key` is ignored."""

        def loss(params: dict) -> Array:
            actor = replace(state.actor, params=params)
            return -jnp.mean(jax.vmap(lambda obs: state.critic.at(obs)(actor(obs)))(obs))

        error, gradient = jax.value_and_grad(loss)(state.actor.params)
        params, optimiser = descend(self.actor_adam(), state.actor_optimiser, state.actor.params, gradient)
        actor = replace(state.actor, params=params)
        return replace(state, actor=actor, actor_optimiser=optimiser), {"actor_loss": error}
