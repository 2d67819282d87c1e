"""QSM: updates and samples against NumPy by hand, the law that it aims at, its presets and defaults."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import (
    ACT,
    OBS,
    Adam,
    ScoreByHand,
    action_gradient,
    apart,
    differences,
    float64,
    known_draws,
    normals,
    polyak,
    reduced,
    regression,
    smaller,
    three_updates,
    twins_of,
    uniforms,
)
from scipy import stats
from small import with_preset

from softq.algorithms import QSM
from softq.algorithms.common.learner import Learner
from softq.diffusion import LinearVP
from softq.testing import THRESHOLD
from softq.utils.flat_settings import flat
from softq.utils.pytree import pytree, replace, static

BATCH, STEPS = 8, 4
SMALL = {
    "hidden_sizes": (6, 5),
    "learning_rate": 0.01,
    "actor_learning_rate": 0.02,
    "polyak": 0.1,
    "discount": 0.9,
    "temperature": 0.5,
    "num_steps": STEPS,
}
# what each preset changes of the learning itself
OF_PRESET = {
    name: {field: QSM.presets[name][field] for field in fields if field in QSM.presets[name]}
    for name, fields in {
        "code": ("scaled", "exploration_noise", "decay"),
        "port": ("sampling", "twins"),
    }.items()
}
VARIANTS = {
    "default": {"reward_scale": 0.7},
    "code": OF_PRESET["code"] | {"decay_updates": 4.0},
    "port": OF_PRESET["port"] | {"num_actions": 3},
}


@cache
def initial():
    return jax.jit(QSM(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))


def fresh(algo):
    """A state whose targets and biases differ from the online networks and from zero."""
    state = apart(initial(), actor=0.1)
    return replace(state, actor=Learner.create(state.actor.network, algo.actor_optimiser()))


def learned(state):
    critics = twins_of(state.critic.network), twins_of(state.critic.target)
    return [*critics, float64(dict(state.actor.network.params))]


def numbers(t):
    """Signal and noise of the schedule at time t, from the integral of beta."""
    spent = 0.1 * t + 9.9 * t**2 / 2
    return np.exp(-spent / 2), np.sqrt(1 - np.exp(-spent))


def log_snr(t):
    signal, noise = numbers(t)
    return 2 * np.log(signal / noise)


class ByHand:
    """Actor and critics in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault = algo, fault
        self.critic, self.target, _ = learned(state)
        self.actor = ScoreByHand(state.actor.network)
        self.critic_adam = Adam(self.critic, algo.learning_rate)
        self.actor_adam = Adam(self.actor.params, algo.actor_learning_rate)

    def learned(self):
        return [self.critic, self.target, self.actor.params]

    def looser(self):
        return [*jax.tree.map(np.ones_like, (self.critic, self.target)), self.actor_adam.looser]

    def drawn(self, obs):
        """Draws of the process `(B, d)`, before noise is added; the best of equal draws is each of them."""
        a, steps = np.tile(normals(ACT), (len(obs), 1)), np.arange(STEPS)
        output = lambda a, t: self.actor.outputs(obs, a, np.full((len(obs), 1), log_snr(t)))
        for k, z in zip(steps, normals(STEPS, ACT), strict=True):
            t = 1 - k / STEPS
            if self.algo.sampling == "langevin":
                a = np.clip(a + t / 2 * output(a, 1.0) + np.sqrt(t) * z, -1, 1)
                continue
            (signal, noise), (before, _) = numbers(t), numbers(t - 1 / STEPS)
            alpha = (signal / before) ** 2  # of this step alone
            a = (a - (1 - alpha) / noise * output(a, t)) / np.sqrt(alpha)
            a = np.clip(a + (np.sqrt(1 - alpha) * z if k < STEPS - 1 else 0), -1, 1)
        return a

    def update(self, batch):
        algo = self.algo
        action = np.clip(self.drawn(batch.next_obs) + algo.exploration_noise * normals(ACT), -1, 1)
        action = self.drawn(batch.next_obs) if self.fault == "no noise" else action
        twins = self.critic if self.fault == "online" else self.target
        value = smaller(twins, batch.next_obs, action)
        y = algo.reward_scale * batch.reward + algo.discount * batch.discount * value
        loss, gradients, q_mean = regression(self.critic, batch.obs, batch.action, y)
        self.critic = self.critic_adam.step(self.critic, gradients)
        self.target = polyak(self.critic, self.target, algo.polyak)
        return {
            "critic_loss": loss,
            "q_mean": q_mean,
            "target_mean": y.mean(),
            "actor_loss": self.actor_step(batch),
            "temperature": 0.5,
        }

    def actor_step(self, batch):
        algo, langevin = self.algo, self.algo.sampling == "langevin"
        t = 1.0 if langevin else 1 - np.floor(STEPS * uniforms()) / STEPS
        signal, noise = numbers(t)
        x = batch.action if langevin else signal * batch.action + noise * normals(ACT)
        x = batch.action if self.fault == "clean" else x
        pairs = [action_gradient(layers, batch.obs, x) for layers in self.critic]
        _, slope = reduced(
            pairs, algo.twins if self.fault != "twins" else {"mean": "sum", "min": "mean"}[algo.twins]
        )
        target = slope / (1.0 if self.fault == "temperature" else 0.5)
        if not langevin:
            target = -target * (noise if algo.scaled != (self.fault == "size") else 1)
        target = -target if self.fault == "sign" else target
        error = self.actor.outputs(batch.obs, x, np.full((BATCH, 1), log_snr(t))) - target
        adam = self.actor_adam
        if algo.decay == "cosine":
            adam.rate = 0.02 * (1 + np.cos(np.pi * min(adam.count / algo.decay_updates, 1))) / 2
        self.actor.params = adam.step(self.actor.params, self.actor.gradients(2 * error / BATCH))
        return np.mean(np.sum(error**2, 1))


