"""MalaQ: twin critics and a sampler of tested parts, no actor. Ours, put together from this book.

Each part answers a fault of the critic-only methods. DDSQ, LQL and NC-LQL act by chains that do not aim at the softmax
they name: here an annealed chain of Metropolis-adjusted steps, which does, and whose steps adapt themselves. Their
backup has several fixed points: here log-mean-exp, which contracts. Their temperature is set by hand, or tuned by an
estimate with a floor: here by the chain's own weight, without a floor but loose in many dimensions. No claim beyond
the numbers that are reported.

Few local steps cannot carry mass from hill to hill, so at each level fresh candidates compete with the action. Below,
the mean gap to the maximum over the temperature, and the mean bound on the entropy: exactly; with 4 fresh candidates at
each of 5 levels x 3 steps from 8 times the temperature (the default); with none at 10 levels x 2 steps from 16 times.
Both cost the same, 95 to 99 values of Q an action, a gradient counted as three.

- two hills, d = 1:  0.8, -0.9;  1.0, -1.4;  1.6, -0.9. Share of the better hill 0.72, 0.62, 0.54.
- bandit, d = 2:     1.1, -2.4;  2.0, -4.1;  6.1, -2.1.
- bowl, d = 6:       3.0, -6.0;  3.4, -10.8; 3.6, -8.5.
- bowl, d = 17:      8.5, -17.0; 11.5, -44.9; 11.8, -29.5.

The actions are nearer the softmax in each, but the bound is looser: it counts what a chain out of equilibrium loses. A
temperature tuned by it is then higher than need be. `small` costs half, with the same gain in shares and a looser
bound again.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.algorithms.common.learner import copy, polyak, regress, td_target
from softq.algorithms.common.targets import Backup
from softq.algorithms.common.temperature import temperature_step
from softq.box import project, uniform_actions
from softq.networks import Critic, StateLandscape
from softq.samplers import spread
from softq.samplers.ais import Annealed, ais
from softq.utils.pytree import pytree, static


@pytree
class MalaQState:
    """All that learning changes."""

    critic: Critic  # theta_1, theta_2
    target: Critic  # their Polyak averages
    optimiser: optax.OptState
    log_scale: Array  # the temperature in force is temperature * exp(log_scale)
    log_steps: Array  # log of each level's step over its temperature, (K,)


@pytree
class MalaQ(Algorithm):
    """Hyper-parameters; the temperature divides: pi ∝ exp(Q / temperature)."""

    small: ClassVar[dict] = {
        "heat": 4.0,
        "num_candidates": 8,
        "num_levels": 3,
        "num_fresh": 3,
        "num_steps": 2,
    }
    adjustable: ClassVar[bool] = True

    temperature: float = 0.1  # at the start, or for good with tune=False
    target_entropy: float = -1.0  # nats per action dimension
    temperature_learning_rate: float = 1e-3  # a step of log temperature per nat and update
    heat: float = 8.0  # the hottest level over the temperature
    acceptance: float = 0.6  # share of accepted proposals that the steps are adapted to
    step_learning_rate: float = 0.05  # a step of log step size per unit of acceptance
    discount: float = 0.99  # gamma
    learning_rate: float = 3e-4  # Adam
    polyak: float = 0.005  # after every update
    reward_scale: float = 1.0  # multiplies the rewards
    num_candidates: int = static(default=16)  # of the start
    num_levels: int = static(default=5)  # K temperatures in geometric progression, hot to cold
    num_steps: int = static(default=3)  # at each
    num_fresh: int = static(default=4)  # uniform actions that compete with the current one at each level
    num_ascents: int = static(default=10)  # steps uphill of `exploit`
    tune: bool = static(default=True)  # False: the temperature stays where it is
    entropy: Literal["lower", "middle"] = static(default="lower")  # which estimate tunes, see `entropy_of`
    normalise: bool = static(default=False)  # True: temperature times the standard deviation of Q(s, .)
    backup: Backup = static(default="mellowmax")  # what the target adds, see `targets`
    hidden_sizes: tuple[int, ...] = static(default=(256, 256, 256))  # units of each layer of the critics
    activation: str = static(default="mish")  # of these layers

    def init(self, key: Array, obs: Array, action: Array) -> MalaQState:
        """Fresh twins, and targets equal to them."""
        critic = Critic.create(key, obs, action, self.hidden_sizes, self.activation)
        optimiser = self.adam().init(critic.params)
        return MalaQState(critic, copy(critic), optimiser, jnp.zeros(()), jnp.zeros(self.num_levels))

    def adam(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    # Acting

    def scale(self, q: StateLandscape) -> Array:
        """What multiplies the temperature in the state of `q`: 1, or the spread of Q over fixed candidates."""
        return spread(jax.vmap(q)(self.pool(q))) if self.normalise else jnp.ones(())

    def pool(self, q: StateLandscape) -> Array:
        """Candidates that are always the same, `(num_candidates, d)`."""
        return uniform_actions(jax.random.key(0), q.critic.action_dim, self.num_candidates)

    @property
    def temperature_unit(self) -> str:
        return "std of Q" if self.normalise else "Q"

    def in_force(self, state: MalaQState) -> Array:
        """The temperature that was learned so far."""
        return self.temperature * jnp.exp(state.log_scale)

    def temperature_of(
        self, state: MalaQState, obs: Array, temperature: float | Array | None = None
    ) -> Array:
        """What divides Q at `obs`: the last level of the chain."""
        temperature = self.in_force(state) if temperature is None else temperature
        return temperature * self.scale(state.critic.at(obs))

    def levels(self, temperature: Array) -> Array:
        """Temperatures of the chain, `(K,)`, hot to cold."""
        return temperature * self.heat ** jnp.linspace(0, 1, self.num_levels)[::-1]

    def steps(self, state: MalaQState, temperatures: Array) -> Array:
        """Step sizes `(K,)`: multiples of the temperatures, and at most 1, which already crosses the box."""
        return jnp.minimum(jnp.exp(state.log_steps) * temperatures, 1.0)

    def sample(self, state: MalaQState, q: StateLandscape, key: Array, temperature: Array) -> Annealed:
        """One annealed chain on the smaller of the online twins."""
        temperatures = self.levels(temperature)
        steps = self.steps(state, temperatures)
        dim = q.critic.action_dim
        return ais(key, q, dim, temperatures, steps, self.num_candidates, self.num_steps, self.num_fresh)

    def policy(
        self, state: MalaQState, obs: Array, key: Array, temperature: float | Array | None = None
    ) -> Array:
        """The softmax policy; it gathers the data too. The steps that were learned scale with another temperature."""
        return self.sample(
            state, state.critic.at(obs), key, self.temperature_of(state, obs, temperature)
        ).action

    def exploit(self, state: MalaQState, obs: Array, key: Array) -> Array:
        """The best of fixed candidates, then uphill: the last level's step without noise, halved if it lowers Q."""
        q = state.critic.at(obs)
        values = jax.vmap(q)(self.pool(q))
        temperature = self.temperature_of(state, obs)
        rate = self.steps(state, self.levels(temperature))[-1] / (2 * temperature)

        def climb(state: tuple, _: None) -> tuple[tuple, None]:
            rate, best = state
            there = project(best[0] + rate * best[2])
            new = (there, *jax.value_and_grad(q)(there))
            better = new[1] > best[1]
            best = jax.tree.map(lambda x, y: jnp.where(better, x, y), new, best)
            return (jnp.where(better, rate, rate / 2), best), None

        start = self.pool(q)[jnp.argmax(values)]
        best = (start, *jax.value_and_grad(q)(start))
        return jax.lax.scan(climb, (rate, best), None, self.num_ascents)[0][1][0]

    # Learning

    def bootstrap(self, state: MalaQState, obs: Array, key: Array) -> tuple[Array, Annealed, Array]:
        """Value of a state for the Bellman target, the chain it comes from, and the temperature there.

        One chain on the online critics Q serves all three backups of the target critics Q', a being its end and w its
        weight: Q'(a); with T * lower = T log w - Q(a) added, T times the logarithm of w exp((Q'(a) - Q(a)) / T), an
        unbiased estimate of the integral of exp(Q' / T); and less T * dim log 2, of the mean over the box. The
        logarithm is too low on average.
        """
        q, dim = state.critic.at(obs), state.critic.action_dim
        temperature = self.temperature_of(state, obs)
        chain = self.sample(state, q, key, temperature)
        volume = dim * jnp.log(2.0)
        bonus = {"boltzmann": 0.0, "soft": chain.lower, "mellowmax": chain.lower - volume}[self.backup]
        return state.target.at(obs)(chain.action) + temperature * bonus, chain, temperature

    def update(self, state: MalaQState, batch: Transition, key: Array) -> tuple[MalaQState, dict[str, Array]]:
        """The critics, their averages, the temperature and the step sizes."""
        keys = jax.random.split(key, len(batch.reward))
        values, chain, temperatures = jax.vmap(self.bootstrap, (None, 0, 0))(state, batch.next_obs, keys)
        targets = td_target(batch, values, self.discount, self.reward_scale)
        critic, optimiser, metrics = regress(state.critic, self.adam(), state.optimiser, batch, targets)
        target = polyak(self.polyak, critic, state.target)

        accepted = jnp.mean(chain.accepted, axis=0)
        log_steps = state.log_steps + self.step_learning_rate * (accepted - self.acceptance)
        log_steps = jnp.minimum(log_steps, -jnp.log(self.levels(jnp.mean(temperatures))))  # no longer than 1
        metrics |= {
            "entropy": jnp.mean(chain.lower),
            "entropy_upper": jnp.mean(chain.upper),
            "temperature": self.in_force(state),
            "accepted": accepted[-1],
        }
        return MalaQState(critic, target, optimiser, self.tuned(state, chain), log_steps), metrics

    def tuned(self, state: MalaQState, chain: Annealed) -> Array:
        """log_scale after one step towards the target entropy, by chains `(B,)`."""
        if not self.tune:
            return state.log_scale
        entropies = chain.lower if self.entropy == "lower" else (chain.lower + chain.upper) / 2
        target = self.target_entropy * state.critic.action_dim
        return temperature_step(state.log_scale, entropies, target, self.temperature_learning_rate)
