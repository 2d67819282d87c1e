"""How long a step may be: exactly on parabolas, and on landscapes without a second derivative, by exact laws."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softq import samplers
from softq.exact.laws import softmax_law, uniform_law
from softq.exact.laws.stationary import stationary_law

curvature = jax.jit(samplers.steepest_curvature, static_argnums=0)
stable_step = jax.jit(samplers.stable_step, static_argnums=0)

LINES = {  # knots and values of Q, linear in between
    "tent": ([-1.0, 0.2, 1.0], [-1.2, 0.0, -0.8]),
    "into a wall": ([-1.0, 1.0], [-1.0, 1.0]),
    "zigzag": ([-1.0, -0.6, -0.2, 0.1, 0.5, 1.0], [0.0, 0.8, 0.1, 0.6, 1.0, 0.2]),
}


def test_on_a_parabola_the_secants_are_the_hessian_and_the_step_is_its_share(key):
    """At every reach, and in several dimensions; the probes are too far from the walls to see them."""
    root = np.asarray(jax.random.normal(key, (3, 3)))
    matrix = root @ root.T + np.diag(np.float32([9.0, 0.0, 4.0]))
    q = lambda a: -a @ matrix @ a / 2
    steepest = float(np.linalg.eigvalsh(matrix.astype(float)).max())
    actions = jax.random.uniform(key, (4, 3), minval=-0.2, maxval=0.2)
    for reach in (None, 0.01, 0.1, 0.7):
        assert float(curvature(q, actions, reach)) == pytest.approx(steepest, rel=2e-4)
    step = stable_step(q, actions, 0.02, 0.25, 0.1)
    assert float(step) == pytest.approx(0.25 * 4 * 0.02 / steepest, rel=2e-4)
    assert float(stable_step(q, actions, 1e3, 0.25, 0.1)) == pytest.approx(0.1), "never longer than that"


def test_a_kink_and_a_wall_are_curvature_over_a_length(key):
    """The jump of the slope over twice the reach; the second derivative sees neither."""
    tent, rise = lambda a: -jnp.abs(a[0] - 0.2), lambda a: 3 * a[0]
    for q, at, jump in ((tent, 0.21, 2.0), (rise, 0.99, 6.0)):
        action = np.float32([[at]])
        assert float(curvature(q, action)) < 1e-3
        for reach in (0.02, 0.1, 0.3):
            found = float(curvature(q, action, reach))
            assert found == pytest.approx(jump / (2 * reach), rel=1e-4)
        assert float(curvature(q, action, 0.005)) < 1e-3, "out of reach"
        # each round takes the step to its geometric mean with the limit
        limit = (8 * 0.05 * 0.3 / jump) ** 2
        step = float(stable_step(q, action, 0.3, 0.05, 0.1))
        assert step == pytest.approx(limit * (0.1 / limit) ** (1 / 16), rel=1e-3)


def test_where_q_is_not_a_number_it_does_not_curve():
    q = lambda a: jnp.sqrt(a[0] + 0.8) - a[0] ** 2
    actions = np.float32([[-0.95], [0.1]])
    assert np.isnan(jax.jit(jax.grad(q))(actions[0])).all()
    for reach in (None, 0.01):
        found = float(curvature(q, actions, reach))
        assert found == pytest.approx(2 + 0.9**-1.5 / 4, rel=1e-3)


@cache
def line(name):
    """A line as a landscape; one function each, for which a step is compiled once."""
    knots, values = np.float32(LINES[name])
    return lambda a: jnp.interp(a[0], knots, values)


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("temperature", [0.3, 0.1, 0.03])
def test_the_stable_step_suits_lines(name, temperature):
    """The exact law that reflected Langevin chains end in, on landscapes without a second derivative.

    The step is that of probes at eight quantiles of the softmax; the longest one, which curvature would allow, ends in
    a law that may be farther from the softmax than uniform actions are.
    """
    knots, values = LINES[name]
    slopes = np.diff(values) / np.diff(knots)
    slope = lambda x: slopes[np.clip(np.searchsorted(knots, x) - 1, 0, len(slopes) - 1)]
    exact = softmax_law(lambda x: np.interp(x, knots, values), temperature, 1000)
    probes = np.interp((np.arange(8) + 0.5) / 8, exact.cdf(), exact.edges)
    step = float(stable_step(line(name), probes[:, None].astype(np.float32), temperature, 0.05, 0.1))
    ends = lambda step: stationary_law(lambda x: slope(x) / temperature, step, cells=1000)
    uniform = exact.tv(uniform_law(1000))
    assert ends(step).tv(exact) < 0.03 and uniform > 0.3
    assert ends(0.1).tv(exact) > 0.12
