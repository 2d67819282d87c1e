"""MaxEntDP: updates and likelihood against NumPy by hand, the bias of its entropy, samplers, temperature, defaults."""

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
from by_hand_diffusion import NormalLaw, estimated_score
from small import with_preset

from softq.algorithms import MaxEntDP
from softq.algorithms.common.learner import Learner
from softq.algorithms.common.temperature import Temperature
from softq.algorithms.maxentdp import SCHEDULE
from softq.diffusion import DiffusionPolicy, ancestral, probability_flow
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import flat
from softq.utils.pytree import pytree, replace

BATCH, NUM = 8, 4
SMALL = {
    "hidden_sizes": (6, 5),
    "critic_activation": "relu",
    "learning_rate": 0.01,
    "actor_learning_rate": 0.02,
    "polyak": 0.1,
    "discount": 0.9,
    "temperature": 0.5,
    "num_steps": 3,
    "num_samples": NUM,
    "num_noises": 2,
    "num_actions": 3,
}


@cache
def initial():
    return jax.jit(MaxEntDP(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))


def fresh(algo):
    """A state whose targets and biases differ from the online networks and from zero."""
    state = apart(initial(), actor=0.1)
    actor = Learner.create(state.actor.network, algo.actor_optimiser())
    temperature = replace(algo.temperature.init(ACT), log_scale=jnp.asarray(0.2))
    return replace(state, actor=actor, temperature=temperature)


def learned(state):
    critics = twins_of(state.critic.network), twins_of(state.critic.target)
    return [*critics, float64(dict(state.actor.network.params)), float(state.temperature.log_scale)]


# Updates, by hand


@pytree
class Known(DiffusionPolicy):
    """Known actions and log-densities."""

    def sample_and_log_prob(self, obs, key):
        action = jnp.tanh(obs[:ACT])
        return action, jnp.sum(obs) + action[0]


@pytree
class Stubbed(MaxEntDP):
    def diffusion(self, network):
        return Known(**vars(super().diffusion(network)))


class ByHand:
    """Algorithm 1 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault = algo, fault
        self.critic, self.target, _, self.log_scale = learned(state)
        self.actor = ScoreByHand(state.actor.network)
        self.critic_adam = Adam(self.critic, algo.learning_rate)
        self.actor_adam = Adam(self.actor.params, algo.actor_learning_rate)
        self.temperature_adam = Adam(self.log_scale, algo.temperature.learning_rate)

    def learned(self):
        return [self.critic, self.target, self.actor.params, self.log_scale]

    def looser(self):
        critics = jax.tree.map(np.ones_like, (self.critic, self.target))
        return [*critics, self.actor_adam.looser, 1.0]

    def update(self, batch):
        algo, beta = self.algo, self.algo.temperature.value * np.exp(self.log_scale)
        action = np.tanh(batch.next_obs[:, :ACT])
        log_prob = batch.next_obs.sum(1) + action[:, 0]
        twins = self.critic if self.fault == "online" else self.target
        soft = smaller(twins, batch.next_obs, action)
        if algo.entropy_backup != (self.fault == "backup"):
            soft = soft - beta * (log_prob if self.fault != "sign" else -log_prob)
        y = algo.reward_scale * batch.reward + algo.discount * batch.discount * soft
        loss, gradients, q_mean = regression(self.critic, batch.obs, batch.action, y)
        self.critic = self.critic_adam.step(self.critic, gradients)
        averaged = polyak(self.critic, self.target, algo.polyak)
        self.target = self.target if self.fault == "late" else averaged
        actor_loss = self.actor_step(batch, beta)
        self.target = averaged
        if algo.temperature.rule == "sac":
            excess = -log_prob.mean() - ACT * algo.temperature.target_entropy
            self.log_scale = self.temperature_adam.step(self.log_scale, beta * excess)
        return {
            "critic_loss": loss,
            "q_mean": q_mean,
            "target_mean": y.mean(),
            "actor_loss": actor_loss,
            "entropy": -log_prob.mean(),
            "temperature": beta,
        }

    def actor_step(self, batch, beta):
        """The network's noise is minus the noise's size times the score: Equation 17, Equation 63, or the slope."""
        algo = self.algo
        t = np.float32(SCHEDULE.t_min + (SCHEDULE.t_max - SCHEDULE.t_min) * uniforms())
        signal, noise = float(SCHEDULE.signal(t)), float(SCHEDULE.noise(t))
        noisy = signal * batch.action + noise * normals(ACT)
        twins = self.critic if (algo.guide == "online") != (self.fault == "guide") else self.target

        def q(actions):
            points, obs = actions.reshape(-1, ACT), np.repeat(batch.obs, actions.shape[1], 0)
            values, slopes = reduced([action_gradient(layers, obs, points) for layers in twins])
            return values.reshape(actions.shape[:2]), slopes.reshape(actions.shape)

        score = estimated_score(algo.estimator, q, beta, noisy, signal, noise, NUM, algo.truncate, self.fault)
        score = score * signal if self.fault == "signal" else score
        target = score if self.fault == "noise" else -score
        target = target if self.fault == "size" else noise * target
        log_snr = np.full((BATCH, 1), 2 * (np.log(signal) - np.log(noise)))
        error = self.actor.outputs(batch.obs, noisy, log_snr) - target
        adam = self.actor_adam
        if algo.decay == "cosine":
            done = min(adam.count / algo.decay_updates, 1)
            adam.rate = algo.actor_learning_rate * (1 + np.cos(np.pi * done)) / 2
        self.actor.params = adam.step(self.actor.params, self.actor.gradients(2 * error / BATCH))
        return np.mean(np.sum(error**2, 1))


TUNED = Temperature(0.5, "sac", target_entropy=-0.5, learning_rate=0.03)
VARIANTS = {
    "default": {},
    "code": {"guide": "target", "decay": "cosine", "decay_updates": 4.0, "reward_scale": 0.7},
    "tuned": {"temperature": TUNED, "truncate": False},
    "slope": {"estimator": "qsm", "guide": "target", "entropy_backup": False},
    "slopes": {"estimator": "idem"},
    "slopes outside too": {"estimator": "idem", "truncate": False},
    "both": {"estimator": "combined"},
    "both by RFM": {"estimator": "rfm"},
}


@cache
def trained(name):
    algo = Stubbed(**SMALL | VARIANTS[name])
    return three_updates(algo, fresh(algo), BATCH, learned)


def distance(name, fault=""):
    algo = Stubbed(**SMALL | VARIANTS[name])
    return differences(trained(name), ByHand(algo, fresh(algo), fault), BATCH, floor=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand the targets are numbers, so this also shows that no gradient flows through them."""
    metrics, parameters = distance(name)
    assert metrics < 2e-4
    assert parameters < 2e-4


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("default", fault) for fault in ("sign", "online", "noise", "size", "backup")),
        *(("code", fault) for fault in ("guide", "late")),
        *(("slope", fault) for fault in ("noise", "size", "guide", "backup")),
        *(("slopes", fault) for fault in ("noise", "size", "signal", "guide")),
        *(("slopes outside too", fault) for fault in ("noise", "size", "signal", "guide")),
        *(("both", fault) for fault in ("noise", "size", "faces", "half", "fit")),
        *(("both by RFM", fault) for fault in ("noise", "size", "faces", "half", "fit")),
    ],
)
def test_a_mistake_in_the_update_shows(name, fault):
    """Entropy or noise of the wrong sign, no entropy, bootstrap from the online critics as line 14 prints it.

    "size": the score itself as the noise. "signal": Equation 63 without its 1 / signal. "guide": the other critics.
    "late": the noise network asks the targets of the update before, unlike the code. "faces": nothing
    is added for the walls. "half": half the weight of a mean that is 0. "fit": that weight's limits and ridge swapped.
    """
    metrics, parameters = distance(name, fault)
    assert metrics > (1e-3 if fault == "late" else 1e-2)
    assert parameters > 1e-3


