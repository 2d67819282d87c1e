"""Noise schedules and score estimators: closed forms, exact moments at finitely many samples, the box at its faces."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import REFERENCE
from scipy import special, stats

from softq import landscapes
from softq.diffusion import CosineVP, LinearVP, StepsVP, VarianceExploding, combined, idem, qne, qsm
from softq.diffusion.scores import TOGETHER, at_each, rfm, stein_weight
from softq.diffusion.truncated_normal import log_mass, truncated_normal
from softq.exact.laws import uniform_law
from softq.exact.laws.diffused import FOUR_GAUSSIANS, Mixture, noised_softmax, proposal_nodes, self_normalised
from softq.exact.values import evaluate
from softq.landscapes import Landscape
from softq.testing import THRESHOLD, chi_square, mean_test
from softq.utils.errors import SoftqError

COSINE, GEOMETRIC, LINEAR = CosineVP(), VarianceExploding(), LinearVP()
BETAS = (0.1, 0.02, 0.3, 0.25)  # variances of four steps
STEPS = StepsVP(np.array(BETAS))
FLAT = Landscape("flat", 1, 0.0, slope=(0.0,))
SLOPE = Landscape("slope", 1, 2.0, slope=(2.0,))
HILL = Landscape("hill", 2, 1.0, bumps=((1.0, (0.7, -0.3), 0.4),), slope=(0.5, -0.8))


def exactly(f, *arguments):
    """In double precision, as one program; NumPy in and out."""
    with jax.enable_x64(True):
        found = jax.jit(f)(*[np.asarray(a, np.float64) for a in arguments])
        return jax.tree.map(np.asarray, found)


def levels(parameters):
    """signal and noise of a reference setting."""
    if "s" in parameters:
        return parameters["s"] ** 0.5, (1 - parameters["s"]) ** 0.5
    return 1.0, parameters["sigma"]


# Schedules


def test_reference_schedule():
    t = np.linspace(1e-3, 0.9946, 21)
    expected = np.array(REFERENCE["d4.schedule"]["value"]["s"])
    signal, noise = exactly(lambda t: (COSINE.signal(t), COSINE.noise(t)), t)
    np.testing.assert_allclose(signal**2, expected, atol=1e-12)
    np.testing.assert_allclose(noise**2, 1 - expected, atol=1e-12)
    table = REFERENCE["d4.ve_score"]["value"]
    sigma = [float(setting.split("|")[0].split("=")[1]) for setting in table]
    times = [value["tau_geometric"] for value in table.values()]
    np.testing.assert_allclose(exactly(GEOMETRIC.noise, times), sigma, rtol=1e-9)


def test_the_linear_schedule_has_the_discrete_values_of_the_codes():
    """Step k of T multiplies signal^2 by exp(-0.1 / T - 4.95 (2 k - 1) / T^2)."""
    k = np.arange(1, 21)
    signal2 = np.cumprod(np.exp(-0.1 / 20 - 4.95 * (2 * k - 1) / 400))
    signal, noise = exactly(lambda t: (LINEAR.signal(t), LINEAR.noise(t)), k / 20)
    np.testing.assert_allclose(signal**2, signal2, rtol=1e-12)
    np.testing.assert_allclose(noise**2, 1 - signal2, rtol=1e-10)


def test_a_schedule_of_steps_has_their_products():
    signal2 = np.cumprod(1 - np.array(BETAS))
    signal, noise = exactly(lambda t: (STEPS.signal(t), STEPS.noise(t)), np.arange(5) / 4)
    np.testing.assert_allclose(signal**2, [1, *signal2], rtol=1e-12)
    np.testing.assert_allclose(noise**2, [0, *1 - signal2], atol=1e-12)
    halfway = exactly(STEPS.signal, [3 / 8])[0] ** 2  # in the middle of the second step
    assert halfway == pytest.approx(0.9 * 0.98**0.5, rel=1e-12)


@pytest.mark.parametrize(
    "schedule", [COSINE, GEOMETRIC, LINEAR, STEPS], ids=["cosine", "geometric", "linear", "steps"]
)
def test_marginals_belong_to_the_equation(schedule):
    """signal' = f signal and (noise^2)' = 2 f noise^2 + g^2; the log ratio falls and `time_of` inverts it."""
    t = np.linspace(schedule.t_min + 1e-3, schedule.t_max, 50)

    def curves(t):
        slope = lambda f: jax.vmap(jax.grad(f))(t)
        return {
            "signal": schedule.signal(t),
            "noise2": schedule.noise(t) ** 2,
            "f": schedule.drift(t),
            "g2": schedule.g2(t),
            "log_snr": schedule.log_snr(t),
            "time": schedule.time_of(schedule.log_snr(t)),
            "slope of signal": slope(schedule.signal),
            "slope of noise2": slope(lambda t: schedule.noise(t) ** 2),
        }

    at = exactly(curves, t)
    f, g2, noise2 = at["f"], at["g2"], at["noise2"]
    np.testing.assert_allclose(at["slope of signal"], f * at["signal"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(at["slope of noise2"], 2 * f * noise2 + g2, rtol=1e-9)
    assert np.abs(at["slope of noise2"] / (2 * f * noise2 + g2 / 2) - 1).max() > 0.1
    np.testing.assert_allclose(at["log_snr"], np.log(at["signal"] ** 2 / noise2), atol=1e-9)
    assert np.all(np.diff(at["log_snr"]) < 0)
    np.testing.assert_allclose(at["time"], t, atol=1e-9)


def test_little_noise_keeps_its_digits():
    """In single precision: a product of sines, where one minus the signal's square has lost three digits."""
    t = 1e-3
    exact = float(exactly(COSINE.noise, t))
    noise, signal = jax.jit(lambda t: (COSINE.noise(t), COSINE.signal(t)))(np.float32(t))
    assert float(noise) == pytest.approx(exact, rel=1e-6)
    naive = np.sqrt(1 - np.asarray(signal) ** 2)
    assert naive.dtype == np.float32 and abs(float(naive) / exact - 1) > 1e-4


