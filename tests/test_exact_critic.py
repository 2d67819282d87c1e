"""A known critic, and SAC's actor fitted to it against the best tanh-Gaussian by quadrature."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from softq import landscapes
from softq.algorithms import DDPG, LQL, SAC, MEow, State
from softq.algorithms.common.learner import Learner
from softq.algorithms.common.temperature import Temperature
from softq.exact.values import evaluate
from softq.experiments import exact_critic
from softq.experiments.exact_critic import ExactCritic, fit
from softq.testing import THRESHOLD, mean_test
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace, static

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
    """An "algorithm" that adds up values that it is shown, squares of replayed actions, and what its targets tell."""

    revises: bool = static(default=False)

    def init(self, key, obs, action):
        critic = Learner(jnp.zeros(()), ())
        return State(critic, Learner(jnp.zeros(3), ()), None, jnp.zeros((), jnp.int32))

    def revise(self, state, batch):
        return replace(batch, action=batch.action / 2) if self.revises else batch

    def targets(self, state, batch, key):
        return jnp.zeros(len(batch.obs)), {
            "told": state.critic.target.law(batch.obs[0], batch.action[0])[0][0]
        }

    def policy_step(self, state, batch, for_actor, for_entropy, info):
        value = state.critic.network.at(batch.obs[0])(jnp.full(1, 0.5))
        shown = jnp.stack([value, jnp.mean(batch.action**2), info["told"]])
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


def test_revised_actions_are_kept(key, monkeypatch):
    """Of a replay of two actions, each halved whenever it is drawn: after 40 batches nothing is left of them."""
    monkeypatch.setattr(exact_critic, "KEPT", 2)
    q = landscapes.get("quad1")
    for revises, least, most in ((True, 0, 1), (False, 8, 20)):
        total = fit(Recorder(revises), q, key, 40, 1).actor.network[1]
        assert least < float(total) < most


def test_an_actor_hears_what_the_targets_tell(key):
    """Here -a^2 at the replayed action of each of three batches of one."""
    shown = fit(Recorder(), landscapes.get("quad1"), key, 3, 1).actor.network
    assert float(shown[2]) == pytest.approx(-float(shown[1]), rel=1e-5)


def posterior_mean(q, noisy, signal, noise):
    """The mean of Q(a) given signal * a + noise * z for uniform a, on a grid of cells."""
    line = (np.arange(4000) + 0.5) / 2000 - 1
    likelihood = [np.exp(-((x - signal * line) ** 2) / (2 * noise**2)) for x in noisy]
    weights = [x / x.sum() for x in likelihood]
    if len(noisy) == 1:
        return weights[0] @ evaluate(q, line[:, None])
    grid = np.stack(np.meshgrid(line[::8], line[::8], indexing="ij"), -1).reshape(-1, 2)
    first, second = (x[::8] / x[::8].sum() for x in weights)
    return first @ evaluate(q, grid).reshape(500, 500) @ second


@partial(jax.jit, static_argnums=0)
def slope_at(q, noisy, signals, noises):
    """The slope at the second noise level of a critic that is twice the landscape."""
    return ExactCritic(q, 2.0, (signals, noises)).at(jnp.ones(1)).slope(noisy, jnp.array(1))


@pytest.mark.parametrize(
    ("name", "noisy"),
    [("twomode1", (0.4,)), ("twomode1", (-1.3,)), ("bandit", (0.6, -0.1)), ("bandit", (1.2, 0.8))],
)
@pytest.mark.parametrize(("signal", "noise"), [(1.0, 0.1), (0.9, 0.4), (0.3, 0.95)])
def test_the_slope_at_a_noise_level_is_that_of_the_mean_over_clean_actions(name, noisy, signal, noise):
    q, step = landscapes.get(name), 1e-3
    slope = slope_at(q, jnp.array(noisy), jnp.array([0.5, signal]), jnp.array([2.0, noise]))
    for i, found in enumerate(slope):
        ends = [
            posterior_mean(q, np.array(noisy) + s * np.eye(len(noisy))[i], signal, noise)
            for s in (step, -step)
        ]
        assert float(found) == pytest.approx(2 * (ends[0] - ends[1]) / (2 * step), abs=2e-3)


def test_only_bumps_have_a_mean_in_closed_form():
    known = ExactCritic(landscapes.get("quad1"), 1.0, (jnp.ones(1), jnp.ones(1)))
    with pytest.raises(SoftqError, match="bumps alone, such as bandit"):
        known.at(jnp.ones(1)).slope(jnp.zeros(1), jnp.array(0))


def test_a_flow_that_is_critic_and_policy_is_fitted_itself(key):
    """MEow's in one dimension is a tanh-Gaussian; on the parabola its spread is that of the least squares in Q."""
    small = {"dropout": 0.0, "hidden_sizes": (2,), "shift_sizes": (2,), "num_blocks": 1, "log_std_max": 1.0}
    algo, q = MEow(temperature=0.5, learning_rate=0.02, **small), landscapes.get("quad1")
    state = jax.jit(lambda key: fit(algo, q, key, 400, 64))(key)
    a = (np.arange(4000) + 0.5) / 2000 - 1
    u = np.arctanh(a)

    def squares(log_std):
        rest = 0.5 * (-((u / np.exp(log_std)) ** 2) / 2 - np.log(1 - a**2)) + a**2
        return np.var(rest)  # the reward shift takes the mean away

    best = optimize.minimize_scalar(squares, (-1, 0)).x
    assert float(state.critic.network.at(jnp.ones(1)).log_std[0]) == pytest.approx(best, abs=0.05)


def test_an_algorithm_without_an_actor_receives_the_critic(key):
    algo, q = LQL(hidden_sizes=(4,)), landscapes.get("quad1")
    state = fit(algo, q, key, 3, 2)
    assert state.actor is None
    assert state.critic.network.landscape is state.critic.target.landscape is q
