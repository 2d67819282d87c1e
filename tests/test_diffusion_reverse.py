"""Reverse diffusions against the exact laws of their finite chains, and the two errors that DQS makes around them."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import REFERENCE
from scipy import stats

from softq import landscapes
from softq.diffusion import (
    CosineVP,
    VarianceExploding,
    ancestral,
    noise_from_score,
    probability_flow,
    reverse_sde,
    score_from_noise,
)
from softq.diffusion.processes import FINAL, times
from softq.exact.boltzmann import Boltzmann
from softq.exact.laws import softmax_law
from softq.exact.laws.diffused import Mixture
from softq.exact.laws.reverse_process import line_score, reverse_law
from softq.samplers import diffusion_sampler
from softq.testing import THRESHOLD, binomial, check_sampler, chi_square
from softq.utils.errors import SoftqError

COSINE, GEOMETRIC = CosineVP(), VarianceExploding(0.02, 1.0)


def two(weight, place, deviation):
    """Two Gaussians at +-place, `weight` on the right one."""
    return Mixture(np.array([weight, 1 - weight]), np.array([[place], [-place]]), np.full(2, deviation**2))


PAIR = two(0.8, 0.9, 0.15)  # it leans over the walls, so that clipping matters


def numpy_score(mixture):
    """The score of a noised 1-D mixture, written out once more, in float64 NumPy."""
    w, m, v = (np.asarray(x, float) for x in (mixture.weights, mixture.means[:, 0], mixture.variances))

    def score(x, signal, noise):
        variance = signal**2 * v + noise**2
        away = signal * m - x[:, None]
        logs = np.log(w) - away**2 / (2 * variance) - np.log(variance) / 2
        p = np.exp(logs - logs.max(1, keepdims=True))
        return np.sum(p * away / variance, 1) / p.sum(1)

    return score


def score_of(mixture, schedule):
    return score_from_noise(mixture.noise_of(schedule), schedule)


# name: (schedule, steps, what reverse_law is told, how the sampler is called)
CHAINS = {
    "sde": (COSINE, 12, {"final": "reflect"}, reverse_sde),
    "sde, log": (COSINE, 12, {"spacing": "log_sigma", "final": "none"}, reverse_sde),
    "exploding": (GEOMETRIC, 15, {"final": "none"}, reverse_sde),
    "exploding, tanh": (GEOMETRIC, 15, {"final": "tanh"}, reverse_sde),
    "exploding, clipped": (GEOMETRIC, 15, {"final": "project", "t_end": 0.3}, reverse_sde),
    "beta": (COSINE, 8, {"process": "beta"}, ancestral),
    "posterior": (COSINE, 8, {"process": "posterior"}, ancestral),
    "beta, free": (COSINE, 8, {"process": "beta", "clip": False, "final": "none"}, ancestral),
    "ancestral, exploding": (GEOMETRIC, 8, {"process": "posterior"}, ancestral),
    "euler": (COSINE, 12, {"process": "euler", "final": "reflect"}, probability_flow),
    "heun": (COSINE, 12, {"process": "heun", "spacing": "log_sigma", "final": "none"}, probability_flow),
}


@cache
def law_of(name):
    schedule, steps, options, _ = CHAINS[name]
    return reverse_law(numpy_score(PAIR), schedule, steps, **options)


@cache
def draws_of(name, num=20_000):
    schedule, steps, options, f = CHAINS[name]
    options = dict(options)
    process = options.pop("process", None)
    if f is ancestral:
        options.pop("final", None)
        field, options = PAIR.noise_of(schedule), options | {"variance": process}
    else:
        field = score_of(PAIR, schedule)
        options |= {"method": process} if f is probability_flow else {}
    one = lambda key: f(key, field, 1, schedule, steps, **options)
    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(7), num)))[:, 0]


@pytest.mark.parametrize("name", CHAINS)
def test_exact_laws_tell_every_chain_from_every_other(name):
    samples = draws_of(name)
    assert chi_square(samples, *law_of(name)) > THRESHOLD
    for other in CHAINS:
        if other != name:
            assert chi_square(samples, *law_of(other)) < THRESHOLD, other


def test_no_noise_in_the_last_step(key):
    """The mutant adds it, with the deviation that the step would have."""
    before, after = np.asarray(jax.jit(COSINE.signal)(np.float32([0.125, 0.001])))
    noise = np.sqrt(1 - (before / after) ** 2) * np.asarray(jax.random.normal(key, (20_000,)))
    blurred = np.clip(draws_of("beta") + noise, -1, 1)
    assert chi_square(blurred, *law_of("beta")) < THRESHOLD


def test_the_law_does_not_depend_on_its_grid():
    """The law of a Gaussian's chain, whose steps are linear: mean and variance by recursion."""
    gauss = Mixture(np.ones(1), np.array([[0.3]]), np.array([0.04]))
    law = reverse_law(numpy_score(gauss), COSINE, 15, final="none", cells=4000)
    t = np.linspace(COSINE.t_max, COSINE.t_min, 16)
    with jax.enable_x64(True):
        levels = jax.jit(lambda t: (COSINE.signal(t), COSINE.noise(t), COSINE.g2(t)))
        signal, noise, g2 = map(np.asarray, levels(t))
    mean, variance = 0.0, noise[0] ** 2
    for i in range(15):
        dt, v = t[i] - t[i + 1], signal[i] ** 2 * 0.04 + noise[i] ** 2
        rate = 1 + dt * g2[i] * (0.5 - 1 / v)
        mean = rate * mean + dt * g2[i] * signal[i] * 0.3 / v
        variance = rate**2 * variance + g2[i] * dt
    centres = (law.edges[1:] + law.edges[:-1]) / 2
    assert law.probabilities @ centres == pytest.approx(mean, abs=1e-9)
    cell = (centres[1] - centres[0]) ** 2 / 12  # a histogram's own
    assert law.probabilities @ (centres - mean) ** 2 == pytest.approx(variance + cell, abs=1e-8)


