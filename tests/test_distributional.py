"""The critic of a law of the return: outputs by hand, slopes against the likelihood of a normal law, its landscape."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import forward, layers_of_critic, mish, moved
from scipy import stats

from softq.networks import DistributionalCritic
from softq.networks.distributional import EPSILON, slopes

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
