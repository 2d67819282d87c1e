"""NC-LQL's annealed sampler against the exact law of its chain, independent numbers, and the mutants of each test."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact import numpy_of
from reference import REFERENCE
from scipy import stats

from softq import landscapes
from softq.box import project, reflect, uniform_action
from softq.exact.laws import Law, chain_law, stationary_law, uniform_law
from softq.exact.values import evaluate
from softq.samplers import (
    annealed_langevin,
    geometric_levels,
    initial_action,
    langevin,
    level_steps,
    softmax_score,
)
from softq.testing import THRESHOLD, binomial, check_sampler, chi_square, draw, mean_test
from softq.utils.errors import SoftqError

CELLS = 1000
BOUNDARIES = {"reflect": reflect, "project": project}
# Coarse levels that blur one hill into the other, and steps from half of the box to many cells
LEVELS, LAST_STEP, TEMPERATURE, REPEATS = np.array([0.6, 0.25, 0.1]), 0.004, 0.1, 2


def slope_of(q):
    return lambda action, sigma: jax.grad(q.blurred(sigma))(action)


def blurred_slope(q, sigma):
    """The slope of a 1-D landscape of bumps and a slope, blurred, in float64 NumPy: written out once more."""

    def slope(x):
        total = np.full_like(x, 0.0 if q.slope is None else q.slope[0])
        for height, (centre,), width in q.bumps:
            variance = width**2 + sigma**2
            tall = height * width / np.sqrt(variance)
            total -= tall * (x - centre) / variance * np.exp(-((x - centre) ** 2) / (2 * variance))
        return total

    return slope


def annealed_law(
    q, levels, steps, temperature, repeats=2, unit_slope=True, boundary="project", cells=CELLS
) -> Law:
    """Exact law from a uniform start: `chain_law` level after level, each with its own score."""
    law = uniform_law(cells)
    for sigma, step in zip(levels, steps, strict=True):
        slope = blurred_slope(q, sigma)

        def score(x, slope=slope):
            length = np.abs(slope(x)) + 1e-8 if unit_slope else 1.0
            return slope(x) / length / temperature

        law = chain_law(score, [step] * repeats, law, cells, boundary)
    return law


@cache
def sampler(name, unit_slope=True, boundary="project"):
    """From a uniform start; compiled once for all levels, steps and temperatures of one shape."""
    q = landscapes.get(name)

    def one(key, levels, steps, temperature):
        first, drive = jax.random.split(key)
        options = {"unit_slope": unit_slope, "boundary": BOUNDARIES[boundary]}
        return annealed_langevin(
            drive, slope_of(q), initial_action(first, q.dim), levels, steps, temperature, REPEATS, **options
        )

    return jax.jit(jax.vmap(one, in_axes=(0, None, None, None)))


def draws(key, name, levels=LEVELS, last=LAST_STEP, temperature=TEMPERATURE, num=20_000, **options):
    steps = np.asarray(level_steps(levels, last))
    arrays = [np.float32(x) for x in (levels, steps, temperature)]
    return np.asarray(sampler(name, **options)(jax.random.split(key, num), *arrays))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("unit_slope", [True, False])
@pytest.mark.parametrize("name", ["twomode1", "skew1"])
def test_exact_law_and_its_mutants(name, unit_slope, boundary, key):
    options = {"unit_slope": unit_slope, "boundary": boundary}
    steps = np.asarray(level_steps(LEVELS, LAST_STEP), float)
    law = annealed_law(landscapes.get(name), LEVELS, steps, TEMPERATURE, **options)
    rejects = lambda samples: chi_square(samples, *law) < THRESHOLD
    assert not rejects(draws(key, name, **options))
    assert rejects(draws(key, name, temperature=TEMPERATURE / 2, **options)), "drift without the 1/2"
    assert rejects(draws(key, name, **options | {"unit_slope": not unit_slope})), "the other drift"
    if name == "skew1":
        other = {"reflect": "project", "project": "reflect"}[boundary]
        assert rejects(draws(key, name, **options | {"boundary": other})), "the other boundary"
    assert rejects(draws(key, name, levels=LEVELS / 10, **options)), "no blur, the same steps"
    assert rejects(draws(key, name, levels=LEVELS**1.2, **options)), "other levels"


def test_the_battery_with_two_orders_of_levels(key):
    """The battery on the sampler as a reader would call it; the same levels from fine to coarse do not pass."""
    q, steps = landscapes.get("skew1"), level_steps(LEVELS, LAST_STEP)

    def one(k, slope):
        first, drive = jax.random.split(k)
        return annealed_langevin(
            drive,
            slope,
            uniform_action(first, 1),
            LEVELS,
            steps,
            TEMPERATURE,
            unit_slope=False,
            boundary=reflect,
        )

    law = annealed_law(q, LEVELS, np.asarray(steps, float), TEMPERATURE, 2, False, "reflect")
    check_sampler(lambda k: one(k, slope_of(q)), 1, law=law)
    backwards = lambda action, sigma: slope_of(q)(action, LEVELS[0] * LEVELS[-1] / sigma)
    with pytest.raises(AssertionError, match="disagree with the exact law"):
        check_sampler(lambda k: one(k, backwards), 1, law=law, only="law")


PRINTED = geometric_levels(0.1, 0.001, 10)


def test_reference_levels():
    expected = REFERENCE["nclql.levels"]["value"]
    with jax.enable_x64(True):
        steps = np.asarray(level_steps(PRINTED, 1e-4))
    for i, level in enumerate(expected.values()):
        assert PRINTED[i] == pytest.approx(level["sigma"], abs=1e-10)
        assert steps[i] == pytest.approx(level["alpha"], abs=1e-10)
        assert steps[i] * 500 / 2 == pytest.approx(level["drift"], abs=1e-8)
        assert np.sqrt(steps[i]) / steps[i] / 250 == pytest.approx(1 / level["drift_over_noise"], rel=1e-9)


SAMPLER = {k: v for k, v in REFERENCE["nclql.sampler_law"]["value"].items() if "boltzmann" not in k}
PEAK = {"twomode1": 0.6, "spike1": 0.7}
CUT = 0.25  # what the reference's "right_mass" means, found from its eight numbers: beyond 0.25, not beyond the valley


@pytest.mark.parametrize("setting", SAMPLER)
def test_reference_sampler_law(setting, key):
    """The finite chain with the printed settings: exact law and 20,000 draws, both against independent numbers."""
    name, w, kind = setting.split("|")
    expected, unit_slope = SAMPLER[setting], kind == "normalised"
    q, temperature = landscapes.get(name), 1 / float(w.split("=")[1])
    steps = 1e-4 * (PRINTED / PRINTED[-1]) ** 2
    narrow = unit_slope and w == "w=500"  # its peaks are a few cells of the coarser grid wide
    cells = 2000 if narrow else CELLS
    law = annealed_law(q, PRINTED, steps, temperature, unit_slope=unit_slope, cells=cells)
    value = numpy_of(q)[0]
    near = lambda a: np.abs(a - PEAK[name]) < 0.05
    tol = REFERENCE["nclql.sampler_law"]["tol"]
    assert law.mean(value) == pytest.approx(expected["E_f"], abs=tol)
    assert law.atoms.sum() == pytest.approx(expected["boundary_mass"], abs=tol)
    assert law.mean(near) == pytest.approx(expected["within_0p05_of_right_peak"], abs=tol)

    a = draws(key, name, PRINTED, 1e-4, temperature, unit_slope=unit_slope)[:, 0].astype(float)
    assert mean_test(value(a), expected["E_f"]) > THRESHOLD
    assert binomial((np.abs(a) == 1).sum(), len(a), expected["boundary_mass"]) > THRESHOLD
    assert binomial(near(a).sum(), len(a), expected["within_0p05_of_right_peak"]) > THRESHOLD
    assert law.mean(lambda x: x > CUT) == pytest.approx(expected["right_mass"], abs=tol)
    assert binomial((a > CUT).sum(), len(a), expected["right_mass"]) > THRESHOLD
    reversed_rule = mean_test(value(a), SAMPLER[f"{name}|{w}|{'raw' if unit_slope else 'normalised'}"]["E_f"])
    assert reversed_rule < THRESHOLD, "the other drift"


BANDIT = landscapes.get("bandit")


@cache
def bandit_sampler(unit_slope, repeats):
    """Table 4's protocol: start N(0, I) on [-2, 2]^2, clip after each step; ours is the same at half the lengths."""

    def one(key, levels, steps, temperature):
        first, drive = jax.random.split(key)
        a0 = initial_action(first, 2, "normal", 0.5)
        return annealed_langevin(drive, slope_of(BANDIT), a0, levels, steps, temperature, repeats, unit_slope)

    return jax.jit(jax.vmap(one, in_axes=(0, None, None, None)))


