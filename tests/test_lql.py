"""LQL: updates against NumPy by hand, chain and all; its switches; what its printed steps can reach."""

import dataclasses
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
    differences,
    joined,
    polyak,
    regression,
    smaller,
    three_updates,
    twins_of,
)
from scipy.special import logsumexp

from softq.algorithms import LQL
from softq.box import reflect, uniform_action
from softq.networks.critic import TWINS
from softq.samplers import langevin, softmax_score
from softq.testing.probe import random_batch
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace

BATCH, VALUES = 8, 7
SMALL = {
    "hidden_sizes": (6, 5),
    "activation": "relu",
    "num_steps": 3,
    "temperature": 0.1,
    "step_size": 0.02,
    "learning_rate": 0.01,
    "polyak": 0.1,
    "discount": 0.9,
    "reward_scale": 0.7,
    "num_value_samples": VALUES,
}
VARIANTS = {
    "default": {},
    "open": {"normalise": False, "boundary": "none", "twins": "sum", "start": "normal"},
    "best": {"boundary": "reflect", "twins": "min", "num_actions": 3},
    "soft": {"backup": "soft"},
    "mellowmax": {"backup": "mellowmax"},
}
KEYS = [jax.random.key(i) for i in range(3)]


@cache
def fresh():
    """A state whose target and biases differ from the online network and from zero, where a mix-up shows."""
    state = jax.jit(lambda key: LQL(**SMALL).init(key, jnp.zeros(OBS), jnp.zeros(ACT)))(jax.random.key(5))
    return apart(state, critic=0.3, target=0.3)


def learned(state):
    return [twins_of(state.critic), twins_of(state.target)]


@cache
def trained(name):
    return three_updates(LQL(**SMALL | VARIANTS[name]), fresh(), BATCH, learned, KEYS)


class ByHand:
    """Algorithm 5 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault = algo, fault
        self.online, self.target = learned(state)
        self.adam = Adam(self.online, algo.learning_rate)

    def learned(self):
        return [self.online, self.target]

    def slope(self, obs, action):
        pairs = [action_gradient(one, obs[None], action[None]) for one in self.online]
        return joined(pairs, self.algo.twins)[1][0]

    def draw(self, obs, key):
        """Definition 1."""
        a, (first, drive) = self.algo, jax.random.split(key)
        law = {
            "uniform": lambda k: jax.random.uniform(k, (ACT,), minval=-1.0),
            "normal": lambda k: jax.random.normal(k, (ACT,)),
        }
        action = np.clip(np.asarray(law[a.start](first), float), -1, 1)
        for xi in np.asarray(jax.random.normal(drive, (a.num_steps, ACT)), float):
            g = self.slope(obs, action)
            g = g / (np.linalg.norm(g) + 1e-8) if a.normalise else g
            half = 1.0 if self.fault == "half" else 0.5
            action = action + half * a.step_size * g / a.temperature + np.sqrt(a.step_size) * xi
            action = BOUNDARIES[a.boundary](action)
        return np.clip(action, -1, 1)

    def value(self, obs, key):
        a, target = self.algo, self.online if self.fault == "online" else self.target
        if a.backup == "boltzmann":
            actions = np.stack([self.draw(obs, k) for k in jax.random.split(key, a.num_actions)])
            best = actions[smaller(self.online, obs, actions).argmax()]
            return smaller(target, obs, best[None])[0]
        actions = np.asarray(jax.random.uniform(key, (VALUES, ACT), minval=-1.0), float)
        volume = ACT * np.log(2) if (a.backup == "soft") != (self.fault == "volume") else 0.0
        mean = logsumexp(smaller(target, obs, actions) / a.temperature) - np.log(VALUES)
        return a.temperature * (mean + volume)

    def update(self, batch, key):
        a, keys = self.algo, jax.random.split(key, BATCH)
        s = batch.obs if self.fault == "s" else batch.next_obs
        values = np.array([self.value(obs, k) for obs, k in zip(s, keys, strict=True)])
        y = a.reward_scale * batch.reward + a.discount * batch.discount * values
        loss, gradients, q_mean = regression(self.online, batch.obs, batch.action, y)
        self.online = self.adam.step(self.online, gradients)
        self.target = polyak(self.online, self.target, a.polyak)
        return {"critic_loss": loss, "q_mean": q_mean, "target_mean": y.mean()}


def distance(name, fault="", algo=None):
    by_hand = ByHand(algo or LQL(**SMALL | VARIANTS[name]), fresh(), fault)
    return differences(trained(name), by_hand, BATCH, KEYS)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand the targets are numbers, so no gradient flows through them either."""
    metrics, parameters = distance(name)
    assert metrics < 2e-4
    assert parameters < 2e-5


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("default", "half"),
        ("default", "online"),
        ("default", "s"),
        ("soft", "volume"),
        ("mellowmax", "volume"),
    ],
)
def test_a_mistake_in_the_update_shows(name, fault):
    """Drift without its half, the online critic's value, the action at s, log 2^d missing or where it should not be."""
    metrics, _ = distance(name, fault)
    assert metrics > 2e-3


