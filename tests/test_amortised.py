"""Amortised SVGD against double sums in float64, gradients by hand, quadrature at the target; and mutants."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from reference import REFERENCE
from scipy import stats

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.networks import SamplingNetwork
from softq.samplers import (
    amortised_direction,
    amortised_loss,
    change_of_variables,
    median_bandwidth,
    softmax_score,
    squashed,
    svgd_direction,
)
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

TEMPERATURE, WIDTH = 0.2, 0.3
NOTHING = np.zeros(0)  # a landscape without states


def particles(dim=2, fixed=5, updated=3):
    """K and M actions, as float32 for JAX and the same numbers as float64."""
    rng = np.random.default_rng(0)
    sets = [rng.uniform(-0.9, 0.9, (n, dim)).astype(np.float32) for n in (fixed, updated)]
    return sets, [x.astype(float) for x in sets]


def slope(a):
    """grad Q of Q(a) = sum cos(3 a) / 3 - |a|^2 / 2, for NumPy and JAX alike."""
    return -(np if isinstance(a, np.ndarray) else jnp).sin(3 * a) - a


def by_hand(fixed, updated, h=WIDTH, temperature=TEMPERATURE):
    """Equation 13 / temperature, term by term in float64."""
    direction = np.zeros_like(updated)
    for j, y in enumerate(updated):
        for x in fixed:
            k = np.exp(-np.sum((x - y) ** 2) / h)
            direction[j] += (k * slope(x) / temperature - 2 * (x - y) / h * k) / len(fixed)
    return direction


def score(a):
    return slope(a) / TEMPERATURE


direction = jax.jit(partial(amortised_direction, score), static_argnames="bandwidth")
width_by = jax.jit(median_bandwidth, static_argnames="rule")


def test_direction_is_the_double_sum():
    (fixed, updated), exact = particles()
    np.testing.assert_allclose(
        direction(fixed, updated, bandwidth=WIDTH), by_hand(*exact), rtol=2e-5, atol=2e-5
    )
    of_svgd = jax.jit(lambda particles: svgd_direction(score, particles, WIDTH))(fixed)
    np.testing.assert_array_equal(direction(fixed, fixed, bandwidth=WIDTH), of_svgd)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda f, u: -amortised_direction(score, f, u, WIDTH),
        lambda f, u: amortised_direction(score, f, u, WIDTH, 1 / TEMPERATURE),  # C.1
        lambda f, u: amortised_direction(score, f, u, WIDTH, -1.0),  # the kernel's gradient by a_j
        lambda f, u: amortised_direction(score, u, f, WIDTH)[: len(u)],  # K and M exchanged
        lambda f, u: amortised_direction(score, f, u, WIDTH) * len(f) / len(u),  # divided by M
        lambda f, u: amortised_direction(lambda a: slope(a), f, u, WIDTH),  # no temperature
    ],
)
def test_mistakes_in_the_direction_are_seen(mutant):
    (fixed, updated), exact = particles()
    assert np.max(np.abs(np.asarray(jax.jit(mutant)(fixed, updated)) - by_hand(*exact))) > 0.05


def test_bandwidth_rules():
    """Against sorted lists. The official rule takes the pairs between both sets, the others pairs within the first."""
    (fixed, updated), (x, y) = particles()
    cross = sorted(np.sum((a - b) ** 2) for a in x for b in y)
    within = [np.sum((x[i] - x[j]) ** 2) for i in range(5) for j in range(i)]
    expected = {
        "official": cross[7] / np.log(5),  # the middle of 15
        "squared": np.median(within) / np.log(6),
        "printed": np.median(np.sqrt(within)) / (2 * np.log(6)),
    }
    for rule, width in expected.items():
        assert float(width_by(fixed, rule, updated)) == pytest.approx(width, rel=1e-5)
        np.testing.assert_allclose(
            direction(fixed, updated, bandwidth=rule), by_hand(x, y, width), rtol=1e-4, atol=1e-4
        )
    even = sorted(np.sum((a - b) ** 2) for a in x[:4] for b in y)  # 12 numbers: the sixth, as top_k has it
    assert float(width_by(fixed[:4], "official", updated)) == pytest.approx(even[5] / np.log(4), rel=1e-5)
    assert float(width_by(np.zeros((3, 1)), "official")) == pytest.approx(1e-3)


# The gradient by the parameters


def tiny(params, xi):
    return jnp.tanh(params["w"] @ xi + params["b"])


def gradient_by_hand(params, fixed_noise, updated_noise):
    """- mean_j Delta f(a_j) da_j / dphi for a = tanh(w xi + b), in float64."""
    w, b = (np.asarray(params[k], float) for k in "wb")
    fixed, updated = (np.tanh(np.asarray(n, float) @ w.T + b) for n in (fixed_noise, updated_noise))
    pulled = by_hand(fixed, updated) * (1 - updated**2)
    count = len(updated)
    return {"w": -pulled.T @ np.asarray(updated_noise, float) / count, "b": -pulled.sum(0) / count}


def setting():
    rng = np.random.default_rng(1)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    return {"w": draw(2, 2), "b": draw(2)}, draw(6, 2), draw(4, 2)


def loss_of(params, fixed_noise, updated_noise, repulsion=1.0):
    return amortised_loss(partial(tiny, params), score, fixed_noise, updated_noise, WIDTH, repulsion)


def test_gradient_through_a_tiny_network():
    given, gradient = setting(), jax.jit(jax.grad(loss_of))
    expected, made = gradient_by_hand(*given), gradient(*given)
    for name, value in expected.items():
        np.testing.assert_allclose(made[name], value, rtol=1e-4, atol=1e-5)
    # the same noise twice: the fixed copy carries nothing
    shared = gradient(given[0], given[1], given[1])
    np.testing.assert_allclose(shared["w"], gradient_by_hand(given[0], given[1], given[1])["w"], rtol=1e-4)


def test_mistakes_in_the_gradient_are_seen():
    params, fixed, updated = setting()
    expected = gradient_by_hand(params, fixed, updated)["w"]

    def flows(params):  # nothing held fixed: the gradient also runs through the direction
        f, u = (jax.vmap(partial(tiny, params))(n) for n in (fixed, updated))
        return -jnp.mean(jnp.sum(amortised_direction(score, f, u, WIDTH) * u, axis=1))

    mutants = {
        "as printed": lambda p: -loss_of(p, fixed, updated),
        "C.1": lambda p: loss_of(p, fixed, updated, 1 / TEMPERATURE),
        "K and M exchanged": lambda p: loss_of(p, updated, fixed),
        "not held": flows,
    }
    gradients = jax.jit(lambda params: {name: jax.grad(loss)(params)["w"] for name, loss in mutants.items()})
    for name, gradient in gradients(params).items():
        assert np.max(np.abs(gradient - expected)) > 0.02, name


def kl_of_gaussian(temperature, mean, log_std):
    """KL(N(mean, std^2) | exp(-a^2 / (2 temperature))) but for a constant."""
    return (mean**2 + jnp.exp(2 * log_std)) / (2 * temperature) - log_std


def test_it_is_a_descent_direction_of_the_divergence():
    """a = mean + std xi on a parabola, where the KL is known: the two gradients make an acute angle everywhere."""
    noise = jnp.asarray(stats.norm.ppf((np.arange(400) + 0.5) / 400)[:, None], jnp.float32)

    @jax.jit
    def both(params, temperature):
        loss = lambda params: amortised_loss(
            lambda xi: params[0] + jnp.exp(params[1]) * xi, lambda a: -a / temperature, noise, noise, 0.5
        )
        divergence = lambda params: kl_of_gaussian(temperature, *params)
        return jax.grad(loss)(params), jax.grad(divergence)(params)

    for temperature in (0.1, 1.0):
        for mean, std in ((0.5, 0.2), (-0.8, 1.5), (0.0, 0.1), (0.3, 1.0)):
            stein, true = map(np.asarray, both(np.array([mean, np.log(std)], np.float32), temperature))
            assert stein @ true > 0, (temperature, mean, std)


# Where the direction vanishes


def quantiles(law, count):
    """`count` actions that carry equal mass of a one-dimensional softmax: the mean over them is a quadrature."""
    cumulative = np.cumsum(law.probabilities) - law.probabilities / 2
    return np.interp((np.arange(count) + 0.5) / count, cumulative, law.nodes[:, 0])[:, None]


PLACES = np.linspace(-0.8, 0.8, 9)[:, None]


@jax.jit
def directions_on_two_hills(fixed, temperature):
    """At `PLACES`: the direction without its repulsion, the direction, and three wrong ones."""
    q = landscapes.get("twomode1")
    direction = partial(amortised_direction, fixed=fixed, updated=PLACES, bandwidth=0.1)
    score = softmax_score(q, temperature)
    mutants = (
        direction(score, repulsion=1 / temperature),
        direction(score, repulsion=-1.0),
        direction(softmax_score(q, 1.1 * temperature)),
    )
    return direction(score, repulsion=0.0), direction(score), mutants


@pytest.mark.parametrize("temperature", [0.05, 0.02])
def test_at_the_target_nothing_moves(temperature):
    """Stein's identity, away from the walls: the mean over the softmax of Delta f is zero at every place."""
    at_target = quantiles(Boltzmann(landscapes.get("twomode1"), temperature), 20_000)
    drive, direction, mutants = directions_on_two_hills(at_target, temperature)
    scale = np.abs(drive).max()
    assert scale > 0.5
    assert np.abs(direction).max() < 2e-3 * scale
    for mutant in mutants:
        assert np.abs(mutant).max() > 0.03 * scale


