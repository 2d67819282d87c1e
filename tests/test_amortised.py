"""Amortised SVGD against double sums in float64, gradients by hand, quadrature at the target; and mutants."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from exact import REFERENCE
from scipy import stats

from softq import landscapes
from softq.boltzmann import Boltzmann
from softq.errors import SoftqError
from softq.networks import SamplingNetwork
from softq.pytree import replace
from softq.samplers import (
    amortised_direction,
    amortised_loss,
    change_of_variables,
    median_bandwidth,
    softmax_score,
    squashed,
    svgd_direction,
)

TEMPERATURE, WIDTH = 0.2, 0.3
NOTHING = jnp.zeros(0)  # a landscape without states


def particles(dim=2, fixed=5, updated=3):
    """K and M actions, as float32 for JAX and the same numbers as float64."""
    rng = np.random.default_rng(0)
    sets = [rng.uniform(-0.9, 0.9, (n, dim)).astype(np.float32) for n in (fixed, updated)]
    return [jnp.asarray(x) for x in sets], [x.astype(float) for x in sets]


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


def test_direction_is_the_double_sum():
    (fixed, updated), exact = particles()
    np.testing.assert_allclose(
        amortised_direction(score, fixed, updated, WIDTH), by_hand(*exact), rtol=2e-5, atol=2e-5
    )
    same = amortised_direction(score, fixed, fixed, WIDTH)
    np.testing.assert_array_equal(same, svgd_direction(score, fixed, WIDTH))


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
    assert np.max(np.abs(np.asarray(mutant(fixed, updated)) - by_hand(*exact))) > 0.05


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
        assert float(median_bandwidth(fixed, rule, updated)) == pytest.approx(width, rel=1e-5)
        np.testing.assert_allclose(
            amortised_direction(score, fixed, updated, rule), by_hand(x, y, width), rtol=1e-4, atol=1e-4
        )
    even = sorted(np.sum((a - b) ** 2) for a in x[:4] for b in y)  # 12 numbers: the sixth, as top_k has it
    assert float(median_bandwidth(fixed[:4], "official", updated)) == pytest.approx(
        even[5] / np.log(4), rel=1e-5
    )
    assert float(median_bandwidth(jnp.zeros((3, 1)), "official")) == pytest.approx(1e-3)


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
    params = {"w": rng.normal(size=(2, 2)), "b": rng.normal(size=2)}
    draw = lambda n: jnp.asarray(rng.normal(size=(n, 2)), jnp.float32)
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params), draw(6), draw(4)


def loss_of(params, fixed_noise, updated_noise, repulsion=1.0):
    return amortised_loss(partial(tiny, params), score, fixed_noise, updated_noise, WIDTH, repulsion)


def test_gradient_through_a_tiny_network():
    given = setting()
    expected = gradient_by_hand(*given)
    made = jax.grad(loss_of)(*given)
    for name, value in expected.items():
        np.testing.assert_allclose(made[name], value, rtol=1e-4, atol=1e-5)
    shared = jax.grad(loss_of)(
        given[0], given[1], given[1]
    )  # the same noise twice: the fixed copy carries nothing
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
    for name, loss in mutants.items():
        assert np.max(np.abs(jax.grad(loss)(params)["w"] - expected)) > 0.02, name


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
            stein, true = both(jnp.array([mean, np.log(std)], jnp.float32), temperature)
            assert float(stein @ true) > 0, (temperature, mean, std)


# Where the direction vanishes


def quantiles(law, count):
    """`count` actions that carry equal mass of a one-dimensional softmax: the mean over them is a quadrature."""
    cumulative = np.cumsum(law.probabilities) - law.probabilities / 2
    return jnp.asarray(
        np.interp((np.arange(count) + 0.5) / count, cumulative, law.nodes[:, 0])[:, None], jnp.float32
    )


PLACES = jnp.linspace(-0.8, 0.8, 9)[:, None]


@pytest.mark.parametrize("temperature", [0.05, 0.02])
def test_at_the_target_nothing_moves(temperature):
    """Stein's identity, away from the walls: the mean over the softmax of Delta f is zero at every place."""
    q = landscapes.get("twomode1")
    at_target = quantiles(Boltzmann(q, temperature), 20_000)
    direction = partial(amortised_direction, fixed=at_target, updated=PLACES, bandwidth=0.1)
    score = softmax_score(q, temperature)
    scale = float(jnp.max(jnp.abs(direction(score, repulsion=0.0))))
    assert scale > 0.5
    assert float(jnp.max(jnp.abs(direction(score)))) < 2e-3 * scale
    for mutant in (
        direction(score, repulsion=1 / temperature),
        direction(score, repulsion=-1.0),
        direction(softmax_score(q, 1.1 * temperature)),
    ):
        assert float(jnp.max(jnp.abs(mutant))) > 0.03 * scale


def test_at_a_wall_the_boundary_term_remains():
    """Q = 0: the softmax is uniform and Delta f is (k(1, y) - k(-1, y)) / 2, which pushes out of the box."""
    flat = jnp.asarray(((np.arange(20_000) + 0.5) / 10_000 - 1)[:, None], jnp.float32)
    direction = amortised_direction(lambda a: 0 * a, flat, PLACES, 0.1)
    kernel = lambda wall: np.exp(-((wall - np.asarray(PLACES, float)) ** 2) / 0.1)
    np.testing.assert_allclose(direction, (kernel(1.0) - kernel(-1.0)) / 2, atol=1e-4)


