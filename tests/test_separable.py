"""The exact softmax in any dimension, against quadrature in one and two and closed forms in more."""

import numpy as np
import pytest
from reference import REFERENCE
from scipy.special import gamma, gammainc

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.exact.bounds import laplace
from softq.exact.separable import MaxNorm, Separable
from softq.exact.volume import MaxNormVolume, PowerVolume
from softq.utils.errors import SoftqError

FIELDS = ("log_partition", "entropy", "mean_value", "var_value", "gap", "maximum")


@pytest.mark.parametrize(("one", "two"), [("quad1", "quad2"), ("abs1", "abs2")])
@pytest.mark.parametrize("temperature", [0.02, 0.3])
def test_two_coordinates_are_the_quadrature_in_the_plane(one, two, temperature):
    law, plane = Separable(landscapes.get(one), temperature, 2), Boltzmann(landscapes.get(two), temperature)
    for field in FIELDS:
        assert getattr(law, field) == pytest.approx(getattr(plane, field), abs=1e-9), field
    uniform = plane.weights / 4
    ratio = plane.density(plane.nodes) * 4
    assert law.uniform_mean == pytest.approx(uniform @ plane.values, abs=1e-9)
    assert law.uniform_std == pytest.approx(REFERENCE[f"uniform.{two}"]["value"]["std"], abs=1e-9)
    assert law.weight_variance == pytest.approx(uniform @ ratio**2 - 1, rel=1e-8)
    assert law.action_std == pytest.approx(np.sqrt(plane.probabilities @ plane.nodes[:, 0] ** 2), abs=1e-9)


@pytest.mark.parametrize("name", ["skew1", "spike1"])
def test_one_coordinate_is_the_quadrature_on_the_line(name):
    """A landscape that is not centred: the standard deviation is about the mean."""
    law, line = Separable(landscapes.get(name), 0.1, 1), Boltzmann(landscapes.get(name), 0.1)
    for field in FIELDS:
        assert getattr(law, field) == pytest.approx(getattr(line, field), abs=1e-13), field
    mean = line.probabilities @ line.nodes[:, 0]
    spread = np.sqrt(line.probabilities @ (line.nodes[:, 0] - mean) ** 2)
    assert law.action_std == pytest.approx(spread, abs=1e-13)
    assert abs(law.action_std - np.sqrt(spread**2 + mean**2)) > 0.01


@pytest.mark.parametrize("dim", REFERENCE["thm1.quad_d"]["params"]["d"])
def test_seventeen_dimensions(dim):
    """A parabola at DDSQ's own temperature, 0.05 standard deviations; the other fields are in test_bounds."""
    expected, quad = REFERENCE["thm1.quad_d"]["value"][str(dim)], landscapes.get("quad1")
    temperature = 0.05 * Separable(quad, 1.0, dim).uniform_std
    law = Separable(quad, temperature, dim)
    tol = REFERENCE["thm1.quad_d"]["tol"]
    assert temperature == pytest.approx(expected["lam"], abs=tol)
    assert law.gap == pytest.approx(expected["gap"], abs=tol)
    assert law.entropy == pytest.approx(expected["entropy"], abs=tol)
    assert law.action_std == pytest.approx(expected["action_std_per_dim"], abs=tol)
    assert law.maximum - law.uniform_mean == pytest.approx(expected["trivial"], abs=tol)
    log_volume = temperature * (dim * np.log(2) - law.log_partition)
    assert log_volume == pytest.approx(expected["log_volume"], abs=tol)


@pytest.mark.parametrize("dim", [1, 2, 5, 20])
@pytest.mark.parametrize("p", [0.5, 1, 2, 4])
def test_powers_of_the_largest_coordinate(dim, p):
    """Z = 2^d (d/p) t^(d/p) Gamma(d/p) P(d/p, 1/t), by the substitution u = r^p / t."""
    t, k = 0.1, dim / p
    law = MaxNorm(lambda r: r**p, t, dim)
    log_z = dim * np.log(2) + np.log(k) + k * np.log(t) + np.log(gamma(k) * gammainc(k, 1 / t))
    assert law.log_partition == pytest.approx(log_z, abs=1e-11)
    assert law.gap == pytest.approx(t * k * gammainc(k + 1, 1 / t) / gammainc(k, 1 / t), abs=1e-11)
    assert law.uniform_mean == pytest.approx(-dim / (dim + p), abs=1e-11)
    second = t ** (2 / p) * gamma(k + 2 / p) * gammainc(k + 2 / p, 1 / t) / (gamma(k) * gammainc(k, 1 / t))
    assert law.action_std == pytest.approx(np.sqrt(second * (dim + 2) / (3 * dim)), abs=1e-11)
    half = dim * np.log(2) + np.log(k) + k * np.log(t / 2) + np.log(gamma(k) * gammainc(k, 2 / t))
    assert law.weight_variance == pytest.approx(np.expm1(half + dim * np.log(2) - 2 * log_z), rel=1e-9)
    assert law.error < 1e-11


def test_one_coordinate_has_no_largest():
    law, line = MaxNorm(lambda r: r * r, 0.1, 1), Boltzmann(landscapes.get("quad1"), 0.1)
    for field in FIELDS:
        assert getattr(law, field) == pytest.approx(getattr(line, field), abs=1e-11), field


@pytest.mark.parametrize("dim", [1, 6, 20])
def test_a_needle_and_its_volume_function(dim):
    """Two levels: closed form, quadrature of the radius and Laplace transform of the volume agree."""
    profile = lambda r: np.where(r < 0.3, 0.0, 1.0)
    law, w = MaxNorm(profile, 0.05, dim, breaks=(0.3,)), 0.3**dim
    rest = (1 - w) * np.exp(-20)
    assert law.gap == pytest.approx(rest / (w + rest), abs=1e-12)
    assert laplace(MaxNormVolume(profile, dim), 0.05)[1] == pytest.approx(law.gap, abs=1e-9)
    assert law.var_value == pytest.approx(law.gap * (1 - law.gap), abs=1e-12)


@pytest.mark.parametrize("dim", [1, 4, 17])
def test_gap_is_the_laplace_transform_of_the_volume(dim):
    for temperature in (0.02, 0.2, 2.0):
        log_ratio, gap = laplace(PowerVolume(1, 2, dim), temperature)
        law = Separable(landscapes.get("quad1"), temperature, dim)
        assert gap == pytest.approx(law.gap, abs=1e-10)
        assert log_ratio == pytest.approx(dim * np.log(2) - law.log_partition, abs=1e-10)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Separable(landscapes.get("quad1"), 0.1, 0), "dim must be a whole number"),
        (lambda: Separable(landscapes.get("quad1"), -1, 3), "temperature must be positive"),
        (lambda: MaxNorm(lambda r: r, 0, 3), "temperature must be positive"),
        (lambda: MaxNorm(lambda r: r, 1, 3, breaks=(2.0,)), "between 0 and 1"),
        (lambda: MaxNorm(lambda r: r * np.nan, 1, 3), "no finite numbers"),
    ],
)
def test_bad_input_is_one_clear_line(call, words):
    with pytest.raises(SoftqError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
