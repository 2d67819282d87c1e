"""QVPO: updates against NumPy by hand, the best of several draws, its settings."""

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
    apart,
    differences,
    float64,
    mish,
    normals,
    polyak,
    regression,
    relu,
    smaller,
    three_updates,
    twins_of,
    uniforms,
    value,
)
from small import with_preset

from softq.algorithms import QVPO
from softq.diffusion import CosineVP, ancestral
from softq.utils.flat_settings import flat
from softq.utils.pytree import pytree, replace

BATCH, SCHEDULE = 8, CosineVP()
SMALL = {
    "hidden_sizes": (6, 5),
    "learning_rate": 0.01,
    "actor_learning_rate": 0.02,
    "gradient_norm": 0.5,
    "polyak": 0.1,
    "discount": 0.9,
    "num_steps": 4,
    "num_draws": 5,
    "num_uniform": 3,
    "entropy_weight": 0.5,
    "least_entropy_weight": 0.3,
    "decay_updates": 1.2,
    "num_target_actions": 3,
    "num_behaviour_actions": 2,
    "num_actions": 4,
}
VARIANTS = {
    "default": {},
    "port": {"uniform_low": 0.0, "critic_activation": "relu", "reward_scale": 0.7},
    "code": {"adam_epsilon": 0.3, "mean_over_dimensions": True},  # an epsilon of the size of a gradient
}


@pytree
class Stubbed(QVPO):
    """Known draws, by which networks can be told apart."""

    def draws(self, actor, obs, key, num):
        centre = obs[:ACT] + actor.params["out"]["bias"]
        return jnp.tanh(centre[None] + jnp.asarray(normals(num, ACT), jnp.float32))