# Exact scores and moments


@cache
def compiled_four():
    """Log-density and score of the noised mixture, its score again by differentiation, and QSM's surrogate."""

    def all_of(a_t, signal, noise):
        law = FOUR_GAUSSIANS.noised(signal, noise)
        surrogate = qsm(jax.random.key(0), FOUR_GAUSSIANS, 1.0, a_t, signal, noise)
        return law(a_t), law.score(a_t), jax.grad(law)(a_t), surrogate

    return jax.jit(all_of)


def four(*arguments):
    with jax.enable_x64(True):
        found = compiled_four()(*[jnp.asarray(a, jnp.float64) for a in arguments])
        return [np.asarray(x) for x in found]


@jax.jit
def four_at(actions):
    """Log-density and score of the mixture itself at many actions."""
    return jax.vmap(lambda a: (FOUR_GAUSSIANS(a), FOUR_GAUSSIANS.score(a)))(actions)


@pytest.mark.parametrize("entry", ["d4.vp_score", "d4.ve_score"])
def test_reference_scores(entry):
    for setting, value in REFERENCE[entry]["value"].items():
        level, place = (part.split("=")[1] for part in setting.split("|"))
        a_t = np.array(eval(place))
        signal, noise = levels({"s" if "vp" in entry else "sigma": float(level)})
        log_density, score, slope, surrogate = four(a_t, signal, noise)
        np.testing.assert_allclose(score, value["score"], atol=1e-10)
        np.testing.assert_allclose(log_density, value["logp_t" if "vp" in entry else "logp_tau"], atol=1e-10)
        np.testing.assert_allclose(slope, value["score"], atol=1e-9)
        if "vp" in entry:
            np.testing.assert_allclose(-noise * score, value["eps_star"], atol=1e-10)
            np.testing.assert_allclose(surrogate, value["qsm"], atol=1e-9)


def test_reference_target():
    table = REFERENCE["d4.target"]["value"]
    log_density, score = exactly(four_at, [eval(place) for place in table])
    expected = table.values()
    np.testing.assert_allclose(log_density, [value["logp"] for value in expected], rtol=0, atol=1e-10)
    np.testing.assert_allclose(score, [value["score"] for value in expected], atol=1e-9)


def test_reference_box(key):
    """The exact score by quadrature; QSM and iDEM see nothing, and iDEM with its faces is exact, since Q is flat."""

    @jax.jit
    def estimates(a, signal, noise):
        given = (key, FLAT, 1.0, a[None], signal, noise)
        plain = qsm(*given), idem(*given, 5), idem(*given, 5, True)
        return jnp.concatenate([*plain, idem(*given, 1, True, True), qne(*given, 200_000)])

    for setting, value in REFERENCE["box.uniform_score"]["value"].items():
        s, a = (float(part.split("=")[1]) for part in setting.split("|"))
        signal, noise = s**0.5, (1 - s) ** 0.5
        score = noised_softmax(FLAT, 1.0, [[a]], signal, noise).score[0, 0]
        assert score == pytest.approx(value["exact"], abs=2e-10)
        surrogate, free, inside, faces, by_noise = np.asarray(estimates(a, signal, noise))
        assert surrogate == value["qsm"] and free == inside == value["idem"]
        assert faces == pytest.approx(value["exact"], abs=2e-5)
        assert by_noise == pytest.approx(value["exact"], abs=5 / noise / 200_000**0.5)


