"""Exact laws of importance sampling against reference numbers, against enumeration of every outcome, and against
each other; with the wrong formulas that the tests must reject.
"""

from functools import cache
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact import LINE
from reference import REFERENCE
from scipy import integrate

from softq import landscapes
from softq.exact.boltzmann import Boltzmann, nodes_and_weights
from softq.exact.importance import Importance, entropy_floor, masses_on_grid, smooth_step
from softq.exact.values import evaluate
from softq.landscapes import Landscape
from softq.samplers.entropy import snis_entropy
from softq.utils.errors import SoftqError

QUAD = landscapes.get("quad1")
LAW_OF = {"quad1": QUAD, "spike1": landscapes.get("spike1"), "quad2": landscapes.get("quad2")}
LAW_OF |= {"bandit8": landscapes.get("bandit"), "linear1": LINE}
PANELS = {1: 12800, 2: 128}  # fine enough for a needle whose value moves by 60 temperatures within 0.01
ENTRIES = [
    name for name in REFERENCE if name.startswith("snis.") and ".lam" in name and "density" not in name
]


@cache
def exact(name, temperature):
    q = LAW_OF[name]
    return Importance.of(Boltzmann(q, temperature, panels=PANELS[q.dim]))


def entry(name):
    reference = REFERENCE[name]
    law = exact(name.split(".lam")[0].split(".")[-1], reference["params"].get("lam", 0.1))
    return law, reference["value"], reference["tol"]


@pytest.mark.parametrize("name", ENTRIES)
def test_distances_and_bounds(name):
    law, value, tol = entry(name)
    assert law.variance == pytest.approx(value["VarW"], abs=tol["VarW"])
    assert law.w_max == pytest.approx(value["Wmax"], abs=tol["Wmax"])
    assert law.distortion == pytest.approx(value["EpAbs1mW"], abs=tol["EpAbs1mW"])
    # the reference's means of |1 - W| and (1 - W)_+ share one quadrature, on the bandit the coarser of its two
    kinked = max(tol["tv"], tol["EpAbs1mW"]) if "bandit" in name else tol["tv"]
    for m, expected in value["by_m"].items():
        m = int(m)
        assert law.tv(m) == pytest.approx(expected["tv"], abs=tol["tv"])
        assert law.kl(m) == pytest.approx(expected["kl"], abs=1e-9)
        assert law.jensen(m) == pytest.approx(expected["jensen"], abs=kinked)
        assert law.kl_bound(m) == pytest.approx(expected["kl_bound"], abs=1e-9)
        if m > 1:  # in the thousands: the reference has twelve digits, so these tolerances are relative
            assert law.lemma3(m) == pytest.approx(expected["lemma3"], rel=1e-9, abs=kinked)
            assert law.theorem2(m) == pytest.approx(expected["thm2"], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["snis.density.quad1.lam0.1", "snis.density.spike1.lam0.1"])
def test_density_of_the_survivor(name):
    law, value, tol = entry(name)
    for point in value.values():
        log_w = np.log([point["W"]])
        for m, omega in point["omega"].items():
            assert law.ratio(int(m), log_w)[0] * point["p"] == pytest.approx(omega, abs=tol)
    m, at = 5, np.log([value["0.0" if "quad1" in name else "0.7"]["W"]])
    assert abs(law.ratio(m, at) / law.ratio(m + 1, at) - 1) > 1e-3  # phi to the power m would be seen


# Against enumeration: three actions, all that can happen is listed

W = np.array([0.3, 0.9, 2.4])
Q_MASS = np.array([0.5, 0.3, 0.2])
Q_MASS = np.append(Q_MASS[:2] * (1 - 0.2 * 2.4) / (Q_MASS[:2] @ W[:2]), 0.2)
LOG_W = np.log(W) - np.log(W @ (Q_MASS / Q_MASS.sum()))
THREE = Importance(LOG_W, Q_MASS / Q_MASS.sum())


def pools(num):
    """Every pool of `num` candidates as indices, with its probability."""
    for pool in product(range(3), repeat=num):
        yield list(pool), np.prod(THREE.q_mass[list(pool)])


