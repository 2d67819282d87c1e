"""SDAC: updates and actions against NumPy by hand, the law that it aims at, its presets and defaults."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import ACT, OBS, apart, differences, known_draws, normals, three_updates
from by_hand_diffusion import estimated_score, softmax
from by_hand_draws import BATCH, SETTINGS, DrawsByHand, drawn, learned, noise_of, numbers, random_time
from small import with_preset

from softq.algorithms import SDAC
from softq.algorithms.common.learner import Learner
from softq.algorithms.common.temperature import Temperature
from softq.utils.flat_settings import flat
from softq.utils.pytree import replace

NUM = 4
SMALL = SETTINGS | {"num_samples": NUM}
TUNED = Temperature(0.1, "log", target_entropy=-0.9, learning_rate=0.1, every=1)
VARIANTS = {
    "default": {"temperature": TUNED, "reward_scale": 0.7},
    "code": {"temperature": 0.1, "proposals": "clipped"},
    "every second": {"temperature": replace(TUNED, every=2), "policy_delay": 1},
}
FOUR = [jax.random.fold_in(jax.random.key(20240501), i) for i in range(4)]


@cache
def initial():
    return jax.jit(SDAC(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))


def fresh(algo):
    """A state whose targets and biases differ from the online networks and from zero."""
    state = apart(initial(), actor=0.3, actor_target=0.3)
    actor = Learner.create(state.actor.network, algo.actor_optimiser())
    temperature = replace(algo.temperature.init(ACT), log_scale=jnp.asarray(0.2))
    return replace(state, actor=replace(actor, target=state.actor.target), temperature=temperature)


class ByHand(DrawsByHand):
    """The loss of SDAC in float64."""

    def actor_loss(self, batch):
        action = batch.action if self.fault == "replayed" else self.policy(batch.obs)
        t = random_time()
        signal, noise = numbers(t)
        x = signal * action + noise * normals(ACT)
        clipped = (self.algo.proposals == "clipped") != (self.fault == "proposals")

        def q(actions):
            points = np.clip(actions, -1, 1) if clipped else actions
            flat, obs = points.reshape(-1, ACT), np.repeat(batch.obs, actions.shape[1], 0)
            return self.q(obs, flat).reshape(actions.shape[:2]), np.zeros(actions.shape)

        heat = 1.0 if self.fault == "temperature" else self.temperature()
        target = -noise * estimated_score("qne", q, heat, x, signal, noise, NUM, not clipped)
        target = -target if self.fault == "sign" else target
        error = noise_of(self.actor, batch.obs, x, t) - target
        return np.mean(np.sum(error**2, 1)), {}, self.actor.gradients(2 * error / BATCH)


@cache
def trained(name):
    algo = SDAC(**SMALL | VARIANTS[name])
    return three_updates(algo, fresh(algo), BATCH, learned, FOUR)


def distance(name, fault=""):
    algo = SDAC(**SMALL | VARIANTS[name])
    return differences(trained(name), ByHand(algo, fresh(algo), fault), BATCH, FOUR, floor=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand the targets are numbers, so this also shows that no gradient flows through them."""
    metrics, parameters = distance(name)
    assert metrics < 5e-4
    assert parameters < 1e-4


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("default", fault) for fault in ("online", "no delay", "noise", "replayed", "temperature", "sign")),
        *(("code", fault) for fault in ("proposals", "rate")),
        *(("every second", fault) for fault in ("excess", "rate")),
    ],
)
def test_a_mistake_in_the_update_shows(name, fault):
    """Bootstrap from the online critics; an actor that moves each time; noise of a size that does not follow the
    temperature; noised replayed actions; Q without the temperature; weighted noises of the wrong sign; actions that Q
    weighs put into the box the other way; a rate that does not fall; a temperature that falls where noise is too small.
    """
    metrics, parameters = distance(name, fault)
    assert max(metrics, parameters) > 5e-3
    assert parameters > 5e-4


def test_who_draws(key):
    """The target actor acts, with noise where it gathers data; the actor draws what the target of the critics needs."""
    algo = SDAC(**SMALL | {"num_steps": 5}, temperature=Temperature(0.4), exploration_noise=0.1)
    state, obs = fresh(algo), np.array([0.3, -0.5, 1.0])
    by_hand = ByHand(algo, state)
    with known_draws():
        names = ("policy", "explore", "exploit")
        act = lambda obs: [getattr(algo, name)(state, obs, key) for name in names]
        policy, explore, exploit = jax.jit(act)(jnp.float32(obs))
    np.testing.assert_allclose(policy, by_hand.policy(obs[None])[0], atol=1e-4)
    by_hand.actor.params = by_hand.slow
    np.testing.assert_allclose(explore, by_hand.policy(obs[None])[0], atol=1e-4)
    np.testing.assert_allclose(exploit, drawn(by_hand.actor, obs[None], 5)[0], atol=1e-4)
    assert np.abs(policy - explore).max() > 1e-2 and np.abs(explore - exploit).max() > 1e-2