@pytest.mark.parametrize("num", [1, TOGETHER, TOGETHER + 1, 3 * TOGETHER - 7])
def test_q_and_its_slope_are_those_of_each_action_however_many_there_are(num):
    actions = np.random.default_rng(0).uniform(-1, 1, (num, 2))
    values, slopes = exactly(lambda a: at_each(jax.value_and_grad(HILL), a), actions)
    expected, slopes_expected = exactly(jax.vmap(jax.value_and_grad(HILL)), actions)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(slopes, slopes_expected, rtol=0, atol=1e-12)


def test_the_memory_of_an_estimate_does_not_grow_with_the_layers_of_a_critic(key):
    """Twice as many actions need no more room for hidden layers, of which 64 states at 200 actions have 13 MB."""
    weights = jax.random.normal(key, (2, 256))

    def room(num):
        one = lambda key, a_t: idem(key, lambda a: jnp.sum(jnp.tanh(a @ weights)), 0.5, a_t, 1.0, 0.5, num)
        given = jax.random.split(key, 64), jnp.zeros((64, 2))
        return jax.jit(jax.vmap(one)).lower(*given).compile().memory_analysis().temp_size_in_bytes

    assert room(4 * TOGETHER) - room(2 * TOGETHER) < 64 * 2 * TOGETHER * 256 * 4 / 10


def test_a_slope_against_a_wall(key):
    """iDEM points at the wall, the score away from it; the sign is the boundary term's."""
    signal, noise = 0.99**0.5, 0.1
    exact = noised_softmax(SLOPE, 1.0, [[0.95]], signal, noise).score[0, 0]
    assert exact == pytest.approx(-4.45, abs=0.01)
    one = lambda k, faces: idem(k, SLOPE, 1.0, jnp.array([0.95]), signal, noise, 20_000, True, faces)[0]
    plain, faces = jax.jit(lambda k: (one(k, False), one(k, True)))(key)
    assert plain == pytest.approx(2.01, abs=0.01)
    assert faces == pytest.approx(exact, abs=0.1)


ESTIMATES = [name for name in REFERENCE if "_estimators." in name]


@cache
def moments(entry, num, theta=0.5):
    """Exact mean and standard deviation at `num` samples of QNE, iDEM and their mixture, by quadrature."""
    parameters = REFERENCE[entry]["params"]
    a_t = np.array(parameters.get("a_t", parameters.get("a_tau")))
    signal, noise = levels(parameters)
    nodes = proposal_nodes(a_t, signal, noise, box=False, width=0.35, reach=8)
    by_noise = (nodes.actions * signal - a_t) / noise**2
    log_density, score = exactly(four_at, nodes.actions)
    by_slope = score / signal
    f = np.concatenate([by_noise, by_slope, theta * by_noise + (1 - theta) * by_slope], 1)
    mean, deviation = self_normalised(nodes.mass, log_density, f, num)
    names = "QNE", "iDEM", "both"
    return {name: (mean[2 * i : 2 * i + 2], deviation[2 * i : 2 * i + 2]) for i, name in enumerate(names)}


@pytest.mark.parametrize("name", ["QNE", "iDEM"])
@pytest.mark.parametrize("entry", ESTIMATES)
def test_reference_moments(entry, name):
    many = REFERENCE[entry]["params"]["K"][1]
    mean, deviation = moments(entry, many)[name]
    value = REFERENCE[entry]["value"][name][str(many)]
    np.testing.assert_allclose(mean, value["mean"], atol=REFERENCE[entry]["tol"])
    # The table's variance is a difference of moments around 0, good to ten digits of these: at little noise, where a
    # deviation is a hundredth of the mean, its own tolerance is too small. Ours is taken around the limit.
    digits = 2e-10 * mean**2 / (2 * deviation)
    error = np.abs(deviation - value["std"])
    assert np.all(error < np.maximum(REFERENCE[entry]["tol"], digits))


@cache
def estimator(f, num, **options):
    """Many estimates at once, compiled once for all noise levels."""

    def one(key, a_t, signal, noise, temperature):
        return f(key, FOUR_GAUSSIANS, temperature, a_t, signal, noise, num, **options)

    return jax.jit(jax.vmap(one, in_axes=(0, None, None, None, None)))


def estimates(f, entry, key, num, count=10_000, temperature=1.0, **options):
    parameters = REFERENCE[entry]["params"]
    a_t = jnp.array(parameters.get("a_t", parameters.get("a_tau")))
    drawn = estimator(f, num, **options)(jax.random.split(key, count), a_t, *levels(parameters), temperature)
    return np.asarray(drawn, np.float64)


