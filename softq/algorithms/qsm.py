"""QSM, Q-score matching: a diffusion actor whose score network is fitted to the slope of Q at noisy replayed actions.

"Learning a diffusion model policy from rewards via Q-score matching" (Psenka et al. 2024), with the values of the
authors' code. The slope of Q / temperature is the score of exp(Q / temperature), and the network learns it for all
noise levels alike, while the reverse process needs the score of the noised law at each. So the actions do not have the
law exp(Q / temperature): at high noise the true score points home from everywhere, and the slope of Q does not.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Info, State
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.learner import cosine_adam
from softq.algorithms.common.targets import best_of
from softq.algorithms.common.temperature import Temperature, tempered
from softq.box import perturb, project
from softq.diffusion import DiffusionPolicy, LinearVP, qsm, times
from softq.diffusion.processes import ancestral_step
from softq.networks import Critic, ScoreNetwork
from softq.networks.critic import reduce_twins
from softq.utils.fields import choice, count, flag, nonnegative, positive
from softq.utils.pytree import pytree

Sampling = Literal["reverse", "langevin"]
Decay = Literal["constant", "cosine"]
TRAINING = {"num_envs": 1, "iterations": 1_000_000, "warmup": 10_000}  # batch and buffer are the defaults


@pytree
class QSM(Algorithm):
    """Hyper-parameters of the authors' code; the temperature is 1 over its M_q, the paper's alpha."""

    presets: ClassVar[dict] = {
        "paper": TRAINING,
        "small": {"actor_learning_rate": 2e-3, "num_steps": 10, "temperature": 1.0},
        "code": TRAINING | {"scaled": False, "exploration_noise": 0.1, "decay": "cosine"},
        # The port in the DPRL code, the QSM of DDSQ, NC-LQL and SDAC. It hardly is the method: its network knows no
        # noise level and sees no noisy action. The last step's noise, 0.22 a coordinate, stays in each draw, of which
        # it takes the best of 32. Its actor's rate also falls, see `softq.algorithms.sdac`.
        "port": {
            "sampling": "langevin",
            "twins": "min",
            "temperature": 1.0,
            "num_steps": 20,
            "num_actions": 32,
            "hidden_sizes": (256, 256, 256),
            "activation": "relu",
            "num_envs": 5,
            "iterations": 200_000,
            "warmup": 30_000,
        },
    }
    temperature_unit: ClassVar[str] = "Q"

    temperature: Temperature = tempered(Temperature(0.02), "Temperature 1 / M_q; 1 / 120 on hard tasks.")
    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(3e-4)
    actor_learning_rate: float = hyper.learning_rate(3e-4, "the score network")
    decay: Decay = choice("constant", "Course of the actor's learning rate; the code has cosine.")
    decay_updates: float = positive(2e6, "Number of updates until the cosine has lowered the rate to 0.")
    polyak: float = hyper.polyak()
    reward_scale: float = hyper.reward_scale()
    num_steps: int = count(5, "Number of steps of the process that draws an action.")
    sampling: Sampling = choice("reverse", "Process: the reverse diffusion, or the port's Langevin chain.")
    # Deviation: the code takes minus the slope for the noise itself. It is then steeper than a score by 1 over the size
    # of the noise, most where there is little noise.
    scaled: bool = flag(
        True, "Whether the noise is the slope times the noise's size; in the code it is the slope."
    )
    twins: Literal["mean", "min"] = choice("mean", "Reduction of the critics whose slope is learned.")
    exploration_noise: float = nonnegative(
        0.0, "Standard deviation of the normal noise on actions of the data and of targets."
    )
    num_actions: int = count(1, "Number of draws of which the best is taken, for every use.")
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((512, 512))
    activation: str = hyper.activation("mish", "the score network")
    critic_activation: str = hyper.activation("relu", "the critics")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and targets equal to the critics.

        Deviation: the network reads the log signal-to-noise ratio; in the code, the number of the step.
        """
        for_critic, for_actor = jax.random.split(key)
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.critic_activation)
        actor = ScoreNetwork.create(for_actor, obs, action, self.hidden_sizes, self.activation)
        return self.fresh_state(critic, actor)

    def actor_optimiser(self) -> optax.GradientTransformation:
        if self.decay == "constant":
            return optax.adam(self.actor_learning_rate)
        return cosine_adam(self.actor_learning_rate, self.decay_updates)

    def diffusion(self, network: ScoreNetwork) -> DiffusionPolicy:
        """The policy of a network that predicts the noise, or in a Langevin chain the score."""
        predicts = "noise" if self.sampling == "reverse" else "score"
        return DiffusionPolicy(
            network, LinearVP(), predicts=predicts, level_input="log_snr", num_steps=self.num_steps
        )

    # Acting

    def one_draw(self, state: State, obs: Array, key: Array) -> Array:
        """An action from one run of the process: each step goes to its mean, adds noise and is clipped to the box.

        A step of the reverse process has the variance of a step of the diffusion, and the last has none. Step k of T in
        the port's chain has the size 1 - k / T, k from 0, and the same network for all.
        """
        diffusion = self.diffusion(state.actor.network)
        schedule, output, steps = diffusion.schedule, diffusion.output(obs), self.num_steps
        nodes = times(schedule, steps)

        def move(a: Array, given: tuple[Array, Array, Array]) -> tuple[Array, None]:
            t, to, z = given
            if self.sampling == "langevin":
                mean, deviation = a + t / 2 * output(a, schedule.t_max), jnp.sqrt(t)
            else:
                mean, deviation = ancestral_step(output, schedule, a, t, to, clip=False)
                deviation = jnp.where(to > schedule.t_min, deviation, 0.0)
            return project(mean + deviation * z), None

        for_start, for_noise = jax.random.split(key)
        start = jax.random.normal(for_start, (diffusion.network.action_dim,))
        noise = jax.random.normal(for_noise, (steps, *start.shape))
        return jax.lax.scan(move, start, (nodes[:-1], nodes[1:], noise))[0]

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """A draw with noise, also the target's action. Raises `SoftqError` for a temperature."""
        self.check_adjustable(temperature)
        for_draw, for_noise = jax.random.split(key)
        return perturb(for_noise, self.exploit(state, obs, for_draw), self.exploration_noise)

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """A draw, or the best of several by the smaller critic."""
        draw = lambda key: self.one_draw(state, obs, key)
        return best_of(self.num_actions, draw, state.critic.network.at(obs), key)

    # Learning

    def actor_loss(
        self, actor: ScoreNetwork, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """The squared error towards the slope of Q / temperature at a noised replayed action, by the new critics.

        The port learns it at the replayed action itself.
        """
        for_time, for_noise = jax.random.split(key)
        diffusion, critic = self.diffusion(actor), state.critic.network
        t, x, scale = jnp.asarray(diffusion.schedule.t_max), action, 1.0
        if self.sampling == "reverse":
            t = diffusion.random_time(for_time)
            x = diffusion.add_noise(action, t, jax.random.normal(for_noise, action.shape))
            scale = diffusion.output_scale(t) if self.scaled else -1.0
        q = lambda a: reduce_twins(critic(obs, a), self.twins)
        slope = qsm(key, q, self.current_temperature(state), x, 1.0, 1.0)
        return diffusion.regression_loss(obs, x, t, scale * slope), {}
