"""LQL, Langevin Q-learning: twin critics and a Langevin chain, no actor.

"Direct soft-policy sampling via Langevin dynamics" (Ki et al. 2026), Definition 1, Equation 6 and Algorithm 5. No code
for LQL was released; where the paper is silent the fields below follow that of NC-LQL. As printed the chain cannot
move: 20 steps of length step_size / (2 * temperature) = 0.025 from a uniform start leave it almost uniform.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Transition
from softq.algorithms.common.learner import copy, polyak, regress, td_target
from softq.algorithms.common.targets import Backup, bootstrap
from softq.algorithms.common.temperature import slope_unit
from softq.box import BOUNDARIES, project
from softq.networks import Critic
from softq.networks.critic import Twins, reduce_twins
from softq.samplers import annealed_langevin, initial_action
from softq.utils.pytree import pytree, static


@pytree
class LQLState:
    """All that learning changes."""

    critic: Critic  # theta_1, theta_2
    target: Critic  # their Polyak averages
    optimiser: optax.OptState


@pytree
class LQL(Algorithm):
    """Hyper-parameters of Tables 5 and 6, with their values; the temperature is the paper's 1 / w."""

    # Steps that cross the box: 20 of length 0.1, four times the printed ones, with noise of 0.06 a step.
    small: ClassVar[dict] = {"temperature": 0.02, "step_size": 0.004}
    paper: ClassVar[dict] = {"num_envs": 5, "iterations": 1_000_000, "warmup": 30_000}  # Table 5, E.1
    adjustable: ClassVar[bool] = True

    temperature: float = 1 / 500  # 1 / w; with normalise it has the unit of an action, else that of Q
    step_size: float = 1e-4  # epsilon
    discount: float = 0.99  # gamma
    learning_rate: float = 1e-4  # Adam
    polyak: float = 0.005  # tau, after every update
    reward_scale: float = 0.2  # multiplies the rewards (Table 5)
    num_steps: int = static(default=20)  # T
    normalise: bool = static(default=True)  # divide each slope by its length (E.2)
    boundary: Literal["project", "reflect", "none"] = static(default="project")  # none in the paper
    start: Literal["uniform", "normal"] = static(default="uniform")  # a_0; the bandit of C.2 has "normal"
    twins: Twins = static(default="mean")  # whose slope the chain follows; not in the paper, code "sum"
    num_actions: int = static(default=1)  # N of best-of-N, which the paper does without
    backup: Backup = static(default="boltzmann")  # what the target adds; others want normalise=False
    # They divide Q by the temperature, see `softq.algorithms.common.targets`: it must have the unit of Q.
    num_value_samples: int = static(default=100)  # uniform actions of the other backups
    hidden_sizes: tuple[int, ...] = static(default=(256, 256, 256))  # units of each layer of the critics
    activation: str = static(default="mish")  # of these layers

    def init(self, key: Array, obs: Array, action: Array) -> LQLState:
        """Fresh twins, and targets equal to them."""
        critic = Critic.create(key, obs, action, self.hidden_sizes, self.activation)
        return LQLState(critic, copy(critic), self.adam().init(critic.params))

    def adam(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    @property
    def temperature_unit(self) -> str:
        return slope_unit(self.normalise, self.twins)

    # Acting (Definition 1). The same action gathers data and is scored; the code keys the latter by the observation.

    def policy(
        self, state: LQLState, obs: Array, key: Array, temperature: float | Array | None = None
    ) -> Array:
        """The Langevin soft policy, also the target's action."""
        temperature = self.in_force(state) if temperature is None else temperature
        q = state.critic.at(obs)
        actions = jax.vmap(lambda k: self.draw(q, k, temperature))(jax.random.split(key, self.num_actions))
        return actions[jnp.argmax(jax.vmap(q)(actions))] if self.num_actions > 1 else actions[0]

    def draw(self, q, key: Array, temperature: float | Array) -> Array:
        """One chain on the landscape `q`, annealed over a single level.

        Deviation: the paper has no boundary; its code clips after every step ("project"). With "none" the chain runs
        free and its last action is clipped, as the environment would.
        """
        first, drive = jax.random.split(key)
        return project(
            annealed_langevin(
                drive,
                lambda action, sigma: jax.grad(lambda a: reduce_twins(q.twins(a), self.twins))(action),
                initial_action(first, q.critic.action_dim, self.start),
                jnp.ones(1),
                jnp.full(1, self.step_size),
                temperature,
                self.num_steps,
                self.normalise,
                BOUNDARIES[self.boundary],
            )
        )

    # Learning (Algorithm 5)

    def targets(self, state: LQLState, batch: Transition, key: Array) -> Array:
        """r + gamma * min_j Q_target_j(s', a'), a' from the online critics, `(B,)` (Equation 6); no entropy term.

        Deviation: Equation 6 draws s' from the buffer; it is the successor of s. The minimum is the code's.
        """

        def one(obs: Array, key: Array) -> Array:
            q, draw = state.target.at(obs), lambda key: self.policy(state, obs, key)
            return bootstrap(
                self.backup, key, q, state.critic.action_dim, self.temperature, self.num_value_samples, draw
            )

        values = jax.vmap(one)(batch.next_obs, jax.random.split(key, len(batch.reward)))
        return td_target(batch, values, self.discount, self.reward_scale)

    def update(self, state: LQLState, batch: Transition, key: Array) -> tuple[LQLState, dict[str, Array]]:
        """One step of the critics on Equation 6, then of their averages."""
        targets = self.targets(state, batch, key)
        critic, optimiser, metrics = regress(state.critic, self.adam(), state.optimiser, batch, targets)
        return LQLState(critic, polyak(self.polyak, critic, state.target), optimiser), metrics