def test_chains_converge_to_the_softmax():
    """With the exact score, from twice the steps to half of the distance; the flow by Heun's rule does better."""
    q, temperature = landscapes.get("twomode1"), 0.3
    score = line_score(q, temperature, 100)
    value = lambda x: np.exp(-((x - 0.6) ** 2) / 0.045) + 0.9 * np.exp(-((x + 0.6) ** 2) / 0.045)
    target = softmax_law(value, temperature, 400)
    tv = lambda n, process, **options: reverse_law(score, COSINE, n, process, cells=400, **options).tv(target)
    chains = [tv(n, "sde", spacing="log_sigma", final="reflect") for n in (10, 20, 40)]
    assert chains[0] > 1.6 * chains[1] > 1.6**2 * chains[2]
    flow = tv(20, "heun", spacing="log_sigma", final="reflect")
    assert flow < chains[2]
    assert tv(40, "beta") < chains[0]


def test_flow_of_a_gaussian_is_linear():
    """Heun's error falls with the square of the step, Euler's with the step."""
    gauss = Mixture(np.ones(1), np.array([[0.3]]), np.array([0.04]))
    start = np.array([1.2])
    with jax.enable_x64(True):
        levels = jax.jit(lambda t: (COSINE.signal(t), COSINE.noise(t)))
        signal, noise = map(np.asarray, levels(np.array([1e-3, 0.9946])))
    deviation = np.sqrt(signal**2 * 0.04 + noise**2)
    exact = signal[0] * 0.3 + deviation[0] / deviation[1] * (1.2 - signal[1] * 0.3)

    def error(method, n):
        with jax.enable_x64(True):
            score = score_of(gauss, COSINE)
            run = lambda a: probability_flow(
                jax.random.key(0), score, 1, COSINE, n, method, "log_sigma", start=a
            )
            return abs(float(np.asarray(jax.jit(run)(start))[0]) - exact)

    assert error("euler", 100) == pytest.approx(2 * error("euler", 200), rel=0.1)
    assert error("heun", 100) == pytest.approx(4 * error("heun", 200), rel=0.1)
    assert error("heun", 200) < 1e-4


@pytest.mark.parametrize("setting", REFERENCE["dqs.prior_mismatch"]["value"])
def test_reference_prior_mismatch(setting):
    """A perfect reverse process from N(0, 1) gives a mode the average responsibility under N(0, 1), not its weight."""
    expected = REFERENCE["dqs.prior_mismatch"]["value"][setting]
    w, place = (float(part.split("=")[1]) for part in setting.split(","))
    x = np.linspace(-12, 12, 200_001)
    step = x[1] - x[0]
    parts = [p * stats.norm.pdf(x, m, np.hypot(1, 0.05)) for p, m in ((w, place), (1 - w, -place))]
    prior = stats.norm.pdf(x)
    assert 0.5 * step * np.abs(sum(parts) - prior).sum() == pytest.approx(expected["tv_prior"], abs=1e-6)
    right = step * np.sum(prior * parts[0] / sum(parts))
    assert right == pytest.approx(expected["weight_right_sampled"], abs=1e-6)
    if w == 0.8:
        score = numpy_score(two(w, place, 0.05))
        schedule = VarianceExploding(0.01, 1.0)
        laws = [reverse_law(score, schedule, n, final="none") for n in (40, 80)]
        mass = [law.probabilities[law.edges[1:] > 0].sum() for law in laws]
        assert abs(mass[1] - right) < 0.6 * abs(mass[0] - right) < 0.02 < w - mass[1]


