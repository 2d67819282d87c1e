"""DPMD: updates against NumPy by hand, the law of a step, the code's slip of brackets, its presets and defaults."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import ACT, OBS, apart, differences, normals, three_updates
from by_hand_draws import BATCH, SETTINGS, DrawsByHand, noise_of, numbers, random_time
from by_hand_draws import learned as learned_by_both
from small import with_preset

from softq.algorithms import DPMD
from softq.algorithms.common.learner import Learner
from softq.algorithms.common.temperature import Temperature
from softq.algorithms.dpmd import Spread
from softq.utils.flat_settings import flat
from softq.utils.pytree import replace

SMALL = SETTINGS | {"temperature": 0.4, "spread_rate": 0.3}
CODE = {name: DPMD.presets["code"][name] for name in ("normalised", "critic_steps")}
TUNED = Temperature(0.4, "log", target_entropy=-0.9, learning_rate=0.1, every=1)
VARIANTS = {"default": {"temperature": TUNED, "clip": 0.6}, "code": CODE}
FOUR = [jax.random.fold_in(jax.random.key(20240501), i) for i in range(4)]
MEAN, STD = 0.3, 0.7  # of Q, at the start


@cache
def initial():
    return jax.jit(DPMD(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))


def fresh(algo):
    """A state whose targets and biases differ from the online networks and from zero, after some spread of Q."""
    state = apart(initial(), actor=0.3, actor_target=0.3)
    critic = replace(
        Learner.create(state.critic.network, algo.critic_optimiser()), target=state.critic.target
    )
    actor = replace(Learner.create(state.actor.network, algo.actor_optimiser()), target=state.actor.target)
    temperature = replace(algo.temperature.init(ACT), log_scale=jnp.asarray(0.2))
    spread = Spread(jnp.asarray(MEAN), jnp.asarray(STD))
    return replace(state, critic=critic, actor=actor, temperature=temperature, extra=spread)


def learned(state):
    return [*learned_by_both(state), float(state.extra.mean), float(state.extra.std)]


class ByHand(DrawsByHand):
    """The loss of DPMD and its running spread in float64."""

    mean, std = MEAN, STD

    def learned(self):
        return [*super().learned(), self.mean, self.std]

    def looser(self):
        return [*super().looser(), 1.0, 1.0]

    def actor_loss(self, batch):
        algo, action = self.algo, self.policy(batch.obs)
        q = self.q(batch.obs, action)
        slip = (algo.normalised == "slip") != (self.fault == "brackets")
        normal = q - self.mean / self.std if slip else (q - self.mean) / self.std
        normal = normal if self.fault == "clip" else np.clip(normal, -algo.clip, algo.clip)
        weight = np.exp((normal - algo.clip) / (1 if self.fault == "temperature" else self.temperature()))
        weight = weight.mean() if self.fault == "cloning" else weight
        rate = 0 if self.fault == "spread" else algo.spread_rate
        self.mean, self.std = (
            self.mean + rate * (q.mean() - self.mean),
            self.std + rate * (q.std() - self.std),
        )
        action = batch.action if self.fault == "replayed" else action
        (signal, noise), z = numbers(random_time()), normals(ACT)
        x = signal * action + noise * z
        error = noise_of(self.actor, batch.obs, x, random_time()) - z
        weights = np.broadcast_to(weight, BATCH)[:, None]
        gradients = self.actor.gradients(2 * weights * error / BATCH)
        loss = np.mean(np.sum(weights * error**2, 1))
        return loss, {"weight": weights.mean()}, gradients


@cache
def trained(name):
    algo = DPMD(**SMALL | VARIANTS[name])
    return three_updates(algo, fresh(algo), BATCH, learned, FOUR)


def distance(name, fault=""):
    algo = DPMD(**SMALL | VARIANTS[name])
    return differences(trained(name), ByHand(algo, fresh(algo), fault), BATCH, FOUR, floor=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand weights and actions are numbers, so this also shows that no gradient flows through them."""
    metrics, parameters = distance(name)
    assert metrics < 1e-4
    assert parameters < 1e-4


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("default", fault) for fault in ("online", "no delay", "clip", "temperature", "cloning", "spread")),
        *(("default", fault) for fault in ("replayed", "brackets", "excess")),
        *(("code", fault) for fault in ("brackets", "rate", "noise")),
    ],
)
def test_a_mistake_in_the_update_shows(name, fault):
    """Bootstrap from the online critics; an actor that moves each time; weights without a clip, without the temperature
    or all equal; a spread of Q that does not run; replayed actions; the other brackets; a temperature that falls where
    the noise is too small; a rate that does not fall; noise of a size that does not follow the temperature.
    """
    _, parameters = distance(name, fault)
    assert parameters > 1e-3