def test_at_a_wall_the_boundary_term_remains():
    """Q = 0: the softmax is uniform and Delta f is (k(1, y) - k(-1, y)) / 2, which pushes out of the box."""
    flat = ((np.arange(20_000) + 0.5) / 10_000 - 1)[:, None]
    direction = jax.jit(lambda fixed: amortised_direction(lambda a: 0 * a, fixed, PLACES, 0.1))
    kernel = lambda wall: np.exp(-((wall - PLACES) ** 2) / 0.1)
    np.testing.assert_allclose(direction(flat), (kernel(1.0) - kernel(-1.0)) / 2, atol=1e-4)


def test_the_extra_term_of_the_official_code():
    """Its particles stand still at exp(Q / temperature) * (1 - a^2), and not at the softmax."""
    score = softmax_score(lambda a: jnp.zeros(()), TEMPERATURE)
    x = np.linspace(-1, 1, 200_001)
    cumulative = (x - x**3 / 3) * 3 / 4 + 0.5
    squeezed = np.interp((np.arange(20_000) + 0.5) / 20_000, cumulative, x)[:, None]

    @jax.jit
    def both(fixed, action):
        direction = partial(amortised_direction, fixed=fixed, updated=PLACES, bandwidth=0.1)
        return direction(squashed(score)), direction(score), squashed(score)(action)

    official, ours, extra = both(squeezed, np.array([0.5]))
    assert np.abs(official).max() < 5e-3
    assert np.abs(ours).max() > 0.1
    assert extra.item() == pytest.approx(-2 * 0.5 / (0.75 + 1e-6))


