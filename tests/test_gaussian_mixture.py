"""The Gaussian mixture and its entropy against quadrature and closed forms; its fit against NumPy by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from softq.samplers.gaussian_mixture import FLOOR, GaussianMixture, fit_mixture

LINE = np.linspace(-12, 12, 40_001)


def mixture(weights, means, covariances):
    return GaussianMixture(*(jnp.asarray(x, jnp.float32) for x in (weights, means, covariances)))


def on_a_line(weights, means, deviations):
    """A mixture in one dimension, its entropy, and the mean entropy of the component given the action."""
    weights, means, deviations = (np.array(x)[:, None] for x in (weights, means, deviations))
    each = weights * stats.norm.pdf(LINE, means, deviations)
    density = each.sum(0)
    entropy = -np.trapezoid(density * np.log(np.maximum(density, 1e-300)), LINE)
    left = -np.trapezoid(np.sum(each * np.log(np.maximum(each / density, 1e-300)), 0), LINE)
    return mixture(weights[:, 0], means, deviations[:, :, None] ** 2), entropy, left


@pytest.mark.parametrize(
    ("means", "excess"), [((-1.0, 0.5, 1.0), None), ((-8.0, 0.0, 8.0), 0.0), ((0.3, 0.3, 0.3), np.log(3))]
)
def test_the_bound_is_too_high_by_what_the_action_leaves_unknown(means, excess):
    """By nothing for hills that lie apart, by log K for K equal ones."""
    weights = (0.2, 0.5, 0.3) if excess is None else (1 / 3, 1 / 3, 1 / 3)
    made, entropy, left = on_a_line(weights, means, (0.5, 0.5, 0.5) if excess else (0.6, 0.3, 0.4))
    assert float(made.entropy_bound()) == pytest.approx(entropy + left, abs=1e-4)
    if excess is None:
        assert 0.1 < left < np.log(3)
    else:
        assert left == pytest.approx(excess, abs=1e-4)


COVARIANCES = np.array([[[0.5, 0.2], [0.2, 0.3]], [[0.1, -0.05], [-0.05, 0.4]]])


def test_densities_and_entropies_of_full_covariances():
    means, weights = np.array([[0.2, -0.1], [1.0, 0.4]]), np.array([0.3, 0.7])
    made, points = mixture(weights, means, COVARIANCES), np.random.default_rng(0).normal(size=(9, 2))
    laws = [stats.multivariate_normal(m, c) for m, c in zip(means, COVARIANCES, strict=True)]
    expected = np.stack([law.logpdf(points) for law in laws], 1) + np.log(weights)
    np.testing.assert_allclose(jax.vmap(made.log_joint)(points), expected, rtol=1e-4, atol=1e-4)
    bound = sum(w * (law.entropy() - np.log(w)) for w, law in zip(weights, laws, strict=True))
    assert float(made.entropy_bound()) == pytest.approx(bound, rel=1e-5)


def by_hand(x, k, iterations, fault=""):
    """k-means from samples far apart, then expectation and maximisation, in float64."""
    centres = [x[0]]
    for _ in range(k - 1):
        distances = [min(np.sum((point - c) ** 2) for c in centres) for point in x]
        centres.append(x[int(np.argmax(distances))])
    nearest = lambda: np.array([np.argmin([np.sum((point - c) ** 2) for c in centres]) for point in x])
    for _ in range(0 if fault == "no k-means" else 10):
        labels = nearest()
        centres = [x[labels == j].mean(0) for j in range(k)]
    shares = np.eye(k)[nearest()]
    for i in range(iterations + 1):
        weights = shares.mean(0)
        means = [np.average(x, 0, share) for share in shares.T]
        covariances = [np.cov(x.T, aweights=share, ddof=0) + FLOOR * np.eye(2) for share in shares.T]
        if fault == "diagonal":
            covariances = [np.diag(np.diag(c)) for c in covariances]
        if i < iterations:
            laws = [stats.multivariate_normal(m, c) for m, c in zip(means, covariances, strict=True)]
            each = np.stack([law.pdf(x) for law in laws], 1) * (1 if fault == "no weights" else weights)
            shares = each / each.sum(1, keepdims=True)
    return weights, np.array(means), np.array(covariances)


def samples():
    """90 draws from a round hill and a long one across it, as single precision has them."""
    rng = np.random.default_rng(2)
    round_hill = 0.3 * rng.normal(size=(30, 2)) + [1.5, 0.0]
    long_hill = rng.normal(size=(60, 2)) @ np.array([[1.0, 0.8], [0.0, 0.2]])
    return np.concatenate([round_hill, long_hill]).astype(np.float32)


@pytest.mark.parametrize("fault", ["", "no k-means", "diagonal", "no weights"])
def test_the_fit_is_that_by_hand(fault):
    found = jax.jit(partial(fit_mixture, num_components=3, num_iterations=4))(samples())
    expected = by_hand(samples().astype(float), 3, 4, fault)
    got = (found.weights, found.means, found.covariances)
    off = max(np.abs(np.asarray(a, float) - b).max() for a, b in zip(got, expected, strict=True))
    assert off < 1e-4 if not fault else off > 0.01


def test_the_likelihood_never_falls():
    """Iterations of expectation and maximisation climb it, up to the floor of the variance."""
    draws = jnp.asarray(samples())

    @jax.jit
    def climbed(draws):
        fits = [fit_mixture(draws, 3, iterations) for iterations in (0, 3, 10, 50)]
        each = lambda fit: jax.vmap(lambda x: jax.nn.logsumexp(fit.log_joint(x)))(draws)
        return jnp.stack([jnp.mean(each(fit)) for fit in fits])

    found = np.asarray(climbed(draws), float)
    assert (np.diff(found) > -1e-4).all() and found[-1] - found[0] > 0.05


def test_actions_in_one_point_have_the_entropy_of_the_floor():
    found = jax.jit(lambda x: fit_mixture(x).entropy_bound())(jnp.ones((20, 2)))
    assert float(found) == pytest.approx(np.log(2 * np.pi * np.e * FLOOR), abs=1e-3)