def bandit_shares(key, high, low, epsilon, w, repeats, unit_slope, num=60_000):
    """Shares in the discs of the high and the low modes and the mean reward, from settings in the paper's units.

    Halving lengths quarters the step. A raw slope doubles, and the drift is right; a normalised one does not, so w has
    to: the normalised w is one over a length.
    """
    levels = geometric_levels(high, low, 10)
    steps = epsilon / 4 * (levels / levels[-1]) ** 2
    temperature = 1 / (2 * w if unit_slope else w)
    arrays = [np.float32(x) for x in (levels / 2, steps, temperature)]
    a = bandit_sampler(unit_slope, repeats)(jax.random.split(key, num), *arrays)
    centres = np.array([centre for _, centre, _ in BANDIT.bumps])
    inside = np.linalg.norm(np.asarray(a)[:, None] - centres, axis=-1) < 0.15
    reward = evaluate(BANDIT, np.asarray(a)).mean()
    return inside[:, ::2].any(1).mean(), inside[:, 1::2].any(1).mean(), reward


MC = {f"{k}|eps=0.0001|T=1": v for k, v in REFERENCE["bandit8.nclql_mc"]["value"].items()}
MC |= {f"{k}|normalised": v for k, v in REFERENCE["bandit8.nclql_tuned_mc"]["value"].items()}


