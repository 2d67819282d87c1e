"""MalaQ: updates against NumPy by hand around given chains; its temperature and steps settle; it ends uphill."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import (
    ACT,
    OBS,
    Adam,
    action_gradient,
    apart,
    differences,
    known_draws,
    polyak,
    reduced,
    regression,
    smaller,
    three_updates,
    twins_of,
    uniforms,
)

from softq.algorithms import MalaQ
from softq.algorithms.common.temperature import Temperature
from softq.samplers import ais
from softq.testing.probe import random_batch
from softq.utils.flat_settings import flat
from softq.utils.pytree import replace

BATCH = 8
RULE = Temperature(0.2, "ddsq", learning_rate=0.05)
SMALL = {
    "hidden_sizes": (6, 5),
    "activation": "relu",
    "num_candidates": 4,
    "num_levels": 3,
    "num_steps": 2,
    "num_fresh": 0,
    "temperature_ratio": 8.0,
    "temperature": RULE,
    "learning_rate": 0.01,
    "polyak": 0.1,
    "discount": 0.9,
    "reward_scale": 0.7,
}
VARIANTS = {
    "default": {},
    "soft": {"backup": "soft", "relative": True},
    "fixed": {"backup": "boltzmann", "temperature": Temperature(0.2), "num_fresh": 3},
}


@cache
def fresh():
    """A state whose target and biases differ from the online network and from zero, where a mix-up shows."""
    state = jax.jit(lambda key: MalaQ(**SMALL).init(key, jnp.zeros(OBS), jnp.zeros(ACT)))(jax.random.key(5))
    temperature = replace(state.temperature, log_scale=jnp.array(0.3))
    return apart(replace(state, temperature=temperature, extra=jnp.array([0.0, 0.0, 0.5])))


def learned(state):
    critics = twins_of(state.critic.network), twins_of(state.critic.target)
    return [*critics, float(state.temperature.log_scale), np.asarray(state.extra, float)]


@cache
def trained(name):
    return three_updates(MalaQ(**SMALL | VARIANTS[name]), fresh(), BATCH, learned)


def network_of(twins):
    """Critics in single precision from the layers by hand, as `twins_of` takes them apart."""
    (first, *hidden, last), both = zip(*twins, strict=True), lambda xs: jnp.asarray(np.stack(xs), jnp.float32)
    layer = lambda pairs: dict(zip(("kernel", "bias"), map(both, zip(*pairs, strict=True)), strict=True))
    params = {f"hidden_{i}": layer(pairs) for i, pairs in enumerate(hidden)} | {"out": layer(last)}
    weights = layer(first)
    params["state_part"] = {"kernel": weights["kernel"][:, :OBS], "bias": weights["bias"]}
    params["action_part"] = {"kernel": weights["kernel"][:, OBS:]}
    return replace(fresh().critic.network, params=params)


@cache
def chains(num_candidates, num_steps, num_fresh):
    """`ais` on the smaller twin in each state; its own tests are test_ais and test_exact_samplers."""

    def chain(critic, obs, temperatures, steps):
        sizes = num_candidates, num_steps, num_fresh
        return ais(jax.random.key(0), critic.at(obs), ACT, temperatures, steps, *sizes)

    return jax.jit(jax.vmap(chain, (None, 0, 0, 0)))


class ByHand:
    """One update in float64 around the ends of the chains. `fault` makes one mistake on purpose."""

    def __init__(self, algo, fault=""):
        self.algo, self.fault = algo, fault
        self.online, self.target, self.log_scale, self.log_steps = learned(fresh())
        self.adam = Adam(self.online, algo.learning_rate)
        self.ladder = algo.temperature_ratio ** (1 - np.arange(algo.num_levels) / (algo.num_levels - 1))

    def learned(self):
        return [self.online, self.target, self.log_scale, self.log_steps]

    def chains(self, obs, divisors):
        """Last actions `(B, d)`, entropies by left and by right sums `(B,)`, shares of accepted steps `(B, K)`."""
        a, temperatures = self.algo, divisors[:, None] * self.ladder
        steps = np.minimum(np.exp(self.log_steps) * temperatures, 1.0)
        given = [jnp.asarray(x, jnp.float32) for x in (obs, temperatures, steps)]
        with known_draws():
            run = chains(a.num_candidates, a.num_steps, a.num_fresh)
            end = run(network_of(self.online), *given)
        return (np.asarray(x, float) for x in (end.action, end.lower, end.upper, end.accepted))

    def update(self, batch):
        a, rule = self.algo, self.algo.temperature
        in_force = rule.value * np.exp(self.log_scale)
        pool = 2 * uniforms(a.num_candidates, ACT) - 1
        spreads = np.array([smaller(self.online, obs, pool).std() for obs in batch.next_obs])
        divisors = in_force * (spreads if a.relative else np.ones(BATCH))
        action, lower, upper, accepted = self.chains(batch.next_obs, divisors)
        bonus = 0.0 if a.backup == "boltzmann" else lower
        if (a.backup == "mellowmax") != (self.fault == "volume"):
            bonus = bonus - ACT * np.log(2)
        target = self.online if self.fault == "online" else self.target
        values = smaller(target, batch.next_obs, action) + divisors * bonus
        y = a.reward_scale * batch.reward + a.discount * batch.discount * values
        loss, gradients, q_mean = regression(self.online, batch.obs, batch.action, y)
        self.online = self.adam.step(self.online, gradients)
        self.target = polyak(self.online, self.target, a.polyak)

        share = accepted.mean(0)
        self.log_steps = self.log_steps + a.step_learning_rate * (share - a.acceptance)
        if self.fault != "uncapped":
            self.log_steps = np.minimum(self.log_steps, -np.log(divisors.mean() * self.ladder))
        if rule.rule == "ddsq":
            error = (lower.mean() - rule.target_entropy * ACT) / max(1.0, lower.std())
            self.log_scale -= (-1 if self.fault == "sign" else 1) * rule.learning_rate * error
        return {
            "critic_loss": loss,
            "q_mean": q_mean,
            "target_mean": y.mean(),
            "entropy": lower.mean(),
            "entropy_upper": upper.mean(),
            "temperature": in_force,
            "accepted": share[-1],
        }


def distance(name, fault="", algo=None):
    return differences(trained(name), ByHand(algo or MalaQ(**SMALL | VARIANTS[name]), fault), BATCH)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand the targets are numbers, so no gradient flows through them either."""
    metrics, learned = distance(name)
    assert metrics < 5e-4
    assert learned < 5e-5


