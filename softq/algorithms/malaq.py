"""MalaQ: twin critics and a sampler of tested parts, no actor. Ours, put together from this book.

Each part answers a fault of the critic-only methods. DDSQ, LQL and NC-LQL act by chains that do not aim at the softmax
they name: here an annealed chain of Metropolis-adjusted steps, which does, and whose steps adapt themselves. Their
backup has several fixed points: here log-mean-exp, which contracts. Their temperature is set by hand, or tuned by an
estimate with a floor: here by the chain's own weight, without a floor but loose in many dimensions. No claim beyond
the numbers that are reported.

Few local steps cannot carry mass from hill to hill, so at each level fresh uniform actions compete with the current
one. That brings the actions nearer the softmax at equal cost and loosens the bound on the entropy, which counts what a
chain out of equilibrium loses: a temperature tuned by it is then higher than need be.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms.base import Algorithm, Info, State, Transition
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.targets import Backup, best_action
from softq.algorithms.common.temperature import Temperature, tempered
from softq.box import project, uniform_actions
from softq.networks import Critic, StateLandscape
from softq.samplers import uniform_std
from softq.samplers.ais import Annealed, ais
from softq.utils.fields import count, flag, nonnegative, positive, share
from softq.utils.pytree import pytree, replace


@pytree
class MalaQ(Algorithm):
    """Hyper-parameters; the temperature divides: pi ∝ exp(Q / temperature)."""

    presets: ClassVar[dict] = {
        "paper": {},
        "small": {
            "temperature_ratio": 4.0,
            "num_candidates": 8,
            "num_levels": 3,
            "num_fresh": 3,
            "num_steps": 2,
        },
    }
    adjustable: ClassVar[bool] = True
    tuned_by: ClassVar[str] = "ddsq"

    temperature: Temperature = tempered(
        Temperature(0.1, "ddsq", learning_rate=1e-3), "Temperature, tuned by the entropy bound of the chain."
    )
    temperature_ratio: float = positive(8.0, "Ratio of the chain's first, hottest level to the temperature.")
    acceptance: float = share(0.6, "Share of accepted proposals that the step sizes are adapted to.")
    step_learning_rate: float = nonnegative(0.05, "Learning rate of the logarithm of each step size.")
    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(3e-4)
    polyak: float = hyper.polyak()
    reward_scale: float = hyper.reward_scale()
    num_candidates: int = count(16, "Number of uniform actions that the chain's start is drawn from.")
    num_levels: int = count(5, "Number K of temperatures of the chain, geometric from hot to cold.")
    num_steps: int = count(3, "Number of Metropolis-adjusted Langevin steps at each level.")
    num_fresh: int = count(4, "Number of uniform actions that compete at each level.", least=0)
    num_ascents: int = count(10, "Number of steps uphill of the action whose return is reported.")
    relative: bool = flag(False, "Whether the temperature is measured in standard deviations of Q(s, .).")
    backup: Backup = hyper.backup("mellowmax")
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256, 256), "the critics")
    activation: str = hyper.activation("mish", "the critics")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh twins, targets equal to them, and the log of each level's step over its temperature, `(K,)`."""
        critic = Critic.create(key, obs, action, self.hidden_sizes, self.activation)
        return self.fresh_state(critic, extra=jnp.zeros(self.num_levels))

    # The temperature

    @property
    def temperature_unit(self) -> str:
        return "std of Q" if self.relative else "Q"

    def temperature_of(self, state: State, obs: Array, temperature: float | Array | None = None) -> Array:
        """What divides Q at `obs`: the last level of the chain."""
        temperature = self.current_temperature(state) if temperature is None else jnp.asarray(temperature)
        q = state.critic.network.at(obs)
        return temperature * uniform_std(jax.vmap(q)(self.pool(q))) if self.relative else temperature

    def pool(self, q: StateLandscape) -> Array:
        """Uniform actions that are always the same, `(num_candidates, d)`."""
        return uniform_actions(jax.random.key(0), q.critic.action_dim, self.num_candidates)

    def levels(self, temperature: Array) -> Array:
        """Temperatures of the chain, `(K,)`, hot to cold."""
        return temperature * self.temperature_ratio ** jnp.linspace(0, 1, self.num_levels)[::-1]

    def steps(self, state: State, temperatures: Array) -> Array:
        """Step sizes `(K,)`: multiples of the temperatures, and at most 1, which already crosses the box."""
        return jnp.minimum(jnp.exp(state.extra) * temperatures, 1.0)

    # Acting

    def sample(self, state: State, q: StateLandscape, key: Array, temperature: Array) -> Annealed:
        """One annealed chain on the smaller of the online twins."""
        temperatures = self.levels(temperature)
        steps, dim = self.steps(state, temperatures), q.critic.action_dim
        return ais(key, q, dim, temperatures, steps, self.num_candidates, self.num_steps, self.num_fresh)

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """The softmax policy; it gathers the data too. The steps that were learned scale with another temperature."""
        q, temperature = state.critic.network.at(obs), self.temperature_of(state, obs, temperature)
        return self.sample(state, q, key, temperature).action

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """The best of fixed candidates, then uphill: the last level's step without noise, halved if it lowers Q."""
        q, temperature = state.critic.network.at(obs), self.temperature_of(state, obs)
        value_and_slope = jax.value_and_grad(q)
        start = best_action(q, self.pool(q))
        rate = self.steps(state, self.levels(temperature))[-1] / (2 * temperature)

        def climb(carry: tuple, _: None) -> tuple[tuple, None]:
            rate, action, value, slope = carry
            proposal = project(action + rate * slope)
            new = (rate, proposal, *value_and_slope(proposal))
            better = new[2] > value
            return jax.tree.map(
                lambda x, y: jnp.where(better, x, y), new, (rate / 2, action, value, slope)
            ), None

        (_, action, _, _), _ = jax.lax.scan(
            climb, (rate, start, *value_and_slope(start)), None, self.num_ascents
        )
        return action

    # Learning

    def next_value(self, state: State, next_obs: Array, key: Array) -> tuple[Array, Info]:
        """The target critics Q' by one chain on the online critics Q, whichever the backup.

        With a the chain's end and w its weight: Q'(a); with T * lower = T log w - Q(a) added, T times the logarithm of
        w exp((Q'(a) - Q(a)) / T), an unbiased estimate of the integral of exp(Q' / T); and less T * dim log 2, of the
        mean over the box. The logarithm is too low on average.
        """
        q, temperature = state.critic.network.at(next_obs), self.temperature_of(state, next_obs)
        chain = self.sample(state, q, key, temperature)
        volume = q.critic.action_dim * jnp.log(2.0)
        bonus = {"boltzmann": 0.0, "soft": chain.lower, "mellowmax": chain.lower - volume}[self.backup]
        info = {
            "entropy": chain.lower,
            "entropy_upper": chain.upper,
            "accepted": chain.accepted,
            "divisor": temperature,
        }
        return state.critic.target.at(next_obs)(chain.action) + temperature * bonus, info

    def policy_step(
        self, state: State, batch: Transition, for_actor: Array, for_entropy: Array, info: Info
    ) -> tuple[State, Info]:
        """As every method; then each level's step size grows where more was accepted than asked for."""
        state, metrics = super().policy_step(state, batch, for_actor, for_entropy, info)
        accepted, divisor = metrics["accepted"], metrics.pop("divisor")
        log_steps = state.extra + self.step_learning_rate * (accepted - self.acceptance)
        log_steps = jnp.minimum(log_steps, -jnp.log(self.levels(divisor)))  # no step longer than 1
        return replace(state, extra=log_steps), metrics | {"accepted": accepted[-1]}
