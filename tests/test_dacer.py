"""DACER: four updates against NumPy by hand, the gradient through the chain in it; the entropy, and its settings."""

import copy
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import (
    ACT,
    KEYS,
    OBS,
    Adam,
    ScoreByHand,
    action_gradient,
    apart,
    backward,
    differences,
    float64,
    forward,
    known_draws,
    mish,
    normals,
    polyak,
    reduced,
    three_updates,
    twins_of,
)
from scipy import special
from small import with_preset

from softq.algorithms import DACER
from softq.algorithms.base import Transition
from softq.algorithms.common.learner import linear_adam
from softq.algorithms.common.temperature import Temperature
from softq.utils.flat_settings import flat
from softq.utils.pytree import pytree

BATCH, STEPS = 16, 3
FOUR = [*KEYS, jax.random.fold_in(jax.random.key(20240501), 3)]
SMALL = {
    "hidden_sizes": (6, 5),
    "learning_rate": 0.02,
    "actor_learning_rate": 0.01,
    "polyak": 0.1,
    "discount": 0.9,
    "reward_scale": 3.0,  # so that some drawn targets are too far from the mean
    "num_steps": STEPS,
    "schedule": "linear",  # with "vp" so short a chain clips nearly all predicted actions
    "start_std": 0.5,
    "temperature": Temperature(3.0, "log", target_entropy=-0.9, learning_rate=3e-2, every=2),
}


@pytree
class Known(DACER):
    """Known entropies."""

    def entropies(self, state, batch, key, info):
        return jnp.sum(batch.obs, axis=1)


