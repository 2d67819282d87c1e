"""Log-likelihood of a diffusion: every rule against independent numbers, its Monte-Carlo noise, its phantom entropy."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import known_draws, normals
from reference import REFERENCE

from softq.diffusion import CosineVP, log_likelihood
from softq.diffusion.likelihood import quadrature
from softq.exact.laws.diffused import FOUR_GAUSSIANS, Mixture
from softq.testing import THRESHOLD, mean_test
from softq.utils.errors import SoftqError

pytestmark = pytest.mark.usefixtures("optimised")
COSINE = CosineVP()
TABLE = REFERENCE["d4.logprob"]["value"]
PLACES = {place: np.array(eval(place)) for place in TABLE}


def exactly(f, *arguments):
    """In double precision, as one program; NumPy in and out."""
    with jax.enable_x64(True):
        found = jax.jit(f)(*[np.asarray(a, np.float64) for a in arguments])
        return jax.tree.map(np.asarray, found)


def normal_grid(panels=24, order=6):
    """Gauss-Legendre panels for a standard normal in the plane: `(n, 2)` and weights."""
    x, w = np.polynomial.legendre.leggauss(order)
    half = 7.5 / panels
    line = (half * (2 * np.arange(panels)[:, None] + 1 + x) - 7.5).ravel()
    mass = np.tile(w, panels) * half * np.exp(-(line**2) / 2) / np.sqrt(2 * np.pi)
    return np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2), np.outer(mass, mass).ravel()


@cache
def mean_square():
    """E |eps - eps*|^2 and E |eps - eps*|^4 of the mixture's perfect network at an action and times, by quadrature."""
    eps, weights = normal_grid()
    perfect = FOUR_GAUSSIANS.noise_of(COSINE)

    def one(a0, t, e, w):
        a_t = COSINE.signal(t) * a0[None] + COSINE.noise(t) * e
        error = jnp.sum((e - jax.vmap(lambda a: perfect(a, t))(a_t)) ** 2, 1)
        return w @ error, w @ error**2

    run = jax.jit(lambda a0, t, e, w: jax.lax.map(lambda at: one(a0, at, e, w), t))
    return lambda a0, t: exactly(run, a0, t, eps, weights)


@cache
def nodes(num_steps, rule):
    """Times, signal^2, noise^2 and weights of the sum over `num_steps` cells."""

    def found():
        t, u, weights = quadrature(COSINE, num_steps, rule)
        return t, u, COSINE.noise(t) ** 2, weights

    return exactly(found)


def without_noise(a0, num_steps, rule):
    """Equation 66 and its kin with infinitely many noises, and their deviation with one noise for each node."""
    t, u, _, weights = nodes(num_steps, rule)
    first, second = mean_square()(a0, t)
    value = -np.log(2 * np.pi * np.e) + 0.5 * weights @ (2 * u - first)
    return value, 0.5 * np.sqrt(weights**2 @ (second - first**2))


@pytest.mark.parametrize("place", TABLE)
def test_reference_rules(place):
    """The printed rule and the trapezoid, 20 and 100 cells; the right rule is twice the trapezoid less the left one."""
    a0, expected = PLACES[place], TABLE[place]
    tol = (
        2e-5 if place == "(0.0, 0.0)" else REFERENCE["d4.logprob"]["tol"]
    )  # a saddle: kinks for a Hermite rule
    for cells_ in (20, 100):
        value = expected[str(cells_)]
        left, deviation = without_noise(a0, cells_, "left")
        trapezoid, _ = without_noise(a0, cells_, "trapezoid")
        assert left == pytest.approx(value["left"], abs=tol)
        assert trapezoid == pytest.approx(value["trapezoid"], abs=tol)
        assert 2 * trapezoid - left == pytest.approx(value["right"], abs=2 * tol)
        if cells_ == 20:
            assert deviation / 50**0.5 == pytest.approx(value["mc_std_N50"], rel=1e-4)
            assert deviation / 10**0.5 == pytest.approx(value["mc_std_N10"], rel=1e-4)
    assert exactly(FOUR_GAUSSIANS.__call__, a0) == pytest.approx(expected["true"], abs=1e-9)


@pytest.mark.parametrize("place", TABLE)
def test_nodes_even_in_log_snr_are_better_at_every_place(place):
    """The same 20 cells in the variable in which the integrand is a bump: 20 times nearer than either other rule."""
    true = TABLE[place]["true"]
    found = without_noise(PLACES[place], 20, "log_snr")[0]
    others = [TABLE[place]["20"][rule] for rule in ("left", "trapezoid")]
    assert abs(found - true) < min(abs(other - true) for other in others) / 20


def gaussian_bias(v, num_steps, rule):
    """E log p-hat - log p for N(m, v) in one dimension: E_a mse(u) = u v / (1 - u + u v)."""
    _, u, rest, weights = nodes(num_steps, rule)
    mse = u * v / (rest + u * v)
    return 0.5 * weights @ (u - mse) + 0.5 * np.log(v)


@pytest.mark.parametrize("v", REFERENCE["logprob.gaussian_bias"]["value"])
def test_reference_phantom_entropy(v):
    for num_steps, value in REFERENCE["logprob.gaussian_bias"]["value"][v].items():
        for rule in ("left", "trapezoid"):
            found = gaussian_bias(float(v), int(num_steps), rule)
            assert found == pytest.approx(value[rule], abs=1e-11)
    assert (
        abs(gaussian_bias(float(v), 20, "log_snr")) <= 0.05 * abs(gaussian_bias(float(v), 20, "left")) + 1e-12
    )


