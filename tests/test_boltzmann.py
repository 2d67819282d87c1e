"""The exact softmax against independent reference numbers."""

import jax.numpy as jnp
import numpy as np
import pytest
from exact import LINE, numpy_of
from reference import REFERENCE

from softq import landscapes
from softq.exact.boltzmann import Boltzmann, nodes_and_weights
from softq.exact.laws import softmax_law
from softq.testing import THRESHOLD, chi_square, mean_test
from softq.utils.errors import SoftqError

FIELDS = {
    "logZ": "log_partition",
    "entropy": "entropy",
    "Ef": "mean_value",
    "Varf": "var_value",
    "gap": "gap",
}
REFERENCES = [name.removeprefix("softmax.") for name in REFERENCE if name.startswith("softmax.")]


def landscape_of(name):
    """The reference calls the bandit bandit8 and puts it on [-2, 2]^2: volumes are four times larger there."""
    return landscapes.get(name.removesuffix("8")), 2 * np.log(2) if name == "bandit8" else 0.0


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_numbers(name):
    landscape, shift = landscape_of(name)
    base = Boltzmann(landscape, 1.0)
    for temperature, expected in REFERENCE[f"softmax.{name}"]["value"].items():
        law = base.at(float(temperature))
        for field, attribute in FIELDS.items():
            seen = getattr(law, attribute) + (shift if field in ("logZ", "entropy") else 0.0)
            tol = max(
                REFERENCE[f"softmax.{name}"]["tol"], 1e-11 * abs(expected[field])
            )  # 12 digits are stored
            assert seen == pytest.approx(expected[field], abs=tol), (temperature, field)


def test_bandit_discs_and_moments():
    """NC-LQL's Table 4 counts discs of radius 0.3 on [-2, 2]^2, so of 0.15 here."""
    base, corner = Boltzmann(landscapes.get("bandit"), 1.0, panels=128), np.sqrt(0.5)
    for w, expected in REFERENCE["bandit8.boltzmann"]["value"].items():
        law, tol = base.at(1 / float(w)), REFERENCE["bandit8.boltzmann"]["tol"]
        assert law.log_partition + 2 * np.log(2) == pytest.approx(
            expected["logZ"], abs=max(tol, 1e-11 * expected["logZ"])
        )
        assert law.entropy + 2 * np.log(2) == pytest.approx(expected["entropy"], abs=tol)
        assert law.mean_value == pytest.approx(expected["mean_reward"], abs=tol)
        assert np.sqrt(law.var_value) == pytest.approx(expected["std_reward"], abs=tol)
        assert law.ball((corner, 0), 0.15) == pytest.approx(expected["p_each_high_mode"], abs=tol)
        assert law.ball((0.5, -0.5), 0.15) == pytest.approx(expected["p_each_low_mode"], abs=tol)
    assert (
        abs(base.ball((corner, 0), 0.149) - REFERENCE["bandit8.boltzmann"]["value"]["1"]["p_each_high_mode"])
        > 1e-4
    )


def test_another_temperature_is_another_law():
    base = Boltzmann(landscapes.get("skew1"), 1.0)
    cold, again = base.at(0.1), Boltzmann(landscapes.get("skew1"), 0.1)
    assert (cold.log_partition, cold.entropy, cold.error) == (again.log_partition, again.entropy, again.error)
    np.testing.assert_array_equal(cold.probabilities, again.probabilities)
    assert base.temperature == 1.0 and base.log_partition != cold.log_partition
    assert cold.ball((0.5,), 0.25) == pytest.approx(
        cold.mean(lambda a: np.abs(a[:, 0] - 0.5) <= 0.25), abs=1e-9
    )


@pytest.mark.parametrize("name", [n.removeprefix("uniform.") for n in REFERENCE if n.startswith("uniform.")])
def test_infinite_temperature_is_uniform(name):
    landscape, _ = landscape_of(name)
    law, entry = Boltzmann(landscape, 1e14), REFERENCE[f"uniform.{name}"]
    assert law.mean_value == pytest.approx(entry["value"]["mean"], abs=entry["tol"])
    assert np.sqrt(law.var_value) == pytest.approx(entry["value"]["std"], abs=entry["tol"])
    assert law.entropy == pytest.approx(law.dim * np.log(2), abs=1e-12)


