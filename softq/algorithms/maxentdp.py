"""MaxEntDP: soft actor-critic with a diffusion actor, whose noise network learns from Q-weighted noises.

"Maximum entropy reinforcement learning with diffusion policy" (Dong et al. 2025), Algorithm 1, Equations 2, 17, 18, 21,
Tables 1 and 3. The released code departs from the paper; its departures but the critics' first weights are the preset
"code". The defaults are the paper's choice where it makes one.
"""

from typing import ClassVar, Literal

import jax
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Info, State, Transition
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.entropy import TunedBy, softmax_entropies
from softq.algorithms.common.learner import cosine_adam
from softq.algorithms.common.targets import best_of
from softq.algorithms.common.temperature import Temperature, tempered
from softq.diffusion import CosineVP, DiffusionPolicy, Likelihood, qne
from softq.diffusion.likelihood import Rule
from softq.diffusion.scores import SCORE_ESTIMATORS
from softq.networks import Critic, ScoreNetwork
from softq.utils.errors import SoftqError
from softq.utils.fields import choice, count, flag, positive
from softq.utils.pytree import pytree

Sampling = Literal["ancestral", "flow"]
Estimator = Literal["qne", "idem", "qsm", "combined", "rfm"]
Decay = Literal["constant", "cosine"]
SCHEDULE = CosineVP()  # of the released code; the paper names none
# Batch and buffer are Table 1's; the rest is not in the paper but in the code.
TRAINING = {"num_envs": 1, "iterations": 1_000_000, "warmup": 10_000}


