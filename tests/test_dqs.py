"""DQS: updates and sampling against NumPy by hand, readings of the paper, temperatures, entropy, defaults, switches."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import (
    ACT,
    OBS,
    Adam,
    ResidualByHand,
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
from by_hand_diffusion import ExplodingNormalLaw, estimated_score

from softq.algorithms import DQS
from softq.algorithms.common.targets import soft_value
from softq.algorithms.common.temperature import Temperature
from softq.box import uniform_actions
from softq.diffusion import DiffusionPolicy
from softq.diffusion.scores import SCORE_ESTIMATORS
from softq.testing.probe import random_batch
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import flat
from softq.utils.pytree import pytree, replace

BATCH, NUM = 8, 4
SMALL = {
    "hidden_sizes": (6, 6),
    "learning_rate": 0.01,
    "actor_learning_rate": 0.02,
    "polyak": 0.1,
    "discount": 0.9,
    "temperature": 0.5,
    "sigma_min": 0.05,
    "num_steps": 3,
    "num_samples": NUM,
}
VARIANTS = {
    "default": {},
    "jacobian": {"jacobian": True, "temperature_decay": 0.1, "decay_updates": 4.0, "temperature_spread": 2.0},
    "box": {
        "space": "reflect",
        "estimator": "qne",
        "truncate": True,
        "predict": "noise",
        "condition": False,
        "reward_scale": 0.7,
    },
    "tuned": {
        "temperature": Temperature(0.5, "sac", learning_rate=0.03),
        "temperature_decay": 0.1,
        "decay_updates": 4.0,
        "estimator": "qsm",
    },
    "code": {"space": "printed", "style": "residual", "activation": "gelu_tanh", "weighted": True},
}


@cache
def initial(condition, style="sinusoidal"):
    init = DQS(**SMALL, condition=condition, style=style).init
    return jax.jit(init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))


def fresh(algo):
    """A state whose targets and biases differ from the online networks and from zero."""
    state = apart(initial(algo.condition, algo.style), actor=0.1)
    actor = replace(state.actor, network=replace(state.actor.network, activation=algo.activation))
    state = replace(state, actor=actor)
    return replace(state, temperature=replace(algo.temperature.init(ACT), log_scale=jnp.asarray(0.2)))


def learned(state):
    critics = twins_of(state.critic.network), twins_of(state.critic.target)
    return [*critics, float64(dict(state.actor.network.params)), float(state.temperature.log_scale)]


# Updates, by hand


@pytree
class Known(DiffusionPolicy):
    """Known actions and log-densities; the latter depend on what the network is told."""

    def sample(self, obs, key, condition=()):
        return jnp.tanh(obs[:ACT])

    def sample_and_log_prob(self, obs, key, condition=()):
        return jnp.tanh(obs[:ACT]), jnp.sum(obs) + condition[0]


@pytree
class Stubbed(DQS):
    def diffusion(self, network):
        return Known(**vars(super().diffusion(network)))


class ByHand:
    """Algorithm 1 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault = algo, fault
        self.critic, self.target, _, self.log_scale = learned(state)
        by_hand = ResidualByHand if algo.style == "residual" else ScoreByHand
        self.actor = by_hand(state.actor.network, skip=fault != "no skip")
        self.critic_adam = Adam(self.critic, algo.learning_rate)
        self.actor_adam = Adam(self.actor.params, algo.actor_learning_rate)
        self.temperature_adam = Adam(self.log_scale, algo.temperature.learning_rate)

    def learned(self):
        return [self.critic, self.target, self.actor.params, self.log_scale]

    def looser(self):
        return [*jax.tree.map(np.ones_like, (self.critic, self.target)), self.actor_adam.looser, 1.0]

    def temperature(self):
        done = min(self.critic_adam.count / self.algo.decay_updates, 1)
        decayed = self.algo.temperature.value * self.algo.temperature_decay**done
        return decayed * np.exp(self.log_scale)

    def update(self, batch):
        algo, now = self.algo, self.temperature()
        twins = self.critic if self.fault == "online" else self.target
        value = smaller(twins, batch.next_obs, np.tanh(batch.next_obs[:, :ACT]))
        y = algo.reward_scale * batch.reward + algo.discount * batch.discount * value
        loss, gradients, q_mean = regression(self.critic, batch.obs, batch.action, y)
        self.critic = self.critic_adam.step(self.critic, gradients)
        actor_loss = self.actor_step(batch, now)
        self.target = polyak(self.critic, self.target, algo.polyak)
        metrics = {
            "critic_loss": loss,
            "q_mean": q_mean,
            "target_mean": y.mean(),
            "actor_loss": actor_loss,
            "temperature": now,
        }
        if algo.temperature.rule == "sac":
            metrics["entropy"] = -(batch.obs.sum(1) + now).mean()
            excess = metrics["entropy"] - ACT * algo.temperature.target_entropy
            excess = -excess if self.fault == "excess" else excess
            self.log_scale = self.temperature_adam.step(self.log_scale, now * excess)
        return metrics

    def actor_step(self, batch, now):
        algo, tanh = self.algo, self.algo.space == "tanh"
        x = np.arctanh(np.clip(batch.action, -0.999, 0.999)) if tanh else batch.action
        tau = uniforms()
        sigma = algo.sigma_min * (algo.sigma_max / algo.sigma_min) ** tau
        hot = now * algo.temperature_spread ** (2 * uniforms() - 1)
        noisy, told_temperature = x + sigma * normals(ACT), hot
        hot = 1.0 if self.fault == "temperature" else hot

        def q(points):
            actions, obs = points.reshape(-1, ACT), np.repeat(batch.obs, points.shape[1], 0)
            actions = np.tanh(actions) if tanh or self.fault == "squashed" else actions
            pairs = [action_gradient(layers, obs, actions) for layers in self.critic]
            values, slopes = reduced(pairs)
            slopes = slopes * (1 - actions**2) if tanh or self.fault == "squashed" else slopes
            if algo.jacobian:  # log(1 - tanh^2), with all its digits
                values = values - 2 * hot * np.log(np.cosh(points.reshape(-1, ACT))).sum(1)
                slopes = slopes - 2 * hot * actions
            return values.reshape(points.shape[:2]), slopes.reshape(points.shape)

        target = estimated_score(algo.estimator, q, hot, noisy, 1.0, sigma, NUM, algo.truncate)
        target = -sigma * target if algo.predict == "noise" else target
        told = np.full((BATCH, 2), [tau, told_temperature])[:, : 2 if algo.condition else 1]
        error = self.actor.outputs(batch.obs, noisy, told) - target
        weight = sigma**2 + 1e-3 if algo.weighted and self.fault != "no weight" else 1.0
        gradients = self.actor.gradients(2 * weight * error / BATCH)
        self.actor.params = self.actor_adam.step(self.actor.params, gradients)
        return weight * np.mean(np.sum(error**2, 1))


