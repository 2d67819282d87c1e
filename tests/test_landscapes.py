"""Landscapes: values by hand, maxima on the box, names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact import numpy_of
from reference import REFERENCE

from softq import landscapes
from softq.utils.errors import SoftqError

value_at = jax.jit(lambda landscape, action: landscape(action))
values_at = jax.jit(lambda landscape, actions: jax.vmap(landscape)(actions))
slopes_at = jax.jit(lambda landscape, actions: jax.vmap(jax.grad(landscape))(actions))

BY_HAND = {
    ("quad1", (0.5,)): -0.25,
    ("quart1", (0.5,)): -0.0625,
    ("abs1", (-0.5,)): -0.5,
    ("spike1", (0.7,)): 1 + 0.8 * np.exp(-(1.0**2) / (2 * 0.4**2)),
    ("spike1", (-0.3,)): 0.8,
    ("twomode1", (0.75,)): np.exp(-0.5),
    ("skew1", (1.0,)): 0.6,
    ("quad2", (0.5, -1.0)): -1.25,
    ("abs2", (0.5, -1.0)): -1.5,
    ("twomode2", (0.5, 0.5)): 1.0,
    ("twomode2", (-0.5, -0.3)): 0.9 * np.exp(-(0.2**2) / (2 * 0.2**2)),
    ("lemniscate", (0.0, 0.0)): 0.0,
    ("lemniscate", (0.9, 0.0)): 0.0,  # the tip of the eight
}


@pytest.mark.parametrize(("name", "action"), BY_HAND)
def test_values_by_hand(name, action):
    value = value_at(landscapes.get(name), np.array(action))
    assert value.shape == ()
    assert value.dtype == jnp.float32
    assert float(value) == pytest.approx(BY_HAND[name, action], abs=3e-6)


@pytest.mark.parametrize("name", landscapes.names())
def test_maximum_is_the_largest_value_on_the_box(name):
    landscape = landscapes.get(name)
    line = np.linspace(-1, 1, 20_001 if landscape.dim == 1 else 401, dtype=np.float32)
    grid = np.stack(np.meshgrid(*[line] * landscape.dim), -1).reshape(-1, landscape.dim)
    best = grid[np.asarray(values_at(landscape, grid)).argmax()]
    nearby = best + np.random.default_rng(0).uniform(-1, 1, (20_000, landscape.dim)) * (line[1] - line[0])
    nearby = np.concatenate([best[None], np.clip(nearby, -1, 1)]).astype(np.float32)
    top = np.asarray(values_at(landscape, nearby)).max()
    assert top == pytest.approx(landscape.maximum, abs=2e-6)


@pytest.mark.parametrize("name", [n for n in landscapes.names() if landscapes.get(n).dim == 1])
def test_slope_by_autodiff_is_the_slope_by_hand(name):
    landscape = landscapes.get(name)
    x = np.linspace(-0.99, 0.99, 200)
    gradient = np.asarray(slopes_at(landscape, x[:, None]))
    np.testing.assert_allclose(gradient[:, 0], numpy_of(landscape)[1](x), rtol=1e-4, atol=2e-4)


def test_bandit_is_that_of_the_paper_at_half_the_lengths():
    constants = REFERENCE["bandit8.constants"]["value"]
    bandit = landscapes.get("bandit")
    actions = [[constants["xmax"] / 2, 0.0], [0.5, 0.5], [0.7, 0.0], [0.0, 0.7], [-0.7, 0.0], [0.0, -0.7]]
    high, low, *turned = np.asarray(values_at(bandit, np.array(actions)))
    assert high == pytest.approx(1.0, abs=1e-6)
    assert low == pytest.approx(constants["low_mode_value"], abs=1e-3)
    np.testing.assert_allclose(turned, turned[0], atol=1e-6)


def test_skew1_leans_on_the_wall():
    """What the boundary tests need: the best action is a wall, and there is a second hill inside."""
    skew = landscapes.get("skew1")
    x = np.linspace(-1, 1, 2001)[:, None]
    values, slopes = np.asarray(values_at(skew, x)), np.asarray(slopes_at(skew, x))
    assert values.argmax() == 2000
    assert slopes[2000, 0] > 0.5
    assert values[650:].min() < values[:650].max()


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(SoftqError, match=r"unknown landscape 'quad3'.*Did you mean 'quad"):
        landscapes.get("quad3")


def test_a_batch_is_refused_with_the_remedy():
    with pytest.raises(SoftqError, match=r"jax\.vmap"):
        landscapes.get("quad1")(jnp.zeros((3, 1)))
