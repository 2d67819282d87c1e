"""DQS: updates and sampling against NumPy by hand, readings of the paper, temperatures, entropy, defaults, switches."""

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
    action_gradient,
    apart,
    differences,
    float64,
    joined,
    polyak,
    regression,
    smaller,
    three_updates,
    twins_of,
)

from softq.algorithms import DQS
from softq.algorithms.common.targets import bootstrap
from softq.diffusion.scores import SCORE_ESTIMATORS
from softq.diffusion.truncated_normal import truncated_normal
from softq.testing.probe import random_batch
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace

BATCH, NUM = 8, 4
SMALL = {
    "hidden_sizes": (6, 6),
    "learning_rate": 0.01,
    "actor_learning_rate": 0.02,
    "polyak": 0.1,
    "discount": 0.9,
    "temperature": 0.5,
    "sigma_min": 0.05,
    "num_steps": 3,
    "num_samples": NUM,
}
VARIANTS = {
    "default": {},
    "jacobian": {"jacobian": True, "temperature_decay": 0.1, "decay_updates": 4.0, "temperature_spread": 2.0},
    "box": {
        "space": "reflect",
        "estimator": "qne",
        "truncate": True,
        "predict": "noise",
        "condition": False,
        "reward_scale": 0.7,
    },
}


@cache
def initial(condition):
    init = DQS(**SMALL, condition=condition).init
    return jax.jit(init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))


def fresh(algo):
    """A state whose targets and biases differ from the online networks and from zero."""
    state = apart(initial(algo.condition), critic=0.3, target=0.3, actor=0.1)
    return replace(state, log_scale=jnp.asarray(0.2))


def learned(state):
    return [twins_of(state.critic), twins_of(state.target), float64(dict(state.actor.params))]


# Updates, by hand


@pytree
class Stubbed(DQS):
    """A known next action."""

    def policy(self, state, obs, key):
        return jnp.tanh(obs[:ACT])


@partial(jax.jit, static_argnums=0)
def draws(name, key, x):
    """Of one actor step: times and shifts of the temperature `(B,)`, forward noises `(B, d)`, noises of Q's actions."""
    algo = DQS(**SMALL | VARIANTS[name])

    def one(x, key):
        for_time, for_noise, for_estimate, for_spread = jax.random.split(key, 4)
        tau = jax.random.uniform(for_time)
        sigma, z = algo.schedule().noise(tau), jax.random.normal(for_noise, (ACT,))
        noisy = x + sigma * z
        if algo.truncate:
            eps = truncated_normal(for_estimate, (-1 - noisy) / sigma, (1 - noisy) / sigma, NUM)
        else:
            eps = jax.random.normal(for_estimate, (NUM, ACT))
        return tau, jax.random.uniform(for_spread, minval=-1.0), z, eps

    _, for_actor, _ = jax.random.split(key, 3)
    return jax.vmap(one)(x, jax.random.split(jax.random.split(for_actor)[1], BATCH))


