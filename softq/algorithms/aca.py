"""ACA, actor-critic without actor: twin critics that know a noise level, and denoising along the signs of their slopes.

"Actor-critic without actor" (Ki et al. 2025), the predecessor of NC-LQL; settings and sampler of the authors' code. An
action is denoised from N(0, I) in T steps of the ancestral chain, in which the slope of the noisy critic, of length
one, takes the place of the predicted noise. 32 chains run, and the end with the largest Q acts.

The law is not exp(w Q). The length of the slope is lost, and with it the scale of Q; and at w = 50 the predicted clean
action is moved by more than half the box in all but the last two of 20 steps, and then clipped. In one dimension the
law depends only on where Q rises and falls.
"""

import math
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Info, State, Transition
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.learner import Learner, linear_adam
from softq.algorithms.common.targets import best_action
from softq.algorithms.common.temperature import Temperature, TemperatureState, tempered
from softq.box import perturb, project
from softq.diffusion import CosineVP
from softq.diffusion.processes import ancestral_step
from softq.networks.noise_critic import NoiseCritic, NoiseLandscape
from softq.utils.fields import choice, count, number, positive
from softq.utils.pytree import pytree, replace

TRAINING = {"num_envs": 5, "iterations": 1_000_000, "warmup": 30_000}
BETA_MAX = 0.999  # largest share of its variance that a forward step replaces by noise
NOISE_RATE = 3e-2  # Adam's rate for the noise of exploration
NOISE_EVERY = 250  # updates between two of its steps