@cache
def trained(name):
    algo = Stubbed(**SMALL | VARIANTS[name])
    return three_updates(algo, fresh(algo), BATCH, learned)


def distance(name, fault=""):
    algo = Stubbed(**SMALL | VARIANTS[name])
    return differences(trained(name), ByHand(algo, fresh(algo), fault), BATCH)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand the targets are numbers, so this also shows that no gradient flows through them."""
    metrics, parameters = distance(name)
    assert metrics < 5e-3
    assert parameters < 2e-3


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("default", "online"),
        ("default", "temperature"),
        ("tuned", "excess"),
        ("code", "no skip"),
    ],
)
def test_a_mistake_in_the_update_shows(name, fault):
    """Bootstrap from the online critics; a score without the temperature, as line 13 prints it.

    "excess": the temperature falls where the entropy is too low.
    """
    metrics, parameters = distance(name, fault)
    assert metrics > 2e-2
    assert parameters > 5e-3


@pytest.mark.parametrize("fault", ["no weight", "squashed"])
def test_a_mistake_in_the_loss_of_the_code_shows(fault):
    """The weight left out; Q behind the tanh, where the code asks it at the noisy action itself.

    In the loss only: Adam hardly sees the size of a gradient, and one known time gives one weight.
    """
    assert distance("code", fault)[0] > 1e-2 > 100 * distance("code")[0]


def test_the_code_is_a_preset():
    """Typed from the authors' code, main and trainer; the rest is the paper's."""
    code, paper = DQS.presets["code"], DQS.presets["paper"]
    assert flat(DQS(**{name: code[name] for name in code if name in flat(DQS())})) == flat(DQS()) | {
        "num_steps": 500,
        "space": "printed",
        "style": "residual",
        "activation": "gelu_tanh",
        "weighted": True,
    }
    assert {name: code[name] for name in paper} == paper | {"buffer_size": 1_000_000}


@pytest.mark.parametrize(
    ("estimator", "options", "faces"),
    [
        ("qsm", {}, {}),
        ("idem", {"truncate": True, "faces": True}, {"truncate": True, "boundary": True}),
        ("combined", {"truncate": True, "faces": True}, {"truncate": True, "boundary": True}),
        ("rfm", {"truncate": True, "faces": True}, {"truncate": True, "boundary": True}),
    ],
)
def test_the_actor_regresses_to_the_estimator_that_is_named(estimator, options, faces, key):
    """The loss of a step, from the estimator called directly; the box's options change it."""
    algo = DQS(**SMALL, space="reflect", estimator=estimator, **options)
    state, batch = fresh(algo), random_batch(key, BATCH, OBS, ACT)
    tau = jnp.asarray(uniforms(), jnp.float32)
    sigma = 0.05 * 20**tau
    now = 0.5 * jnp.exp(0.2)

    def expected():
        def one(obs, action):
            noisy, q = action + sigma * jnp.float32(normals(ACT)), state.critic.network.at(obs)
            score = SCORE_ESTIMATORS[estimator](key, q, now, noisy, 1.0, sigma, NUM, **faces)
            return jnp.sum((state.actor.network(obs, noisy, jnp.stack([tau, now])) - score) ** 2)

        return jnp.mean(jax.vmap(one)(batch.obs, batch.action))

    with known_draws():
        loss = jax.jit(lambda batch: algo.actor_step(state, batch, key)[1])(batch)
        assert float(loss) == pytest.approx(float(jax.jit(expected)()), rel=1e-4)