@pytest.mark.parametrize(
    ("name", "switch"), [(name, switch) for name, switches in VARIANTS.items() for switch in switches]
)
def test_every_switch_matters(name, switch):
    """The same updates by hand without it are others: the equality above would not hold if it were ignored."""
    kept = {other: value for other, value in VARIANTS[name].items() if other != switch}
    assert distance(name, algo=MalaQ(**SMALL | kept))[1] > 10 * 5e-5


@pytest.mark.parametrize("fault", ["volume", "online", "sign", "uncapped"])
def test_a_mistake_in_the_update_shows(fault):
    """log 2^d forgotten, the online critic's value, a temperature that runs away, steps that do."""
    assert distance("default", fault)[1] > 1e-3


def test_acting(key):
    """Policy and exploration are the end of the annealed chain, and so is the policy at another temperature."""
    algo, state, obs = MalaQ(**SMALL), fresh(), jnp.ones(OBS)
    in_force = 0.2 * np.exp(0.3)

    def direct(temperature):
        temperatures = temperature * jnp.array([8.0, 8**0.5, 1.0])
        steps = jnp.minimum(jnp.exp(state.extra) * temperatures, 1.0)
        return ais(key, state.critic.network.at(obs), ACT, temperatures, steps, 4, 2, algo.num_fresh).action

    @jax.jit
    def all_of_them():
        own = algo.policy(state, obs, key), algo.explore(state, obs, key), direct(in_force)
        return own, (algo.policy(state, obs, key, 1.5), direct(1.5))

    own, other = all_of_them()
    np.testing.assert_array_equal(own[0], own[1])
    np.testing.assert_allclose(own[0], own[2], atol=1e-5)
    np.testing.assert_allclose(other[0], other[1], atol=1e-5)
    assert np.abs(other[0] - own[0]).max() > 1e-3