def test_the_extra_term_of_the_official_code():
    """Its particles stand still at exp(Q / temperature) * (1 - a^2), and not at the softmax."""
    flat = lambda a: jnp.zeros(())
    x = np.linspace(-1, 1, 200_001)
    cumulative = (x - x**3 / 3) * 3 / 4 + 0.5
    squeezed = jnp.asarray(np.interp((np.arange(20_000) + 0.5) / 20_000, cumulative, x)[:, None], jnp.float32)
    direction = partial(amortised_direction, fixed=squeezed, updated=PLACES, bandwidth=0.1)
    score = softmax_score(flat, TEMPERATURE)
    assert float(jnp.max(jnp.abs(direction(squashed(score))))) < 5e-3
    assert float(jnp.max(jnp.abs(direction(score)))) > 0.1
    assert float(squashed(score)(jnp.array([0.5]))[0]) == pytest.approx(-2 * 0.5 / (0.75 + 1e-6))


# Equation 33


def test_density_of_an_affine_map():
    matrix, shift, xi = jnp.array([[2.0, 0.5], [-1.0, 0.7]]), jnp.array([0.1, -0.3]), jnp.array([0.4, -1.1])
    action, log_density = change_of_variables(lambda xi: matrix @ xi + shift, xi)
    expected = stats.multivariate_normal(shift, matrix @ matrix.T).logpdf(np.asarray(action, float))
    assert float(log_density) == pytest.approx(float(expected), abs=1e-5)


def test_where_noise_folds_equation_33_is_half_the_density():
    entry = REFERENCE["sql.eq33_noninjective"]["value"]
    action, log_density = change_of_variables(lambda xi: xi**2, jnp.array([1.0]))
    assert float(action[0]) == 1 and float(jnp.exp(log_density)) == pytest.approx(entry["eq33"], abs=1e-7)
    assert entry["true"] == pytest.approx(
        stats.chi2(1).pdf(1.0), abs=1e-12
    )  # two noises lead there, 1 and -1
    assert entry["true"] == pytest.approx(2 * entry["eq33"], abs=3e-12)  # both rounded at 1e-12


@cache
def network(dim=2, noise_dim=None, hidden=(8, 8), activation="tanh", obs_dim=0):
    return SamplingNetwork.create(
        jax.random.key(3), jnp.zeros(obs_dim), jnp.zeros(dim), hidden, activation, noise_dim
    )


def test_network_is_the_layers_written_out():
    net = network(obs_dim=3, noise_dim=4, activation="relu")
    rng = np.random.default_rng(2)
    obs, xi = rng.normal(size=3), rng.normal(size=4)
    x = np.concatenate([obs, xi])
    layers = [net.params[f"Dense_{i}"] for i in range(3)]
    for i, layer in enumerate(layers):
        x = x @ np.asarray(layer["kernel"], float) + np.asarray(layer["bias"], float)
        x = np.maximum(x, 0) if i < 2 else np.tanh(x)
    action = net(jnp.asarray(obs, jnp.float32), jnp.asarray(xi, jnp.float32))
    assert action.shape == (2,) and np.max(np.abs(x)) < 1
    np.testing.assert_allclose(action, x, atol=1e-6)
    kernel = np.asarray(network(obs_dim=300, noise_dim=100, hidden=(50,)).params["Dense_0"]["kernel"])
    assert kernel.std() == pytest.approx(
        400**-0.5 * 0.8796, rel=0.02
    )  # the fan-in counts observation and noise


def test_density_of_a_network_that_is_one_to_one():
    """One action dimension and an increasing f: against the slope by differences in float64, in the tails as well."""
    net = SamplingNetwork.create(jax.random.key(0), NOTHING, jnp.zeros(1), (4,), "tanh")
    positive = {name: {k: jnp.abs(v) + 0.5 for k, v in layer.items()} for name, layer in net.params.items()}
    net = replace(net, params=positive)
    p = {name: {k: np.asarray(v, float) for k, v in layer.items()} for name, layer in positive.items()}

    def f(xi):
        hidden = np.tanh(xi * p["Dense_0"]["kernel"] + p["Dense_0"]["bias"])
        return float((hidden @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"])[0, 0])

    for xi in (-2.0, -0.3, 0.8):
        slope = (f(xi + 1e-5) - f(xi - 1e-5)) / 2e-5
        expected = stats.norm.logpdf(xi) - np.log(slope) + 2 * np.log(np.cosh(f(xi)))
        action, log_density = net.push(NOTHING, jnp.array([xi]))
        assert float(action[0]) == pytest.approx(np.tanh(f(xi)), abs=1e-6)
        assert float(log_density) == pytest.approx(expected, abs=2e-4)
    last = {**positive["Dense_1"], "bias": positive["Dense_1"]["bias"] + 20}
    far = replace(net, params=positive | {"Dense_1": last})
    action, log_density = far.push(NOTHING, jnp.array([0.8]))
    expected = stats.norm.logpdf(0.8) - np.log(slope) + 2 * (f(0.8) + 20 - np.log(2))
    assert float(action[0]) == 1 and float(log_density) == pytest.approx(expected, abs=2e-4)


def test_a_network_learns_a_bell():
    """End to end: mean and variance of the softmax of -a^2; with the printed sign of Equation 14 it flees the hill."""
    q, temperature, count = landscapes.get("quad1"), 0.04, 32
    adam = optax.adam(optax.cosine_decay_schedule(3e-3, 800))
    start = SamplingNetwork.create(jax.random.key(5), NOTHING, jnp.zeros(1), (32, 32))
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
        (lambda: network(noise_dim=3).push(NOTHING, jnp.zeros(3)), "noise as long as the action"),
        (lambda: network(noise_dim=0), "noise_dim must be positive"),
        (lambda: network(hidden=()), "hidden_sizes must be positive"),
        (lambda: network(activation="rely"), "Did you mean 'relu'"),
    ],
)
def test_bad_input_is_one_clear_line(call, words):
    with pytest.raises(SoftqError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
