"""What SDAC and DPMD share (Ma et al. 2025): actions are the best of many draws of a diffusion, and get noise.

The temperature follows from no policy. It falls until the noise that is added to actions, whose size it sets, has the
target entropy: a schedule that knows nothing of what was learned.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Info, State, Transition
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.learner import linear_adam
from softq.algorithms.common.targets import best_of
from softq.algorithms.common.temperature import Temperature, tempered
from softq.box import perturb
from softq.diffusion import DiffusionPolicy
from softq.networks import Critic, ScoreNetwork
from softq.utils.fields import count, nonnegative, positive
from softq.utils.pytree import pytree

# Batch and buffer are the defaults; a million transitions of five environments are 200,000 updates.
TRAINING = {"num_envs": 5, "iterations": 200_000, "warmup": 30_000}
SMALL = {
    "actor_learning_rate": 2e-3,
    "last_actor_learning_rate": 2e-3,
    "temperature_rule": "fixed",
    "num_steps": 10,
    "num_actions": 8,
}


def falling(value: float, what: str) -> Any:
    """The field `temperature` with the rule of both methods."""
    rule = Temperature(value, "log", target_entropy=-0.9, learning_rate=7e-3, every=250)
    return tempered(rule, f"Temperature of {what}; it falls with the noise on actions.")


def noise(value: float) -> Any:
    """The field `exploration_noise`."""
    return positive(
        value, "Standard deviation of the normal noise on actions of data and targets, over the temperature."
    )


@pytree
class BestOfDraws(Algorithm):
    """Hyper-parameters of the authors' code, which are those of the comparison in NC-LQL's Table 5.

    Deviation: the code's noise schedule has betas of 0.8 times even numbers from 1e-4 to 0.999, and its chain starts
    from half the noise that this schedule ends in. It stores actions with noise as they are, outside the box too.
    """

    tuned_by: ClassVar[str] = "log"

    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(3e-4)
    actor_learning_rate: float = hyper.learning_rate(3e-4, "the noise network at first")
    last_actor_learning_rate: float = hyper.learning_rate(3e-5, "the noise network in the end")
    decay_start: float = nonnegative(25_000.0, "Number of the actor's steps until its rate begins to fall.")
    decay_steps: float = positive(50_000.0, "Number of the actor's steps in which its rate falls.")
    polyak: float = hyper.polyak()
    policy_delay: int = count(2, "Number of updates between two steps of the actor and of all targets.")
    reward_scale: float = hyper.reward_scale(0.2)
    num_steps: int = count(20, "Number of steps of the diffusion.")
    num_actions: int = count(32, "Number of draws of which the best is taken, for every use.")
    exploration_noise: float = noise(0.5)
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256, 256))
    activation: str = hyper.activation("mish")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and targets equal to both."""
        for_critic, for_actor = jax.random.split(key)
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.activation)
        actor = ScoreNetwork.create(for_actor, obs, action, self.hidden_sizes, self.activation)
        return self.fresh_state(critic, actor, actor_target=True)

    def actor_optimiser(self) -> optax.GradientTransformation:
        rates = self.actor_learning_rate, self.last_actor_learning_rate
        return linear_adam(*rates, self.decay_start, self.decay_steps)

    def diffusion(self, network: ScoreNetwork) -> DiffusionPolicy:
        return DiffusionPolicy.ddpm(network, self.num_steps)

    # Acting. The critics choose among draws; what acts is drawn by the slow copy of the actor, what is learned is not.

    def one_draw(self, state: State, obs: Array, key: Array) -> Array:
        """An action of the target actor's diffusion."""
        return self.diffusion(state.actor.target).sample(obs, key)

    def best(self, actor: ScoreNetwork, state: State, obs: Array, key: Array) -> Array:
        """The best draw of an actor by the smaller critic."""
        draw = lambda key: self.diffusion(actor).sample(obs, key)
        return best_of(self.num_actions, draw, state.critic.network.at(obs), key)

    def noisy(self, actor: ScoreNetwork, state: State, obs: Array, key: Array) -> Array:
        """The best draw with noise."""
        for_draws, for_noise = jax.random.split(key)
        return perturb(for_noise, self.best(actor, state, obs, for_draws), self.noise_size(state))

    def noise_size(self, state: State) -> Array:
        """The standard deviation of the noise on actions, at the temperature in force."""
        return self.exploration_noise * self.current_temperature(state)

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """The actor's best draw with noise, for the Bellman target. Raises `SoftqError` for a temperature."""
        self.check_adjustable(temperature)
        return self.noisy(state.actor.network, state, obs, key)

    def explore(self, state: State, obs: Array, key: Array) -> Array:
        """The target actor's best draw with noise."""
        return self.noisy(state.actor.target, state, obs, key)

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """The target actor's best draw."""
        return self.best(state.actor.target, state, obs, key)

    # The temperature

    def entropies(self, state: State, batch: Transition, key: Array, info: Info) -> Array:
        """The entropy of the noise on actions before it is clipped, in every state the same."""
        dim = state.critic.network.action_dim
        entropy = dim * (0.5 * jnp.log(2 * jnp.pi * jnp.e) + jnp.log(self.noise_size(state)))
        return jnp.full(len(batch.obs), entropy)
