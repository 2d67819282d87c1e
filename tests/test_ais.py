"""Annealed importance sampling against the exact law of its chain: actions, weights, and the bound on their entropy."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr

from softq import landscapes
from softq.algorithms.common.entropy import softmax_entropy
from softq.exact.boltzmann import Boltzmann
from softq.exact.importance import Importance
from softq.exact.laws import snis_law
from softq.exact.separable import Separable
from softq.samplers import ais
from softq.testing import THRESHOLD, chi_square, mean_test
from softq.utils.errors import SoftqError

SKEW, CELLS = landscapes.get("skew1"), 800
LADDERS = {  # temperatures, steps, candidates, steps per level, fresh candidates per level
    "three levels": ([0.8, 0.4, 0.2], [0.3, 0.1, 0.05], 4, 2, 0),
    "hardly moves": ([0.8, 0.4, 0.2], [0.02, 0.02, 0.02], 1, 1, 0),
    "one level": ([0.2], [0.05], 4, 3, 0),
    "slowly": ([0.8, 0.65, 0.52, 0.42, 0.34, 0.27, 0.23, 0.2], [0.2] * 8, 16, 4, 0),
    "competing": ([0.8, 0.4, 0.2], [0.02, 0.02, 0.02], 1, 1, 2),
    "a crowd": ([0.2], [0.05], 4, 3, 5),
}


def q(x):
    return 0.6 * x + 0.7 * np.exp(-((x + 0.4) ** 2) / (2 * 0.15**2))


def slope(x):
    return 0.6 - 0.7 * (x + 0.4) / 0.15**2 * np.exp(-((x + 0.4) ** 2) / (2 * 0.15**2))


@cache
def kernel(temperature, step):
    """The Metropolis-adjusted step as a matrix on cells, and the share accepted from each: reflected proposals."""
    edges = np.linspace(-1, 1, CELLS + 1)
    x = (edges[1:] + edges[:-1]) / 2
    means = (x + step / 2 * slope(x) / temperature)[:, None]
    below = lambda at: ndtr((at - means) / np.sqrt(step))
    reach = int(np.ceil((np.abs(means).max() + 9 * np.sqrt(step)) / 4)) + 1
    proposals = sum(
        np.diff(below(edges + 4 * k)) + np.diff(-below(2 - edges + 4 * k)) for k in range(-reach, reach + 1)
    )
    with np.errstate(divide="ignore"):
        logs = np.log(proposals)
    gain = (q(x)[None] - q(x)[:, None]) / temperature + logs.T - logs
    moves = proposals * np.exp(np.minimum(0, np.where(np.isfinite(gain), gain, 0)))
    return moves + np.diag(1 - moves.sum(1)), moves.sum(1)


@cache
def sweep(temperature, num_fresh):
    """One sweep of competition as a matrix on cells, by quadrature of 1 / (w(x) + sum of others) in Laplace's form.

    With w = exp(q / temperature) the chance to move to within dy of y is the mean of num_fresh w(y) dy / 2 over the
    sum of all w; and 1 / sum = int exp(-t sum) dt.
    """
    centres = (np.arange(CELLS) + 0.5) * 2 / CELLS - 1
    w = np.exp((q(centres) - 0.8) / temperature)
    log_t, gap = np.linspace(-40, 40 + 1 / temperature, 4000, retstep=True)
    t = np.exp(log_t)
    decay = np.exp(-np.outer(t, w))
    others = decay.mean(1) ** (num_fresh - 1)
    moves = num_fresh / CELLS * ((decay.T * (gap * t * others)) @ decay) * w
    return moves + np.diag(1 - moves.sum(1))


@cache
def exact(name, late=0):
    """(law of the end, its entropy, mean of lower, mean of upper, mean share accepted at the last level)."""
    temperatures, steps, num_candidates, repeats, num_fresh = LADDERS[name]
    inverse = 1 / np.array(temperatures)
    centres = (np.arange(CELLS) + 0.5) * 2 / CELLS - 1
    hottest = Boltzmann(SKEW, temperatures[0])
    log_weight = hottest.log_partition + Importance.of(hottest).log_mean_bias(num_candidates)
    law = snis_law(q, temperatures[0], num_candidates, CELLS)
    p, left, right, accepted = law.probabilities, log_weight, log_weight, []
    for k, (temperature, step) in enumerate(zip(temperatures, steps, strict=True)):
        (moves, share), colder = kernel(temperature, step), inverse[k] - inverse[k - 1] if k else 0.0
        left += colder * (p @ q(centres))
        p = p @ sweep(temperatures[max(k - late, 0)], num_fresh) if num_fresh else p
        for _ in range(repeats):
            accepted.append(p @ share)
            p = p @ moves
        right += colder * (p @ q(centres))
    end = p @ q(centres) * inverse[-1]
    entropy = -(p @ np.log(p * CELLS / 2))
    return law._replace(probabilities=p), entropy, left - end, right - end, np.mean(accepted[-repeats:])


@cache
def drawn(name):
    temperatures, steps, *counts = LADDERS[name]
    one = lambda key: ais(key, SKEW, 1, jnp.array(temperatures), jnp.array(steps), *counts)
    chains = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(11), 40_000))
    return jax.tree.map(lambda x: np.asarray(x, float), chains)


@pytest.mark.parametrize("name", LADDERS)
def test_laws_and_means_are_exact(name):
    """The law of the end, the means of both entropies, the share accepted; and each of them is not another's."""
    law, _, lower, upper, accepted = exact(name)
    chains = drawn(name)
    assert chi_square(chains.action[:, 0], *law) > THRESHOLD
    np.testing.assert_allclose(chains.value, q(chains.action[:, 0]), atol=1e-5)
    assert mean_test(chains.lower, lower) > THRESHOLD
    assert mean_test(chains.upper, upper) > THRESHOLD
    assert mean_test(chains.accepted[:, -1], accepted) > THRESHOLD
    assert mean_test(chains.lower, lower + 0.05) < THRESHOLD
    for other in LADDERS:
        if other != name:
            assert chi_square(chains.action[:, 0], *exact(other)[0]) < THRESHOLD, other
    if len(LADDERS[name][0]) > 1:
        assert mean_test(chains.lower, upper) < THRESHOLD
    else:
        np.testing.assert_array_equal(chains.lower, chains.upper)


