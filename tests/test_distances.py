"""Distances between softmax laws against closed forms, and modes against the valleys that one can see."""

import jax.numpy as jnp
import numpy as np
import pytest
from exact import LINE
from scipy import integrate, optimize

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.exact.distances import Distribution, kl, tv, wasserstein
from softq.exact.modes import modes
from softq.landscapes import Landscape
from softq.utils.errors import SoftqError


def flat(action):
    return 0.0 * jnp.sum(action)


def tilted_density(x):
    """Q = a at temperature 1: e^x / (2 sinh 1)."""
    return np.exp(x) / (2 * np.sinh(1))


UNIFORM, TILTED = Boltzmann(flat, 1.0, dim=1), Boltzmann(LINE, 1.0)


def test_total_variation_of_a_slope_from_uniform():
    """The densities cross at log sinh 1; there the distribution functions differ most."""
    crossing = np.log(np.sinh(1))
    expected = (crossing + 1) / 2 - (np.exp(crossing) - np.exp(-1)) / (2 * np.sinh(1))
    assert tv(TILTED, UNIFORM) == pytest.approx(expected, abs=1e-7)
    assert tv(UNIFORM, TILTED) == pytest.approx(expected, abs=1e-7)
    assert tv(TILTED, TILTED) == 0.0


def test_divergence_of_a_slope_from_uniform():
    """KL(p || u) = log 2 - H(p) and KL(u || p) = log Z - log 2 - E_u[a]; not the same number."""
    mean = 1 / np.tanh(1) - 1
    log_z = np.log(2 * np.sinh(1))
    assert kl(TILTED, UNIFORM) == pytest.approx(np.log(2) - (log_z - mean), abs=1e-12)
    assert kl(UNIFORM, TILTED) == pytest.approx(log_z - np.log(2), abs=1e-12)
    assert abs(kl(UNIFORM, TILTED) - kl(TILTED, UNIFORM)) > 1e-3


def test_wasserstein_of_a_slope_from_uniform():
    """All mass moves to the right, so W1 is the difference of the means; W2 by the quantiles in closed form."""
    quantile = lambda u: np.log(np.exp(-1) + u * 2 * np.sinh(1))
    squared = integrate.quad(lambda u: (quantile(u) - (2 * u - 1)) ** 2, 0, 1, epsabs=1e-13)[0]
    assert wasserstein(TILTED, UNIFORM) == pytest.approx(1 / np.tanh(1) - 1, abs=1e-9)
    assert wasserstein(TILTED, UNIFORM, order=2) == pytest.approx(np.sqrt(squared), abs=1e-10)
    assert wasserstein(UNIFORM, TILTED, order=2) == pytest.approx(np.sqrt(squared), abs=1e-10)


def test_wasserstein_across_a_valley_is_symmetric():
    """Between two hills a quantile jumps; neither order nor side may matter."""
    hot = Boltzmann(landscapes.get("twomode1"), 0.2)
    cold = hot.at(0.05)
    for order in (1, 2):
        there, back = wasserstein(hot, cold, order), wasserstein(cold, hot, order)
        assert there == pytest.approx(back, abs=1e-9)
    assert wasserstein(hot, cold, 1) < wasserstein(hot, cold, 2) < np.sqrt(2 * wasserstein(hot, cold, 1))


def test_distribution_function_between_its_nodes():
    law = Boltzmann(landscapes.get("spike1"), 0.1)
    for x in (-0.7134, 0.6991, 0.7003):
        below = integrate.quad(
            lambda a: law.density(np.array([[a]]))[0],
            -1,
            x,
            points=[0.65, 0.69, 0.7] if x > 0.69 else None,
            limit=200,
        )[0]
        assert Distribution(law)(x) == pytest.approx(below, abs=1e-9)


def test_total_variation_in_two_dimensions():
    """The product of two slopes: the first coordinate by the closed form, checked on a coarser rule."""
    slope = Landscape("tilt", 2, 2.0, slope=(1.0, 0.0))
    one = tv(TILTED, UNIFORM)
    assert tv(Boltzmann(slope, 1.0), Boltzmann(flat, 1.0, dim=2)) == pytest.approx(one, abs=2e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tv(TILTED, Boltzmann(flat, 1.0, dim=2)), "different dimension"),
        (lambda: wasserstein(Boltzmann(flat, 1.0, dim=2), Boltzmann(flat, 1.0, dim=2)), "dim 1"),
        (lambda: wasserstein(TILTED, UNIFORM, order=3), "order 1 and 2"),
        (lambda: modes(TILTED, prominence=1.0), "prominence"),
    ],
)
def test_bad_input_is_one_clear_line(call, words):
    with pytest.raises(SoftqError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "valley"), [("twomode1", (-0.3, 0.3)), ("spike1", (0.6, 0.7)), ("skew1", (-0.3, 0.5))]
)
def test_masses_of_hills_are_cut_at_the_valley(name, valley):
    q = landscapes.get(name)
    law = Boltzmann(q, 0.1)
    found = modes(law)
    bottom = optimize.minimize_scalar(
        lambda a: float(q(jnp.array([a]))), bounds=valley, method="bounded", options={"xatol": 1e-9}
    ).x
    right = law.mean(lambda a: a[:, 0] > bottom)
    assert len(found) == 2 and found[0].value > found[1].value
    for mode in found:
        expected = right if mode.action[0] > bottom else 1 - right
        assert mode.mass == pytest.approx(expected, abs=1e-4)


def test_ripples_are_no_modes_and_ties_stay_apart():
    """A ridge has one mode however the grid cuts it; the bandit has its eight, each with its share."""
    assert len(modes(Boltzmann(landscapes.get("lemniscate"), 0.1))) == 1
    assert len(modes(Boltzmann(landscapes.get("lemniscate"), 0.1), prominence=0.0)) > 4
    found = modes(Boltzmann(landscapes.get("bandit"), 0.1))
    assert len(found) == 8 and sum(mode.mass for mode in found) == pytest.approx(1, abs=1e-12)
    assert [round(mode.value, 2) for mode in found] == [1.0] * 4 + [0.5] * 4
    for mode in found[:4]:
        assert mode.mass == pytest.approx(0.246, abs=1e-3)