def agree(samples, mean, deviation):
    """Both moments of every coordinate, by their own tests."""
    tests = [mean_test(x, m) for x, m in zip(samples.T, mean, strict=True)]
    tests += [mean_test((x - m) ** 2, s**2) for x, m, s in zip(samples.T, mean, deviation, strict=True)]
    return min(tests) > THRESHOLD


@pytest.mark.parametrize("name", ["QNE", "iDEM"])
@pytest.mark.parametrize("entry", ESTIMATES)
def test_estimators_have_the_exact_moments(entry, name, key):
    """Against the table at 100 samples; then eps with the other sign, another temperature, and fewer samples."""
    f = {"QNE": qne, "iDEM": idem}[name]
    value = REFERENCE[entry]["value"][name]["100"]
    expected = value["mean"], value["std"]
    samples = estimates(f, entry, key, 100, truncate=False)
    assert agree(samples, *expected)
    assert not agree(-samples, *expected), "the sign of eps"
    assert not agree(estimates(f, entry, key, 100, temperature=1.1, truncate=False), *expected), (
        "other weights"
    )
    assert not agree(estimates(f, entry, key, 90, truncate=False), *expected), "fewer samples"


def test_known_normaliser_has_no_bias(key):
    """Theorem 3.2 against 3.3 at five samples: with Z the mean is the score, without it is not."""
    entry = "d4.vp_estimators.s0.99.a-0.6_0.4"
    value = REFERENCE[entry]["value"]
    exact = value["exact_score"]
    known = estimates(qne, entry, key, 5, truncate=False, log_z=value["logZ"])
    unknown = estimates(qne, entry, key, 5, truncate=False)
    assert min(mean_test(x, m) for x, m in zip(known.T, exact, strict=True)) > THRESHOLD
    assert max(mean_test(x, m) for x, m in zip(unknown.T, exact, strict=True)) < THRESHOLD


def test_noise_target_is_minus_noise_times_score(key):
    one = lambda k, target: qne(
        k, FOUR_GAUSSIANS, 1.0, jnp.array([0.3, 0.2]), 0.9, 0.436, 50, False, target=target
    )
    noise, score = jax.jit(lambda k: (one(k, "noise"), one(k, "score")))(key)
    np.testing.assert_allclose(noise, -0.436 * np.asarray(score), rtol=1e-5)


# The control variate


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("dim", [1, 3])
def test_one_sample_is_exact_for_a_gaussian(dim, alike, key):
    """theta = r / (r + v) at 200 random Gaussians, noises and places; fitted to 100 samples, theta is the same."""

    @jax.jit
    def settings(key):
        keys = jax.random.split(key, 5)
        v = jnp.exp(jax.random.normal(keys[0], (200, 1 if alike else dim)) - 2)
        m, a_t = jax.random.uniform(keys[1], (2, 200, dim), minval=-1.0)
        power = jax.random.uniform(keys[2], (200,), minval=0.05, maxval=0.995)
        return jax.random.split(keys[3], 200), v, m, a_t, power

    given = settings(key)

    def one(key, v, m, a_t, power, num, exchanged=False):
        signal, noise = jnp.sqrt(power), jnp.sqrt(1 - power)
        r = (noise / signal) ** 2
        variance = {None: None, False: v, True: r**2 / v}[exchanged]
        q = lambda a: -jnp.sum((a - m) ** 2 / (2 * v))
        estimate = combined(key, q, 1.0, a_t, signal, noise, num, False, variance=variance)
        return estimate + (a_t - signal * m) / (signal**2 * v + noise**2)

    def errors(*options):
        return np.abs(jax.jit(jax.vmap(lambda *x: one(*x, *options)))(*given))

    assert errors(1).max() < 2e-4
    assert np.quantile(errors(100, None), 0.9) < 1e-3
    assert np.median(errors(1, True)) > 0.1, "theta and 1 - theta exchanged"


def test_reference_crossover():
    """Asymptotic noise of both, of the best mixture and its theta, in units of eps*, by quadrature."""
    a_t = np.array(REFERENCE["d4.crossover"]["params"]["a_t"])
    for s, value in REFERENCE["d4.crossover"]["value"].items():
        signal, noise = levels({"s": float(s)})
        nodes = proposal_nodes(a_t, signal, noise, box=False, width=0.3, reach=7)
        log_w, slope = exactly(four_at, nodes.actions)
        w = np.exp(log_w - special.logsumexp(log_w, b=nodes.mass))
        score = four(a_t, signal, noise)[1]
        g = (nodes.actions * signal - a_t) / noise**2 - score
        h = slope / signal - score
        inner = lambda x, y: nodes.mass @ (w**2 * np.sum(x * y, 1)) * noise**2
        gg, hh, gh = inner(g, g), inner(h, h), inner(g, h)
        theta = (hh - gh) / (gg + hh - 2 * gh)
        mix = theta * g + (1 - theta) * h
        found = np.sqrt(gg), np.sqrt(hh), theta, gh / np.sqrt(gg * hh), np.sqrt(inner(mix, mix))
        expected = [value[n] for n in ("QNE", "iDEM", "best_theta_on_QNE", "correlation", "best_mix_std")]
        np.testing.assert_allclose(found, expected, atol=1e-5 if float(s) < 0.999 else 2e-6)


