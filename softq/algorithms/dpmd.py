"""DPMD, diffusion policy mirror descent: the actor is refitted to its own draws, each with a weight that grows with Q.

"Efficient online reinforcement learning for diffusion policy" (Ma et al. 2025). A step aims at the actor's own law
times exp(Q / temperature): the temperature is the inverse of a step's size, not that of a policy. After k whole steps
the law is that of the first actor times exp(k Q / temperature). So no softmax is where it rests: it gathers on the best
actions that it still draws, and taking the best of many draws hastens this.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Info, State, Transition
from softq.algorithms.common.best_of_draws import SMALL, TRAINING, BestOfDraws, falling, noise
from softq.algorithms.common.learner import repeated
from softq.algorithms.common.temperature import Temperature
from softq.networks import ScoreNetwork
from softq.utils.fields import choice, count, positive, share
from softq.utils.pytree import pytree, replace

Normalised = Literal["score", "slip"]


@pytree
class Spread:
    """Running mean and standard deviation of Q at the actions that were drawn."""

    mean: Array
    std: Array


@pytree
class DPMD(BestOfDraws):
    """Hyper-parameters of the authors' code; the temperature is its alpha, which also sizes the noise on actions."""

    presets: ClassVar[dict] = {
        "paper": TRAINING,
        "small": SMALL | {"temperature": 1.0, "spread_rate": 0.05},
        "code": TRAINING | {"normalised": "slip", "critic_steps": 2},
    }
    temperature_unit: ClassVar[str] = "std of Q"

    temperature: Temperature = falling(5.0, "the weights, alpha")
    exploration_noise: float = noise(0.1)
    # Deviation: a lack of brackets in the code subtracts mean / std from Q. Where Q is some units larger than that, all
    # weights are that of the clip, and the actor clones its best draws whatever the temperature.
    normalised: Normalised = choice(
        "score", "Q in the weights: less its mean, over its std; code: Q - mean / std."
    )
    clip: float = positive(3.0, "Largest size of the normalised Q in a weight.")
    spread_rate: float = share(0.001, "Share of the way to a batch's mean and std of Q that those of it go.")
    # Deviation: the code applies each gradient of the critics to them twice.
    critic_steps: int = count(1, "Number of Adam's steps by each gradient of the critics; the code has 2.")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, targets equal to both, and Q taken to have mean 0 and standard deviation 1."""
        return replace(super().init(key, obs, action), extra=Spread(jnp.zeros(()), jnp.ones(())))

    def critic_optimiser(self) -> optax.GradientTransformation:
        return repeated(super().critic_optimiser(), self.critic_steps)

    def temperature_of(
        self, state: State, obs: Array, temperature: float | Array | None = None
    ) -> Array | None:
        """What divides Q in the weights, the same in every state."""
        return super().temperature_of(state, obs, temperature) * state.extra.std

    # Learning. The target is the base's: min_j Q_target_j at the policy's action.

    def weight(self, state: State, q: Array) -> Array:
        """exp(normalised Q / temperature) over the largest that it can be, so that it is a number at any temperature.

        Deviation: the code does not divide by the largest weight. Adam does not see a factor of the loss.
        """
        mean, std = state.extra.mean, state.extra.std
        normal = (q - mean) / std if self.normalised == "score" else q - mean / std
        below = jnp.clip(normal, -self.clip, self.clip) - self.clip
        return jnp.exp(below / self.current_temperature(state))

    def actor_loss(
        self, actor: ScoreNetwork, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """The weighted squared error of the noise in an action of the policy as it is; the replayed one is ignored.

        Deviation: the code learns the next action of the Bellman target, in the next state, and saves this draw.
        """
        for_action, for_noise = jax.random.split(key)
        drawn = self.policy(state, obs, for_action)
        q = state.critic.network.at(obs)(drawn)
        weight, excess = self.weight(state, q), q - state.extra.mean
        loss = self.diffusion(actor).denoising_loss(obs, drawn, for_noise, weight=weight)
        return loss, {"weight": weight, "excess": excess, "excess_square": excess**2}

    def policy_step(
        self, state: State, batch: Transition, for_actor: Array, for_entropy: Array, info: Info
    ) -> tuple[State, Info]:
        """The base's step, and the running mean and standard deviation of Q."""
        after, metrics = super().policy_step(state, batch, for_actor, for_entropy, info)
        excess, square = metrics.pop("excess"), metrics.pop("excess_square")
        std = jnp.sqrt(jnp.maximum(square - excess**2, 0.0))
        spread, rate = state.extra, self.spread_rate
        spread = Spread(spread.mean + rate * excess, spread.std + rate * (std - spread.std))
        return replace(after, extra=spread), metrics