def test_dqs_chain_keeps_the_wrong_weights(key):
    """The same by the sampler, with steps in log sigma: the binomial test allows the law's mass and not the weight."""
    mixture, schedule = two(0.8, 0.8, 0.05), VarianceExploding(0.01, 1.0)
    run = lambda k: reverse_sde(k, score_of(mixture, schedule), 1, schedule, 40)
    right = int((np.asarray(jax.jit(jax.vmap(run))(jax.random.split(key, 10_000))) > 0).sum())
    law = reverse_law(numpy_score(mixture), schedule, 40, final="none")
    middle = np.abs(law.edges).argmin()
    mass = np.interp(0.0, law.edges, np.append(0, np.cumsum(law.probabilities)))
    assert middle > 0 and binomial(right, 10_000, 1 - mass) > THRESHOLD
    assert binomial(right, 10_000, 0.8) < THRESHOLD


@pytest.mark.parametrize("k", REFERENCE["dqs.tanh"]["value"])
def test_reference_tanh(k):
    """Sampling exp(k tanh u) and executing tanh u: total variation, and the mass that piles up at the walls."""
    expected, slope = REFERENCE["dqs.tanh"]["value"][k], float(k)
    u = np.linspace(-3, 3, 400_001)
    a = np.asarray(FINAL["tanh"](jnp.asarray(u, jnp.float32)), np.float64)
    weights = np.exp(slope * np.tanh(u))
    weights[[0, -1]] /= 2
    weights /= weights.sum()
    assert weights[np.abs(a) > 0.9].sum() == pytest.approx(expected["mass_outside_0p9"], abs=2e-5)
    # executed density weights / |du| / (1 - a^2) against exp(k a) / z, as densities in u
    z = 2.0 if slope == 0 else 2 * np.sinh(slope) / slope
    intended = np.exp(slope * np.tanh(u)) / z / np.cosh(u) ** 2 * (u[1] - u[0])
    intended[[0, -1]] /= 2
    tv = 0.5 * np.abs(weights - intended).sum() + 0.5 * (1 - intended.sum())
    assert tv == pytest.approx(expected["tv"], abs=REFERENCE["dqs.tanh"]["tol"])
    target = intended[np.abs(np.tanh(u)) > 0.9].sum() + 1 - intended.sum()
    assert target == pytest.approx(expected["mass_outside_0p9_target"], abs=2e-5)


def test_sampler_with_one_sample_has_the_law_of_the_exact_score(key):
    """A Gaussian Q on R^d: the combined estimate is its score, so the whole sampler has the law of the exact chain."""
    v, mean = 0.04, 0.3
    q = lambda a: -jnp.sum((a - mean) ** 2) / 2
    gauss = Mixture(np.ones(1), np.array([[mean]]), np.array([v]))
    law = reverse_law(numpy_score(gauss), COSINE, 10, "beta")

    def draw(believed):
        estimate = {"truncate": False, "variance": believed}
        one = lambda k: diffusion_sampler(k, q, 1, v, 10, 1, "combined", estimate=estimate)
        return jax.jit(jax.vmap(one))(jax.random.split(key, 20_000))

    assert chi_square(draw(v), *law) > THRESHOLD
    assert chi_square(draw(1.5 * v), *law) < THRESHOLD


@pytest.mark.parametrize("process", ["ancestral", "flow"])
def test_battery(process):
    q = landscapes.get("twomode2")
    check_sampler(lambda k: diffusion_sampler(k, q, 2, 0.3, 4, 8, process=process), 2)


@pytest.mark.parametrize("process", ["ancestral", "sde", "flow"])
def test_the_noise_of_an_estimate_does_not_hang_on_the_last_digits_of_a_time(process, key):
    """Times that differ by a millionth, as those of two compilers may, give nearly the same actions from one key."""
    q, keys = landscapes.get("bandit"), jax.random.split(key, 50)

    @jax.jit
    def actions(t_min):
        schedule = CosineVP(t_min=t_min)
        one = lambda k: diffusion_sampler(k, q, 2, 0.3, 4, 8, process=process, schedule=schedule)
        return jax.vmap(one)(keys)

    first, second = (np.asarray(actions(np.float32(t_min))) for t_min in (1e-3, 1e-3 + 1e-6))
    assert np.any(first != second), "the times do differ"
    assert np.median(np.abs(first - second)) < 1e-3, "other noise moves an action by a tenth and more"


