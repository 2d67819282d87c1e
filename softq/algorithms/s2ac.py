"""S2AC, Stein soft actor-critic: a short SVGD chain from a learned Gaussian, with an entropy in closed form.

"S2AC: energy-based reinforcement learning with Stein soft actor critic" (Messaoud et al. 2024); settings of the
authors' code for MuJoCo. Each state has M particles, which climb Q and keep apart before tanh. The critic and the
Gaussian are trained as in SAC, by the log-density of a particle at the end of the chain, which the paper states as

    log p_L(u_i) = log p_0(u_i) - step * sum over the L steps of `stein_trace`

That is the density of a map of one particle, the others held fixed, to first order in the step and without the second
derivatives of Q. It is not the density of the policy. One particle alone would keep the entropy of the Gaussian,
however narrow the chain makes it; and where (M - 1) * dim is 2 or less the mean of log p_L is infinite, since the trace
of particles that happen to be close grows as 1 / distance^2.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms.base import Algorithm, Info, State
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.temperature import Temperature, tempered
from softq.box import log_tanh_slope
from softq.networks import Critic, GaussianActor, StateLandscape, TanhGaussian
from softq.samplers.svgd import stein_direction, stein_trace
from softq.utils.fields import choice, count, positive
from softq.utils.pytree import pytree

TRAINING = {"num_envs": 1, "iterations": 500_000, "warmup": 10_000, "batch_size": 100}
STD_MIN, STD_MAX = 0.1, 1.0  # bounds of the Gaussian's std
TRUNCATED = 3.0  # the Gaussian's draws keep within so many std of its mean
FIXED_STD = 0.5  # of the Gaussian that is not learned


@pytree
class S2AC(Algorithm):
    """Hyper-parameters of the authors' code for MuJoCo; the temperature is the paper's alpha."""

    presets: ClassVar[dict] = {
        "paper": TRAINING,
        "small": {"actor_hidden_sizes": (64, 64)},
        "code": TRAINING | {"chain": "released"},
    }
    temperature_unit: ClassVar[str] = "Q"
    tuned_by: ClassVar[str] = "sac"

    temperature: Temperature = tempered(
        Temperature(0.2), "Temperature alpha of the policy and its entropy bonus."
    )
    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(1e-3)
    actor_learning_rate: float = hyper.learning_rate(1e-3, "the Gaussian")
    polyak: float = hyper.polyak()
    reward_scale: float = hyper.reward_scale()
    num_particles: int = count(10, "Number M of particles in a state.", least=2)
    num_steps: int = count(3, "Number L of steps of the chain; multi-goal 10.")
    step_size: float = positive(0.1, "Step of the chain, per unit of the slope of Q before tanh.")
    # Deviation of the released code, "released": its chain climbs Q at the particle before tanh, as if that were the
    # action, at temperature 1 whatever alpha is; critic and Gaussian take the action after tanh and alpha. It divides
    # the trace by M - 1, the step by M. The density of its start is that of a Gaussian that is not truncated, and has
    # FIXED_STD for the variance where it is fixed. `exploit` says how it ranks particles.
    chain: Literal["stated", "released"] = choice(
        "stated", "Law that the chain climbs: the stated softmax, or the released code's at temperature 1."
    )
    start_law: Literal["learned", "fixed"] = choice(
        "learned", "Gaussian that starts the chain: the learned one, or N(0, 0.5^2); multi-goal fixed."
    )
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256), "the critics")
    actor_hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256, 256), "the Gaussian")
    activation: str = hyper.activation("elu", "critics and Gaussian")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and targets equal to the critics."""
        for_critic, for_actor = jax.random.split(key)
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.activation)
        sizes = self.actor_hidden_sizes
        return self.fresh_state(critic, GaussianActor.create(for_actor, obs, action, sizes, self.activation))

    # Acting

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """One particle, which gathers the data too; all have the same law. Raises `SoftqError` for a temperature."""
        self.check_adjustable(temperature)
        return self.particles(state.actor.network, state, obs, key)[0][0]

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """The particle with the largest Q, from one fixed draw of the start; `key` is ignored.

        Deviation: the released code draws anew, and ranks the particles by Q where they were before their last step and
        before tanh. It also reports draws by the softmax of these values, at temperature 1.
        """
        released = self.chain == "released"
        key = key if released else jax.random.key(0)
        actions, _, before = self.particles(state.actor.network, state, obs, key)
        ranked = before if released else actions
        return actions[jnp.argmax(jax.vmap(state.critic.network.at(obs))(ranked))]

    def particles(
        self, actor: GaussianActor, state: State, obs: Array, key: Array
    ) -> tuple[Array, Array, Array]:
        """What `climb` gives in a state, by the online critics, from a draw of the start."""
        law = actor.at(obs, jnp.log(STD_MAX))
        if self.start_law == "fixed":
            law = TanhGaussian(jnp.zeros_like(law.mean), jnp.full_like(law.log_std, jnp.log(FIXED_STD)))
        start, log_prob = self.start(law, key)
        return self.climb(state.critic.network.at(obs), start, log_prob, self.current_temperature(state))

    def start(self, law: TanhGaussian, key: Array) -> tuple[Array, Array]:
        """Draws `(M, d)` of the truncated Gaussian, before tanh, and their log-densities `(M,)`.

        Deviation: the fixed Gaussian of the released code is not truncated, and its draws are among 5000 stored ones.
        """
        low, high = jax.scipy.special.ndtr(jnp.array([-TRUNCATED, TRUNCATED]))
        uniform = jax.random.uniform(key, (self.num_particles, *law.mean.shape))
        noise = jax.scipy.special.ndtri(low + (high - low) * uniform)
        log_std = jnp.where(law.log_std < jnp.log(STD_MIN), jnp.log(STD_MIN), law.log_std)

        log_variance, log_mass = 2 * log_std, jnp.log(high - low)
        if self.chain == "released":
            log_variance, log_mass = log_variance if self.start_law == "learned" else log_std, 0.0

        def one(noise: Array) -> tuple[Array, Array]:
            move = jnp.exp(log_std) * noise
            log_normal = -(move**2 * jnp.exp(-log_variance) + log_variance + jnp.log(2 * jnp.pi)) / 2
            return law.mean + move, jnp.sum(log_normal - log_mass)

        return jax.vmap(one)(noise)

    def climb(
        self, q: StateLandscape, u: Array, log_prob: Array, temperature: Array
    ) -> tuple[Array, Array, Array]:
        """The chain from `u` `(M, d)`, before tanh: actions `(M, d)`, and log-densities from `log_prob`, those of `u`.

        Also where the particles were before their last step, before tanh, `(M, d)`.
        A particle moves by step / M * sum_j [k(u_j, u) grad height(u_j) + temperature * grad_{u_j} k(u_j, u)].
        """
        released, num = self.chain == "released", self.num_particles
        chain_temperature = jnp.ones(()) if released else temperature

        def height(u: Array) -> Array:
            """What divided by `chain_temperature` is the logarithm of the law that the chain climbs, before tanh."""
            return q(u) if released else q(jnp.tanh(u)) + chain_temperature * jnp.sum(log_tanh_slope(u))

        def move(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
            u, log_prob = state
            slopes, width = jax.vmap(jax.grad(height))(u), jax.lax.stop_gradient(mean_bandwidth(u))
            trace = stein_trace(slopes, u, width, chain_temperature) * (num / (num - 1) if released else 1)
            direction = stein_direction(slopes, u, width, chain_temperature)
            return (u + self.step_size * direction, log_prob - self.step_size * trace), u

        (u, log_prob), path = jax.lax.scan(move, (u, log_prob), length=self.num_steps)
        return jnp.tanh(u), log_prob - jnp.sum(log_tanh_slope(u), -1), path[-1]

    # Learning: as SAC, with means over the particles

    def next_value(self, state: State, next_obs: Array, key: Array) -> tuple[Array, Info]:
        """mean_i [min_j Q_target_j(s', a_i) - alpha log p(a_i|s')], by particles on the online critics."""
        actions, log_prob, _ = self.particles(state.actor.network, state, next_obs, key)
        values = jax.vmap(state.critic.target.at(next_obs))(actions)
        return jnp.mean(values - self.current_temperature(state) * log_prob), {}

    def actor_loss(
        self, actor: GaussianActor, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """mean_i [alpha log p(a_i) - Q(a_i)], its slope taken through the chain; the replayed action is ignored."""
        actions, log_prob, _ = self.particles(actor, state, obs, key)
        values = jax.vmap(state.critic.network.at(obs))(actions)
        loss = jnp.mean(self.current_temperature(state) * log_prob - values)
        return loss, {"entropy": -jnp.mean(log_prob)}


def mean_bandwidth(particles: Array) -> Array:
    """The kernel's width h, for exp(-|x - y|^2 / h), by the released code's rule: a mean in place of the median.

    The mean squared distance of all pairs `(M, d)`, each with itself too, over 2 log(M + 1).
    """
    squared = jnp.sum((particles[:, None] - particles[None]) ** 2, -1)
    return jnp.maximum(jnp.mean(squared), 1e-6) / (2 * jnp.log(len(particles) + 1))
