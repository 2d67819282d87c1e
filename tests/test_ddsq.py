"""DDSQ: one update against NumPy by hand, the behaviour mixture, temperatures, the entropy estimate."""

import itertools
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import (
    ACT,
    OBS,
    Adam,
    apart,
    differences,
    known_draws,
    mish,
    polyak,
    regression,
    smaller,
    three_updates,
    twins_of,
    uniforms,
)
from exact import numpy_of
from reference import REFERENCE
from scipy.special import logsumexp

from softq import landscapes
from softq.algorithms import DDSQ
from softq.algorithms.common.temperature import Temperature
from softq.box import uniform_actions
from softq.exact.values import evaluate
from softq.samplers import qglg, uniform_std
from softq.samplers.entropy import snis_entropy
from softq.testing import THRESHOLD, binomial, mean_test
from softq.testing.probe import random_batch
from softq.utils.flat_settings import flat
from softq.utils.pytree import pytree, replace

BATCH = 16
SMALL = {
    "hidden_sizes": (6, 5),
    "num_candidates": 8,
    "num_schedules": 2,
    "num_steps": 3,
    "num_entropy_samples": 64,
}


@cache
def initial():
    """A fresh state; it depends on the widths only, so that every variant below can share it."""
    return DDSQ(**SMALL).init(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))


@cache
def fresh():
    """A state whose target and biases differ from the online network and from zero, where a mix-up shows."""
    return apart(initial())


# Updates, by hand


@pytree
class Stubbed(DDSQ):
    """DDSQ with a known next action, which depends on the observation that it is asked for."""

    def policy(self, state, obs, key):
        return jnp.tanh(obs[:ACT])


RULE = Temperature(0.2, "ddsq", learning_rate=0.05, every=2)
VARIANTS = {
    "default": {},
    "soft": {"backup": "soft", "temperature": 0.3},
    "mellowmax": {"backup": "mellowmax", "relative": False, "temperature": 0.3},
    "tuned": {"temperature": RULE},
    "tuned alike": {"temperature": replace(RULE, value=0.5, target_entropy=0.5, every=1), "relative": False},
}
LEARNING = {"learning_rate": 0.01, "polyak": 0.1, "reward_scale": 0.7, "discount": 0.9}


def made(name):
    return Stubbed(**SMALL | LEARNING | VARIANTS[name])


def learned(state):
    return [
        twins_of(state.critic.network),
        twins_of(state.critic.target),
        float(state.temperature.log_scale),
        float(state.temperature.entropy),
    ]


@cache
def trained(name):
    return three_updates(made(name), fresh(), BATCH, learned)


def pool(num):
    return 2 * uniforms(num, ACT) - 1


class ByHand:
    """Algorithm 2, lines 6 to 9, and B.3.4, in float64 NumPy. `fault` makes one mistake on purpose."""

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault = algo, fault
        self.online, self.target, self.log_scale, self.entropy = learned(state)
        self.adam, self.step = Adam(self.online, algo.learning_rate), 0

    def learned(self):
        return [self.online, self.target, self.log_scale, self.entropy]

    def divisor(self, values):
        """lambda(s)."""
        in_force = self.algo.temperature.value * np.exp(self.log_scale)
        return in_force * values.std() if self.algo.relative else in_force

    def value(self, obs):
        """What the target adds for one next state."""
        a, twins = self.algo, self.online if self.fault == "online" else self.target
        if a.backup == "boltzmann":
            return smaller(twins, obs, np.tanh(obs[None, :ACT]), mish)[0]
        values = smaller(twins, obs, pool(a.num_candidates), mish)
        divisor = self.divisor(
            smaller(self.online, obs, pool(a.num_candidates), mish) if self.fault == "spread" else values
        )
        volume = ACT * np.log(2) if a.backup == "soft" else 0.0
        return divisor * (logsumexp(values / divisor) - np.log(len(values)) + volume)

    def tune(self, batch, twins):
        """B.3.4, on the logarithm of lambda_0."""
        entropies = []
        for obs in batch.obs:
            values = smaller(twins, obs, pool(self.algo.num_entropy_samples), mish)
            logits = values / self.divisor(values)
            shares = np.exp(logits - logsumexp(logits))
            entropies.append(ACT * np.log(2) - np.log(len(values)) - np.sum(shares * np.log(shares)))
        rule, self.entropy = self.algo.temperature, np.mean(entropies)
        error = (self.entropy - ACT * rule.target_entropy) / max(1.0, np.std(entropies))
        self.log_scale -= (-1 if self.fault == "sign" else 1) * rule.learning_rate * error

    def update(self, batch):
        a, before, self.step = self.algo, self.online, self.step + 1
        in_force = a.temperature.value * np.exp(self.log_scale)
        values = np.array([self.value(obs) for obs in (batch.obs if self.fault == "s" else batch.next_obs)])
        y = a.reward_scale * batch.reward + a.discount * batch.discount * values
        loss, gradients, q_mean = regression(self.online, batch.obs, batch.action, y, mish)
        self.online = self.adam.step(self.online, gradients)
        self.target = polyak(self.online, self.target, a.polyak)
        metrics = {"critic_loss": loss, "q_mean": q_mean, "target_mean": y.mean(), "temperature": in_force}
        if a.temperature.rule == "fixed":
            return metrics
        if self.step % a.temperature.every == 0 or self.fault == "always":
            self.tune(batch, before if self.fault == "before" else self.online)
        return metrics | {"entropy": self.entropy}