def test_when_the_targets_are_averaged_matters_to_the_code_alone():
    """With the paper's guide, the online critics, both orders are one."""
    assert distance("default", "late") == distance("default")


# The law


def noise_by_hand(network, obs):
    """The network's noise at any action and time, in float64."""
    network = ScoreByHand(network)

    def noise_of(a, t):
        signal, noise = float(SCHEDULE.signal(t)), float(SCHEDULE.noise(t))
        log_snr = np.array([[2 * np.log(signal / noise)]])
        return network.outputs(np.asarray(obs, float)[None], a[None], log_snr)[0]

    return noise_of


@pytest.mark.parametrize("clip", [False, True])
def test_the_likelihood_is_equation_21(clip, key):
    """With the noises given: levels even in time, each cell by its noisier end; and with the code's clip."""
    network = fresh(MaxEntDP(**SMALL)).actor.network
    obs, action = jnp.array([0.3, -0.5, 1.0]), jnp.array([0.4, -0.9])

    def log_prob(clip):
        policy = MaxEntDP(**SMALL, clip_x0=clip).diffusion(network)
        with known_draws():
            return float(jax.jit(lambda obs, action: policy.log_prob(obs, action, key))(obs, action))

    got = log_prob(clip)
    t = np.linspace(1e-3, 0.9946, 4)
    u = np.asarray(SCHEDULE.signal(jnp.float32(t)), float) ** 2
    noise_of, total = noise_by_hand(network, obs), -ACT / 2 * np.log(2 * np.pi * np.e)
    for i in (1, 2, 3):
        errors = []
        for eps in normals(3, 2, ACT)[i - 1]:
            noisy = np.sqrt(u[i]) * np.asarray(action, float) + np.sqrt(1 - u[i]) * eps
            predicted = noise_of(noisy, t[i])
            if clip:
                clean = np.clip((noisy - np.sqrt(1 - u[i]) * predicted) / np.sqrt(u[i]), -1, 1)
                predicted = (noisy - np.sqrt(u[i]) * clean) / np.sqrt(1 - u[i])
            errors.append(np.sum((eps - predicted) ** 2))
        total += (u[i - 1] - u[i]) / (u[i] * (1 - u[i])) / 2 * (ACT * u[i] - np.mean(errors))
    assert got == pytest.approx(total, rel=1e-3)
    if clip:
        assert abs(log_prob(False) - got) > 0.01


