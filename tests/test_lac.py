"""LAC: three updates by hand, the law of its chain and of its imitation in closed form, settings."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import (
    ACT,
    BOUNDARIES,
    OBS,
    Adam,
    action_gradient,
    apart,
    backward,
    differences,
    forward,
    layers_of_actor,
    mish,
    normals,
    polyak,
    reduced,
    regression,
    smaller,
    tanh,
    three_updates,
    twins_of,
)
from scipy import stats
from small import with_preset

from softq.algorithms import LAC
from softq.networks.actors import Normal, NormalActor
from softq.testing import THRESHOLD
from softq.utils.flat_settings import flat
from softq.utils.pytree import replace

# Three updates

BATCH = 16
SMALL = {
    "hidden_sizes": (6, 5),
    "actor_hidden_sizes": (5, 4),
    "learning_rate": 0.01,
    "actor_learning_rate": 0.01,
    "actor_gradient_cap": 0.5,
    "polyak": 0.1,
    "discount": 0.9,
    "reward_scale": 0.7,
    "temperature": 0.3,
    "step_size": 0.05,
    "num_steps": 3,
    "slope_cap": 2.0,
}
VARIANTS = {
    "default": {},
    "free": {"prior": 0.4, "slope_cap": 1e3, "actor_gradient_cap": 1e3},
    "code": {"clip_start": False, "rate_decay": 0.5, "decay_updates": 4.0},
}


@cache
def fresh():
    """A state whose targets and biases differ from the online networks and from zero."""
    state = jax.jit(LAC(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    return apart(state, actor=0.3, actor_target=0.3)


def of_actor(actor):
    """Layers of the mean, and the log std."""
    params = dict(actor.params)
    spread = np.asarray(params.pop("log_std"), float)
    return layers_of_actor(replace(actor, params=params)), spread


def learned(state):
    actors = of_actor(state.actor.network), of_actor(state.actor.target)
    return [twins_of(state.critic.network), twins_of(state.critic.target), *actors]


@cache
def trained(name):
    return three_updates(LAC(**SMALL | VARIANTS[name]), fresh(), BATCH, learned)


class ByHand:
    """One update after another in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, fault=""):
        self.algo, self.fault = algo, fault
        self.critic, self.target, self.actor, self.actor_target = learned(fresh())
        self.critic_adam = Adam(self.critic, algo.learning_rate)
        self.actor_adam = Adam(self.actor, algo.actor_learning_rate)

    def learned(self):
        return [self.critic, self.target, self.actor, self.actor_target]

    def ends(self, obs):
        a = self.algo
        layers, log_std = self.actor if self.fault == "online actor" else self.actor_target
        mean, std = forward(layers, obs, tanh)[0], np.exp(log_std)
        action = mean + (0 if self.fault == "start" else std * normals(ACT))
        action = np.clip(action, -1, 1) if a.clip_start or self.fault == "clipped start" else action
        for z in normals(a.num_steps, ACT):
            slope = reduced([action_gradient(x, obs, action, mish) for x in self.critic])[1]
            slope = slope / a.temperature.value
            if self.fault != "prior":
                slope = slope - a.prior * (action - mean) / std**2
            length = np.linalg.norm(slope, axis=None if self.fault == "batch" else 1, keepdims=True)
            slope = slope * np.minimum(1, a.slope_cap / length)
            half = 1 if self.fault == "half" else 0.5
            action = action + half * a.step_size * slope + np.sqrt(a.step_size) * z
            action = action if self.fault == "walls" else BOUNDARIES["project"](action)
        return action

    def update(self, batch):
        a = self.algo
        left = 1 - (1 - a.rate_decay) * min(self.critic_adam.count / a.decay_updates, 1)
        self.critic_adam.rate = a.learning_rate * (1 if self.fault == "level critics" else left)
        self.actor_adam.rate = a.actor_learning_rate * (1 if self.fault == "level actor" else left)
        ends = self.ends(batch.next_obs)
        y = a.reward_scale * batch.reward + a.discount * batch.discount * smaller(
            self.target, batch.next_obs, ends, mish
        )
        critic_loss, gradients, q_mean = regression(self.critic, batch.obs, batch.action, y, mish)
        self.critic = self.critic_adam.step(self.critic, gradients)

        layers, log_std = self.actor
        obs = batch.obs if self.fault == "state" else batch.next_obs
        mean, saved = forward(layers, obs, tanh)
        noise = (ends - mean) / np.exp(log_std)
        loss = (noise**2 / 2 + log_std + np.log(2 * np.pi) / 2).sum(1).mean()
        by_layers, _ = backward(layers, saved, -noise / np.exp(log_std) / BATCH)
        gradients = by_layers, (1 - noise**2).mean(0)
        size = np.sqrt(sum(np.sum(g**2) for g in jax.tree.leaves(gradients)))
        scale = 1 if self.fault == "gradient cap" else min(1, a.actor_gradient_cap / size)
        self.actor = self.actor_adam.step(self.actor, jax.tree.map(lambda g: g * scale, gradients))
        self.target = polyak(self.critic, self.target, a.polyak)
        self.actor_target = polyak(self.actor, self.actor_target, a.polyak)
        return {
            "critic_loss": critic_loss,
            "q_mean": q_mean,
            "target_mean": y.mean(),
            "actor_loss": loss,
            "temperature": a.temperature.value,
        }


