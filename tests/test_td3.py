"""TD3: four updates against NumPy by hand, two of them without a step of the actor; its settings."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import (
    ACT,
    KEYS,
    OBS,
    Adam,
    action_gradient,
    apart,
    backward,
    differences,
    forward,
    layers_of_actor,
    normals,
    polyak,
    regression,
    smaller,
    three_updates,
    twins_of,
)

from softq.algorithms import TD3
from softq.utils.flat_settings import flat

BATCH = 16
FOUR = [*KEYS, jax.random.fold_in(jax.random.key(20240501), 3)]
SMALL = {
    "hidden_sizes": (6, 5),
    "learning_rate": 0.02,
    "actor_learning_rate": 0.01,
    "polyak": 0.1,
    "discount": 0.9,
    "noise_clip": 0.1,
}


@cache
def fresh():
    """A state whose targets and biases differ from the online networks and from zero."""
    state = jax.jit(TD3(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    return apart(state, actor=0.3, actor_target=0.3)


def learned(state):
    actors = layers_of_actor(state.actor.network), layers_of_actor(state.actor.target)
    return [twins_of(state.critic.network), twins_of(state.critic.target), *actors]


@cache
def trained():
    return three_updates(TD3(**SMALL), fresh(), BATCH, learned, FOUR)


class ByHand:
    """Algorithm 1 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, fault=""):
        self.algo, self.fault, self.updates = TD3(**SMALL), fault, 0
        self.critic, self.target, self.actor, self.actor_target = learned(fresh())
        self.critic_adam = Adam(self.critic, self.algo.learning_rate)
        self.actor_adam = Adam(self.actor, self.algo.actor_learning_rate)

    def learned(self):
        return [self.critic, self.target, self.actor, self.actor_target]

    def update(self, batch):
        a, self.updates = self.algo, self.updates + 1
        noise = np.clip(a.target_noise * normals(ACT), -a.noise_clip, a.noise_clip)
        noise = {"no noise": 0.0, "no clip": a.target_noise * normals(ACT)}.get(self.fault, noise)
        action = np.clip(np.tanh(forward(self.actor_target, batch.next_obs)[0]) + noise, -1, 1)
        bootstrap = smaller(
            self.target[:1] * 2 if self.fault == "one critic" else self.target, batch.next_obs, action
        )
        y = a.reward_scale * batch.reward + a.discount * batch.discount * bootstrap
        loss, gradients, q_mean = regression(self.critic, batch.obs, batch.action, y)
        self.critic = self.critic_adam.step(self.critic, gradients)
        outputs, saved = forward(self.actor, batch.obs)
        action = np.tanh(outputs)
        q, slope = action_gradient(self.critic[1 if self.fault == "second critic" else 0], batch.obs, action)
        if self.updates % 2 == 0 or self.fault == "no delay":
            gradients, _ = backward(self.actor, saved, -slope * (1 - action**2) / len(q))
            self.actor = self.actor_adam.step(self.actor, gradients)
            self.target = polyak(self.critic, self.target, a.polyak)
            self.actor_target = polyak(self.actor, self.actor_target, a.polyak)
        return {"critic_loss": loss, "q_mean": q_mean, "target_mean": y.mean(), "actor_loss": -q.mean()}


def test_updates_equal_those_by_hand():
    metrics, parameters = differences(trained(), ByHand(), BATCH, FOUR)
    assert metrics < 5e-5
    assert parameters < 5e-6


@pytest.mark.parametrize("fault", ["no noise", "no clip", "one critic", "second critic", "no delay"])
def test_a_mistake_in_the_update_shows(fault):
    metrics, parameters = differences(trained(), ByHand(fault), BATCH, FOUR)
    assert metrics > 100 * 5e-5
    assert parameters > 1e-3


def test_defaults_are_those_of_the_code():
    """Typed from the authors' `TD3.py` and `main.py`."""
    expected = {
        "discount": 0.99,
        "learning_rate": 3e-4,
        "actor_learning_rate": 3e-4,
        "weight_decay": 0.0,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "exploration_noise": 0.1,
        "hidden_sizes": (256, 256),
        "activation": "relu",
        "target_noise": 0.2,
        "noise_clip": 0.5,
        "policy_delay": 2,
    }
    assert flat(TD3()) == expected
