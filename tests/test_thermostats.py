"""The rules by which a temperature learns, and diffusion policies that go by the entropy of their critic's softmax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import ACT, OBS, Adam, known_draws

from softq.algorithms import DQS, MaxEntDP
from softq.algorithms.common.entropy import softmax_entropies
from softq.algorithms.common.learner import Learner
from softq.algorithms.common.temperature import Temperature
from softq.exact.boltzmann import Boltzmann
from softq.experiments.exact_critic import ExactCritic
from softq.landscapes import Landscape
from softq.testing import random_batch
from softq.utils.pytree import replace

BATCH = 16
SMALL = {"hidden_sizes": (8,), "num_steps": 3, "num_samples": 16}


def start(algo):
    return algo.init(jax.random.key(0), jnp.ones(OBS), jnp.zeros(ACT))


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("rule", ["fixed", "sac", "ddsq"])
def test_three_steps_of_each_rule(rule, lower):
    """By hand; the temperature rises where the mean entropy is below the target of 2 * 0.1 nats, else it falls."""
    temperature = Temperature(0.5, rule, target_entropy=0.1, learning_rate=0.03)
    rng = np.random.default_rng(0)
    batches = (-1 if lower else 1) * (rng.gamma(3.0, size=(3, BATCH)) + 0.3)
    state, log_scale, adam = temperature.init(ACT), 0.0, Adam(0.0, 0.03)
    assert float(temperature(state)) == 0.5 and float(state.entropy) == pytest.approx(ACT * np.log(2))
    for entropies in batches:
        state = jax.jit(temperature.update, static_argnums=2)(state, jnp.float32(entropies), ACT)
        excess = entropies.mean() - ACT * 0.1
        if rule == "sac":
            log_scale = adam.step(log_scale, 0.5 * np.exp(log_scale) * excess)
        elif rule == "ddsq":
            log_scale -= 0.03 * excess / max(1.0, entropies.std())
        assert float(state.entropy) == pytest.approx(entropies.mean(), rel=1e-5)
        assert float(state.log_scale) == pytest.approx(log_scale, rel=1e-4)
        assert float(temperature(state)) == pytest.approx(0.5 * np.exp(log_scale), rel=1e-5)
    assert np.sign(log_scale) == (0 if rule == "fixed" else 1 if lower else -1)
    assert rule != "ddsq" or min(entropies.std() for entropies in batches) > 1


HILLS = Landscape("hills", 2, 1.0, bumps=((1.0, (0.5, 0.0), 0.35), (1.0, (-0.5, 0.0), 0.35)))


@pytest.mark.parametrize("target", [-1.0, 0.0])
def test_the_temperature_settles_near_the_entropy_that_was_asked_for(target):
    """On two known hills: exact entropy of the softmax at the temperature at which the loop settles.

    The bound is loose by half a nat where the softmax is sharp, so it is softer than was asked; where it is broad the
    two agree. By the likelihood of a network that has not learned, the same loop ends far off.
    """
    batch = replace(random_batch(jax.random.key(2), BATCH, OBS, ACT), obs=jnp.ones((BATCH, OBS)))

    def settle(algo):
        """Mean temperature over the last 200 steps, and its relative standard deviation."""

        def turn(state, key):
            state = replace(state, temperature=algo.temperature_step(state, batch, key, {}))
            return state, algo.current_temperature(state)

        state = replace(start(algo), critic=Learner(ExactCritic(HILLS), (), ExactCritic(HILLS)))
        _, temperatures = jax.lax.scan(turn, state, jax.random.split(jax.random.key(1), 600))
        mean = temperatures[-200:].mean()
        return mean, temperatures[-200:].std() / mean

    tuned = Temperature(0.3, "sac", target, learning_rate=0.02)
    algo = DQS(**SMALL, temperature=tuned, tune_by="softmax")
    temperature, wobble = map(float, jax.jit(settle)(algo))
    exact = Boltzmann(HILLS, temperature, ACT, panels=16).entropy
    assert wobble < 0.1 and ACT * target - 0.15 < exact < ACT * target + 0.7
    temperature, _ = map(float, jax.jit(settle)(replace(algo, tune_by="policy", num_levels=3)))
    assert abs(Boltzmann(HILLS, temperature, ACT, panels=16).entropy - ACT * target) > 0.8


@pytest.mark.parametrize("cls", [DQS, MaxEntDP])
def test_an_update_goes_by_the_softmax_of_the_new_critic(cls):
    """The entropy in the metrics is the bound on that softmax at the old temperature; one step of Adam follows it."""
    tuned = Temperature(0.2, "sac", learning_rate=0.02)
    algo = cls(**SMALL, tune_by="softmax", temperature=tuned, learning_rate=0.02)
    state, key = start(algo), jax.random.key(3)
    batch = random_batch(jax.random.key(2), BATCH, OBS, ACT)
    with known_draws():
        update = jax.jit(lambda algo, batch: algo.update(state, batch, key))
        bound = jax.jit(
            lambda critic: softmax_entropies("ais", key, critic, batch.obs, 0.2, algo.num_samples)
        )
        after, metrics = update(algo, batch)
        bounds, old = bound(after.critic.network), bound(state.critic.network)
        _, by_policy = update(replace(algo, tune_by="policy"), batch)
    entropy = float(bounds.mean())
    assert bounds.shape == (BATCH,)
    assert float(metrics["entropy"]) == pytest.approx(entropy, rel=1e-4)
    assert abs(float(old.mean()) / entropy - 1) > 1e-3, "the critic of before the update"
    by_hand = Adam(0.0, 0.02).step(0.0, 0.2 * (entropy + ACT))
    assert float(after.temperature.log_scale) == pytest.approx(by_hand, rel=1e-4)
    assert by_hand < 0  # a fresh critic is flat: too much entropy
    assert abs(float(by_policy["entropy"]) - entropy) > 0.1
