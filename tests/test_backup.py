"""What a Bellman target bootstraps with: exact biases of the log-sum-exps, DDSQ's targets with each, what contracts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import forward, layers_of_critic, moved
from scipy.special import logsumexp

from softq import landscapes
from softq.algorithms import DDSQ
from softq.algorithms.common.targets import BACKUPS, bootstrap, mellowmax
from softq.exact.boltzmann import Boltzmann
from softq.exact.importance import Importance
from softq.samplers import snis
from softq.testing import THRESHOLD, mean_test
from softq.testing.probe import random_batch
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace

OBS, ACT, NUM = 3, 2, 8


@pytest.mark.parametrize("name", ["spike1", "quad2"])
def test_log_sum_exps_have_their_exact_bias(name, key):
    """16 uniform actions, temperature 0.1: unbiased before the logarithm, and after it too low by what theory says."""
    q, temperature, num = landscapes.get(name), 0.1, 16
    law = Boltzmann(q, temperature)
    bias = temperature * Importance.of(law).log_mean_bias(num)
    value = lambda backup, k: bootstrap(backup, k, q, q.dim, temperature, num, lambda key: jnp.zeros(q.dim))
    keys = jax.random.split(key, 50_000)
    soft, mellow = (
        np.asarray(x, float) for x in jax.jit(jax.vmap(lambda k: [value(b, k) for b in BACKUPS[1:]]))(keys)
    )
    exact, volume = temperature * law.log_partition, temperature * q.dim * np.log(2)
    assert bias < -0.005
    assert mean_test(soft, exact + bias) > THRESHOLD
    assert mean_test(mellow, exact - volume + bias) > THRESHOLD
    assert mean_test(soft, exact) < THRESHOLD, "no bias"
    assert mean_test(soft, exact - volume + bias) < THRESHOLD, "the other backup"
    ratio = np.exp((soft - exact) / temperature)
    assert mean_test(ratio, 1.0) > THRESHOLD
    assert mean_test(ratio, 1.03) < THRESHOLD
    assert mellow.max() <= law.maximum


def test_boltzmann_is_q_at_the_policys_action(key):
    """With a policy that samples the softmax, its mean is E_pi[Q]."""
    q, temperature = landscapes.get("twomode1"), 0.3
    draw = partial(snis, q=q, dim=1, temperature=temperature, num_candidates=200)
    keys = jax.random.split(key, 20_000)
    one = lambda k: (bootstrap("boltzmann", k, q, 1, temperature, 1, draw), q(draw(k)))
    values, direct = (np.asarray(x, float) for x in jax.jit(jax.vmap(one))(keys))
    exact = Boltzmann(q, temperature).mean_value
    assert mean_test(values, exact) > THRESHOLD
    assert mean_test(values, exact + 0.01) < THRESHOLD
    np.testing.assert_array_equal(values, direct)


def test_only_log_sum_exps_cannot_stretch_a_distance():
    """Over the same actions: mellowmax never moves further than its values do; the softmax average can, manyfold."""
    rng = np.random.default_rng(0)
    values = np.zeros((200, 100))
    values[:, 0] = rng.uniform(0, 12, 200)  # one good action among a hundred
    other = values - rng.uniform(0, 1, (200, 100))
    other[:, 0] = values[:, 0] + 1
    distance = np.abs(values - other).max(1)
    mellow = lambda x: np.asarray(jax.vmap(lambda v: mellowmax(v, 1.0))(jnp.asarray(x, jnp.float32)), float)
    assert (np.abs(mellow(values) - mellow(other)) <= distance + 1e-5).all()
    weights = lambda x: np.exp(x - logsumexp(x, axis=1, keepdims=True))
    average = lambda x: (weights(x) * x).sum(1)
    assert (np.abs(average(values) - average(other)) / distance).max() > 1.5


def test_unknown_backup(key):
    with pytest.raises(SoftqError, match=r"unknown backup 'softt'.*Did you mean 'soft'"):
        bootstrap("softt", key, jnp.sum, 1, 1.0, 4, lambda key: jnp.zeros(1))


# DDSQ with each of them


@pytree
class Stubbed(DDSQ):
    """DDSQ with a known next action."""

    def policy(self, state, obs, key):
        return jnp.tanh(obs[:ACT])


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("backup", BACKUPS)
def test_targets_of_ddsq(backup, normalise, key):
    """In float64: the temperature is lambda_0, or lambda_0 times the spread of the target critics over candidates."""
    algo = Stubbed(
        hidden_sizes=(6, 5),
        activation="relu",
        num_candidates=NUM,
        temperature=0.3,
        backup=backup,
        normalise=normalise,
    )
    state = jax.jit(lambda key: algo.init(key, jnp.zeros(OBS), jnp.zeros(ACT)))(jax.random.key(5))
    rng = np.random.default_rng(0)
    state = replace(state, critic=moved(state.critic, rng), target=moved(state.target, rng))
    batch = random_batch(key, 6, OBS, ACT)
    layers = [layers_of_critic(state.target, twin) for twin in (0, 1)]

    def q(obs, actions):
        inputs = np.concatenate([np.broadcast_to(obs, (len(actions), OBS)), actions], 1)
        return np.minimum(*(forward(one, inputs)[0][:, 0] for one in layers))

    def value(obs, key):
        if backup == "boltzmann":
            return q(obs, np.tanh(obs[None, :ACT]))[0]
        values = q(obs, np.asarray(jax.random.uniform(key, (NUM, ACT), minval=-1.0), float))
        temperature = 0.3 * (values.std() if normalise else 1)
        integral = (
            logsumexp(values / temperature) - np.log(NUM) + (ACT * np.log(2) if backup == "soft" else 0)
        )
        return temperature * integral

    keys = jax.random.split(key, 6)
    values = np.array([value(np.asarray(o, float), k) for o, k in zip(batch.next_obs, keys, strict=True)])
    expected = batch.reward + 0.99 * batch.discount * values
    np.testing.assert_allclose(jax.jit(algo.targets)(state, batch, key), expected, rtol=2e-5, atol=2e-5)
