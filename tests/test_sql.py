"""SQL: three updates against NumPy by hand, the soft value against its exact mean, acting, defaults and switches."""

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
    backward,
    differences,
    forward,
    known_draws,
    layers_of_actor,
    layers_of_critic,
    normals,
    polyak,
    regression,
    three_updates,
    uniforms,
    value,
)
from reference import REFERENCE
from scipy.special import logsumexp

from softq import landscapes
from softq.algorithms import SQL
from softq.algorithms.common.learner import Learner
from softq.algorithms.common.temperature import Temperature
from softq.exact.boltzmann import Boltzmann
from softq.exact.importance import Importance
from softq.testing import THRESHOLD, mean_test
from softq.testing.probe import random_batch
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import flat
from softq.utils.pytree import pytree, replace

BATCH = 16
SMALL = {
    "hidden_sizes": (8, 7),
    "learning_rate": 0.02,
    "actor_learning_rate": 0.01,
    "discount": 0.9,
    "temperature": 0.5,
    "target_cycle": 2,
    "num_particles": 5,
    "num_updated": 4,
    "num_value_samples": 6,
}
VARIANTS = {
    "default": {},
    "official": {
        "temperature": 1.0,
        "reward_scale": 5.0,
        "shared_samples": True,
        "bandwidth": "official",
        "squash": True,
    },
    "printed": {
        "target_cycle": 1,
        "polyak": 0.1,
        "bandwidth": "printed",
        "repulsion": "printed",
        "proposal": "actor",
    },
}


