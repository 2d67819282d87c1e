"""The samplers that leave the softmax exactly invariant, MALA and parallel tempering, with the mutants of each."""

import importlib
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact import numpy_of
from scipy.special import logsumexp

from softq import landscapes
from softq.box import reflect, uniform_action
from softq.exact.boltzmann import Boltzmann
from softq.exact.laws import chain_law, fold, point_law, softmax_law
from softq.exact.values import evaluate
from softq.samplers import chain, ladder, mala, softmax_score, tempering
from softq.testing import THRESHOLD, check_sampler, chi_square, mean_test
from softq.utils.errors import SoftqError

pytestmark = pytest.mark.usefixtures("optimised")
modules = {name: importlib.import_module(f"softq.samplers.{name}") for name in ("mala", "tempering")}
NUM = 400_000
SKEW, TEMPERATURE = landscapes.get("skew1"), 0.3  # half of its mass leans on a wall
STEPS = np.full(3, 0.3, np.float32)


def exact(landscape, temperature):
    return softmax_law(numpy_of(landscape)[0], temperature)


@cache
def from_the_softmax(seed, temperature=TEMPERATURE, landscape=SKEW):
    law = Boltzmann(landscape, temperature)
    return law.sample(np.random.default_rng(seed), NUM).astype(np.float32)


def after(sampler, starts, seed=1):
    keys = jax.random.split(jax.random.key(seed), len(starts))
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(sampler))(keys, starts))


log_density = jax.jit(modules["mala"].log_folded_normal, static_argnums=3)


@pytest.mark.parametrize("step", [1.0, 0.2, 0.003])
@pytest.mark.parametrize("mean", [0.0, 0.8995, -3.3, 17.95])
def test_density_of_a_folded_step(mean, step):
    """Against the law of one reflected step from a cell's centre, and it sums to one."""
    edges = np.linspace(-1, 1, 2001)
    centres = ((edges[1:] + edges[:-1]) / 2).astype(np.float32)
    found = np.exp(log_density(centres, np.float32(mean), step))
    folded = float(fold(float(np.float32(mean))))
    law = chain_law(np.zeros_like, [step], point_law(folded))
    held = np.argmax(point_law(folded).probabilities)
    np.testing.assert_allclose(found.mean() * 2, 1, atol=2e-5)
    off = abs(folded - (edges[held] + edges[held + 1]) / 2)  # the mean lies this far from its cell's centre
    np.testing.assert_allclose(found * 1e-3, law.probabilities, atol=4e-4 * (off / step + 0.02))


@pytest.mark.parametrize("step", [1.0, 0.3, 0.1, 0.01])
def test_a_few_images_are_all_that_single_precision_can_tell(step):
    """Against 41 images in float64, corner to corner; one image will do up to a step of 0.1, and not beyond."""
    line = np.concatenate([np.linspace(-1, 1, 41), [-0.999, 0.999, -1, 1]])
    x, c = (a.ravel() for a in np.meshgrid(line, line))
    shifts = 4 * np.arange(-10, 11)[:, None]
    distances = np.concatenate([x - c + shifts, 2 - x - c + shifts])
    exact = logsumexp(-(distances**2) / (2 * step), axis=0) - np.log(2 * np.pi * step) / 2
    in_single = log_density(np.float32(x), np.float32(c), step, True)
    np.testing.assert_allclose(in_single, exact, atol=2e-6 + 4e-7 / step, rtol=2e-6)
    with jax.enable_x64(True):
        every, one = (np.exp(log_density(x, c, step, all_images)) for all_images in (True, False))
    missing = np.max(np.abs(one - every))
    assert missing < 1e-7 if step <= modules["mala"].ONE_IMAGE_STEP else missing > 5e-4


def exact_share(step, cells=400):
    """The mean acceptance of one step from the softmax of SKEW, in float64 on a grid of cells, by many images."""
    value, slope = numpy_of(SKEW)
    x = (np.arange(cells) + 0.5) / cells * 2 - 1
    mean = (x + step / 2 * slope(x) / TEMPERATURE)[:, None]
    gauss = lambda y: np.exp(-((y - mean) ** 2) / (2 * step))
    kernel = sum(gauss(x + 4 * k) + gauss(2 - x + 4 * k) for k in range(-6, 7))
    weight = np.exp(value(x) / TEMPERATURE)
    flow = weight[:, None] / weight.sum() * kernel / kernel.sum(1, keepdims=True)
    return float(np.minimum(flow, flow.T).sum())


