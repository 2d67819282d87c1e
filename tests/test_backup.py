"""The three backups: exact biases of the log-sum-exps, DDSQ's targets with each, what contracts."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import ACT, OBS, apart, float64, known_draws, smaller, some_batch, twins_of, uniforms
from scipy.special import logsumexp

from softq import landscapes
from softq.algorithms import DDSQ, LQL
from softq.algorithms.common.targets import Backup, best_action, mellowmax
from softq.exact.boltzmann import Boltzmann
from softq.exact.importance import Importance
from softq.experiments.exact_critic import fit
from softq.samplers import snis
from softq.testing import THRESHOLD, mean_test
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree

NUM = 8
BACKUPS = get_args(Backup)


def next_values(algo, q, keys):
    """What `algo` adds for a next state in which Q is `q`, once for each key."""
    state = fit(algo, q, jax.random.key(0), 0, 1)
    one = lambda key: algo.next_value(state, jnp.ones(1), key)[0]
    return np.asarray(jax.jit(jax.vmap(one))(keys), float)


@pytest.mark.parametrize("name", ["spike1", "quad2"])
def test_log_sum_exps_have_their_exact_bias(name, key):
    """16 uniform actions, temperature 0.1: unbiased before the logarithm, and after it too low by what theory says."""
    q, temperature, num = landscapes.get(name), 0.1, 16
    law = Boltzmann(q, temperature)
    bias = temperature * Importance.of(law).log_mean_bias(num)
    lql = lambda backup: LQL(
        temperature=temperature, unit_slope=False, backup=backup, num_value_samples=num, hidden_sizes=(4,)
    )
    keys = jax.random.split(key, 50_000)
    soft, mellow = (next_values(lql(backup), q, keys) for backup in ("soft", "mellowmax"))
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


@pytree
class Candidates(LQL):
    """A policy that samples the softmax of the critic, by 200 candidates."""

    def policy(self, state, obs, key):
        return snis(key, state.critic.network.at(obs), 1, self.current_temperature(state), 200)


def test_boltzmann_is_q_at_the_policys_action(key):
    """With a policy that samples the softmax, its mean is E_pi[Q]."""
    q, temperature = landscapes.get("twomode1"), 0.3
    algo, keys = Candidates(temperature=temperature, hidden_sizes=(4,)), jax.random.split(key, 20_000)
    values, state = next_values(algo, q, keys), fit(algo, q, key, 0, 1)
    exact = Boltzmann(q, temperature).mean_value
    assert mean_test(values, exact) > THRESHOLD
    assert mean_test(values, exact + 0.01) < THRESHOLD
    direct = jax.jit(jax.vmap(lambda k: q(algo.policy(state, jnp.ones(1), k))))(keys)
    np.testing.assert_array_equal(values, np.asarray(direct, float))


def test_the_best_action_is_where_q_is_largest():
    actions = jnp.linspace(-1, 1, 9)[:, None]
    assert float(best_action(lambda a: -jnp.sum((a - 0.3) ** 2), actions)[0]) == 0.25


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


def test_unknown_backup():
    with pytest.raises(SoftqError, match=r"unknown backup 'softt'.*Did you mean 'soft'"):
        DDSQ(backup="softt")


# DDSQ with each of them


@pytree
class Stubbed(DDSQ):
    """DDSQ with a known next action."""

    def policy(self, state, obs, key):
        return jnp.tanh(obs[:ACT])


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("backup", BACKUPS)
def test_targets_of_ddsq(backup, relative, key):
    """In float64: the temperature is lambda_0, or lambda_0 times the spread of the target critics over candidates."""
    algo = Stubbed(
        hidden_sizes=(6, 5),
        activation="relu",
        num_candidates=NUM,
        temperature=0.3,
        backup=backup,
        relative=relative,
    )
    state = apart(jax.jit(lambda key: algo.init(key, jnp.zeros(OBS), jnp.zeros(ACT)))(jax.random.key(5)))
    twins, batch = twins_of(state.critic.target), some_batch(key, 6)

    def value(obs):
        if backup == "boltzmann":
            return smaller(twins, obs, np.tanh(obs[None, :ACT]))[0]
        values = smaller(twins, obs, 2 * uniforms(NUM, ACT) - 1)
        temperature = 0.3 * (values.std() if relative else 1)
        volume = ACT * np.log(2) if backup == "soft" else 0
        return temperature * (logsumexp(values / temperature) - np.log(NUM) + volume)

    exact = float64(batch)
    expected = exact.reward + 0.99 * exact.discount * np.array([value(obs) for obs in exact.next_obs])
    with known_draws():
        targets, _ = jax.jit(lambda state, batch: algo.targets(state, batch, key))(state, batch)
    np.testing.assert_allclose(targets, expected, rtol=2e-5, atol=2e-5)
