"""Actors against NumPy, and the density of the tanh-Gaussian against quadrature and its exact law."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import forward, layers_of_actor, moved
from scipy import stats

from softq.box import log_tanh_slope
from softq.networks import DeterministicActor, GaussianActor, TanhGaussian
from softq.testing import THRESHOLD
from softq.utils.errors import SoftqError

OBS, ACT = 3, 2
CLOSE = partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-6)


def made(cls, hidden_sizes=(6, 5), **kwargs):
    create = partial(cls.create, hidden_sizes=hidden_sizes, **kwargs)
    actor = jax.jit(create)(jax.random.key(3), np.zeros(OBS), np.zeros(ACT))
    return moved(actor, np.random.default_rng(0))


def law(mean, std):
    return TanhGaussian(np.asarray(mean, np.float32), np.log(np.asarray(std, np.float32)))


@jax.jit
def log_probs(law, actions):
    return jax.vmap(law.log_prob)(actions)


# Networks


def test_both_actors_are_the_network_that_they_say(key):
    obs = jax.random.normal(key, (4, OBS))
    actor = made(DeterministicActor)
    by_hand, _ = forward(layers_of_actor(actor), np.asarray(obs, float))
    CLOSE(jax.jit(jax.vmap(actor))(obs), np.tanh(by_hand))
    actor = made(GaussianActor)
    by_hand, _ = forward(layers_of_actor(actor), np.asarray(obs, float))
    laws = jax.jit(jax.vmap(actor.at))(obs)
    CLOSE(laws.mean, by_hand[:, :ACT])
    CLOSE(laws.log_std, by_hand[:, ACT:])
    CLOSE(laws.mode, np.tanh(by_hand[:, :ACT]))


def test_first_weights_are_those_of_the_critics():
    """Truncated at two standard deviations of 1 / sqrt(fan-in), which fits no other layer here; biases zero."""
    create = partial(GaussianActor.create, hidden_sizes=(100, 200))
    actor = jax.jit(create)(jax.random.key(0), np.zeros(50), np.zeros(20))
    for (weights, biases), fan_in in zip(layers_of_actor(actor), (50, 100, 200), strict=True):
        assert weights.shape[0] == fan_in
        assert (biases == 0).all()
        assert 1.9 < np.abs(weights).max() * fan_in**0.5 <= 2.0 + 1e-6
        assert weights.std() * fan_in**0.5 == pytest.approx(stats.truncnorm(-2, 2).std(), rel=0.05)


def test_log_std_is_clipped_and_then_stays(key):
    """Far outside the data the outputs of a wide network are large; exp of them would not be finite."""
    sizes, obs = (64, 64), 1e8 * np.array([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, 0, -1.0]])
    actor = made(GaussianActor, sizes)
    laws = jax.jit(jax.vmap(actor.at))(obs)
    assert set(np.unique(laws.log_std)) == {-20.0, 2.0}
    lower = jax.jit(jax.vmap(actor.at, (0, None)))(obs, 0.5)
    assert set(np.unique(lower.log_std)) == {-20.0, 0.5}
    slope = jax.jit(jax.grad(lambda actor: actor.at(obs[0]).log_std.sum()))(actor)
    assert all(np.abs(x).max() == 0 for x in jax.tree.leaves(slope))


def test_bad_architectures_are_refused():
    with pytest.raises(SoftqError, match=r"unknown activation 'rely'.*Did you mean 'relu'"):
        made(DeterministicActor, activation="rely")
    with pytest.raises(SoftqError, match="hidden_sizes must be positive widths"):
        GaussianActor.create(jax.random.key(0), jnp.zeros(OBS), jnp.zeros(ACT), ())


# The density

LAWS = {"narrow": (0.3, 0.1), "wide": (-0.2, 0.8), "two peaks": (0.0, 1.2)}


@pytest.mark.parametrize("name", LAWS)
def test_density_integrates_to_one(name):
    """Over u = arctanh(a), where nothing is steep; the density before tanh does not integrate to one over a."""
    mean, std = LAWS[name]
    u = np.linspace(mean - 6.5 * std, mean + 6.5 * std, 4001)
    u = u[np.abs(u) < 5]  # beyond, a in single precision is too coarse; the mass there is below 4e-5
    a, du = np.tanh(u), u[1] - u[0]
    density = np.exp(log_probs(law([mean], [std]), a[:, None]))
    assert np.sum(density * (1 - a**2)) * du == pytest.approx(1.0, abs=2e-4)
    exact = stats.norm.pdf(u, mean, std) / (1 - a**2)
    np.testing.assert_allclose(density, exact, rtol=5e-3, atol=1e-5)
    assert abs(np.sum(stats.norm.pdf(u, mean, std) * (1 - a**2)) * du - 1) > 1e-2


def test_log_density_of_a_push_is_the_change_of_variables(key):
    """Three coordinates: a product, so a sum of logarithms; and `log_prob` of the pushed action agrees."""
    mean, std = np.array([0.3, -1.0, 2.0]), np.array([0.5, 1.0, 0.2])
    noise = np.asarray(jax.random.normal(key, (50, 3)), float)
    the_law = law(mean, std)
    action, log_prob = jax.jit(jax.vmap(the_law.push))(noise)
    u = mean + std * noise
    exact = (stats.norm.logpdf(u, mean, std) - np.log(1 - np.tanh(u) ** 2)).sum(1)
    CLOSE(action, np.tanh(u))
    np.testing.assert_allclose(log_prob, exact, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(log_probs(the_law, action), exact, rtol=1e-3, atol=5e-3)
    _, before_tanh = jax.jit(jax.vmap(partial(the_law.push, jacobian=False)))(noise)
    np.testing.assert_allclose(before_tanh, stats.norm.logpdf(u, mean, std).sum(1), rtol=1e-5, atol=1e-5)


def test_samples_follow_the_law(key):
    mean, std = 0.4, 0.7
    the_law = law([mean], [std])
    draws, _ = jax.jit(lambda key: jax.vmap(the_law.sample)(jax.random.split(key, 20_000)))(key)
    cdf = lambda m, s: lambda a: stats.norm.cdf((np.arctanh(a) - m) / s)
    draws = np.asarray(draws, float)[:, 0]
    assert stats.kstest(draws, cdf(mean, std)).pvalue > THRESHOLD
    assert stats.kstest(draws, cdf(mean, std * 1.1)).pvalue < THRESHOLD
    assert stats.kstest(draws, cdf(mean + 0.05, std)).pvalue < THRESHOLD
    assert np.mean(draws < the_law.mode.item()) == pytest.approx(0.5, abs=0.02)


def test_density_in_the_tails():
    """At u = 20 tanh rounds to one and 1 - tanh^2 to zero; the logarithm of the slope is 2 log 2 - 2u all the same."""
    u = np.array([-40.0, -20.0, -3.0, 0.0, 3.0, 20.0, 40.0])
    exact = -2 * np.logaddexp(u, -u) + 2 * np.log(2)
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(log_tanh_slope)))(u)
    np.testing.assert_allclose(value, exact, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(slope, -2 * np.tanh(u), rtol=1e-5, atol=1e-6)
    assert np.tanh(np.float32(20)) == 1