@pytest.mark.parametrize("step", [0.09, 0.4])
def test_share_of_accepted_steps_is_the_exact_one(step, monkeypatch):
    """At a step that counts one image and at one that counts all; without any image it is noticed."""
    starts, expected = from_the_softmax(0)[:200_000], exact_share(step)
    shares = lambda: after(lambda key, a: mala(key, SKEW, TEMPERATURE, a, np.array([step]))[1], starts)
    assert mean_test(shares(), expected) > THRESHOLD
    plain = lambda action, mean, step, all_images: -((action - reflect(mean)) ** 2) / (2 * step)
    monkeypatch.setattr(modules["mala"], "log_folded_normal", plain)
    assert mean_test(shares(), expected) < THRESHOLD


def test_mala_leaves_the_softmax_invariant():
    """Three large steps from exact samples, 400,000 of them; acceptance is well below one, so the rule matters."""
    starts = from_the_softmax(0)
    run = partial(mala, q=SKEW, temperature=TEMPERATURE, step_sizes=STEPS)
    moved, accepted = after(lambda key, a: run(key, a0=a), starts)
    share = accepted.mean()
    assert chi_square(moved, *exact(SKEW, TEMPERATURE)) > THRESHOLD
    assert 0.3 < share < 0.95 and np.mean(np.abs(moved - starts) > 1e-3) > 0.5


def test_without_the_rule_or_the_fold_it_does_not(monkeypatch):
    starts, law = from_the_softmax(0), exact(SKEW, TEMPERATURE)
    score, steps = softmax_score(SKEW, TEMPERATURE), jnp.asarray(STEPS)

    def unadjusted(key, a):
        return chain(score, a, steps, jax.random.normal(key, (3, 1)), reflect)

    assert chi_square(after(unadjusted, starts), *law) < THRESHOLD
    run = partial(mala, q=SKEW, temperature=TEMPERATURE, step_sizes=STEPS)
    unfolded = lambda action, mean, step, _: -((action - mean) ** 2) / (2 * step)
    monkeypatch.setattr(modules["mala"], "log_folded_normal", unfolded)
    assert chi_square(after(lambda key, a: run(key, a0=a)[0], starts), *law) < THRESHOLD
    monkeypatch.undo()
    hotter = partial(mala, q=SKEW, temperature=1.03 * TEMPERATURE, step_sizes=STEPS)
    assert chi_square(after(lambda key, a: hotter(key, a0=a)[0], starts), *law) < THRESHOLD


def test_mala_finds_the_softmax_from_anywhere():
    """From uniform starts to the Boltzmann density itself, one hill, 400,000 samples; and the battery."""
    quad = landscapes.get("quad1")
    steps = jnp.full(25, 0.3)

    def sampler(key, law_steps=steps):
        start, drive = jax.random.split(key)
        return mala(drive, quad, 0.2, uniform_action(start, 1), law_steps)[0]

    check_sampler(sampler, 1, law=exact(quad, 0.2), num_samples=NUM)
    few = after(lambda key, _: sampler(key, steps[:2]), jnp.zeros(NUM))
    assert chi_square(few, *exact(quad, 0.2)) < THRESHOLD


def test_mala_in_two_dimensions():
    """Mean value on the two hills of twomode2, from exact samples, with the drift of both coordinates."""
    landscape = landscapes.get("twomode2")
    starts = from_the_softmax(3, 0.2, landscape)[:100_000]
    run = partial(mala, q=landscape, temperature=0.2, step_sizes=jnp.full(4, 0.1))
    moved = after(lambda key, a: run(key, a0=a)[0], starts)
    values = evaluate(landscape, moved)
    assert mean_test(values, Boltzmann(landscape, 0.2).mean_value) > THRESHOLD
    assert mean_test(values, Boltzmann(landscape, 0.21).mean_value) < THRESHOLD


