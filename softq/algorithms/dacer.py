"""DACER: a diffusion actor that climbs Q through its whole reverse chain, and noise on top that an entropy regulates.

"Diffusion actor-critic with entropy regulator" (Wang et al. 2024), Algorithm 1, with the critics of DSAC-T (see
`softq.networks.distributional`). No target has an entropy: the regulated one only sets how much noise actions get.
Settings are those of the paper and of its released code, which DDSQ's Table 4 repeats.
"""

from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Info, State, Transition
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.learner import Learner, linear_adam
from softq.algorithms.common.temperature import Temperature, tempered
from softq.box import perturb
from softq.diffusion import CosineVP, DiffusionPolicy, LinearVP, StepsVP
from softq.networks import DistributionalCritic, ScoreNetwork
from softq.networks.distributional import CLIP
from softq.samplers.gaussian_mixture import fit_mixture
from softq.utils.fields import choice, count, nonnegative, positive
from softq.utils.pytree import pytree, replace

NUM_COMPONENTS = 3  # Gaussians of the mixture that the entropy is estimated by
DECAY_START, DECAY_END = 25_000, 75_000  # steps of the actor between which the port lowers its rate


@pytree
class DACER(Algorithm):
    """Hyper-parameters of the paper, with their values; the temperature is its alpha, in units of `noise_scale`."""

    presets: ClassVar[dict] = {
        "paper": {},
        "small": {
            "temperature_every": 100,
            "num_samples": 32,
            "num_steps": 5,
            "learning_rate": 1e-3,
            "actor_learning_rate": 1e-3,
        },
        # As released: with the noise of Humanoid and HalfCheetah. That of the other tasks stands in a comment.
        "code": {"noise_scale": 0.15},
        # The port in the DPRL code, the DACER of SDAC and NC-LQL (Table 5). Its chain starts at a standard deviation of
        # 0.5, where its schedule ends at 0.98: it is another sampler.
        "port": {
            "noise_scale": 0.15,
            "schedule": "linear",
            "start_std": 0.5,
            "learning_rate": 3e-4,
            "actor_learning_rate": 3e-4,
            "actor_decay": 0.1,
            "num_envs": 5,
            "warmup": 30_000,
        },
        # The port in flow-rl (2026); HalfCheetah and Humanoid have its noise 0.15. Deviation: there the twin that a
        # drawn target comes from is one for the whole batch, by a comparison of two states, a defect; critics have two
        # layers with relu, and the noise level enters the actor as in MaxEntDP.
        "flow-rl": {
            "learning": "flow-rl",
            "schedule": "cosine",
            "num_envs": 1,
            "iterations": 1_000_000,
            "warmup": 5_000,
        },
    }
    temperature_unit: ClassVar[str] = "action"
    adjustable: ClassVar[bool] = True
    tuned_by: ClassVar[str] = "log"

    temperature: Temperature = tempered(
        Temperature(3.0, "log", target_entropy=-0.9, learning_rate=3e-2, every=10_000),
        "Factor alpha of the noise on the actions; the code names 3 and 5.",
    )
    noise_scale: float = positive(0.1, "Standard deviation lambda of the noise at alpha 1; Humanoid 0.15.")
    num_samples: int = count(200, "Number of actions that the entropy in a state is estimated from.", least=4)
    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(1e-4)
    actor_learning_rate: float = hyper.learning_rate(1e-4, "the noise network")
    actor_decay: float = nonnegative(1.0, "Factor that the noise network's rate has in the end; DPRL 0.1.")
    polyak: float = hyper.polyak()
    policy_delay: int = count(2, "Number of updates between two steps of the actor and of the targets.")
    reward_scale: float = hyper.reward_scale(0.2)
    num_steps: int = count(20, "Number T of steps of the reverse chain.")
    schedule: Literal["vp", "linear", "cosine"] = choice(
        "vp", "Schedule of the noise; the DPRL port has linear, flow-rl cosine."
    )
    start_std: float = positive(1.0, "Standard deviation of the chain's first action; the DPRL port has 0.5.")
    # Deviation of flow-rl: Huber losses of the critics, targets that follow in each update, and an actor that climbs Q
    # without the noise that it acts with.
    learning: Literal["released", "flow-rl"] = choice(
        "released", "How critics and actor learn: as in the released code, or as in flow-rl."
    )
    # A user of the code needed 512 units for the paper's return on Humanoid (issue 9 of its repository).
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256, 256))
    activation: str = hyper.activation("mish")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and targets equal to the critics; the actor has none."""
        for_critic, for_actor = jax.random.split(key)
        layers = self.hidden_sizes, self.activation
        critic = DistributionalCritic.create(for_critic, obs, action, *layers)
        return self.fresh_state(critic, ScoreNetwork.create(for_actor, obs, action, *layers, "step"))

    def actor_optimiser(self) -> optax.GradientTransformation:
        rate = self.actor_learning_rate
        return linear_adam(rate, self.actor_decay * rate, DECAY_START, DECAY_END - DECAY_START)

    def diffusion(self, network: ScoreNetwork) -> DiffusionPolicy:
        """The ancestral chain of a noise network, clipped at each step, with the variance of the posterior."""
        betas = 0.3 * jnp.linspace(1e-4, 0.999, self.num_steps)
        schedule: Any = {"vp": LinearVP(), "linear": StepsVP(betas), "cosine": CosineVP()}[self.schedule]
        return DiffusionPolicy(
            network,
            schedule,
            start_std=self.start_std,
            process="ancestral",
            variance="posterior",
            predicts="noise",
            level_input="step",
            num_steps=self.num_steps,
        )

    # Acting

    def noisy(self, network: ScoreNetwork, obs: Array, key: Array, alpha: float | Array) -> Array:
        """The end of a chain, with normal noise of standard deviation alpha * lambda, clipped to the box."""
        for_chain, for_noise = jax.random.split(key)
        action = self.diffusion(network).sample(obs, for_chain)
        return perturb(for_noise, action, alpha * self.noise_scale)

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """A noisy action, which gathers data and stands in the target; the temperature is another alpha."""
        alpha = self.current_temperature(state) if temperature is None else temperature
        return self.noisy(state.actor.network, obs, key, alpha)

    def one_draw(self, state: State, obs: Array, key: Array) -> Array:
        """The end of a chain, without noise. Deviation: the code makes the key from the observation."""
        return self.diffusion(state.actor.network).sample(obs, key)

    exploit = one_draw

    # Learning. Deviation: in the code the first of every two updates moves actor and targets, here the second; the same
    # holds for alpha. The code's actor climbs the critics as they were before the update.

    def target_rate(self, step: Array) -> float | Array:
        return self.polyak if self.learning == "flow-rl" else super().target_rate(step)

    def next_value(self, state: State, next_obs: Array, key: Array) -> tuple[Array, Info]:
        """`(2,)`: the mean return of the target critic with the smaller mean, and one drawn from its law."""
        for_action, for_draw = jax.random.split(key)
        action = self.policy(state, next_obs, for_action)
        means, stds = state.critic.target.law(next_obs, action)
        lower, z = jnp.argmin(means), jnp.clip(jax.random.normal(for_draw), -CLIP, CLIP)
        return jnp.stack([means[lower], means[lower] + z * stds[lower]]), {}

    def critic_step(
        self, critic: Learner, batch: Transition, targets: Array, key: Array
    ) -> tuple[Learner, Info]:
        """One step of each critic along DSAC-T's slopes or flow-rl's, towards the mean and drawn targets `(B, 2)`."""

        rule = "huber" if self.learning == "flow-rl" else "dsac-t"
        loss = lambda network: network.loss(batch.obs, batch.action, targets, self.polyak, rule)
        critic, error, info = critic.step(self.critic_optimiser(), loss)
        critic = replace(critic, network=replace(critic.network, mean_std=info.pop("mean_std")))
        return critic, {"critic_loss": error} | info

    def actor_loss(
        self, actor: ScoreNetwork, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """-min_j mean of Q_j at a noisy action, the gradient through all T steps; clipping stops it at the walls."""
        alpha = 0.0 if self.learning == "flow-rl" else self.current_temperature(state)
        return -state.critic.network.at(obs)(self.noisy(actor, obs, key, alpha)), {}

    def entropies(self, state: State, batch: Transition, key: Array, info: Info) -> Array:
        """Of the noisy actions in each state, by a mixture fitted to them; too high, see `fit_mixture`'s file."""

        def entropy(obs: Array, key: Array) -> Array:
            keys = jax.random.split(key, self.num_samples)
            actions = jax.vmap(lambda k: self.policy(state, obs, k))(keys)
            return fit_mixture(actions, NUM_COMPONENTS).entropy_bound()

        return jax.vmap(entropy)(batch.obs, jax.random.split(key, len(batch.obs)))