@pytest.mark.parametrize(("entry", "v"), [("d4.vp_estimators.s0.99.a0.3_0.2", 0.04), (ESTIMATES[2], 0.3)])
def test_combined_has_the_exact_moments(entry, v, key):
    """At a theta that is not the best one, so that both parts matter."""
    signal, noise = levels(REFERENCE[entry]["params"])
    r = (noise / signal) ** 2
    expected = moments(entry, 100, r / (r + v))["both"]
    assert agree(estimates(combined, entry, key, 100, truncate=False, variance=v), *expected)
    assert not agree(estimates(combined, entry, key, 100, truncate=False, variance=r * r / v), *expected)


def test_fitted_theta_is_fifty_times_quieter_at_the_crossover(key):
    entry = "d4.vp_estimators.s0.99.a0.3_0.2"
    value = REFERENCE[entry]["value"]
    samples = estimates(combined, entry, key, 500, 2000, truncate=False)
    quiet = np.array(value["QNE"]["500"]["std"]) / samples.std(0)
    assert quiet.min() > 50  # 92 to 870 by coordinate and seed
    np.testing.assert_allclose(samples.mean(0), value["exact_score"], atol=0.005)


def test_the_weight_of_reverse_flow_matching_for_a_normal_law():
    """A softmax N(0.7, 0.25) on the straight path at t = 0.6, y_t = 0.3: L = 0.16 and every term is 0.628."""
    y0 = np.random.default_rng(0).normal(size=(50, 1))
    y1 = (0.3 - 0.4 * y0) / 0.6
    s = 0.6 / 0.4 * y0 - (y1 - 0.7) / 0.25
    w = special.softmax(-((y1 - 0.7) ** 2) / 0.5, 0)
    ridge = 5e-4 / np.sum((w * (s - np.sum(w * s))) ** 2)  # relative to the sum that it is added to
    weight = float(stein_weight(*map(jnp.asarray, (w, w * y1, w * s)))[0])
    assert weight == pytest.approx(0.16 / (1 + ridge), rel=1e-5)
    np.testing.assert_allclose(y1 + 0.16 * s, 0.628, atol=1e-12)
    steep = stein_weight(*map(jnp.asarray, (w, 1e3 * w * y1, w * s)))
    assert float(steep[0]) == 3.0
    assert float(stein_weight(*map(jnp.asarray, (w, -1e3 * w * y1, w * s)))[0]) == -3.0

    q = lambda a: -jnp.sum((a - 0.7) ** 2) / 0.5
    score = jax.jit(lambda key: rfm(key, q, 1.0, jnp.array([0.3]), 0.6, 0.4, 50, False))(jax.random.key(0))
    assert (0.3 + 0.16 * float(score[0])) / 0.6 == pytest.approx(0.628, abs=1e-3)


def rfm_by_hand(weights, eps, slopes, signal, noise, sign=1):
    """The mean action by reverse flow matching, and the score that it implies, in float64; one coordinate."""
    y, s = (
        noise / signal * eps,
        slopes - signal / noise * eps,
    )  # the part a_t / signal of y moves neither L nor the sum
    centre = lambda f: weights * (f - np.sum(weights * f))
    weight = -np.sum(centre(y) * centre(s)) / (np.sum(centre(s) ** 2) + 5e-4)
    return (np.sum(weights * y) + sign * np.clip(weight, -3, 3) * np.sum(weights * s)) * signal / noise**2


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("noise", "a_t"), [(0.1, 0.05), (0.4, 0.3), (0.8, -0.9)])
def test_rfm_is_its_formula(noise, a_t, sign, key):
    """On two hills in one dimension, between them, on one, and under much noise; the control variate subtracted."""
    eps = np.asarray(jax.random.normal(key, (40, 1)), np.float64)[:, 0]
    signal, q = 0.8, lambda a: jnp.logaddexp(-((a[0] - 0.5) ** 2) / 0.08, -((a[0] + 0.4) ** 2) / 0.08)
    a = (a_t + noise * eps) / signal
    hills = np.stack([-((a - 0.5) ** 2) / 0.08, -((a + 0.4) ** 2) / 0.08])
    slopes = np.sum(special.softmax(hills, 0) * np.stack([0.5 - a, -0.4 - a]) / 0.04, 0)
    weights = special.softmax(special.logsumexp(hills, axis=0))
    expected = rfm_by_hand(weights, eps, slopes, signal, noise, sign)
    one = jax.jit(lambda key: rfm(key, q, 1.0, jnp.array([a_t]), signal, noise, 40, False))
    assert (abs(float(one(key)[0]) - expected) < 1e-3 * max(1, abs(expected))) == (sign == 1)