@cache
def fresh():
    """A state whose targets and biases differ from the online networks and from zero."""
    state = jax.jit(DACER(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    return apart(state, actor=0.05)


def learned(state):
    actor, critic = float64(dict(state.actor.network.params)), state.critic
    twins = twins_of(critic.network), twins_of(critic.target)
    return [*twins, np.asarray(critic.network.mean_std, float), actor, float(state.temperature.log_scale)]


# "flow-rl" with rewards of a size at which errors are on both sides of the 50 of Huber's loss
VARIANTS = {"released": {}, "flow-rl": {"learning": "flow-rl", "reward_scale": 40.0}}


@cache
def trained(name):
    return three_updates(Known(**SMALL | VARIANTS[name]), fresh(), BATCH, learned, FOUR)


def laws(twins, obs, action):
    """Means and standard deviations `(2, B)`, and what the gradient needs of each twin."""
    found = [forward(layers, np.concatenate([obs, action], 1), mish) for layers in twins]
    outputs = np.stack([outputs for outputs, _ in found])
    return (
        outputs[:, :, 0],
        np.logaddexp(0, outputs[:, :, 1]),
        outputs[:, :, 1],
        [saved for _, saved in found],
    )


class ByHand:
    """Algorithm 1 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, fault="", **settings):
        self.algo, self.fault, self.updates = Known(**SMALL | settings), fault, 0
        self.critic, self.target, _, actor, self.log_scale = learned(fresh())
        self.mean_std, self.actor = None, ScoreByHand(fresh().actor.network)
        self.critic_adam = Adam(self.critic, self.algo.learning_rate)
        self.actor_adam = Adam(actor, self.algo.actor_learning_rate)
        self.temperature_adam = Adam(self.log_scale, 3e-2)
        self.entropy = ACT * np.log(2)

    def learned(self):
        return [self.critic, self.target, self.mean_std, self.actor.params, self.log_scale]

    def looser(self):
        critics = jax.tree.map(np.ones_like, (self.critic, self.target))
        return [self.critic_adam.looser, critics[1], 1.0, self.actor_adam.looser, 1.0]

    def schedule(self):
        """alpha_k and the products of the alphas up to k, from k = 0 on."""
        k = np.arange(1, STEPS + 1)
        alphas = np.exp(-0.1 / STEPS - 4.95 * (2 * k - 1) / STEPS**2)
        if self.algo.schedule == "linear":
            alphas = 1 - 0.3 * np.linspace(1e-4, 0.999, STEPS)
        return np.array([1, *alphas]), np.cumprod([1, *alphas])

    def chain(self, obs, quiet):
        """Noisy actions `(B, d)`, and what their gradient needs."""
        (alphas, bars), saved = self.schedule(), []
        x = np.broadcast_to(self.algo.start_std * normals(ACT), (len(obs), ACT))
        for k in range(STEPS, 0, -1):
            network, beta = copy.copy(self.actor), 1 - alphas[k]
            noise = network.outputs(obs, x, np.full((len(obs), 1), k - 1.0))
            clean = (x - np.sqrt(1 - bars[k]) * noise) / np.sqrt(bars[k])
            by_clean = np.sqrt(bars[k - 1]) * beta / (1 - bars[k])
            by_x = np.sqrt(alphas[k]) * (1 - bars[k - 1]) / (1 - bars[k])
            variance = beta if self.fault == "beta" else beta * (1 - bars[k - 1]) / (1 - bars[k])
            x = by_clean * np.clip(clean, -1, 1) + by_x * x
            if k > 1:
                x = x + np.sqrt(variance) * normals(STEPS, ACT)[STEPS - k]
            saved.append((network, by_clean * (np.abs(clean) < 1), by_x, bars[k]))
        alpha = 0.0 if quiet else self.algo.temperature.value * np.exp(self.log_scale)
        noisy = x + alpha * self.algo.noise_scale * normals(ACT)
        return np.clip(noisy, -1, 1), (np.abs(noisy) < 1, saved)

    def chain_gradient(self, error, inside, saved):
        """Gradients of sum(error * actions) by the actor's parameters."""
        total, error = jax.tree.map(np.zeros_like, self.actor.params), error * inside
        for network, by_clean, by_x, bar in saved[:0:-1] if self.fault == "not the first" else saved[::-1]:
            by_noise = -error * by_clean * np.sqrt(1 - bar) / np.sqrt(bar)
            total = jax.tree.map(np.add, total, network.gradients(by_noise))
            error = error * by_clean / np.sqrt(bar) + error * by_x + network.by_action
            if self.fault == "only the last":
                break
        return total

    def targets(self, batch):
        """Means and draws `(B,)`."""
        a, rows = self.algo, np.arange(BATCH)
        action, _ = self.chain(batch.next_obs, self.fault == "quiet target")
        twins = self.critic if self.fault == "online" else self.target
        means, stds, _, _ = laws(twins, batch.next_obs, action)
        chosen = means.argmax(0) if self.fault == "larger" else means.argmin(0)
        mean, std = means[chosen, rows], stds[1 - chosen if self.fault == "other's std" else chosen, rows]
        both = [mean, mean + np.clip(normals(), -3, 3) * std]
        return [a.reward_scale * batch.reward + a.discount * batch.discount * value for value in both]

    def critic_step(self, batch, mean_target, draw):
        means, stds, raw, saved = laws(self.critic, batch.obs, batch.action)
        now, before = stds.mean(1), self.mean_std
        if self.algo.learning == "flow-rl":
            now = now if self.fault == "a mean each" else np.full(2, now.mean())
            before = np.ones(2) if before is None else before
        self.mean_std = now if before is None else before + self.algo.polyak * (now - before)
        if self.algo.learning == "flow-rl":
            by_mean, by_std = self.huber_slopes(means, stds, mean_target, draw, before)
        else:
            b = (now if self.fault == "this batch" else self.mean_std)[:, None]
            off = draw - means if self.fault == "no bound" else np.clip(draw - means, -3 * b, 3 * b)
            by_mean = -(b**2 + 0.1) * (mean_target - means) / (stds**2 + 0.1)
            if self.fault == "drawn mean":
                by_mean = -(b**2 + 0.1) * off / (stds**2 + 0.1)
            by_std = -(b**2 + 0.1) * (off**2 - stds**2) / (stds**3 + 0.1)
        slopes = np.stack([by_mean, by_std / (1 + np.exp(-raw))], 2) / BATCH
        gradients = [backward(*x)[0] for x in zip(self.critic, saved, slopes, strict=True)]
        self.critic = self.critic_adam.step(self.critic, gradients)
        loss = np.sum(np.mean(means * by_mean + stds * by_std, 1))
        return {"critic_loss": loss, "q_mean": means.mean(), "q_std": stds.mean()}

    def huber_slopes(self, means, stds, mean_target, draw, before):
        """Of Huber's loss as flow-rl weighs it, by differences: `(2, B)` both."""
        b = (self.mean_std if self.fault == "new mean" else before)[:, None]
        off = np.clip(draw - means, -3 * b, 3 * b)
        loss = lambda x: special.huber(np.inf if self.fault == "square" else 50.0, x)
        ratio = np.clip(b**2 / (stds**2 + 0.1), 0.1, 10.0)
        in_mean = (loss(means + 1e-4 - mean_target) - loss(means - 1e-4 - mean_target)) / 2e-4
        return ratio * in_mean, ratio * (stds**2 - loss(off)) / (stds + 0.1)

    def update(self, batch):
        self.updates += 1
        due = self.updates % 2 == 0 or self.fault == "no delay"
        mean_target, draw = self.targets(batch)
        metrics = self.critic_step(batch, mean_target, draw)
        released = self.algo.learning == "released"
        if due or released == (self.fault == "late targets"):
            self.target = polyak(self.critic, self.target, self.algo.polyak)
        action, saved = self.chain(batch.obs, released == (self.fault in ("quiet actor", "noisy actor")))
        means = [[*layers[:-1], (layers[-1][0][:, :1], layers[-1][1][:1])] for layers in self.critic]
        values, slopes = reduced([action_gradient(layers, batch.obs, action, mish) for layers in means])
        alpha = self.algo.temperature.value * np.exp(self.log_scale)
        if due:
            gradients = self.chain_gradient(-slopes / BATCH, *saved)
            self.actor.params = self.actor_adam.step(self.actor.params, gradients)
        if self.updates % 2 == 0:
            self.entropy = batch.obs.sum(1).mean()
            self.log_scale = self.temperature_adam.step(self.log_scale, self.entropy + 0.9 * ACT)
        target_mean = np.mean([mean_target, draw])
        more = {"target_mean": target_mean, "actor_loss": -values.mean(), "temperature": alpha}
        return metrics | more | {"entropy": self.entropy}


def distance(name, fault=""):
    return differences(trained(name), ByHand(fault, **VARIANTS[name]), BATCH, FOUR, floor=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    metrics, parameters = distance(name)
    assert metrics < 1e-4
    assert parameters < 1e-4


CHAIN_FAULTS = ["beta", "not the first", "only the last"]  # which show in what the actor learns
FAULTS = [
    *("quiet target", "online", "larger", "other's std", "this batch", "no bound", "drawn mean"),
    *("no delay", "quiet actor"),
]


PORT_FAULTS = ["a mean each", "new mean", "square", "late targets", "noisy actor"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("released", fault) for fault in CHAIN_FAULTS + FAULTS),
        *(("flow-rl", fault) for fault in PORT_FAULTS),
    ],
)
def test_a_mistake_in_the_update_shows(name, fault):
    """ "not the first", "only the last": steps that the gradient reaches; "this batch": no running mean.

    Of flow-rl: the running mean of each twin, or with this batch in it; a squared error; what the released code does.
    """
    metrics, parameters = distance(name, fault)
    assert metrics > 1e-3 or fault in CHAIN_FAULTS
    assert parameters > 1e-3


@pytest.mark.parametrize("schedule", ["vp", "linear"])
def test_actions_are_the_ends_of_the_chain(schedule, key):
    given = {"schedule": schedule, "start_std": 0.3}
    obs = np.random.default_rng(3).normal(size=(20, OBS)).astype(np.float32)
    with known_draws():
        algo = DACER(**SMALL | given)
        ends = jax.jit(jax.vmap(lambda obs: algo.exploit(fresh(), obs, key)))(obs)
    expected, (inside, _) = ByHand(**given).chain(obs.astype(float), quiet=True)
    np.testing.assert_allclose(ends, expected, atol=2e-5)
    assert inside.mean() > 0.3


def test_a_drawn_target_is_within_three_deviations(monkeypatch):
    """With a normal number of 5, in one state whose chain stands still."""
    algo, state, obs = DACER(**SMALL), fresh(), jnp.array([0.3, -0.5, 1.0])
    draw = lambda key, shape=(), dtype=float: jnp.full(shape, 0.0 if shape else 5.0, dtype)
    monkeypatch.setattr(jax.random, "normal", draw)

    @jax.jit
    def look(key):
        law = state.critic.target.law(obs, algo.exploit(state, obs, key))
        return algo.next_value(state, obs, key)[0], law

    (mean, drawn), (means, stds) = look(jax.random.key(0))
    low = int(np.argmin(means))
    assert float(mean) == pytest.approx(float(means[low]), rel=1e-5)
    assert float(drawn - mean) == pytest.approx(3 * float(stds[low]), rel=1e-4)


@pytree
class Still:
    """A diffusion that ends at 0."""

    def sample(self, obs, key):
        return jnp.zeros(ACT)


@pytree
class AtZero(DACER):
    def diffusion(self, network):
        return Still()


def test_the_entropy_is_that_of_the_noisy_actions(key):
    """Without a chain they are normal with a deviation of alpha lambda: the mixture's bound is above, by log 3 at most.

    Three times the noise is the same draws, three times as far apart: d log 3 more, but for the floor of the variance.
    """
    zeros = jnp.zeros((4, OBS))
    batch = Transition(zeros, zeros[:, :ACT], zeros[:, 0], zeros[:, 0], zeros)

    @jax.jit
    def entropies(alpha):
        algo = AtZero(**SMALL | {"num_samples": 400, "temperature": alpha})
        return algo.entropies(fresh(), batch, key, {})

    quiet, loud = (np.asarray(entropies(alpha), float) for alpha in (0.8, 2.4))
    assert quiet.shape == (4,) and np.unique(quiet).size == 4
    exact = ACT / 2 * np.log(2 * np.pi * np.e * 0.08**2)
    assert np.all((exact < quiet) & (quiet < exact + np.log(3)))
    np.testing.assert_allclose(loud - quiet, ACT * np.log(3), atol=0.02)


def test_acting(key):
    """Data have the noise of alpha, or of another one; what is reported has none."""
    algo, state, obs = DACER(**SMALL), fresh(), jnp.array([0.3, -0.5, 1.0])
    still = AtZero(**SMALL)
    draws = lambda act: np.asarray(jax.jit(jax.vmap(act))(jax.random.split(key, 2000)), float)
    for temperature, alpha in ((None, 3.0), (0.5, 0.5)):
        noisy = draws(lambda k, t=temperature: still.policy(state, obs, k, t))
        assert noisy.std() == pytest.approx(0.1 * alpha, rel=0.08)  # 5 deviations
    assert not draws(lambda k: still.exploit(state, obs, k)).any()
    calm = draws(lambda k: algo.exploit(state, obs, k))
    assert np.abs(calm).max() <= 1 and calm.std() > 0


def test_the_actors_rate_falls_in_the_port_alone():
    """From 3e-4 to 3e-5 between 25,000 and 75,000 steps of the actor."""
    falling = with_preset(DACER, "port").actor_optimiser()
    level = DACER(learning_rate=3e-4, actor_learning_rate=3e-4).actor_optimiser()
    ones = jnp.ones(1)

    def ratio(count):
        states = [
            jax.tree.map(lambda x: x + count if x.dtype == jnp.int32 else x, optimiser.init(ones))
            for optimiser in (falling, level)
        ]
        moves = [o.update(ones, s)[0] for o, s in zip((falling, level), states, strict=True)]
        return float(moves[0][0] / moves[1][0])

    found = [ratio(count) for count in (0, 25_000, 50_000, 75_000, 1_000_000)]
    np.testing.assert_allclose(found, [1, 1, 0.55, 0.1, 0.1], rtol=1e-4)


def test_a_rate_goes_on_a_line():
    optimiser, ones = linear_adam(1.0, 0.2, 1, 2), jnp.ones(1)
    state, moves = optimiser.init(ones), []
    for _ in range(5):
        change, state = optimiser.update(ones, state)
        moves.append(-float(change[0]))
    np.testing.assert_allclose(moves, [1, 1, 0.6, 0.2, 0.2], rtol=1e-4)


def test_defaults_are_those_of_the_paper():
    """Typed from the table of its released code and DDSQ's Table 4; the noise is that of most of its tasks."""
    expected = {
        "temperature": 3.0,
        "temperature_rule": "log",
        "target_entropy": -0.9,
        "temperature_learning_rate": 3e-2,
        "temperature_every": 10_000,
        "noise_scale": 0.1,
        "num_samples": 200,
        "discount": 0.99,
        "learning_rate": 1e-4,
        "actor_learning_rate": 1e-4,
        "actor_decay": 1.0,
        "polyak": 0.005,
        "policy_delay": 2,
        "reward_scale": 0.2,
        "num_steps": 20,
        "schedule": "vp",
        "start_std": 1.0,
        "learning": "released",
        "hidden_sizes": (256, 256, 256),
        "activation": "mish",
    }
    assert flat(DACER()) == expected


def test_the_code_and_the_port_have_their_settings():
    """Typed from the released code, from the DPRL code (NC-LQL's Table 5), and from `dacer.py` of flow-rl."""
    port = {
        "noise_scale": 0.15,
        "schedule": "linear",
        "start_std": 0.5,
        "learning_rate": 3e-4,
        "actor_learning_rate": 3e-4,
        "actor_decay": 0.1,
    }
    other = {"learning": "flow-rl", "schedule": "cosine"}
    for name, expected in (("code", {"noise_scale": 0.15}), ("port", port), ("flow-rl", other)):
        made = flat(with_preset(DACER, name))
        assert made == flat(DACER()) | expected, name


def test_the_ports_chain_starts_elsewhere_than_its_schedule_ends():
    """And the released code's does not: signal^2 at the end, by the products of their alphas."""
    network = fresh().actor.network
    ends = {}
    for name in ("code", "port"):
        diffusion = with_preset(DACER, name).diffusion(network)
        ends[name] = float(diffusion.schedule.noise(1.0)), float(diffusion.start_std)
    k = np.arange(1, 21)
    vp = np.prod(np.exp(-0.1 / 20 - 4.95 * (2 * k - 1) / 400))
    linear = np.prod(1 - 0.3 * np.linspace(1e-4, 0.999, 20))
    assert ends["code"] == pytest.approx((np.sqrt(1 - vp), 1.0), rel=1e-5)
    assert ends["port"] == pytest.approx((np.sqrt(1 - linear), 0.5), rel=1e-5)
    assert np.sqrt(1 - vp) > 0.996 and np.sqrt(1 - linear) == pytest.approx(0.983, abs=1e-3)
