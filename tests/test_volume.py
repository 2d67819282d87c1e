"""Volumes of sets of nearly optimal actions, against reference numbers, closed forms and each other."""

from functools import cache
from itertools import pairwise
from math import comb, factorial
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from exact import LINE
from jax.tree_util import Partial
from reference import REFERENCE
from scipy import integrate

from softq import landscapes
from softq.exact.boltzmann import nodes_and_weights
from softq.exact.values import evaluate
from softq.exact.volume import (
    LineVolume,
    MaxNormVolume,
    MonteCarloVolume,
    PolarVolume,
    PowerVolume,
    TwoLevel,
    quadrature,
    volume_of,
)
from softq.utils.errors import SoftqError

NAMES = ["quad1", "abs1", "quart1", "spike1", "quad2", "abs2", "twomode2", "bandit8"]


@cache
def named(name):
    """The volume function of a named landscape, which several tests look at."""
    return volume_of(landscapes.get(name))


@pytest.mark.parametrize("name", NAMES)
def test_reference(name):
    """The reference bandit lives on [-2, 2]^2, ours on the unit box: a quarter of the volume."""
    reference, scale = REFERENCE[f"vol.{name}"], 4 if name == "bandit8" else 1
    volume = named("bandit" if name == "bandit8" else name)
    eps = np.array([float(text) for text in reference["value"]])
    expected = np.array(list(reference["value"].values())) / scale
    tol = np.maximum(reference["tol"] / scale, 5e-12 * expected)  # the numbers are printed to 12 digits
    assert np.all(np.abs(volume(eps) - expected) <= tol)
    assert np.all(np.abs(volume(1.001 * eps) - expected) > 100 * tol)  # these tolerances would notice
    assert np.all(volume.error(eps) < 3e-10)  # three times the change by halving the rays


@pytest.mark.parametrize("name", landscapes.names())
def test_every_volume_function_is_a_distribution_function(name):
    volume = named(name)
    eps = np.geomspace(1e-6, 1, 40) * volume.breaks[-1]
    values = volume(eps)
    assert np.all(np.diff(values) >= -1e-9) and values[0] > 0
    assert volume(np.inf) == volume(volume.breaks[-1] * (1 + 1e-12)) == pytest.approx(volume.area, rel=1e-9)
    assert volume(eps.reshape(4, 10)).shape == volume.error(eps.reshape(4, 10)).shape == (4, 10)
    assert np.ndim(volume(0.1)) == 0


@pytest.mark.parametrize("name", landscapes.names())
def test_mean_regret(name):
    """The integral of 1 - Vol / area is what a uniform action loses."""
    landscape = landscapes.get(name)
    reference = REFERENCE.get("uniform.bandit8" if name == "bandit" else f"uniform.{name}")
    nodes, weights = nodes_and_weights(landscape.dim, 50)
    mean = (
        weights @ evaluate(landscape, nodes) / weights.sum()
        if reference is None
        else reference["value"]["mean"]
    )
    assert named(name).mean_regret == pytest.approx(landscape.maximum - mean, abs=2e-10)


@pytest.mark.parametrize(("name", "p"), [("quad1", 2), ("quart1", 4), ("abs1", 1)])
def test_lines_against_closed_forms(name, p):
    roots, closed = LineVolume(landscapes.get(name)), PowerVolume(1, p, 1)
    eps = np.geomspace(1e-8, 2, 40)
    np.testing.assert_allclose(roots(eps), closed(eps), rtol=1e-7, atol=1e-13)
    assert np.all(np.abs(roots(eps) - closed(eps)) <= roots.error(eps) + closed.error(eps))


def test_a_line_and_a_wall():
    eps = np.linspace(0, 3, 13)
    np.testing.assert_allclose(volume_of(LINE)(eps), np.minimum(eps, 2), atol=1e-14)