class ByHand:
    """Algorithm 1 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, name, algo, state, fault=""):
        self.name, self.algo, self.fault = name, algo, fault
        self.critic, self.target, _ = learned(state)
        self.actor = ScoreByHand(state.actor)
        self.scale = np.exp(float(state.log_scale))
        self.critic_adam = Adam(self.critic, algo.learning_rate)
        self.actor_adam = Adam(self.actor.params, algo.actor_learning_rate)

    def learned(self):
        return [self.critic, self.target, self.actor.params]

    def looser(self):
        return [*jax.tree.map(np.ones_like, (self.critic, self.target)), self.actor_adam.looser]

    def temperature(self):
        done = min(self.actor_adam.count / self.algo.decay_updates, 1)
        return self.algo.temperature * self.algo.temperature_decay**done * self.scale

    def update(self, batch, key):
        algo, now = self.algo, self.temperature()
        twins = self.critic if self.fault == "online" else self.target
        value = smaller(twins, batch.next_obs, np.tanh(batch.next_obs[:, :ACT]))
        y = algo.reward_scale * batch.reward + algo.discount * batch.discount * value
        loss, gradients, q_mean = regression(self.critic, batch.obs, batch.action, y)
        self.critic = self.critic_adam.step(self.critic, gradients)
        actor_loss = self.actor_step(batch, key, now)
        self.target = polyak(self.critic, self.target, algo.polyak)
        return {
            "critic_loss": loss,
            "q_mean": q_mean,
            "target_mean": y.mean(),
            "actor_loss": actor_loss,
            "temperature": now,
        }

    def actor_step(self, batch, key, now):
        algo, tanh = self.algo, self.algo.space == "tanh"
        x = np.arctanh(np.clip(batch.action, -0.999, 0.999)) if tanh else batch.action
        tau, shift, z, eps = float64(draws(self.name, key, jnp.float32(x)))
        sigma = (algo.sigma_min * (algo.sigma_max / algo.sigma_min) ** tau)[:, None]
        temperature = now * algo.temperature_spread**shift
        noisy = x + sigma * z
        points = (noisy[:, None] + sigma[:, None] * eps).reshape(-1, ACT)
        actions = np.tanh(points) if tanh else np.clip(points, -1, 1)
        pairs = [action_gradient(layers, np.repeat(batch.obs, NUM, 0), actions) for layers in self.critic]
        (value, slope), hot = joined(pairs), np.repeat(temperature, NUM)
        hot = np.ones_like(hot) if self.fault == "temperature" else hot
        if tanh:
            slope = slope * (1 - actions**2)
        if algo.jacobian:
            value = value - 2 * hot * np.log(np.cosh(points)).sum(1)  # log(1 - tanh^2), with all its digits
            slope = slope - 2 * hot[:, None] * actions
        logits = (value / hot).reshape(BATCH, NUM)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        weights = (weights / weights.sum(1, keepdims=True))[:, :, None]
        by_slope = np.sum(weights * (slope / hot[:, None]).reshape(BATCH, NUM, ACT), 1)
        target = by_slope if algo.estimator == "idem" else np.sum(weights * eps, 1) / sigma
        target = -sigma * target if algo.predict == "noise" else target
        told = np.stack([tau, temperature] if algo.condition else [tau], 1)
        error = self.actor.outputs(batch.obs, noisy, told) - target
        self.actor.params = self.actor_adam.step(self.actor.params, self.actor.gradients(2 * error / BATCH))
        return np.mean(np.sum(error**2, 1))


@cache
def trained(name):
    algo = Stubbed(**SMALL | VARIANTS[name])
    return three_updates(algo, fresh(algo), BATCH, learned)


def distance(name, fault=""):
    algo = Stubbed(**SMALL | VARIANTS[name])
    return differences(trained(name), ByHand(name, algo, fresh(algo), fault), BATCH)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand the targets are numbers, so this also shows that no gradient flows through them."""
    metrics, parameters = distance(name)
    assert metrics < 5e-3
    assert parameters < 2e-3


@pytest.mark.parametrize("fault", ["online", "temperature"])
def test_a_mistake_in_the_update_shows(fault):
    """Bootstrap from the online critics; a score without the temperature, as line 13 prints it."""
    metrics, parameters = distance("default", fault)
    assert metrics > 2e-2
    assert parameters > 5e-3


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        ("qsm", {}),
        ("idem", {"truncate": True, "boundary": True}),
        ("combined", {"truncate": True, "boundary": True}),
    ],
)
def test_the_actor_regresses_to_the_estimator_that_is_named(estimator, options, key):
    """The loss of a step, from the estimator called directly; the box's options change it."""
    algo = DQS(**SMALL, space="reflect", estimator=estimator, **options)
    state, batch = fresh(algo), random_batch(key, BATCH, OBS, ACT)

    @jax.jit
    def expected(key):
        def one(obs, action, key):
            for_time, for_noise, for_estimate, _ = jax.random.split(key, 4)
            tau = jax.random.uniform(for_time)
            sigma, now = algo.schedule().noise(tau), algo.in_force(state)
            noisy = action + sigma * jax.random.normal(for_noise, (ACT,))
            q = state.critic.at(obs)
            score = SCORE_ESTIMATORS[estimator](for_estimate, q, now, noisy, 1.0, sigma, NUM, **options)
            return jnp.sum((state.actor(obs, noisy, jnp.stack([tau, now])) - score) ** 2)

        keys = jax.random.split(jax.random.split(key)[1], BATCH)
        return jnp.mean(jax.vmap(one)(batch.obs, batch.action, keys))

    _, metrics = jax.jit(algo.improve)(state, batch.obs, key, batch.action)
    assert float(metrics["actor_loss"]) == pytest.approx(float(expected(key)), rel=1e-4)