def test_the_backup_is_that_of_its_name(key):
    """No entropy by default; "soft" is a log-sum-exp of the target critics."""
    algo = Stubbed(**SMALL, backup="soft", num_value_samples=5)
    state, batch = fresh(algo), random_batch(key, BATCH, OBS, ACT)

    def one(obs):
        values = jax.vmap(state.critic.target.at(obs))(uniform_actions(key, ACT, 5))
        return soft_value(values, 0.5 * jnp.exp(0.2), ACT)

    with known_draws():
        expected = batch.reward + 0.9 * batch.discount * jax.jit(jax.vmap(one))(batch.next_obs)
        soft, _ = jax.jit(lambda batch: algo.targets(state, batch, key))(batch)
    np.testing.assert_allclose(soft, expected, atol=1e-5)
    plain, _ = jax.jit(replace(algo, backup="boltzmann").targets)(state, batch, key)
    assert np.abs(plain - soft).max() > 0.1


# Sampling


@pytest.mark.parametrize("space", ["tanh", "printed", "reflect", "project"])
def test_the_sample_is_equation_3_by_hand(space, key):
    algo = DQS(**SMALL, space=space, t_end=0.25, sigma_max=4.0, temperature_spread=2.0)
    state, obs = fresh(algo), np.array([0.3, -0.5, 1.0])
    with known_draws():
        sampled = jax.jit(lambda obs: algo.policy(state, obs, key, 0.3))(jnp.float32(obs))
    network, x = ScoreByHand(state.actor.network), 4 * normals(ACT)
    for tau, z in zip((1.0, 0.75, 0.5), normals(3, ACT), strict=True):
        g2 = 2 * np.log(80) * (0.05 * 80**tau) ** 2
        score = network.outputs(obs[None], x[None], np.array([[tau, 0.3]]))[0]
        x = x + g2 * score * 0.25 + np.sqrt(g2 * 0.25) * z
    assert np.abs(x).max() > 1
    folded = np.abs((x - 1) % 4 - 2) - 1
    final = {"tanh": np.tanh(x), "printed": np.tanh(x), "reflect": folded, "project": np.clip(x, -1, 1)}
    np.testing.assert_allclose(sampled, final[space], atol=2e-3)


def test_the_actor_reads_the_temperature_if_told_to(key):
    state, several = fresh(DQS(**SMALL)), jax.random.normal(key, (20, OBS))
    options = {"temperature_spread": 2.0, "space": "reflect"}  # tanh may end on a wall at both temperatures
    sample = jax.jit(jax.vmap(DQS(**SMALL, **options).policy, (None, 0, None, None)))
    assert np.abs(sample(state, several, key, 0.3) - sample(state, several, key, 0.6)).max() > 1e-3
    with pytest.raises(SoftqError, match="trained at one temperature"):
        DQS(**SMALL, condition=False).policy(state, several[0], key, 0.3)


