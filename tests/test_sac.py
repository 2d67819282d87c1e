"""SAC: three updates against NumPy by hand, both densities, the temperature, defaults and switches."""

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
    layers_of_actor,
    normals,
    polyak,
    reduced,
    regression,
    relu,
    smaller,
    three_updates,
    twins_of,
)
from small import with_preset

from softq.algorithms import SAC
from softq.algorithms.common.temperature import Temperature
from softq.networks import TanhGaussian
from softq.training import TrainConfig
from softq.utils.flat_settings import fields_from, flat
from softq.utils.pytree import replace

BATCH = 16
TEMPERATURE = Temperature(1.0, "sac", learning_rate=0.01)
SMALL = {
    "hidden_sizes": (6, 5),
    "learning_rate": 0.01,
    "polyak": 0.1,
    "discount": 0.9,
    "temperature": TEMPERATURE,
}


@cache
def fresh(algo):
    """A state whose targets and biases differ from the online networks and from zero."""
    state = jax.jit(algo.init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    return apart(state, actor=0.1)


def learned(state):
    critics = twins_of(state.critic.network), twins_of(state.critic.target)
    return [*critics, layers_of_actor(state.actor.network), float(state.temperature.log_scale)]


class ByHand:
    """Algorithm 1 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault = algo, fault
        self.activation = {"relu": relu, "gelu": gelu}[algo.activation]
        self.critic, self.target, self.actor, self.log_scale = learned(state)
        adam = partial(Adam, rate=algo.learning_rate)
        self.adams = adam(self.critic), adam(self.actor), Adam(self.log_scale, algo.temperature.learning_rate)

    def learned(self):
        return [self.critic, self.target, self.actor, self.log_scale]

    @property
    def alpha(self):
        return self.algo.temperature.value * np.exp(self.log_scale)

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
        soft = value + self.alpha * entropy
        return self.algo.reward_scale * batch.reward + self.algo.discount * batch.discount * soft

    def actor_step(self, obs, noise):
        alpha = self.alpha
        action, log_prob, (saved, log_std, free) = self.act(obs, noise)
        pairs = [action_gradient(layers, obs, action, self.activation) for layers in self.critic]
        value, slope = reduced(pairs)
        from_density = 2 * alpha * action if self.algo.jacobian and self.fault != "jacobian" else 0.0
        by_u = from_density - slope * (1 - action**2)
        by_log_std = free * (by_u * np.exp(log_std) * noise - alpha)
        gradients, _ = backward(self.actor, saved, np.concatenate([by_u, by_log_std], 1) / len(obs))
        self.actor = self.adams[1].step(self.actor, gradients)
        return np.mean(alpha * log_prob - value), log_prob

    def update(self, batch):
        noise = normals(ACT)
        alpha, y = self.alpha, self.targets(batch, noise)
        loss, gradients, q_mean = regression(self.critic, batch.obs, batch.action, y, self.activation)
        self.critic = self.adams[0].step(self.critic, gradients)
        actor_loss, log_prob = self.actor_step(batch.obs, noise)
        if self.algo.temperature.rule == "sac":
            excess = -log_prob.mean() - ACT * self.algo.temperature.target_entropy
            self.log_scale = self.adams[2].step(self.log_scale, alpha * excess)
        if self.fault != "frozen":
            self.target = polyak(self.critic, self.target, self.algo.polyak)
        return {
            "critic_loss": loss,
            "q_mean": q_mean,
            "target_mean": y.mean(),
            "actor_loss": actor_loss,
            "entropy": -log_prob.mean(),
            "temperature": alpha,
        }


VARIANTS = {
    "default": {},
    "defect": {
        "jacobian": False,
        "reward_scale": 0.2,
        "temperature": replace(TEMPERATURE, value=float(np.e)),
    },
    # the port's ceiling at one that these networks reach
    "port": fields_from(SAC.presets["port"], SAC, TrainConfig) | {"hidden_sizes": (6, 5), "log_std_max": 0.0},
    "fixed": {"temperature": Temperature(0.3)},
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
        exploited, mean = algo.exploit(state, obs, key), jnp.tanh(state.actor.network.outputs(obs)[:ACT])
        sampled = state.actor.network.at(obs).sample(key)[0]
        return exploited, mean, algo.policy(state, obs, key), sampled, algo.explore(state, obs, key)

    exploited, mean, drawn, sampled, explored = actions()
    np.testing.assert_allclose(exploited, mean, rtol=1e-6)
    np.testing.assert_array_equal(drawn, sampled)
    np.testing.assert_array_equal(drawn, explored)


def test_fresh_targets_equal_the_online_networks_without_sharing_them():
    state = SAC(**SMALL).init(jax.random.key(0), jnp.zeros(OBS), jnp.zeros(ACT))
    for x, y in zip(*map(jax.tree.leaves, (state.critic.network, state.critic.target)), strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.unsafe_buffer_pointer() != y.unsafe_buffer_pointer()


def test_defaults_are_those_of_the_paper():
    """Typed from Table 1 of Haarnoja et al. (2018), and log_std_max from the official code."""
    expected = {
        "temperature": 1.0,
        "temperature_rule": "sac",
        "target_entropy": -1.0,
        "temperature_learning_rate": 3e-4,
        "temperature_every": 1,
        "discount": 0.99,
        "learning_rate": 3e-4,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "hidden_sizes": (256, 256),
        "activation": "relu",
        "jacobian": True,
        "log_std_max": 2.0,
    }
    assert flat(SAC()) == expected


def test_the_port_has_its_settings():
    """Typed from the DPRL code: relax/network/sac.py and blocks.py, scripts/train_mujoco.py."""
    port = flat(with_preset(SAC, "port"))
    assert port["hidden_sizes"] == (256, 256, 256) and port["activation"] == "gelu"
    assert port["temperature"] == pytest.approx(np.e) and port["reward_scale"] == 0.2
    assert not port["jacobian"] and port["log_std_max"] == 0.5
    changed = {name for name, value in port.items() if value != flat(SAC())[name]}
    assert changed | {"num_envs", "warmup"} == SAC.presets["port"].keys()