@cache
def trained(name):
    algo = QSM(**SMALL, **VARIANTS[name])
    return three_updates(algo, fresh(algo), BATCH, learned)


def distance(name, fault=""):
    algo = QSM(**SMALL, **VARIANTS[name])
    return differences(trained(name), ByHand(algo, fresh(algo), fault), BATCH, floor=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand the targets are numbers, so this also shows that no gradient flows through them."""
    metrics, parameters = distance(name)
    assert metrics < 5e-5
    assert parameters < 5e-5


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("default", fault) for fault in ("online", "clean", "twins", "temperature", "size", "sign")),
        *(("code", fault) for fault in ("no noise", "size", "twins")),
        *(("port", fault) for fault in ("twins", "temperature", "sign")),
    ],
)
def test_a_mistake_in_the_update_shows(name, fault):
    """Slopes of the sum of the critics, at the clean action, of Q itself, of the wrong sign; noise of the other size.

    "online": bootstrap from the online critics. "no noise": the target's action without the code's noise.
    """
    metrics, parameters = distance(name, fault)
    assert metrics > 5e-3
    assert parameters > 5e-4


def test_noise_is_added_to_actions_of_data_and_not_to_the_reported_one(key):
    algo = QSM(**SMALL, exploration_noise=0.3)
    state, obs = fresh(algo), jnp.array([0.3, -0.5, 1.0])
    with known_draws():
        gathers, reported = jax.jit(lambda: (algo.explore(state, obs, key), algo.exploit(state, obs, key)))()
    np.testing.assert_allclose(gathers, np.clip(reported + 0.3 * normals(ACT), -1, 1), atol=1e-6)
    by_hand = ByHand(algo, state).drawn(np.asarray(obs, float)[None])[0]
    np.testing.assert_allclose(reported, by_hand, atol=1e-4)


# The schedule


def test_the_schedule_has_the_steps_of_the_code():
    """signal^2 at k / T is the product of the code's alphas; time and noise level are each other's inverse."""
    schedule, steps = LinearVP(), 5
    k = np.arange(1, steps + 1)
    alphas = np.exp(-0.1 / steps - 0.5 * 9.9 * (2 * k - 1) / steps**2)
    signal, noise, level = (
        np.asarray(f(k / steps)) for f in (schedule.signal, schedule.noise, schedule.log_snr)
    )
    np.testing.assert_allclose(signal**2, np.cumprod(alphas), rtol=1e-5)
    np.testing.assert_allclose(signal**2 + noise**2, 1, rtol=1e-6)
    np.testing.assert_allclose(level, 2 * np.log(signal / noise), rtol=1e-5)
    np.testing.assert_allclose(schedule.time_of(level), k / steps, rtol=1e-5)
    np.testing.assert_allclose(schedule.drift(0.3), -schedule.g2(0.3) / 2)
    slope = (np.log(numbers(0.3001)[0]) - np.log(numbers(0.2999)[0])) / 2e-4
    np.testing.assert_allclose(schedule.drift(0.3), slope, rtol=1e-4)


# The law


@pytree
class Slope:
    """A network that has learned the slope of -a^2 / (2 variance) at all noise levels, as the noise that QSM's is."""

    variance: float = 0.04
    action_dim: int = static(default=1)

    def at(self, obs):
        return lambda x, condition: jnp.sqrt(jax.nn.sigmoid(-condition[0])) * x / self.variance


def variance_by_hand(variance, steps, clip):
    """Of the process's end, with the slope for the score at every level; on the line a linear chain."""
    rng, a = np.random.default_rng(0), None
    total, draws = 1.0, 400_000
    a = rng.normal(size=draws)
    for k in range(steps):
        (signal, _), (before, _) = numbers(1 - k / steps), numbers(1 - (k + 1) / steps)
        alpha = (signal / before) ** 2
        factor = (1 - (1 - alpha) / variance) / np.sqrt(alpha)
        added = (1 - alpha) * (k < steps - 1)
        total = factor**2 * total + added
        a = factor * a + np.sqrt(added) * rng.normal(size=draws)
        a = np.clip(a, -1, 1) if clip else a
    return a.var() if clip else total


def test_the_law_is_not_the_softmax(key):
    """With the slope for the score at all levels the spread is that of a chain, not of exp(Q / temperature).

    The softmax is N(0, 0.04) here, which 40 steps with the exact score of each noised law would draw.
    """
    steps, num = 40, 20_000
    algo = QSM(num_steps=steps)
    state = replace(initial(), actor=Learner(Slope(), ()))
    draws = jax.jit(jax.vmap(lambda k: algo.one_draw(state, jnp.zeros(OBS), k)))(jax.random.split(key, num))
    variance = np.var(np.asarray(draws, float))
    expected = variance_by_hand(0.04, steps, clip=True)
    # the variance of n normal draws, in units of its mean, has the spread sqrt(2 / n); ours are bounded
    error = np.sqrt(2 / num) + np.sqrt(2 / 400_000)
    assert 2 * stats.norm.sf(abs(variance / expected - 1) / error) > THRESHOLD
    assert 2 * stats.norm.sf(abs(variance / 0.04 - 1) / error) < THRESHOLD


# Presets and defaults


def test_presets_are_those_of_the_codes():
    """M_q = 50 is the temperature's inverse in the authors' code; typed from it, and from the port's `qsm.py`."""
    code, port = (flat(with_preset(QSM, name)) for name in ("code", "port"))
    default = flat(QSM())
    assert {name: code[name] for name in code if code[name] != default[name]} == {
        "scaled": False,
        "exploration_noise": 0.1,
        "decay": "cosine",
    }
    assert {name: port[name] for name in port if port[name] != default[name]} == {
        "sampling": "langevin",
        "twins": "min",
        "temperature": 1.0,
        "num_steps": 20,
        "num_actions": 32,
        "hidden_sizes": (256, 256, 256),
        "activation": "relu",
    }


def test_defaults_are_those_of_the_code():
    """Typed from the authors' learner and configuration, where the text of the method names no value."""
    expected = {
        "temperature": 0.02,
        "temperature_rule": "fixed",
        "target_entropy": -1.0,
        "temperature_learning_rate": 3e-4,
        "temperature_every": 1,
        "discount": 0.99,
        "learning_rate": 3e-4,
        "actor_learning_rate": 3e-4,
        "decay": "constant",
        "decay_updates": 2e6,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "num_steps": 5,
        "sampling": "reverse",
        "scaled": True,
        "twins": "mean",
        "exploration_noise": 0.0,
        "num_actions": 1,
        "hidden_sizes": (512, 512),
        "activation": "mish",
        "critic_activation": "relu",
    }
    assert flat(QSM()) == expected