def survivor(m):
    """The law of the survivor of m candidates."""
    law = np.zeros(3)
    for pool, chance in pools(m):
        weights = np.exp(THREE.log_w[pool])
        np.add.at(law, pool, chance * weights / weights.sum())
    return law


@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_ratio_is_what_enumeration_gives(m):
    np.testing.assert_allclose(THREE.ratio(m) * THREE.p_mass, survivor(m), atol=1e-14)
    assert THREE.tv(m) == pytest.approx(np.abs(survivor(m) - THREE.p_mass).sum() / 2, abs=1e-14)
    assert THREE.tv(m) != pytest.approx(np.abs(survivor(m + 1) - THREE.p_mass).sum() / 2, abs=1e-3)


def swept(law, m, forget=False):
    """One sweep by enumeration; `forget` leaves the current point out of the pool, the classic mistake."""
    after = np.zeros(3)
    for current in range(3):
        for pool, chance in pools(m - 1):
            members = pool if forget else [*pool, current]
            weights = np.exp(THREE.log_w[members])
            np.add.at(after, members, law[current] * chance * weights / weights.sum())
    return after


@pytest.mark.parametrize("m", [2, 3, 5])
def test_a_sweep_is_what_enumeration_gives(m):
    law, f = survivor(m), THREE.ratio(m)
    for k in range(3):
        assert THREE.isir(m, 2)[k] == pytest.approx(np.abs(law - THREE.p_mass).sum() / 2, abs=1e-14)
        law, f = swept(law, m), THREE.sweep(m, f)
        np.testing.assert_allclose(f * THREE.p_mass, law, atol=1e-14)
    np.testing.assert_allclose(swept(THREE.p_mass, m), THREE.p_mass, atol=1e-15)
    flux = np.array([THREE.p_mass * THREE.sweep(m, point) for point in np.eye(3)])
    np.testing.assert_allclose(flux, flux.T, atol=1e-14)  # reversible
    assert np.abs(swept(THREE.p_mass, m, forget=True) - THREE.p_mass).sum() > 0.01


@pytest.mark.parametrize("m", [1, 2, 5])
def test_means_of_estimators_are_what_enumeration_gives(m):
    """The real estimator of the entropy, on every pool: three values stand for three actions."""
    dim, values = 2, THREE.log_w.astype(np.float32)
    truth = dim * np.log(2) - THREE.p_mass @ THREE.log_w  # entropy of the density W / |A|
    listed, chances = map(np.array, zip(*pools(m), strict=True))
    estimates = jax.jit(jax.vmap(lambda pool: snis_entropy(pool, dim, 1.0)))(values[listed])
    log_mean = chances @ np.log(np.exp(THREE.log_w[listed]).mean(1))
    entropy = chances @ np.asarray(estimates, float)
    assert THREE.log_mean_bias(m) == pytest.approx(log_mean, abs=1e-14)
    assert THREE.entropy_bias(m) == pytest.approx(
        entropy - truth, abs=1e-6
    )  # the estimator is single precision


# Estimators and iterated resampling against reference numbers


@pytest.mark.parametrize(
    "name", [name for name in REFERENCE if name.startswith("entropy_est.") and ".lam" in name]
)
def test_entropy_estimate(name):
    law, value, tol = entry(name)
    temperature = REFERENCE[name]["params"]["lam"]
    for m, expected in value["by_m"].items():
        m = int(m)
        assert law.entropy_bias(m) == pytest.approx(expected["bias"], abs=tol)
        assert law.log_mean_bias(m) == pytest.approx(expected["E_logZ_bias"], abs=tol)
        assert temperature * law.log_mean_bias(m) == pytest.approx(expected["sql_value_bias"], abs=tol)
        assert entropy_floor(1, m) == pytest.approx(expected["floor"], abs=tol)
        assert value["true_entropy"] + law.entropy_bias(m) > entropy_floor(1, m)
        assert law.log_mean_bias(m) < 0


