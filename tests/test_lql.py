"""LQL: updates against NumPy by hand, chain and all; its switches; what its printed steps can reach."""

from collections.abc import Callable
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
    normals,
    polyak,
    reduced,
    regression,
    smaller,
    three_updates,
    twins_of,
    uniforms,
)
from scipy.special import logsumexp

from softq.algorithms import LQL
from softq.algorithms.common.learner import Learner
from softq.algorithms.common.temperature import Temperature
from softq.box import reflect, uniform_action
from softq.samplers import langevin, softmax_score
from softq.testing import THRESHOLD, mean_test
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import flat
from softq.utils.pytree import pytree, replace, static

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
    # whose chain leaves the box and comes back
    "open": {"unit_slope": False, "boundary": "none", "twins": "sum", "start": "normal", "num_steps": 4},
    "reflected": {"boundary": "reflect", "twins": "min", "step_size": 0.2},
    "soft": {"unit_slope": False, "backup": "soft", "twins": "sum"},
    "mellowmax": {"unit_slope": False, "backup": "mellowmax"},
}
# Without it these backups are refused: no number divides Q.
REFUSED = {("soft", "unit_slope"), ("mellowmax", "unit_slope")}


@cache
def fresh():
    """A state whose target and biases differ from the online network and from zero, where a mix-up shows."""
    state = jax.jit(lambda key: LQL(**SMALL).init(key, jnp.zeros(OBS), jnp.zeros(ACT)))(jax.random.key(5))
    return apart(state)


def learned(state):
    return [twins_of(state.critic.network), twins_of(state.critic.target)]


@cache
def trained(name):
    return three_updates(LQL(**SMALL | VARIANTS[name]), fresh(), BATCH, learned)


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
        return reduced(pairs, self.algo.twins)[1][0]

    def draw(self, obs):
        """Definition 1."""
        a, temperature = self.algo, self.algo.temperature.value
        action = np.clip(normals(ACT) if a.start == "normal" else 2 * uniforms(ACT) - 1, -1, 1)
        for xi in normals(a.num_steps, ACT):
            g = self.slope(obs, action)
            g = g / (np.linalg.norm(g) + 1e-8) if a.unit_slope else g
            half = 1.0 if self.fault == "half" else 0.5
            action = action + half * a.step_size * g / temperature + np.sqrt(a.step_size) * xi
            action = BOUNDARIES[a.boundary](action)
        return np.clip(action, -1, 1)

    def value(self, obs):
        a, target = self.algo, self.online if self.fault == "online" else self.target
        if a.backup == "boltzmann":
            return smaller(target, obs, self.draw(obs)[None])[0]
        # a chain that climbs the sum of the twins, 2 Q, at a temperature samples exp(Q / half of it)
        halved = a.twins == "sum" and self.fault != "sum"
        temperature = a.temperature.value / 2 if halved else a.temperature.value
        volume = ACT * np.log(2) if (a.backup == "soft") != (self.fault == "volume") else 0.0
        mean = logsumexp(smaller(target, obs, 2 * uniforms(VALUES, ACT) - 1) / temperature) - np.log(VALUES)
        return temperature * (mean + volume)

    def update(self, batch):
        a = self.algo
        values = np.array([self.value(obs) for obs in (batch.obs if self.fault == "s" else batch.next_obs)])
        y = a.reward_scale * batch.reward + a.discount * batch.discount * values
        loss, gradients, q_mean = regression(self.online, batch.obs, batch.action, y)
        self.online = self.adam.step(self.online, gradients)
        self.target = polyak(self.online, self.target, a.polyak)
        metrics = {"critic_loss": loss, "q_mean": q_mean, "target_mean": y.mean()}
        return metrics | {"temperature": a.temperature.value}


def distance(name, fault="", algo=None):
    by_hand = ByHand(algo or LQL(**SMALL | VARIANTS[name]), fresh(), fault)
    return differences(trained(name), by_hand, BATCH)


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
        ("soft", "sum"),
        ("mellowmax", "volume"),
    ],
)
def test_a_mistake_in_the_update_shows(name, fault):
    """Drift without its half, the online critic's value, the action at s, log 2^d missing or where it should not be.

    And the soft value of Q at twice the temperature that divides it.
    """
    metrics, _ = distance(name, fault)
    assert metrics > 2e-3


SWITCHES = [(name, switch) for name, switches in VARIANTS.items() for switch in switches]


@pytest.mark.parametrize(("name", "switch"), [pair for pair in SWITCHES if pair not in REFUSED])
def test_every_switch_matters(name, switch):
    """The same updates by hand without it are others: the equality above would not hold if it were ignored."""
    kept = {other: value for other, value in VARIANTS[name].items() if other != switch}
    assert distance(name, algo=LQL(**SMALL | kept))[0] > 1e-3


def test_the_slope_of_the_sum_is_twice_that_of_the_mean(key):
    """Not normalised it doubles the paper's w; normalised it changes nothing, as the released code has it."""
    state, obs = fresh(), jax.random.normal(key, (20, OBS))
    policy = lambda **changes: np.asarray(
        jax.jit(jax.vmap(lambda o, k: LQL(**SMALL | changes).policy(state, o, k)))(
            obs, jax.random.split(key, 20)
        )
    )
    doubled = policy(unit_slope=False, twins="sum", temperature=0.2)
    np.testing.assert_allclose(doubled, policy(unit_slope=False, temperature=0.1), atol=1e-5)
    np.testing.assert_allclose(policy(twins="sum"), policy(), atol=1e-5)
    assert np.abs(doubled - policy(unit_slope=False, temperature=0.2)).max() > 1e-2


