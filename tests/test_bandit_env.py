"""The bandit as an environment: the landscape's value, one step, no more."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softq import landscapes
from softq.envs import Bandit, is_jax, make


@pytest.mark.parametrize("name", ["bandit", "twomode2", "skew1"])
def test_the_reward_is_the_landscape(name, key):
    env, q = Bandit(name), landscapes.get(name)
    start, obs = env.reset(key)
    assert obs.shape == (env.obs_dim,) and env.action_dim == q.dim
    for k in jax.random.split(key, 5):
        action = jax.random.uniform(k, (q.dim,), minval=-1.0)
        state, after, reward, terminated, truncated = env.step(start, action)
        assert float(reward) == pytest.approx(float(q(action)))
        assert bool(terminated) and not bool(truncated)
        np.testing.assert_array_equal(after, obs)
        np.testing.assert_array_equal(state, action)


def test_actions_outside_the_box_are_clipped():
    env = Bandit()
    outside, inside = (env.step(jnp.zeros(2), jnp.array(a))[2] for a in ([3.0, -0.2], [1.0, -0.2]))
    assert float(outside) == float(inside)


def test_it_is_made_by_name():
    assert is_jax("bandit") and isinstance(make("Bandit"), Bandit)
