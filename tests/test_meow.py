"""MEow: three updates against NumPy by hand, acting, what its family of Q reaches, defaults and presets."""

import dataclasses
from functools import cache

import by_hand_flow as flow
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import ACT, OBS, Adam, apart, differences, float64, polyak, three_updates, uniforms
from scipy import optimize
from small import with_preset

from softq.algorithms import MEow
from softq.algorithms.common.critic_policy import CriticPolicy
from softq.testing import THRESHOLD, mean_test
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import built, flat

BATCH = 16
BOUNDS = (-1.5, 0.4)
SMALL = {
    "hidden_sizes": (6, 5),
    "shift_sizes": (4, 3),
    "num_blocks": 2,
    "reward_scale": 0.7,
    "learning_rate": 0.01,
    "polyak": 0.1,
    "discount": 0.9,
    "temperature": 0.3,
    "dropout": 0.3,
    "max_gradient_norm": 150.0,
    "log_std_min": BOUNDS[0],
    "log_std_max": BOUNDS[1],
}


@cache
def fresh(algo):
    """A state whose target differs from the online flow, and no weight of which is zero."""
    return apart(jax.jit(algo.init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT)))


def learned(state):
    return [float64(dict(state.critic.network.params)), float64(dict(state.critic.target.params))]


class ByHand:
    """Algorithm 1 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault = algo, fault
        self.online, self.target = learned(state)
        self.adam, self.norms = Adam(self.online, algo.learning_rate), []
        # the units that every coupling keeps; those of one state and twin are those of all, since draws are known
        self.masks = [uniforms(width) < 1 - algo.dropout for width in algo.hidden_sizes]
        self.scale = 1.0 if fault == "unscaled" else 1 / (1 - algo.dropout)

    def learned(self):
        return [self.online, self.target]

    def looser(self):
        return [self.adam.looser, self.adam.looser]

    def targets(self, batch):
        alpha = self.algo.temperature.value
        p = self.online if self.fault == "online" else self.target
        values = flow.v_values(p, batch.next_obs, alpha, BOUNDS)
        values = values.max(-1) if self.fault == "larger" else values.min(-1)
        if self.fault == "no entropy":
            values = values - alpha * (ACT / 2) * np.log(2 * np.pi)
        return self.algo.reward_scale * batch.reward + self.algo.discount * batch.discount * values

    def update(self, batch):
        alpha, y = self.algo.temperature.value, self.targets(batch)
        masks = None if self.fault == "kept" else self.masks

        def values(p):
            q = flow.q_values(p, batch.obs, batch.action, alpha, BOUNDS, masks, self.scale)
            if self.fault == "tanh":
                q = q + alpha * np.log(1 - batch.action**2).sum(-1)[..., None]
            return q[..., [0, 0]] if self.fault == "one shift" else q

        def loss(p):
            error = ((values(p) - y[:, None]) ** 2).mean((-2, -1))
            return 2 * error if self.fault == "sum" else error

        q_mean = values(self.online).mean()
        error, slopes = flow.gradient(loss, self.online)
        norm = np.sqrt(sum((x**2).sum() for x in jax.tree.leaves(slopes)))
        self.norms.append(norm)
        if norm > self.algo.max_gradient_norm and self.fault != "unclipped":
            slopes = jax.tree.map(lambda x: x * self.algo.max_gradient_norm / norm, slopes)
        self.online = self.adam.step(self.online, slopes)
        self.target = polyak(self.online, self.target, self.algo.polyak)
        return {"critic_loss": error, "q_mean": q_mean, "target_mean": y.mean(), "temperature": alpha}


@cache
def trained():
    algo = MEow(**SMALL)
    return three_updates(algo, fresh(algo), BATCH, learned)


def distance(fault=""):
    algo = MEow(**SMALL)
    by_hand = ByHand(algo, fresh(algo), fault)
    return *differences(trained(), by_hand, BATCH, floor=1), by_hand.norms


def test_updates_equal_those_by_hand():
    """By hand the targets are numbers, so this also shows that no gradient flows through them."""
    metrics, parameters, norms = distance()
    assert metrics < 2e-5
    assert parameters < 2e-5
    assert min(norms) < SMALL["max_gradient_norm"] < max(norms)  # so both sides of the clipping are seen


FAULTS = ("online", "larger", "no entropy", "kept", "unscaled", "tanh", "one shift", "sum", "unclipped")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mistake_in_the_update_shows(fault):
    """Bootstrap from the flow that learns, the larger V, V without log 2 pi, and others.

    All units kept, those that are kept not divided, no Jacobian, c_1 for both twins, their errors' sum, no clipping.
    """
    metrics, parameters, _ = distance(fault)
    assert max(metrics, parameters) > 1e-3, (metrics, parameters)


def test_units_are_dropped_for_each_transition_and_twin_apart():
    """In training only: the law of one state is the same for all keys but that of its noise."""
    algo = MEow(**SMALL | {"hidden_sizes": (6,), "shift_sizes": (4,), "num_blocks": 1})
    network, key = fresh(algo).critic.network, jax.random.key(3)
    obs, action = jnp.ones((2, OBS)), jnp.full((2, ACT), 0.3)

    @jax.jit
    def values(rate):
        keys = jax.random.split(key, (2, 2))
        dropped = jax.vmap(network, (0, 0, 0, None))(obs, action, keys, rate)
        return dropped, jax.vmap(network)(obs, action), network.at(obs[0]).reward_shifts

    dropped, kept, shifts = (np.asarray(x, float) for x in values(0.5))
    flows = dropped - 0.3 * shifts
    assert len(np.unique(flows.round(4))) == 4  # two transitions, two twins
    np.testing.assert_allclose(kept[0], kept[1], rtol=1e-6)
    np.testing.assert_allclose(np.diff(kept[0] - 0.3 * shifts), 0, atol=1e-5)
    np.testing.assert_allclose(np.asarray(values(0.0)[0], float), kept, rtol=1e-5)


def test_acting(key):
    """A draw gathers data, the flow of the latent's mean is reported, and another temperature is refused."""
    algo = MEow(**SMALL)
    state, obs = fresh(algo), jax.random.normal(key, (OBS,))

    @jax.jit
    def actions():
        law = state.critic.network.at(obs)
        mine = algo.policy(state, obs, key), algo.explore(state, obs, key), algo.exploit(state, obs, key)
        return mine, law.sample(key)

    (drawn, explored, exploited), sampled = (jax.tree.map(np.asarray, x) for x in actions())
    np.testing.assert_array_equal(drawn, explored)
    np.testing.assert_array_equal(drawn, sampled)
    p = float64(dict(state.critic.network.params))
    mean = flow.to_action(p, np.zeros((1, ACT)), float64(obs)[None])
    np.testing.assert_allclose(exploited, np.tanh(mean[0]), rtol=1e-5)
    with pytest.raises(SoftqError, match="softq evaluate DIR --sampler mala"):
        algo.policy(state, obs, key, 0.5)


