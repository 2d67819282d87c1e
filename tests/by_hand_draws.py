"""What SDAC and DPMD share, by hand in float64: draws of the diffusion, critics, actor and temperature."""

import jax
import numpy as np
from by_hand import (
    ACT,
    Adam,
    ScoreByHand,
    float64,
    mish,
    normals,
    polyak,
    regression,
    smaller,
    twins_of,
    uniforms,
)

from softq.diffusion import CosineVP

SCHEDULE = CosineVP()
STEPS = 4  # the known random step is then the second
BATCH = 8
SETTINGS = {
    "hidden_sizes": (6, 5),
    "learning_rate": 0.01,
    "actor_learning_rate": 0.02,
    "last_actor_learning_rate": 0.005,
    "decay_start": 0.5,
    "decay_steps": 1.0,
    "polyak": 0.1,
    "discount": 0.9,
    "num_steps": STEPS,
    "num_actions": 2,
}


def numbers(t):
    """Signal and noise of the cosine schedule at time t, in single precision as they are in a run."""
    return tuple(float(f(np.float32(t))) for f in (SCHEDULE.signal, SCHEDULE.noise))


def times_of(steps):
    """From most noise to hardly any."""
    return np.linspace(0.9946, 1e-3, steps + 1)


def noise_of(network, obs, a, t):
    """The noise `(B, d)` that a network predicts in the actions a `(B, d)` at time t."""
    signal, noise = numbers(t)
    return network.outputs(obs, a, np.full((len(a), 1), 2 * np.log(signal / noise)))


def drawn(network, obs, steps=STEPS):
    """The chain of Ho et al. (2020) from known draws, `(B, d)`; predictions are clipped, the last step has no noise."""
    times = times_of(steps)
    a = numbers(times[0])[1] * np.tile(normals(ACT), (len(obs), 1))
    for k, z in enumerate(normals(steps, ACT)):
        (signal, noise), (signal_to, noise_to) = numbers(times[k]), numbers(times[k + 1])
        clean = np.clip((a - noise * noise_of(network, obs, a, times[k])) / signal, -1, 1)
        alpha = (signal / signal_to) ** 2
        beta = 1 - alpha
        a = signal_to * beta / noise**2 * clean + np.sqrt(alpha) * noise_to**2 / noise**2 * a
        a = a + (k < steps - 1) * np.sqrt(beta) * noise_to / noise * z
    return np.clip(a, -1, 1)


def random_time():
    """A step's time, by a known draw."""
    return times_of(STEPS)[int(np.floor(STEPS * uniforms()))]


def learned(state):
    critics = twins_of(state.critic.network), twins_of(state.critic.target)
    actors = (float64(dict(learner.params)) for learner in (state.actor.network, state.actor.target))
    return [*critics, *actors, float(state.temperature.log_scale)]


class DrawsByHand:
    """Targets, critics, the delay, the actor's rate, the temperature. `fault` makes one mistake on purpose.

    A subclass has `actor_loss(batch)`: the loss, more metrics, and the gradients of the actor.
    """

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault, self.updates, self.moves = algo, fault, 0, 0
        self.critic, self.target, _, self.slow, self.log_scale = learned(state)
        self.actor = ScoreByHand(state.actor.network)
        self.critic_adam = Adam(self.critic, algo.learning_rate)
        self.actor_adam = Adam(self.actor.params, algo.actor_learning_rate)
        self.temperature_adam = Adam(self.log_scale, algo.temperature.learning_rate)

    def learned(self):
        return [self.critic, self.target, self.actor.params, self.slow, self.log_scale]

    def looser(self):
        critics = jax.tree.map(np.ones_like, (self.critic, self.target))
        return [*critics, self.actor_adam.looser, self.actor_adam.looser, 1.0]

    def temperature(self):
        return self.algo.temperature.value * np.exp(self.log_scale)

    def policy(self, obs):
        """Of equal draws the best is each; then noise."""
        size = self.algo.exploration_noise * (1 if self.fault == "noise" else self.temperature())
        return np.clip(drawn(self.actor, obs, self.algo.num_steps) + size * normals(ACT), -1, 1)

    def q(self, obs, action):
        return smaller(self.critic, obs, action, mish)

    def update(self, batch):
        algo, now = self.algo, self.temperature()
        self.updates += 1
        twins = self.critic if self.fault == "online" else self.target
        value = smaller(twins, batch.next_obs, self.policy(batch.next_obs), mish)
        y = algo.reward_scale * batch.reward + algo.discount * batch.discount * value
        loss, gradients, q_mean = regression(self.critic, batch.obs, batch.action, y, mish)
        for _ in range(getattr(algo, "critic_steps", 1)):
            self.critic = self.critic_adam.step(self.critic, gradients)
        due = self.updates % algo.policy_delay == 0 or self.fault == "no delay"
        if due:
            self.target = polyak(self.critic, self.target, algo.polyak)
        actor_loss, more, gradients = self.actor_loss(batch)
        if due:
            gone = np.clip((self.moves - algo.decay_start) / algo.decay_steps, 0, 1)
            first, last = algo.actor_learning_rate, algo.last_actor_learning_rate
            self.actor_adam.rate = first if self.fault == "rate" else first + gone * (last - first)
            self.actor.params = self.actor_adam.step(self.actor.params, gradients)
            self.slow = polyak(self.actor.params, self.slow, algo.polyak)
            self.moves += 1
        metrics = {
            "critic_loss": loss,
            "q_mean": q_mean,
            "target_mean": y.mean(),
            "actor_loss": actor_loss,
            "temperature": now,
        }
        return metrics | more | self.temperature_step(now)

    def temperature_step(self, now):
        """By the closed form of the entropy of the noise, where it is due; before, the entropy is the uniform law's."""
        rule = self.algo.temperature
        if rule.rule == "fixed":
            return {}
        if self.updates % rule.every == 0:
            self.entropy = ACT / 2 * np.log(2 * np.pi * np.e * (self.algo.exploration_noise * now) ** 2)
            excess = self.entropy - ACT * rule.target_entropy
            excess = -excess if self.fault == "excess" else excess
            self.log_scale = self.temperature_adam.step(self.log_scale, excess)
        return {"entropy": getattr(self, "entropy", ACT * np.log(2))}