def test_entropy_floor():
    reference = REFERENCE["entropy_est.floor"]
    for d, expected in reference["value"].items():
        d = int(d)
        assert entropy_floor(d, 1000) == pytest.approx(expected["floor_m1000"], abs=reference["tol"])
        assert entropy_floor(d, expected["m_needed_for_target"]) == pytest.approx(-d, abs=1e-9)
    assert [d for d in range(1, 18) if entropy_floor(d, 1000) > -d] == list(range(5, 18))


def test_iterated_resampling():
    reference, law = REFERENCE["isir.quad1.lam0.01491"], exact("quad1", 0.01490711985)
    for m, expected in reference["value"].items():
        m = int(m)
        distances = law.isir(m, 4)
        np.testing.assert_allclose(distances, expected["tv"], atol=reference["tol"])
        assert law.isir_rate(m) == pytest.approx(expected["rate_bound"], abs=1e-10)
        assert (distances[1:] <= law.isir_rate(m) * distances[:-1]).all()
        assert law.invariance_error(m) < 1e-14
        # a sweep that never stays put moves p
        assert np.abs(law.p_mass * (1 - np.exp(law.log_w) * law.ratio(m) / m - 1)).sum() > 1e-3


# Any dimension


def test_dimension():
    """The tolerance of these entries is relative."""
    reference = REFERENCE["snis.quad_d"]
    for d, expected in reference["value"].items():
        law = Importance.separable(QUAD, expected["lam"], int(d))
        assert 1 + law.variance == pytest.approx(expected["one_plus_VarW"], rel=reference["tol"])
        assert law.ess(100) == pytest.approx(expected["ESS_at_m100"], rel=reference["tol"])
        assert law.w_max == pytest.approx(expected["Wmax"], rel=reference["tol"])
        assert law.candidates_for(0.1, "kl_bound") == int(np.ceil(expected["m_for_kl_bound_0p1"]))
        assert law.invariance_error(100) < 1e-14


@pytest.mark.parametrize("name", ["snis.quad1.lam0.01491", "snis.quad2.lam0.02108", "snis.quad2.lam0.1"])
def test_convolution_agrees_with_quadrature(name):
    reference = REFERENCE[name]
    law = Importance.separable(QUAD, reference["params"]["lam"], LAW_OF[name.split(".")[1]].dim)
    for m, expected in reference["value"]["by_m"].items():
        assert law.tv(int(m)) == pytest.approx(expected["tv"], abs=1e-9)
        assert law.kl(int(m)) == pytest.approx(expected["kl"], abs=1e-9)
        assert law.jensen(int(m)) == pytest.approx(expected["jensen"], abs=1e-9)


@pytest.mark.parametrize("dim", [3, 6])
def test_distance_of_a_cold_ball(dim):
    """So cold that p does not feel the walls: the law of the regret under p is then a gamma distribution."""
    temperature = 0.01
    law = Importance.separable(QUAD, temperature, dim)
    for m in (10, 100, 10_000):
        x = lambda log_w: np.log(law.w_max) - log_w
        inside = np.flatnonzero(law.ratio(m) < 1)[0]
        edge = np.interp(0, (law.ratio(m) - 1)[[inside, inside - 1]], x(law.log_w)[[inside, inside - 1]])
        gamma = lambda u: u ** (dim / 2 - 1) * np.exp(-u)
        lack = lambda u: 1 - law.ratio(m, np.log(law.w_max) - np.array([u]))[0]
        mass = integrate.quad(gamma, 0, 60, epsabs=1e-13)[0]
        distance = integrate.quad(lambda u: gamma(u) * lack(u), 0, edge, epsabs=1e-12)[0] / mass
        assert law.tv(m) == pytest.approx(distance, abs=1e-8)


def test_grid_keeps_moments_and_step_has_none():
    rng = np.random.default_rng(0)
    x, mass = rng.uniform(0, 9, 50), rng.uniform(0, 1, 50)
    shared = masses_on_grid(x, mass)
    at = np.arange(len(shared)) - 3
    for k in range(8):
        assert shared @ (at / 9.0) ** k == pytest.approx(mass @ (x / 9) ** k, rel=1e-12)
    assert shared @ (at / 9.0) ** 8 != pytest.approx(mass @ (x / 9) ** 8, rel=1e-12)
    z = np.linspace(-12, 12, 4801)
    for k in range(7):
        assert abs(integrate.simpson((smooth_step(z) - (z > 0) - 0.5 * (z == 0)) * z**k, x=z)) < 1e-4
    assert abs(integrate.simpson((smooth_step(z) - (z > 0)) * z**7, x=z)) > 1


