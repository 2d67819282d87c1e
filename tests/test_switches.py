"""What the algorithms' switches compute, against closed forms and NumPy by hand; what no switch may say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softq.algorithms import DQS
from softq.pytree import pytree

pytestmark = pytest.mark.usefixtures("quick_compilation")


# DQS: log pi of what tanh made of a sample

VARIANCE, SIGMA_MAX = 0.25, 100.0  # noise so wide that the stated bias of the part beyond it is 1e-9


@pytree
class Normal(DQS):
    """The exact score of N(0, 0.25) in x, in place of the network's."""

    def score(self, state, obs, temperature):
        return lambda x, tau: -x / (VARIANCE + self.schedule().noise(tau) ** 2)

    def unbounded(self, state, obs, key, temperature):
        return obs  # a known sample

    def temperature_now(self, state):
        return 1.0


def normal(space):
    return Normal(space=space, sigma_min=1e-3, sigma_max=SIGMA_MAX, num_levels=80, num_noises=400)


def exact(x):
    """log pi at tanh(x), in float64."""
    x = np.asarray(x, float)
    log_slope = 2 * (np.log(2) - np.abs(x) - np.log1p(np.exp(-2 * np.abs(x))))
    return np.sum(-0.5 * np.log(2 * np.pi * VARIANCE) - x**2 / (2 * VARIANCE) - log_slope)


@pytest.mark.parametrize("space", ["tanh", "printed"])
@pytest.mark.parametrize("x", [(0.2, -0.7), (2.0, 0.0), (-4.5, 3.9)])  # the last within 1e-3 of the walls
def test_log_pi_of_a_squashed_normal(space, x, key):
    algo, action = normal(space), jnp.tanh(jnp.array(x))
    got = jax.jit(algo.log_prob)(None, None, action, key, 1.0)
    assert float(got) == pytest.approx(exact(x), abs=0.06 + 2e-3 * np.sum(np.square(x)))


@pytest.mark.parametrize("space", ["tanh", "printed"])
def test_the_entropy_knows_what_was_squashed(space, key):
    """tanh(9.5) is 1 in float32; the sample before it still tells how far out it was."""
    algo, x = normal(space), jnp.array([[9.5], [-0.4]])
    assert float(jnp.tanh(x)[0, 0]) == 1.0
    got = jax.jit(algo.entropy)(None, x, key)
    expected = -np.mean([exact(row) for row in np.asarray(x)])
    assert float(got) == pytest.approx(expected, abs=0.3)
    assert expected > 80