@pytest.mark.parametrize("name", LADDERS)
def test_the_weight_is_unbiased(name):
    """E[weight] = Z, the integral, however badly the chain moves; that of right sums is not."""
    temperature = LADDERS[name][0][-1]
    log_partition, chains = Boltzmann(SKEW, temperature).log_partition, drawn(name)
    ratio = lambda entropy: np.exp(entropy + chains.value / temperature - log_partition)
    assert mean_test(ratio(chains.lower), 1.0) > THRESHOLD
    assert mean_test(ratio(chains.lower), 1.1) < THRESHOLD
    if len(LADDERS[name][0]) > 1:
        assert mean_test(ratio(chains.upper), 1.0) < THRESHOLD


def test_competition_at_the_wrong_temperature_shows():
    """Candidates that compete before the chain is cooled, at the level above, give another law."""
    assert chi_square(drawn("competing").action[:, 0], *exact("competing", late=1)[0]) < THRESHOLD


def test_competition_leaves_the_softmax_and_moves_its_shares():
    """The matrix of the test itself: it leaves the softmax, and moves mass where steps cannot."""
    law = Boltzmann(SKEW, 0.2)
    p = exact("three levels")[0].probabilities  # not the softmax: it has to move
    target = np.exp(q((np.arange(CELLS) + 0.5) * 2 / CELLS - 1) / 0.2)
    target /= target.sum()
    moves = sweep(0.2, 3)
    assert moves.min() > -1e-12
    np.testing.assert_allclose(target @ moves, target, atol=1e-12)
    assert np.abs(p @ moves - target).sum() < 0.8 * np.abs(p - target).sum()
    still, competing = exact("hardly moves"), exact("competing")
    assert abs(competing[1] - law.entropy) < 0.4 * abs(still[1] - law.entropy)


@pytest.mark.parametrize("name", LADDERS)
def test_lower_bounds_the_entropy_of_the_end(name):
    """By exact numbers, sampled nowhere: below the entropy of the law of the end, which need not be the softmax."""
    _, entropy, lower, upper, _ = exact(name)
    # checks thm-critic-ais
    assert lower < entropy
    if name == "slowly":  # in near equilibrium the two enclose it, and closely
        assert lower < entropy < upper < lower + 0.5
        assert entropy == pytest.approx(Boltzmann(SKEW, 0.2).entropy, abs=0.05)
    if (
        name == "hardly moves"
    ):  # the uniform start, or nearly: far from the softmax, and the bound is still one
        assert entropy > Boltzmann(SKEW, 0.2).entropy + 0.2


def test_a_constant_in_q_costs_no_digits(key):
    run = jax.jit(
        lambda shift: ais(key, lambda a: SKEW(a) + shift, 1, jnp.array([0.2, 0.05]), jnp.full(2, 0.05))
    )
    plain, shifted = run(0.0), run(1024.0)
    np.testing.assert_allclose(
        shifted.lower, plain.lower, atol=5e-3
    )  # what is left is the rounding of Q itself
    assert float(shifted.value) == pytest.approx(1024 + float(plain.value), abs=1e-3)


def test_bad_input(key):
    run = lambda temperatures, steps, **more: ais(
        key, SKEW, 1, jnp.array(temperatures), jnp.array(steps), **more
    )
    for given, message in (
        (([0.25, 0.5], [0.1, 0.1]), r"temperatures must not rise, got \[0.25, 0.5\]"),
        (([0.2, 0.1], [0.1]), r"one entry for each level, got shapes \(2,\) and \(1,\)"),
        (([0.0], [0.1]), "temperatures must be positive"),
        (([0.1], [2.0]), "step_sizes must be at most 1"),
    ):
        with pytest.raises(SoftqError, match=message):
            run(*given)
    with pytest.raises(SoftqError, match="num_candidates must be positive"):
        run([0.1], [0.1], num_candidates=0)
    with pytest.raises(SoftqError, match="num_fresh must not be negative, got -1"):
        run([0.1], [0.1], num_fresh=-1)


# The entropy that a temperature is tuned by (softq.algorithms.common.entropy)


def test_estimates_of_the_softmax_entropy(key):
    """Six dimensions at -1 nat each: "ais" errs low by less than half a nat a dimension, "snis" stops at its floor."""
    dim, temperature = 6, 0.0158
    bowl, law = landscapes.get("quad1"), Separable(landscapes.get("quad1"), 0.0158, 6)
    assert law.entropy == pytest.approx(-6.0, abs=0.02)
    total = lambda a: jnp.sum(jax.vmap(bowl)(a[:, None]))
    keys = jax.random.split(key, 2000)
    estimate = lambda name: np.asarray(
        jax.jit(jax.vmap(lambda k: softmax_entropy(name, k, total, dim, temperature, 100)))(keys), float
    )
    by_chains, by_candidates = estimate("ais"), estimate("snis")
    assert law.entropy - 0.5 * dim < by_chains.mean() < law.entropy
    assert mean_test(by_chains, law.entropy) < THRESHOLD
    floor = dim * np.log(2) - np.log(100)
    assert floor - 1e-4 < by_candidates.min()
    assert by_candidates.mean() > law.entropy + 5