@cache
def fresh(slow=1.0):
    """A state whose targets and biases differ from the online networks and from zero, the target actor by `slow`."""
    state = jax.jit(QVPO(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    return apart(state, actor=0.1, actor_target=slow)


def started(algo):
    """The fresh state, with critics of the activation that `algo` has."""
    learner, activation = fresh().critic, algo.critic_activation
    network, target = (replace(x, activation=activation) for x in (learner.network, learner.target))
    return replace(fresh(), critic=replace(learner, network=network, target=target))


def learned(state):
    critics = twins_of(state.critic.network), twins_of(state.critic.target)
    actors = float64(dict(state.actor.network.params)), float64(dict(state.actor.target.params))
    return [*critics, *actors]


# Updates, by hand


def clipped(gradients, norm):
    size = np.sqrt(sum(np.sum(x**2) for x in jax.tree.leaves(gradients)))
    return jax.tree.map(lambda x: x * min(1, norm / size), gradients)


class ByHand:
    """One update of critic and actor in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, fault=""):
        self.algo, self.fault, self.updates = algo, fault, 0
        self.act = {"mish": mish, "relu": relu}[algo.critic_activation]
        self.critic, self.target, _, self.slow = learned(fresh())
        self.actor = ScoreByHand(fresh().actor.network)
        epsilon = 1e-8 if fault == "epsilon" else algo.adam_epsilon
        self.critic_adam = Adam(self.critic, algo.learning_rate, epsilon=epsilon)
        self.actor_adam = Adam(self.actor.params, algo.actor_learning_rate, epsilon=epsilon)

    def learned(self):
        return [self.critic, self.target, self.actor.params, self.slow]

    def looser(self):
        critics = jax.tree.map(np.ones_like, (self.critic, self.target))
        return [*critics, self.actor_adam.looser, self.actor_adam.looser]

    def draws(self, params, obs, num):
        """Actions `(B, num, d)`."""
        return np.tanh(obs[:, None, :ACT] + params["out"]["bias"] + normals(num, ACT))

    def values(self, twins, obs, actions):
        """The smaller twin `(B, n)` at actions `(B, n, d)`."""
        q = smaller(twins, np.repeat(obs, actions.shape[1], 0), actions.reshape(-1, ACT), self.act)
        return q.reshape(actions.shape[:2])

    def update(self, batch):
        algo, norm = self.algo, np.inf if self.fault == "no clip" else self.algo.gradient_norm
        draws = self.draws(
            self.actor.params if self.fault == "online actor" else self.slow, batch.next_obs, 3
        )
        chosen = self.values(
            self.critic if self.fault == "online choice" else self.target, batch.next_obs, draws
        )
        picked = chosen.argmin(1) if self.fault == "worst" else chosen.argmax(1)
        action = draws[np.arange(BATCH), picked]
        valued = self.critic if self.fault == "online critic" else self.target
        y = algo.reward_scale * batch.reward
        y = y + algo.discount * batch.discount * smaller(valued, batch.next_obs, action, self.act)
        loss, gradients, q_mean = regression(self.critic, batch.obs, batch.action, y, self.act)
        self.critic = self.critic_adam.step(self.critic, clipped(gradients, norm))
        self.target = polyak(self.critic, self.target, algo.polyak)
        metrics = {"critic_loss": loss, "q_mean": q_mean, "target_mean": y.mean()}
        metrics |= self.actor_step(batch.obs, norm)
        self.slow = polyak(self.actor.params, self.slow, algo.polyak)
        self.updates += 1
        return metrics

    def actor_step(self, obs, norm):
        algo = self.algo
        draws = self.draws(
            self.slow if self.fault == "target draws" else self.actor.params, obs, algo.num_draws
        )
        values = self.values(self.target if self.fault == "target values" else self.critic, obs, draws)
        best, advantage = draws[np.arange(BATCH), values.argmax(1)], values.max(1) - values.mean(1)
        weight = values.max(1) if self.fault == "value" else advantage
        low = {"corner": -algo.uniform_low - 1}.get(self.fault, algo.uniform_low)
        uniform = low + (1 - low) * uniforms(algo.num_uniform, ACT)
        actions = np.concatenate([best[:, None], np.broadcast_to(uniform, (BATCH, *uniform.shape))], 1)
        left = 1 - (0 if self.fault == "no decay" else self.updates / algo.decay_updates)
        share = max(algo.entropy_weight * left, 0 if self.fault == "no floor" else algo.least_entropy_weight)
        n = 1 + algo.num_uniform
        weights = weight[:, None] * np.array([1.0] + algo.num_uniform * [share])
        weights = np.repeat(weights[:, :1], n, 1) if self.fault == "uniform as heavy" else weights
        t = np.float32(np.linspace(SCHEDULE.t_max, SCHEDULE.t_min, 5)[int(4 * uniforms())])
        signal, noise = float(SCHEDULE.signal(t)), float(SCHEDULE.noise(t))
        noisy = (signal * actions + noise * normals(ACT)).reshape(-1, ACT)
        log_snr = np.full((len(noisy), 1), 2 * (np.log(signal) - np.log(noise)))
        error = self.actor.outputs(np.repeat(obs, n, 0), noisy, log_snr) - normals(ACT)
        mean = algo.mean_over_dimensions != (self.fault == "sum")
        weights = weights.reshape(-1, 1) / len(noisy) / (ACT if mean else 1)
        self.actor.params = self.actor_adam.step(
            self.actor.params, clipped(self.actor.gradients(2 * weights * error), norm)
        )
        return {"actor_loss": np.sum(weights * error**2), "advantage": advantage.mean()}


@cache
def trained(name):
    algo = Stubbed(**SMALL | VARIANTS[name])
    return three_updates(algo, started(algo), BATCH, learned)


def distance(name, fault=""):
    return differences(trained(name), ByHand(Stubbed(**SMALL | VARIANTS[name]), fault), BATCH, floor=1)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    metrics, parameters = distance(name)
    assert metrics < 5e-5
    assert parameters < 2e-4


FAULTS = (
    "online actor",
    "online choice",
    "online critic",
    "worst",
    "no clip",
    "target draws",
    "target values",
)
FAULTS += ("value", "corner", "no decay", "no floor", "uniform as heavy")


FAULTS = [("default", fault) for fault in FAULTS] + [("code", fault) for fault in ("epsilon", "sum")]


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_a_mistake_in_the_update_shows(name, fault):
    """Networks in each other's place, the worst draw, its value as the weight, uniform actions of the port.

    And a weight of the entropy term that does not fall, or falls to zero, or is as large as the best draw's. Of the
    code: Adam's usual epsilon, a sum over the dimensions.
    """
    metrics, parameters = distance(name, fault)
    assert metrics > 1e-3
    assert parameters > 1e-3


# The best of several draws


def test_each_policy_is_the_best_of_its_draws(key):
    """Of the target actor by the target critics, or of the actor by the critics; as many draws as its own setting."""
    algo, state, obs = QVPO(**SMALL), fresh(0.1), jnp.array([0.3, -0.5, 1.0])
    acted = jax.jit(lambda key: [how(state, obs, key) for how in (algo.policy, algo.explore, algo.exploit)])(
        key
    )
    online, target = (state.actor.network, state.critic.network), (state.actor.target, state.critic.target)
    for action, (actor, critic), num in zip(acted, (target, online, online), (3, 2, 4), strict=True):
        noise = lambda a, t, actor=actor: actor(obs, a, jnp.atleast_1d(SCHEDULE.log_snr(t)))
        chain = lambda key, noise=noise: ancestral(key, noise, ACT, SCHEDULE, 4, "posterior")
        draws = np.asarray(jax.jit(jax.vmap(chain))(jax.random.split(key, num)), float)
        values = np.minimum(*(value(layers, np.asarray(obs), draws, mish) for layers in twins_of(critic)))
        np.testing.assert_allclose(action, draws[values.argmax()], atol=1e-5)
        assert np.ptp(draws, axis=0).max() > 0.01 and np.ptp(values) > 0.01


# Settings


def test_defaults_are_those_of_the_code():
    """Typed from the released code of Ding et al. (2024), run with `--weighted --aug`."""
    expected = {
        "discount": 0.99,
        "learning_rate": 3e-4,
        "actor_learning_rate": 1e-4,
        "gradient_norm": 2.0,
        "adam_epsilon": 1e-8,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "num_draws": 64,
        "num_uniform": 10,
        "uniform_low": -1.0,
        "entropy_weight": 0.02,
        "least_entropy_weight": 0.002,
        "decay_updates": 1e6,
        "num_target_actions": 4,
        "num_behaviour_actions": 4,
        "num_actions": 32,
        "num_steps": 20,
        "mean_over_dimensions": False,
        "hidden_sizes": (256, 256),
        "activation": "mish",
        "critic_activation": "mish",
    }
    assert flat(QVPO()) == expected


def test_the_code_has_its_settings():
    """Typed from `model.py` and `qvpo.py` of the released code, and from the loss `l2` that it has from DIPO's."""
    expected = {"hidden_sizes": (256, 256, 256), "adam_epsilon": 1e-5, "mean_over_dimensions": True}
    assert flat(with_preset(QVPO, "code")) == flat(QVPO()) | expected


def test_the_port_has_its_settings():
    """Typed from `qvpo.py` of flow-rl and from the settings that its paper gives all methods."""
    expected = {
        "uniform_low": 0.0,
        "entropy_weight": 0.01,
        "least_entropy_weight": 0.01,
        "num_behaviour_actions": 1,
        "num_actions": 10,
        "critic_activation": "relu",
    }
    assert flat(with_preset(QVPO, "port")) == flat(QVPO()) | expected