# Equation 33


def test_density_of_an_affine_map():
    matrix, shift, xi = np.array([[2.0, 0.5], [-1.0, 0.7]]), np.array([0.1, -0.3]), np.array([0.4, -1.1])
    action, log_density = jax.jit(partial(change_of_variables, lambda xi: matrix @ xi + shift))(xi)
    expected = stats.multivariate_normal(shift, matrix @ matrix.T).logpdf(np.asarray(action, float))
    assert float(log_density) == pytest.approx(float(expected), abs=1e-5)


def test_where_noise_folds_equation_33_is_half_the_density():
    entry = REFERENCE["sql.eq33_noninjective"]["value"]
    action, log_density = jax.jit(partial(change_of_variables, lambda xi: xi**2))(np.array([1.0]))
    assert action.item() == 1 and np.exp(log_density) == pytest.approx(entry["eq33"], abs=1e-7)
    assert entry["true"] == pytest.approx(
        stats.chi2(1).pdf(1.0), abs=1e-12
    )  # two noises lead there, 1 and -1
    assert entry["true"] == pytest.approx(2 * entry["eq33"], abs=3e-12)  # both rounded at 1e-12


@cache
def network(dim=2, noise_dim=None, hidden=(8, 8), activation="tanh", obs_dim=0, seed=3):
    create = partial(SamplingNetwork.create, hidden_sizes=hidden, activation=activation, noise_dim=noise_dim)
    return jax.jit(create)(jax.random.key(seed), np.zeros(obs_dim), np.zeros(dim))


def test_network_is_the_layers_written_out():
    net = network(obs_dim=3, noise_dim=4, activation="relu")
    rng = np.random.default_rng(2)
    obs, xi = rng.normal(size=3), rng.normal(size=4)
    x = np.concatenate([obs, xi])
    layers = [net.params[f"Dense_{i}"] for i in range(3)]
    for i, layer in enumerate(layers):
        x = x @ np.asarray(layer["kernel"], float) + np.asarray(layer["bias"], float)
        x = np.maximum(x, 0) if i < 2 else np.tanh(x)
    action = jax.jit(SamplingNetwork.__call__)(net, obs, xi)
    assert action.shape == (2,) and np.max(np.abs(x)) < 1
    np.testing.assert_allclose(action, x, atol=1e-6)
    kernel = np.asarray(network(obs_dim=300, noise_dim=100, hidden=(50,)).params["Dense_0"]["kernel"])
    assert kernel.std() == pytest.approx(
        400**-0.5 * 0.8796, rel=0.02
    )  # the fan-in counts observation and noise


