"""ACA: three updates by hand, the exact law of its chain in one dimension, exploration's noise, settings."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import ACT, OBS, Adam, apart, differences, normals, polyak, three_updates, uniforms
from by_hand_noise import layers_of_noise_critic, noise_backward, noise_forward, noise_slope
from scipy import stats
from small import with_preset

from softq.algorithms import ACA
from softq.box import uniform_action, uniform_actions
from softq.diffusion import CosineVP
from softq.testing import THRESHOLD
from softq.utils.flat_settings import flat
from softq.utils.pytree import pytree, replace


def kept(num):
    """How much of an action's variance is left at t = 0 (all of it), 1, ..., num: betas of the cosine schedule."""
    x = np.cos((np.arange(num + 1) / num + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(np.append(1.0, 1 - np.minimum(1 - x[1:] / x[:-1], 0.999)))


def step_of(num, t):
    """Of the step from t to t - 1: weights of the clean and of the noisy action, std of its noise, how it is drawn."""
    now, after = kept(num)[t], kept(num)[t - 1]
    beta = 1 - now / after
    clean, noisy = np.sqrt(after) * beta / (1 - now), np.sqrt(1 - beta) * (1 - after) / (1 - now)
    return clean, noisy, np.sqrt(beta * (1 - after) / (1 - now))


# Three updates

BATCH, LEVELS = 8, 4
SMALL = {
    "hidden_sizes": (6, 5),
    "activation": "relu",
    "num_levels": LEVELS,
    "num_candidates": 2,
    "temperature": 0.5,
    "learning_rate": 0.01,
    "last_learning_rate": 0.002,
    "decay_start": 1,
    "decay_steps": 3,
    "polyak": 0.1,
    "discount": 0.9,
    "reward_scale": 0.7,
}
VARIANTS = {"default": {}, "code": {"clean_level": "first"}, "joint": {"smoothing_delay": 1}}


@cache
def fresh(clean_level="own"):
    """A state whose target and biases differ from the online network and from zero."""
    algo = ACA(**SMALL, clean_level=clean_level)
    state = jax.jit(algo.init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    return apart(state)


def learned(state):
    critics = state.critic.network, state.critic.target
    layers = [[layers_of_noise_critic(critic, twin) for twin in (0, 1)] for critic in critics]
    return [*layers, np.asarray(state.extra.log_scale, float)]


@cache
def trained(name):
    algo = ACA(**SMALL | VARIANTS[name])
    return three_updates(algo, fresh(algo.clean_level), BATCH, learned)


class ByHand:
    """One update after another in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, fault=""):
        self.algo, self.fault, self.updates = algo, fault, 0
        self.online, self.target, self.log_scale = learned(fresh())
        self.adam, self.noise_adam = Adam(self.online, None), Adam(self.log_scale, 0.03)
        self.shift = 0 if algo.clean_level == "own" else 1

    def learned(self):
        return [self.online, self.target, self.log_scale]

    def number(self, t):
        """By which the network knows noise t = 1, ..., LEVELS, and 0, the clean action."""
        return np.maximum(np.asarray(t) - self.shift, 0)

    def q(self, twin, obs, actions, t):
        """Values `(n,)` and what the gradient needs."""
        obs = np.broadcast_to(obs, (len(actions), OBS))
        return noise_forward(twin, obs, actions, np.broadcast_to(self.number(t), len(actions)))

    def draw(self, obs):
        x = normals(ACT)
        for t, z in zip(range(LEVELS, 0, -1), normals(LEVELS, ACT), strict=True):
            clean, noisy, std = step_of(LEVELS, t)
            g = sum(noise_slope(twin, obs[None], x[None], self.number([t]))[0] for twin in self.online)
            g = g / (1 if self.fault == "unit" else np.linalg.norm(g))
            spread = np.sqrt(1 - kept(LEVELS)[t]) if self.fault == "std" else std
            eps = -spread / self.algo.temperature.value * g * (-1 if self.fault == "sign" else 1)
            x0 = (x - np.sqrt(1 - kept(LEVELS)[t]) * eps) / np.sqrt(kept(LEVELS)[t])
            x0 = x0 if self.fault == "clip" else np.clip(x0, -1, 1)
            x = clean * x0 + noisy * x + std * z
        return np.clip(x, -1, 1)

    def step(self, actions, t, goals):
        a, loss, gradients = self.algo, 0.0, []
        for j, twin in enumerate(self.online):
            values, saved = self.q(twin, self.obs, actions, t)
            error = values - goals[:, j]
            loss += np.mean(error**2)
            gradients.append(noise_backward(twin, saved, 2 * error / BATCH))
        fallen = np.clip((self.adam.count - a.decay_start) / a.decay_steps, 0, 1)
        self.adam.rate = a.learning_rate + fallen * (a.last_learning_rate - a.learning_rate)
        return loss, gradients

    def update(self, batch):
        a, self.obs = self.algo, batch.obs
        std = a.exploration_noise * np.exp(self.log_scale)
        values = []
        for obs in batch.next_obs:
            action = np.clip(self.draw(obs) + (0 if self.fault == "quiet" else std * normals(ACT)), -1, 1)
            values.append(min(self.q(twin, obs, action[None], 0)[0][0] for twin in self.target))
        y = a.reward_scale * batch.reward + a.discount * batch.discount * np.array(values)

        before = np.stack([self.q(twin, batch.obs, batch.action, 0)[0] for twin in self.online], 1)
        critic_loss, gradients = self.step(batch.action, 0, np.stack([y, y], 1))
        self.online = self.adam.step(self.online, gradients)
        after = np.stack([self.q(twin, batch.obs, batch.action, 0)[0] for twin in self.online], 1)

        t = LEVELS - np.floor(LEVELS * uniforms(BATCH)).astype(int)
        left = kept(LEVELS)[t][:, None]
        noisy = np.sqrt(left) * batch.action + np.sqrt(1 - left) * normals(BATCH, ACT)
        goals = before if self.fault == "before" else after
        goals = goals if self.fault == "twins" else np.broadcast_to(goals.mean(1, keepdims=True), goals.shape)
        smoothing_loss, gradients = self.step(noisy, t, goals)
        if self.updates % a.smoothing_delay == 0 or self.fault == "always":
            self.online = self.adam.step(self.online, gradients)

        if self.updates % 250 == 0:
            entropy = ACT * (np.log(std) + np.log(2 * np.pi * np.e) / 2)
            self.log_scale = self.noise_adam.step(self.log_scale, entropy - ACT * a.noise_entropy)
        self.target, self.updates = polyak(self.online, self.target, a.polyak), self.updates + 1
        return {
            "critic_loss": critic_loss,
            "q_mean": before.mean(),
            "smoothing_loss": smoothing_loss,
            "target_mean": y.mean(),
            "temperature": a.temperature.value,
            "exploration_noise": std,
        }


def distance(name, fault="", algo=None):
    return differences(trained(name), ByHand(algo or ACA(**SMALL | VARIANTS[name]), fault), BATCH)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    metrics, parameters = distance(name)
    assert metrics < 2e-4
    assert parameters < 2e-5


@pytest.mark.parametrize("name", ["code", "joint"])
def test_every_switch_matters(name):
    assert distance(name, algo=ACA(**SMALL))[1] > 20 * 2e-5


@pytest.mark.parametrize("fault", ["unit", "std", "sign", "clip", "quiet", "before", "twins", "always"])
def test_a_mistake_in_the_update_shows(fault):
    """In the chain: slope of any length, another std, downhill, no clipping. A target without noise. In the smoothing:
    values from before the step, each twin's own, in every update."""
    assert distance("default", fault)[1] > 1e-3


# The law


class Line:
    """A landscape with one action, from its slope: what `ACA.draw` needs of a critic."""

    action_dim = 1

    def __init__(self, slope):
        self.along, self.critic = slope, self

    def slope(self, action, level):
        return self.along(action)


def drawn(slope, num=4000):
    """Actions `(num,)` of single chains with the paper's settings."""
    algo = ACA()
    draw = lambda key: algo.draw(Line(slope), key, algo.temperature.value)[0]
    return np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(3), num)), float)


