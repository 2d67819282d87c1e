"""The exact laws and the statistics that the other tests lean on, against reference numbers and against
themselves.
"""

import numpy as np
import pytest
from exact import numpy_of
from reference import REFERENCE
from scipy import stats

from softq import landscapes
from softq.exact.laws import (
    chain_law,
    fold,
    point_law,
    selection_law,
    snis_density,
    snis_law,
    softmax_law,
    uniform_law,
)
from softq.testing import THRESHOLD, binomial, chi_square, mean_test
from softq.utils.errors import SoftqError

BOUNDARIES = {"reflect": "reflect", "clip": "project"}


def quadratic(x):
    return -(x**2)


def flat(x):
    return 0 * x


def quantile_distance(law, other, start=1e-6):
    """Wasserstein-2 distance of two laws without atoms, by their quantiles."""
    levels = np.linspace(start, 1 - start, 200_001)
    a, b = (np.interp(levels, one.cdf() / one.cdf()[-1], one.edges) for one in (law, other))
    return np.sqrt(np.mean((a - b) ** 2))


@pytest.mark.parametrize("name", ["quad1", "spike1"])
def test_snis_density(name):
    q, _ = numpy_of(landscapes.get(name))
    for x, entry in REFERENCE[f"snis.density.{name}.lam0.1"]["value"].items():
        for m, omega in entry["omega"].items():
            assert snis_density(q, 0.1, int(m), np.array([float(x)]))[0] == pytest.approx(omega, abs=2e-8)


@pytest.mark.parametrize(
    ("entry", "name", "tol"),
    [
        ("snis.quad1.lam0.1", "quad1", 1e-5),
        ("snis.quad1.lam0.01491", "quad1", 1e-5),
        ("snis.spike1.lam0.1", "spike1", 4e-5),
    ],
)
def test_snis_law_has_the_reference_distance_to_the_softmax(entry, name, tol):
    q, _ = numpy_of(landscapes.get(name))
    temperature = REFERENCE[entry]["params"]["lam"]
    for m, expected in REFERENCE[entry]["value"]["by_m"].items():
        law = snis_law(q, temperature, int(m))
        assert law.tv(softmax_law(q, temperature)) == pytest.approx(expected["tv"], abs=tol)
        assert law.tv(softmax_law(q, temperature)) <= expected["jensen"] + tol


@pytest.mark.parametrize("setting", REFERENCE["langevin.ddsq_single_schedule"]["value"])
def test_chain_law_of_a_ddsq_schedule(setting):
    name, start, boundary = setting.split("|")
    expected = REFERENCE["langevin.ddsq_single_schedule"]["value"][setting]
    temperature = REFERENCE["langevin.qglg"]["value"][name]["lam"]
    q, slope = numpy_of(landscapes.get(name))
    steps = np.linspace(float(start.split("=")[1]), 1e-4, 20)
    first = snis_law(q, temperature, 100, 1000)
    law = chain_law(lambda x: slope(x) / temperature, steps, first, 1000, BOUNDARIES[boundary])
    target, tol = softmax_law(q, temperature, 1000), REFERENCE["langevin.ddsq_single_schedule"]["tol"]
    assert first.tv(target) == pytest.approx(expected["tv_snis_init"], abs=tol)
    assert law.tv(target) == pytest.approx(expected["tv_to_target"], abs=tol)
    assert law.mean(q) == pytest.approx(expected["E_f"], abs=tol)
    assert law.atoms.sum() == pytest.approx(expected["boundary_atoms"], abs=tol)
    assert law.probabilities.sum() + law.atoms.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("entry", ["langevin.reflected.k1.lam0.5.d0.1", "langevin.reflected.k1.lam0.5.d0.5"])
def test_chain_law_converges_to_the_wrong_law_as_the_reference_says(entry):
    """The Wasserstein distance to the softmax stalls at the discretisation bias, which DDSQ Theorem 3
    denies.
    """
    p, value = REFERENCE[entry]["params"], REFERENCE[entry]["value"]
    law = point_law(p["x0"] - 5e-4)  # a cell's centre, half a thousandth from the start of the reference
    target, steps = softmax_law(lambda x: -(x**2) / 2, p["lam"]), 0
    for t in p["T"]:
        law, steps = chain_law(lambda x: -x / p["lam"], [p["delta"]] * (t - steps), law), t
        assert quantile_distance(law, target) == pytest.approx(value["by_T"][str(t)]["w2_exact"], abs=8e-4)
    assert quantile_distance(law, target) == pytest.approx(value["bias_w2"], abs=1e-5)


@pytest.mark.parametrize("step", ["1.0", "0.25", "0.1"])
def test_projected_walk_has_the_reference_atoms(step):
    expected = REFERENCE["langevin.clip_flat"]["value"][step]["atom_mass_clip"]
    law = chain_law(flat, [float(step)] * 80, uniform_law(1000), 1000, "project")
    assert law.atoms.sum() == pytest.approx(expected, abs=1e-6)
    assert law.atoms[0] == pytest.approx(law.atoms[1], abs=1e-12)