def test_walls_need_a_space_that_has_them():
    for option in ("truncate", "faces"):
        with pytest.raises(SoftqError, match="choose a space other than 'tanh'"):
            DQS(**{option: True})


# Temperature and entropy


def test_the_temperature_of_the_maze():
    """10 to 1, exponentially over the updates that were made, and 1 from then on."""
    algo = DQS(temperature=10.0, temperature_decay=0.1, decay_updates=200.0)
    for step, expected in ((0, 10.0), (100, 10**0.5), (200, 1.0), (999, 1.0)):
        at = replace(initial(True), step=jnp.asarray(step))
        assert float(algo.current_temperature(at)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("variance", [0.3, 0.05])
def test_the_likelihood_of_a_normal_law(variance, key):
    """Its exact score in place of the network's: log pi up to the stated bias of the part beyond sigma_max."""
    algo = DQS(space="reflect", sigma_min=1e-3, num_levels=60, num_noises=8000, condition=False)
    actions = jnp.array([[0.0], [0.2], [-0.6]])
    policy = algo.diffusion(ExplodingNormalLaw(variance))
    got = jax.jit(jax.vmap(lambda a, k: policy.log_prob(None, a, k)))(actions, jax.random.split(key, 3))
    square = np.asarray(actions, float)[:, 0] ** 2
    exact = -0.5 * np.log(2 * np.pi * variance) - square / (2 * variance)
    # beyond sigma_max the law is taken for N(0, sigma^2), in which the action is nothing: quadrature of the difference
    sigma2 = np.exp(np.linspace(0, 25, 200_001))
    true = (variance / (variance + sigma2)) ** 2 + square[:, None] * sigma2 / (variance + sigma2) ** 2
    assumed = square[:, None] / sigma2
    bias = np.trapezoid((true - assumed) / 2, np.log(sigma2), axis=1)
    np.testing.assert_allclose(got, exact + bias, atol=0.04)
    stated = -(variance - np.log1p(variance)) / 2
    mean = np.trapezoid((variance / (variance + sigma2) - variance / sigma2) / 2, np.log(sigma2))
    assert mean == pytest.approx(stated, abs=1e-4)


def test_the_entropies_are_those_of_the_policy_in_the_states_of_the_batch(key):
    """One draw in each state, and its log pi at the temperature in force, told to the network."""
    algo = DQS(**SMALL, num_levels=3)
    state, batch = fresh(algo), random_batch(key, BATCH, OBS, ACT)

    def expected(obs):
        policy, now = algo.diffusion(state.actor.network), 0.5 * jnp.exp(0.2)
        return -policy.sample_and_log_prob(obs, key, (now,))[1]

    with known_draws():
        got = jax.jit(lambda batch: algo.entropies(state, batch, key, {}))(batch)
        np.testing.assert_allclose(got, jax.jit(jax.vmap(expected))(batch.obs), rtol=1e-3)
    assert np.std(got) > 0.1


def test_defaults_are_those_of_the_paper():
    """Typed from Table 1 and Appendix B."""
    expected = {
        "temperature": 0.05,
        "temperature_rule": "fixed",
        "target_entropy": -1.0,
        "temperature_learning_rate": 3e-4,
        "temperature_every": 1,
        "temperature_decay": 1.0,
        "decay_updates": 250_000.0,
        "temperature_spread": 1.0,
        "sigma_min": 1e-5,
        "sigma_max": 1.0,
        "t_end": 0.0,
        "discount": 0.99,
        "learning_rate": 3e-4,
        "actor_learning_rate": 3e-4,
        "action_gain": 1.0,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "num_steps": 1000,
        "num_samples": 1000,
        "space": "tanh",
        "jacobian": False,
        "estimator": "idem",
        "truncate": False,
        "faces": False,
        "predict": "score",
        "condition": True,
        "weighted": False,
        "backup": "boltzmann",
        "num_value_samples": 100,
        "tune_by": "policy",
        "num_levels": 20,
        "num_noises": 2,
        "hidden_sizes": (256, 256),
        "style": "sinusoidal",
        "activation": "relu",
        "critic_activation": "relu",
    }
    assert flat(DQS()) == expected
