"""A diffusion as a policy: a network that predicts the noise in a noisy action, and the process that removes it.

Every method trains the network by one regression, `regression_loss`. Its target is the slope of Q at a noisy action
(QSM), a weighted mean of slopes or of noises (DQS, MaxEntDP), or the noise that was added, with a weight (QVPO, DPMD).
"""

from typing import Any, Literal, Self

import jax
import jax.numpy as jnp
from jax import Array

from softq.diffusion.likelihood import Rule, log_likelihood, terminal_term
from softq.diffusion.processes import (
    Field,
    Variance,
    ancestral,
    noise_from_score,
    probability_flow,
    reverse_sde,
    score_from_noise,
    times,
)
from softq.diffusion.schedules import CosineVP, Schedule, VarianceExploding
from softq.diffusion.space import Space, log_jacobian, preimage, to_action, to_space
from softq.utils.pytree import pytree, static

Process = Literal["sde", "ancestral", "flow"]
Prediction = Literal["noise", "score"]
Level = Literal["time", "log_snr", "step"]  # "step" is the number of the step, 0 for the last


@pytree
class Likelihood:
    """How log pi is estimated: the options of `softq.diffusion.log_likelihood`, where `num_levels` is `num_steps`."""

    num_levels: int = static(default=20)
    num_noises: int = static(default=50)
    rule: Rule = static(default="left")
    clip_x0: bool = static(default=False)

    @property
    def paired(self) -> bool:
        """Whether noises come in pairs +eps, -eps: "trapezoid" and "log_snr" need pairs, Equation 66 has none."""
        return self.rule != "left"