def test_another_temperature_is_no_wider_flow():
    """Why it is refused: at T the softmax of Q is the flow of sigma * sqrt(T / alpha) only if T is alpha."""
    assert not MEow.adjustable
    a = (np.arange(20_000) + 0.5) / 10_000 - 1
    u, mean, std = np.arctanh(a), 0.3, 0.6
    normed = lambda x: np.exp(x - x.max()) / np.exp(x - x.max()).mean()
    q = -(((u - mean) / std) ** 2) / 2 - np.log(1 - a**2)  # at a temperature of 1
    for temperature, least, most in ((1.0, 0, 1e-9), (0.25, 0.05, 1), (4.0, 0.05, 1)):
        wider = normed(-(((u - mean) / std) ** 2) / (2 * temperature) - np.log(1 - a**2))
        apart_by = np.abs(wider - normed(q / temperature)).mean() / 2
        assert least <= apart_by < most, (temperature, apart_by)


def test_a_sampler_by_name_samples_its_critic(key):
    """The mean of each coordinate by resampled uniform actions, against that of the flow's own draws."""
    algo = MEow(**SMALL)
    state, obs = fresh(algo), jnp.ones(OBS)
    through = CriticPolicy("snis", algo=algo, budget=1000)

    @jax.jit
    def draws(keys):
        return jax.vmap(lambda k: (through.policy(state, obs, k), algo.policy(state, obs, k)))(keys)

    chosen, own = (np.asarray(x, float) for x in draws(jax.random.split(key, 500)))
    for i in range(ACT):
        assert mean_test(chosen[:, i], own[:, i].mean()) > THRESHOLD
        assert mean_test(chosen[:, i], own[:, i].mean() + 0.3) < THRESHOLD