def test_a_line_in_closed_form():
    """Q = a: log Z = log(2 t sinh(1/t)), E[a] = coth(1/t) - t."""
    for t in (0.1, 1.0, 10.0):
        law = Boltzmann(LINE, t)
        assert law.log_partition == pytest.approx(np.log(2 * t * np.sinh(1 / t)), abs=1e-11)
        assert law.mean_value == pytest.approx(1 / np.tanh(1 / t) - t, abs=1e-11)


@pytest.mark.parametrize("name", landscapes.names())
def test_identities(name):
    """Probabilities sum to one, the gap is positive, d log Z / d(1/t) = E[Q], d E[Q] / d(1/t) = Var[Q]."""
    landscape, b, h = landscapes.get(name), 5.0, 1e-3
    law, up, down = (Boltzmann(landscape, 1 / inverse) for inverse in (b, b + h, b - h))
    assert law.probabilities.sum() == pytest.approx(1, abs=1e-12)
    assert law.weights.sum() == pytest.approx(2**law.dim, abs=1e-11)
    assert law.gap > 0
    assert (up.log_partition - down.log_partition) / (2 * h) == pytest.approx(law.mean_value, abs=1e-6)
    assert (up.mean_value - down.mean_value) / (2 * h) == pytest.approx(law.var_value, abs=1e-6)
    assert law.error < 1e-6


def needle(a):
    """A needle of width 0.02, between the nodes, on top of a broad hill."""
    r2 = jnp.sum((a - jnp.asarray((0.1237, -0.0711))) ** 2)
    return jnp.exp(-r2 / (2 * 0.02**2)) + jnp.exp(-r2 / (2 * 0.3**2))


def test_the_gap_of_a_needle_that_no_node_hits():
    """The law is round and far from the walls: one integral over the radius is exact."""
    base, q = (
        Boltzmann(needle, 0.05, dim=2, panels=128),
        lambda r: np.exp(-1250 * r * r) + np.exp(-r * r / 0.18),
    )
    line, weights = nodes_and_weights(1, 400)
    r = 0.2 + 0.2 * line[:, 0]  # beyond 0.4 the density has fallen by more than exp(-31)
    for law in (base, base.at(0.02), base.at(0.01)):
        density = weights * r * np.exp((q(r) - 2) / law.temperature)
        gap = 2 - density @ q(r) / density.sum()
        assert law.maximum == pytest.approx(2, abs=1e-14)
        assert abs(law.gap - gap) < min(law.temperature * law.error, 1e-6)
        assert abs(law.values.max() - law.mean_value - gap) > 2e-4  # the best node would be noticed


@pytest.mark.parametrize("tip", [0.3, 0.31234])
@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.03])
def test_the_gap_of_a_cusp(tip, temperature):
    """No double lies at the tip, where the slope is infinite. With a - tip = u^2 the integrals are smooth."""
    law, gap, mass = Boltzmann(lambda a: -jnp.sqrt(jnp.abs(a[0] - tip)), temperature, dim=1), 0.0, 0.0
    line, weights = nodes_and_weights(1, 200)
    for reach in (np.sqrt(1 - tip), np.sqrt(1 + tip)):
        u = reach * (line[:, 0] + 1) / 2
        density = reach * weights * u * np.exp(-u / temperature)
        gap, mass = gap + density @ u, mass + density.sum()
    assert abs(law.gap - gap / mass) <= temperature * law.error
    # a panel is 0.00125 wide; at 0.03 the law halves within 0.0004 of the tip
    assert law.error < (0.02 if temperature == 0.03 else 1e-3) * gap / mass / temperature
    assert abs(law.values.max() - law.mean_value - gap / mass) > 3 * temperature * law.error


def test_density_and_means_of_regions():
    law = Boltzmann(landscapes.get("twomode1"), 0.1)
    q, _ = numpy_of(landscapes.get("twomode1"))
    x = np.linspace(-1, 1, 11)
    np.testing.assert_allclose(law.density(x[:, None]), np.exp(q(x) / 0.1 - law.log_partition), rtol=1e-12)
    right = law.mean(lambda a: a[:, 0] > 0)
    by_cells = softmax_law(q, 0.1).probabilities[1000:].sum()
    assert right == pytest.approx(by_cells, abs=1e-9)