@pytest.mark.parametrize("entry", ["d4.vp_estimators.s0.99.a0.3_0.2", ESTIMATES[2]])
def test_rfm_tends_to_the_exact_score(entry, key):
    """Its bias falls as 1 / num; at the crossover of QNE and iDEM it is fifty times quieter than QNE."""
    value = REFERENCE[entry]["value"]
    exact, spread = np.array(value["exact_score"]), np.array(value["QNE"]["100"]["std"])
    few, many = (estimates(rfm, entry, key, num, 2000, truncate=False) for num in (20, 400))
    closer = np.abs(many.mean(0) - exact) + 5 * many.std(0) / np.sqrt(2000)
    assert (closer < 0.2 * spread).all()
    assert (many.std(0) < few.std(0)).all()
    if entry != ESTIMATES[2]:
        assert (50 * estimates(rfm, entry, key, 100, 2000, truncate=False).std(0) < spread).all()


# The box


def box_averages(q, a_t, signal, noise, temperature=0.5):
    """What QNE, iDEM and iDEM with its faces average over truncated proposals: nodes' mass and log-weight, and each f.

    With its faces, iDEM is a self-normalised average as well.
    """
    a_t = np.asarray(a_t, float)
    nodes = proposal_nodes(a_t, signal, noise, width=0.1)
    log_w = evaluate(q, nodes.actions) / temperature
    by_noise = (nodes.actions * signal - a_t) / noise**2
    by_slope = exactly(jax.vmap(jax.grad(q)), nodes.actions) / temperature / signal
    spread, centre = noise / signal, a_t / signal
    flux = np.zeros_like(by_slope)
    for j in range(len(a_t)):
        inside = stats.norm.cdf(1, centre[j], spread) - stats.norm.cdf(-1, centre[j], spread)
        for wall in (-1.0, 1.0):
            moved = nodes.actions.copy()
            moved[:, j] = wall
            density = stats.norm.pdf(wall, centre[j], spread) / inside
            flux[:, j] += wall * density * np.exp(evaluate(q, moved) / temperature - log_w)
    return nodes.mass, log_w, {"qne": by_noise, "idem": by_slope, "faces": by_slope - flux / signal}


@pytest.mark.parametrize(("q", "a_t"), [(landscapes.get("skew1"), (0.9,)), (HILL, (0.85, -0.9))])
def test_estimators_on_the_box(q, a_t, key):
    """Truncated QNE and iDEM with its faces are consistent; every mutant has other moments."""
    signal, noise, num, temperature = 0.95**0.5, 0.05**0.5, 20, 0.5
    exact = noised_softmax(q, temperature, [a_t], signal, noise, width=0.1).score[0]
    mass, log_w, averaged = box_averages(q, a_t, signal, noise)
    law = {name: self_normalised(mass, log_w, f, num) for name, f in averaged.items()}
    many = {name: self_normalised(mass, log_w, f, 2000)[0] for name, f in averaged.items()}
    np.testing.assert_allclose(many["qne"], exact, atol=0.02)
    np.testing.assert_allclose(many["faces"], exact, atol=0.05)
    assert np.abs(many["idem"] - exact).max() > 0.5

    def drawn(f, truncate=True, **options):
        one = lambda k: f(k, q, temperature, jnp.array(a_t), signal, noise, num, truncate, **options)
        return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(key, 10_000)), np.float64)

    slopes = drawn(idem)
    assert agree(drawn(qne), *law["qne"])
    assert agree(slopes, *law["idem"])
    assert agree(drawn(idem, boundary=True), *law["faces"])
    assert not agree(slopes, *law["faces"]), "no boundary term"
    assert not agree(drawn(qne, truncate=False), *law["qne"]), "no truncation"
    v = 0.1
    r = (noise / signal) ** 2
    theta = r / (r + v)
    mixed = drawn(combined, variance=v)
    mean = theta * law["qne"][0] + (1 - theta) * law["faces"][0]
    assert min(mean_test(x, m) for x, m in zip(mixed.T, mean, strict=True)) > THRESHOLD