def distance(name, fault=""):
    return differences(trained(name), ByHand(made(name), fresh(), fault), BATCH, floor=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """Three of them: after the first, Adam hardly sees the size of a gradient."""
    metrics, parameters = distance(name)
    assert metrics < 2e-5
    assert parameters < 2e-5


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("default", "online"),  # the value by the online critics
        ("default", "s"),  # the action and its value at s
        ("soft", "spread"),  # lambda(s) by the online critics
        ("tuned", "before"),  # the entropy of the critics from before their step
        ("tuned", "always"),  # a step of the temperature in every update
        ("tuned", "sign"),  # a temperature that runs away
    ],
)
def test_a_mistake_in_the_update_shows(name, fault):
    assert max(distance(name, fault)) > 1e-3


def test_no_gradient_flows_through_the_targets(key):
    """The same update with the targets fixed beforehand, sampler and all, moves every weight to the same place."""

    @pytree
    class Fixed(DDSQ):
        given: jax.Array = None

        def targets(self, state, batch, key):
            return self.given, {}

    @pytree
    class Recorded(DDSQ):
        def targets(self, state, batch, key):
            values, info = super().targets(state, batch, key)
            jax.debug.callback(seen.append, values)
            return values, info

    seen = []
    batch = random_batch(key, 8, OBS, ACT)
    state = fresh()
    after, _ = jax.jit(Recorded(**SMALL).update)(state, batch, key)
    jax.effects_barrier()
    again, _ = jax.jit(Fixed(**SMALL, given=jnp.asarray(seen[0])).update)(state, batch, key)
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
    jax.tree.map(close, after.critic.network.params, again.critic.network.params)


def test_targets_take_the_action_from_the_online_critics_and_its_value_from_the_targets(key):
    """With the sampler's key held fixed, the numbers of line 7 for the actions of line 6, at s'."""

    @pytree
    class OneKey(DDSQ):
        def policy(self, state, obs, key):
            return super().policy(state, obs, jax.random.key(3))

    algo = OneKey(**SMALL, discount=0.9)
    state, batch = fresh(), random_batch(key, 64, OBS, ACT)
    policy = jax.jit(jax.vmap(lambda state, obs: algo.policy(state, obs, key), (None, 0)))
    next_action = policy(state, batch.next_obs)
    values = np.min(jax.jit(jax.vmap(state.critic.target))(batch.next_obs, next_action), 1)
    targets, _ = jax.jit(algo.targets)(state, batch, key)
    reward, discount = np.asarray(batch.reward), np.asarray(batch.discount)
    np.testing.assert_allclose(targets, reward + 0.9 * discount * values, rtol=1e-5, atol=1e-5)
    ended = discount == 0
    assert ended.any()
    np.testing.assert_array_equal(np.asarray(targets)[ended], reward[ended])
    target = jax.tree.map(lambda x: x * np.float32(np.nan), state.critic.target)
    without_targets = replace(state, critic=replace(state.critic, target=target))
    np.testing.assert_array_equal(next_action, policy(without_targets, batch.next_obs))