def hills(x, heights=(1.0, 2.0), exp=jnp.exp):
    """Slope of two hills of width 0.3 at -0.6 and 0.4 on a shallow parabola, as far as the chain may go."""
    top = lambda height, centre: -height * (x - centre) / 0.09 * exp(-((x - centre) ** 2) / 0.18)
    return top(heights[0], -0.6) + top(heights[1], 0.4) - 0.1 * x


def exact_law(sign, weight=50.0, num=20, size=601):
    """Where the chain's last step leads from the points of a grid, before clipping, and how probable each is.

    By quadrature of each step's normal law; nothing of the slope is used but its `sign`.
    """
    x = np.linspace(-6, 6, size)
    density = stats.norm.pdf(x)
    for t in range(num, 1, -1):
        clean, noisy, std = step_of(num, t)
        left = kept(num)[t]
        x0 = np.clip((x + np.sqrt(1 - left) * weight * std * sign(x)) / np.sqrt(left), -1, 1)
        density = stats.norm.pdf(x[:, None], clean * x0 + noisy * x, std) @ density * (x[1] - x[0])
    return x / np.sqrt(kept(num)[1]), density / density.sum()


def share_below(law, actions):
    """The probability of actions up to each of `actions`, of an atom at a wall a fair part."""
    x, density = law
    fair, cdf = np.random.default_rng(0).uniform(size=len(actions)), np.cumsum(density) - density / 2
    low, high = np.interp([-1.0, 1.0], x, cdf)
    below = np.where(actions <= -1, fair * low, np.interp(actions, x, cdf))
    return np.where(actions >= 1, high + fair * (1 - high), below)