@pytest.mark.parametrize(
    ("name", "switch"), [(name, switch) for name, switches in VARIANTS.items() for switch in switches]
)
def test_every_switch_matters(name, switch):
    """The same updates by hand without it are others: the equality above would not hold if it were ignored."""
    kept = {other: value for other, value in VARIANTS[name].items() if other != switch}
    assert distance(name, algo=LQL(**SMALL | kept))[0] > 1e-3


def test_the_slope_of_the_sum_is_twice_that_of_the_mean(key):
    """Not normalised it doubles the paper's w; normalised it changes nothing, as the released code has it."""
    obs = jax.random.normal(key, (20, OBS))
    policy = lambda **changes: np.asarray(
        jax.jit(jax.vmap(lambda o, k: LQL(**SMALL | changes).policy(fresh(), o, k)))(
            obs, jax.random.split(key, 20)
        )
    )
    doubled = policy(normalise=False, twins="sum", temperature=0.2)
    np.testing.assert_allclose(doubled, policy(normalise=False, temperature=0.1), atol=1e-5)
    np.testing.assert_allclose(policy(twins="sum"), policy(), atol=1e-5)
    assert np.abs(doubled - policy(normalise=False, temperature=0.2)).max() > 1e-2


def test_it_samples_the_landscape_by_the_samplers_of_the_book(key):
    """One level, not normalised, reflected, the smaller twin: `langevin`, key by key."""
    algo = LQL(**SMALL | {"normalise": False, "boundary": "reflect", "twins": "min"})
    obs, keys = jax.random.normal(key, (OBS,)), jax.random.split(key, 50)

    def plain(key):
        first, drive = jax.random.split(jax.random.split(key, 1)[0])
        score = softmax_score(fresh().critic.at(obs), algo.temperature)
        return langevin(
            drive, score, uniform_action(first, ACT), jnp.full(algo.num_steps, algo.step_size), reflect
        )

    drawn = jax.jit(jax.vmap(lambda k: algo.policy(fresh(), obs, k)))(keys)
    np.testing.assert_allclose(drawn, jax.jit(jax.vmap(plain))(keys), atol=1e-5)


def test_policy_at(key):
    """At its own temperature it is the policy, which also gathers data and is scored."""
    algo, obs = LQL(**SMALL), jnp.ones(OBS)
    policies = algo.policy, algo.explore, algo.exploit
    at = jax.jit(lambda t: (algo.policy(fresh(), obs, key, t), [one(fresh(), obs, key) for one in policies]))
    own, others = at(algo.temperature)
    for other in others:
        np.testing.assert_array_equal(own, other)
    assert np.abs(at(0.02)[0] - own).max() > 1e-3


@pytree
class Cone:
    """Twins whose slope has length one and points at zero."""

    action_dim: int = 17

    def at(self, obs):
        return self

    @property
    def critic(self):
        return self

    def twins(self, action):
        return jnp.full(2, -jnp.sqrt(jnp.sum(action**2) + 1e-12))

    def __call__(self, action):
        return self.twins(action)[0]


def test_the_printed_steps_cannot_move(key):
    """17 dimensions, the optimum in the middle: 20 steps of 0.025 gain less than 0.5, of a distance of 2.4."""
    state, keys = replace(fresh(), critic=Cone()), jax.random.split(key, 2000)
    length = jax.jit(
        lambda algo: jax.vmap(lambda k: jnp.linalg.norm(algo.policy(state, jnp.zeros(OBS), k)))(keys)
    )
    start = float(jax.vmap(lambda k: jnp.linalg.norm(uniform_action(k, 17)))(keys).mean())
    assert start == pytest.approx(2.36, abs=0.02)
    printed = float(length(LQL()).mean())
    assert start - 0.5 < printed < start - 0.4
    assert float(length(LQL(**LQL.small)).mean()) < start - 1.2


def test_unknown_names():
    batch = random_batch(KEYS[0], BATCH, OBS, ACT)
    with pytest.raises(SoftqError, match=r"unknown backup 'mellow'.*Did you mean 'mellowmax'"):
        LQL(**SMALL | {"backup": "mellow"}).targets(fresh(), batch, KEYS[0])
    with pytest.raises(SoftqError, match="unknown start 'gauss'"):
        LQL(**SMALL | {"start": "gauss"}).targets(fresh(), batch, KEYS[0])
    assert set(TWINS) == {"mean", "min", "sum"}


def test_defaults_are_those_of_the_paper():
    """Tables 5 and 6, E.2; and NC-LQL's released code where they are silent."""
    expected = {
        "temperature": 1 / 500,
        "step_size": 1e-4,
        "discount": 0.99,
        "learning_rate": 1e-4,
        "polyak": 0.005,
        "reward_scale": 0.2,
        "num_steps": 20,
        "normalise": True,
        "boundary": "project",
        "start": "uniform",
        "twins": "mean",
        "num_actions": 1,
        "backup": "boltzmann",
        "num_value_samples": 100,
        "hidden_sizes": (256, 256, 256),
        "activation": "mish",
    }
    algo = LQL()
    assert {field.name: getattr(algo, field.name) for field in dataclasses.fields(algo)} == expected