def test_reflected_walk_stays_uniform():
    assert chain_law(flat, [1.0, 0.1, 1e-3, 1e-6], uniform_law()).tv(uniform_law()) < 1e-12


def test_reflection_is_the_sum_of_images():
    """The cosine series against the method of images, for one step from a cell's centre."""
    edges = uniform_law().edges
    for step in (0.7, 0.05, 4e-4):
        law = chain_law(flat, [step], point_law(0.6505))
        cdf = np.zeros_like(edges)
        for k in range(-6, 7):
            for mean in (0.6505 + 4 * k, 2 - 0.6505 + 4 * k):
                cdf += stats.norm.cdf((edges - mean) / np.sqrt(step))
        np.testing.assert_allclose(law.probabilities, np.diff(cdf), atol=1e-13)


@pytest.mark.parametrize("boundary", ["reflect", "project"])
def test_halving_the_cells_changes_next_to_nothing(boundary):
    _, slope = numpy_of(landscapes.get("skew1"))
    coarse, fine = (
        chain_law(lambda x: slope(x) / 0.2, [0.2, 0.05, 0.01], uniform_law(n), n, boundary)
        for n in (1000, 2000)
    )
    assert np.abs(coarse.probabilities - fine.probabilities.reshape(-1, 2).sum(1)).sum() < 1e-5
    assert np.abs(coarse.atoms - fine.atoms).sum() < 1e-6


def test_steps_of_zero_do_not_move():
    law = softmax_law(quadratic, 0.1)
    for boundary in ("reflect", "project"):
        assert chain_law(flat, [0.0, 0.0], law, boundary=boundary).tv(law) < 1e-12


def test_a_selection_of_one_schedule_is_a_chain():
    """The quadrature over the noises against the transition matrix: the error it is said to have."""
    q, slope = numpy_of(landscapes.get("skew1"))
    start = snis_law(q, 0.2, 8)
    by_matrix = chain_law(lambda x: slope(x) / 0.2, [0.3, 0.05], start)
    by_points = selection_law(q, lambda x: slope(x) / 0.2, [[0.3, 0.05]], start)
    exact, counted = (law.probabilities.reshape(50, 40).sum(1) for law in (by_matrix, by_points))
    assert np.sqrt(np.mean((exact - counted) ** 2)) < 1e-4
    assert 20_000 * np.sum((exact - counted) ** 2 / exact) < 1  # of a statistic of about 49, give or take 10


def test_fold_is_a_triangle_wave():
    x = np.array([0.0, 0.5, 1.0, 1.25, 2.0, 3.0, 3.5, 5.0, -1.5, -3.0, 101.25])
    np.testing.assert_allclose(fold(x), [0, 0.5, 1, 0.75, 0, -1, -0.5, 1, -0.5, 1, 0.75])


def test_start_of_another_size_or_an_unknown_boundary_is_refused():
    with pytest.raises(SoftqError, match=r"shape \(10,\), expected \(2000,\)"):
        chain_law(flat, [0.1], np.full(10, 0.1))
    with pytest.raises(SoftqError, match=r"unknown boundary 'reflct'. Did you mean 'reflect'"):
        chain_law(flat, [0.1], uniform_law(), boundary="reflct")


# The statistics themselves


def test_chi_square_is_calibrated():
    """p-values of true samples are uniform: 400 of them, Kolmogorov-Smirnov."""
    law, rng = softmax_law(quadratic, 0.1), np.random.default_rng(3)
    levels = law.cdf()
    p = [chi_square(np.interp(rng.random(5000), levels, law.edges), *law) for _ in range(400)]
    assert stats.kstest(p, "uniform").pvalue > THRESHOLD


def test_chi_square_is_calibrated_with_atoms():
    law = chain_law(flat, [0.1] * 5, uniform_law(1000), 1000, "project")
    cells = np.concatenate([law.atoms[:1], law.probabilities, law.atoms[1:]])
    points = np.concatenate([[-1.0], (law.edges[1:] + law.edges[:-1]) / 2, [1.0]])
    rng = np.random.default_rng(4)
    p = [chi_square(rng.choice(points, 5000, p=cells / cells.sum()), *law) for _ in range(400)]
    assert stats.kstest(p, "uniform").pvalue > THRESHOLD
    assert chi_square(rng.choice(points[1:-1], 5000), *law) < THRESHOLD  # no atoms


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1.0001, -1.0001])
def test_one_impossible_sample_is_enough(bad):
    samples = np.append(np.random.default_rng(5).uniform(-1, 1, 5000), bad)
    assert chi_square(samples, *uniform_law()) == 0.0


def test_binomial_and_mean_reject_and_accept():
    rng = np.random.default_rng(6)
    hits = rng.random(10_000) < 0.15
    assert min(binomial(hits.sum(), 10_000, 0.15), mean_test(hits, 0.15)) > THRESHOLD
    assert max(binomial(hits.sum(), 10_000, 0.18), mean_test(hits, 0.18)) < THRESHOLD
    assert mean_test(np.ones(10), 1.0) == 1.0
    assert mean_test(np.ones(10), 1.1) == 0.0