def test_what_lies_below_the_floor_does_not_matter():
    """At this temperature W falls to exp(-990); the parabola's gamma law is exact there."""
    law = Importance.separable(QUAD, 1e-3, 1)
    assert law.log_w.min() > -82
    assert 1 + law.variance == pytest.approx(np.sqrt(2 / (np.pi * 1e-3)), rel=1e-11)
    assert law.tv(100) == pytest.approx(Importance.of(Boltzmann(QUAD, 1e-3)).tv(100), abs=1e-9)


# Bounds: what is above what


@pytest.mark.parametrize("name", ["snis.quad1.lam0.1", "snis.spike1.lam0.1", "snis.quad2.lam0.02108"])
@pytest.mark.parametrize("m", [2, 10, 100, 3000])
def test_order_of_the_bounds(name, m):
    law = entry(name)[0]
    assert 0 < law.tv(m) < law.jensen(m) < min(1, law.variance_bound(m), law.lemma3(m))
    assert 0 < law.kl(m) < law.kl_bound(m)
    assert (np.abs(law.ratio(m) - 1) <= law.lemma2(m)).all()
    assert (np.diff(law.ratio(m)) <= 1e-12).all()  # it decreases in W


def test_theorem_2_as_printed_is_not_a_bound():
    for temperature in (10.0, 100.0, 1000.0):
        law = Importance.of(Boltzmann(LINE, temperature, panels=200))
        m = 125
        assert law.tv(m) > 7 * law.theorem2(m)
        # Var W = 1 / (3 lambda^2), E_p (W - 1)_+ = 1 / (4 lambda): the ratio has no bound
        assert law.tv(m) / law.theorem2(m) == pytest.approx(0.75 * temperature * (m - 1) / m, rel=0.02)
        assert law.tv(m) < law.jensen(m) < law.lemma3(m)


def test_candidates_for_is_the_smallest():
    law = exact("quad1", 0.1)
    for bound in ("tv", "jensen", "variance_bound", "kl_bound", "lemma3"):
        m = law.candidates_for(0.01, bound)
        assert getattr(law, bound)(m) <= 0.01 < getattr(law, bound)(m - 1)


# Corners


def test_a_constant_landscape_needs_no_weights():
    flat = Landscape("flat", 1, 0.0, power=(0.0, 2.0))
    for law in (Importance.separable(flat, 0.1, 3), Importance.of(Boltzmann(flat, 0.1))):
        # the weights sum to 1 up to a rounding, which depends on how NumPy groups the sum
        assert [law.tv(1), law.kl(1), law.variance] == pytest.approx([0, 0, 0], abs=1e-15)
        assert law.tv(7) == pytest.approx(0, abs=1e-12)


