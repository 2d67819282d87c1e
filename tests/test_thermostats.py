"""Diffusion policies whose temperature is tuned by the entropy of their critic's softmax, against quadrature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softq.algorithms import DQS, MaxEntDP
from softq.algorithms.common.temperature import sac_step, softmax_entropies
from softq.exact.boltzmann import Boltzmann
from softq.experiments.exact_critic import ExactCritic
from softq.landscapes import Landscape
from softq.testing import random_batch
from softq.utils.pytree import replace

OBS, ACT, BATCH = 3, 2, 16
SMALL = {"hidden_sizes": (8,), "num_steps": 3, "num_samples": 16, "learning_rate": 0.02, "tune": True}


def start(algo):
    return algo.init(jax.random.key(0), jnp.ones(OBS), jnp.zeros(ACT))


HILLS = Landscape("hills", 2, 1.0, bumps=((1.0, (0.5, 0.0), 0.35), (1.0, (-0.5, 0.0), 0.35)))


@pytest.mark.parametrize("target", [-1.0, 0.0])
def test_the_temperature_settles_near_the_entropy_that_was_asked_for(target):
    """On two known hills: exact entropy of the softmax at the temperature at which the loop settles.

    The bound is loose by half a nat where the softmax is sharp, so it is softer than was asked; where it is broad the
    two agree. By the likelihood of a network that has not learned, the same loop ends far off.
    """
    obs = jnp.ones((BATCH, OBS))

    def settle(algo):
        """Mean temperature over the last 200 steps, and its relative standard deviation."""

        def turn(state, key):
            state = algo.adjust(state, algo.entropy(state, obs, key))
            return state, algo.in_force(state)

        state = replace(start(algo), critic=ExactCritic(HILLS))
        _, temperatures = jax.lax.scan(turn, state, jax.random.split(jax.random.key(1), 600))
        mean = temperatures[-200:].mean()
        return mean, temperatures[-200:].std() / mean

    algo = DQS(**SMALL, temperature=0.3, target_entropy=target, tune_by="softmax")
    temperature, wobble = map(float, jax.jit(settle)(algo))
    exact = Boltzmann(HILLS, temperature, ACT, panels=16).entropy
    assert wobble < 0.1 and ACT * target - 0.15 < exact < ACT * target + 0.7
    temperature, _ = map(float, jax.jit(settle)(replace(algo, tune_by="policy", num_levels=3)))
    assert abs(Boltzmann(HILLS, temperature, ACT, panels=16).entropy - ACT * target) > 0.8


@pytest.mark.parametrize("cls", [DQS, MaxEntDP])
def test_an_update_goes_by_the_softmax_of_the_new_critic(cls):
    """The entropy in the metrics is the bound on that softmax at the old temperature; one step of Adam follows it."""
    algo = cls(**SMALL, tune_by="softmax", temperature=0.2)
    state, key = start(algo), jax.random.key(3)
    batch = random_batch(jax.random.key(2), BATCH, OBS, ACT)
    after, metrics = jax.jit(algo.update)(state, batch, key)
    for_entropy = jax.random.split(key, 3)[2] if cls is DQS else jax.random.fold_in(key, 2)
    bounds = jax.jit(softmax_entropies, static_argnums=(0, 5))(
        "ais", for_entropy, after.critic, batch.obs, 0.2, 16
    )
    assert bounds.shape == (BATCH,)
    assert float(metrics["entropy"]) == pytest.approx(float(bounds.mean()), rel=1e-4)
    adam = algo.adam() if cls is DQS else algo.critic_adam()
    by_hand = sac_step(state, adam, 0.2, bounds.mean(), -ACT)
    np.testing.assert_allclose(after.log_scale, by_hand.log_scale, rtol=1e-4)
    assert float(after.log_scale) < 0  # a fresh critic is flat: too much entropy
    _, metrics = jax.jit(replace(algo, tune_by="policy").update)(state, batch, key)
    assert abs(float(metrics["entropy"]) - float(bounds.mean())) > 0.1