def test_fresh_targets_equal_the_online_network_without_sharing_it():
    state = initial()
    for x, y in zip(*map(jax.tree.leaves, (state.critic.network, state.critic.target)), strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.unsafe_buffer_pointer() != y.unsafe_buffer_pointer()


# Acting


@pytest.fixture(scope="module")
def behaviour():
    """Explored actions of 4000 keys in one state, as a function of p_e."""
    key = jax.random.key(7)
    algo = DDSQ(**SMALL)
    state, keys = fresh(), jax.random.split(key, 4000)
    obs = jnp.array([0.3, -1.0, 0.5])
    explore = jax.jit(lambda algo: jax.vmap(lambda k: algo.explore(state, obs, k))(keys))
    return lambda p: np.asarray(explore(replace(algo, explore_prob=p)))


def test_behaviour_is_a_mixture_with_probability_p_e(behaviour):
    """With the same keys every action is that of p_e = 0 or that of p_e = 1; how often is a binomial."""
    greedy, sampled, mixed = behaviour(0.0), behaviour(1.0), behaviour(0.15)
    differ = np.any(greedy != sampled, 1)
    is_sampled, is_greedy = np.all(mixed == sampled, 1), np.all(mixed == greedy, 1)
    assert (is_sampled | is_greedy).all()
    assert differ.mean() > 0.9
    count = int(is_sampled[differ].sum())
    assert binomial(count, int(differ.sum()), 0.15) > THRESHOLD
    assert binomial(count, int(differ.sum()), 0.85) < THRESHOLD, "the two sides swapped"
    assert binomial(count, int(differ.sum()), 0.2) < THRESHOLD, "another p_e"


def test_each_environment_tosses_its_own_coin(behaviour):
    """Neighbouring keys agree no more often than chance has it."""
    is_sampled = np.all(behaviour(0.5) == behaviour(1.0), 1)
    agree = int((is_sampled[::2] == is_sampled[1::2]).sum())
    p = is_sampled.mean()
    assert binomial(agree, len(is_sampled) // 2, p**2 + (1 - p) ** 2) > THRESHOLD


def test_exploit_is_deterministic_and_good(key):
    algo = replace(DDSQ(**SMALL), num_candidates=100, num_schedules=4, num_steps=10)
    state = fresh()
    obs = jax.random.normal(key, (20, OBS))
    exploit = jax.jit(jax.vmap(algo.exploit, (None, 0, 0)))
    one, two = (exploit(state, obs, jax.random.split(jax.random.key(i), 20)) for i in (1, 2))
    np.testing.assert_array_equal(one, two)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 41)] * ACT), -1).reshape(-1, ACT).astype(np.float32)
    q = jax.jit(jax.vmap(lambda o, a: state.critic.network.at(o)(a)))
    every = jax.jit(jax.vmap(lambda o: jax.vmap(state.critic.network.at(o))(jnp.asarray(grid))))(obs)
    reached = np.mean(np.asarray(every) <= np.asarray(q(obs, one))[:, None], axis=1)
    # as good as the best of 100 candidates, or better: that one beats 0.99 of the box on average, 0.85 all but surely
    assert reached.mean() > 0.98 and reached.min() > 0.85


# Temperatures


def test_sampler_at_a_state_dependent_temperature(key):
    """lambda(s) = lambda_0 std_a Q(s, a) over the candidates, so Q and c Q + b have the same policy, key by key."""
    q, schedules = landscapes.get("twomode2"), jnp.array([[0.02, 0.01]])
    keys = jax.random.split(key, 200)

    def one(key, scale, temperature, relative):
        scaled = lambda a: scale * (q(a) + 1.5)
        return qglg(key, scaled, 2, temperature, schedules, 16, relative=relative)

    @partial(jax.jit, static_argnums=1)
    def sample(scale, relative):
        return jax.vmap(lambda k: one(k, scale, 0.3, relative))(keys)

    np.testing.assert_allclose(sample(1.0, True), sample(7.0, True), atol=2e-3)
    assert np.abs(sample(1.0, False) - sample(7.0, False)).max() > 0.1
    std = evaluate(q, 2 * uniforms(16, 2) - 1).std()
    with known_draws():
        both = jax.jit(lambda k, std: (one(k, 1.0, 0.3, True), one(k, 1.0, 0.3 * std, False)))
        np.testing.assert_allclose(*both(key, std), atol=1e-4)


