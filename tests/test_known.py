"""A known critic, and SAC's actor fitted to it against the best tanh-Gaussian by quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from softq import landscapes
from softq.algorithms import DDPG, SAC
from softq.experiments.exact_critic import Known, fit
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
    known = Known(q)
    for obs in (jnp.zeros(3), jnp.ones(3)):
        assert float(known.at(obs)(action)) == float(q(action))
        np.testing.assert_array_equal(known(obs, action), [q(action)] * 2)
    assert known.action_dim == 2


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_sac_finds_the_best_tanh_gaussian(temperature, key):
    """On a parabola, where there is but one: its spread before tanh, and its mean at the top, over eight fits."""
    algo = SAC(temperature=temperature, tune=False, learning_rate=5e-3, hidden_sizes=(16,))
    one = lambda key: fit(algo, landscapes.get("quad1"), key, 600, 256).actor.at(jnp.ones(1))
    laws = jax.jit(jax.vmap(one))(jax.random.split(key, 8))
    best = optimize.minimize(objective, (0.1, 0.0), (temperature,))
    assert abs(best.x[0]) < 1e-4
    assert float(laws.mean.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(jnp.exp(laws.log_std).mean()) == pytest.approx(np.exp(best.x[1]), rel=0.05)


def test_ddpg_finds_a_top(key):
    """Either hill, to the width of a step; which one depends on the seed."""
    algo = DDPG(actor_learning_rate=5e-3, hidden_sizes=(16,))
    train = jax.jit(jax.vmap(lambda key: fit(algo, landscapes.get("twomode1"), key, 300, 1)))
    actors = train(jax.random.split(key, 16)).actor
    actions = np.asarray(jax.vmap(lambda actor: actor(jnp.ones(1)))(actors))[:, 0]
    assert np.abs(np.abs(actions) - 0.6).max() < 0.01
    assert (actions > 0).any()
    assert (actions < 0).any()


@pytree
class Recorder:
    """An "algorithm" that adds up the values that it is shown."""

    @pytree
    class State:
        critic: object
        total: jax.Array

    def init(self, key, obs, action):
        return self.State((), jnp.zeros(()))

    def improve(self, state, obs, key):
        return replace(state, total=state.total + state.critic.at(obs)(jnp.full(1, 0.5))), {}


@pytest.mark.parametrize(
    ("growth", "heights"), [(0.0, [1, 1, 1, 1]), (0.5, [0.5, 1, 1, 1]), (1.0, [0.25, 0.5, 0.75, 1])]
)
def test_a_landscape_that_grows(growth, heights, key):
    """Its height in each of four steps, and its full height at the end."""
    q = landscapes.get("quad1")
    state = jax.jit(lambda growth: fit(Recorder(), q, key, 4, 2, growth))(growth)
    assert float(state.total) == pytest.approx(-0.25 * sum(heights))
    assert float(state.critic.scale) == 1.0
