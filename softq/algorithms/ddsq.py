"""DDSQ, Deep Decoupled Softmax Q-learning: twin critics and a sampler, no actor.

"Softmax for continuous actions: optimality, MCMC sampling, and actor-free control", Algorithms 1 and 2. The paper has
no public code; where it contradicts itself the field below says what was chosen. Experiment settings (20 environments,
warm-up of 2e5 transitions, batch 256, buffer 1e6) belong to the training loop: `softq.training.TrainConfig`.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms.base import Algorithm, Info, State, Transition
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.targets import Backup
from softq.algorithms.common.temperature import Temperature, tempered
from softq.box import BOUNDARIES, uniform_actions
from softq.networks import Critic
from softq.samplers import linear_schedules, qglg, uniform_std
from softq.samplers.entropy import snis_entropy
from softq.utils.fields import choice, count, flag, positive, share
from softq.utils.pytree import pytree

Select = Literal["argmax", "weight", "random"]


@pytree
class DDSQ(Algorithm):
    """Hyper-parameters of Tables 2 and 3, with their values. The temperature divides: pi ∝ exp(Q / lambda(s))."""

    presets: ClassVar[dict] = {
        "paper": {},
        "small": {"num_candidates": 16, "num_schedules": 3, "num_steps": 5},
    }
    adjustable: ClassVar[bool] = True
    tuned_by: ClassVar[str] = "ddsq"

    # The paper's entropy estimate is at least log 2 - log(num_entropy_samples) / dim a dimension: from 5 dimensions on
    # above the target of -1, and a tuned temperature then falls without end.
    temperature: Temperature = tempered(
        Temperature(0.05, every=100, learning_rate=1e-3),
        "Temperature lambda_0; lambda(s) is lambda_0 times the std of Q(s, .). Figure 4 has 0.15, Figure 5 has 0.01.",
    )
    explore_prob: float = share(0.15, "Share p_e of exploring actions that QGLG draws; the rest is greedy.")
    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(2e-4, note="eta of Table 2")
    polyak: float = hyper.polyak()
    reward_scale: float = hyper.reward_scale()
    start_step: float = positive(1.0, "Largest first step of a schedule (Table 3).")
    end_step: float = positive(1e-4, "Smallest first step, and last step of every schedule (Table 3).")
    num_schedules: int = count(10, "Number of step schedules (Table 3); Appendix A says 4.")
    num_steps: int = count(20, "Number T of Langevin steps of each schedule.")
    num_candidates: int = count(100, "Number m of uniform actions, for the SNIS start and for the std of Q.")
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256, 256), "the critics", "Table 2")
    activation: str = hyper.activation("mish", "the critics", "Table 2")
    relative: bool = flag(True, "Whether the temperature is measured in standard deviations of Q(s, .).")
    boundary: Literal["reflect", "project"] = choice("reflect", "What a step that leaves the box becomes.")
    select: Select = choice("argmax", "How an end point of the schedules is chosen (Algorithm 1, line 7).")
    backup: Backup = hyper.backup("boltzmann")
    num_entropy_samples: int = count(1000, "Number of uniform actions of an entropy estimate (Table 3).")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh twins, and targets equal to them."""
        return self.fresh_state(Critic.create(key, obs, action, self.hidden_sizes, self.activation))

    def schedules(self) -> Array:
        """Candidate step sizes, `(num_schedules, num_steps)` (Table 3)."""
        starts = jnp.logspace(jnp.log10(self.start_step), jnp.log10(self.end_step), self.num_schedules)
        return linear_schedules(starts, jnp.full(self.num_schedules, self.end_step), self.num_steps)

    # The temperature

    @property
    def temperature_unit(self) -> str:
        return "std of Q" if self.relative else "Q"

    @property
    def num_value_samples(self) -> int:
        return self.num_candidates

    def divisor(self, state: State, values: Array, temperature: float | Array | None = None) -> Array:
        """lambda(s), from Q at uniform actions of the state."""
        temperature = self.current_temperature(state) if temperature is None else jnp.asarray(temperature)
        return temperature * uniform_std(values) if self.relative else temperature

    def temperature_of(
        self, state: State, obs: Array, temperature: float | Array | None = None, num: int = 1000
    ) -> Array:
        """lambda(s) by the std of Q over `num` fixed actions; the sampler measures it on its own `num_candidates`."""
        critic = state.critic.network
        actions = uniform_actions(jax.random.key(0), critic.action_dim, num)
        return self.divisor(state, jax.vmap(critic.at(obs))(actions), temperature)

    # Acting (Algorithm 1)

    def sample(
        self, state: State, obs: Array, key: Array, temperature: float | Array, greedy: bool | Array
    ) -> Array:
        """QGLG on the smaller of the online twins, with lambda_0 = `temperature`."""
        return qglg(
            key,
            state.critic.network.at(obs),
            state.critic.network.action_dim,
            temperature,
            self.schedules(),
            self.num_candidates,
            boundary=BOUNDARIES[self.boundary],
            select=self.select,
            relative=self.relative,
            greedy=greedy,
        )

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """The softmax policy as DDSQ samples it, also the target's action (Algorithm 2, lines 6 and 7).

        Its `temperature` is lambda_0: every temperature after one training (Figure 5).
        Deviation: line 6 prints QGLG(s, ...); line 7 needs the action at s'.
        """
        temperature = self.current_temperature(state) if temperature is None else temperature
        return self.sample(state, obs, key, temperature, greedy=False)

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """Deterministic evaluation: best candidate, no noise (Section 5). `key` is ignored: the paper fixes a seed."""
        return self.sample(state, obs, jax.random.key(0), self.current_temperature(state), greedy=True)

    def explore(self, state: State, obs: Array, key: Array) -> Array:
        """The behaviour mixture: the sampler with probability p_e, else greedy; one coin per step and environment."""
        draw, coin = jax.random.split(key)
        greedy = ~jax.random.bernoulli(coin, self.explore_prob)
        return self.sample(state, obs, draw, self.current_temperature(state), greedy)

    # Learning (Algorithm 2): the base's targets, with no entropy term, and its regression.

    def entropies(self, state: State, batch: Transition, key: Array, info: Info) -> Array:
        """The entropy of the softmax of Q in each state, by uniform actions (B.3.4)."""

        def one(obs: Array, key: Array) -> Array:
            q, dim = state.critic.network.at(obs), state.critic.network.action_dim
            values = jax.vmap(q)(uniform_actions(key, dim, self.num_entropy_samples))
            return snis_entropy(values, dim, self.divisor(state, values))

        return jax.vmap(one)(batch.obs, jax.random.split(key, len(batch.obs)))