def test_temperature_of_is_lambda_0_times_the_std_of_q(key):
    algo = DDSQ(**SMALL, temperature=0.2)
    state, obs = fresh(), jnp.array([0.3, -1.0, 0.5])
    line = (np.arange(300) + 0.5) / 150 - 1
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2).astype(np.float32)
    exact = 0.2 * np.asarray(jax.jit(jax.vmap(state.critic.network.at(obs)))(jnp.asarray(grid)), float).std()
    temperature = jax.jit(lambda state: algo.temperature_of(state, obs, num=10_000))(state)
    assert float(temperature) == pytest.approx(exact, rel=0.03)
    plain = replace(algo, relative=False)
    assert float(plain.temperature_of(state, obs)) == pytest.approx(0.2, rel=1e-6)


def test_uniform_std_has_a_floor():
    assert float(uniform_std(jnp.full(10, 3.0))) > 0
    assert float(uniform_std(jnp.array([1.0, -1.0]))) == pytest.approx(1.0)


def test_one_critic_at_every_temperature(key):
    """`policy` at the trained temperature is the policy, and a hotter policy has a smaller mean Q."""
    algo = replace(DDSQ(**SMALL), num_candidates=64, select="random", start_step=1e-3)
    state, obs = fresh(), jnp.array([0.3, -1.0, 0.5])
    keys, q = jax.random.split(key, 2000), state.critic.network.at(obs)

    @jax.jit
    def actions(temperature):
        return jax.vmap(lambda k: algo.policy(state, obs, k, temperature))(keys)

    policy = jax.jit(jax.vmap(lambda k: algo.policy(state, obs, k)))(keys)
    np.testing.assert_allclose(actions(algo.temperature.value), policy, atol=1e-5)
    values = jax.jit(jax.vmap(q))
    means = [float(values(actions(t)).mean()) for t in (0.01, 0.3, 3.0, 1000.0)]
    assert all(a > b for a, b in itertools.pairwise(means)), means


# Entropy

entropy = jax.jit(snis_entropy)


@pytest.mark.parametrize("name", ["quad1.lam0.1", "quad1.lam0.01491", "spike1.lam0.1"])
def test_entropy_estimate_has_the_reference_mean(name, key):
    """Exact finite-m expectations, bias included; the floor log 2 - log m holds for every sample."""
    entry = REFERENCE[f"entropy_est.{name}"]
    landscape, temperature = landscapes.get(name.split(".")[0]), entry["params"]["lam"]
    for m in (10, 100):
        estimate = lambda k: snis_entropy(jax.vmap(landscape)(uniform_actions(k, 1, m)), 1, temperature)
        estimates = np.asarray(jax.jit(jax.vmap(estimate))(jax.random.split(key, 20_000)), float)
        expected = entry["value"]["by_m"][str(m)]
        assert mean_test(estimates, expected["E_entropy"]) > THRESHOLD
        assert mean_test(estimates, expected["E_entropy"] + 0.03) < THRESHOLD
        assert estimates.min() >= expected["floor"] - 1e-5
        assert estimates.max() <= np.log(2) + 1e-5


def test_entropy_estimate_is_the_entropy_of_the_weights():
    """The identity of the paper's two terms: d log 2 - log m + H(weights), and the paper's own formula."""
    values = np.random.default_rng(0).normal(size=50)
    for dim, temperature in ((1, 0.3), (3, 0.05), (6, 10.0)):
        logits = values / temperature
        weights = np.exp(logits - logsumexp(logits))
        of_weights = dim * np.log(2) - np.log(50) - np.sum(weights * np.log(weights))
        printed = -np.log(50) + dim * np.log(2) + logsumexp(logits) - weights @ values / temperature
        given = float(entropy(values.astype(np.float32), dim, temperature))
        assert given == pytest.approx(of_weights, abs=2e-4)
        assert given == pytest.approx(printed, abs=2e-4)


