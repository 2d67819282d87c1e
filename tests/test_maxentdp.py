"""MaxEntDP: updates and likelihood against NumPy by hand, the bias of its entropy, samplers, temperature, defaults."""

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
    ScoreByHand,
    apart,
    differences,
    float64,
    polyak,
    regression,
    smaller,
    three_updates,
    twins_of,
)

from softq.algorithms import MaxEntDP
from softq.algorithms.maxentdp import SCHEDULE
from softq.diffusion import ancestral, probability_flow
from softq.diffusion.truncated_normal import truncated_normal
from softq.utils.pytree import pytree, replace

BATCH, NUM = 8, 4
SMALL = {
    "hidden_sizes": (6, 5),
    "critic_activation": "relu",
    "learning_rate": 0.01,
    "actor_learning_rate": 0.02,
    "polyak": 0.1,
    "discount": 0.9,
    "temperature": 0.5,
    "num_steps": 3,
    "num_samples": NUM,
    "num_noises": 2,
    "num_actions": 3,
}


@cache
def initial():
    return jax.jit(MaxEntDP(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))


def fresh(algo):
    """A state whose targets and biases differ from the online networks and from zero."""
    state = apart(initial(), critic=0.3, target=0.3, actor=0.1)
    optimiser = algo.actor_adam().init(state.actor.params)
    return replace(state, actor_optimiser=optimiser, log_scale=jnp.asarray(0.2))


def learned(state):
    critics = twins_of(state.critic), twins_of(state.target)
    return [*critics, float64(dict(state.actor.params)), float(state.log_scale)]


# Updates, by hand


@pytree
class Stubbed(MaxEntDP):
    """Known next actions and log-densities."""

    def policy(self, state, obs, key):
        return jnp.tanh(obs[:ACT])

    def log_prob(self, state, obs, action, key):
        return jnp.sum(obs) + action[0]


@partial(jax.jit, static_argnums=2)
def draws(key, action, truncate):
    """Times `(B,)`, forward noises `(B, d)` and the noises that Q weighs `(B, K, d)` of the actor step with `key`."""

    def one(action, key):
        for_time, for_noise, for_estimate = jax.random.split(key, 3)
        t = jax.random.uniform(for_time, minval=SCHEDULE.t_min, maxval=SCHEDULE.t_max)
        s, n, z = SCHEDULE.signal(t), SCHEDULE.noise(t), jax.random.normal(for_noise, (ACT,))
        noisy = s * action + n * z
        low, high = (-s - noisy) / n, (s - noisy) / n
        free = jax.random.normal(for_estimate, (NUM, ACT))
        return t, z, truncated_normal(for_estimate, low, high, NUM) if truncate else free

    return jax.vmap(one)(action, jax.random.split(jax.random.split(key)[1], BATCH))


class ByHand:
    """Algorithm 1 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault = algo, fault
        self.critic, self.target, _, self.log_scale = learned(state)
        self.actor = ScoreByHand(state.actor)
        self.critic_adam = Adam(self.critic, algo.learning_rate)
        self.actor_adam = Adam(self.actor.params, algo.actor_learning_rate)
        self.temperature_adam = Adam(self.log_scale, algo.learning_rate)

    def learned(self):
        return [self.critic, self.target, self.actor.params, self.log_scale]

    def looser(self):
        critics = jax.tree.map(np.ones_like, (self.critic, self.target))
        return [*critics, self.actor_adam.looser, 1.0]

    def update(self, batch, key):
        algo, beta = self.algo, self.algo.temperature * np.exp(self.log_scale)
        action = np.tanh(batch.next_obs[:, :ACT])
        log_prob = batch.next_obs.sum(1) + action[:, 0]
        twins = self.critic if self.fault == "online" else self.target
        value = smaller(twins, batch.next_obs, action)
        soft = value - beta * (log_prob if self.fault != "sign" else -log_prob)
        y = algo.reward_scale * batch.reward + algo.discount * batch.discount * soft
        loss, gradients, q_mean = regression(self.critic, batch.obs, batch.action, y)
        self.critic = self.critic_adam.step(self.critic, gradients)
        averaged = polyak(self.critic, self.target, algo.polyak)
        self.target = self.target if self.fault == "late" else averaged
        actor_loss = self.actor_step(batch, key, beta)
        self.target = averaged
        if algo.tune:
            excess = -log_prob.mean() - ACT * algo.target_entropy
            self.log_scale = self.temperature_adam.step(self.log_scale, beta * excess)
        return {
            "critic_loss": loss,
            "q_mean": q_mean,
            "target_mean": y.mean(),
            "actor_loss": actor_loss,
            "entropy": -log_prob.mean(),
            "temperature": beta,
        }

    def actor_step(self, batch, key, beta):
        """The target is minus the noises' weighted mean: they point from the noisy action to the clean one."""
        t, z, eps = float64(draws(jax.random.split(key)[1], jnp.float32(batch.action), self.algo.truncate))
        signal, noise = (
            np.asarray(f(jnp.float32(t)), float)[:, None] for f in (SCHEDULE.signal, SCHEDULE.noise)
        )
        noisy = signal * batch.action + noise * z
        clean = (noisy[:, None] + noise[:, None] * eps) / signal[:, None]
        clean = np.clip(clean, -1, 1) if self.algo.truncate else clean
        twins = self.critic if self.algo.guide == "online" else self.target
        obs = np.repeat(batch.obs, NUM, 0)
        q = smaller(twins, obs, clean.reshape(-1, ACT)).reshape(BATCH, NUM)
        weights = np.exp((q - q.max(1, keepdims=True)) / beta)
        weights /= weights.sum(1, keepdims=True)
        target = -np.sum(weights[:, :, None] * eps, 1)
        target = -target if self.fault == "noise" else target
        log_snr = 2 * (np.log(signal) - np.log(noise))
        error = self.actor.outputs(batch.obs, noisy, log_snr) - target
        adam = self.actor_adam
        if self.algo.decay == "cosine":
            done = min(adam.count / self.algo.decay_updates, 1)
            adam.rate = self.algo.actor_learning_rate * (1 + np.cos(np.pi * done)) / 2
        self.actor.params = adam.step(self.actor.params, self.actor.gradients(2 * error / BATCH))
        return np.mean(np.sum(error**2, 1))