@pytest.mark.parametrize(("name", "bins"), [("skew1", 50), ("skew1", 37), ("twomode2", 20), ("spike1", 40)])
def test_cells(name, bins):
    law = Boltzmann(landscapes.get(name), 0.2)
    cells = law.cell_probabilities(bins)
    assert cells.shape == (bins,) * law.dim
    assert cells.sum() == pytest.approx(1, abs=1e-12)
    if law.dim == 1:
        q, _ = numpy_of(landscapes.get(name))
        expected = softmax_law(q, 0.2, bins * 100).probabilities.reshape(bins, 100).sum(1)
        np.testing.assert_allclose(cells, expected, atol=1e-9)


def test_cells_are_indexed_by_coordinate():
    """The heavier hill of twomode2 is where both coordinates are large."""
    cells = Boltzmann(landscapes.get("twomode2"), 0.05).cell_probabilities(2)
    assert cells.argmax() == 3
    assert cells[0, 1] == pytest.approx(cells[1, 0], abs=1e-12)


def test_sample_follows_the_law():
    rng = np.random.default_rng(0)
    for name in ("skew1", "spike1"):
        law = Boltzmann(landscapes.get(name), 0.1)
        q, _ = numpy_of(landscapes.get(name))
        samples = law.sample(rng, 20_000)
        assert samples.shape == (20_000, 1)
        assert chi_square(samples, *softmax_law(q, 0.1)) > THRESHOLD
        assert chi_square(samples, *softmax_law(q, 0.12)) < THRESHOLD
    law = Boltzmann(landscapes.get("twomode2"), 0.1)
    samples = law.sample(rng, 20_000)
    assert samples.shape == (20_000, 2)
    values = np.exp(-((samples - 0.5) ** 2).sum(-1) / 0.08) + 0.9 * np.exp(
        -((samples + 0.5) ** 2).sum(-1) / 0.08
    )
    assert mean_test(values, law.mean_value) > THRESHOLD


def test_tv_of_exact_samples_is_its_floor():
    law, rng = Boltzmann(landscapes.get("twomode2"), 0.2), np.random.default_rng(1)
    distances = [law.tv(law.sample(rng, 5000), 20) for _ in range(6)]
    assert np.mean(distances) == pytest.approx(law.tv_floor(5000, 20), rel=0.1)
    assert law.tv(rng.uniform(-1, 1, (5000, 2)), 20) > 5 * law.tv_floor(5000, 20)
    assert law.tv(np.full((100, 2), 0.999), 20) > 0.99


def test_any_function_of_the_action_will_do():
    law = Boltzmann(lambda a: -jnp.sum(a**2), 0.1, dim=2)
    assert law.log_partition == pytest.approx(REFERENCE["softmax.quad2"]["value"]["0.1"]["logZ"], abs=1e-9)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: Boltzmann(landscapes.get("quad1"), 0.0), "temperature"),
        (lambda: Boltzmann(landscapes.get("quad1"), 1.0).at(-0.1), "temperature"),
        (lambda: Boltzmann(landscapes.get("quad1"), 1.0, panels=0), "panels"),
        (lambda: Boltzmann(landscapes.get("quad1"), 1.0).ball((0.9,), 0.2), "must lie in"),
        (lambda: Boltzmann(landscapes.get("quad2"), 1.0).ball((0.9,), 0.05), "must lie in"),
        (lambda: Boltzmann(landscapes.get("quad1"), float("nan")), "temperature"),
        (lambda: Boltzmann(lambda a: jnp.sum(a), 0.1, dim=3), "dim 1 or 2"),
        (lambda: Boltzmann(lambda a: jnp.sum(a), 0.1), "dim 1 or 2"),
        (lambda: Boltzmann(lambda a: jnp.log(a[0]), 0.1, dim=1), "nan"),
        (lambda: Boltzmann(lambda a: a, 0.1, dim=1), "scalar"),
    ],
)
def test_bad_input_is_one_clear_line(call, names):
    with pytest.raises(SoftqError, match=names) as error:
        call()
    assert "\n" not in str(error.value)