@cache
def fresh():
    """A state whose target and biases differ from the online network and from zero."""
    state = jax.jit(SQL(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    actor = state.actor.network
    awake = jax.tree_util.tree_map_with_path(
        lambda path, x: x + 0.5 if "bias" in str(path) else x, actor.params
    )  # else so small a network is flat for many noises, and Equation 33 divides by zero
    state = replace(state, actor=replace(state.actor, network=replace(actor, params=awake)))
    return apart(state, actor=0.1)


def learned(state):
    critics = layers_of_critic(state.critic.network), layers_of_critic(state.critic.target)
    return [*critics, layers_of_actor(state.actor.network)]


@cache
def trained(name):
    return three_updates(SQL(**SMALL | VARIANTS[name]), fresh(), BATCH, learned)


class ByHand:
    """Algorithm 1 in float64. `fault` makes one mistake on purpose."""

    def __init__(self, algo, state, fault=""):
        self.algo, self.fault, self.count = algo, fault, 0
        self.temperature = algo.temperature.value
        self.critic, self.target, self.actor = learned(state)
        self.critic_adam = Adam([self.critic], algo.learning_rate)
        self.actor_adam = Adam(self.actor, algo.actor_learning_rate)

    def learned(self):
        return [self.critic, self.target, self.actor]

    def push(self, obs, xi):
        """Actions `(n, d)` of one state, what their gradient needs, and log-densities by Equation 33."""
        x = np.concatenate([np.broadcast_to(obs, (len(xi), OBS)), xi], 1)
        outputs, saved = forward(self.actor, x)
        action, log_q = np.tanh(outputs), []
        for n in range(len(xi)):
            jacobian = np.eye(OBS + ACT)[OBS:]
            for (weights, _), (_, slope) in zip(self.actor, saved, strict=True):
                jacobian = (jacobian * slope[n]) @ weights
            jacobian = jacobian * (1 - action[n] ** 2)
            normal = -(xi[n] ** 2).sum() / 2 - ACT / 2 * np.log(2 * np.pi)
            log_q.append(normal - np.log(abs(np.linalg.det(jacobian))))
        return action, saved, np.array(log_q)

    def value(self, obs):
        a, shape = self.algo, (self.algo.num_value_samples, ACT)
        if a.proposal == "actor":
            actions, _, log_q = self.push(obs, normals(*shape))
        else:
            actions = 2 * uniforms(*shape) - 1
            log_q = 0.0 if self.fault == "volume" else -ACT * np.log(2)
        critic = self.critic if self.fault == "online" else self.target
        q = value(critic, obs, actions)
        return self.temperature * (logsumexp(q / self.temperature - log_q) - np.log(len(q)))

    def targets(self, batch):
        values = np.array([self.value(obs) for obs in batch.next_obs])
        return self.algo.reward_scale * batch.reward + self.algo.discount * batch.discount * values

    def bandwidth(self, fixed, updated):
        squared = ((fixed[:, None] - fixed[None]) ** 2).sum(-1)[np.triu_indices(len(fixed), 1)]
        if self.algo.bandwidth == "squared":
            return np.median(squared) / np.log(len(fixed) + 1)
        if self.algo.bandwidth == "printed":
            return np.median(np.sqrt(squared)) / (2 * np.log(len(fixed) + 1))
        across = np.sort(((fixed[:, None] - updated[None]) ** 2).sum(-1).ravel())
        return max(across[(len(across) - 1) // 2] / np.log(len(fixed)), 1e-3)

    def direction(self, obs, fixed, updated):
        """Equation 13 over the temperature, one pair of particles at a time."""
        a, h = self.algo, self.bandwidth(fixed, updated)
        repeated = np.broadcast_to(obs, (len(fixed), OBS))
        score = action_gradient(self.critic, repeated, fixed)[1] / self.temperature
        if a.squash:
            score = score - 2 * fixed / (1 - fixed**2 + 1e-6)
        repulsion = 1 / self.temperature if a.repulsion == "printed" or self.fault == "repulsion" else 1.0
        total = np.zeros_like(updated)
        for i, x in enumerate(fixed):
            for j, y in enumerate(updated):
                kernel = np.exp(-((x - y) ** 2).sum() / h)
                total[j] += kernel * score[i] - repulsion * kernel * 2 * (x - y) / h
        return total / len(fixed)

    def actor_step(self, observations):
        """Equation 14, and the mean of -Delta f(a) . a, which stands in the log."""
        a, sums, losses = self.algo, None, []
        steering, steered = np.split(normals(a.num_particles + a.num_updated, ACT), [a.num_particles])
        for obs in observations:
            fixed, _, _ = self.push(obs, steering)
            updated, saved, _ = self.push(obs, steered)
            uphill = self.direction(obs, fixed, updated)
            uphill = -uphill if self.fault == "sign" else uphill
            losses.append(-(uphill * updated).sum(1).mean())
            error = -uphill * (1 - updated**2) / (len(updated) * BATCH)
            gradients, _ = backward(self.actor, saved, error)
            sums = gradients if sums is None else jax.tree.map(np.add, sums, gradients)
        self.actor = self.actor_adam.step(self.actor, sums)
        return np.mean(losses)

    def update(self, batch):
        y = self.targets(batch)
        loss, gradients, q_mean = regression([self.critic], batch.obs, batch.action, y)
        (self.critic,) = self.critic_adam.step([self.critic], gradients)
        actor_loss = self.actor_step(batch.obs)
        self.count += 1
        if self.count % self.algo.target_cycle == 0 and self.fault != "frozen":
            self.target = polyak(self.critic, self.target, self.algo.polyak)
        return {
            "critic_loss": loss,
            "q_mean": q_mean,
            "target_mean": y.mean(),
            "actor_loss": actor_loss,
            "temperature": self.temperature,
        }


def distance(name, fault=""):
    by_hand = ByHand(SQL(**SMALL | VARIANTS[name]), fresh(), fault)
    return differences(trained(name), by_hand, BATCH, floor=0)


@pytest.mark.parametrize("name", VARIANTS)
def test_updates_equal_those_by_hand(name):
    """By hand the targets and Stein's directions are numbers, so no gradient flows through them either."""
    metrics, parameters = distance(name)
    assert metrics < 2e-4
    assert parameters < 2e-5


@pytest.mark.parametrize("fault", ["volume", "online", "frozen", "sign", "repulsion"])
def test_a_mistake_in_the_update_shows(fault):
    """No log 2^d, values of the online critic, no copy, Equation 14 as printed, Equation 13 without its temperature."""
    metrics, parameters = distance("default", fault)
    assert parameters > 10 * 2e-5
    assert fault in ("sign", "repulsion") or metrics > 1e-2


# The soft value (Equation 10)


@pytree
class Fixed:
    """A critic that is a landscape, whatever the state."""

    landscape: landscapes.Landscape
    action_dim: int

    def at(self, obs):
        return self.landscape


@pytest.mark.parametrize("name", ["spike1", "quad1"])
def test_soft_value_has_its_exact_bias(name, key):
    """50 uniform actions, temperature 0.1: on average the exact soft value plus the reference's bias, and not less."""
    landscape = landscapes.get(name)
    law = Boltzmann(landscape, 0.1, landscape.dim)
    algo, critic = SQL(temperature=0.1), Fixed(landscape, landscape.dim)
    state = replace(fresh(), critic=Learner(critic, (), critic))
    value = jax.jit(jax.vmap(lambda k: algo.next_value(state, jnp.zeros(OBS), k)[0]))
    values = np.asarray(value(jax.random.split(key, 100_000)), float)
    exact = 0.1 * law.log_partition
    bias = 0.1 * Importance.of(law).log_mean_bias(50)
    reference = REFERENCE[f"entropy_est.{name}.lam0.1"]["value"]["by_m"]["50"]["sql_value_bias"]
    assert bias == pytest.approx(reference, rel=1e-6)
    assert mean_test(values, exact + bias) > THRESHOLD
    assert mean_test(values, exact) < THRESHOLD, "unbiased"
    assert mean_test(values, exact + 1.3 * bias) < THRESHOLD, "a larger bias"


@pytest.mark.parametrize("shared", [True, False])
def test_shared_samples_give_equal_states_equal_values(shared, key):
    algo, batch = SQL(**SMALL | {"shared_samples": shared}), random_batch(key, BATCH, OBS, ACT)
    state, batch = fresh(), replace(batch, next_obs=jnp.ones((BATCH, OBS)), discount=jnp.ones(BATCH))
    targets, _ = jax.jit(lambda key: algo.targets(state, batch, key))(key)
    values = np.asarray(targets, float) - np.asarray(batch.reward, float)
    gaps = np.abs(values[:, None] - values)[np.triu_indices(BATCH, 1)]
    assert gaps.max() < 1e-5 if shared else np.median(gaps) > 1e-2


# Acting


def test_who_acts_when(key):
    """Draws of the network, in evaluation too; exploration adds normal noise and clips to the box."""
    algo, state = SQL(**SMALL), fresh()
    several = jax.random.normal(key, (100, OBS))
    one_each = jax.jit(jax.vmap(lambda obs: state.actor.network.sample(obs, key)))(several)
    # the walls are far from its draws
    obs = np.asarray(several)[np.argmin(np.abs(one_each).max(1))]
    drawn, same, exploited = jax.jit(
        lambda obs: (
            algo.policy(state, obs, key),
            state.actor.network.sample(obs, key),
            algo.exploit(state, obs, key),
        )
    )(obs)
    np.testing.assert_array_equal(drawn, same)
    np.testing.assert_array_equal(drawn, exploited)
    with known_draws():
        explore = jax.jit(lambda algo: jax.vmap(lambda obs: algo.explore(state, obs, key))(several))
        draws = np.asarray(jax.jit(jax.vmap(lambda obs: algo.policy(state, obs, key)))(several), float)
        for size in (0.0, 0.1, 5.0):
            by_hand = np.clip(draws + size * normals(ACT), -1, 1)
            noisy = explore(replace(algo, exploration_noise=size))
            np.testing.assert_allclose(noisy, by_hand, rtol=1e-5, atol=1e-6)


def test_fresh_targets_equal_the_online_network_without_sharing_it():
    state = SQL(**SMALL).init(jax.random.key(0), jnp.zeros(OBS), jnp.zeros(ACT))
    for x, y in zip(*map(jax.tree.leaves, (state.critic.network, state.critic.target)), strict=True):
        np.testing.assert_array_equal(x, y)
        assert x.unsafe_buffer_pointer() != y.unsafe_buffer_pointer()


def test_defaults_are_those_of_the_paper():
    """Appendix D.1, where it is right: a bandwidth that is a squared distance, a repulsion with its temperature.

    The temperature does not learn; what its rules would go by is softq's.
    """
    expected = {
        "temperature": 0.1,
        "temperature_rule": "fixed",
        "target_entropy": -1.0,
        "temperature_learning_rate": 3e-4,
        "temperature_every": 1,
        "reward_scale": 1.0,
        "discount": 0.99,
        "learning_rate": 1e-3,
        "actor_learning_rate": 1e-4,
        "polyak": 1.0,
        "exploration_noise": 0.57,
        "target_cycle": 1000,
        "num_particles": 32,
        "num_updated": 32,
        "num_value_samples": 50,
        "proposal": "uniform",
        "shared_samples": False,
        "bandwidth": "squared",
        "repulsion": "temperature",
        "squash": False,
        "hidden_sizes": (200, 200),
        "activation": "relu",
    }
    assert flat(SQL()) == expected
    assert expected["exploration_noise"] == pytest.approx(0.3 / np.sqrt(2 * 0.15 - 0.15**2), abs=5e-3)


def test_its_temperature_does_not_learn():
    with pytest.raises(SoftqError, match=r"SQL estimates no entropy .* leave the rule at 'fixed'"):
        SQL(temperature=Temperature(0.1, "sac"))