VARIANTS = {
    "default": {},
    "code": {"guide": "target", "decay": "cosine", "decay_updates": 4.0, "reward_scale": 0.7},
    "tuned": {"tune": True, "truncate": False, "target_entropy": -0.5},
}


@cache
def trained(name):
    algo = Stubbed(**SMALL | VARIANTS[name])
    return three_updates(algo, fresh(algo), BATCH, learned)


def distance(name, fault=""):
    algo = Stubbed(**SMALL | VARIANTS[name])
    return differences(trained(name), ByHand(algo, fresh(algo), fault), BATCH, floor=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand the targets are numbers, so this also shows that no gradient flows through them."""
    metrics, parameters = distance(name)
    assert metrics < 2e-4
    assert parameters < 2e-4


@pytest.mark.parametrize("fault", ["sign", "online", "noise", "late"])
def test_a_mistake_in_the_update_shows(fault):
    """Entropy or noise of the wrong sign, bootstrap from the online critics as line 14 prints it.

    "late": the noise network asks the targets of the update before, unlike the code.
    """
    metrics, parameters = distance("code" if fault == "late" else "default", fault)
    assert metrics > (1e-3 if fault == "late" else 1e-2)
    assert parameters > 1e-3


def test_when_the_targets_are_averaged_matters_to_the_code_alone():
    """With the paper's guide, the online critics, both orders are one."""
    assert distance("default", "late") == distance("default")


@pytest.mark.parametrize("excess", [0.5, -0.5])
def test_the_temperature_rises_when_the_entropy_is_too_low(excess):
    algo = MaxEntDP(**SMALL)
    state = fresh(algo)
    after = algo.adjust(state, jnp.asarray(-ACT - excess))
    assert float(after.log_scale - state.log_scale) == pytest.approx(0.01 * np.sign(excess), rel=1e-3)


# The law


def noise_by_hand(state, obs):
    """The network's noise at any action and time, in float64."""
    network = ScoreByHand(state.actor)

    def noise_of(a, t):
        signal, noise = float(SCHEDULE.signal(t)), float(SCHEDULE.noise(t))
        log_snr = np.array([[2 * np.log(signal / noise)]])
        return network.outputs(np.asarray(obs, float)[None], a[None], log_snr)[0]

    return noise_of


@pytest.mark.parametrize("clip", [False, True])
def test_the_likelihood_is_equation_21(clip, key):
    """With the noises given: levels even in time, each cell by its noisier end; and with the code's clip."""
    algo = MaxEntDP(**SMALL, clip_x0=clip)
    state, obs, action = fresh(algo), jnp.array([0.3, -0.5, 1.0]), jnp.array([0.4, -0.9])
    got = float(jax.jit(algo.log_prob)(state, obs, action, key))
    t = np.linspace(1e-3, 0.9946, 4)
    u = np.asarray(SCHEDULE.signal(jnp.float32(t)), float) ** 2
    noises = np.asarray(jax.random.normal(key, (3, 2, ACT)), float)
    noise_of, total = noise_by_hand(state, obs), -ACT / 2 * np.log(2 * np.pi * np.e)
    for i in (1, 2, 3):
        errors = []
        for eps in noises[i - 1]:
            noisy = np.sqrt(u[i]) * np.asarray(action, float) + np.sqrt(1 - u[i]) * eps
            predicted = noise_of(noisy, t[i])
            if clip:
                clean = np.clip((noisy - np.sqrt(1 - u[i]) * predicted) / np.sqrt(u[i]), -1, 1)
                predicted = (noisy - np.sqrt(u[i]) * clean) / np.sqrt(1 - u[i])
            errors.append(np.sum((eps - predicted) ** 2))
        total += (u[i - 1] - u[i]) / (u[i] * (1 - u[i])) / 2 * (ACT * u[i] - np.mean(errors))
    assert got == pytest.approx(total, rel=1e-3)
    if clip:
        unclipped = float(jax.jit(replace(algo, clip_x0=False).log_prob)(state, obs, action, key))
        assert abs(unclipped - got) > 0.01


BIAS = {"left": (-0.0848, -0.4144, -1.1843), "log_snr": (-0.0002, -0.0022, -0.0218)}


@pytest.mark.parametrize("rule", BIAS)
def test_the_bias_of_the_entropy(rule):
    """The mean of log pi over a normal law of variance v, with the noise network that is best for it.

    Equation 66 in closed form for the numbers: d u - mse(u) is u - v s / (1 + v s), s the signal-to-noise ratio.
    """

    @pytree
    class Normal(MaxEntDP):
        variance: float = 1.0

        def noise_of(self, state, obs):
            best = lambda s, n: n / (n**2 + s**2 * self.variance)
            return lambda a, t: best(SCHEDULE.signal(t), SCHEDULE.noise(t)) * a

    algo = Normal(rule=rule, paired=rule != "left", num_noises=400)

    @jax.jit
    def bias(algo, key):
        action = jax.random.normal(key, (500, 1))
        action = action * jnp.sqrt(algo.variance / jnp.mean(action**2))  # the mean depends on this alone
        log_prob = lambda a, k: algo.log_prob(None, None, a, k)
        exact = -0.5 * jnp.log(2 * jnp.pi * jnp.e * algo.variance)
        return jnp.mean(jax.vmap(log_prob)(action, jax.random.split(key, 500))) - exact

    for variance, expected in zip((0.1, 0.01, 0.001), BIAS[rule], strict=True):
        got = bias(replace(algo, variance=variance), jax.random.key(1))
        assert float(got) == pytest.approx(expected, abs=0.01)


def test_the_policy_samples_as_it_is_told(key):
    """The ancestral chain, or the flow, of the network's noise."""
    algo = MaxEntDP(**SMALL)
    state, obs, keys = fresh(algo), jnp.array([0.3, -0.5, 1.0]), jax.random.split(key, 16)
    every = lambda sample: jax.jit(jax.vmap(sample))(keys)
    network = lambda a, t: state.actor(obs, a, jnp.atleast_1d(SCHEDULE.log_snr(t)))
    chain = every(lambda key: ancestral(key, network, ACT, SCHEDULE, 3))
    np.testing.assert_allclose(every(lambda key: algo.policy(state, obs, key)), chain, atol=1e-5)
    score = lambda a, t: -network(a, t) / SCHEDULE.noise(t)
    flow = every(lambda key: probability_flow(key, score, ACT, SCHEDULE, 3, final="project"))
    ode = replace(algo, sampling="ode")
    np.testing.assert_allclose(every(lambda key: ode.policy(state, obs, key)), flow, atol=1e-5)
    assert np.abs(flow - chain).max() > 0.01  # a single pair may end in the same corner


def test_exploit_keeps_the_best_by_the_target_critics(key):
    algo = MaxEntDP(**SMALL)
    state, obs = fresh(algo), jnp.array([0.3, -0.5, 1.0])
    draws = jax.jit(jax.vmap(lambda k: algo.policy(state, obs, k)))(jax.random.split(key, 3))
    values = [[float(jnp.min(critic(obs, a))) for a in draws] for critic in (state.target, state.critic)]
    best = jax.jit(algo.exploit)(state, obs, key)
    np.testing.assert_allclose(best, draws[np.argmax(values[0])], atol=1e-6)


def test_defaults_are_those_of_the_paper():
    expected = {
        "temperature": 0.1,
        "target_entropy": -1.0,
        "discount": 0.99,
        "learning_rate": 3e-4,
        "actor_learning_rate": 3e-4,
        "action_gain": 1.0,
        "decay_updates": 2e6,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "num_steps": 20,
        "num_samples": 500,
        "num_noises": 50,
        "num_actions": 10,
        "sampling": "ancestral",
        "variance": "beta",
        "estimator": "qne",
        "entropy_backup": True,
        "guide": "online",
        "truncate": True,
        "rule": "left",
        "paired": False,
        "clip_x0": False,
        "decay": "constant",
        "tune": False,
        "tune_by": "policy",
        "hidden_sizes": (256, 256),
        "activation": "mish",
        "critic_activation": "mish",
    }
    algo = MaxEntDP()
    assert {field.name: getattr(algo, field.name) for field in dataclasses.fields(algo)} == expected
