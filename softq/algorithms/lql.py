"""LQL, Langevin Q-learning: twin critics and a Langevin chain, no actor.

"Direct soft-policy sampling via Langevin dynamics" (Ki et al. 2026), Definition 1, Equation 6 and Algorithm 5. No code
for LQL was released; where the paper is silent the fields below follow that of NC-LQL. As printed the chain cannot
move: 20 steps of length step_size / (2 * temperature) = 0.025 from a uniform start leave it almost uniform.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms.base import Algorithm, State
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.targets import Backup, best_action
from softq.algorithms.common.temperature import Temperature, slope_unit, tempered
from softq.box import BOUNDARIES, Boundary, project
from softq.networks import Critic, StateLandscape
from softq.networks.critic import Twins, reduce_twins
from softq.samplers import annealed_langevin, initial_action
from softq.utils.errors import SoftqError
from softq.utils.fields import choice, count, flag, positive
from softq.utils.pytree import pytree

Start = Literal["uniform", "normal"]


@pytree
class LQL(Algorithm):
    """Hyper-parameters of Tables 5 and 6, with their values; the temperature is the paper's 1 / w."""

    presets: ClassVar[dict] = {
        "paper": {"num_envs": 5, "iterations": 1_000_000, "warmup": 30_000},  # Table 5, E.1
        # Steps that cross the box: 20 of length 0.1, four times the printed ones, with noise of 0.06 a step.
        "small": {"temperature": 0.02, "step_size": 0.004},
    }
    adjustable: ClassVar[bool] = True

    temperature: Temperature = tempered(
        Temperature(1 / 500), "Temperature 1 / w, in the unit of an action, or of Q with --no-unit-slope."
    )
    step_size: float = positive(1e-4, "Step epsilon of the chain, in the square of the action's unit.")
    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(1e-4)
    polyak: float = hyper.polyak()
    reward_scale: float = hyper.reward_scale(0.2, "Table 5")
    num_steps: int = count(20, "Number T of steps of the chain.")
    unit_slope: bool = flag(True, "Whether each slope of the chain is divided by its length (E.2).")
    boundary: Boundary = choice("project", "What a step out of the box becomes; paper: none, code: project.")
    start: Start = choice("uniform", "Law of the chain's first action; normal in the bandit of C.2.")
    twins: Twins = choice("mean", "Which of the twins' values the chain climbs; NC-LQL's code: sum.")
    num_actions: int = count(1, "Number N of chains, of which the best end acts; the paper has one.")
    backup: Backup = hyper.backup("boltzmann", "the others need --no-unit-slope")
    num_value_samples: int = hyper.num_value_samples()
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256, 256), "the critics")
    activation: str = hyper.activation("mish", "the critics")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unit_slope and (self.temperature.rule != "fixed" or self.backup != "boltzmann"):
            what = f"backup '{self.backup}'" if self.temperature.rule == "fixed" else "a tuned temperature"
            raise SoftqError(
                f"{what} needs unit_slope=False: with slopes of length one no softmax of Q is sampled."
            )

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh twins, and targets equal to them."""
        return self.fresh_state(Critic.create(key, obs, action, self.hidden_sizes, self.activation))

    @property
    def temperature_unit(self) -> str:
        return slope_unit(self.unit_slope, self.twins)

    # Acting (Definition 1). The same action gathers data and is scored; the code keys the latter by the observation.
    # The target's action a' in Equation 6 is one too. Deviation: Equation 6 draws s' from the buffer; it is the
    # successor of s. It has one critic; the minimum over the target twins is that of NC-LQL's code.

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """The Langevin soft policy: the best end of `num_actions` chains on the online critics."""
        temperature = self.current_temperature(state) if temperature is None else temperature
        q = state.critic.network.at(obs)
        actions = jax.vmap(lambda k: self.draw(q, k, temperature))(jax.random.split(key, self.num_actions))
        return best_action(q, actions) if self.num_actions > 1 else actions[0]

    def draw(self, q: StateLandscape, key: Array, temperature: float | Array) -> Array:
        """One chain on the landscape `q`, annealed over a single level.

        Deviation: the paper has no boundary; its code clips after every step ("project"). With "none" the chain runs
        free and its last action is clipped, as the environment would.
        """
        first, drive = jax.random.split(key)
        action = annealed_langevin(
            drive,
            lambda action, sigma: jax.grad(lambda a: reduce_twins(q.twins(a), self.twins))(action),
            initial_action(first, q.critic.action_dim, self.start),
            levels=jnp.ones(1),
            step_sizes=jnp.full(1, self.step_size),
            temperature=temperature,
            steps_per_level=self.num_steps,
            unit_slope=self.unit_slope,
            boundary=BOUNDARIES[self.boundary],
        )
        return project(action)
