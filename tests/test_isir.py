"""Iterated resampling against the exact law after each sweep, with the mutants that each test must reject."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact import numpy_of
from scipy import special

from softq import landscapes
from softq.box import uniform_action
from softq.exact.importance import Importance
from softq.exact.laws.cells import Law, cell_edges
from softq.samplers import isir, snis
from softq.testing import SAMPLER_CHECKS, THRESHOLD, binomial, check_sampler, chi_square, draw
from softq.utils.errors import SoftqError

CANDIDATES, TEMPERATURE, CELLS = 4, 0.1, 1000
Q = landscapes.get("skew1")
sampler = partial(isir, q=Q, dim=1, temperature=TEMPERATURE, num_candidates=CANDIDATES)


@cache
def importance():
    """W on five Gauss-Legendre nodes in each of the cells, taken as atoms (no kink is of interest here), and the
    logarithm of the mean weight.
    """
    q, _ = numpy_of(Q)
    x, w = np.polynomial.legendre.leggauss(5)
    nodes = (cell_edges(CELLS)[:-1, None] + (1 + x) / CELLS).ravel()
    q_mass = np.tile(w / 2, CELLS) / CELLS
    log_mean = special.logsumexp(q(nodes) / TEMPERATURE, b=q_mass)
    return Importance(q(nodes) / TEMPERATURE - log_mean, q_mass), log_mean


@cache
def law(sweeps):
    """The law after `sweeps` sweeps from one SNIS draw; with -1, the softmax."""
    exact, _ = importance()
    f = np.ones_like(exact.log_w) if sweeps < 0 else exact.ratio(CANDIDATES)
    for _ in range(sweeps):
        f = exact.sweep(CANDIDATES, f)
    mass = (exact.p_mass * f).reshape(CELLS, 5).sum(1)
    assert mass.sum() == pytest.approx(1, abs=1e-10)
    return Law(mass / mass.sum(), cell_edges(CELLS), np.zeros(2))


def p_value(key, sampler, sweeps, num=40_000):
    return chi_square(draw(sampler, key, num), *law(sweeps))


@pytest.mark.parametrize("sweeps", [1, 2, 4])
def test_law_after_each_sweep(key, sweeps):
    one = lambda key: sampler(key, sweeps=sweeps)
    assert p_value(key, one, sweeps) > THRESHOLD
    assert p_value(key, one, sweeps - 1) < THRESHOLD  # a sweep too few is seen


def without_current(key, sweeps):
    """The mutant that does not let the current action compete."""
    del sweeps
    return snis(key, Q, 1, TEMPERATURE, CANDIDATES - 1)


def too_many(key, sweeps):
    """The mutant that adds as many fresh ones as the pool should have in all."""
    return sampler(key, sweeps=sweeps, num_candidates=CANDIDATES + 1)


def too_hot(key, sweeps):
    return sampler(key, sweeps=sweeps, temperature=1.2 * TEMPERATURE)


def from_uniform(key, sweeps):
    """The mutant whose first action is not an SNIS draw."""
    return sampler(key, sweeps=sweeps, start=uniform_action(jax.random.fold_in(key, 1), 1))


def same_pool(key, sweeps):
    """The mutant that draws the same pool in every sweep."""
    action = snis(jax.random.fold_in(key, 1), Q, 1, TEMPERATURE, CANDIDATES)
    for _ in range(sweeps):
        action = sampler(key, start=action)
    return action


@pytest.mark.parametrize("mutant", [without_current, too_many, too_hot, from_uniform, same_pool])
def test_mutants_are_rejected(key, mutant):
    assert p_value(key, lambda key: mutant(key, 2), 2) < THRESHOLD


def test_the_softmax_is_left_as_it_is(key):
    """A start from the exact law, by its quantiles, then one sweep of only two candidates."""
    first, rest = jax.random.split(key)
    softmax, num = law(-1), 40_000
    starts = np.interp(jax.random.uniform(first, (num,)), softmax.cdf(), softmax.edges)[:, None]
    starts = jnp.asarray(starts, jnp.float32)

    def after(temperature):
        one = lambda key, start: isir(key, Q, 1, temperature, 2, start=start)
        return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(rest, num), starts))

    assert chi_square(after(TEMPERATURE), *softmax) > THRESHOLD
    assert chi_square(after(1.3 * TEMPERATURE), *softmax) < THRESHOLD


@pytest.mark.parametrize("start", [-0.4, 0.9])
def test_how_often_the_current_action_survives(key, start):
    """W E[1 / (W + S)], the chance of the one who is there, by the same integral."""
    q, _ = numpy_of(Q)
    exact, log_mean = importance()
    log_w = q(np.array([start])) / TEMPERATURE - log_mean
    chance = float((np.exp(log_w) * exact.ratio(CANDIDATES, log_w))[0] / CANDIDATES)
    at = jnp.array([start])
    stayed = (draw(lambda key: sampler(key, start=at), key, 20_000) == np.asarray(at)).sum()
    assert binomial(stayed, 20_000, chance) > THRESHOLD
    assert binomial(stayed, 20_000, chance * CANDIDATES / (CANDIDATES - 1)) < THRESHOLD


@pytest.mark.parametrize("check", SAMPLER_CHECKS)
def test_battery(check):
    check_sampler(lambda key: sampler(key, sweeps=2), dim=1, law=law(2), only=check)


def test_two_dimensions_and_a_traced_temperature(key):
    bowl = landscapes.get("quad2")
    one = lambda key, temperature: isir(key, bowl, 2, temperature, 8, sweeps=3)
    actions = jax.jit(jax.vmap(one, (0, None)))(jax.random.split(key, 100), 0.05)
    assert actions.shape == (100, 2)
    assert float(jnp.abs(actions).max()) <= 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"num_candidates": 1}, r"num_candidates must be at least 2, got 1"),
        ({"sweeps": 0}, r"sweeps must be positive and finite, got 0"),
        ({"temperature": -0.1}, r"temperature must be positive and finite, got -0.1"),
        ({"start": jnp.array([1.5])}, r"start must lie in the box \[-1, 1\], got 1.5"),
    ],
)
def test_bad_input_is_one_line(key, bad, message):
    with pytest.raises(SoftqError, match=message) as error:
        isir(key, **{"q": Q, "dim": 1, "temperature": TEMPERATURE} | bad)
    assert "\n" not in str(error.value)