def test_samples_a_landscape_without_a_network(key):
    """Two hills on the box, 15 steps of the flow with 2 x 64 values each, against quadrature; a warm mutant is seen."""
    q = landscapes.get("twomode1")
    exact = Boltzmann(q, 0.1)

    @jax.jit
    def draw(temperature):
        options = {"process": "flow", "spacing": "log_sigma", "method": "heun"}
        one = lambda k: diffusion_sampler(k, q, 1, temperature, 15, 64, **options)
        return jax.vmap(one)(jax.random.split(key, 3000))

    allowed = exact.tv_floor(3000, 20) + 0.05
    assert exact.tv(draw(0.1), 20) < allowed < exact.tv(draw(0.15), 20)


@pytest.mark.parametrize("process", ["ancestral", "sde", "flow"])
def test_many_dimensions_and_trajectories(process, key):
    q = lambda a: -jnp.sum(a**2)
    run = lambda path: diffusion_sampler(key, q, 17, 0.5, 5, 10, process=process, trajectory=path)
    path, last = map(np.asarray, jax.jit(lambda: (run(True), run(False)))())
    assert path.shape == (6, 17) and np.abs(path[-1]).max() <= 1 < np.abs(path[0]).max()
    np.testing.assert_allclose(path[-1], last, atol=1e-5)  # two programs: rounding grows over ten steps


def test_a_given_start_is_where_it_starts(key):
    score, perfect = score_of(PAIR, COSINE), PAIR.noise_of(COSINE)
    field, start = noise_from_score(score, COSINE), jnp.array([0.7])

    @jax.jit
    def run(key):
        chains = (reverse_sde, score), (probability_flow, score), (ancestral, field)
        paths = [f(key, given, 1, COSINE, 3, start=start, trajectory=True) for f, given in chains]
        return [path[0] for path in paths], field(start, jnp.float32(0.5)), perfect(start, jnp.float32(0.5))

    starts, found, expected = run(key)
    assert np.all(np.array(starts) == np.float32([0.7]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("schedule", [COSINE, GEOMETRIC], ids=["cosine", "geometric"])
def test_times(schedule):

    @jax.jit
    def both():
        found = {spacing: times(schedule, 10, spacing, 0.2) for spacing in ("time", "log_sigma")}
        return found, schedule.log_snr(found["log_sigma"])

    found, log_snr = both()
    for t in map(np.asarray, found.values()):
        assert (
            t[0] == pytest.approx(schedule.t_max) and t[-1] == pytest.approx(0.2) and np.all(np.diff(t) < 0)
        )
    for even in (np.asarray(found["time"]), np.asarray(log_snr)):
        np.testing.assert_allclose(np.diff(even), np.diff(even)[0], rtol=1e-3)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda s: reverse_sde(jax.random.key(0), s, 1, COSINE, 0), "num_steps must be positive"),
        (lambda s: reverse_sde(jax.random.key(0), s, 0, COSINE, 3), "dim must be positive"),
        (lambda s: reverse_sde(jax.random.key(0), s, 1, COSINE, 3, "even"), "unknown spacing 'even'"),
        (lambda s: reverse_sde(jax.random.key(0), s, 1, COSINE, 3, final="clip"), "unknown final 'clip'"),
        (
            lambda s: reverse_sde(jax.random.key(0), s, 1, COSINE, 3, start=jnp.zeros(2)),
            r"start has shape \(2,\), expected \(1,\)",
        ),
        (lambda s: ancestral(jax.random.key(0), s, 1, COSINE, 3, "bets"), "unknown variance 'bets'.*beta"),
        (lambda s: probability_flow(jax.random.key(0), s, 1, COSINE, 3, "rk4"), "unknown method 'rk4'"),
        (lambda s: diffusion_sampler(jax.random.key(0), jnp.sum, 1, 0.0), "temperature must be positive"),
        (lambda s: diffusion_sampler(jax.random.key(0), jnp.sum, 1, 1.0, 3, 0), "num must be positive"),
        (
            lambda s: diffusion_sampler(jax.random.key(0), jnp.sum, 1, 1.0, 3, 5, "qen"),
            "unknown estimator 'qen'.*qne",
        ),
        (
            lambda s: diffusion_sampler(jax.random.key(0), jnp.sum, 1, 1.0, 3, 5, process="ode"),
            "unknown process 'ode'",
        ),
        (lambda s: line_score(jnp.sum, -1.0), "temperature must be positive"),
        (lambda s: reverse_law(lambda x, *_: -40 * x, COSINE, 3, "euler"), "is not monotone"),
    ],
)
def test_bad_input_is_one_clear_line(bad, words):
    with pytest.raises(SoftqError, match=words) as error:
        bad(score_of(PAIR, COSINE))
    assert "\n" not in str(error.value)