def test_trajectory_and_share():
    run = partial(mala, jax.random.key(0), SKEW, TEMPERATURE, jnp.array([0.2]))
    path, share = run(step_sizes=jnp.full(50, 0.2), trajectory=True)
    moves = np.mean(np.any(np.diff(path, axis=0) != 0, axis=1))
    assert path.shape == (51, 1) and float(share) == pytest.approx(moves)
    assert run(step_sizes=jnp.full(50, 0.2))[0] == path[-1]
    assert run(step_sizes=jnp.full(200, 1e-6))[1] > 0.99


HILLS, RUNGS = landscapes.get("twomode1"), ladder(0.05, 0.5, 4)
TEMPERING = {"q": HILLS, "temperatures": RUNGS, "step_sizes": jnp.asarray(0.5 * RUNGS, jnp.float32)}


def test_tempering_crosses_the_valley():
    """All replicas start on the lower hill; the coldest ends with the Boltzmann density. A chain alone stays."""
    starts = jnp.full((16_000, 4, 1), -0.6)
    run = partial(tempering, **TEMPERING, rounds=500)
    cold = after(lambda key, a: run(key, a0=a)[0][0], starts)
    assert chi_square(cold, *exact(HILLS, 0.05)) > THRESHOLD
    assert chi_square(cold, *exact(HILLS, 0.055)) < THRESHOLD
    alone = lambda key, a: mala(key, HILLS, 0.05, a[0], jnp.full(100, 0.025))[0]
    assert np.mean(after(alone, starts) > 0) < 1e-3


def test_every_rung_keeps_its_own_softmax():
    starts = np.stack([from_the_softmax(10 + i, t, HILLS) for i, t in enumerate(RUNGS)], axis=1)
    run = partial(tempering, **TEMPERING, rounds=2)
    ends, share = after(lambda key, a: run(key, a0=a), starts)
    assert 0.3 < share.mean() < 0.99
    for rung, temperature in enumerate(RUNGS):
        assert chi_square(ends[:, rung], *exact(HILLS, temperature)) > THRESHOLD, temperature


def test_swaps_that_ignore_the_values_are_noticed():
    """A ladder whose inverse temperatures enter with the wrong sign moves good actions to hot rungs."""
    starts = np.stack([from_the_softmax(10 + i, t, HILLS) for i, t in enumerate(RUNGS)], axis=1)[:50_000]
    backwards = lambda action: -HILLS(action)
    run = partial(tempering, **TEMPERING | {"q": backwards, "step_sizes": jnp.full(4, 1e-9)}, rounds=1)
    ends = after(lambda key, a: run(key, a0=a)[0], starts)
    assert chi_square(ends[:, 0], *exact(HILLS, RUNGS[0])) < THRESHOLD


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: mala(jax.random.key(0), SKEW, 0.0, jnp.zeros(1), jnp.ones(1)),
            "temperature must be positive",
        ),
        (lambda: mala(jax.random.key(0), SKEW, 1.0, jnp.full(1, 1.5), jnp.ones(1)), "a0 must lie in the box"),
        (lambda: mala(jax.random.key(0), SKEW, 1.0, jnp.zeros(1), jnp.full(1, 1.5)), "at most 1, got 1.5"),
        (
            lambda: mala(jax.random.key(0), SKEW, 1.0, jnp.zeros(1), jnp.zeros(1)),
            "step_sizes must be positive",
        ),
        (lambda: ladder(1.0, 0.5, 3), "a ladder rises"),
        (
            lambda: tempering(jax.random.key(0), SKEW, RUNGS[::-1], jnp.zeros((4, 1)), jnp.ones(4), 1),
            "must rise",
        ),
        (
            lambda: tempering(jax.random.key(0), SKEW, RUNGS, jnp.zeros((4, 1)), jnp.ones(5), 1),
            "4 temperatures",
        ),
        (
            lambda: tempering(jax.random.key(0), SKEW, RUNGS, jnp.full((4, 1), 2.0), jnp.ones(4), 1),
            "a0 must lie in the box",
        ),
        (
            lambda: tempering(jax.random.key(0), SKEW, RUNGS, jnp.zeros((4, 1)), jnp.full(4, 1.5), 1),
            "at most 1, got 1.5",
        ),
        (lambda: tempering(jax.random.key(0), SKEW, RUNGS, jnp.zeros((4, 1)), jnp.ones(4), 0), "rounds"),
    ],
)
def test_bad_input_is_one_clear_line(call, words):
    with pytest.raises(SoftqError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
