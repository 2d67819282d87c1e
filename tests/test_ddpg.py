"""DDPG: three updates against NumPy by hand, acting, defaults and switches."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import (
    ACT,
    OBS,
    Adam,
    action_gradient,
    apart,
    backward,
    differences,
    forward,
    layers_of_actor,
    layers_of_critic,
    polyak,
    regression,
    three_updates,
    value,
)

from softq.algorithms import DDPG
from softq.testing import THRESHOLD, mean_test
from softq.utils.flat_settings import flat
from softq.utils.pytree import replace

BATCH = 16
SMALL = {
    "hidden_sizes": (6, 5),
    "learning_rate": 0.02,
    "actor_learning_rate": 0.01,
    "polyak": 0.1,
    "discount": 0.9,
}
VARIANTS = {"default": {}, "paper": {"weight_decay": 0.1, "reward_scale": 0.7}}


@cache
def fresh():
    """A state whose targets and biases differ from the online networks and from zero."""
    state = jax.jit(DDPG(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    return apart(state, actor=0.3, actor_target=0.3)


def learned(state):
    critic, actor = state.critic, state.actor
    critics = layers_of_critic(critic.network), layers_of_critic(critic.target)
    return [*critics, layers_of_actor(actor.network), layers_of_actor(actor.target)]


@cache
def trained(name):
    return three_updates(DDPG(**SMALL | VARIANTS[name]), fresh(), BATCH, learned)


class ByHand:
    """Algorithm 1 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault = algo, fault
        self.critic, self.target, self.actor, self.actor_target = learned(state)
        self.critic_adam = Adam([self.critic], algo.learning_rate, algo.weight_decay)
        self.actor_adam = Adam(self.actor, algo.actor_learning_rate)

    def learned(self):
        return [self.critic, self.target, self.actor, self.actor_target]

    def update(self, batch):
        follow = self.actor if self.fault == "online actor" else self.actor_target
        critic = self.critic if self.fault == "online critic" else self.target
        next_action = np.tanh(forward(follow, batch.next_obs)[0])
        bootstrap = value(critic, batch.next_obs, next_action)
        m = 1.0 if self.fault == "terminal" else batch.discount
        y = self.algo.reward_scale * batch.reward + self.algo.discount * m * bootstrap
        loss, gradients, q_mean = regression([self.critic], batch.obs, batch.action, y)
        (self.critic,) = self.critic_adam.step([self.critic], gradients)

        outputs, saved = forward(self.actor, batch.obs)
        action = np.tanh(outputs)
        q, slope = action_gradient(self.critic, batch.obs, action)
        gradients, _ = backward(self.actor, saved, -slope * (1 - action**2) / len(q))
        self.actor = self.actor_adam.step(self.actor, gradients)
        self.target = polyak(self.critic, self.target, self.algo.polyak)
        if self.fault != "frozen actor":
            self.actor_target = polyak(self.actor, self.actor_target, self.algo.polyak)
        return {"critic_loss": loss, "q_mean": q_mean, "target_mean": y.mean(), "actor_loss": -q.mean()}


def distance(name, fault=""):
    return differences(trained(name), ByHand(DDPG(**SMALL | VARIANTS[name]), fresh(), fault), BATCH)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand the targets are numbers, so this also shows that no gradient flows through them."""
    metrics, parameters = distance(name)
    assert metrics < 5e-5
    assert parameters < 5e-6


@pytest.mark.parametrize("fault", ["online actor", "online critic", "terminal", "frozen actor"])
def test_a_mistake_in_the_update_shows(fault):
    metrics, parameters = distance("default", fault)
    assert metrics > 100 * 5e-5
    assert parameters > 1e-3


def test_who_acts_when(key):
    """The target actor in Bellman's equation, the actor in evaluation, with normal noise in exploration."""
    algo, state = DDPG(**SMALL), fresh()
    several = jax.random.normal(key, (100, OBS))
    # the walls are far from its mean
    obs = np.asarray(several)[np.argmin(np.abs(jax.jit(state.actor.network.__call__)(several)).max(1))]
    policy, exploit, slow, fast = jax.jit(
        lambda obs: (
            algo.policy(state, obs, key),
            algo.exploit(state, obs, key),
            state.actor.target(obs),
            state.actor.network(obs),
        )
    )(obs)
    np.testing.assert_array_equal(policy, slow)
    np.testing.assert_array_equal(exploit, fast)
    explore = jax.jit(
        lambda algo: jax.vmap(lambda k: algo.explore(state, obs, k))(jax.random.split(key, 4000))
    )
    mean = np.asarray(fast, float)
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
    online, slow = ([getattr(x, name) for x in (state.critic, state.actor)] for name in ("network", "target"))
    for x, y in zip(jax.tree.leaves(online), jax.tree.leaves(slow), strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.unsafe_buffer_pointer() != y.unsafe_buffer_pointer()


def test_defaults_are_those_of_the_fair_code():
    """Typed from OurDDPG.py and main.py of Fujimoto's TD3 repository."""
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
    assert flat(DDPG()) == expected