@pytest.mark.parametrize("setting", MC)
def test_reference_bandit(setting, key):
    parts = dict(part.split("=") for part in setting.split("|") if "=" in part)
    high, low = map(float, parts["sigma"].split("->"))
    numbers = high, low, float(parts["eps"]), float(parts["w"]), int(parts["T"])
    found = bandit_shares(key, *numbers, "normalised" in setting)
    expected = [MC[setting][name] for name in ("all_high", "all_low", "mean_reward")]
    np.testing.assert_allclose(found, expected, atol=0.01)  # four standard errors of the reference


def test_the_units_of_a_normalised_w(key):
    """The mutant of the scaling: w unchanged at half the lengths is another sampler."""
    expected = MC["sigma=1.0->0.01|w=15|normalised|eps=0.0001|T=1"]["all_high"]
    found = bandit_shares(key, 1.0, 0.01, 1e-4, 7.5, 1, True)[0]
    assert abs(found - expected) > 0.05


def test_one_level_without_normalisation_is_langevin(key):
    q, a0 = landscapes.get("twomode2"), np.float32([0.3, -0.2])

    @jax.jit
    def paths(key):
        one = np.float32([0.2]), np.float32([0.05]), 0.3, 7, False, reflect, True
        many = annealed_langevin(key, slope_of(q), a0, *one)
        plain = langevin(key, softmax_score(q.blurred(0.2), 0.3), a0, jnp.full(7, 0.05), reflect, True)
        steps = level_steps(LEVELS, 0.01)
        unequal = annealed_langevin(key, slope_of(q), a0, LEVELS, steps, 0.3, (1, 2, 4), trajectory=True)
        return many, plain, unequal

    many, plain, unequal = map(np.asarray, paths(key))
    np.testing.assert_allclose(many, plain, atol=1e-6)
    assert many.shape == (8, 2)
    assert unequal.shape == (8, 2)
    np.testing.assert_array_equal(unequal[0], a0)