def test_one_candidate_is_uniform():
    law = exact("quad1", 0.1)
    np.testing.assert_allclose(law.ratio(1) * np.exp(law.log_w), 1, atol=1e-11)
    assert law.tv(1) == pytest.approx(law.jensen(1), abs=1e-11)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Importance(np.zeros(2), np.ones(2)), r"q_mass sums to 2, expected 1"),
        (lambda: Importance(np.ones(2), np.full(2, 0.5)), r"E_q\[W\] sums to 2.71828, expected 1"),
        (lambda: THREE.tv(0), r"num_candidates must be positive and finite, got 0"),
        (lambda: THREE.lemma3(1), r"num_candidates must be at least 2 here, got 1"),
        (lambda: THREE.candidates_for(0.0), r"target must be positive and finite, got 0"),
        (lambda: THREE.candidates_for(1e-20, "variance_bound"), r"no m below 1e15 brings variance_bound"),
        (lambda: Importance.separable(QUAD, -1.0, 2), r"temperature must be positive and finite, got -1"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(SoftqError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_the_order_of_the_nodes_does_not_matter():
    """Nodes come as they lie in the box, not by weight; a shuffled law is the same law."""
    law = Boltzmann(landscapes.get("skew1"), 0.1, panels=40)
    log_w, q_mass = law.values / 0.1 - law.log_partition + np.log(2), law.weights / 2
    shuffled = np.random.default_rng(0).permutation(len(log_w))
    given, sorted_, mixed = (
        Importance(log_w[i], q_mass[i]) for i in (slice(None), np.argsort(log_w), shuffled)
    )
    for m in (1, 2, 50):
        assert given.tv(m) == pytest.approx(sorted_.tv(m), abs=1e-13)
        assert mixed.tv(m) == pytest.approx(sorted_.tv(m), abs=1e-13)
    assert given.tv(1) == pytest.approx(0.5 * law.probabilities @ np.abs(1 - np.exp(-log_w)), abs=1e-12)


# Where the law of W is not smooth: a plateau, a ridge, the top of a second hill


def plateaus(a):
    """Two round plateaus, a disc and what lies beyond a ring: two near-atoms of the law of W."""
    r = jnp.sqrt(a[0] ** 2 + a[1] ** 2 + 1e-6)
    return (jnp.tanh((0.35 - r) / 0.03) + 1) / 2 + 0.4 * (jnp.tanh((r - 0.6) / 0.03) + 1)


def test_near_atoms_of_w():
    """The law of W by the radius alone: an arc of the circle of radius r > 1 is cut off at each wall."""
    inner, share = nodes_and_weights(1, 300)
    r, arc = (inner[:, 0] + 1) / 2, share * np.pi * (inner[:, 0] + 1) / 2
    inner, share = nodes_and_weights(1, 60)
    u = np.sqrt(np.sqrt(2) - 1) * (inner[:, 0] + 1) / 2  # r = 1 + u^2: the arcs' lengths are smooth in u
    outer = 1 + u**2
    cut = 2 * np.pi * outer - 8 * outer * np.arccos(1 / outer)
    r, mass = np.append(r, outer), np.append(arc, share * np.sqrt(np.sqrt(2) - 1) * u * cut) / 4
    log_w = evaluate(plateaus, np.stack([r, 0 * r], -1)) / 0.01
    log_w -= np.log(mass @ np.exp(log_w))
    exact, law = Importance(log_w, mass), Importance.of(Boltzmann(plateaus, 0.01, dim=2))
    assert exact.tv(100) == pytest.approx(0.012806, abs=1e-6)
    for m in (10, 100, 1000):
        assert law.tv(m) == pytest.approx(exact.tv(m), abs=2e-6)
        assert law.jensen(m) == pytest.approx(exact.jensen(m), abs=2e-6)
    np.testing.assert_allclose(law.isir(100, 3), exact.isir(100, 3), atol=2e-6)
    law._plain = []
    assert abs(law.tv(100) - exact.tv(100)) > 3e-4  # the rounded kink alone


@pytest.mark.parametrize(("name", "temperature", "tol"), [("twomode1", 0.1, 1e-7), ("lemniscate", 0.3, 1e-6)])
def test_jumps_of_the_law_of_w(name, temperature, tol):
    """At ten candidates the kink lies at the top of the second hill, and where the ridge's volume turns steep."""
    law = Boltzmann(landscapes.get(name), temperature)
    rounded, fine = Importance.of(law), Boltzmann(law.q, temperature, panels=6 * law.panels // law.dim)
    log_w = fine.values / temperature - fine.log_partition + law.dim * np.log(2)
    at = np.linspace(rounded.log_w[0], rounded.log_w[-1], 20_001)
    ratio = np.interp(log_w, at, rounded.ratio(10, at))
    exact = fine.probabilities @ np.maximum(1 - ratio, 0)
    assert rounded.tv(10) == pytest.approx(exact, abs=tol)
    assert rounded.tv(1) <= rounded.jensen(1) + 1e-12
    rounded._plain = []
    assert abs(rounded.tv(10) - exact) > 10 * tol