def test_it_samples_the_landscape_by_the_samplers_of_the_book(key):
    """One level, not normalised, reflected, the smaller twin: `langevin`, key by key."""
    algo = LQL(**SMALL | {"unit_slope": False, "boundary": "reflect", "twins": "min"})
    state, obs, keys = fresh(), jax.random.normal(key, (OBS,)), jax.random.split(key, 50)

    def plain(key):
        first, drive = jax.random.split(jax.random.split(key, 1)[0])
        score = softmax_score(state.critic.network.at(obs), algo.temperature.value)
        return langevin(
            drive, score, uniform_action(first, ACT), jnp.full(algo.num_steps, algo.step_size), reflect
        )

    drawn = jax.jit(jax.vmap(lambda k: algo.policy(state, obs, k)))(keys)
    np.testing.assert_allclose(drawn, jax.jit(jax.vmap(plain))(keys), atol=1e-5)


def test_policy_at(key):
    """At its own temperature it is the policy, which also gathers data and is scored."""
    algo, state, obs = LQL(**SMALL), fresh(), jnp.ones(OBS)
    policies = algo.policy, algo.explore, algo.exploit
    at = jax.jit(lambda t: (algo.policy(state, obs, key, t), [one(state, obs, key) for one in policies]))
    own, others = at(algo.temperature.value)
    for other in others:
        np.testing.assert_array_equal(own, other)
    assert np.abs(at(0.02)[0] - own).max() > 1e-3


@pytree
class Known:
    """Twins that are `shape`, a function of the action, in every state."""

    shape: Callable = static()
    action_dim: int = static()

    def at(self, obs):
        return self

    @property
    def critic(self):
        return self

    def twins(self, action):
        return self.shape(action)

    def __call__(self, action):
        return jnp.min(self.twins(action))


def knowing(shape, dim):
    """A state with these critics."""
    critic = Known(shape, dim)
    return replace(fresh(), critic=Learner(critic, (), critic))


def test_the_best_of_three_chains_acts(key):
    """Chains that stay where they start, uniform, under twins a and -2 a: the share of the line that is better.

    The smaller twin falls on both sides of zero. The best of n uniform actions leaves 1 / (n + 1) better on average.
    """
    state, keys = (
        knowing(lambda action: jnp.stack([action[0], -2 * action[0]]), 1),
        jax.random.split(key, 4000),
    )

    def better(num_actions):
        algo = LQL(**SMALL | {"step_size": 1e-12, "num_actions": num_actions})
        draw = jax.jit(jax.vmap(lambda k: algo.policy(state, jnp.zeros(OBS), k)))
        action = np.asarray(draw(keys), float)[:, 0]
        below = np.maximum(-action, 2 * action)  # minus the smaller twin
        return np.where(below < 1, 0.75 * below, 0.5 + below / 4)

    assert mean_test(better(3), 1 / 4) > THRESHOLD
    assert mean_test(better(1), 1 / 2) > THRESHOLD
    assert mean_test(better(2), 1 / 4) < THRESHOLD, "the best of two"


def cone(action):
    """Twins whose slope has length one and points at zero."""
    return jnp.full(2, -jnp.sqrt(jnp.sum(action**2) + 1e-12))


def test_the_printed_steps_cannot_move(key):
    """17 dimensions, the optimum in the middle: 20 steps of 0.025 gain less than 0.5, of a distance of 2.4."""
    state, keys = knowing(cone, 17), jax.random.split(key, 2000)
    length = jax.jit(
        lambda algo: jax.vmap(lambda k: jnp.linalg.norm(algo.policy(state, jnp.zeros(OBS), k)))(keys)
    )
    start = float(jax.vmap(lambda k: jnp.linalg.norm(uniform_action(k, 17)))(keys).mean())
    assert start == pytest.approx(2.36, abs=0.02)
    printed = float(length(LQL()).mean())
    assert start - 0.5 < printed < start - 0.4
    assert float(length(LQL(**LQL.presets["small"])).mean()) < start - 1.2


def test_settings_that_it_refuses():
    for name, wrong, message in [
        ("backup", "mellow", r"unknown backup 'mellow'.*Did you mean 'mellowmax'"),
        ("start", "gauss", "unknown start 'gauss'"),
        ("twins", "max", "unknown twins 'max'"),
    ]:
        with pytest.raises(SoftqError, match=message):
            LQL(**{name: wrong})
    with pytest.raises(SoftqError, match=r"LQL estimates no entropy .* leave the rule at 'fixed'"):
        LQL(temperature=Temperature(0.1, "ddsq"), unit_slope=False)
    for backup in ("soft", "mellowmax"):
        with pytest.raises(SoftqError, match=f"backup '{backup}' needs unit_slope=False"):
            LQL(backup=backup)


def test_defaults_are_those_of_the_paper():
    """Tables 5 and 6, E.2; and NC-LQL's released code where they are silent.

    The temperature does not learn; what its rules would go by is softq's.
    """
    expected = {
        "temperature": 1 / 500,
        "temperature_rule": "fixed",
        "target_entropy": -1.0,
        "temperature_learning_rate": 3e-4,
        "temperature_every": 1,
        "step_size": 1e-4,
        "discount": 0.99,
        "learning_rate": 1e-4,
        "polyak": 0.005,
        "reward_scale": 0.2,
        "num_steps": 20,
        "unit_slope": True,
        "boundary": "project",
        "start": "uniform",
        "twins": "mean",
        "num_actions": 1,
        "backup": "boltzmann",
        "num_value_samples": 100,
        "hidden_sizes": (256, 256, 256),
        "activation": "mish",
    }
    assert flat(LQL()) == expected
