"""DDPG: three updates against NumPy by hand, acting, defaults and switches."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import (
    Adam,
    action_gradient,
    backward,
    float64,
    forward,
    layers_of_actor,
    layers_of_critic,
    moved,
    regression,
)

from softq.algorithms import DDPG
from softq.pytree import replace
from softq.testing import THRESHOLD, mean_test
from softq.testing.probe import random_batch

pytestmark = pytest.mark.usefixtures("quick_compilation")
OBS, ACT, BATCH = 3, 2, 16
SMALL = {
    "hidden_sizes": (6, 5),
    "learning_rate": 0.02,
    "actor_learning_rate": 0.01,
    "polyak": 0.1,
    "discount": 0.9,
}
VARIANTS = {"default": {}, "paper": {"weight_decay": 0.1, "reward_scale": 0.7}}
KEYS = [jax.random.fold_in(jax.random.key(20240501), i) for i in range(3)]


@cache
def fresh():
    """A state whose targets and biases differ from the online networks and from zero."""
    state = jax.jit(DDPG(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    rng = np.random.default_rng(0)
    parts = ("critic", "target", "actor", "actor_target")
    return replace(state, **{name: moved(getattr(state, name), rng) for name in parts})


@cache
def trained(name):
    """Three updates: metrics, and parameters at the end."""
    algo = DDPG(**SMALL | VARIANTS[name])
    state, update, metrics = fresh(), jax.jit(algo.update), []
    for key in KEYS:
        state, row = update(state, random_batch(key, BATCH, OBS, ACT), key)
        metrics.append({name: float(value) for name, value in row.items()})
    critics = layers_of_critic(state.critic), layers_of_critic(state.target)
    return metrics, [*critics, layers_of_actor(state.actor), layers_of_actor(state.actor_target)]


class ByHand:
    """Algorithm 1 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault = algo, fault
        self.critic, self.target = layers_of_critic(state.critic), layers_of_critic(state.target)
        self.actor, self.actor_target = layers_of_actor(state.actor), layers_of_actor(state.actor_target)
        self.critic_adam = Adam([self.critic], algo.learning_rate, algo.weight_decay)
        self.actor_adam = Adam(self.actor, algo.actor_learning_rate)

    def update(self, batch):
        follow = self.actor if self.fault == "online actor" else self.actor_target
        value = self.critic if self.fault == "online critic" else self.target
        next_action = np.tanh(forward(follow, batch.next_obs)[0])
        bootstrap = forward(value, np.concatenate([batch.next_obs, next_action], 1))[0][:, 0]
        m = 1.0 if self.fault == "terminal" else batch.discount
        y = self.algo.reward_scale * batch.reward + self.algo.discount * m * bootstrap
        loss, gradients, q_mean = regression([self.critic], batch.obs, batch.action, y)
        (self.critic,) = self.critic_adam.step([self.critic], gradients)

        outputs, saved = forward(self.actor, batch.obs)
        action = np.tanh(outputs)
        q, slope = action_gradient(self.critic, batch.obs, action)
        gradients, _ = backward(self.actor, saved, -slope * (1 - action**2) / len(q))
        self.actor = self.actor_adam.step(self.actor, gradients)
        mix = lambda new, old: old + self.algo.polyak * (new - old)
        self.target = jax.tree.map(mix, self.critic, self.target)
        if self.fault != "frozen actor":
            self.actor_target = jax.tree.map(mix, self.actor, self.actor_target)
        return {"critic_loss": loss, "q_mean": q_mean, "target_mean": y.mean(), "actor_loss": -q.mean()}


def distance(name, fault=""):
    """The largest difference in a metric, and in a parameter, to the same updates by hand."""
    by_hand, off = ByHand(DDPG(**SMALL | VARIANTS[name]), fresh(), fault), []
    metrics, parameters = trained(name)
    for key, row in zip(KEYS, metrics, strict=True):
        batch = float64(random_batch(key, BATCH, OBS, ACT))
        assert 0 < batch.discount.sum() < BATCH
        expected = by_hand.update(batch)
        assert row.keys() == expected.keys()
        off.append(np.max([abs(row[name] - value) for name, value in expected.items()]))
    hand = [by_hand.critic, by_hand.target, by_hand.actor, by_hand.actor_target]
    worst = jax.tree.map(lambda a, b: np.abs(a - b).max(), parameters, hand)
    return np.max(off), np.max(jax.tree.leaves(worst))  # a NaN stays one


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand the targets are numbers, so this also shows that no gradient flows through them."""
    metrics, parameters = distance(name)
    assert metrics < 5e-5
    assert parameters < 5e-6


@pytest.mark.parametrize("fault", ["online actor", "online critic", "terminal", "frozen actor"])
def test_a_mistake_in_the_update_shows(fault):
    metrics, parameters = distance("default", fault)
    assert metrics > 1e-2
    assert parameters > 1e-3


def test_who_acts_when(key):
    """The target actor in Bellman's equation, the actor in evaluation, with normal noise in exploration."""
    algo, state = DDPG(**SMALL), fresh()
    obs = jax.random.normal(key, (OBS,))
    np.testing.assert_array_equal(algo.policy(state, obs, key), state.actor_target(obs))
    np.testing.assert_array_equal(algo.exploit(state, obs, key), state.actor(obs))
    explore = jax.jit(
        lambda algo: jax.vmap(lambda k: algo.explore(state, obs, k))(jax.random.split(key, 4000))
    )
    mean = np.asarray(state.actor(obs), float)
    actions = np.asarray(explore(algo), float)
    inside = (np.abs(mean) < 0.4) & (np.abs(actions) < 1).all(0)
    assert inside.any()
    squares = (actions - mean)[:, inside].ravel() ** 2
    assert mean_test(squares, 0.1**2) > THRESHOLD
    assert mean_test(squares, 0.12**2) < THRESHOLD, "another spread"
    loud = np.asarray(explore(replace(algo, exploration_noise=5.0)))
    assert np.abs(loud).max() == 1.0
    quiet = np.asarray(explore(replace(algo, exploration_noise=0.0)))
    np.testing.assert_allclose(quiet, np.broadcast_to(mean, quiet.shape), rtol=1e-6)


def test_fresh_targets_equal_the_online_networks_without_sharing_them():
    state = DDPG(**SMALL).init(jax.random.key(0), jnp.zeros(OBS), jnp.zeros(ACT))
    online, slow = (state.critic, state.actor), (state.target, state.actor_target)
    for x, y in zip(jax.tree.leaves(online), jax.tree.leaves(slow), strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.unsafe_buffer_pointer() != y.unsafe_buffer_pointer()


def test_defaults_are_those_of_the_fair_code():
    algo = DDPG()
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
    }
    assert {field.name: getattr(algo, field.name) for field in dataclasses.fields(algo)} == expected
