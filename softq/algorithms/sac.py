"""SAC, soft actor-critic: a tanh-Gaussian fitted to the softmax of twin critics, and a temperature that learns.

"Soft actor-critic algorithms and applications" (Haarnoja et al. 2018), Algorithm 1 and Table 1. A baseline here: its
policy has one mode per state, whatever the softmax has.
"""

import math
from typing import ClassVar

import jax
from jax import Array

from softq.algorithms.base import Algorithm, Info, State
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.temperature import Temperature, tempered
from softq.networks import Critic, GaussianActor
from softq.networks.actors import LOG_STD_MAX
from softq.utils.fields import flag, number
from softq.utils.pytree import pytree


@pytree
class SAC(Algorithm):
    """Hyper-parameters of Table 1, with their values; the temperature is the paper's alpha."""

    presets: ClassVar[dict] = {
        # Table 1: one update a step, batch 256, buffer 1e6. It names no warm-up, this is Spinning Up's and jaxrl5's,
        # nor one length for all tasks: DDSQ's stays.
        "paper": {"num_envs": 1, "warmup": 10_000},
        "small": {"temperature_learning_rate": 2e-3},
        # The port in the DPRL code, the SAC baseline of SDAC and NC-LQL. It updates from 30,000 transitions on, from 5
        # environments.
        "port": {
            "temperature": math.e,
            "reward_scale": 0.2,
            "hidden_sizes": (256, 256, 256),
            "activation": "gelu",
            "jacobian": False,
            "log_std_max": 0.5,
            "num_envs": 5,
            "warmup": 30_000,
        },
    }
    temperature_unit: ClassVar[str] = "Q"
    tuned_by: ClassVar[str] = "sac"

    temperature: Temperature = tempered(Temperature(1.0, "sac"), "Temperature alpha and how it is tuned.")
    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(3e-4, "critics and actor")
    polyak: float = hyper.polyak()
    reward_scale: float = hyper.reward_scale(1.0, "the DPRL port has 0.2")
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256), "critics and actor")
    activation: str = hyper.activation("relu", "critics and actor", 'the DPRL port has "gelu", by erf')
    # Deviation: the DPRL code leaves log(1 - tanh^2) out of log pi. Its actor is rewarded for the entropy of the
    # Gaussian before tanh, which the target entropy holds at a std of exp(-1) / sqrt(2 pi e) = 0.089 a coordinate. That
    # entropy has no maximum, where the entropy of the action has one: only the ceiling below bounds the spread.
    jacobian: bool = flag(True, "Whether log pi is the density of the action, or, a defect, before tanh.")
    log_std_max: float = number(LOG_STD_MAX, "Largest log of the Gaussian's std before tanh; DPRL 0.5.")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and targets equal to the critics."""
        for_critic, for_actor = jax.random.split(key)
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.activation)
        return self.fresh_state(
            critic, GaussianActor.create(for_actor, obs, action, self.hidden_sizes, self.activation)
        )

    # Acting

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """A draw from the actor; it gathers the data too. Raises `SoftqError` for a temperature."""
        self.check_adjustable(temperature)
        return state.actor.network.at(obs, self.log_std_max).sample(key)[0]

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """tanh(mean)."""
        return state.actor.network.at(obs).mode

    # Learning (Algorithm 1)

    def next_value(self, state: State, next_obs: Array, key: Array) -> tuple[Array, Info]:
        """min_j Q_target_j(s', a') - alpha log pi(a'|s'), a' from the actor (Equation 5)."""
        action, log_prob = state.actor.network.at(next_obs, self.log_std_max).sample(key, self.jacobian)
        return state.critic.target.at(next_obs)(action) - self.current_temperature(state) * log_prob, {}

    def actor_loss(
        self, actor: GaussianActor, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """alpha log pi - Q at a draw of the actor (Equation 9); the replayed action is ignored."""
        action, log_prob = actor.at(obs, self.log_std_max).sample(key, self.jacobian)
        value = state.critic.network.at(obs)(action)
        return self.current_temperature(state) * log_prob - value, {"entropy": -log_prob}