def test_entropy_does_not_feel_a_constant():
    """Returns of hundreds divided by a small temperature must not cost digits."""
    values = np.random.default_rng(1).normal(size=1000).astype(np.float32)
    entropies = [float(entropy(values + np.float32(shift), 2, 0.05)) for shift in (0, 128, 1024)]
    np.testing.assert_allclose(entropies, entropies[0], atol=2e-3)  # what is left is the rounding of Q itself


def test_entropy_floor():
    """One candidate above all: d log 2 - log m, which for m = 1000 and d >= 5 is above the target entropy
    -d.
    """
    for dim, expected in REFERENCE["entropy_est.floor"]["value"].items():
        peak = (np.arange(1000) == 3).astype(np.float32)
        floor = float(entropy(peak, int(dim), 1e-3))
        assert floor == pytest.approx(expected["floor_m1000"], abs=2e-4)
        assert (floor > -int(dim)) == (int(dim) >= 5)
    flat = float(entropy(np.zeros(1000, np.float32), 2, 0.1))
    assert flat == pytest.approx(2 * np.log(2), abs=1e-5)


# Defaults


def test_defaults_are_those_of_the_paper():
    """Typed from Tables 2 and 3, footnote 3 and Algorithm 1; the paper keeps lambda_0 where it is."""
    expected = {
        "temperature": 0.05,
        "temperature_rule": "fixed",
        "target_entropy": -1.0,
        "temperature_learning_rate": 1e-3,
        "temperature_every": 100,
        "explore_prob": 0.15,
        "discount": 0.99,
        "learning_rate": 2e-4,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "start_step": 1.0,
        "end_step": 1e-4,
        "num_schedules": 10,
        "num_steps": 20,
        "num_candidates": 100,
        "hidden_sizes": (256, 256, 256),
        "activation": "mish",
        "relative": True,
        "boundary": "reflect",
        "select": "argmax",
        "backup": "boltzmann",
        "num_entropy_samples": 1000,
    }
    algo = DDSQ()
    assert flat(algo) == expected
    schedules = np.asarray(algo.schedules())
    by_hand = np.stack([np.linspace(start, 1e-4, 20) for start in np.logspace(0, -4, 10)])
    np.testing.assert_allclose(schedules, by_hand, rtol=2e-4)


def test_every_switch_runs(key):
    batch = random_batch(key, 4, OBS, ACT)
    algo = DDSQ(**SMALL, boundary="project", select="random", relative=False, activation="relu")
    networks = fresh().critic.network, fresh().critic.target
    network, target = (replace(one, activation="relu") for one in networks)
    state = replace(fresh(), critic=replace(fresh().critic, network=network, target=target))
    state, metrics = jax.jit(algo.update)(state, batch, key)
    assert np.isfinite(float(metrics["critic_loss"]))
    assert bool(jnp.abs(jax.jit(algo.policy)(state, batch.obs[0], key)).max() <= 1)


@pytest.mark.slow
def test_values_of_a_bandit_are_learnt(key):
    """All episodes end at once, so Q is the reward: a regression that the update must solve."""
    small = {"hidden_sizes": (32, 32), "num_candidates": 16, "num_schedules": 1, "num_steps": 2}
    algo = DDSQ(**small, learning_rate=3e-3, start_step=1e-3)
    q, _ = numpy_of(landscapes.get("quad1"))

    @jax.jit
    def learn():
        def one(state, k):
            batch = random_batch(k, 64, 1, 1)
            batch = replace(
                batch, reward=-(batch.action[:, 0] ** 2), discount=jnp.zeros(64), obs=jnp.zeros((64, 1))
            )
            return algo.update(state, batch, k)

        state = algo.init(key, jnp.zeros(1), jnp.zeros(1))
        return jax.lax.scan(one, state, jax.random.split(key, 400))

    state, _ = learn()
    actions = np.linspace(-0.9, 0.9, 19)
    learnt = jax.jit(jax.vmap(state.critic.network.at(jnp.zeros(1))))(actions[:, None].astype(np.float32))
    assert np.abs(np.asarray(learnt) - q(actions)).max() < 0.05
    assert abs(float(jax.jit(algo.exploit)(state, jnp.zeros(1), key)[0])) < 0.2