def test_the_backup_is_that_of_its_name(key):
    """No entropy by default; "soft" is a log-sum-exp of the target critics."""
    algo = Stubbed(**SMALL, backup="soft", num_value_samples=5)
    state, batch = fresh(algo), random_batch(key, BATCH, OBS, ACT)
    keys, now = jax.random.split(key, BATCH), algo.in_force(state)

    def one(obs, key):
        return bootstrap("soft", key, state.target.at(obs), ACT, now, 5, None)

    expected = batch.reward + 0.9 * batch.discount * jax.jit(jax.vmap(one))(batch.next_obs, keys)
    soft = jax.jit(algo.targets)(state, batch, key)
    np.testing.assert_allclose(soft, expected, atol=1e-5)
    plain = jax.jit(replace(algo, backup="boltzmann").targets)(state, batch, key)
    assert np.abs(plain - soft).max() > 0.1


# Sampling


@pytest.mark.parametrize("space", ["tanh", "printed", "reflect", "project"])
def test_the_sample_is_equation_3_by_hand(space, key):
    algo = DQS(**SMALL, space=space, stop=0.25, sigma_max=4.0)
    state, obs = fresh(algo), np.array([0.3, -0.5, 1.0])
    sampled = jax.jit(algo.sample)(state, jnp.float32(obs), key, 0.3)
    first, drive = jax.random.split(key)
    network, x = ScoreByHand(state.actor), 4 * np.asarray(jax.random.normal(first, (ACT,)), float)
    steps = np.asarray(jax.random.normal(drive, (3, ACT)), float)
    for tau, z in zip((1.0, 0.75, 0.5), steps, strict=True):
        g2 = 2 * np.log(80) * (0.05 * 80**tau) ** 2
        score = network.outputs(obs[None], x[None], np.array([[tau, 0.3]]))[0]
        x = x + g2 * score * 0.25 + np.sqrt(g2 * 0.25) * z
    assert np.abs(x).max() > 1
    folded = np.abs((x - 1) % 4 - 2) - 1
    final = {"tanh": np.tanh(x), "printed": np.tanh(x), "reflect": folded, "project": np.clip(x, -1, 1)}
    np.testing.assert_allclose(sampled, final[space], atol=2e-3)


def test_the_actor_reads_the_temperature_if_told_to(key):
    state, several = fresh(DQS(**SMALL)), jax.random.normal(key, (20, OBS))
    options = {"temperature_spread": 2.0, "space": "reflect"}  # tanh may end on a wall at both temperatures
    sample = jax.jit(jax.vmap(DQS(**SMALL, **options).policy, (None, 0, None, None)))
    assert np.abs(sample(state, several, key, 0.3) - sample(state, several, key, 0.6)).max() > 1e-3
    with pytest.raises(SoftqError, match="trained at one temperature"):
        DQS(**SMALL, condition=False).policy(state, several[0], key, 0.3)


def test_walls_need_a_space_that_has_them():
    for option in ("truncate", "boundary"):
        with pytest.raises(SoftqError, match="choose a space other than 'tanh'"):
            DQS(**{option: True})


# Temperature and entropy