@pytree
class ACA(Algorithm):
    """Hyper-parameters of the authors' scripts; the temperature is 1 / w, w the guidance weight."""

    presets: ClassVar[dict] = {
        "paper": TRAINING,
        "small": {"exploration_noise": 0.1, "num_candidates": 8},
        "code": TRAINING | {"clean_level": "first"},
    }
    temperature_unit: ClassVar[str] = "action"
    adjustable: ClassVar[bool] = True

    temperature: Temperature = tempered(
        Temperature(1 / 50), "Temperature 1 / w, in the unit of an action; Humanoid 1 / 60."
    )
    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(1e-3)
    last_learning_rate: float = positive(1e-4, "Learning rate of the critics when it has fallen.")
    decay_start: int = count(25_000, "Number of Adam's steps before the learning rate falls.", least=0)
    decay_steps: int = count(50_000, "Number of Adam's steps in which the learning rate falls, on a line.")
    polyak: float = hyper.polyak()
    reward_scale: float = hyper.reward_scale(0.2)
    num_levels: int = count(20, "Number T of noise levels, and of steps of a chain.")
    num_candidates: int = count(32, "Number of chains, of which the best end acts.")
    smoothing_delay: int = count(2, "Number of updates between two steps of the noisy critics.")
    # Deviation: the released code calls the least noisy level t = 0 when it trains the noisy critics, and the clean one
    # too, "first": Q itself is smoothed by the least noise.
    clean_level: Literal["own", "first"] = choice(
        "own", "Level of Q itself: one of its own, or, as in the released code, that of the least noise."
    )
    exploration_noise: float = positive(0.5, "Standard deviation of the noise on an action at the start.")
    noise_entropy: float = number(
        -0.9, "Target of the entropy of exploration's noise, in nats per dimension; Humanoid -0.5."
    )
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256, 256), "the critics")
    activation: str = hyper.activation("mish", "the critics")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh twins, targets equal to them, and exploration's noise at its start."""
        least = 0 if self.clean_level == "own" else 1
        codes = jnp.arange(self.num_levels, least - 1, -1) - least
        critic = NoiseCritic.create(key, obs, action, codes, self.hidden_sizes, self.activation)
        return self.fresh_state(critic, extra=self.noise_rule.init(action.size))

    def critic_optimiser(self) -> optax.GradientTransformation:
        rates = self.learning_rate, self.last_learning_rate
        return linear_adam(*rates, self.decay_start, self.decay_steps)

    def times(self) -> Array:
        """The falling times `(T + 1,)` of the cosine schedule from pure noise, nearly, to none."""
        schedule, nodes = CosineVP(), jnp.arange(self.num_levels, -1, -1) / self.num_levels
        # the last forward step would replace everything; it is bounded
        kept = (1 - BETA_MAX) * schedule.signal(nodes[1]) ** 2
        return nodes.at[0].set(schedule.time_of(jnp.log(kept) - jnp.log1p(-kept)))

    # Acting

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """The best end with exploration's noise: what gathers data, and the target's action too.

        Deviation: the released code does not clip this action to the box.
        """
        draw, add = jax.random.split(key)
        return perturb(add, self.best(state, obs, draw, temperature), self.noise_std(state))

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """The best end without noise. `key` is ignored, one fixed key serves; the code's comes from the observation."""
        return self.best(state, obs, jax.random.key(0), None)

    def best(self, state: State, obs: Array, key: Array, temperature: float | Array | None) -> Array:
        """The end of `num_candidates` chains with the largest Q, of the smaller online twin."""
        temperature = self.current_temperature(state) if temperature is None else temperature
        q, keys = state.critic.network.at(obs), jax.random.split(key, self.num_candidates)
        return best_action(q, jax.vmap(lambda k: self.draw(q, k, temperature))(keys))

    def draw(self, q: NoiseLandscape, key: Array, temperature: float | Array) -> Array:
        """One chain: ancestral steps with the noise -w * std * slope / |slope|, std that of the step's own noise."""
        first, drive = jax.random.split(key)
        schedule, times, dim = CosineVP(), self.times(), q.critic.action_dim
        noise = jax.random.normal(drive, (self.num_levels, dim))

        def move(x: Array, given: tuple[Array, ...]) -> tuple[Array, None]:
            level, t, to, z = given
            _, std = ancestral_step(lambda x, t: x, schedule, x, t, to, "posterior")
            slope = q.slope(x, level)
            guidance = -std / temperature * slope / (jnp.linalg.norm(slope) + 1e-8)
            mean, _ = ancestral_step(lambda x, t: guidance, schedule, x, t, to, "posterior")
            return mean + std * z, None

        given = jnp.arange(self.num_levels), times[:-1], times[1:], noise
        return project(jax.lax.scan(move, jax.random.normal(first, (dim,)), given)[0])

    # Learning

    def critic_step(
        self, critic: Learner, batch: Transition, targets: Array, key: Array
    ) -> tuple[Learner, Info]:
        """A Bellman step at the clean level; in every `smoothing_delay`-th update, the first among them, one more.

        That one takes the noisy levels towards the twins' mean after the Bellman step. One state of Adam serves both:
        its count tells which update it is, since a cycle has one step more than updates.
        """
        adam: Any = critic.optimiser
        due = adam[0].count % (self.smoothing_delay + 1) == 0
        critic, metrics = super().critic_step(critic, batch, targets, key)
        pick, draw = jax.random.split(key)
        times, schedule = self.times(), CosineVP()
        levels = jax.random.randint(pick, batch.reward.shape, 0, self.num_levels)
        noise = jax.random.normal(draw, batch.action.shape)
        add = lambda action, noise, t: schedule.signal(t) * action + schedule.noise(t) * noise
        noisy = jax.vmap(add)(batch.action, noise, times[levels])
        clean = jnp.mean(jax.vmap(critic.network)(batch.obs, batch.action), axis=1, keepdims=True)

        def smoothing(network: NoiseCritic) -> tuple[Array, None]:
            values = jax.vmap(network)(batch.obs, noisy, levels)
            return jnp.sum(jnp.mean((values - clean) ** 2, axis=0)), None

        critic, error, _ = critic.step(self.critic_optimiser(), smoothing, due)
        return critic, metrics | {"smoothing_loss": error}

    # Exploration's noise

    @property
    def noise_rule(self) -> Temperature:
        """The rule for the noise's standard deviation, by the entropy of that noise and of nothing else.

        The data play no part: from 0.5 it comes to exp(-0.9) / sqrt(2 pi e) = 0.098 in some 82 steps, 20,500 updates.
        """
        return Temperature(self.exploration_noise, "log", self.noise_entropy, NOISE_RATE, NOISE_EVERY)

    def noise_std(self, state: State) -> Array:
        return self.noise_rule(state.extra)

    def policy_step(
        self, state: State, batch: Transition, for_actor: Array, for_entropy: Array, info: Info
    ) -> tuple[State, Info]:
        """No actor learns, but exploration's noise: a step of its rule in the updates 1, 251, 501, ..."""
        rule, std, dim = self.noise_rule, self.noise_std(state), state.critic.network.action_dim
        entropy = dim * (jnp.log(std) + math.log(2 * math.pi * math.e) / 2)

        def learn() -> TemperatureState:
            return rule.update(state.extra, entropy[None], dim)

        extra = jax.lax.cond(state.step % rule.every == 0, learn, lambda: state.extra)
        state, metrics = super().policy_step(replace(state, extra=extra), batch, for_actor, for_entropy, info)
        return state, metrics | {"exploration_noise": std}
