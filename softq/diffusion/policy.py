"""A diffusion as a policy: a network that knows the noise in a noisy action, and the process that removes it.

What a method learns by it is one regression, `regression_loss`: towards the slope of Q at a noisy action (QSM), a
weighted mean of slopes or of noises (DQS, MaxEntDP), or the noise that was added, with a weight (QVPO, DPMD).
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.diffusion.likelihood import Rule, beyond, log_likelihood
from softq.diffusion.processes import (
    Field,
    ancestral,
    noise_from_score,
    probability_flow,
    reverse_sde,
    score_from_noise,
)
from softq.diffusion.schedules import Schedule, VarianceExploding
from softq.diffusion.space import Space, inward, log_volume, outward, source
from softq.utils.pytree import pytree, static

Process = Literal["sde", "ancestral", "flow"]
Prediction = Literal["noise", "score"]


@pytree
class Likelihood:
    """How log pi is estimated, see `softq.diffusion.log_likelihood`."""

    num_levels: int = static(default=20)
    num_noises: int = static(default=50)
    rule: Rule = static(default="left")
    clip_x0: bool = static(default=False)

    @property
    def paired(self) -> bool:
        """Noises come in pairs +eps, -eps, which the exact rules need; the printed one has none."""
        return self.rule != "left"


@pytree
class DiffusionPolicy:
    """One state's actions by a score network: observations `(obs_dim,)`, actions `(d,)` in the box; `vmap` outside.

    A `condition`, a tuple of numbers such as the temperature, is read by the network beside the time.
    """

    network: Any  # a `softq.networks.ScoreNetwork`
    schedule: Schedule
    t_end: float | Array | None = (
        None  # where "sde" and "flow" end; by default, as "ancestral", at the schedule's t_min
    )
    process: Process = static(default="sde")
    predicts: Prediction = static(default="score")
    reads: Literal["time", "log_snr"] = static(default="time")  # what the network is told of the noise level
    num_steps: int = static(default=20)
    space: Space = static(default="project")  # where the diffusion runs, see `softq.diffusion.space`
    likelihood: Likelihood = static(default=Likelihood())

    def read(self, t: Array, condition: tuple = ()) -> Array:
        """What the network reads beside state and action, `(1 + len(condition),)`."""
        level = t if self.reads == "time" else self.schedule.log_snr(t)
        return jnp.stack([level, *(jnp.asarray(x) for x in condition)])

    def scale(self, t: Array) -> Array | float:
        """What the network predicts, over the score."""
        return -self.schedule.noise(t) if self.predicts == "noise" else 1.0

    def output(self, obs: Array, condition: tuple = ()) -> Field:
        """The network's prediction for a noisy action `(d,)` at time t, with the state's share computed once."""
        network = self.network.at(obs)
        return lambda x, t: network(x, self.read(t, condition))

    def noise(self, obs: Array, condition: tuple = ()) -> Field:
        """The noise in a noisy action `(d,)` at time t."""
        output = self.output(obs, condition)
        return output if self.predicts == "noise" else noise_from_score(output, self.schedule)

    def score(self, obs: Array, condition: tuple = ()) -> Field:
        """The score of a noisy action `(d,)` at time t."""
        output = self.output(obs, condition)
        return output if self.predicts == "score" else score_from_noise(output, self.schedule)

    # Acting

    def sample(self, obs: Array, key: Array, condition: tuple = ()) -> Array:
        """An action `(d,)` in the box."""
        return outward(self.space, self.unbounded(obs, key, condition))

    def unbounded(self, obs: Array, key: Array, condition: tuple = ()) -> Array:
        """Where the process ends, `(d,)`, before it is put into the box."""
        dim, schedule, steps = self.network.action_dim, self.schedule, self.num_steps
        if self.process == "ancestral":
            return ancestral(key, self.noise(obs, condition), dim, schedule, steps)
        run = reverse_sde if self.process == "sde" else probability_flow
        return run(key, self.score(obs, condition), dim, schedule, steps, t_end=self.t_end)

    def sample_and_log_prob(self, obs: Array, key: Array, condition: tuple = ()) -> tuple[Array, Array]:
        """An action `(d,)` and its estimated log pi, nats."""
        for_action, for_estimate = jax.random.split(key)
        x = self.unbounded(obs, for_action, condition)
        action = outward(self.space, x)
        if self.space in ("reflect", "project"):  # the image in the box is the one whose density is asked for
            x = action
        return action, self.log_density(obs, x, for_estimate, condition)

    def log_prob(self, obs: Array, action: Array, key: Array, condition: tuple = ()) -> Array:
        """Estimated log pi(a|s), nats: the density of the x that becomes this action, less the way back's log slope.

        Within 1e-6 of a wall "tanh" and "printed" give the density at that distance, since float32 knows no better.
        "reflect" leaves out the images of x beyond the walls that fold onto the same action: log pi is too low, the
        entropy too high. "project" gives the density inside; the mass that it puts on the walls has none, and a point
        on a wall gets that beside it.
        """
        return self.log_density(obs, source(self.space, action), key, condition)

    def log_density(self, obs: Array, x: Array, key: Array, condition: tuple = ()) -> Array:
        """Estimated log pi at the action that x `(d,)` becomes, of this x alone (MaxEntDP Theorem 3.5).

        A schedule that does not end in pure noise gets a closed form for the noise beyond its last. A network that is
        not the best for its own law makes log pi too low, and the entropy too high.
        """
        how, noise = self.likelihood, self.noise(obs, condition)
        inside = log_likelihood(
            key, noise, x, self.schedule, how.num_levels, how.num_noises, how.rule, how.clip_x0, how.paired
        )
        largest = self.schedule.noise(self.schedule.t_max)
        tail = beyond(x, largest) if isinstance(self.schedule, VarianceExploding) else 0.0
        return inside + tail - log_volume(self.space, x)

    # Learning

    def add_noise(self, action: Array, t: Array, noise: Array) -> Array:
        """The noisy action `(d,)` at time t that a replayed one and standard normal `noise` `(d,)` make."""
        return self.schedule.signal(t) * inward(self.space, action) + self.schedule.noise(t) * noise

    def regression_loss(
        self,
        obs: Array,
        x: Array,
        t: Array,
        target: Array,
        condition: tuple = (),
        weight: float | Array = 1.0,
    ) -> Array:
        """Weighted squared error of the network at one noisy action x `(d,)` towards `target` `(d,)`.

        The target is a noise or a score, as the network predicts; `scale(t)` makes the one of the other.
        """
        error = self.network(obs, x, self.read(t, condition)) - target
        return weight * jnp.sum(error**2)