@pytree
class DiffusionPolicy:
    """Actions `(d,)` in the box for one observation `(obs_dim,)`, drawn by a score network; use `vmap` for a batch.

    Every `condition` is a tuple of numbers, such as the temperature, that the network reads beside the noise level.
    """

    network: Any  # a `softq.networks.ScoreNetwork`
    schedule: Schedule
    # the time at which "sde" and "flow" end; None is the schedule's t_min, where "ancestral" always ends
    t_end: float | Array | None = None
    process: Process = static(default="sde")
    predicts: Prediction = static(default="score")
    level_input: Level = static(default="time")  # how the network reads the noise level
    num_steps: int = static(default=20)
    space: Space = static(default="project")  # the space of the diffusion, see `softq.diffusion.space`
    likelihood: Likelihood = static(default=Likelihood())
    variance: Variance = static(default="beta")  # of a step of "ancestral"
    # the standard deviation of the first action of "ancestral"; None is the schedule's noise(t_max)
    start_std: float | Array | None = None

    @classmethod
    def ddpm(cls, network: Any, num_steps: int) -> Self:
        """The chain of Ho et al. (2020) with predicted noise, the posterior's variance, and the schedule `CosineVP`."""
        cosine: Any = CosineVP()
        return cls(
            network,
            cosine,
            process="ancestral",
            variance="posterior",
            predicts="noise",
            level_input="log_snr",
            num_steps=num_steps,
        )

    def network_condition(self, t: Array, condition: tuple = ()) -> Array:
        """The numbers that the network reads beside state and action at time t, `(1 + len(condition),)`."""
        levels = {
            "time": lambda: t,
            "log_snr": lambda: self.schedule.log_snr(t),
            "step": lambda: self.step_at(t),
        }
        level = levels[self.level_input]()
        return jnp.stack([level, *(jnp.asarray(x) for x in condition)])

    def step_at(self, t: Array) -> Array:
        """The number of the step of "ancestral" that starts at time t, from num_steps - 1 down to 0."""
        last, first = self.schedule.t_min, self.schedule.t_max
        return (t - last) / (first - last) * self.num_steps - 1

    def output_scale(self, t: Array) -> Array | float:
        """The ratio of the network's prediction at time t to the score: -noise(t) if it predicts noise, else 1."""
        return -self.schedule.noise(t) if self.predicts == "noise" else 1.0

    def output(self, obs: Array, condition: tuple = ()) -> Field:
        """The network's prediction as a function of a noisy action `(d,)` and a time; the state is encoded once."""
        network = self.network.at(obs)
        return lambda x, t: network(x, self.network_condition(t, condition))

    def noise(self, obs: Array, condition: tuple = ()) -> Field:
        """The predicted noise `(d,)` as a function of a noisy action `(d,)` and a time."""
        output = self.output(obs, condition)
        return output if self.predicts == "noise" else noise_from_score(output, self.schedule)

    def score(self, obs: Array, condition: tuple = ()) -> Field:
        """The predicted score `(d,)` as a function of a noisy action `(d,)` and a time."""
        output = self.output(obs, condition)
        return output if self.predicts == "score" else score_from_noise(output, self.schedule)

    # Acting

    def sample(self, obs: Array, key: Array, condition: tuple = ()) -> Array:
        """An action `(d,)` in the box, from one run of the process."""
        return to_action(self.space, self.unbounded(obs, key, condition))

    def unbounded(self, obs: Array, key: Array, condition: tuple = ()) -> Array:
        """The end of one run of the process, `(d,)`, before `to_action` puts it into the box."""
        dim, schedule, steps = self.network.action_dim, self.schedule, self.num_steps
        if self.process == "ancestral":
            start = None
            if self.start_std is not None:
                key, first = jax.random.split(key)
                start = self.start_std * jax.random.normal(first, (dim,))
            noise = self.noise(obs, condition)
            return ancestral(key, noise, dim, schedule, steps, self.variance, start=start)
        run = reverse_sde if self.process == "sde" else probability_flow
        return run(key, self.score(obs, condition), dim, schedule, steps, t_end=self.t_end)

    def sample_and_log_prob(self, obs: Array, key: Array, condition: tuple = ()) -> tuple[Array, Array]:
        """An action `(d,)` and its estimated log pi, in nats."""
        for_action, for_estimate = jax.random.split(key)
        x = self.unbounded(obs, for_action, condition)
        action = to_action(self.space, x)
        if self.space in ("reflect", "project"):  # the image in the box is the one whose density is asked for
            x = action
        return action, self.log_density(obs, x, for_estimate, condition)

    def log_prob(self, obs: Array, action: Array, key: Array, condition: tuple = ()) -> Array:
        """Estimated log pi(a|s) in nats: the log-density of the x that becomes this action, less log |da / dx|.

        In the spaces "tanh" and "printed" an action within 1e-6 of a wall gets the density at that distance, since
        float32 does not resolve the distance. "reflect" leaves out the other x that fold onto the action, so log pi is
        too low and the entropy too high. "project" puts mass on the walls, where no density exists: an action on a wall
        gets the density just inside.
        """
        return self.log_density(obs, preimage(self.space, action), key, condition)

    def log_density(self, obs: Array, x: Array, key: Array, condition: tuple = ()) -> Array:
        """Estimated log pi, in nats, at the action that x `(d,)` becomes, from this x alone (MaxEntDP Theorem 3.5).

        A variance-exploding schedule does not end in pure noise: `terminal_term` adds the levels above its last. A
        network that is not the best predictor for its own law makes log pi too low and the entropy too high.
        """
        how, noise, schedule = self.likelihood, self.noise(obs, condition), self.schedule
        inside = log_likelihood(
            key, noise, x, schedule, how.num_levels, how.num_noises, how.rule, how.clip_x0, how.paired
        )
        largest = schedule.noise(schedule.t_max)
        tail = terminal_term(x, largest) if isinstance(schedule, VarianceExploding) else 0.0
        return inside + tail - log_jacobian(self.space, x)

    # Learning

    def add_noise(self, action: Array, t: Array, noise: Array) -> Array:
        """The noisy action `(d,)` at time t of a replayed `action` `(d,)`, by standard normal `noise` `(d,)`."""
        return self.schedule.signal(t) * to_space(self.space, action) + self.schedule.noise(t) * noise

    def regression_loss(
        self,
        obs: Array,
        x: Array,
        t: Array,
        target: Array,
        condition: tuple = (),
        weight: float | Array = 1.0,
    ) -> Array:
        """`weight` times the squared error of the network's prediction at one noisy action x `(d,)` and time t.

        The `target` `(d,)` is a noise or a score, whichever the network predicts: `output_scale(t)` times the score.
        """
        error = self.network(obs, x, self.network_condition(t, condition)) - target
        return weight * jnp.sum(error**2)

    def random_time(self, key: Array) -> Array:
        """The time of a step of the process that is drawn uniformly, at which the network is asked."""
        step = jax.random.randint(key, (), 0, self.num_steps)
        return times(self.schedule, self.num_steps, t_end=self.t_end)[step]

    def denoising_loss(
        self, obs: Array, action: Array, key: Array, condition: tuple = (), weight: float | Array = 1.0
    ) -> Array:
        """`weight` times the squared error of the network at an `action` `(d,)`, noised as at a random step.

        On average over the actions of a law it is least for the network that makes the process draw that law, as far as
        its steps are short enough (Ho et al. 2020, Equation 14).
        """
        for_step, for_noise = jax.random.split(key)
        t, noise = self.random_time(for_step), jax.random.normal(for_noise, action.shape)
        target = noise if self.predicts == "noise" else -noise / self.schedule.noise(t)
        return self.regression_loss(obs, self.add_noise(action, t, noise), t, target, condition, weight)
