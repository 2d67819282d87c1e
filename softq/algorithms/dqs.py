"""DQS, diffusion Q-sampling: twin critics, and a diffusion actor whose score network learns from their slopes (iDEM).

"Sampling from energy-based policies using diffusion" (arXiv 2410.01312), Algorithm 1, Equations 3, 5, 8, 9, Table 1.
The text can be read in more than one way; each open choice is a field. The authors' code, vineetjain96's
Diffusion_Q_Sampling, takes the literal reading; it is the preset "code".
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.algorithms.base import Algorithm, Info, State, Transition
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.entropy import TunedBy, softmax_entropies
from softq.algorithms.common.targets import Backup
from softq.algorithms.common.temperature import Temperature, tempered
from softq.diffusion import DiffusionPolicy, Likelihood, VarianceExploding
from softq.diffusion.policy import Prediction
from softq.diffusion.scores import SCORE_ESTIMATORS
from softq.diffusion.space import Space, landscape
from softq.networks import Critic, ScoreNetwork
from softq.utils.checks import eager
from softq.utils.errors import SoftqError
from softq.utils.fields import choice, count, flag, nonnegative, positive
from softq.utils.pytree import pytree

Estimator = Literal["idem", "qne", "qsm", "combined", "rfm"]
Style = Literal["sinusoidal", "residual"]
# Appendix B; one environment follows from "one update per environment step".
TRAINING = {"num_envs": 1, "iterations": 250_000, "warmup": 10_000}
LEAST_WEIGHT = 1e-3  # of an error without noise, where errors are weighted as in the code


@pytree
class DQS(Algorithm):
    """Hyper-parameters of Table 1, with their values; the temperature is the paper's T."""

    presets: ClassVar[dict] = {
        "paper": TRAINING | {"buffer_size": 250_000},  # Table 1
        # With "tanh" and "idem" the pendulum still falls after three steps when 3000 updates are done. Weighted noises
        # in the box aim at the softmax itself, and what the network is to predict is bounded.
        "small": {
            "temperature_learning_rate": 2e-3,
            "actor_learning_rate": 2e-3,
            "num_steps": 15,
            "num_samples": 16,
            "sigma_min": 1e-2,
            "space": "reflect",
            "estimator": "qne",
            "truncate": True,
            "predict": "noise",
        },
        # Settings of the code's runs are not public: learning rates, temperatures, the critics' layers and the length
        # are the paper's. Deviations: the code's noise has the variance sigma^2 - sigma_min^2, 1e-10 less; its critics
        # start from orthogonal weights; its loss is the mean over the dimensions, which Adam cannot tell from the sum.
        "code": TRAINING
        | {
            "buffer_size": 1_000_000,
            "num_steps": 500,
            "space": "printed",
            "style": "residual",
            "activation": "gelu_tanh",
            "weighted": True,
        },
    }
    temperature_unit: ClassVar[str] = "Q"
    tuned_by: ClassVar[str] = "sac"

    temperature: Temperature = tempered(Temperature(0.05), "Temperature T; 10 at the start in the maze.")
    temperature_decay: float = positive(1.0, "Factor that T has come down by in the end; maze 0.1.")
    decay_updates: float = positive(250_000.0, "Number of updates in which T comes down.")
    temperature_spread: float = positive(1.0, "Factor s of the actor's temperatures T * s^U[-1, 1]; paper 1.")
    sigma_min: float = positive(1e-5, "Noise at diffusion time 0, in units of the action.")
    sigma_max: float = positive(1.0, "Noise at diffusion time 1, in units of the action.")
    t_end: float = nonnegative(0.0, "Diffusion time at which sampling ends, between 0 and 1.")
    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(3e-4)
    actor_learning_rate: float = hyper.learning_rate(3e-4, "the score network")
    action_gain: float = hyper.action_gain("the score network")
    polyak: float = hyper.polyak(0.005, "the paper's 1 - eta")
    reward_scale: float = hyper.reward_scale()
    num_steps: int = count(1000, "Number of steps of the reverse process, even in the log of the noise.")
    num_samples: int = count(1000, "Number K of actions of an estimate of the score.")
    space: Space = choice("tanh", "Space of the diffusion and its way back, see softq.diffusion.space.")
    jacobian: bool = flag(False, "Whether Q in the space tanh has the log of tanh's slope added.")
    estimator: Estimator = choice("idem", "Estimator of the score, see softq.diffusion.")
    truncate: bool = flag(False, "Whether the K actions are kept in the box; not in the space tanh.")
    faces: bool = flag(
        False, "Whether the box's faces are added, which a truncated idem, combined or rfm lacks."
    )
    predict: Prediction = choice("score", "What the network predicts: the score, or the noise.")
    condition: bool = flag(True, "Whether the score network reads the temperature too.")
    weighted: bool = flag(
        False, "Whether an error at noise sigma has the weight sigma^2 + 1e-3; the code's has."
    )
    backup: Backup = hyper.backup("boltzmann")
    num_value_samples: int = hyper.num_value_samples()
    tune_by: TunedBy = hyper.tune_by()
    num_levels: int = count(20, "Number of levels of the likelihood of the policy's entropy.")
    num_noises: int = count(2, "Number of noises at each level of the likelihood.")
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256))
    style: Style = choice("sinusoidal", "Score network: as in Appendix B, or residual as in the code.")
    activation: str = hyper.activation("relu", "the score network", 'the code has "gelu_tanh"')
    critic_activation: str = hyper.activation("relu", "the critics")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.space == "tanh" and (self.truncate or self.faces):
            raise SoftqError("truncate and faces need walls; choose a space other than 'tanh'.")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and targets equal to the critics."""
        for_critic, for_actor = jax.random.split(key)
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.critic_activation)
        layers, inputs = (self.hidden_sizes, self.activation), 2 if self.condition else 1
        actor = ScoreNetwork.create(for_actor, obs, action, *layers, self.style, inputs)
        return self.fresh_state(critic, actor.scale_action_weights(self.action_gain))

    def diffusion(self, network: ScoreNetwork) -> DiffusionPolicy:
        """The policy of a score network: the reverse equation from N(0, sigma_max^2) (Equation 3)."""
        return DiffusionPolicy(
            network,
            VarianceExploding(self.sigma_min, self.sigma_max),
            self.t_end,
            predicts=self.predict,
            num_steps=self.num_steps,
            space=self.space,
            likelihood=Likelihood(self.num_levels, self.num_noises, "log_snr"),
        )

    # The temperature

    @property
    def adjustable(self) -> bool:
        """Whether the actor reads the temperature and was trained at several (a traced spread is taken for several)."""
        spread = self.temperature_spread
        return self.condition and (not eager(spread) or bool(np.any(np.asarray(spread) != 1)))

    def current_temperature(self, state: State) -> Array:
        """T after as many updates as were made, as far as it has been tuned."""
        done = jnp.minimum(state.step / self.decay_updates, 1.0)
        return self.temperature_decay**done * super().current_temperature(state)

    def network_condition(self, temperature: float | Array) -> tuple:
        """What the network reads beside the time."""
        return (temperature,) if self.condition else ()

    # Acting. The same action gathers data and is scored; the paper mentions no other.

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """A draw from the diffusion, also the target's action; the paper's backup has no entropy.

        Another temperature should be one of those that the actor has seen, see `temperature_spread`. Raises
        `SoftqError` for an actor that does not read it, or has seen one at a time.
        """
        self.check_adjustable(temperature)
        temperature = self.current_temperature(state) if temperature is None else temperature
        return self.diffusion(state.actor.network).sample(obs, key, self.network_condition(temperature))

    # Learning (Algorithm 1)

    def actor_loss(
        self, actor: ScoreNetwork, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """The squared error towards Equation 5's estimate of the score of a noised replayed action (Equation 9).

        The critic's smaller twin is scored; line 13 prints one, and no temperature.
        """
        for_time, for_noise, for_estimate, for_spread = jax.random.split(key, 4)
        diffusion, t = self.diffusion(actor), jax.random.uniform(for_time)
        x = diffusion.add_noise(action, t, jax.random.normal(for_noise, action.shape))
        exponent = jax.random.uniform(for_spread, minval=-1.0)
        temperature = self.current_temperature(state) * self.temperature_spread**exponent
        q = landscape(self.space, state.critic.network.at(obs), temperature, self.jacobian)
        faces = {"boundary": self.faces} if self.estimator in ("idem", "combined", "rfm") else {}
        score = SCORE_ESTIMATORS[self.estimator](
            for_estimate,
            q,
            temperature,
            x,
            1.0,
            diffusion.schedule.noise(t),
            self.num_samples,
            self.truncate,
            **faces,
        )
        target = diffusion.output_scale(t) * score
        weight = diffusion.schedule.noise(t) ** 2 + LEAST_WEIGHT if self.weighted else 1.0
        return diffusion.regression_loss(obs, x, t, target, self.network_condition(temperature), weight), {}

    def entropies(self, state: State, batch: Transition, key: Array, info: Info) -> Array:
        """The policy's, by one draw in each state and its likelihood; or that of its critic's softmax.

        Not in the paper, which finds the likelihood too expensive.
        """
        temperature = self.current_temperature(state)
        if self.tune_by == "softmax":
            critic = state.critic.network
            return softmax_entropies("ais", key, critic, batch.obs, temperature, self.num_samples)
        draw = self.diffusion(state.actor.network).sample_and_log_prob
        one = lambda obs, key: -draw(obs, key, self.network_condition(temperature))[1]
        return jax.vmap(one)(batch.obs, jax.random.split(key, len(batch.obs)))