def test_the_temperature_of_the_maze():
    """10 to 1, exponentially over the updates that the actor has made, and 1 from then on."""
    algo = DQS(temperature=10.0, temperature_decay=0.1, decay_updates=200.0)
    state = replace(initial(True), log_scale=jnp.zeros(()))
    for count, expected in ((0, 10.0), (100, 10**0.5), (200, 1.0), (999, 1.0)):
        adam = state.actor_optimiser[0]._replace(count=jnp.asarray(count))
        at = replace(state, actor_optimiser=(adam, *state.actor_optimiser[1:]))
        assert float(algo.in_force(at)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("excess", [0.5, -0.5])
def test_the_temperature_rises_when_the_entropy_is_too_low(excess):
    algo = DQS(**SMALL)
    state = fresh(algo)
    after = algo.adjust(state, jnp.asarray(-ACT - excess))
    assert float(after.log_scale - state.log_scale) == pytest.approx(0.01 * np.sign(excess), rel=1e-3)


@pytest.mark.parametrize("variance", [0.3, 0.05])
def test_the_likelihood_of_a_normal_law(variance, key):
    """Its exact score in place of the network's: log pi up to the stated bias of the part beyond sigma_max."""

    @pytree
    class Normal(DQS):
        variance: float = 1.0

        def score(self, state, obs, temperature):
            return lambda x, tau: -x / (self.variance + self.schedule().noise(tau) ** 2)

    algo = Normal(space="reflect", sigma_min=1e-3, num_levels=60, num_noises=8000, variance=variance)
    actions = jnp.array([[0.0], [0.2], [-0.6]])
    got = jax.jit(jax.vmap(lambda a, k: algo.log_prob(None, None, a, k, 1.0)))(
        actions, jax.random.split(key, 3)
    )
    square = np.asarray(actions, float)[:, 0] ** 2
    exact = -0.5 * np.log(2 * np.pi * variance) - square / (2 * variance)
    # beyond sigma_max the law is taken for N(0, sigma^2), in which the action is nothing: quadrature of the difference
    sigma2 = np.exp(np.linspace(0, 25, 200_001))
    true = (variance / (variance + sigma2)) ** 2 + square[:, None] * sigma2 / (variance + sigma2) ** 2
    assumed = square[:, None] / sigma2
    bias = np.trapezoid((true - assumed) / 2, np.log(sigma2), axis=1)
    np.testing.assert_allclose(got, exact + bias, atol=0.04)
    stated = -(variance - np.log1p(variance)) / 2
    mean = np.trapezoid((variance / (variance + sigma2) - variance / sigma2) / 2, np.log(sigma2))
    assert mean == pytest.approx(stated, abs=1e-4)


def test_the_density_of_the_action_has_tanhs_slope(key):
    """In the space "tanh", log pi(a) = log p(x) - sum log(1 - a^2), x = arctanh(a)."""
    algo, inside = DQS(**SMALL), DQS(**SMALL, space="reflect")
    state, obs, x = fresh(algo), jnp.ones(OBS), jnp.array([0.4, -0.8])
    of_x = jax.jit(inside.log_prob)(state, obs, x, key, 0.5)
    of_a = jax.jit(algo.log_prob)(state, obs, jnp.tanh(x), key, 0.5)
    assert float(of_a - of_x) == pytest.approx(-np.log(1 - np.tanh([0.4, -0.8]) ** 2).sum(), abs=1e-3)


def test_tuning_follows_the_entropy(key):
    """The temperature moves against the excess of the entropy that the metrics report."""
    algo = DQS(**SMALL, tune=True, num_levels=3)
    state = fresh(algo)
    after, metrics = jax.jit(algo.update)(state, random_batch(key, BATCH, OBS, ACT), key)
    moved_by = float(after.log_scale - state.log_scale)
    assert moved_by == pytest.approx(-0.01 * np.sign(float(metrics["entropy"]) + ACT), rel=1e-3)


def test_defaults_are_those_of_the_paper():
    expected = {
        "temperature": 0.05,
        "temperature_decay": 1.0,
        "decay_updates": 250_000.0,
        "temperature_spread": 1.0,
        "target_entropy": -1.0,
        "sigma_min": 1e-5,
        "sigma_max": 1.0,
        "stop": 0.0,
        "discount": 0.99,
        "learning_rate": 3e-4,
        "actor_learning_rate": 3e-4,
        "action_gain": 1.0,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "num_steps": 1000,
        "num_samples": 1000,
        "space": "tanh",
        "jacobian": False,
        "estimator": "idem",
        "truncate": False,
        "boundary": False,
        "predict": "score",
        "condition": True,
        "backup": "boltzmann",
        "num_value_samples": 100,
        "tune": False,
        "tune_by": "policy",
        "num_levels": 20,
        "num_noises": 2,
        "hidden_sizes": (256, 256),
        "activation": "relu",
    }
    algo = DQS()
    assert {field.name: getattr(algo, field.name) for field in dataclasses.fields(algo)} == expected
