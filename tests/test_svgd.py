"""SVGD at rest: closed forms for two particles, Stein's identity for many, and the misprints that move them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import REFERENCE

from softq import landscapes
from softq.samplers import median_bandwidth, svgd, svgd_direction
from softq.samplers.bandwidth import order_statistic
from softq.utils.errors import SoftqError

PAIR = REFERENCE["sql.svgd_two_particles"]

compiled = jax.jit(svgd, static_argnums=0, static_argnames=("bandwidth", "boundary"))


@partial(jax.jit, static_argnames=("num", "bandwidth"))
def pair_at_rest(alpha, pair, step, num, bandwidth, repulsion=1.0):
    """Two particles after `num` steps on Q = -a^2 / 2 at temperature alpha."""
    return svgd(lambda a: -a / alpha, pair, jnp.full(num, step), bandwidth, repulsion)


def at_rest(alpha: float, **switches) -> float:
    """Where two particles on Q = -a^2 / 2 at temperature alpha come to rest, in double precision."""
    with jax.enable_x64(True):
        pair = np.array([[-0.5], [0.4]])
        ends = np.asarray(pair_at_rest(alpha, pair, min(alpha, 2.0) / 4, 4000, **switches))
    assert ends.sum() == pytest.approx(0, abs=1e-9)
    return abs(ends[0, 0])


@pytest.mark.parametrize("alpha", PAIR["value"])
def test_two_particles(alpha):
    """As SQL's Equation 13 has it, without C.1's temperature, and with D.1's bandwidth; each is its own number."""
    expected, t = PAIR["value"][alpha], float(alpha)
    assert at_rest(t, bandwidth=1.0) == pytest.approx(expected["eq13_h1"], abs=PAIR["tol"])
    missing = at_rest(t, bandwidth=1.0, repulsion=1 / t)
    assert missing == pytest.approx(expected["c1_missing_alpha_h1"], abs=PAIR["tol"])
    assert at_rest(t, bandwidth="printed") == pytest.approx(expected["eq13_printed_bandwidth"], abs=1e-9)


def test_squared_bandwidth_in_closed_form():
    """Attraction and repulsion balance at x^2 = (h / 4) log(1 + 4 alpha / h), here with h = (2x)^2 / log 3."""
    x = at_rest(0.1, bandwidth="squared")
    h = (2 * x) ** 2 / np.log(3)
    assert x**2 == pytest.approx(h / 4 * np.log(1 + 0.4 / h), abs=1e-10)


def test_units():
    """Measuring actions in halves halves the resting place under the squared rule, and not under the printed one."""

    def scaled(c, rule):
        with jax.enable_x64(True):
            pair = np.array([[-0.5], [0.4]]) * c
            # the same target in the other unit
            return abs(float(pair_at_rest(0.1 * c**2, pair, 0.02 * c**2, 6000, rule)[0, 0]))

    assert scaled(0.5, "squared") == pytest.approx(0.5 * scaled(1.0, "squared"), rel=1e-9)
    assert abs(scaled(0.5, "printed") / scaled(1.0, "printed") - 0.5) > 0.02


def test_one_particle_finds_a_maximum():
    score = jax.grad(landscapes.get("twomode1"))
    end = compiled(score, np.array([[0.3]]), np.full(400, 0.02))
    assert end.item() == pytest.approx(0.6, abs=1e-3)


@pytest.mark.parametrize(("count", "moment"), [(2, 0.402), (3, 0.576), (5, 0.748), (10, 0.884)])
def test_few_particles_are_too_close(count, moment):
    """Second moments at rest for N(0, 1) with h = 1, without walls, far below 1: M particles are no sampler."""
    start = np.linspace(-0.9, 0.9, count)[:, None]
    ends = compiled(lambda a: -a, start, np.full(3000, 0.3), bandwidth=1.0, boundary=lambda a: a)
    assert np.mean(np.square(ends)) == pytest.approx(moment, abs=6e-4)


def test_many_particles_cover_a_softmax_away_from_the_walls():
    """A bell inside the box: its variance, lambda / 2 for -a^2, is approached as particles are added."""
    moments = []
    for count in (2, 10, 100):
        start = np.linspace(-0.9, 0.9, count)[:, None]
        ends = compiled(lambda a: -2 * a / 0.08, start, np.full(3000, 0.01), bandwidth=0.04)
        moments.append(np.mean(np.square(ends)))
    assert moments[0] < moments[1] < moments[2] == pytest.approx(0.04, rel=0.02)