def distance(name, fault="", algo=None):
    return differences(trained(name), ByHand(algo or LAC(**SMALL | VARIANTS[name]), fault), BATCH, floor=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    metrics, parameters = distance(name)
    assert metrics < 5e-5
    assert parameters < 1e-5


FAULTS = [("default", x) for x in ("online actor", "start", "prior", "batch", "half", "walls", "state")]
FAULTS += [("code", x) for x in ("clipped start", "level critics", "level actor")]


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_a_mistake_in_the_update_shows(name, fault):
    """Chains from the online actor, from its mean, without the prior, with a cap for the batch, with twice the drift,
    without walls; an imitation at s in place of s'. A start that is clipped after all; a rate that does not fall."""
    metrics, parameters = distance(name, fault)
    assert metrics > 60 * 5e-5
    assert parameters > 50 * 1e-5


def test_the_cap_of_the_gradient_counts():
    """Adam does not see a constant factor, so it shows little: the factor differs from update to update."""
    assert distance("default", "gradient cap")[1] > 20 * 1e-5


# The laws


def after(steps, step, pull, centre, mean, variance):
    """Mean and variance of a <- a - step / 2 * pull * (a - centre) + sqrt(step) * noise, `steps` times."""
    shrink = 1 - step * pull / 2
    for _ in range(steps):
        mean, variance = centre + shrink * (mean - centre), shrink**2 * variance + step
    return mean, variance


CURVATURE, TOP = 0.2, 0.05


def parabola(a):
    return -CURVATURE * jnp.sum((a - TOP) ** 2) / 2


@cache
def ends_of(num_steps, prior):
    """Ends `(n,)` of chains on `parabola` at the temperature 0.001 from the law of a mean and a std; no wall or cap."""
    algo = LAC(num_steps=num_steps, step_size=4e-4, prior=prior, slope_cap=1e6)

    @jax.jit
    def ends(mean, std, key):
        law = Normal(jnp.full(1, mean), jnp.full(1, jnp.log(std)))
        return jax.vmap(lambda k: algo.end(parabola, law, k, 1e-3)[0])(jax.random.split(key, 4000))

    return lambda *law: np.asarray(ends(*law), float)


def test_the_law_of_the_chain_on_a_parabola(key):
    """Linear steps of a normal start: normal, with mean and variance of the recursion."""
    ends = ends_of(10, 1.0)(-0.1, 0.08, key)

    def fits(prior=1.0, num_steps=10, start=0.08):
        pull = CURVATURE / 1e-3 + prior / 0.08**2
        centre = (CURVATURE / 1e-3 * TOP - prior * 0.1 / 0.08**2) / pull
        mean, variance = after(num_steps, 4e-4, pull, centre, -0.1, start**2)
        return stats.kstest(ends, "norm", (mean, np.sqrt(variance))).pvalue > THRESHOLD

    assert fits()
    assert not fits(prior=0.0) and not fits(num_steps=5) and not fits(start=0.02)


@pytest.mark.parametrize("prior", [1.0, 0.5])
def test_imitation_multiplies_the_policy_round_by_round(prior):
    """Ends of long chains, imitated perfectly: 1 / variance grows by curvature / T a round if the prior's power is 1.

    At a power of 1/2 it comes to that of exp(Q / (T / 2)), whatever the start.
    """
    ends, sharp = ends_of(300, prior), CURVATURE / 1e-3
    mean, precision, seen = -0.1, 1 / 0.08**2, []
    for i in range(6):
        drawn = ends(mean, precision**-0.5, jax.random.key(i))
        expected = sharp + prior * precision
        # an Euler step of size h at this precision widens the law by 1 / (1 - h * precision / 4)
        wider = 1 / (1 - 4e-4 * expected / 4)
        assert drawn.var() == pytest.approx(wider / expected, rel=0.12)
        mean, precision = drawn.mean(), 1 / drawn.var()
        seen.append(precision)
    assert mean == pytest.approx(TOP, abs=0.02)
    if prior == 1:
        assert seen[-1] > 5 * sharp and min(np.diff(seen)) > 0
    else:
        assert seen[-1] == pytest.approx(sharp / (1 - prior), rel=0.15)


def test_with_the_settings_of_the_code_only_the_direction_counts(key):
    """Any slope above 0.00625 is cut to one length: draw by draw the same end, for a Q a hundred times as large."""
    algo, law = LAC(), Normal(jnp.zeros(2), jnp.full(2, -0.5))

    @jax.jit
    def ends():
        keys = jax.random.split(key, 50)
        end = lambda scale: jax.vmap(lambda k: algo.end(lambda a: scale * (a[0] + a[1]), law, k, 1e-4))(keys)
        return end(0.1), end(10.0), end(0.0)

    small, large, none = ends()
    # the prior is the rest: within 5 of a slope of 1400
    np.testing.assert_allclose(small, large, atol=1e-3)
    moved = np.linalg.norm(large - none, axis=1)
    assert 0.04 < moved.mean() < 30 * 62.5 * 1e-4 / 2 + 0.02  # 30 steps of at most 0.0031


# Acting


def test_the_actor_acts_and_its_mean_is_reported(key):
    algo, state, obs = LAC(**SMALL), fresh(), 3 * jax.random.normal(key, (OBS,))

    @jax.jit
    def actions():
        keys = jax.random.split(key, 4000)
        explored = jax.vmap(lambda k: algo.explore(state, obs, k))(keys)
        reports = [algo.exploit(state, obs, k) for k in keys[:2]]
        return explored, reports, state.actor.network.at(obs)

    explored, reports, law = actions()
    mean, std = np.asarray(law.mean, float), np.exp(np.asarray(law.log_std, float))
    (layers, log_std) = of_actor(state.actor.network)
    np.testing.assert_allclose(mean, forward(layers, np.asarray(obs, float)[None], tanh)[0][0], atol=1e-5)
    np.testing.assert_allclose(std, np.exp(log_std), rtol=1e-6)
    for report in reports:
        np.testing.assert_allclose(report, np.clip(mean, -1, 1), atol=1e-6)
    inside = np.abs(explored) < 1
    for i in range(ACT):
        low, high = stats.norm.cdf([-1, 1], mean[i], std[i])
        share = (stats.norm.cdf(explored[inside[:, i], i], mean[i], std[i]) - low) / (high - low)
        assert stats.kstest(share, "uniform").pvalue > THRESHOLD
        assert stats.binomtest(int(inside[:, i].sum()), 4000, high - low).pvalue > THRESHOLD


def test_a_fresh_actor_is_broad_and_nearly_in_the_middle():
    actor = jax.jit(lambda key: NormalActor.create(key, jnp.zeros(50), jnp.zeros(20), (100, 200)))(
        jax.random.key(0)
    )
    layers, log_std = of_actor(actor)
    np.testing.assert_array_equal(log_std, np.full(20, -0.5))
    assert layers[2][0].std() == pytest.approx(0.1 * 0.88 / 200**0.5, rel=0.05)
    assert layers[1][0].std() == pytest.approx(0.88 / 100**0.5, rel=0.05)


# Settings


def test_defaults_are_those_of_the_code():
    """Typed from the arguments of `main.py` and from `models.py`; 62.5 is 1000 over the root of 256."""
    expected = {
        "temperature": 1e-4,
        "temperature_rule": "fixed",
        "target_entropy": -1.0,
        "temperature_learning_rate": 3e-4,
        "temperature_every": 1,
        "prior": 1.0,
        "step_size": 1e-4,
        "num_steps": 30,
        "slope_cap": 1000 / 256**0.5,
        "clip_start": True,
        "discount": 0.99,
        "learning_rate": 3e-4,
        "actor_learning_rate": 3e-4,
        "rate_decay": 1.0,
        "decay_updates": 25_000.0,
        "actor_gradient_cap": 40.0,
        "polyak": 0.005,
        "reward_scale": 10.0,
        "hidden_sizes": (256, 256, 256),
        "activation": "mish",
        "actor_hidden_sizes": (256, 256),
        "actor_activation": "tanh",
    }
    assert flat(LAC()) == expected
    training = {"num_envs": 100, "iterations": 25_000, "warmup": 100_000, "buffer_size": 50_000}
    assert LAC.presets["paper"] == training


def test_the_code_starts_anywhere_and_halves_its_rates():
    """Typed from `models.py` and `main.py`."""
    assert LAC.presets["code"] == LAC.presets["paper"] | {"clip_start": False, "rate_decay": 0.5}
    assert flat(with_preset(LAC, "code")) == flat(LAC()) | {"clip_start": False, "rate_decay": 0.5}
