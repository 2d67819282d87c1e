"""QVPO: a diffusion actor is fitted to the best of its own draws, weighted by its advantage, and to uniform actions.

"Diffusion-based reinforcement learning via Q-weighted variational policy optimization" (Ding et al. 2024), with the
weight "qadv" and the values of the released code. The law that it aims at is not a softmax. In each state the loss is
least for a mixture: the best draws of the actor as it is, by their advantage, and a share u / (1 + u) of uniform
actions, where u is `num_uniform` times the weight of a uniform action. Update by update, the first part gathers on the
highest hill of Q, by however little it is the highest.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Info, State
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.learner import clipped_adam
from softq.algorithms.common.targets import best_action
from softq.diffusion import DiffusionPolicy
from softq.networks import Critic, ScoreNetwork
from softq.utils.fields import count, flag, nonnegative, number, positive
from softq.utils.pytree import pytree

TRAINING = {"num_envs": 1, "iterations": 1_000_000, "warmup": 10_000}  # batch and buffer are the defaults


@pytree
class QVPO(Algorithm):
    """Hyper-parameters of the released code, with the flags that make it the paper's method.

    Deviation: the code takes every time limit for a true end, draws a second batch for the actor, and keeps the best
    networks that an evaluation has found.
    """

    presets: ClassVar[dict] = {
        "paper": TRAINING,
        "small": {
            "actor_learning_rate": 2e-3,
            "num_draws": 16,
            "num_uniform": 4,
            "num_steps": 10,
            "num_actions": 8,
            "decay_updates": 12_000.0,
        },
        # As released. The mean over the dimensions shortens the gradient beside its largest norm and Adam's epsilon.
        "code": TRAINING
        | {"hidden_sizes": (256, 256, 256), "adam_epsilon": 1e-5, "mean_over_dimensions": True},
        # The port in flow-rl (2026). It also weighs by the mean of the critics, and its actor has three layers.
        "port": TRAINING
        | {
            "warmup": 5_000,
            "uniform_low": 0.0,
            "entropy_weight": 0.01,
            "least_entropy_weight": 0.01,
            "num_behaviour_actions": 1,
            "num_actions": 10,
            "critic_activation": "relu",
        },
    }

    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(3e-4)
    actor_learning_rate: float = hyper.learning_rate(1e-4, "the noise network")
    gradient_norm: float = positive(
        2.0, "Largest norm of the gradient of critics or actor, all parameters together."
    )
    adam_epsilon: float = positive(
        1e-8, "Number that Adam adds to the size of a gradient that it divides by; the code has 1e-5."
    )
    polyak: float = hyper.polyak()
    reward_scale: float = hyper.reward_scale()
    num_draws: int = count(
        64, "Number of draws of the actor of which the best is learned, for each state.", least=2
    )
    num_uniform: int = count(10, "Number of uniform actions that are learned beside it.")
    # Deviation: flow-rl draws them from [0, 1]. Its actor is drawn into that corner of the box.
    uniform_low: float = number(-1.0, "Lower end of the uniform actions; the port has 0, a defect.")
    entropy_weight: float = nonnegative(
        0.02, "Weight of a uniform action beside the best draw, at the start."
    )
    least_entropy_weight: float = nonnegative(
        0.002, "Weight that the one of a uniform action does not fall below."
    )
    decay_updates: float = positive(
        1e6, "Number of updates in which the weight of a uniform action goes to zero."
    )
    num_target_actions: int = count(4, "Number of draws of which the best is the target's next action.")
    num_behaviour_actions: int = count(4, "Number of draws of which the best gathers data.")
    num_actions: int = count(32, "Number of draws of which the best acts where the return is reported.")
    num_steps: int = count(20, "Number of steps of the diffusion.")
    mean_over_dimensions: bool = flag(
        False,
        "Whether the squared error of the noise is averaged over an action's dimensions; the code does.",
    )
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256), note="the code has three layers")
    activation: str = hyper.activation("mish", "the noise network")
    critic_activation: str = hyper.activation("mish", "the critics")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and targets equal to both.

        Deviation: the noise level enters the actor as in MaxEntDP, not by 32 sinusoids of the step's number.
        """
        for_critic, for_actor = jax.random.split(key)
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.critic_activation)
        actor = ScoreNetwork.create(for_actor, obs, action, self.hidden_sizes, self.activation)
        return self.fresh_state(critic, actor, actor_target=True)

    def critic_optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.gradient_norm, self.adam_epsilon)

    def actor_optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.actor_learning_rate, self.gradient_norm, self.adam_epsilon)

    def diffusion(self, network: ScoreNetwork) -> DiffusionPolicy:
        """The policy of a noise network: as Ho et al. (2020) sample, on a cosine."""
        return DiffusionPolicy.ddpm(network, self.num_steps)

    # Acting: the best of several draws, more of them where no data is gathered

    def draws(self, actor: ScoreNetwork, obs: Array, key: Array, num: int) -> Array:
        """`num` actions `(num, d)` of the diffusion; one alone has the key itself."""
        keys = jax.random.split(key, num) if num > 1 else key[None]
        return jax.vmap(self.diffusion(actor).sample, (None, 0))(obs, keys)

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """The target actor's best draw by the target critics, for the Bellman target.

        Raises `SoftqError` for a temperature.
        """
        self.check_adjustable(temperature)
        draws = self.draws(state.actor.target, obs, key, self.num_target_actions)
        return best_action(state.critic.target.at(obs), draws)

    def explore(self, state: State, obs: Array, key: Array) -> Array:
        """The actor's best draw by the critics, of few."""
        draws = self.draws(state.actor.network, obs, key, self.num_behaviour_actions)
        return best_action(state.critic.network.at(obs), draws)

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """The actor's best draw by the critics, of many."""
        draws = self.draws(state.actor.network, obs, key, self.num_actions)
        return best_action(state.critic.network.at(obs), draws)

    # Learning

    def actor_loss(
        self, actor: ScoreNetwork, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """The squared errors of the noise in the best draw and in uniform actions, weighted, and averaged over them.

        The weight of the best draw is how far its Q, min_j Q_j, is above the mean over all draws; the uniform actions
        have a small part of it each. The replayed action is ignored.
        """
        for_draws, for_uniform, for_loss = jax.random.split(key, 3)
        draws = self.draws(state.actor.network, obs, for_draws, self.num_draws)
        values = jax.vmap(state.critic.network.at(obs))(draws)
        best, advantage = draws[jnp.argmax(values)], jnp.max(values) - jnp.mean(values)
        shape = self.num_uniform, len(action)
        uniform = jax.random.uniform(for_uniform, shape, minval=self.uniform_low, maxval=1.0)
        learned = jnp.concatenate([best[None], uniform])
        shares = jnp.full(len(learned), self.current_entropy_weight(state)).at[0].set(1.0)
        one = lambda action, key: self.diffusion(actor).denoising_loss(obs, action, key)
        losses = jax.vmap(one)(learned, jax.random.split(for_loss, len(learned)))
        losses = losses / len(action) if self.mean_over_dimensions else losses
        return advantage * jnp.mean(shares * losses), {"advantage": advantage}

    def current_entropy_weight(self, state: State) -> Array:
        """The weight of a uniform action beside the best draw, after as many updates as were made."""
        left = 1 - state.step / self.decay_updates
        return jnp.maximum(self.entropy_weight * left, self.least_entropy_weight)