def test_the_nearest_q_of_the_family_to_a_parabola_is_far_off():
    """The reward 1 - (a - 1/2)^2, uniform actions, temperature 0.02: least squares over the three numbers of Q.

    The nearest Q goes to minus infinity at both walls. Its own actions are 0.43 from the best one on average, those of
    the softmax of the parabola 0.08. That this is what updates find is seen in test_problems.
    """
    a = (np.arange(2000) + 0.5) / 1000 - 1
    u, reward, alpha = np.arctanh(np.clip(a, -1 + 1e-5, 1 - 1e-5)), 1 - (a - 0.5) ** 2, 0.02
    q = lambda p: alpha * (-(((u - p[0]) * np.exp(-p[1])) ** 2) / 2 - np.log(1 - a**2) + p[2])
    starts = [(m, s, 50.0) for m in (-0.5, 0.5, 1.5) for s in (-1.5, 0.0)]
    fits = [optimize.least_squares(lambda p: q(p) - reward, start) for start in starts]
    best = min(fits, key=lambda fit: fit.cost)
    assert np.sqrt(2 * best.cost / len(a)) > 0.25
    drawn = np.tanh(best.x[0] + np.exp(best.x[1]) * np.random.default_rng(0).normal(size=20_000))
    assert np.abs(drawn - 0.5).mean() == pytest.approx(0.43, abs=0.01)
    weights = np.exp((reward - 1) / alpha)
    assert weights @ np.abs(a - 0.5) / weights.sum() == pytest.approx(0.08, abs=0.01)


def test_defaults_are_those_of_the_paper():
    """Typed from the released code's README for Hopper, and from its script."""
    expected = {
        "temperature": 0.25,
        "temperature_rule": "fixed",
        "target_entropy": -1.0,
        "temperature_learning_rate": 3e-4,
        "temperature_every": 1,
        "discount": 0.99,
        "learning_rate": 1e-3,
        "max_gradient_norm": 30.0,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "hidden_sizes": (64, 64),
        "shift_sizes": (256, 256),
        "num_blocks": 2,
        "dropout": 0.1,
        "log_std_min": -5.0,
        "log_std_max": -0.3,
    }
    assert flat(MEow()) == expected
    assert MEow.presets["paper"] == {"num_envs": 1, "iterations": 1_500_000, "warmup": 5_000}
    code = MEow.presets["code"]
    assert code == {"num_envs": 1, "iterations": 2_000_000, "warmup": 5_000, "temperature": 0.2}
    changed = {name for name, x in flat(with_preset(MEow, "code")).items() if x != expected[name]}
    assert changed == {"temperature"}


def test_the_temperature_is_that_of_the_flow():
    """A state that was made at another temperature keeps it: its Q and its law belong together."""
    algo = MEow(**SMALL)
    warmer = dataclasses.replace(algo, temperature=0.9)
    assert float(warmer.current_temperature(fresh(algo))) == pytest.approx(0.3)
    assert float(warmer.temperature_of(fresh(algo), jnp.ones(OBS))) == pytest.approx(0.3)


def test_a_rule_for_the_temperature_is_refused():
    with pytest.raises(SoftqError, match="leave the rule at 'fixed'"):
        built(MEow, {"temperature_rule": "sac"})
