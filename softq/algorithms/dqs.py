"""DQS, diffusion Q-sampling: twin critics, and a diffusion actor whose score network learns from their slopes (iDEM).

"Sampling from energy-based policies using diffusion" (anonymous, under review), Algorithm 1, Equations 3, 5, 8, 9,
Table 1. There is no public code, and the text can be read in more than one way; each open choice is a field.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.algorithms.common.learner import copy, polyak, regress, td_target
from softq.algorithms.common.score_matching import regress_actor
from softq.algorithms.common.targets import Backup, bootstrap
from softq.algorithms.common.temperature import TunedBy, sac_step, softmax_entropies
from softq.diffusion import VarianceExploding, log_likelihood, noise_from_score, reverse_sde
from softq.diffusion.likelihood import beyond
from softq.diffusion.processes import Field
from softq.diffusion.scores import ESTIMATORS
from softq.diffusion.space import BACK, Space, inward, landscape, log_volume, outward, source
from softq.networks import Critic, ScoreNetwork
from softq.utils.checks import eager
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace, static


@pytree
class DQSState:
    """All that learning changes."""

    critic: Critic  # theta_1, theta_2
    target: Critic  # their Polyak averages
    actor: ScoreNetwork  # phi
    critic_optimiser: optax.OptState
    actor_optimiser: optax.OptState
    log_scale: Array  # logarithm of what tuning has made of the temperature; 0 unless it is tuned
    temperature_optimiser: optax.OptState


@pytree
class DQS(Algorithm):
    """Hyper-parameters of Table 1, with their values; the temperature is the paper's T."""

    # Not the defaults: with "tanh" and "idem" the pendulum still falls after three steps when 3000 updates are done.
    # Weighted noises in the box aim at the softmax itself, and what the network is to predict is bounded.
    small: ClassVar[dict] = {
        "actor_learning_rate": 2e-3,
        "num_steps": 15,
        "num_samples": 16,
        "sigma_min": 1e-2,
        "space": "reflect",
        "estimator": "qne",
        "truncate": True,
        "predict": "noise",
    }
    # Table 1 and Appendix B; one environment follows from "one update per environment step".
    paper: ClassVar[dict] = {
        "num_envs": 1,
        "iterations": 250_000,
        "warmup": 10_000,
        "buffer_size": 250_000,
    }
    temperature_unit: ClassVar[str] = "Q"

    temperature: float = 0.05  # T; maze 10 at the start ...
    temperature_decay: float = 1.0  # ... and times this in the end, exponentially; maze 0.1
    decay_updates: float = 250_000.0  # updates until then
    temperature_spread: float = 1.0  # the actor learns at T * spread^U[-1, 1]; paper 1, see `policy`
    target_entropy: float = -1.0  # nats per action dimension; matters only with tune
    sigma_min: float = 1e-5  # noise at tau = 0
    sigma_max: float = 1.0  # noise at tau = 1
    stop: float = 0.0  # tau at which sampling ends; below 0.5 sigma is under 0.003 and little moves
    discount: float = 0.99  # gamma
    learning_rate: float = 3e-4  # of the critics, Adam
    actor_learning_rate: float = 3e-4  # of the score network, Adam
    action_gain: float = 1.0  # not in the paper: factor of the action's first weights, `scale_action_weights`
    polyak: float = 0.005  # 1 - eta, after every update
    reward_scale: float = 1.0  # multiplies the rewards
    num_steps: int = static(default=1000)  # of the reverse process, even in tau and so in log sigma
    num_samples: int = static(default=1000)  # K
    space: Space = static(default="tanh")  # where the diffusion runs, see `softq.diffusion.space`
    jacobian: bool = static(default=False)  # of tanh, without which the law has no density to aim at
    estimator: Literal["idem", "qne", "qsm", "combined"] = static(default="idem")  # of the score
    truncate: bool = static(default=False)  # keep the K actions in the box; not in the space "tanh"
    boundary: bool = static(default=False)  # add the faces, which a truncated "idem" or "combined" lacks
    predict: Literal["score", "noise"] = static(default="score")  # "noise": -sigma * score, of even size
    condition: bool = static(default=True)  # the score network also reads the temperature
    backup: Backup = static(
        default="boltzmann"
    )  # what the target adds, see `softq.algorithms.common.targets`
    num_value_samples: int = static(default=100)  # uniform actions of the other backups
    tune: bool = static(default=False)  # learn the temperature, which the paper does not, see `adjust`
    tune_by: TunedBy = static(default="policy")  # whose entropy: the policy's, or the softmax's of its critic
    num_levels: int = static(default=20)  # of the likelihood that the entropy is estimated by
    num_noises: int = static(default=2)  # at each of them
    hidden_sizes: tuple[int, ...] = static(default=(256, 256))  # units of each layer, critics and actor
    activation: str = static(default="relu")  # of these layers; code "gelu_tanh" in the score network

    def __post_init__(self) -> None:
        if self.space == "tanh" and (self.truncate or self.boundary):
            raise SoftqError("truncate and boundary need walls; choose a space other than 'tanh'.")

    def init(self, key: Array, obs: Array, action: Array) -> DQSState:
        """Fresh networks, and targets equal to the critics."""
        for_critic, for_actor = jax.random.split(key)
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.activation)
        layers, told = (self.hidden_sizes, self.activation), 2 if self.condition else 1
        actor = ScoreNetwork.create(for_actor, obs, action, *layers, "sinusoidal", told)
        actor = actor.scale_action_weights(self.action_gain)
        adam, log_scale = self.adam(), jnp.zeros(())
        optimisers = adam.init(critic.params), self.actor_adam().init(actor.params)
        return DQSState(critic, copy(critic), actor, *optimisers, log_scale, adam.init(log_scale))

    def adam(self) -> optax.GradientTransformation:
        """Of the critics, and of the temperature."""
        return optax.adam(self.learning_rate)

    def actor_adam(self) -> optax.GradientTransformation:
        return optax.adam(self.actor_learning_rate)

    def schedule(self) -> VarianceExploding:
        return VarianceExploding(self.sigma_min, self.sigma_max)

    @property
    def adjustable(self) -> bool:
        """Whether the actor reads the temperature and was trained at several (a traced spread is taken for several)."""
        spread = self.temperature_spread
        return self.condition and (not eager(spread) or bool(np.any(np.asarray(spread) != 1)))

    def in_force(self, state: DQSState) -> Array:
        """T after as many updates as the actor has made, as far as it has been tuned."""
        count = optax.tree_utils.tree_get(state.actor_optimiser, "count")
        done = jnp.minimum(count / self.decay_updates, 1.0)
        return self.temperature * self.temperature_decay**done * jnp.exp(state.log_scale)

    # Acting. The same action gathers data and is scored; the paper mentions no other.

    def score(self, state: DQSState, obs: Array, temperature: float | Array) -> Field:
        """The learned score of a noisy action `(d,)` at time tau."""
        actor = state.actor.at(obs)
        return lambda x, tau: actor(x, self.told(tau, temperature)) / self.unit(tau)

    def unit(self, tau: Array) -> Array | float:
        """What the network predicts, over the score."""
        return -self.schedule().noise(tau) if self.predict == "noise" else 1.0

    def told(self, tau: Array, temperature: float | Array) -> Array:
        """What the network reads beside state and action: the time and the temperature, `(2,)`, or the time alone."""
        return jnp.stack([tau, jnp.asarray(temperature)] if self.condition else [tau])

    def policy(
        self, state: DQSState, obs: Array, key: Array, temperature: float | Array | None = None
    ) -> Array:
        """A draw from the diffusion, also the target's action.

        Another temperature should be one of those that the actor has seen, see `temperature_spread`. Raises
        `SoftqError` for an actor that does not read it, or has seen one at a time.
        """
        self.check_adjustable(temperature)
        return self.sample(state, obs, key, self.in_force(state) if temperature is None else temperature)

    def sample(self, state: DQSState, obs: Array, key: Array, temperature: float | Array) -> Array:
        """A draw, put back into the box."""
        return outward(self.space, self.unbounded(state, obs, key, temperature))

    def unbounded(self, state: DQSState, obs: Array, key: Array, temperature: float | Array) -> Array:
        """The reverse equation from N(0, sigma_max^2), `(d,)` (Equation 3)."""
        score, dim = self.score(state, obs, temperature), state.actor.action_dim
        return reverse_sde(key, score, dim, self.schedule(), self.num_steps, t_end=self.stop)

    def log_prob(
        self, state: DQSState, obs: Array, action: Array, key: Array, temperature: float | Array
    ) -> Array:
        """Estimated log pi(a|s), nats; not in the paper, which finds it too expensive.

        The density of the x that becomes this action, less the log slope of the way back. Within 1e-6 of a wall "tanh"
        and "printed" give the density at that distance, since float32 knows no better. "reflect" leaves out the images
        of x beyond the walls that fold onto the same action: log pi is too low, the entropy too high. "project" gives
        the density inside; the mass that it puts on the walls has none, and a point on a wall gets that beside it.
        """
        return self.log_density(state, obs, source(self.space, action), key, temperature)

    def log_density(
        self, state: DQSState, obs: Array, x: Array, key: Array, temperature: float | Array
    ) -> Array:
        """Estimated log pi at the action that x `(d,)` becomes, of this x alone.

        MaxEntDP's Theorem 3.5 for this schedule, and a closed form for the noise beyond sigma_max. A network that is
        not the best for its own law makes log pi too low, and the entropy too high.
        """
        schedule, levels = self.schedule(), self.num_levels
        noise_of = noise_from_score(self.score(state, obs, temperature), schedule)
        inner = log_likelihood(key, noise_of, x, schedule, levels, self.num_noises, "log_snr", paired=True)
        return inner + beyond(x, self.sigma_max) - log_volume(self.space, x)

    # Learning (Algorithm 1)

    def update(self, state: DQSState, batch: Transition, key: Array) -> tuple[DQSState, dict[str, Array]]:
        """Critics (Equation 8), score network (Equation 9), the temperature if tuned, target critics."""
        for_target, for_actor, for_entropy = jax.random.split(key, 3)
        targets = self.targets(state, batch, for_target)
        critic, optimiser, metrics = regress(
            state.critic, self.adam(), state.critic_optimiser, batch, targets
        )
        metrics |= {"temperature": self.in_force(state)}
        state = replace(state, critic=critic, critic_optimiser=optimiser)
        state, more = self.improve(state, batch.obs, for_actor, batch.action)
        if self.tune:
            entropy = self.entropy(state, batch.obs, for_entropy)
            state, more = self.adjust(state, entropy), more | {"entropy": entropy}
        return replace(state, target=polyak(self.polyak, critic, state.target)), metrics | more

    def targets(self, state: DQSState, batch: Transition, key: Array) -> Array:
        """r + gamma * min_j Q_target_j(s', a'), a' from the actor, `(B,)`; no entropy term in the paper's backup."""
        temperature, dim = self.in_force(state), state.actor.action_dim

        def one(obs: Array, key: Array) -> Array:
            q, draw = state.target.at(obs), lambda key: self.policy(state, obs, key)
            return bootstrap(self.backup, key, q, dim, temperature, self.num_value_samples, draw)

        values = jax.vmap(one)(batch.next_obs, jax.random.split(key, len(batch.reward)))
        return td_target(batch, values, self.discount, self.reward_scale)

    def improve(
        self, state: DQSState, obs: Array, key: Array, action: Array | None = None
    ) -> tuple[DQSState, dict[str, Array]]:
        """One step of the score network on Equation 9 over states `(B, obs_dim)` and noised actions `(B, d)`.

        Without actions they are uniform. The critic's smaller twin is scored; line 13 prints one, and no temperature.
        """
        estimate, now = ESTIMATORS[self.estimator], self.in_force(state)
        faces = {"boundary": self.boundary} if self.estimator in ("idem", "combined") else {}

        def example(obs: Array, action: Array, key: Array) -> tuple[Array, Array, Array]:
            """A noisy action, what the network reads beside it, and what it should say: Equation 5's estimate."""
            for_time, for_noise, for_estimate, for_spread = jax.random.split(key, 4)
            tau = jax.random.uniform(for_time)
            sigma = self.schedule().noise(tau)
            x = inward(self.space, action) + sigma * jax.random.normal(for_noise, action.shape)
            temperature = now * self.temperature_spread ** jax.random.uniform(for_spread, minval=-1.0)
            q = landscape(self.space, state.critic.at(obs), temperature, self.jacobian)
            score = estimate(
                for_estimate, q, temperature, x, 1.0, sigma, self.num_samples, self.truncate, **faces
            )
            return x, self.told(tau, temperature), self.unit(tau) * score

        actor, optimiser, error = regress_actor(
            state.actor, self.actor_adam(), state.actor_optimiser, example, obs, action, key
        )
        return replace(state, actor=actor, actor_optimiser=optimiser), {"actor_loss": error}

    def entropy(self, state: DQSState, obs: Array, key: Array) -> Array:
        """What the thermostat goes by: the mean of -log pi over states `(B, obs_dim)`, one draw in each.

        Or, with `tune_by`, the mean estimate of an annealed chain on the critic, see
        `softq.algorithms.common.temperature`.
        """
        temperature = self.in_force(state)
        if self.tune_by == "softmax":
            return jnp.mean(softmax_entropies("ais", key, state.critic, obs, temperature, self.num_samples))

        def one(obs: Array, key: Array) -> Array:
            draw, estimate = jax.random.split(key)
            x = self.unbounded(state, obs, draw, temperature)
            if BACK[self.space] != "tanh":  # the image in the box is the one to ask for
                x = outward(self.space, x)
            return -self.log_density(state, obs, x, estimate, temperature)

        return jnp.mean(jax.vmap(one)(obs, jax.random.split(key, len(obs))))

    def adjust(self, state: DQSState, entropy: Array) -> DQSState:
        """One step of log T by SAC's rule."""
        target = self.target_entropy * state.actor.action_dim
        return sac_step(state, self.adam(), self.in_force(state), entropy, target)
