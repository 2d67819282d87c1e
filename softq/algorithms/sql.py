"""SQL, soft Q-learning: a critic of soft values, and a network that learns to sample its softmax by amortised SVGD.

"Reinforcement learning with deep energy-based policies" (Haarnoja et al. 2017), Algorithm 1 and Appendices C and D.
The official code, the preset "code", differs in most settings. It has no temperature at all: it is `temperature` 1 with
`reward_scale` 1 / alpha, which multiplies Q and not the policy.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms.base import Algorithm, Info, State, Transition
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.temperature import Temperature, tempered
from softq.box import perturb, uniform_actions
from softq.networks import Critic, SamplingNetwork
from softq.samplers import softmax_score
from softq.samplers.amortised import amortised_loss, squashed
from softq.samplers.svgd import Bandwidth
from softq.utils.fields import choice, count, flag, nonnegative
from softq.utils.pytree import pytree

Proposal = Literal["uniform", "actor"]
Repulsion = Literal["temperature", "printed"]
# D.1: 500 epochs of 10,000 steps, one update in each; the multi-goal task has 100 epochs.
TRAINING = {"num_envs": 1, "iterations": 5_000_000, "warmup": 10_000, "batch_size": 64}


@pytree
class SQL(Algorithm):
    """Hyper-parameters of Appendix D.1, with their values; the temperature is the paper's alpha.

    The defaults of `bandwidth` and `repulsion` are not as printed: the printed bandwidth does not scale as the exponent
    asks, the printed repulsion is a slip.
    """

    presets: ClassVar[dict] = {
        "paper": TRAINING,
        # The printed target, replaced each 1000 updates, sees one step further with each copy: 12 in a run of 12,000.
        "small": {
            "target_cycle": 1,
            "actor_learning_rate": 2e-3,
            "exploration_noise": 0.0,
            "num_particles": 16,
            "num_updated": 16,
            "num_value_samples": 16,
        },
        # Its reward scale is 1 / alpha, 10 to 300, one for each task: here that of an alpha of 0.1.
        "code": TRAINING
        | {
            "temperature": 1.0,
            "reward_scale": 10.0,
            "learning_rate": 3e-4,
            "actor_learning_rate": 3e-4,
            "exploration_noise": 0.0,
            "num_particles": 8,
            "num_updated": 8,
            "num_value_samples": 16,
            "shared_samples": True,
            "squash": True,
            "hidden_sizes": (128, 128),
        },
    }
    temperature_unit: ClassVar[str] = "Q"

    temperature: Temperature = tempered(Temperature(0.1), "Temperature alpha; multi-goal 10, code 1.")
    reward_scale: float = hyper.reward_scale(1.0, "the official code has 1 / alpha, 10 to 300")
    discount: float = hyper.discount(0.99, "from the official code")
    learning_rate: float = hyper.learning_rate(1e-3, "the critic", "the official code has 3e-4")
    actor_learning_rate: float = hyper.learning_rate(1e-4, "the sampling network", "the code has 3e-4")
    polyak: float = hyper.polyak(1.0, "1 replaces the target")
    # Deviation: the paper adds Ornstein-Uhlenbeck noise, theta 0.15 and sigma 0.3, which needs a memory. Independent
    # noise of its stationary spread, sigma / sqrt(2 theta - theta^2) = 0.57, does not persist.
    exploration_noise: float = nonnegative(0.57, "Standard deviation of exploration's noise; code 0.")
    target_cycle: int = count(1000, "Number of updates between two moves of the target.")
    num_particles: int = count(32, "Number K of particles that steer; multi-goal 100, official code 8.")
    num_updated: int = count(32, "Number M of particles that are steered; multi-goal 100, official code 8.")
    num_value_samples: int = count(50, "Number K_V of actions for the soft value; the official code has 16.")
    proposal: Proposal = choice("uniform", "Law of the soft value's actions: uniform or the network's (C.2).")
    shared_samples: bool = flag(False, "Whether a batch shares the soft value's actions; the code does.")
    bandwidth: Bandwidth = choice("squared", "Rule for the kernel's bandwidth; D.1 prints another.")
    repulsion: Repulsion = choice("temperature", "Weight of the repulsion; C.1 prints it without one.")
    squash: bool = flag(False, "Whether the score has tanh's log(1 - a^2) added, as in the official code.")
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((200, 200), note="the official code has 128 128")
    activation: str = hyper.activation("relu")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and a target equal to the critic.

        Deviation: the official code's networks start from Xavier weights, ours as all critics and actors of softq.
        """
        for_critic, for_actor = jax.random.split(key)
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.activation, num=1)
        return self.fresh_state(
            critic, SamplingNetwork.create(for_actor, obs, action, self.hidden_sizes, self.activation)
        )

    def target_rate(self, step: Array) -> Array:
        """The target is replaced after every `target_cycle` updates, and stays in between."""
        return (step % self.target_cycle == 0) * self.polyak

    # Acting

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """A draw from the sampling network, also in evaluation. Raises `SoftqError` for a temperature."""
        self.check_adjustable(temperature)
        return state.actor.network.sample(obs, key)

    def explore(self, state: State, obs: Array, key: Array) -> Array:
        """A draw with normal noise."""
        draw, add = jax.random.split(key)
        return perturb(add, self.policy(state, obs, draw), self.exploration_noise)

    # Learning (Algorithm 1)

    def targets(self, state: State, batch: Transition, key: Array) -> tuple[Array, Info]:
        """As every method; with `shared_samples` each next state has the same key. The halved error of Equation 11
        makes no difference to Adam."""
        if not self.shared_samples:
            return super().targets(state, batch, key)
        values, info = jax.vmap(self.next_value, (None, 0, None))(state, batch.next_obs, key)
        return self.reward_scale * batch.reward + self.discount * batch.discount * values, info

    def next_value(self, state: State, next_obs: Array, key: Array) -> tuple[Array, Info]:
        """The soft value alpha * log mean_j exp(Q(a_j) / alpha) / q(a_j) of the target critic (Equation 10).

        The actions come from q: uniform, or the sampling network with the density of Equation 33. Biased low either
        way, and the second is no density where the network folds. Algorithm 1 keeps a slow copy of the network too,
        phi-bar, for no use that the paper names: q is the network itself.
        Deviation: C.2 begins with uniform actions and changes to the network later, it does not say when; the official
        code never does. Here one of them serves for a whole run.
        """
        num, dim, temperature = (
            self.num_value_samples,
            state.critic.network.action_dim,
            self.current_temperature(state),
        )
        if self.proposal == "actor":
            xi = jax.random.normal(key, (num, state.actor.network.noise_dim))
            actions, log_q = jax.vmap(lambda xi: state.actor.network.push(next_obs, xi))(xi)
        else:
            actions, log_q = uniform_actions(key, dim, num), -dim * jnp.log(2.0)
        values = jax.vmap(state.critic.target.at(next_obs))(actions)
        log_sum = jax.nn.logsumexp(values / temperature - log_q)
        return temperature * (log_sum - jnp.log(num)), {}

    def actor_loss(
        self, actor: SamplingNetwork, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """A loss whose gradient is Stein's direction (Equations 13, 14); the replayed action is ignored."""
        temperature = self.current_temperature(state)
        score = softmax_score(state.critic.network.at(obs), temperature)
        noise = jax.random.normal(key, (self.num_particles + self.num_updated, actor.noise_dim))
        fixed, updated = jnp.split(noise, [self.num_particles])
        loss = amortised_loss(
            lambda xi: actor(obs, xi),
            squashed(score) if self.squash else score,
            fixed,
            updated,
            self.bandwidth,
            1.0 if self.repulsion == "temperature" else 1 / temperature,
        )
        return loss, {}
