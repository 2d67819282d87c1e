"""SAC: three updates against NumPy by hand, both densities, the temperature, defaults and switches."""

import dataclasses
from functools import cache, partial

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
    gelu,
    joined,
    layers_of_actor,
    polyak,
    regression,
    relu,
    smaller,
    three_updates,
    twins_of,
)

from softq.algorithms import SAC
from softq.networks import TanhGaussian

BATCH = 16
SMALL = {"hidden_sizes": (6, 5), "learning_rate": 0.01, "polyak": 0.1, "discount": 0.9}


@cache
def fresh(algo):
    """A state whose targets and biases differ from the online networks and from zero."""
    state = jax.jit(algo.init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    return apart(state, critic=0.3, target=0.3, actor=0.1)


def learned(state):
    critics = twins_of(state.critic), twins_of(state.target)
    return [*critics, layers_of_actor(state.actor), float(state.log_temperature)]


def noises(key):
    """The normal numbers of one update `(B, ACT)`: for the targets, and for the actor."""
    draw = jax.vmap(lambda k: jax.random.normal(k, (ACT,)))
    return [np.asarray(draw(jax.random.split(k, BATCH)), np.float64) for k in jax.random.split(key)]


class ByHand:
    """Algorithm 1 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault = algo, fault
        self.activation = {"relu": relu, "gelu": gelu}[algo.activation]
        self.critic, self.target, self.actor, self.log_alpha = learned(state)
        adam = partial(Adam, rate=algo.learning_rate)
        self.adams = adam(self.critic), adam(self.actor), adam(self.log_alpha)

    def learned(self):
        return [self.critic, self.target, self.actor, self.log_alpha]

    def act(self, obs, noise):
        """Actions, log-densities, and what the gradient needs."""
        outputs, saved = forward(self.actor, obs, self.activation)
        mean, log_std = outputs[:, :ACT], outputs[:, ACT:]
        free = (log_std < self.algo.log_std_max) | (self.fault == "ceiling")
        log_std = np.where(free, log_std, self.algo.log_std_max)
        u = mean + np.exp(log_std) * noise
        log_prob = -(noise**2) / 2 - log_std - np.log(2 * np.pi) / 2
        if self.algo.jacobian and self.fault != "jacobian":
            # log(1 - tanh(u)^2) would lose its digits near the walls
            log_prob = log_prob + 2 * np.log(np.cosh(u))
        return np.tanh(u), log_prob.sum(1), (saved, log_std, free)

    def targets(self, batch, noise):
        action, log_prob, _ = self.act(batch.next_obs, noise)
        twins = self.critic if self.fault == "online" else self.target
        value = smaller(twins, batch.next_obs, action, self.activation)
        entropy = -log_prob if self.fault != "sign" else log_prob
        soft = value + np.exp(self.log_alpha) * entropy
        return self.algo.reward_scale * batch.reward + self.algo.discount * batch.discount * soft

    def actor_step(self, obs, noise):
        alpha = np.exp(self.log_alpha)
        action, log_prob, (saved, log_std, free) = self.act(obs, noise)
        pairs = [action_gradient(layers, obs, action, self.activation) for layers in self.critic]
        value, slope = joined(pairs, self.algo.actor_value)
        from_density = 2 * alpha * action if self.algo.jacobian and self.fault != "jacobian" else 0.0
        by_u = from_density - slope * (1 - action**2)
        by_log_std = free * (by_u * np.exp(log_std) * noise - alpha)
        gradients, _ = backward(self.actor, saved, np.concatenate([by_u, by_log_std], 1) / len(obs))
        self.actor = self.adams[1].step(self.actor, gradients)
        return np.mean(alpha * log_prob - value), log_prob

    def update(self, batch, key):
        for_target, for_actor = noises(key)
        in_force, y = np.exp(self.log_alpha), self.targets(batch, for_target)
        loss, gradients, q_mean = regression(self.critic, batch.obs, batch.action, y, self.activation)
        self.critic = self.adams[0].step(self.critic, gradients)
        actor_loss, log_prob = self.actor_step(batch.obs, for_actor)
        if self.algo.tune:
            excess = log_prob.mean() + ACT * self.algo.target_entropy
            self.log_alpha = self.adams[2].step(self.log_alpha, -np.exp(self.log_alpha) * excess)
        if self.fault != "frozen":
            self.target = polyak(self.critic, self.target, self.algo.polyak)
        return {
            "critic_loss": loss,
            "q_mean": q_mean,
            "target_mean": y.mean(),
            "actor_loss": actor_loss,
            "entropy": -log_prob.mean(),
            "temperature": in_force,
        }


VARIANTS = {
    "default": {},
    "defect": {"jacobian": False, "actor_value": "mean", "reward_scale": 0.2, "temperature": float(np.e)},
    "port": SAC.port | {"hidden_sizes": (6, 5), "log_std_max": 0.0},  # a ceiling that these networks reach
    "fixed": {"tune": False, "temperature": 0.3, "target_entropy": -0.5},
}


@cache
def trained(name):
    algo = SAC(**SMALL | VARIANTS[name])
    return three_updates(algo, fresh(algo), BATCH, learned)


def distance(name, fault=""):
    algo = SAC(**SMALL | VARIANTS[name])
    return differences(trained(name), ByHand(algo, fresh(algo), fault), BATCH, floor=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand the targets are numbers, so this also shows that no gradient flows through them."""
    metrics, parameters = distance(name)
    assert metrics < 5e-5
    assert parameters < 5e-6


@pytest.mark.parametrize("fault", ["jacobian", "sign", "online", "frozen", "ceiling"])
def test_a_mistake_in_the_update_shows(fault):
    """No Jacobian, entropy of the wrong sign, bootstrap from the online critics, targets that stay, no ceiling."""
    metrics, parameters = distance("port" if fault == "ceiling" else "default", fault)
    assert metrics > 100 * 5e-5
    assert parameters > 1e-3


@pytest.mark.parametrize("excess", [0.5, -0.5])
def test_the_temperature_rises_when_the_entropy_is_too_low(excess):
    """The entropy is minus the mean of log pi, its target -1 an action coordinate."""
    algo = SAC(**SMALL)
    state = fresh(algo)
    after = jax.jit(algo.adjust)(state, np.float32(-ACT - excess))
    assert float(after.log_temperature) - float(state.log_temperature) == pytest.approx(
        0.01 * np.sign(excess), rel=1e-3
    )


def test_without_the_jacobian_the_target_entropy_is_a_standard_deviation_of_0_089(key):
    """At std = exp(-1) / sqrt(2 pi e) before tanh the temperature rests, wherever the mean is."""
    std = np.exp(-1) / np.sqrt(2 * np.pi * np.e)
    assert std == pytest.approx(0.0890, abs=5e-5)
    noise = np.random.default_rng(0).normal(size=(4000, 1))
    noise = np.float32(noise / np.sqrt(np.mean(noise**2)))

    @jax.jit
    def log_densities(mean):
        law = TanhGaussian(jnp.full(1, mean), jnp.full(1, jnp.log(std)))
        _, before_tanh = jax.vmap(partial(law.push, jacobian=False))(noise)
        return before_tanh, jax.vmap(law.push)(noise)[1]

    for mean in (0.0, 2.0):
        before_tanh, of_the_action = log_densities(mean)
        assert float(before_tanh.mean()) == pytest.approx(1.0, abs=1e-4)
        slope = np.log(1 - np.tanh(mean + std * np.asarray(noise, float)) ** 2).mean()
        assert float(of_the_action.mean()) == pytest.approx(1.0 - slope, abs=1e-3)


def test_exploit_is_the_mean_and_policy_a_draw(key):
    algo = SAC(**SMALL)
    state, obs = fresh(algo), jax.random.normal(key, (OBS,))

    @jax.jit
    def actions():
        exploited, mean = algo.exploit(state, obs, key), jnp.tanh(state.actor.outputs(obs)[:ACT])
        sampled = state.actor.at(obs).sample(key)[0]
        return exploited, mean, algo.policy(state, obs, key), sampled, algo.explore(state, obs, key)

    exploited, mean, drawn, sampled, explored = actions()
    np.testing.assert_allclose(exploited, mean, rtol=1e-6)
    np.testing.assert_array_equal(drawn, sampled)
    np.testing.assert_array_equal(drawn, explored)


def test_fresh_targets_equal_the_online_networks_without_sharing_them():
    state = SAC(**SMALL).init(jax.random.key(0), jnp.zeros(OBS), jnp.zeros(ACT))
    for x, y in zip(jax.tree.leaves(state.critic), jax.tree.leaves(state.target), strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.unsafe_buffer_pointer() != y.unsafe_buffer_pointer()


def test_defaults_are_those_of_the_paper():
    algo = SAC()
    expected = {
        "temperature": 1.0,
        "target_entropy": -1.0,
        "discount": 0.99,
        "learning_rate": 3e-4,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "hidden_sizes": (256, 256),
        "activation": "relu",
        "tune": True,
        "actor_value": "min",
        "jacobian": True,
        "log_std_max": 2.0,
    }
    assert {field.name: getattr(algo, field.name) for field in dataclasses.fields(algo)} == expected


def test_the_port_has_its_settings():
    """Typed from the DPRL code: relax/network/sac.py and blocks.py, scripts/train_mujoco.py."""
    port = dataclasses.asdict(SAC(**SAC.port))
    assert port["hidden_sizes"] == (256, 256, 256) and port["activation"] == "gelu"
    assert port["temperature"] == pytest.approx(np.e) and port["reward_scale"] == 0.2
    assert not port["jacobian"] and port["log_std_max"] == 0.5
    unchanged = dataclasses.asdict(SAC())
    assert {name for name, value in port.items() if value != unchanged[name]} == SAC.port.keys()