INTERVALS = [
    (-1.0, 1.0),
    (3.0, 4.0),
    (-25.0, -20.0),
    (39.9, 40.0),
    (-0.5, 9.0),
    (-120.0, -100.0),
    (-3.0, 0.1),
]


@partial(jax.jit, static_argnums=3)
def truncated(key, low, high, num):
    """`num` draws from one interval, and the log of its mass."""
    low, high = low[None], high[None]
    return truncated_normal(key, low, high, num)[:, 0], log_mass(low, high)[0]


@pytest.mark.parametrize("interval", INTERVALS)
def test_truncated_normal(interval, key):
    """By the distribution function in logarithms and double precision, wherever the interval is."""
    low, high = interval
    z, found = truncated(key, np.float32(low), np.float32(high), 20_000)
    z = np.asarray(z, np.float64)
    assert np.all((low <= z) & (z <= high))
    if low + high > 0:
        z, low, high = -z, -high, -low
    share = special.log_ndtr(np.array([low, high])) - special.log_ndtr(high)
    u = (np.exp(special.log_ndtr(z) - special.log_ndtr(high)) - np.exp(share[0])) / -np.expm1(share[0])
    assert chi_square(2 * np.clip(u, 0, 1) - 1, *uniform_law()) > THRESHOLD
    log_inside = special.log_ndtr(high) + np.log(-np.expm1(share[0]))
    assert float(found) == pytest.approx(log_inside, rel=1e-4, abs=1e-4)


def test_what_the_truncated_normal_of_jax_does_far_out(key):
    """What `truncated_normal` says of it: right at five standard deviations, the far bound from 5.6 on, never NaN."""
    mean = lambda low, high: (
        (stats.norm.pdf(low) - stats.norm.pdf(high)) / (stats.norm.sf(low) - stats.norm.sf(high))
    )
    by_jax = jax.jit(lambda low, high: jax.random.truncated_normal(key, low, high, (4000,)))
    for low, high, known in ((3.0, 9.0, True), (5.6, 9.0, False), (20.0, 30.0, False)):
        theirs = np.asarray(by_jax(low, high), float)
        assert np.isfinite(theirs).all()
        assert theirs == pytest.approx(high, abs=1e-4) if not known else theirs.mean() < 3.5
        ours = np.asarray(truncated(key, np.float32(low), np.float32(high), 4000)[0], float)
        assert ours.mean() == pytest.approx(mean(low, high), abs=5 / low / np.sqrt(4000))


def test_one_dominant_weight_leaves_it_to_qne(key):
    """Nothing can be fitted to one sample: then theta is 1, where 0 would give a slope amplified by 1 / signal."""
    narrow = lambda a: -jnp.sum((a - 0.2) ** 2) / 2e-6
    given = (narrow, 1.0, jnp.full(3, 0.1), 0.3, 0.95, 20, True)
    both, by_noise, by_slope = jax.jit(lambda k: [f(k, *given) for f in (combined, qne, idem)])(key)
    np.testing.assert_allclose(both, by_noise, rtol=1e-3)
    assert np.abs(by_slope).max() > 100 * np.abs(both).max()


@pytest.mark.parametrize("f", [idem, combined])
@pytest.mark.parametrize(
    "q", [lambda a: 300 * a[0] - 200 * a[1], lambda a: 200 * jnp.sum(a**2)], ids=["ramp", "valley"]
)
def test_steep_critic_at_a_low_temperature_is_in_the_range_of_scores(q, f, key):
    """The faces overflow there, in the valley both. A score is (signal E[a] - a_t) / noise^2 with E[a] in the box."""
    a_t, signal, noise = jnp.array([0.1, -0.1]), 0.99**0.5, 0.1

    @jax.jit
    def drawn(temperature):
        one = lambda k: f(k, q, temperature, a_t, signal, noise, 20, True, boundary=True)
        return jax.vmap(one)(jax.random.split(key, 100))

    low, high = ((wall * signal - np.asarray(a_t)) / noise**2 for wall in (-1, 1))
    for temperature in (1.0, 1e-2, 1e-4):
        scores = np.asarray(drawn(temperature))
        assert np.all(np.isfinite(scores))
        assert np.all(low - 1e-3 <= scores) and np.all(scores <= high + 1e-3)


def test_fitted_theta_counts_the_noise_of_the_faces(key):
    """A steep slope is the same everywhere, so its average has no noise; its faces have, and QNE is the better one."""
    steep = Landscape("steep", 1, 10.0, slope=(10.0,))
    signal, noise = 0.9**0.5, 0.1**0.5
    exact = noised_softmax(steep, 1.0, [[0.8]], signal, noise).score[0, 0]

    def error(f):
        one = lambda k: f(k, steep, 1.0, jnp.array([0.8]), signal, noise, 100)[0]
        drawn = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(key, 300)), float)
        return np.sqrt(np.mean((drawn - exact) ** 2))

    faces = lambda *given: idem(*given, True, True)
    assert error(combined) < 1.1 * error(qne) < 0.2 * error(faces)


