"""NC-LQL, noise-conditioned Langevin Q-learning: twin critics that know a noise level, and annealed Langevin; no actor.

"Direct soft-policy sampling via Langevin dynamics" (Ki et al. 2026), Definition 2, Equations 8 and 9, Algorithms 2 and
6, Appendix E.2. The released code departs from the paper; each departure is a field, but for the minimum of the target
twins. The default is the paper's choice where it makes one, except in `embed` and `boundary`, which are the code's.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.algorithms.common.learner import copy, descend, polyak, td_target
from softq.algorithms.common.targets import Backup, bootstrap
from softq.algorithms.common.temperature import (
    Estimator,
    check_target,
    slope_unit,
    softmax_entropies,
    temperature_step,
)
from softq.box import BOUNDARIES, project
from softq.networks.critic import Twins
from softq.networks.noise_critic import NoiseCritic, NoiseLandscape
from softq.samplers import annealed_langevin, initial_action, level_steps
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace, static


@pytree
class NCLQLState:
    """All that learning changes."""

    critic: NoiseCritic  # theta_1, theta_2
    target: NoiseCritic  # their Polyak averages
    optimiser: optax.OptState
    log_scale: Array  # the temperature in force is temperature * exp(log_scale); 0 unless it is tuned
    entropy: Array  # last estimate of the softmax's entropy over a batch, nats; log 2^d until there is one


@pytree
class NCLQL(Algorithm):
    """Hyper-parameters of Tables 5 and 6, with their values; the temperature is the paper's 1 / w."""

    # The sampler as printed. Fewer levels between the same sigmas leave a gap: at 5 the drift falls from 2.5 to 0.25 a
    # step, and an action that a coarse level threw to a wall never comes back to the middle.
    small: ClassVar[dict] = {}
    paper: ClassVar[dict] = {"num_envs": 5, "iterations": 1_000_000, "warmup": 30_000}  # Table 5, E.1
    adjustable: ClassVar[bool] = True

    temperature: float = 1 / 500  # 1 / w; with normalise it has the unit of an action, else that of Q
    step_size: float = 1e-4  # epsilon, the step at the last level
    sigma_max: float = 0.1  # sigma_1
    sigma_min: float = 0.001  # sigma_L
    discount: float = 0.99  # gamma
    learning_rate: float = 1e-4  # Adam
    polyak: float = 0.005  # tau, after every update
    reward_scale: float = 0.2  # multiplies the rewards (Table 5)
    num_levels: int = static(default=10)  # L
    num_steps: int = static(default=2)  # T, at each level
    loss: Literal["joint", "sequential"] = static(default="joint")  # code "sequential", see `update`
    smooth_last: bool = static(default=True)  # levels of Equation 9: U[1, L]; code False, without L
    smooth_to: Literal["own", "mean"] = static(default="own")  # each twin's own Q; code "mean" of both
    clip_noisy: bool = static(default=False)  # keep a + sigma z in the box, unlike paper and code
    embed: Literal["index", "sigma"] = static(default="index")  # paper "sigma"; code "index"
    # The embedding has frequencies of at most 1: the codes of sigmas up to 0.1 differ by less than 0.03.
    normalise: bool = static(default=True)  # divide each slope by its length (E.2)
    boundary: Literal["project", "reflect", "none"] = static(default="project")  # none in the paper
    start: Literal["uniform", "normal"] = static(default="uniform")  # a_0; the bandit of C.2 has "normal"
    twins: Twins = static(default="mean")  # whose slope the chain follows; not in the paper, code "sum"
    num_actions: int = static(default=1)  # N of best-of-N, which the paper does without
    backup: Backup = static(default="boltzmann")  # what the target adds; others want normalise=False
    # They divide Q by the temperature, see `softq.algorithms.common.targets`: it must have the unit of Q.
    num_value_samples: int = static(default=100)  # uniform actions of the other backups
    temperature_learning_rate: float = static(default=0.0)  # log temperature per nat; not in the paper
    temperature_cycle: int = static(default=100)  # updates between two such steps
    target_entropy: float = static(default=-1.0)  # nats per action dimension, if the temperature is tuned
    estimator: Estimator = static(default="ais")  # of the entropy, see `softq.algorithms.common.temperature`
    num_entropy_samples: int = static(default=100)  # uniform actions of an estimate
    hidden_sizes: tuple[int, ...] = static(default=(256, 256, 256))  # units of each layer of the critics
    activation: str = static(default="mish")  # of these layers

    def init(self, key: Array, obs: Array, action: Array) -> NCLQLState:
        """Fresh twins, and targets equal to them. Raises `SoftqError` for a temperature that cannot be tuned."""
        dim = len(action)
        if self.temperature_learning_rate > 0:
            check_target(self.estimator, self.target_entropy * dim, dim, self.num_entropy_samples)
            if self.normalise:
                raise SoftqError(
                    "a tuned temperature needs normalise=False: with normalised slopes no softmax of Q is sampled."
                )
        codes = self.levels() if self.embed == "sigma" else jnp.arange(self.num_levels)
        critic = NoiseCritic.create(key, obs, action, codes, self.hidden_sizes, self.activation)
        optimiser = self.adam().init(critic.params)
        return NCLQLState(critic, copy(critic), optimiser, jnp.zeros(()), dim * jnp.log(2.0))

    def adam(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def levels(self) -> Array:
        """sigma_1 > ... > sigma_L in geometric progression, `(L,)`."""
        return jnp.geomspace(self.sigma_max, self.sigma_min, self.num_levels)

    @property
    def temperature_unit(self) -> str:
        return slope_unit(self.normalise, self.twins)

    def in_force(self, state: NCLQLState) -> Array:
        """The temperature that was learned so far."""
        return self.temperature * jnp.exp(state.log_scale)

    # Acting (Definition 2). The same action gathers data and is scored; the code keys the latter by the observation.

    def policy(
        self, state: NCLQLState, obs: Array, key: Array, temperature: float | Array | None = None
    ) -> Array:
        """The noise-conditioned Langevin soft policy, also the target's action."""
        temperature = self.in_force(state) if temperature is None else temperature
        q = state.critic.at(obs)
        actions = jax.vmap(lambda k: self.draw(q, k, temperature))(jax.random.split(key, self.num_actions))
        return actions[jnp.argmax(jax.vmap(q)(actions))] if self.num_actions > 1 else actions[0]

    def draw(self, q: NoiseLandscape, key: Array, temperature: float | Array) -> Array:
        """Algorithm 6 on the landscape `q`.

        Deviation: the paper has no boundary; its code clips after every step ("project"). With "none" the chain runs
        free and its last action is clipped, as the environment would.
        """
        first, drive = jax.random.split(key)
        start = initial_action(first, q.critic.action_dim, self.start)
        levels, boundary = self.levels(), BOUNDARIES[self.boundary]
        steps = level_steps(levels, self.step_size)
        slope = lambda action, sigma: q.slope(action, jnp.sum(levels > sigma), self.twins)
        action = annealed_langevin(
            drive, slope, start, levels, steps, temperature, self.num_steps, self.normalise, boundary
        )
        return project(action)

    # Learning (Algorithm 2)

    def targets(self, state: NCLQLState, batch: Transition, key: Array) -> Array:
        """r + gamma * min_j Q_target_j(s', a', L), a' from the online critics, `(B,)` (Equation 8).

        Deviation: Equation 8 draws s' from the buffer; it is the successor of s. The minimum is the code's.
        """

        def one(obs: Array, key: Array) -> Array:
            q, draw = state.target.at(obs), lambda key: self.policy(state, obs, key)
            temperature, dim = self.in_force(state), state.critic.action_dim
            return bootstrap(self.backup, key, q, dim, temperature, self.num_value_samples, draw)

        values = jax.vmap(one)(batch.next_obs, jax.random.split(key, len(batch.reward)))
        return td_target(batch, values, self.discount, self.reward_scale)

    def blurred(self, batch: Transition, key: Array) -> tuple[Array, Array]:
        """Levels `(B,)` and actions `(B, d)` of Equation 9, a + sigma_i z."""
        pick, noise = jax.random.split(key)
        last = self.num_levels if self.smooth_last else self.num_levels - 1
        levels = jax.random.randint(pick, batch.reward.shape, 0, last)
        sigma = self.levels()[levels][:, None]
        noisy = batch.action + sigma * jax.random.normal(noise, batch.action.shape)
        return levels, project(noisy) if self.clip_noisy else noisy

    def update(self, state: NCLQLState, batch: Transition, key: Array) -> tuple[NCLQLState, dict[str, Array]]:
        """One step on the sum of Equations 8 and 9, then the averages.

        Deviation: the code takes two steps ("sequential"), the second on Equation 9 towards values from before the
        first, with one Adam state for both.
        """
        for_target, for_noise, for_entropy = jax.random.split(key, 3)
        targets = self.targets(state, batch, for_target)
        levels, noisy = self.blurred(batch, for_noise)
        clean = jax.vmap(state.critic)(batch.obs, batch.action)
        smooth = clean if self.smooth_to == "own" else jnp.mean(clean, axis=1, keepdims=True)

        def td(params: dict) -> Array:  # Equation 8
            values = jax.vmap(replace(state.critic, params=params))(batch.obs, batch.action)
            return jnp.sum(jnp.mean((values - targets[:, None]) ** 2, axis=0))

        def smoothing(params: dict) -> Array:  # Equation 9
            values = jax.vmap(replace(state.critic, params=params))(batch.obs, noisy, levels)
            return jnp.sum(jnp.mean((values - smooth) ** 2, axis=0))

        steps = ((td, smoothing),) if self.loss == "joint" else ((td,), (smoothing,))
        params, optimiser, losses = state.critic.params, state.optimiser, []
        for parts in steps:

            def together(params: dict, parts: tuple = parts) -> tuple[Array, list[Array]]:
                terms = [part(params) for part in parts]
                return sum(terms), terms

            gradient, terms = jax.grad(together, has_aux=True)(params)
            params, optimiser = descend(self.adam(), optimiser, params, gradient)
            losses += terms

        critic = replace(state.critic, params=params)
        metrics = {"critic_loss": losses[0], "smoothing_loss": losses[1]}
        metrics |= {"q_mean": jnp.mean(clean), "target_mean": jnp.mean(targets)}
        log_scale, entropy = state.log_scale, state.entropy
        if self.temperature_learning_rate > 0:
            updates = optax.tree_utils.tree_get(optimiser, "count") // len(steps)
            log_scale, entropy = jax.lax.cond(
                updates % self.temperature_cycle == 0,
                lambda: self.adjusted(state, batch.obs, for_entropy),
                lambda: (log_scale, entropy),
            )
            metrics |= {"entropy": entropy, "temperature": self.in_force(state)}
        target = polyak(self.polyak, critic, state.target)
        return NCLQLState(critic, target, optimiser, log_scale, entropy), metrics

    def adjusted(self, state: NCLQLState, obs: Array, key: Array) -> tuple[Array, Array]:
        """The next log_scale, and the entropy of the softmax of Q at the last level, over states `(B, obs_dim)`."""
        law = state.critic, obs, self.temperature_of(state, obs)
        entropies = softmax_entropies(self.estimator, key, *law, self.num_entropy_samples)
        target = self.target_entropy * state.critic.action_dim
        moved = temperature_step(state.log_scale, entropies, target, self.temperature_learning_rate)
        return moved, jnp.mean(entropies)