def test_a_wall_is_not_seen():
    """Q = 0: the softmax is uniform on the box, and nothing in the update knows where the box ends."""
    start = np.linspace(-0.5, 0.5, 40)[:, None]
    ends = compiled(lambda a: 0 * a, start, np.full(4000, 0.05), bandwidth=0.1)
    assert abs(np.mean(np.square(ends)) - 1 / 3) > 0.05


def wavy(a):
    return jnp.sin(3 * a) - a


@jax.jit
def pull(b, a, width):
    """What the particle at `b` adds to the sum for the one at `a`; the score is `wavy`."""
    kernel = lambda b: jnp.exp(-jnp.sum((b - a) ** 2) / width)
    return kernel(b) * wavy(b) + jax.grad(kernel)(b)


@settings(max_examples=8, deadline=None)
@given(st.integers(2, 6), st.integers(1, 3), st.floats(0.05, 5.0), st.integers(0, 1000))
def test_direction_is_the_double_sum(count, dim, width, seed):
    """Against a loop over pairs with the kernel's gradient by automatic differentiation."""
    particles = np.random.default_rng(seed).uniform(-1, 1, (count, dim)).astype(np.float32)
    expected = [sum(np.asarray(pull(b, a, width)) for b in particles) / count for a in particles]
    given = jax.jit(partial(svgd_direction, wavy))(particles, width)
    np.testing.assert_allclose(given, expected, atol=2e-4)


def test_trajectory_compiles_and_batches():
    start = jax.random.uniform(jax.random.key(0), (3, 5, 2), minval=-1.0)
    run = lambda a: svgd(lambda x: -4 * x, a, jnp.full(7, 0.1), trajectory=True)
    paths = jax.jit(jax.vmap(run))(start)
    assert paths.shape == (3, 8, 5, 2) and np.all(np.abs(paths) <= 1)
    np.testing.assert_allclose(paths[1], run(start[1]), atol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: svgd(jnp.sin, jnp.zeros((0, 1)), jnp.ones(1)), "M >= 1"),
        (lambda: svgd(jnp.sin, jnp.zeros(3), jnp.ones(1)), r"shape \(M, d\)"),
        (lambda: svgd(jnp.sin, jnp.full((2, 1), 1.5), jnp.ones(1)), "particles must lie in the box"),
        (lambda: svgd(jnp.sin, jnp.zeros((2, 1)), jnp.zeros(1)), "step_sizes must be positive"),
        (lambda: svgd(jnp.sin, jnp.zeros((2, 1)), jnp.ones(1), bandwidth=0.0), "bandwidth must be positive"),
        (
            lambda: svgd(jnp.sin, jnp.zeros((2, 1)), jnp.ones(1), bandwidth="median"),
            "number or a rule, got 'median'",
        ),
        (lambda: median_bandwidth(jnp.zeros((2, 1)), "offical"), "Did you mean 'official'"),
        (lambda: median_bandwidth(jnp.zeros((1, 2))), "at least 2 particles"),
    ],
)
def test_bad_input_is_one_clear_line(call, words):
    with pytest.raises(SoftqError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_statistics_are_those_of_a_sort(dtype):
    """Ties, zeros, the smallest and the largest numbers included; each rank is exact."""
    drawn = np.random.default_rng(1).exponential(size=40)
    info = np.finfo(dtype)
    values = np.concatenate([drawn, drawn[:9], [0, 0, info.tiny, info.max, np.inf]]).astype(dtype)
    with jax.enable_x64(dtype == np.float64):
        ranks = jax.jit(jax.vmap(order_statistic, (None, 0)))
        got = ranks(values, np.arange(values.size))
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, np.sort(values))


@pytest.mark.parametrize("rule", ["squared", "printed", "official"])
def test_a_width_of_whole_numbers_is_that_of_the_same_floats(rule):
    whole = np.array([[0, 1], [2, 0], [3, 3], [-1, 4]])
    width = jax.jit(partial(median_bandwidth, rule=rule))
    assert float(width(whole)) == float(width(whole.astype(np.float32)))