def test_reference_mean_bias():
    """Over one component by symmetry; the left rule says the entropy is 0.74 nats larger than it is."""
    x, w = np.polynomial.hermite_e.hermegauss(7)
    actions = 0.5 + 0.1 * np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)
    weights = np.outer(w, w).ravel() / w.sum() ** 2
    found = [without_noise(a, 20, "left")[0] for a in actions]
    true = exactly(jax.vmap(FOUR_GAUSSIANS), actions)
    expected = REFERENCE["d4.logprob_mean_bias"]
    assert weights @ (found - true) == pytest.approx(expected["value"], abs=expected["tol"])


@cache
def estimator(rule, paired, num_noises=50, **options):
    one = lambda key, a0: log_likelihood(
        key, FOUR_GAUSSIANS.noise_of(COSINE), a0, COSINE, 20, num_noises, rule, paired=paired, **options
    )
    return jax.jit(jax.vmap(one, in_axes=(0, None)))


def estimates(key, a0, rule, paired=False, **options):
    keys = jax.random.split(key, 3000)
    return np.asarray(estimator(rule, paired, **options)(keys, jnp.asarray(a0, jnp.float32)), np.float64)


@pytest.mark.parametrize("rule", ["left", "trapezoid", "log_snr"])
def test_estimates_have_the_exact_mean_and_noise(rule, key):
    """With 50 noises; pairs do not move the mean. The mutants: another rule, a wrong sign of the noise."""
    a0 = PLACES["(0.3, 0.2)"]
    mean, deviation = without_noise(a0, 20, rule)
    plain, pairs = estimates(key, a0, rule), estimates(key, a0, rule, True)
    assert mean_test(plain, mean) > THRESHOLD and mean_test(pairs, mean) > THRESHOLD
    assert mean_test((plain - mean) ** 2, deviation**2 / 50) > THRESHOLD
    other = {"left": "log_snr", "trapezoid": "left", "log_snr": "left"}[rule]
    assert mean_test(pairs, without_noise(a0, 20, other)[0]) < THRESHOLD
    assert mean_test((plain - mean) ** 2, deviation**2 / 40) < THRESHOLD, "fewer noises"
    perfect = FOUR_GAUSSIANS.noise_of(COSINE)
    wrong = jax.jit(lambda k, a: log_likelihood(k, lambda a, t: -perfect(a, t), a, COSINE, rule=rule))
    assert abs(wrong(key, jnp.asarray(a0)) - mean) > 20


def test_pairs_rescue_the_trapezoid(key):
    """Fourteen nats of noise at a mode, where the left rule has a tenth of one; a third of a nat with pairs."""
    a0 = PLACES["(0.5, 0.5)"]
    assert without_noise(a0, 20, "trapezoid")[1] / 50**0.5 > 13
    assert estimates(key, a0, "trapezoid", True).std() < 0.5


def test_pairs_know_a_standard_normal(key):
    """For N(0, I) the network is noise(t) a_t, and the error of each pair is its control variate: no noise at all."""
    one = Mixture(np.ones(1), np.zeros((1, 3)), np.ones(1))
    a0 = jnp.array([0.4, -0.2, 0.9])
    run = lambda rule: lambda k: log_likelihood(k, one.noise_of(COSINE), a0, COSINE, 20, 2, rule, paired=True)
    rules = ("left", "trapezoid", "log_snr")
    found, true = jax.jit(lambda keys: ([jax.vmap(run(rule))(keys) for rule in rules], one(a0)))(
        jax.random.split(key, 3)
    )
    for values in map(np.asarray, found):
        # one node a cell cannot be exact for |a0|^2, but all keys agree
        np.testing.assert_allclose(values, values[0], atol=2e-3)
    assert values[0] == pytest.approx(float(true), abs=2e-3)


def test_clipped_predictions(key):
    """`clip_x0` recomputes the noise from a clipped clean action: by hand, one cell and two noises."""
    outside = lambda a, t: jnp.full_like(a, -2.0)
    a0 = jnp.array([0.5])
    _, u, rest, weights = (float(x[0]) for x in nodes(1, "left"))
    signal, noise = u**0.5, rest**0.5
    eps = normals(1, 2, 1)[0, :, 0]
    a_t = signal * 0.5 + noise * eps
    clean = np.clip((a_t + 2 * noise) / signal, -1, 1)
    errors = {True: (eps - (a_t - signal * clean) / noise) ** 2, False: (eps + 2) ** 2}
    estimate = lambda k, clip: log_likelihood(k, outside, a0, COSINE, 1, 2, clip_x0=clip)
    with known_draws():
        found = jax.jit(lambda k: {clip: estimate(k, clip) for clip in (True, False)})(key)
    for clip in (True, False):
        expected = -0.5 * np.log(2 * np.pi * np.e) + 0.5 * weights * (u - errors[clip].mean())
        assert float(found[clip]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_steps": 0}, "num_steps must be positive"),
        ({"num_noises": 0}, "num_noises must be positive"),
        ({"num_noises": 5, "paired": True}, "num_noises must be even when paired, got 5"),
        ({"rule": "simpson"}, "unknown rule 'simpson'"),
        ({"rule": "lef"}, "unknown rule 'lef'.*left"),
    ],
)
def test_bad_input_is_one_clear_line(changes, words):
    with pytest.raises(SoftqError, match=words) as error:
        log_likelihood(jax.random.key(0), lambda a, t: a, jnp.zeros(2), COSINE, **changes)
    assert "\n" not in str(error.value)