@pytest.mark.parametrize("relative", [False, True])
def test_exploit_equals_the_climb_by_hand(relative, key):
    """The best candidate; then the coldest step along the slope, without noise, halved wherever it lowers Q."""
    changes = {"num_candidates": 6, "num_ascents": 8, "relative": relative}
    algo, state, obs = MalaQ(**SMALL | changes), fresh(), jax.random.normal(key, (20, OBS))
    twins, _, log_scale, log_steps = learned(state)
    pool = 2 * uniforms(6, ACT) - 1

    def climbed(obs, shrink):
        look = lambda action: [
            x[0] for x in reduced([action_gradient(q, obs[None], action[None]) for q in twins])
        ]
        values = smaller(twins, obs, pool)
        temperature = 0.2 * np.exp(log_scale) * (values.std() if relative else 1.0)
        rate = min(np.exp(log_steps[-1]) * temperature, 1.0) / (2 * temperature)
        action = pool[values.argmax()]
        value, slope = look(action)
        for _ in range(8):
            there = np.clip(action + rate * slope, -1, 1)
            value_there, slope_there = look(there)
            if value_there > value:
                action, value, slope = there, value_there, slope_there
            else:
                rate = rate * shrink
        return action

    with known_draws():
        actions = np.asarray(jax.jit(jax.vmap(lambda one: algo.exploit(state, one, key)))(obs))
    by_hand = lambda shrink: np.stack([climbed(one, shrink) for one in np.asarray(obs, float)])
    np.testing.assert_allclose(actions, by_hand(0.5), atol=1e-4)
    assert np.abs(actions - by_hand(1.0)).max() > 1e-2, "steps that are never halved"
    assert np.abs(actions - by_hand(0.0)).max() > 1e-2, "a climb that ends with the first refusal"


def test_exploit_climbs_from_the_best_of_its_candidates(key):
    """Never below the best candidate, often above, and near the top of a grid; the key does not matter."""
    algo = MalaQ(**SMALL | {"num_candidates": 32, "num_ascents": 30})
    state, obs = fresh(), jax.random.normal(key, (20, OBS))
    line = np.linspace(-1, 1, 41, dtype=np.float32)
    grid = jnp.asarray(np.stack(np.meshgrid(line, line), -1).reshape(-1, ACT))

    def one(obs, key):
        q = state.critic.network.at(obs)
        over = lambda actions: jax.vmap(q)(actions)
        return (
            algo.exploit(state, obs, key),
            q(algo.exploit(state, obs, key)),
            over(algo.pool(q)).max(),
            over(grid),
        )

    exploit = jax.jit(jax.vmap(one))
    action, reached, best, every = exploit(obs, jax.random.split(key, 20))
    np.testing.assert_array_equal(action, exploit(obs, jax.random.split(jax.random.key(1), 20))[0])
    assert np.all(reached >= best - 1e-6)
    assert np.mean(reached > best + 1e-6) > 0.2  # the best may be in a corner
    assert np.mean(np.asarray(every) <= np.asarray(reached)[:, None]) > 0.97


def test_steps_and_temperature_settle(key):
    """On a critic that stands still: about 0.6 accepted at the coldest level, and near the entropy asked for.

    Near: what the rule brings to zero is the error over max(1, its spread), not the error itself.
    """
    rule = replace(RULE, target_entropy=-0.5)
    changes = {"learning_rate": 1e-12, "polyak": 0.0, "temperature": rule, "num_levels": 4}
    algo = MalaQ(**SMALL | changes)
    state = replace(fresh(), extra=jnp.zeros(4))
    batch = random_batch(key, 32, OBS, ACT)

    @jax.jit
    def run(state):
        step = lambda state, i: algo.update(state, batch, jax.random.fold_in(key, i))
        return jax.lax.scan(step, state, jnp.arange(2000))

    last, metrics = run(state)
    late = {name: float(values[-1000:].mean()) for name, values in metrics.items()}
    assert late["accepted"] == pytest.approx(0.6, abs=0.02)
    assert late["entropy"] == pytest.approx(-1.0, abs=0.3)
    assert late["entropy_upper"] > late["entropy"]
    hottest = float(jnp.exp(last.extra[0]) * late["temperature"] * 8)
    assert hottest <= 1.1, "a step that walks across the box"


def test_defaults():
    """Our own choices; Adam's rate is that of SAC, the widths and the activation are DDSQ's."""
    expected = {
        "temperature": 0.1,
        "temperature_rule": "ddsq",
        "target_entropy": -1.0,
        "temperature_learning_rate": 1e-3,
        "temperature_every": 1,
        "temperature_ratio": 8.0,
        "acceptance": 0.6,
        "step_learning_rate": 0.05,
        "discount": 0.99,
        "learning_rate": 3e-4,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "num_candidates": 16,
        "num_levels": 5,
        "num_steps": 3,
        "num_fresh": 4,
        "num_ascents": 10,
        "relative": False,
        "backup": "mellowmax",
        "hidden_sizes": (256, 256, 256),
        "activation": "mish",
    }
    assert flat(MalaQ()) == expected