def test_the_code_steps_its_critics_twice():
    """By hand one step with the same gradients ends elsewhere."""
    algo = DPMD(**SMALL | CODE | {"critic_steps": 1})
    assert differences(trained("code"), ByHand(algo, fresh(algo)), BATCH, FOUR, floor=1)[1] > 1e-2


# The law


def weights_at(algo, q, spread, heat):
    state = replace(initial(), extra=spread, temperature=algo.temperature.init(1))
    algo = replace(algo, temperature=Temperature(heat))
    return np.asarray(jax.jit(jax.vmap(lambda q: algo.weight(state, q)))(jnp.asarray(q)), float)


def test_the_weights_make_of_a_law_that_law_times_the_exponential_of_q():
    """Shares of weighted draws: exp(Q / (temperature * std)), within the clip, and again in each step."""
    q = np.linspace(-1, 1, 9)
    weights = weights_at(DPMD(), q, Spread(jnp.asarray(0.2), jnp.asarray(0.5)), 0.7)
    expected = np.exp(q / (0.7 * 0.5))
    np.testing.assert_allclose(weights / weights.sum(), expected / expected.sum(), rtol=1e-5)
    twice = weights**2 / np.sum(weights**2)  # of the weights of its own shares
    np.testing.assert_allclose(twice, expected**2 / np.sum(expected**2), rtol=1e-5)
    assert np.isfinite(weights_at(DPMD(), q, Spread(jnp.asarray(0.2), jnp.asarray(0.5)), 0.001)).all()


def test_the_codes_weights_are_all_equal_where_q_is_large():
    """It subtracts mean / std: with Q of 40 and a std of 5 all weights are that of the clip."""
    q, spread = np.linspace(30, 50, 5), Spread(jnp.asarray(40.0), jnp.asarray(5.0))
    code, ours = (weights_at(DPMD(normalised=name), q, spread, 1.0) for name in ("slip", "score"))
    assert np.ptp(code) == 0
    np.testing.assert_allclose(ours / ours[0], np.exp((q - q[0]) / 5), rtol=1e-4)


def test_the_temperature_is_that_of_one_step():
    """What divides Q in the weights, for those who ask an algorithm for it."""
    state = replace(initial(), extra=Spread(jnp.asarray(0.2), jnp.asarray(0.5)))
    algo = DPMD(temperature=Temperature(0.7))
    assert float(algo.temperature_of(state, jnp.zeros(OBS))) == pytest.approx(0.35)
    assert float(algo.temperature_of(state, jnp.zeros(OBS), 2.0)) == pytest.approx(1.0)


# Presets and defaults


def test_the_code_has_the_slip_and_two_steps():
    code = flat(with_preset(DPMD, "code"))
    assert {name: code[name] for name in code if code[name] != flat(DPMD())[name]} == {
        "normalised": "slip",
        "critic_steps": 2,
    }


def test_defaults_are_those_of_the_paper():
    """Typed from NC-LQL's Table 5, and from the authors' code where that names none."""
    expected = {
        "temperature": 5.0,
        "temperature_rule": "log",
        "target_entropy": -0.9,
        "temperature_learning_rate": 7e-3,
        "temperature_every": 250,
        "discount": 0.99,
        "learning_rate": 3e-4,
        "actor_learning_rate": 3e-4,
        "last_actor_learning_rate": 3e-5,
        "decay_start": 25_000.0,
        "decay_steps": 50_000.0,
        "polyak": 0.005,
        "policy_delay": 2,
        "reward_scale": 0.2,
        "num_steps": 20,
        "num_actions": 32,
        "exploration_noise": 0.1,
        "normalised": "score",
        "clip": 3.0,
        "spread_rate": 0.001,
        "critic_steps": 1,
        "hidden_sizes": (256, 256, 256),
        "activation": "mish",
    }
    assert flat(DPMD()) == expected
