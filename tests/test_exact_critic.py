"""A known critic, and SAC's actor fitted to it against the best tanh-Gaussian by quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from softq import landscapes
from softq.algorithms import DDPG, LQL, SAC, State
from softq.algorithms.common.learner import Learner
from softq.algorithms.common.temperature import Temperature
from softq.experiments.exact_critic import ExactCritic, fit
from softq.testing import THRESHOLD, mean_test
from softq.utils.pytree import pytree, replace

NOISE = np.linspace(-8, 8, 401)
WEIGHT = np.exp(-(NOISE**2) / 2) / np.exp(-(NOISE**2) / 2).sum()


def objective(law, temperature):
    """Temperature * log pi - Q of a tanh-Gaussian on -a^2, by quadrature, from (mean, log std)."""
    u = law[0] + np.exp(law[1]) * NOISE
    slope = 2 * (np.log(2) - u - np.logaddexp(0, -2 * u))
    log_pi = -(1 + np.log(2 * np.pi)) / 2 - law[1] - WEIGHT @ slope
    return temperature * log_pi + WEIGHT @ np.tanh(u) ** 2


def test_the_critic_is_the_landscape_everywhere():
    q, action = landscapes.get("twomode2"), jnp.array([0.4, -0.2])
    known = ExactCritic(q)
    for obs in (jnp.zeros(3), jnp.ones(3)):
        assert float(known.at(obs)(action)) == float(q(action))
        np.testing.assert_array_equal(known(obs, action), [q(action)] * 2)
    assert known.action_dim == 2


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_sac_finds_the_best_tanh_gaussian(temperature, key):
    """On a parabola, where there is but one: its spread before tanh, and its mean at the top, over eight fits."""
    algo = SAC(temperature=Temperature(temperature), learning_rate=5e-3, hidden_sizes=(16,))
    one = lambda key: fit(algo, landscapes.get("quad1"), key, 600, 256).actor.network.at(jnp.ones(1))
    laws = jax.jit(jax.vmap(one))(jax.random.split(key, 8))
    best = optimize.minimize(objective, (0.1, 0.0), (temperature,))
    assert abs(best.x[0]) < 1e-4
    assert float(laws.mean.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(jnp.exp(laws.log_std).mean()) == pytest.approx(np.exp(best.x[1]), rel=0.05)


def test_a_tuned_temperature_reaches_the_entropy_that_is_asked_for(key):
    """SAC on the parabola, from a temperature at which the policy is broader by half a nat."""
    temperature = Temperature(0.12, "sac", target_entropy=-0.5, learning_rate=0.01)
    algo = SAC(temperature=temperature, learning_rate=0.01, hidden_sizes=(16,))
    fits = jax.jit(jax.vmap(lambda key: fit(algo, landscapes.get("quad1"), key, 900, 256)))
    states = fits(jax.random.split(key, 8))
    assert float(states.temperature.entropy.mean()) == pytest.approx(-0.5, abs=0.1)
    np.testing.assert_array_equal(states.step, 900)


def test_ddpg_finds_a_top(key):
    """Either hill, to the width of a step; which one depends on the seed."""
    algo = DDPG(actor_learning_rate=5e-3, hidden_sizes=(16,))
    train = jax.jit(jax.vmap(lambda key: fit(algo, landscapes.get("twomode1"), key, 300, 1)))
    actors = train(jax.random.split(key, 16)).actor.network
    actions = np.asarray(jax.vmap(lambda actor: actor(jnp.ones(1)))(actors))[:, 0]
    assert np.abs(np.abs(actions) - 0.6).max() < 0.01
    assert (actions > 0).any()
    assert (actions < 0).any()


@pytree
class Recorder:
    """An "algorithm" that adds up the values that it is shown, and the squares of the replayed actions."""

    def init(self, key, obs, action):
        return State(None, Learner(jnp.zeros(2), ()), None, jnp.zeros((), jnp.int32))

    def revise(self, state, batch):
        return batch

    def policy_step(self, state, batch, for_actor, for_entropy, info):
        value = state.critic.network.at(batch.obs[0])(jnp.full(1, 0.5))
        shown = jnp.stack([value, jnp.mean(batch.action**2)])
        return replace(state, actor=replace(state.actor, network=state.actor.network + shown)), {}


@pytest.mark.parametrize(
    ("growth", "heights"), [(0.0, [1, 1, 1, 1]), (0.5, [0.5, 1, 1, 1]), (1.0, [0.25, 0.5, 0.75, 1])]
)
def test_a_landscape_that_grows(growth, heights, key):
    """Its height in each of four steps, and its full height at the end."""
    q = landscapes.get("quad1")
    state = jax.jit(lambda growth: fit(Recorder(), q, key, 4, 2, growth))(growth)
    assert float(state.actor.network[0]) == pytest.approx(-0.25 * sum(heights))
    assert float(state.critic.network.scale) == float(state.critic.target.scale) == 1.0


def test_replayed_actions_are_uniform(key):
    """Their mean square is 1/3 in a thousand independent batches, each of one action."""
    one = lambda key: fit(Recorder(), landscapes.get("quad1"), key, 1, 1).actor.network[1]
    squares = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(key, 1000)), float)
    assert mean_test(squares, 1 / 3) > THRESHOLD
    assert mean_test(squares, 1 / 2) < THRESHOLD, "another law"


def test_an_algorithm_without_an_actor_receives_the_critic(key):
    algo, q = LQL(hidden_sizes=(4,)), landscapes.get("quad1")
    state = fit(algo, q, key, 3, 2)
    assert state.actor is None
    assert state.critic.network.landscape is state.critic.target.landscape is q