def test_plateau_has_an_atom():
    """Vol(0) > 0 where the best actions fill a set: half a unit, reached by a jump and by a kink."""
    jump = LineVolume(lambda a: jnp.where(jnp.abs(a[0]) < 0.25, 0.0, -1.0), 1)
    np.testing.assert_allclose(jump([0, 0.5, 1]), [0.5, 0.5, 2.0], atol=1e-12)
    kink = LineVolume(lambda a: -jnp.maximum(jnp.abs(a[0]) - 0.25, 0.0), 1)
    np.testing.assert_allclose(kink([0, 0.5, 1]), [0.5, 1.5, 2.0], atol=1e-12)


@pytest.mark.parametrize("dim", [2, 3, 6, 12])
def test_sum_of_uniforms(dim):
    """For p = 1 the whole curve is the law of a sum of uniform numbers, known to Irwin and Hall."""
    t = np.linspace(0.1, dim, 38)
    exact = sum((-1) ** k * comb(dim, k) * np.maximum(t - k, 0) ** dim for k in range(dim + 1)) / factorial(
        dim
    )
    np.testing.assert_allclose(PowerVolume(0.5, 1, dim)(t / 2) / 2**dim, exact, atol=1e-10)


def test_disc_in_a_square():
    eps = np.array([1.0001, 1.2, 1.7, 1.999])
    segment = eps * np.arccos(1 / np.sqrt(eps)) - np.sqrt(eps - 1)
    np.testing.assert_allclose(PowerVolume(1, 2, 2)(eps), np.pi * eps - 4 * segment, atol=1e-13)
    polar = PolarVolume(landscapes.get("quad2"))  # where the circle leaves the square, rays see a kink
    assert np.all(np.abs(polar(eps) - (np.pi * eps - 4 * segment)) <= polar.error(eps))
    # 20 rays a sector leave the kink at eps = 1.2 and 1.7 to 1e-3; with 48 the estimate is below 1e-3 again
    assert np.all(polar.error(eps) < 0.015)
    finer = PolarVolume(landscapes.get("quad2"), refine=2.4)
    assert np.all(finer.error(eps) < 0.003)
    off = [np.abs(one(eps) - (np.pi * eps - 4 * segment)) for one in (polar, finer)]
    assert 5 * off[1].max() < off[0].max() < 1.1e-3
    # the corners that are missing at 1.999 lie between the rays, at either resolution: levels around it tell
    assert 1e-12 < off[0][3] < 1e-6 and off[0][3] < polar.error(1.999)
    assert np.all(np.pi * eps - PowerVolume(1, 2, 2)(eps) > 1e-7)  # the uncut disc is wrong, and seen to be