def test_increasing_transforms_of_a_normalised_critic_change_nothing(key):
    """exp(3 Q) and Q send every chain to the same place; without normalisation they do not.

    checks thm-annealing-transform
    """
    q = landscapes.get("twomode2")
    other = lambda action, sigma: jax.grad(lambda a: jnp.exp(3 * q.blurred(sigma)(a)))(action)
    both = []
    for unit_slope in (True, False):
        run = lambda k, slope: annealed_langevin(
            k, slope, jnp.array([0.1, -0.2]), LEVELS, level_steps(LEVELS, 1e-3), 0.1, 2, unit_slope
        )
        keys = jax.random.split(key, 500)
        ends = [jax.jit(jax.vmap(lambda k: run(k, slope)))(keys) for slope in (slope_of(q), other)]
        both.append(np.median(np.abs(np.subtract(*ends))))
    assert both[0] < 1e-4 < 1e-2 < both[1]


def test_stationary_law_of_a_normalised_slope():
    """exp(U / temperature), U' = sign Q': the chain's law tends to it as the step shrinks, whatever the heights are.

    checks thm-annealing-normalised
    """
    temperature, x = 0.1, np.linspace(-1, 1, 500 * 5 + 1)[:-1] + 1 / 2500
    slope = blurred_slope(landscapes.get("twomode1"), 0.0)
    uphill = np.cumsum(np.sign(slope(x))) * 2 / 2500
    weights = np.exp(uphill / temperature).reshape(500, 5).sum(1)
    distances = []
    for step in (0.01, 0.0025, 0.000625):
        law = stationary_law(lambda a: np.sign(slope(a)) / temperature, step)
        distances.append(0.5 * np.abs(law.probabilities - weights / weights.sum()).sum())
    assert distances[0] > 1.8 * distances[1] > 1.8**2 * distances[2]  # of the order of the step's square root
    assert distances[2] < 0.015
    raw = stationary_law(lambda a: slope(a) / temperature, 0.000625).probabilities
    assert 0.5 * np.abs(raw - weights / weights.sum()).sum() > 0.1


@pytest.mark.parametrize("std", [0.2, 1.0])
def test_starts(std, key):
    assert not chi_square(draw(lambda k: initial_action(k, 1), key, 20_000), *uniform_law()) < THRESHOLD
    a = draw(lambda k: initial_action(k, 3, "normal", std), key, 20_000)
    for wall in (-1, 1):
        assert binomial((a[:, 1] == wall).sum(), 20_000, stats.norm.sf(1 / std)) > THRESHOLD
    assert binomial((np.abs(a[:, 2]) < 0.5 * std).sum(), 20_000, 2 * stats.norm.cdf(0.5) - 1) > THRESHOLD


def call(**changes):
    given = {
        "key": jax.random.key(0),
        "slope_at": slope_of(landscapes.get("quad1")),
        "a0": jnp.zeros(1),
        "levels": LEVELS,
        "step_sizes": np.full(3, 0.1),
        "temperature": 1.0,
    }
    return annealed_langevin(**given | changes)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda: call(levels=LEVELS[::-1]), r"levels must fall from coarse to fine, got \[0.1, 0.25, 0.6\]"),
        (lambda: call(levels=np.array([0.2, 0.2, 0.1])), "levels must fall"),
        (lambda: call(levels=np.array([0.2, 0.1, 0.0])), "levels must be positive"),
        (lambda: call(step_sizes=np.array([0.1, 0.1, -0.1])), "step_sizes must be positive"),
        (lambda: call(step_sizes=np.full(2, 0.1)), "one entry for each of 3 levels"),
        (lambda: call(temperature=0.0), "temperature must be positive"),
        (lambda: call(steps_per_level=0), "steps_per_level must be positive"),
        (lambda: call(steps_per_level=(1, 2)), "one entry for each of 3 levels"),
        (lambda: call(a0=jnp.full(1, 1.2)), "a0 must lie in the box"),
        (lambda: geometric_levels(0.1, 0.2, 5), "levels fall over at least 2 values"),
        (lambda: geometric_levels(0.1, 0.0, 5), "sigma_min must be positive"),
        (lambda: level_steps(LEVELS, 0.0), "last_step must be positive"),
        (lambda: initial_action(jax.random.key(0), 2, "norml"), "unknown start 'norml'.*normal"),
        (lambda: initial_action(jax.random.key(0), 2, "normal", -1.0), "std must be positive"),
    ],
)
def test_bad_input_is_one_clear_line(bad, words):
    with pytest.raises(SoftqError, match=words) as error:
        bad()
    assert "\n" not in str(error.value)