def fits(law, actions):
    return stats.kstest(share_below(law, actions), "uniform").pvalue > THRESHOLD


def softmax(height, weight):
    """exp(weight * height) on the box, in the form of `exact_law`."""
    x = np.linspace(-1, 1, 4001)
    density = np.exp(weight * (height(x) - height(x).max()))
    return x, density / density.sum()


def test_the_law_in_one_dimension_is_that_of_the_signs():
    actions = drawn(hills)
    sign = lambda x: np.sign(hills(x, exp=np.exp))
    assert fits(exact_law(sign), actions)
    assert not fits(exact_law(sign, weight=5.0), actions)
    bells = lambda x: np.exp(-((x + 0.6) ** 2) / 0.18) + 2 * np.exp(-((x - 0.4) ** 2) / 0.18) - x**2 / 20
    for scale in (1.0, 0.1, 0.01):
        assert not fits(softmax(bells, 50 * scale), actions)


def test_the_scale_of_q_does_not_count():
    """Whatever has a slope of the same sign gives, draw by draw, the same action."""
    other = lambda x: 0.1 * (1 + 5 * x**2) * hills(x)
    np.testing.assert_allclose(drawn(hills, 200), drawn(other, 200), atol=1e-4)
    lower = lambda x: hills(x, (2.0, 1.0))  # another valley
    assert np.abs(drawn(hills, 200) - drawn(lower, 200)).max() > 0.1


def test_a_gentle_slope_leads_to_the_wall():
    """On Q = a / 100 most chains, 0.88, end in the last twentieth of the box; exp(50 Q) has 0.08 of its mass there."""
    actions = drawn(lambda x: jnp.full(1, 0.01))
    law = exact_law(lambda x: 1.0)
    assert fits(law, actions)
    x, density = softmax(lambda x: 0.01 * x, 50)
    assert density[x > 0.9].sum() == pytest.approx(0.077, abs=1e-3)
    assert density[x > 0.9].sum() < 0.1 and law[1][law[0] > 0.9].sum() > 0.85


def test_how_far_a_step_moves_the_clean_action():
    """0, 0.64, 1.55, 2.71, ..., 20,240: but for the last two steps of the chain by more than half the box."""
    moves = [50 * step_of(20, t)[2] * np.sqrt(1 / kept(20)[t] - 1) for t in range(1, 21)]
    np.testing.assert_allclose(moves[:4], [0, 0.642, 1.547, 2.714], atol=1e-3)
    assert moves[-1] == pytest.approx(20_240, rel=1e-3) and min(moves[2:]) > 1
    signal, noise = (np.asarray(f(ACA().times()), float) for f in (CosineVP().signal, CosineVP().noise))
    np.testing.assert_allclose(signal[::-1] ** 2, kept(20), rtol=1e-4)
    np.testing.assert_allclose(noise[::-1] ** 2, 1 - kept(20), atol=1e-6)


# Acting