def test_the_best_of_the_draws_acts(key):
    algo = SDAC(**SMALL | {"num_actions": 5})
    state, obs = fresh(algo), jnp.array([0.3, -0.5, 1.0])

    def both():
        draws = jax.vmap(lambda k: algo.one_draw(state, obs, k))(jax.random.split(key, 5))
        return algo.exploit(state, obs, key), draws, jax.vmap(state.critic.network.at(obs))(draws)

    action, draws, values = map(np.asarray, jax.jit(both)())
    np.testing.assert_allclose(action, draws[values.argmax()], atol=1e-6)
    assert len(np.unique(draws[:, 0])) > 3 and np.ptp(values) > 0.01


def test_the_temperature_falls_by_the_noise_alone():
    """Until the noise has 0.9 nats less than none a coordinate: a standard deviation of 0.098, whatever was learned."""
    algo, dim = SDAC(), 3
    entropy = lambda heat: dim * (0.5 * np.log(2 * np.pi * np.e) + jnp.log(0.5 * heat))
    step = jax.jit(
        lambda state: algo.temperature.update(state, jnp.full(4, entropy(algo.temperature(state))), dim)
    )
    state = algo.temperature.init(dim)
    for _ in range(600):
        state = step(state)
    heat = float(algo.temperature(state))
    assert 0.5 * heat == pytest.approx(np.exp(-0.9) / np.sqrt(2 * np.pi * np.e), rel=0.02)
    assert 5 * heat == pytest.approx(0.98, abs=0.03)  # the code's alpha


# The law


def noise_by_quadrature(x, signal, noise, heat, clipped):
    """The mean noise that a regression finds at x, for Q(a) = a: by a grid over the noises of the proposals."""
    eps = np.linspace(-8, 8, 20_001)
    a = (x + noise * eps) / signal
    inside = np.abs(a) <= 1
    logits = np.clip(a, -1, 1) / heat - eps**2 / 2
    weights = softmax(np.where(inside | clipped, logits, -np.inf)[None])[0]
    return -weights @ eps


@pytest.mark.parametrize("proposals", ["truncated", "clipped"])
def test_the_actor_aims_at_the_softmax_and_the_codes_does_not(proposals, key):
    """Of a linear Q. The noise of the softmax's noised law, by quadrature, is that of proposals kept in the box."""
    heat, t, x = 0.5, 0.6, np.array([0.4, -0.2])
    signal, noise = numbers(t)
    clean = np.linspace(-1, 1, 20_001)
    weights = softmax(clean / heat - (x[:, None] - signal * clean) ** 2 / (2 * noise**2))
    exact = (x - signal * weights @ clean) / noise
    found = np.array([noise_by_quadrature(each, signal, noise, heat, proposals == "clipped") for each in x])
    off = np.abs(found - exact).max()
    assert off < 1e-3 if proposals == "truncated" else off > 0.1
    # and the loss of the algorithm is least there: its target is this mean, up to the noise of its estimate
    algo = SDAC(**SMALL | {"num_samples": 4000, "proposals": proposals, "temperature": Temperature(heat)})
    got = target_of(algo, x, t, key)
    np.testing.assert_allclose(got, found, atol=0.08)


def target_of(algo, x, t, key):
    """The noise towards which the loss of `algo` pulls its network at x, for Q(a) = a_0: half its gradient there."""

    class Line:
        action_dim = 1

        def at(self, obs):
            return lambda a: a[0]

    class Zero:
        action_dim = 1

        def __init__(self, value):
            self.value = value

        def __call__(self, obs, x, condition):
            return self.value

    def one(x, key):
        class Fixed(type(algo.diffusion(None))):
            def random_time(self, key):
                return jnp.asarray(t)

            def add_noise(self, action, t, noise):
                return x

        class Known(SDAC):
            def diffusion(self, network):
                return Fixed(**vars(super().diffusion(network)))

            def policy(self, state, obs, key, temperature=None):
                return x

        known = Known(**vars(algo))
        critic = Learner(Line(), (), Line())
        state = replace(initial(), critic=critic)
        loss = lambda value: known.actor_loss(Zero(value), state, None, x, key)[0]
        return -jax.grad(loss)(jnp.zeros(1))[0] / 2

    keys = jax.random.split(key, len(x))
    return np.array([one(jnp.full(1, each, jnp.float32), k) for each, k in zip(x, keys, strict=True)])


# Presets and defaults


def test_the_code_clips():
    code = flat(with_preset(SDAC, "code"))
    assert {name for name in code if code[name] != flat(SDAC())[name]} == {"proposals"}


def test_defaults_are_those_of_the_paper():
    """Typed from NC-LQL's Table 5, and from the authors' code where that names none; alpha is 5 at first."""
    expected = {
        "temperature": 1.0,
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
        "exploration_noise": 0.5,
        "num_samples": 64,
        "proposals": "truncated",
        "hidden_sizes": (256, 256, 256),
        "activation": "mish",
    }
    assert flat(SDAC()) == expected
