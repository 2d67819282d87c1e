"""The critic of a law of the return: outputs by hand, slopes against the likelihood of a normal law, its landscape."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import forward, layers_of_critic, mish, moved
from scipy import stats

from softq.networks import DistributionalCritic
from softq.networks.distributional import EPSILON, huber_slopes, slopes

OBS, ACT = 3, 2


@cache
def critic():
    create = lambda key: DistributionalCritic.create(key, jnp.zeros(OBS), jnp.zeros(ACT), (6, 5))
    return moved(jax.jit(create)(jax.random.key(1)), np.random.default_rng(0))


def test_the_law_is_that_of_two_perceptrons():
    rng = np.random.default_rng(1)
    obs, action = (rng.normal(size=(9, n)).astype(np.float32) for n in (OBS, ACT))

    @jax.jit
    def look(critic, obs, action):
        return critic.law(obs, action), critic(obs, action), critic.at(obs)(action)

    (means, stds), both, least = jax.vmap(look, (None, 0, 0))(critic(), obs, action)
    x = np.concatenate([obs, action], 1).astype(float)
    outputs = np.stack([forward(layers_of_critic(critic(), twin), x, mish)[0] for twin in (0, 1)], 1)
    np.testing.assert_allclose(means, outputs[:, :, 0], atol=1e-5)
    np.testing.assert_allclose(stds, np.log1p(np.exp(outputs[:, :, 1])), atol=1e-5)
    np.testing.assert_allclose(both, means, atol=1e-6)
    np.testing.assert_allclose(least, np.asarray(means).min(1), atol=1e-6)
    np.testing.assert_array_equal(critic().mean_std, [-1, -1])


@pytest.mark.parametrize("spread", [0.4, 30.0])
def test_slopes_are_those_of_the_likelihood(spread):
    """Times the running variance, with EPSILON in each denominator; a draw counts up to three running deviations."""
    means, stds, targets = np.array([0.3, -2.0]), np.array([0.7, 1.6]), np.array([1.1, 4.0])
    by_mean, by_std = slopes(
        *(jnp.asarray(x, jnp.float32) for x in (means, stds, targets)), jnp.full(2, spread)
    )
    drawn = np.clip(targets[1], means - 3 * spread, means + 3 * spread)
    loss = lambda m, s, y: -stats.norm.logpdf(y, m, s)
    slope = lambda f, x: (f(x + 1e-5) - f(x - 1e-5)) / 2e-5
    in_mean = slope(lambda m: loss(m, stds, targets[0]), means)
    in_std = slope(lambda s: loss(means, s, drawn), stds)
    scale = spread**2 + EPSILON
    np.testing.assert_allclose(by_mean, scale * in_mean * stds**2 / (stds**2 + EPSILON), rtol=1e-4)
    np.testing.assert_allclose(by_std, scale * in_std * stds**3 / (stds**3 + EPSILON), rtol=1e-4)
    assert (drawn != targets[1]).any() == (spread < 1)


@pytest.mark.parametrize(("spread", "ratios"), [(0.4, (0.27, 0.1)), (1.5, (3.8, 0.85)), (30.0, (10.0, 10.0))])
def test_the_slopes_of_flow_rl_have_limits(spread, ratios):
    """Against differences of its loss, in the errors and deviations that it does not hold fixed."""
    means, stds = np.array([0.3, -2.0]), np.array([0.7, 1.6])

    def huber(error):
        return np.where(abs(error) <= 50, error**2 / 2, 50 * (abs(error) - 25))

    def loss(m, s):
        off = np.clip(targets[1] - means, -3 * spread, 3 * spread)
        ratio = np.clip(spread**2 / (stds**2 + 0.1), 0.1, 10)
        return ratio * (huber(m - targets[0]) + s * (stds**2 - huber(off)) / (stds + 0.1))

    for targets in (np.array([1.1, 4.0]), np.array([200.0, -200.0])):
        given = (jnp.asarray(x, jnp.float32) for x in (means, stds, targets, np.full(2, spread)))
        by_mean, by_std = huber_slopes(*given)
        in_mean = (loss(means + 1e-4, stds) - loss(means - 1e-4, stds)) / 2e-4
        in_std = (loss(means, stds + 1e-4) - loss(means, stds - 1e-4)) / 2e-4
        np.testing.assert_allclose(by_mean, in_mean, rtol=1e-4)
        np.testing.assert_allclose(by_std, in_std, rtol=1e-4)
    np.testing.assert_allclose(by_mean, -50 * np.array(ratios), rtol=0.02)


def test_flow_rl_aims_at_half_the_variance():
    """Where the mean slope by the deviation is 0, for draws of deviation 2: at a deviation of 1.41."""
    draws = 2 * stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    targets = jnp.stack([jnp.zeros(4000), jnp.asarray(draws, jnp.float32)], 1)

    def mean_slope(rule, std):
        one = lambda targets: rule(jnp.zeros(1), jnp.full(1, std), targets, jnp.full(1, 10.0))[1][0]
        return float(jnp.mean(jax.vmap(one)(targets)))

    half = 2 * 0.5**0.5
    assert mean_slope(huber_slopes, 0.99 * half) < 0 < mean_slope(huber_slopes, 1.01 * half)
    assert mean_slope(slopes, 1.98) < 0 < mean_slope(slopes, 2.02)