@pytest.mark.parametrize("num", [1, 3])
def test_the_best_of_several_chains_acts(num, key):
    """Chains that end at uniform actions: Q at the best of `num` lies at the share U^(1 / num) of its values."""

    @pytree
    class Uniform(ACA):
        def draw(self, q, key, temperature):
            return uniform_action(key, ACT)

    algo, obs, state = Uniform(**SMALL | {"num_candidates": num}), jnp.ones(OBS), fresh()
    network = replace(state.critic.network, activation="mish")  # with ReLU whole regions may have the same Q
    q = network.at(obs)
    state = replace(state, critic=replace(state.critic, network=network))
    best = jax.jit(jax.vmap(lambda k: algo.best(state, obs, k, None)))
    values = jax.jit(jax.vmap(q))
    reached, all_values = (
        values(best(jax.random.split(key, 2000))),
        values(uniform_actions(key, ACT, 100_000)),
    )
    below = np.searchsorted(np.sort(all_values), reached) / 100_000
    assert stats.kstest(below**num, "uniform").pvalue > THRESHOLD
    assert stats.kstest(below ** (num + 1), "uniform").pvalue < THRESHOLD


def test_exploit_is_without_noise_and_the_temperature_counts(key):
    algo, obs, state = ACA(**SMALL | {"temperature": 20.0}), jnp.ones(OBS), fresh()

    @jax.jit
    def actions(keys):
        at = lambda t: jax.vmap(lambda k: algo.policy(state, obs, k, t))(keys)
        own = jax.vmap(lambda k: algo.explore(state, obs, k))(keys)
        exploit = jax.vmap(lambda k: algo.exploit(state, obs, k))(keys)
        return (
            exploit,
            algo.best(state, obs, jax.random.key(0), 20.0),
            own,
            jax.vmap(at)(jnp.array([20.0, 2.0])),
        )

    reports, best, own, (same, other) = actions(jax.random.split(key, 16))
    np.testing.assert_allclose(reports, np.broadcast_to(best, reports.shape), atol=1e-6)
    np.testing.assert_allclose(own, same, atol=1e-6)
    assert np.abs(own - other).max() > 1e-2 and np.abs(own - reports).max() > 1e-2


def test_exploration_ends_at_0_098_whatever_is_learned():
    """The rule's fixed point exp(-0.9) / sqrt(2 pi e); within a twentieth of it after 82 steps of 250 updates."""
    algo = ACA()

    @jax.jit
    def course():
        def step(state, _):
            entropy = jnp.log(algo.noise_rule(state)) + jnp.log(2 * jnp.pi * jnp.e) / 2
            state = algo.noise_rule.update(state, entropy[None], 1, jnp.ones(()))
            return state, algo.noise_rule(state)

        return jax.lax.scan(step, algo.noise_rule.init(1), length=400)[1]

    stds, end = np.asarray(course(), float), np.exp(-0.9) / np.sqrt(2 * np.pi * np.e)
    assert end == pytest.approx(0.0984, abs=5e-5) and stds[-1] == pytest.approx(end, rel=1e-3)
    assert np.argmax(stds < 1.05 * end) == 81


# Settings


def test_defaults_are_those_of_the_code():
    """Typed from `train_mujoco.py` and the classes `ACA` and `ACANet`; all but `clean_level`."""
    expected = {
        "temperature": 1 / 50,
        "temperature_rule": "fixed",
        "target_entropy": -1.0,
        "temperature_learning_rate": 3e-4,
        "temperature_every": 1,
        "discount": 0.99,
        "learning_rate": 1e-3,
        "last_learning_rate": 1e-4,
        "decay_start": 25_000,
        "decay_steps": 50_000,
        "polyak": 0.005,
        "reward_scale": 0.2,
        "num_levels": 20,
        "num_candidates": 32,
        "smoothing_delay": 2,
        "clean_level": "own",
        "exploration_noise": 0.5,
        "noise_entropy": -0.9,
        "hidden_sizes": (256, 256, 256),
        "activation": "mish",
    }
    assert flat(ACA()) == expected


def test_the_released_code_has_its_level_and_its_training():
    code, training = ACA.presets["code"], {"num_envs": 5, "iterations": 1_000_000, "warmup": 30_000}
    assert flat(with_preset(ACA, "code")) == flat(ACA()) | {"clean_level": "first"}
    assert code == training | {"clean_level": "first"} and ACA.presets["paper"] == training
    state = fresh("first"), fresh()
    assert [list(np.asarray(x.critic.network.codes)) for x in state] == [[3, 2, 1, 0], [4, 3, 2, 1, 0]]