@pytree
class MaxEntDP(Algorithm):
    """Hyper-parameters of Table 1 and Appendix D.1, with their values; the temperature is the paper's beta."""

    presets: ClassVar[dict] = {
        "paper": TRAINING,
        "small": {
            "temperature_learning_rate": 2e-3,
            "actor_learning_rate": 2e-3,
            "num_steps": 10,
            "num_samples": 32,
            "num_noises": 2,
            "rule": "log_snr",
        },
        "code": TRAINING
        | {
            "sampling": "ancestral",
            "guide": "target",
            "clip_x0": True,
            "decay": "cosine",
            "critic_activation": "relu",
        },
    }
    temperature_unit: ClassVar[str] = "Q"
    tuned_by: ClassVar[str] = "sac"

    # Table 3: HalfCheetah 0.2; Ant, Hopper 0.05; Humanoid 0.02; Swimmer, Walker2d 0.01. The default is the code's.
    temperature: Temperature = tempered(Temperature(0.1), "Temperature beta; Table 3: 0.01 to 0.2.")
    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(3e-4)
    actor_learning_rate: float = hyper.learning_rate(3e-4, "the noise network")
    action_gain: float = hyper.action_gain("the noise network")
    decay_updates: float = positive(2e6, "Number of updates until the cosine has lowered the rate to 0.")
    polyak: float = hyper.polyak()
    reward_scale: float = hyper.reward_scale()
    num_steps: int = count(20, "Number T of steps of the sampler, and of levels of the likelihood.")
    num_samples: int = count(500, "Number K of weighted noises for each regression target.")
    num_noises: int = count(50, "Number N of noises at each level of the likelihood.")
    num_actions: int = count(10, "Number M of draws of which the best acts where the return is reported.")
    sampling: Sampling = choice("ancestral", "Process: the code's ancestral chain, or Algorithm 1's flow.")
    estimator: Estimator = choice("qne", "Estimator of the noise in a noisy action (Section 5.2).")
    guide: Literal["online", "target"] = choice("online", "Critics that the estimator asks; code: target.")
    entropy_backup: bool = flag(True, "Whether a target has the entropy; Figure 5 leaves it out.")
    truncate: bool = flag(True, "Whether the actions that Q weighs are kept in the box.")
    rule: Rule = choice("left", "Rule that sums the integral of log pi: left as printed, or an exact one.")
    clip_x0: bool = flag(False, "Whether the likelihood clips the predicted action; the code does.")
    decay: Decay = choice("constant", "Course of the actor's learning rate; the code has cosine.")
    tune_by: TunedBy = hyper.tune_by()
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256))  # three against diffusion methods
    activation: str = hyper.activation("mish", "the noise network")
    critic_activation: str = hyper.activation("mish", "the critics", "Table 1; the code has relu")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and targets equal to the critics.

        Deviation: the code's critics start from Xavier-uniform weights, like the actor here; ours as all of softq's.
        """
        for_critic, for_actor = jax.random.split(key)
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.critic_activation)
        actor = ScoreNetwork.create(for_actor, obs, action, self.hidden_sizes, self.activation, "fourier")
        return self.fresh_state(critic, actor.scale_action_weights(self.action_gain))

    def actor_optimiser(self) -> optax.GradientTransformation:
        """Deviation: the code lowers the rate by a cosine over 2e6 updates, twice as many as it makes."""
        if self.decay == "constant":
            return optax.adam(self.actor_learning_rate)
        return cosine_adam(self.actor_learning_rate, self.decay_updates)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.likelihood.paired and self.num_noises % 2:
            raise SoftqError(
                f"num_noises must be even with the rule '{self.rule}', got {self.num_noises}; add one, or set the rule "
                "to 'left'."
            )

    @property
    def likelihood(self) -> Likelihood:
        """How log pi is estimated, of as many levels as the sampler has steps."""
        return Likelihood(self.num_steps, self.num_noises, self.rule, self.clip_x0)

    def diffusion(self, network: ScoreNetwork) -> DiffusionPolicy:
        """The policy of a noise network.

        Deviation: Algorithm 1 solves Equation 5 ("flow"); Appendix B and the code take the noisy ancestral chain, with
        the predicted action clipped at each step. The rule "left", as printed, flattens the density.
        """
        return DiffusionPolicy(
            network,
            SCHEDULE,
            process=self.sampling,
            predicts="noise",
            level_input="log_snr",
            num_steps=self.num_steps,
            likelihood=self.likelihood,
        )

    # Acting

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """A draw from the diffusion, also the target's action. Raises `SoftqError` for a temperature."""
        self.check_adjustable(temperature)
        return self.diffusion(state.actor.network).sample(obs, key)

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """The best of M draws by the smaller of the target critics ("action selection"); the paper names no critic."""
        draw = lambda key: self.policy(state, obs, key)
        return best_of(self.num_actions, draw, state.critic.target.at(obs), key)

    # Learning (Algorithm 1)
    # Deviation: Algorithm 1 averages the target critics last, line 19; the base and the code before the noise network's
    # step, which asks them in the code (`guide="target"`). With the paper's `guide="online"` this changes nothing.

    def next_value(self, state: State, next_obs: Array, key: Array) -> tuple[Array, Info]:
        """min_j Q_target_j(s', a') - beta log pi(a'|s') (Equation 2); the entropy is estimated for the log in any case.

        Deviation: line 14 prints the online critics, and line 19 gives them the average; Equation 2 has the targets.
        """
        action, log_prob = self.diffusion(state.actor.network).sample_and_log_prob(next_obs, key)
        value = state.critic.target.at(next_obs)(action)
        if self.entropy_backup:
            value = value - self.current_temperature(state) * log_prob
        return value, {"entropy": -log_prob}

    def actor_loss(
        self, actor: ScoreNetwork, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """The squared error towards the Q-weighted noise in a noised replayed action (Equations 17 and 18).

        The other estimators are of the score, which is the noise over minus its size: "idem" is Equation 63 (in the
        box, as in the code), "qsm" the slope at the noisy action; "combined" and "rfm" are not in the paper.
        """
        for_time, for_noise, for_estimate = jax.random.split(key, 3)
        diffusion = self.diffusion(actor)
        t = jax.random.uniform(for_time, minval=SCHEDULE.t_min, maxval=SCHEDULE.t_max)
        x = diffusion.add_noise(action, t, jax.random.normal(for_noise, action.shape))
        q = (state.critic.network if self.guide == "online" else state.critic.target).at(obs)
        given = q, self.current_temperature(state), x, SCHEDULE.signal(t), SCHEDULE.noise(t)
        if self.estimator == "qne":
            noise = qne(for_estimate, *given, self.num_samples, self.truncate, target="noise")
        else:
            estimate = SCORE_ESTIMATORS[self.estimator]
            noise = diffusion.output_scale(t) * estimate(
                for_estimate, *given, self.num_samples, self.truncate
            )
        return diffusion.regression_loss(obs, x, t, noise), {}

    def entropies(self, state: State, batch: Transition, key: Array, info: Info) -> Array:
        """The policy's, which has the bias of its likelihood: take an exact rule; or that of its critic's softmax."""
        if self.tune_by == "policy":
            return info["entropy"]
        critic, temperature = state.critic.network, self.current_temperature(state)
        return softmax_entropies("ais", key, critic, batch.obs, temperature, self.num_samples)
