"""MEow: a normalizing flow that is critic and policy at once, with the soft value in closed form.

"Maximum entropy reinforcement learning via energy-based normalizing flow" (Chao et al. 2024, arXiv 2405.13629),
Algorithm 1 and Section 3, with the layers and rates of the released code. There is no actor, and no sampler: the
softmax of the critic is its own flow (`softq.networks.flow`). Before tanh this softmax has one mode in every state,
whatever the weights are: the page book/meow.md proves it.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Info, State, Transition
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.learner import Learner
from softq.algorithms.common.temperature import Temperature, tempered
from softq.networks import FlowCritic
from softq.networks.critic import least
from softq.utils.fields import count, number, positive, share, sizes
from softq.utils.pytree import pytree

TRAINING = {
    "num_envs": 1,
    "iterations": 1_500_000,
    "warmup": 5_000,
}  # of Hopper, which the defaults below are for


@pytree
class MEow(Algorithm):
    """Hyper-parameters of the paper for Hopper; the temperature is its alpha.

    Four settings differ by task, in the order temperature, polyak, log_std_max, warmup. HalfCheetah: 0.25, 0.003, 2,
    10,000; Walker2d: 0.1, 0.005, -0.3, 10,000; Ant: 0.05, 0.0001, -0.3, 5,000; Humanoid: 0.125, 0.0005, -0.3, 5,000.
    """

    presets: ClassVar[dict] = {
        "paper": TRAINING,
        # A wider law to begin with: at log_std_max -0.3 the first sigma is 0.07, and warm-up is short.
        "small": {"log_std_min": -3.0, "log_std_max": 1.0, "shift_sizes": (64, 64)},
        # The defaults of the released script, without the options that its README gives for each task.
        "code": TRAINING | {"iterations": 2_000_000, "temperature": 0.2},
    }
    temperature_unit: ClassVar[str] = "Q"
    # Not adjustable: a latent of another spread has another law than exp(Q / T). With b = temperature / T, that law
    # before tanh is exp(-b |z / sigma|^2 / 2) times the product of (1 - a^2)^(1 - b), which is no flow of a Gaussian.
    # Nor can it be tuned: Q = temperature * log-density + V, so a new temperature rescales Q and leaves the policy.
    # The released code's `autotune` learns an alpha that reaches neither.
    activation: ClassVar[str] = "silu"  # with a slope that each unit learns

    temperature: Temperature = tempered(
        Temperature(0.25), "Temperature alpha, held fixed; paper: 0.05 to 0.25."
    )
    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(1e-3, "the flow")
    max_gradient_norm: float = positive(30.0, "Norm to which a longer gradient of all parameters is scaled.")
    polyak: float = hyper.polyak(0.005, "the paper has 0.0001 to 0.005")
    reward_scale: float = hyper.reward_scale()
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((64, 64), "the couplings and of the latent's spread")
    shift_sizes: tuple[int, ...] = sizes((256, 256), "Units of each hidden layer of the reward shifts.")
    num_blocks: int = count(2, "Number of pairs of couplings; a pair moves each coordinate once.")
    dropout: float = share(0.1, "Chance that a hidden unit of a coupling is dropped in training.")
    log_std_min: float = number(-5.0, "Smallest log of the latent's standard deviation.")
    log_std_max: float = number(-0.3, "Largest log of the latent's standard deviation; HalfCheetah 2.")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """A fresh flow, and a target equal to it. The temperature and the bounds of log sigma are part of both."""
        bounds = self.log_std_min, self.log_std_max
        widths = self.hidden_sizes, self.shift_sizes, self.num_blocks
        return self.fresh_state(FlowCritic.create(key, obs, action, *widths, self.temperature.value, bounds))

    def current_temperature(self, state: State) -> Array:
        """The temperature of the flow, with which it was made."""
        return state.critic.network.temperature

    # Acting, in which nothing is dropped

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """A draw from the flow, which is the softmax of Q. Raises `SoftqError` for another temperature."""
        self.check_adjustable(temperature)
        return state.critic.network.at(obs).sample(key)

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """The flow of the latent's mean: the most probable u before tanh; `key` is ignored."""
        return state.critic.network.at(obs).mode

    # Learning (Algorithm 1)

    def next_value(self, state: State, next_obs: Array, key: Array) -> tuple[Array, Info]:
        """min_i V_i,target(s'), exact. The couplings, which alone drop units, do not enter it; `key` is ignored."""
        return least(state.critic.target.at(next_obs).values), {}

    def critic_optimiser(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(self.max_gradient_norm), optax.adam(self.learning_rate))

    def critic_step(
        self, critic: Learner, batch: Transition, targets: Array, key: Array
    ) -> tuple[Learner, Info]:
        """One step of the flow towards `targets` `(B,)`, with units dropped for each transition and twin apart.

        The squared error is the mean over the twins and not their sum, since the norm of its gradient is limited.
        """
        keys = jax.random.split(key, (len(targets), 2))

        def loss(network: FlowCritic) -> tuple[Array, Array]:
            values = jax.vmap(network, (0, 0, 0, None))(batch.obs, batch.action, keys, self.dropout)
            return jnp.mean((values - targets[:, None]) ** 2), values

        critic, error, values = critic.step(self.critic_optimiser(), loss)
        return critic, {"critic_loss": error, "q_mean": jnp.mean(values)}
