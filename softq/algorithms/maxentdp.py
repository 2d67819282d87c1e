"""MaxEntDP: soft actor-critic with a diffusion actor, whose noise network learns from Q-weighted noises.

"Maximum entropy reinforcement learning with diffusion policy" (Dong et al. 2025), Algorithm 1, Equations 2, 17, 18, 21,
Tables 1 and 3. The released code departs from the paper; each departure but the critics' first weights is a field, with
the paper's choice as its default where the paper makes one.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.algorithms.common.learner import copy, polyak, regress, td_target
from softq.algorithms.common.score_matching import regress_actor
from softq.algorithms.common.temperature import TunedBy, sac_step, softmax_entropies
from softq.diffusion import (
    CosineVP,
    ancestral,
    log_likelihood,
    probability_flow,
    qne,
    score_from_noise,
)
from softq.diffusion.likelihood import Rule
from softq.diffusion.processes import Field
from softq.diffusion.scores import ESTIMATORS
from softq.networks import Critic, ScoreNetwork
from softq.utils.pytree import pytree, replace, static

SCHEDULE = CosineVP()  # of the released code; the paper names none


@pytree
class MaxEntDPState:
    """All that learning changes."""

    critic: Critic  # theta_1, theta_2
    target: Critic  # their Polyak averages
    actor: ScoreNetwork  # phi, predicts the noise in an action
    critic_optimiser: optax.OptState
    actor_optimiser: optax.OptState
    log_scale: Array  # beta = temperature * exp(log_scale); 0 unless the temperature is tuned
    temperature_optimiser: optax.OptState


@pytree
class MaxEntDP(Algorithm):
    """Hyper-parameters of Table 1 and Appendix D.1, with their values; the temperature is the paper's beta."""

    small: ClassVar[dict] = {
        "actor_learning_rate": 2e-3,
        "num_steps": 10,
        "num_samples": 32,
        "num_noises": 2,
        "rule": "log_snr",
        "paired": True,
    }
    # Batch and buffer are Table 1's; the rest is not in the paper but in the code.
    paper: ClassVar[dict] = {"num_envs": 1, "iterations": 1_000_000, "warmup": 10_000}
    temperature_unit: ClassVar[str] = "Q"

    temperature: float = 0.1  # beta, the code's; Table 3 has one for each task, 0.01 to 0.2
    # HalfCheetah 0.2; Ant, Hopper 0.05; Humanoid 0.02; Swimmer, Walker2d 0.01.
    target_entropy: float = -1.0  # nats per action dimension; matters only with tune
    discount: float = 0.99  # gamma
    learning_rate: float = 3e-4  # of the critics, Adam
    actor_learning_rate: float = 3e-4  # of the noise network, Adam
    action_gain: float = 1.0  # not in the paper: factor of the action's first weights, `scale_action_weights`
    decay_updates: float = 2e6  # of the cosine, see `decay`
    polyak: float = 0.005  # tau, after every update
    reward_scale: float = 1.0  # multiplies the rewards
    num_steps: int = static(default=20)  # T, of the sampler and of the likelihood
    num_samples: int = static(default=500)  # K, weighted noises for each regression target
    num_noises: int = static(default=50)  # N, at each level of the likelihood
    num_actions: int = static(default=10)  # M, of which `exploit` keeps the best
    sampling: Literal["ancestral", "ode"] = static(default="ancestral")  # Algorithm 1 "ode", Appendix B not
    variance: Literal["beta", "posterior"] = static(default="beta")  # of an ancestral step; code "beta"
    estimator: Literal["qne", "idem", "qsm"] = static(default="qne")  # of the noise, see Section 5.2
    guide: Literal["online", "target"] = static(default="online")  # whose Q the estimator asks; code "target"
    entropy_backup: bool = static(default=True)  # False: no entropy in the target, the ablation of Figure 5
    truncate: bool = static(default=True)  # keep the actions that Q weighs in the box
    rule: Rule = static(default="left")  # sum for the integral of log pi, see `log_prob`
    paired: bool = static(default=False)  # noises in pairs, which an exact rule needs
    clip_x0: bool = static(default=False)  # the likelihood of a clipped prediction, of no density; code True
    decay: Literal["constant", "cosine"] = static(default="constant")  # actor's learning rate; code "cosine"
    tune: bool = static(default=False)  # learn the temperature, which the paper does not, see `adjust`
    tune_by: TunedBy = static(default="policy")  # whose entropy: the policy's, or the softmax's of its critic
    hidden_sizes: tuple[int, ...] = static(default=(256, 256))  # three layers against other diffusion methods
    activation: str = static(default="mish")  # of the noise network
    critic_activation: str = static(default="mish")  # Table 1; code "relu"

    def init(self, key: Array, obs: Array, action: Array) -> MaxEntDPState:
        """Fresh networks, and targets equal to the critics."""
        for_critic, for_actor = jax.random.split(key)
        # Deviation: the code's critics start from Xavier-uniform weights, like the actor here; ours as all of softq's.
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.critic_activation)
        actor = ScoreNetwork.create(for_actor, obs, action, self.hidden_sizes, self.activation, "fourier")
        actor = actor.scale_action_weights(self.action_gain)
        adam, log_scale = self.critic_adam(), jnp.zeros(())
        optimisers = adam.init(critic.params), self.actor_adam().init(actor.params)
        return MaxEntDPState(critic, copy(critic), actor, *optimisers, log_scale, adam.init(log_scale))

    def critic_adam(self) -> optax.GradientTransformation:
        """Of the critics, and of the temperature."""
        return optax.adam(self.learning_rate)

    def actor_adam(self) -> optax.GradientTransformation:
        """Deviation: the code lowers the rate by a cosine over 2e6 updates, twice as many as it makes."""
        if self.decay == "constant":
            return optax.adam(self.actor_learning_rate)
        fraction = lambda count: (1 + jnp.cos(jnp.pi * jnp.minimum(count / self.decay_updates, 1.0))) / 2
        return optax.adam(lambda count: self.actor_learning_rate * fraction(count))

    def in_force(self, state: MaxEntDPState) -> Array:
        """The paper's beta, as far as it has been tuned."""
        return self.temperature * jnp.exp(state.log_scale)

    # Acting

    def noise_of(self, state: MaxEntDPState, obs: Array) -> Field:
        """The predicted noise in an action `(d,)` at time t, as the samplers expect it."""
        actor = state.actor.at(obs)
        return lambda action, t: actor(action, SCHEDULE.log_snr(t)[None])

    def policy(
        self, state: MaxEntDPState, obs: Array, key: Array, temperature: float | Array | None = None
    ) -> Array:
        """A draw from the diffusion, also the target's action.

        Deviation: Algorithm 1 solves Equation 5 ("ode"); Appendix B and the code take the noisy ancestral chain, with
        the predicted action clipped at each step.

        Raises `SoftqError` for a temperature.
        """
        self.check_adjustable(temperature)
        noise_of, dim = self.noise_of(state, obs), state.actor.action_dim
        if self.sampling == "ancestral":
            return ancestral(key, noise_of, dim, SCHEDULE, self.num_steps, self.variance)
        score = score_from_noise(noise_of, SCHEDULE)
        return probability_flow(key, score, dim, SCHEDULE, self.num_steps, final="project")

    def exploit(self, state: MaxEntDPState, obs: Array, key: Array) -> Array:
        """The best of M draws by the smaller of the target critics ("action selection"); the paper names no critic."""
        actions = jax.vmap(lambda k: self.policy(state, obs, k))(jax.random.split(key, self.num_actions))
        return actions[jnp.argmax(jax.vmap(state.target.at(obs))(actions))]

    def log_prob(self, state: MaxEntDPState, obs: Array, action: Array, key: Array) -> Array:
        """Estimated log pi(a|s), nats (Equation 21).

        The rule "left", as printed, flattens the density: for a normal law of variance v its mean is too low by 0.09,
        0.41 and 1.18 nats a coordinate at v = 0.1, 0.01, 0.001 (T = 20), and the entropy too high by as much. With
        "log_snr" and `paired` it is too low by 0.000, 0.002 and 0.022. A network that predicts worse than the best one
        for the law it samples makes log pi too low under every rule.
        """
        noise_of, steps, noises = self.noise_of(state, obs), self.num_steps, self.num_noises
        return log_likelihood(
            key, noise_of, action, SCHEDULE, steps, noises, self.rule, self.clip_x0, self.paired
        )

    # Learning (Algorithm 1)

    def update(
        self, state: MaxEntDPState, batch: Transition, key: Array
    ) -> tuple[MaxEntDPState, dict[str, Array]]:
        """Critics (Equation 2), target critics, noise network (Equation 18), the temperature if tuned.

        Deviation: Algorithm 1 averages the target critics last, line 19; the code before the noise network's step,
        which asks them in the code (`guide="target"`). With the paper's `guide="online"` the order changes nothing.
        """
        for_target, for_actor = jax.random.split(key)
        temperature = self.in_force(state)
        targets, entropy = self.targets(state, batch, for_target)
        critic, optimiser, metrics = regress(
            state.critic, self.critic_adam(), state.critic_optimiser, batch, targets
        )
        target = polyak(self.polyak, critic, state.target)
        state = replace(state, critic=critic, critic_optimiser=optimiser, target=target)
        state, more = self.improve(state, batch.obs, for_actor, batch.action)
        if self.tune and self.tune_by == "softmax":
            law = critic, batch.obs, temperature
            for_entropy = jax.random.fold_in(key, 2)  # the two keys above stay what they are without it
            entropy = jnp.mean(softmax_entropies("ais", for_entropy, *law, self.num_samples))
        state = self.adjust(state, entropy) if self.tune else state
        metrics |= more | {"entropy": entropy, "temperature": temperature}
        return state, metrics

    def targets(self, state: MaxEntDPState, batch: Transition, key: Array) -> tuple[Array, Array]:
        """r + gamma * (min_j Q_target_j(s', a') - beta log pi(a'|s')), `(B,)`, and the mean of -log pi.

        Without `entropy_backup` the bracket is min_j Q_target_j(s', a'); log pi is estimated for the log all the same.

        Deviation: line 14 prints the online critics, and line 19 gives them the average; Equation 2 has the targets.
        """

        def bootstrap(obs: Array, key: Array) -> tuple[Array, Array]:
            draw, estimate = jax.random.split(key)
            action = self.policy(state, obs, draw)
            log_prob = self.log_prob(state, obs, action, estimate)
            value = state.target.at(obs)(action)
            return value - self.in_force(state) * log_prob if self.entropy_backup else value, log_prob

        values, log_prob = jax.vmap(bootstrap)(batch.next_obs, jax.random.split(key, len(batch.reward)))
        return td_target(batch, values, self.discount, self.reward_scale), -jnp.mean(log_prob)

    def improve(
        self, state: MaxEntDPState, obs: Array, key: Array, action: Array | None = None
    ) -> tuple[MaxEntDPState, dict[str, Array]]:
        """One step of the noise network on Equation 18 over states `(B, obs_dim)` and noised actions `(B, d)`.

        Without actions they are uniform. The other estimators are of the score, which is the noise over minus its
        size: "idem" is Equation 63 (in the box, as in the code), "qsm" the slope at the noisy action.
        """
        guide = state.critic if self.guide == "online" else state.target

        def example(obs: Array, action: Array, key: Array) -> tuple[Array, Array, Array]:
            """A noisy action, its log signal-to-noise ratio and the noise that the estimator finds in it."""
            for_time, for_noise, for_estimate = jax.random.split(key, 3)
            t = jax.random.uniform(for_time, minval=SCHEDULE.t_min, maxval=SCHEDULE.t_max)
            signal, noise = SCHEDULE.signal(t), SCHEDULE.noise(t)
            noisy = signal * action + noise * jax.random.normal(for_noise, action.shape)
            law = guide.at(obs), self.in_force(state), noisy, signal, noise
            how = self.num_samples, self.truncate
            if self.estimator == "qne":
                target = qne(for_estimate, *law, *how, target="noise")  # Equation 17
            else:
                target = -noise * ESTIMATORS[self.estimator](for_estimate, *law, *how)
            return noisy, SCHEDULE.log_snr(t)[None], target

        actor, optimiser, error = regress_actor(
            state.actor, self.actor_adam(), state.actor_optimiser, example, obs, action, key
        )
        return replace(state, actor=actor, actor_optimiser=optimiser), {"actor_loss": error}

    def adjust(self, state: MaxEntDPState, entropy: Array) -> MaxEntDPState:
        """One step of log beta by SAC's rule.

        The policy's entropy has the bias of `log_prob`, so take an exact rule; for `tune_by` see
        `softq.algorithms.common.temperature`.
        """
        target = self.target_entropy * state.actor.action_dim
        return sac_step(state, self.critic_adam(), self.in_force(state), entropy, target)