BIAS = {"left": (-0.0848, -0.4144, -1.1843), "log_snr": (-0.0002, -0.0022, -0.0218)}


@pytest.mark.parametrize("rule", BIAS)
def test_the_bias_of_the_entropy(rule):
    """The mean of log pi over a normal law of variance v, with the noise network that is best for it.

    Equation 66 in closed form for the numbers: d u - mse(u) is u - v s / (1 + v s), s the signal-to-noise ratio.
    """
    algo = MaxEntDP(rule=rule, num_noises=400)

    @jax.jit
    def bias(variance, key):
        action = jax.random.normal(key, (500, 1))
        action = action * jnp.sqrt(variance / jnp.mean(action**2))  # the mean depends on this alone
        log_prob = lambda a, k: algo.diffusion(NormalLaw(variance)).log_prob(None, a, k)
        exact = -0.5 * jnp.log(2 * jnp.pi * jnp.e * variance)
        return jnp.mean(jax.vmap(log_prob)(action, jax.random.split(key, 500))) - exact

    for variance, expected in zip((0.1, 0.01, 0.001), BIAS[rule], strict=True):
        assert float(bias(variance, jax.random.key(1))) == pytest.approx(expected, abs=0.01)


def test_the_policy_samples_as_it_is_told(key):
    """The ancestral chain, or the flow, of the network's noise."""
    algo = MaxEntDP(**SMALL)
    state, obs, keys = fresh(algo), jnp.array([0.3, -0.5, 1.0]), jax.random.split(key, 16)
    every = lambda sample: jax.jit(jax.vmap(sample))(keys)
    network = lambda a, t: state.actor.network(obs, a, jnp.atleast_1d(SCHEDULE.log_snr(t)))
    chain = every(lambda key: ancestral(key, network, ACT, SCHEDULE, 3))
    np.testing.assert_allclose(every(lambda key: algo.policy(state, obs, key)), chain, atol=1e-5)
    score = lambda a, t: -network(a, t) / SCHEDULE.noise(t)
    flow = every(lambda key: probability_flow(key, score, ACT, SCHEDULE, 3, final="project"))
    by_flow = replace(algo, sampling="flow")
    np.testing.assert_allclose(every(lambda key: by_flow.policy(state, obs, key)), flow, atol=1e-5)
    assert np.abs(flow - chain).max() > 0.01  # a single pair may end in the same corner


def test_exploit_keeps_the_best_by_the_target_critics(key):
    algo = MaxEntDP(**SMALL)
    state, obs = fresh(algo), jnp.array([0.3, -0.5, 1.0])
    draws = jax.jit(jax.vmap(lambda k: algo.policy(state, obs, k)))(jax.random.split(key, 3))
    values = [float(jnp.min(state.critic.target(obs, a))) for a in draws]
    best = jax.jit(algo.exploit)(state, obs, key)
    np.testing.assert_allclose(best, draws[np.argmax(values)], atol=1e-6)


def test_defaults_are_those_of_the_paper():
    """Typed from Table 1, Table 3 and Appendix D.1 of Dong et al. (2025)."""
    expected = {
        "temperature": 0.1,
        "temperature_rule": "fixed",
        "target_entropy": -1.0,
        "temperature_learning_rate": 3e-4,
        "temperature_every": 1,
        "discount": 0.99,
        "learning_rate": 3e-4,
        "actor_learning_rate": 3e-4,
        "action_gain": 1.0,
        "decay_updates": 2e6,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "num_steps": 20,
        "num_samples": 500,
        "num_noises": 50,
        "num_actions": 10,
        "sampling": "ancestral",
        "estimator": "qne",
        "guide": "online",
        "entropy_backup": True,
        "truncate": True,
        "rule": "left",
        "clip_x0": False,
        "decay": "constant",
        "tune_by": "policy",
        "hidden_sizes": (256, 256),
        "activation": "mish",
        "critic_activation": "mish",
    }
    assert flat(MaxEntDP()) == expected


def test_the_code_has_its_settings():
    """Typed from the released code of Dong et al. (2025), which is silent on what is not here."""
    expected = {"guide": "target", "clip_x0": True, "decay": "cosine", "critic_activation": "relu"}
    code = flat(with_preset(MaxEntDP, "code"))
    assert code == flat(MaxEntDP()) | expected


def test_an_odd_number_of_paired_noises_is_refused_at_once():
    with pytest.raises(SoftqError, match="num_noises must be even with the rule 'log_snr', got 3; add one"):
        MaxEntDP(rule="log_snr", num_noises=3)
    assert MaxEntDP(rule="left", num_noises=3).num_noises == 3