@pytest.mark.parametrize("f", [qne, combined])
def test_far_outside_the_box_is_finite(f, key):
    """Where a reverse chain may stray: everything is finite, and the score points home."""
    far = jax.jit(lambda a, signal, noise: f(key, HILL, 0.1, jnp.stack([a, -a]), signal, noise, 100))
    for a, signal, noise in ((3.0, 0.99998, 0.0064), (-5.0, 0.9, 0.436), (2.0, 0.0084, 0.99996)):
        score = far(a, signal, noise)
        assert np.all(np.isfinite(score)) and score[0] * a < 0 and score[1] * a > 0


def test_mixture_called_in_single_precision_is_the_same():
    one = Mixture(np.array([0.7, 0.3]), np.array([[0.2], [-0.6]]), np.array([0.01, 0.04]))
    log_density = jax.jit(jax.vmap(one.__call__))
    single, double = log_density(np.float32([[0.1]])), exactly(log_density, [[0.1]])
    assert single.dtype == np.float32 and float(single[0]) == pytest.approx(float(double[0]), rel=1e-5)
    density = np.exp(exactly(log_density, np.linspace(-2, 2, 401)[:, None]))
    assert density.sum() * 0.01 == pytest.approx(1, abs=1e-6)


def test_exact_moments_of_few_samples_by_counting():
    """Two nodes and three samples: the sum over all eight outcomes."""
    mass, w, f = np.array([0.3, 0.7]), np.array([2.0, 0.5]), np.array([[1.0], [-2.0]])
    mean = second = 0.0
    for i in np.ndindex(2, 2, 2):
        i = np.array(i)
        value = (w[i] @ f[i, 0]) / w[i].sum()
        mean, second = mean + mass[i].prod() * value, second + mass[i].prod() * value**2
    found = self_normalised(mass, np.log(w), f, 3)
    np.testing.assert_allclose(np.ravel(found), [mean, np.sqrt(second - mean**2)], atol=1e-10)


def call(f, **changes):
    given = {
        "key": jax.random.key(0),
        "q": HILL,
        "temperature": 1.0,
        "a_t": jnp.zeros(2),
        "signal": 0.9,
        "noise": 0.436,
        "num": 10,
    }
    return f(**given | changes)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda: call(qne, temperature=0.0), "temperature must be positive"),
        (lambda: call(idem, temperature=-1.0), "temperature must be positive"),
        (lambda: call(qsm, temperature=np.nan), "temperature must be positive and finite, got nan"),
        (lambda: call(combined, num=0), "num must be positive"),
        (lambda: call(qne, noise=0.0), "noise must be positive"),
        (lambda: call(idem, signal=0.0), "signal must be positive"),
        (lambda: call(idem, boundary=True), "boundary=True needs truncate=True"),
        (lambda: call(combined, truncate=False, boundary=True), "boundary=True needs truncate=True"),
        (lambda: call(combined, num=1), "num must be at least 2 to fit theta"),
        (lambda: call(combined, variance=0.0), "variance must be positive"),
        (lambda: call(combined, fit="RFM"), "unknown fit 'RFM'"),
        (lambda: call(qne, target="eps"), "target must be 'score' or 'noise', got 'eps'"),
        (lambda: VarianceExploding(1.0, 0.1), "sigma_max must be above sigma_min"),
        (lambda: VarianceExploding(0.0, 1.0), "sigma_min must be positive"),
        (lambda: CosineVP(t_min=0.9, t_max=0.5), "t_max must be above t_min"),
        (lambda: CosineVP(t_max=1.0), "t_max must be below 1"),
        (lambda: CosineVP(t_min=0.0), "t_min must be above 0"),
        (lambda: noised_softmax(HILL, 1.0, np.zeros(2), 0.9, 0.4), "a_t must have shape"),
        (lambda: noised_softmax(HILL, 0.0, np.zeros((1, 2)), 0.9, 0.4), "temperature must be positive"),
        (
            lambda: noised_softmax(lambda a: jnp.log(a[0]), 1.0, np.zeros((1, 1)), 0.9, 0.4),
            "the landscape is nan at action",
        ),
    ],
)
def test_bad_input_is_one_clear_line(bad, words):
    with pytest.raises(SoftqError, match=words) as error:
        bad()
    assert "\n" not in str(error.value)
