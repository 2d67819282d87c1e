"""MFP: three updates against NumPy by hand; the mean flow identity for a normal law, exactly; draws and settings."""

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
    gelu,
    known_draws,
    normals,
    polyak,
    regression,
    smaller,
    three_updates,
    twins_of,
    uniforms,
)

from softq.algorithms import MFP
from softq.algorithms.mfp import mean_flow
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import flat

BATCH, NUM = 8, 5
SMALL = {
    "hidden_sizes": (6, 5),
    "learning_rate": 0.01,
    "actor_learning_rate": 0.02,
    "polyak": 0.1,
    "discount": 0.9,
    "num_draws": NUM,
    "constraint": 0.7,
}


@cache
def fresh():
    """A state whose targets and biases differ from the online networks and from zero."""
    state = jax.jit(MFP(**SMALL).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    return apart(state, actor=0.1)


def learned(state):
    critics = twins_of(state.critic.network), twins_of(state.critic.target)
    return [*critics, float64(dict(state.actor.network.params))]


@cache
def trained():
    return three_updates(MFP(**SMALL), fresh(), BATCH, learned)


class ByHand:
    """The updates in float64; the derivative along the flow by central differences. `fault` is a mistake on purpose."""

    def __init__(self, fault=""):
        self.algo, self.fault = MFP(**SMALL), fault
        self.critic, self.target, _ = learned(fresh())
        self.flow = ScoreByHand(fresh().actor.network)
        self.critic_adam = Adam(self.critic, self.algo.learning_rate)
        self.actor_adam = Adam(self.flow.params, self.algo.actor_learning_rate)

    def learned(self):
        return [self.critic, self.target, self.flow.params]

    def looser(self):
        return [*jax.tree.map(np.ones_like, (self.critic, self.target)), self.actor_adam.looser]

    def u(self, obs, a, t, r):
        return self.flow.outputs(obs, a, np.full((len(a), 2), [t, r]))

    def best(self, obs):
        """The best of the draws by the online critics, `(B, d)`."""
        start = normals(NUM, ACT)
        draws = []
        for a in start:
            a = np.tile(a, (len(obs), 1))
            times = (0, 0) if self.fault == "instant draw" else (0, 1)
            draws.append(np.clip(a + self.u(obs, a, *times), -1, 1))
        values = np.stack([smaller(self.critic, obs, a, gelu) for a in draws])
        chosen = np.zeros(len(obs), int) if self.fault == "any draw" else values.argmax(0)
        return np.stack(draws)[chosen, np.arange(len(obs))]

    def update(self, batch):
        algo = self.algo
        twins = self.critic if self.fault == "online" else self.target
        value = smaller(twins, batch.next_obs, self.best(batch.next_obs), gelu)
        y = algo.reward_scale * batch.reward + algo.discount * batch.discount * value
        loss, gradients, q_mean = regression(self.critic, batch.obs, batch.action, y, gelu)
        self.critic = self.critic_adam.step(self.critic, gradients)
        actor_loss = self.actor_step(batch)
        self.target = polyak(self.critic, self.target, algo.polyak)
        return {"critic_loss": loss, "q_mean": q_mean, "target_mean": y.mean(), "actor_loss": actor_loss}

    def actor_step(self, batch):
        obs, end = batch.obs, batch.action if self.fault == "replayed" else self.best(batch.obs)
        start, (t, r) = normals(ACT), np.sort(uniforms(2))
        a, v = (1 - t) * start + t * end, end - start
        h, sign = 1e-4, -1 if self.fault == "sign" else 1
        moved = 0 * v if self.fault == "partial derivative" else v
        ahead, behind = self.u(obs, a + h * moved, t + h, r), self.u(obs, a - h * moved, t - h, r)
        target = v - sign * (t - r) * (ahead - behind) / (2 * h)
        error = self.u(obs, a, t, r) - target
        gradients = self.flow.gradients(2 * error / BATCH)
        off = self.u(obs, a, t, t) - v
        weight = 0.0 if self.fault == "no constraint" else self.algo.constraint
        more = self.flow.gradients(2 * weight * off / BATCH)
        self.flow.params = self.actor_adam.step(
            self.flow.params, jax.tree.map(lambda x, y: x + y, gradients, more)
        )
        return np.mean(np.sum(error**2, 1) + weight * np.sum(off**2, 1))


def test_updates_equal_those_by_hand():
    """By hand the targets are numbers, so this also shows that no gradient flows through them.

    The loss is 178 in the last update, so that differences are relative.
    """
    metrics, parameters = differences(trained(), ByHand(), BATCH, floor=1.0)
    assert metrics < 1e-4
    assert parameters < 1e-4


@pytest.mark.parametrize(
    "fault",
    [
        "online",
        "any draw",
        "instant draw",
        "replayed",
        "sign",
        "partial derivative",
        "no constraint",
    ],
)
def test_a_mistake_in_the_update_shows(fault):
    metrics, parameters = differences(trained(), ByHand(fault), BATCH, floor=1.0)
    assert metrics > 1e-3
    assert parameters > 1e-3


# The mean flow identity

MEAN, STD = np.array([0.4, -0.2]), 0.3


def normal_flow():
    """The flow from N(0, I) to N(MEAN, STD^2 I) by straight paths: its velocity, and the mean velocity, exactly.

    At time t the law is N(t MEAN, w_t^2 I) with w_t^2 = (1 - t)^2 + t^2 STD^2, and the flow keeps quantiles.
    """
    width = lambda t: jnp.sqrt((1 - t) ** 2 + (t * STD) ** 2)
    velocity = lambda a, t: MEAN + jax.grad(width)(t) / width(t) * (a - t * MEAN)
    u = lambda a, t, r: (r * MEAN + width(r) / width(t) * (a - t * MEAN) - a) / (r - t)
    return velocity, u


@pytest.mark.parametrize(("t", "r"), [(0.0, 1.0), (0.2, 0.9), (0.5, 0.6)])
def test_the_identity_holds_for_the_exact_mean_velocity(t, r):
    with jax.enable_x64(True):
        velocity, u = normal_flow()
        a, t, r = jnp.array([0.7, -1.1]), jnp.asarray(t), jnp.asarray(r)
        now, target = jax.jit(lambda a: mean_flow(u, a, t, r, velocity(a, t)))(a)
        np.testing.assert_allclose(now, target, atol=1e-12)
        other, wrong = jax.jit(lambda a: mean_flow(lambda a, t, r: -u(a, r, t), a, t, r, velocity(a, t)))(a)
        assert np.abs(other - wrong).max() > 0.1, "the flow run backwards"
        _, shifted = jax.jit(lambda a: mean_flow(u, a, t, r, velocity(a, t) + 0.1))(a)
        assert np.abs(np.asarray(shifted) - target).min() > 1e-3


def test_the_target_is_linear_in_the_velocity_and_has_no_gradient():
    """The mean over paths through one point is the target of their mean velocity."""
    with jax.enable_x64(True):
        _, u = normal_flow()
        a, t, r, v = jnp.array([0.7, -1.1]), jnp.asarray(0.3), jnp.asarray(0.8), jnp.array([1.0, 2.0])
        target = jax.jit(lambda v: mean_flow(u, a, t, r, v)[1])
        np.testing.assert_allclose((target(3 * v) + target(-v)) / 2, target(v), atol=1e-12)
        through = lambda scale: mean_flow(lambda *x: scale * u(*x), a, t, r, v)
        by_now, by_target = jax.jit(jax.jacobian(through))(1.0)
        assert np.abs(by_now).min() > 0.1 and not np.asarray(by_target).any()


def test_one_step_of_the_exact_flow_has_the_law_of_its_end():
    """a_0 + u(a_0, 0, 1) is MEAN + STD a_0: the whole way in one step."""
    with jax.enable_x64(True):
        start = jnp.asarray(np.random.default_rng(0).normal(size=(9, 2)))
        end = start + jax.vmap(lambda a: normal_flow()[1](a, 0.0, 1.0))(start)
        np.testing.assert_allclose(end, MEAN + STD * np.asarray(start), atol=1e-12)


# Acting and settings


def test_the_action_is_the_best_draw(key):
    algo, obs = MFP(**SMALL), np.array([0.3, -0.5, 1.0])
    with known_draws():
        action = jax.jit(lambda obs: algo.policy(fresh(), obs, key))(jnp.float32(obs))
    np.testing.assert_allclose(action, ByHand().best(obs[None])[0], atol=1e-5)
    with pytest.raises(SoftqError, match="has no temperature"):
        algo.policy(fresh(), jnp.float32(obs), key, 0.3)


def test_defaults_are_those_of_the_table():
    """Typed from NC-LQL's Table 5; lambda from the paper's abstract page."""
    expected = {
        "discount": 0.99,
        "learning_rate": 1e-4,
        "actor_learning_rate": 1e-4,
        "polyak": 0.005,
        "reward_scale": 0.2,
        "num_draws": 32,
        "constraint": 1.0,
        "hidden_sizes": (256, 256, 256),
        "activation": "gelu",
    }
    assert flat(MFP()) == expected