@pytest.mark.parametrize("p", [0.5, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("dim", [2, 5, 17])
def test_powers_beyond_the_ball(p, dim):
    """The curve integrates to the mean regret, and is smooth where the box begins to cut the ball."""
    volume = PowerVolume(1, p, dim)
    eps, weights = quadrature(volume.breaks)
    assert weights @ (1 - volume(eps) / volume.area) == pytest.approx(dim / (p + 1), rel=1e-11)
    before, after = volume(1 - 1e-6), volume(1 + 1e-6)  # the cut is of a higher order, 1 + (d - 1) / p
    assert after - before == pytest.approx(2e-6 * dim / p * before, rel=0.05, abs=1e-13 * volume.area)


def test_monte_carlo_agrees_within_its_error():
    exact = PowerVolume(1, 2, 6)
    sampled = MonteCarloVolume(lambda a: -jnp.sum(a * a), 6, num=1_000_000)
    eps = np.array([0.5, 1.0, 2.0, 3.0])
    # without a known maximum the best of the samples is the yardstick: shift by what it misses
    missing = (np.random.default_rng(0).uniform(-1, 1, (1_000_000, 6)) ** 2).sum(1).min()
    assert np.all(np.abs(sampled(eps) - exact(eps + missing)) < 5 * sampled.error(eps))
    assert np.any(sampled(eps) > exact(eps) + 2 * sampled.error(eps)), "the shift is seen"
    known = MonteCarloVolume(landscapes.get("bandit"), num=100_000, seed=1)
    polar = named("bandit")
    z = (known(eps / 5) - polar(eps / 5)) / known.error(eps / 5)
    assert np.all(np.abs(z) < 5) and np.any(np.abs(z) > 0.05)
    assert known.error(1e-12) == pytest.approx(4 / 100_000)  # nothing seen is not nothing there
    assert known.mean_regret == pytest.approx(polar.mean_regret, abs=0.01)


def test_lemniscate():
    """A ridge is not star-shaped. Along each ray from the origin the set has a closed form."""

    def closed(eps):
        s = np.sqrt(eps)

        def ray(angle):
            k = 0.81 * np.cos(2 * angle)
            hole = np.sqrt(max(k * k - 4 * s, 0)) if k > 0 else 0
            return ((k + np.sqrt(k * k + 4 * s)) / 2 - hole) / 2

        turn = np.arccos(min(2 * np.sqrt(s) / 0.81, 1)) / 2
        points = [0, turn, np.pi / 4, np.pi / 2]
        return 4 * sum(integrate.quad(ray, a, b, epsabs=1e-13)[0] for a, b in pairwise(points))

    volume = named("lemniscate")
    for eps in (1e-4, 1e-3, 1e-2, 0.03):
        off = abs(volume(eps) - closed(eps))
        assert off <= volume.error(eps) and off < 1e-3 * closed(eps)


def hill(a):
    """Flat within 1/4 of a point away from the middle, and a cone around."""
    return -jnp.maximum(jnp.sqrt((a[0] - 0.4) ** 2 + (a[1] + 0.3) ** 2 + 1e-30) - 0.25, 0.0)


MANY_MAXIMA = {  # landscape, levels, volumes
    "wall": (lambda a: a[0], [1e-3, 0.01, 0.3, 1.5], lambda e: 2 * e),
    "ridge": (lambda a: -((a[0] - 0.5) ** 2), [1e-3, 0.04, 0.2, 0.25], lambda e: 4 * np.sqrt(e)),
    "hill": (hill, [0, 0.01, 0.1, 0.3], lambda e: np.pi * (0.25 + e) ** 2),
}


@pytest.mark.parametrize("name", MANY_MAXIMA)
def test_many_maxima(name):
    """More than sixteen on the grid, none of them in the middle of the box."""
    q, levels, closed = MANY_MAXIMA[name]
    eps, volume = np.array(levels), volume_of(q, 2)
    off = np.abs(volume(eps) - closed(eps))
    assert np.all(off <= volume.error(eps)) and np.all(volume.error(eps) < 0.004)


def sines(a):
    return sum(jnp.sin((7 + k) * a[0] + k) * jnp.sin((9 + 2 * k) * a[1] - k) for k in range(4))


def relu_critic(seed):
    rng = np.random.default_rng(seed)
    w = [rng.normal(size=shape) / np.sqrt(shape[0]) for shape in ((2, 32), (32, 32), (32,))]
    b = [rng.normal(size=32) for _ in range(2)]
    return Partial(two_layers, w, b)


def two_layers(w, b, a):
    relu = lambda x: jnp.maximum(x, 0.0)
    return relu(relu(a @ w[0] + b[0]) @ w[1] + b[1]) @ w[2]


@pytest.mark.parametrize("q", [sines, relu_critic(0), relu_critic(1), relu_critic(2)])
def test_rough_landscapes_against_a_fine_grid(q):
    line = (np.arange(1500) + 0.5) / 750 - 1
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    values = np.concatenate([evaluate(q, part) for part in np.split(grid, 150)])
    volume, shares = volume_of(q, 2), np.array([0.1, 0.3, 0.6])
    eps = shares * np.ptp(values)
    assert -1e-12 <= volume._top - values.max() < 0.01 * np.ptp(values)
    counted = 4 * (volume._top - values[None] <= eps[:, None]).mean(1)
    assert np.all(np.abs(volume(eps) - counted) <= volume.error(eps) + 1e-4)  # the grid's own error
    assert np.all(volume.error(eps) < 0.05)


def test_a_cusp_and_a_needle():
    """A bound on a line, where no double hits the tip; a needle on a plain, swept from its top."""
    cusp = LineVolume(lambda a: -jnp.sqrt(jnp.abs(a[0] - 0.3)), 1)
    eps = np.array([1e-6, 0.01, 0.1])
    assert np.all(np.abs(cusp(eps) - 2 * eps**2) <= cusp.error(eps)) and np.all(cusp.error(eps) < 1e-7)
    centre, width = 0.37123, 0.02
    needle = PolarVolume(lambda a: -(1 - jnp.exp(-jnp.sum((a - centre) ** 2) / (2 * width**2))), 2)
    eps = np.array([1e-6, 0.1, 0.9])
    exact = -2 * np.pi * width**2 * np.log1p(-eps)
    assert np.all(np.abs(needle(eps) - exact) <= needle.error(eps)) and np.all(needle.error(eps) < 1e-3)


@pytest.mark.parametrize("dim", [1, 3, 20])
def test_cubes_and_shells(dim):
    eps = np.array([0.01, 0.2, 0.81])
    parabola = MaxNormVolume(lambda r: r * r, dim)
    np.testing.assert_allclose(parabola(eps), (2 * np.sqrt(eps)) ** dim, rtol=1e-9)
    shell = MaxNormVolume(lambda r: np.abs(r - 0.5), dim)
    expected = (2 * np.minimum(0.5 + eps, 1)) ** dim - (2 * np.maximum(0.5 - eps, 0)) ** dim
    np.testing.assert_allclose(shell(eps), expected, rtol=1e-9)
    needle = MaxNormVolume(lambda r: np.where(r < 0.1, 0.0, 1.0), dim)
    np.testing.assert_allclose(needle([0, 0.9, 1]), [0.2**dim, 0.2**dim, 2**dim], rtol=1e-9)


def test_a_peak_without_volume_is_not_seen():
    """The essential supremum: the value at one point does not count."""
    peak = MaxNormVolume(lambda r: np.where(r == 0, -1.0, r), 2)
    np.testing.assert_allclose(peak([0.1, 0.5]), [0.04, 1.0], rtol=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_landscape_without_a_choice(dim):
    volume = volume_of(lambda a: 0.0 * a[0] + 3.0, dim, num=1000)
    np.testing.assert_allclose(volume([0, 1e-300, 1]), 2**dim)
    assert volume.mean_regret == pytest.approx(0, abs=1e-12)


def test_two_levels():
    volume = TwoLevel(0.5, 0.3)
    np.testing.assert_allclose(volume([0, 0.2999, 0.3, 1]), [0.5, 0.5, 2, 2])
    eps, weights = quadrature(volume.breaks)
    assert volume.mean_regret == pytest.approx(weights @ (1 - volume(eps) / 2), abs=1e-12)


def test_volume_of_says_what_it_picks():
    methods = [named(name).method for name in ("quad2", "spike1", "bandit")]
    methods.append(volume_of(lambda a: -jnp.sum(a * a), 5, num=1000).method)
    for method, word in zip(methods, ("closed", "line", "rays", "Monte Carlo with 1000"), strict=True):
        assert word in method


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: PowerVolume(1, 2, 2)(-0.1), "at least 0, got -0.1"),
        (lambda: PowerVolume(1, 2, 2)([0.1, np.nan]), "at least 0, got nan"),
        (lambda: PowerVolume(1, 0, 2), "p must be positive"),
        (lambda: PowerVolume(1, 2, 0), "dim >= 1, got 0"),
        (lambda: LineVolume(lambda a: -jnp.sum(a * a), 4), "dim 1, got dim 4; use volume_of"),
        (lambda: PolarVolume(landscapes.get("quad1")), "dim 2, got dim 1"),
        (lambda: LineVolume(lambda a: a[0]), "pass dim="),
        (lambda: volume_of(lambda a: a[0]), "pass dim="),
        (lambda: volume_of(SimpleNamespace(power=(1.0, 2.0))), "pass dim="),
        (lambda: MonteCarloVolume(lambda a: a[0], 3, num=0), "num must be positive"),
        (lambda: TwoLevel(2.5, 1.0), "below the volume of the box"),
    ],
)
def test_bad_input_is_one_clear_line(call, words):
    with pytest.raises(SoftqError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
