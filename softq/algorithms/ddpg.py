"""DDPG: a deterministic actor that climbs one critic.

"Continuous control with deep reinforcement learning" (Lillicrap et al. 2016), Algorithm 1, with the settings of the
`OurDDPG.py` of Fujimoto's TD3 repository, the fair ones beside newer methods. It is the limit of soft methods as the
temperature goes to zero: no entropy, one action a state.
"""

from typing import ClassVar

import jax
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Info, State
from softq.algorithms.common import hyperparameters as hyper
from softq.box import perturb
from softq.networks import Critic, DeterministicActor
from softq.utils.fields import nonnegative
from softq.utils.pytree import pytree


@pytree
class DDPG(Algorithm):
    """Hyper-parameters with the values of `OurDDPG.py`."""

    presets: ClassVar[dict] = {
        "paper": {"num_envs": 1, "iterations": 1_000_000, "warmup": 25_000},
        "small": {"actor_learning_rate": 2e-3},
    }

    num_critics: ClassVar[int] = 1

    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(3e-4, "the critic", "the paper has 1e-3")
    actor_learning_rate: float = hyper.learning_rate(3e-4, "the actor", "the paper has 1e-4")
    weight_decay: float = nonnegative(
        0.0, "Share of the critic's weights in its gradient; the paper has 1e-2."
    )
    polyak: float = hyper.polyak(0.005, "the paper has 1e-3")
    reward_scale: float = hyper.reward_scale()
    # Deviation: the paper adds Ornstein-Uhlenbeck noise, theta 0.15 and sigma 0.2, which needs a memory. Independent
    # noise of its stationary spread, sigma / sqrt(2 theta - theta^2) = 0.38, explores less far: it does not persist.
    exploration_noise: float = nonnegative(
        0.1, "Standard deviation of the normal noise that exploration adds."
    )
    # Deviation: the action enters the critic's first layer; the paper lets it enter the second.
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256), note="the paper has 400 300")
    activation: str = hyper.activation("relu")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and targets equal to both."""
        for_critic, for_actor = jax.random.split(key)
        layers = self.hidden_sizes, self.activation
        critic = Critic.create(for_critic, obs, action, *layers, self.num_critics)
        actor = DeterministicActor.create(for_actor, obs, action, *layers)
        return self.fresh_state(critic, actor, actor_target=True)

    def critic_optimiser(self) -> optax.GradientTransformation:
        return optax.chain(optax.add_decayed_weights(self.weight_decay), optax.adam(self.learning_rate))

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """The target actor's action, which the Bellman target uses; `key` is ignored."""
        self.check_adjustable(temperature)
        return state.actor.target(obs)

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """The actor's action; `key` is ignored."""
        return state.actor.network(obs)

    def explore(self, state: State, obs: Array, key: Array) -> Array:
        """The actor's action with normal noise."""
        return perturb(key, state.actor.network(obs), self.exploration_noise)

    def actor_loss(
        self, actor: DeterministicActor, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """-Q(s, mu(s)), up the new critic; the replayed action and `key` are ignored."""
        return -state.critic.network.at(obs)(actor(obs)), {}