def test_density_of_a_network_that_is_one_to_one():
    """One action dimension and an increasing f: against the slope by differences in float64, in the tails as well."""
    net, push = network(1, hidden=(4,), seed=0), jax.jit(SamplingNetwork.push)
    positive = {name: {k: np.abs(v) + 0.5 for k, v in layer.items()} for name, layer in net.params.items()}
    net = replace(net, params=positive)
    p = {name: {k: np.asarray(v, float) for k, v in layer.items()} for name, layer in positive.items()}

    def f(xi):
        hidden = np.tanh(xi * p["Dense_0"]["kernel"] + p["Dense_0"]["bias"])
        return float((hidden @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"])[0, 0])

    for xi in (-2.0, -0.3, 0.8):
        slope = (f(xi + 1e-5) - f(xi - 1e-5)) / 2e-5
        expected = stats.norm.logpdf(xi) - np.log(slope) + 2 * np.log(np.cosh(f(xi)))
        action, log_density = push(net, NOTHING, np.array([xi]))
        assert action.item() == pytest.approx(np.tanh(f(xi)), abs=1e-6)
        assert float(log_density) == pytest.approx(expected, abs=2e-4)
    last = {**positive["Dense_1"], "bias": positive["Dense_1"]["bias"] + 20}
    far = replace(net, params=positive | {"Dense_1": last})
    action, log_density = push(far, NOTHING, np.array([0.8]))
    expected = stats.norm.logpdf(0.8) - np.log(slope) + 2 * (f(0.8) + 20 - np.log(2))
    assert action.item() == 1 and float(log_density) == pytest.approx(expected, abs=2e-4)


def test_a_network_learns_a_bell():
    """End to end: mean and variance of the softmax of -a^2; with the printed sign of Equation 14 it flees the hill."""
    q, temperature, count = landscapes.get("quad1"), 0.04, 32
    adam = optax.adam(optax.cosine_decay_schedule(3e-3, 800))
    start = network(1, hidden=(32, 32), activation="relu", seed=5)
    score = softmax_score(q, temperature)

    @jax.jit
    def train(sign):
        def loss(params, noise):
            push = partial(replace(start, params=params), NOTHING)
            return sign * amortised_loss(push, score, noise[:count], noise[count:])

        def step(carry, key):
            params, moments = carry
            gradient = jax.grad(loss)(params, jax.random.normal(key, (2 * count, 1)))
            change, moments = adam.update(gradient, moments)
            return (optax.apply_updates(params, change), moments), None

        keys = jax.random.split(jax.random.key(6), 800)
        (params, _), _ = jax.lax.scan(step, (start.params, adam.init(start.params)), keys)
        network = replace(start, params=params)
        return jax.vmap(lambda k: network.sample(NOTHING, k))(jax.random.split(jax.random.key(7), 4000))[:, 0]

    variance = -Boltzmann(q, temperature).mean_value
    actions = np.asarray(train(1.0))
    assert abs(np.mean(actions)) < 0.03
    assert 0.8 < np.var(actions) / variance < 1.1  # a little narrow: 32 particles are not infinitely many
    assert np.mean(np.abs(train(-1.0))) > 0.5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: amortised_direction(score, jnp.zeros((0, 1)), jnp.zeros((2, 1))), "at least 1"),
        (lambda: amortised_direction(score, jnp.zeros((2, 1)), jnp.zeros((0, 1))), "at least 1"),
        (lambda: amortised_direction(score, jnp.zeros(2), jnp.zeros((2, 1))), "shapes"),
        (lambda: amortised_direction(score, jnp.zeros((2, 2)), jnp.zeros((2, 1))), "shapes"),
        (lambda: amortised_direction(score, jnp.zeros((1, 1)), jnp.zeros((2, 1))), "at least 2 particles"),
        (lambda: amortised_direction(score, *2 * [jnp.zeros((2, 1))], 0.0), "bandwidth must be positive"),
        (lambda: amortised_direction(score, *2 * [jnp.zeros((2, 1))], "median"), "number or a rule"),
        (lambda: jax.jit(network(noise_dim=3).push)(NOTHING, np.zeros(3)), "noise as long as the action"),
        (lambda: network(noise_dim=0), "noise_dim must be positive"),
        (lambda: network(hidden=()), "hidden_sizes must be positive"),
        (lambda: network(activation="rely"), "Did you mean 'relu'"),
    ],
)
def test_bad_input_is_one_clear_line(call, words):
    with pytest.raises(SoftqError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
