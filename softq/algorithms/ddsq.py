"""DDSQ, Deep Decoupled Softmax Q-learning: twin critics and a sampler, no actor.

"Softmax for continuous actions: optimality, MCMC sampling, and actor-free control", Algorithms 1 and 2. The paper has
no public code; where it contradicts itself the field below says what was chosen. Experiment settings (20 environments,
warm-up of 2e5 transitions, batch 256, buffer 1e6) belong to the training loop: `softq.training.TrainConfig`.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.algorithms.common.learner import copy, polyak, regress, td_target
from softq.algorithms.common.targets import Backup, bootstrap
from softq.box import project, reflect, uniform_actions
from softq.networks import Critic
from softq.samplers import linear_schedules, qglg, spread
from softq.samplers.entropy import snis_entropy
from softq.utils.pytree import pytree, static


@pytree
class DDSQState:
    """All that learning changes."""

    critic: Critic  # theta_1, theta_2
    target: Critic  # their Polyak averages
    optimiser: optax.OptState
    log_scale: Array  # lambda_0 = temperature * exp(log_scale); 0 unless the temperature is tuned
    entropy: Array  # last estimate of the policy's entropy over a batch, nats; log 2^d until there is one


@pytree
class DDSQ(Algorithm):
    """Hyper-parameters of Tables 2 and 3, with their values. The temperature divides: pi ∝ exp(Q / lambda(s))."""

    small: ClassVar[dict] = {"num_candidates": 16, "num_schedules": 3, "num_steps": 5}
    adjustable: ClassVar[bool] = True

    temperature: float = 0.05  # lambda_0, lambda(s) = lambda_0 * std_a Q(s, a); Figure 4 0.15, Figure 5 0.01
    explore_prob: float = 0.15  # p_e, share of actions that QGLG draws; the rest is greedy (footnote 3)
    discount: float = 0.99  # gamma
    learning_rate: float = 2e-4  # eta, Adam
    polyak: float = 0.005  # tau, after every update
    reward_scale: float = 1.0  # multiplies the rewards (Table 2)
    start_step: float = 1.0  # schedules start at logspace(log start_step, log end_step, num_schedules) ...
    end_step: float = 1e-4  # ... and all end here, in absolute units as printed
    target_entropy: float = -1.0  # nats per action dimension; matters only when the temperature is tuned
    # An estimate is at least log 2 - log(num_entropy_samples) / dim a dimension: from 5 dimensions on above -1, and the
    # temperature then falls without end.
    num_schedules: int = static(default=10)  # Table 3; Appendix A says that the main experiments used 4
    num_steps: int = static(default=20)  # T
    num_candidates: int = static(default=100)  # m of the SNIS start, also for std_a Q, whose m is not stated
    hidden_sizes: tuple[int, ...] = static(default=(256, 256, 256))  # units of each critic layer (Table 2)
    activation: str = static(default="mish")  # of these layers (Table 2)
    normalise: bool = static(default=True)  # False: lambda(s) = lambda_0
    boundary: Literal["reflect", "project"] = static(default="reflect")  # of a step that leaves the box
    select: Literal["argmax", "weight", "random"] = static(default="argmax")  # Algorithm 1, line 7
    backup: Backup = static(default="boltzmann")  # what the target adds; others by num_candidates actions
    temperature_learning_rate: float = static(default=0.0)  # 0 as in the paper: lambda_0 stays where it is
    temperature_space: Literal["log", "linear"] = static(default="log")  # of a tuning step; printed "linear"
    temperature_cycle: int = static(default=100)  # updates between two entropy estimates and tuning steps
    num_entropy_samples: int = static(default=1000)  # uniform actions of an entropy estimate (Table 3)
    track_entropy: bool = static(default=False)  # estimate the entropy even if the temperature stays

    def init(self, key: Array, obs: Array, action: Array) -> DDSQState:
        """Fresh twins, and targets equal to them."""
        critic = Critic.create(key, obs, action, self.hidden_sizes, self.activation)
        uniform_entropy = critic.action_dim * jnp.log(2.0)
        return DDSQState(
            critic, copy(critic), self.adam().init(critic.params), jnp.zeros(()), uniform_entropy
        )

    def adam(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def schedules(self) -> Array:
        """Candidate step sizes, `(num_schedules, num_steps)` (Table 3)."""
        starts = jnp.logspace(jnp.log10(self.start_step), jnp.log10(self.end_step), self.num_schedules)
        return linear_schedules(starts, jnp.full(self.num_schedules, self.end_step), self.num_steps)

    @property
    def temperature_unit(self) -> str:
        return "std of Q" if self.normalise else "Q"

    def in_force(self, state: DDSQState) -> Array:
        """lambda_0, as far as it has been tuned."""
        return self.temperature * jnp.exp(state.log_scale)

    def temperature_of(
        self,
        state: DDSQState,
        obs: Array,
        temperature: float | Array | None = None,
        num: int = 1000,
    ) -> Array:
        """lambda(s) by the spread of Q over `num` fixed actions; the sampler's own is of its `num_candidates`."""
        temperature = jnp.asarray(self.in_force(state) if temperature is None else temperature)
        if not self.normalise:
            return temperature
        actions = uniform_actions(jax.random.key(0), state.critic.action_dim, num)
        return temperature * spread(jax.vmap(state.critic.at(obs))(actions))

    # Acting (Algorithm 1)

    def sample(
        self, state: DDSQState, obs: Array, key: Array, temperature: float | Array, greedy: bool | Array
    ) -> Array:
        """QGLG on the smaller of the online twins, with lambda_0 = `temperature`."""
        return qglg(
            key,
            state.critic.at(obs),
            state.critic.action_dim,
            temperature,
            self.schedules(),
            self.num_candidates,
            boundary=reflect if self.boundary == "reflect" else project,
            select=self.select,
            relative=self.normalise,
            greedy=greedy,
        )

    def policy(
        self, state: DDSQState, obs: Array, key: Array, temperature: float | Array | None = None
    ) -> Array:
        """The softmax policy as DDSQ samples it, also the target's action.

        Its `temperature` is lambda_0: every temperature after one training (Figure 5).
        """
        temperature = self.in_force(state) if temperature is None else temperature
        return self.sample(state, obs, key, temperature, greedy=False)

    def exploit(self, state: DDSQState, obs: Array, key: Array) -> Array:
        """Deterministic evaluation: best candidate, no noise (Section 5). `key` is ignored: the paper fixes a seed."""
        return self.sample(state, obs, jax.random.key(0), self.in_force(state), greedy=True)

    def explore(self, state: DDSQState, obs: Array, key: Array) -> Array:
        """The behaviour mixture: the sampler with probability p_e, else greedy; one coin per step and environment."""
        draw, coin = jax.random.split(key)
        greedy = ~jax.random.bernoulli(coin, self.explore_prob)
        return self.sample(state, obs, draw, self.in_force(state), greedy)

    # Learning (Algorithm 2)

    def targets(self, state: DDSQState, batch: Transition, key: Array) -> Array:
        """r + gamma * min_j Q_target_j(s', a'), a' from the online critics, `(B,)`; no entropy term (lines 2, 6, 7).

        Deviation: line 6 prints QGLG(s, ...); line 7 needs the action at s'. The other backups scale their temperature
        by the spread of the target critics, which they average.
        """
        scaled = lambda values: self.in_force(state) * (spread(values) if self.normalise else 1.0)

        def one(obs: Array, key: Array) -> Array:
            q, draw = state.target.at(obs), lambda key: self.policy(state, obs, key)
            return bootstrap(self.backup, key, q, state.critic.action_dim, scaled, self.num_candidates, draw)

        values = jax.vmap(one)(batch.next_obs, jax.random.split(key, len(batch.reward)))
        return td_target(batch, values, self.discount, self.reward_scale)

    def update(self, state: DDSQState, batch: Transition, key: Array) -> tuple[DDSQState, dict[str, Array]]:
        """Lines 6 to 9, then the optional temperature step."""
        draw, estimate = jax.random.split(key)
        targets = self.targets(state, batch, draw)
        critic, optimiser, metrics = regress(state.critic, self.adam(), state.optimiser, batch, targets)
        target = polyak(self.polyak, critic, state.target)
        log_scale, entropy = state.log_scale, state.entropy
        if self.temperature_learning_rate > 0 or self.track_entropy:
            count = optax.tree_utils.tree_get(optimiser, "count")
            log_scale, entropy = jax.lax.cond(
                count % self.temperature_cycle == 0,
                lambda: self.tune(state, batch.obs, estimate),
                lambda: (log_scale, entropy),
            )
            metrics |= {"entropy": entropy, "temperature": self.in_force(state)}
        return DDSQState(critic, target, optimiser, log_scale, entropy), metrics

    def tune(self, state: DDSQState, obs: Array, key: Array) -> tuple[Array, Array]:
        """One temperature step on a batch of states (B.3.4): returns the new `log_scale` and the mean entropy."""

        def estimate(obs: Array, key: Array) -> Array:
            q = state.critic.at(obs)
            values = jax.vmap(q)(uniform_actions(key, state.critic.action_dim, self.num_entropy_samples))
            scale = spread(values) if self.normalise else 1.0
            return snis_entropy(values, state.critic.action_dim, self.in_force(state) * scale)

        entropies = jax.vmap(estimate)(obs, jax.random.split(key, len(obs)))
        error = jnp.mean(entropies) - self.target_entropy * state.critic.action_dim
        step = -self.temperature_learning_rate * error / jnp.maximum(1.0, jnp.std(entropies))
        if self.temperature_space == "linear":  # as printed: nothing keeps lambda_0 above 0, so it is floored
            moved = jnp.maximum(self.in_force(state) + step, 1e-6)
            return jnp.log(moved / self.temperature), jnp.mean(entropies)
        # Deviation: the step is taken on log lambda_0, which stays positive.
        return state.log_scale + step, jnp.mean(entropies)
