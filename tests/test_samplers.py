"""Samplers against the exact law of their finite chain, with the mutants that each test must reject."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import known_draws, uniforms
from exact import numpy_of
from reference import REFERENCE

from softq import landscapes, samplers
from softq.box import project, reflect, uniform_action, uniform_actions
from softq.exact.laws import chain_law, fold, selection_law, snis_law, uniform_law
from softq.samplers import chain, langevin, qglg, snis, softmax_score
from softq.testing import SAMPLER_CHECKS, THRESHOLD, binomial, check_sampler, chi_square, draw, mean_test
from softq.utils.errors import SoftqError

pytestmark = pytest.mark.usefixtures("optimised")
CELLS = 1000
TEMPERATURES = {"quad1": 0.3, "twomode1": 0.15, "skew1": 0.2}  # skew1 leans on the right wall
BOUNDARIES = {"reflect": reflect, "project": project}
STEPS = np.linspace(0.2, 0.02, 5)
SCHEDULES = np.array([[0.3, 0.05], [0.1, 0.03], [0.03, 0.01]])
CANDIDATES = 8
NEVER = 1e-20  # a step that does not move, to leave one out without a new compilation


def problem(name):
    """A landscape's numbers, its temperature, and its value and score in NumPy."""
    landscape = landscapes.get(name)
    q, slope = numpy_of(landscape)
    return numbers(landscape), TEMPERATURES[name], q, lambda x: slope(x) / TEMPERATURES[name]


def numbers(landscape):
    """What makes a one-dimensional landscape, as an array: one compiled sampler then serves all of them."""
    bumps = [(height, centre, width) for height, (centre,), width in landscape.bumps]
    bumps += [(0.0, 0.0, 1.0)] * (2 - len(bumps))
    assert landscape.power is None or landscape.power[1] == 2
    curvature = landscape.power[0] if landscape.power else 0.0
    slope = landscape.slope[0] if landscape.slope else 0.0
    return np.array([*np.ravel(bumps), curvature, slope, 0.0], np.float32).reshape(3, 3)


def rebuilt(theta):
    """The landscape with these numbers, as a function of one action."""

    def q(action):
        a = action[0]
        bumps = sum(h * jnp.exp(-((a - c) ** 2) / (2 * w**2)) for h, c, w in (theta[0], theta[1]))
        return bumps - theta[2, 0] * a**2 + theta[2, 1] * a

    return q


@pytest.mark.parametrize("name", TEMPERATURES)
def test_landscapes_are_rebuilt_faithfully(name):
    actions, landscape = np.linspace(-1, 1, 101, dtype=np.float32)[:, None], landscapes.get(name)
    both = jax.jit(lambda theta: (jax.vmap(landscape)(actions), jax.vmap(rebuilt(theta))(actions)))
    np.testing.assert_allclose(*both(numbers(landscape)), atol=2e-6)


def over_keys(sampler):
    """Compile `sampler(key, *arguments)` for a batch of keys; returns a function of (key, num,
    *arguments).
    """
    compiled = jax.jit(lambda keys, *args: jax.vmap(lambda k: sampler(k, *args))(keys))
    as_array = lambda x: jnp.asarray(x, jnp.float32)
    return lambda key, num, *args: np.asarray(compiled(jax.random.split(key, num), *map(as_array, args)))


def rejects(law, samples):
    """Whether chi-square tells these draws of a wrong sampler from the law."""
    return chi_square(samples, *law) < THRESHOLD


# Folding


def bounce(a, y):
    """Walk from `a` in direction `y`, turning at each wall, until the path is used up."""
    direction, left = np.sign(y), abs(y)
    while left > 0:
        room = (1 - a) if direction > 0 else (a + 1)
        if left <= room:
            return a + direction * left
        a, left, direction = (1.0 if direction > 0 else -1.0), left - room, -direction
    return a


def test_reflect_is_the_bouncing_path():
    rng = np.random.default_rng(0)
    starts, moves = rng.uniform(-1, 1, 3000), rng.normal(0, 3, 3000)
    expected = [bounce(a, y) for a, y in zip(starts, moves, strict=True)]
    np.testing.assert_allclose(reflect(jnp.asarray(starts + moves, jnp.float32)), expected, atol=2e-6)


def test_reflect_is_1_lipschitz_and_the_identity_inside():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-9, 9, (2, 20_000, 3)).astype(np.float32)
    distance = lambda u, v: np.linalg.norm(np.asarray(u) - np.asarray(v), axis=-1)
    assert (distance(reflect(x), reflect(y)) <= distance(x, y) + 1e-5).all()
    inside = rng.uniform(-1, 1, 10_000).astype(np.float32)
    np.testing.assert_allclose(reflect(inside), inside, atol=3e-7)
    assert np.abs(reflect(rng.normal(0, 1e4, 10_000).astype(np.float32))).max() <= 1


def test_project_is_the_nearest_point():
    x = np.linspace(-4, 4, 801).astype(np.float32)
    np.testing.assert_array_equal(project(x), np.clip(x, -1, 1))


# Uniform and SNIS


def test_uniform_is_uniform(key):
    sampler = lambda k: uniform_action(k, 1)
    check_sampler(sampler, 1, law=uniform_law())
    assert rejects(uniform_law(), draw(lambda k: 0.98 * uniform_action(k, 1), key, 20_000))


@cache
def snis_sampler(num_candidates):
    return over_keys(lambda k, theta, temperature: snis(k, rebuilt(theta), 1, temperature, num_candidates))


@pytest.mark.parametrize("num_candidates", [1, CANDIDATES, 100])
@pytest.mark.parametrize("name", TEMPERATURES)
def test_snis_has_its_exact_law(name, num_candidates, key):
    theta, temperature, q, _ = problem(name)
    law = snis_law(q, temperature, num_candidates)
    assert not rejects(law, snis_sampler(num_candidates)(key, 20_000, theta, temperature))


@cache
def snis_mutant():
    """The choice among the candidates without weights (which = 0), or of the best (which = 1)."""

    def sample(k, theta, which):
        actions = uniform_actions(k, 1, CANDIDATES)
        return actions[jnp.where(which == 0, 0, jnp.argmax(jax.vmap(rebuilt(theta))(actions)))]

    return over_keys(sample)


@pytest.mark.parametrize("name", TEMPERATURES)
def test_snis_mutants_are_rejected(name, key):
    theta, temperature, q, _ = problem(name)
    law = snis_law(q, temperature, CANDIDATES)
    assert rejects(law, snis_mutant()(key, 20_000, theta, 0)), "a uniform pick"
    assert rejects(law, snis_mutant()(key, 20_000, theta, 1)), "the best candidate"
    assert rejects(law, snis_sampler(CANDIDATES)(key, 20_000, theta, 1.2 * temperature)), (
        "temperature times 1.2"
    )
    assert rejects(snis_law(q, temperature, 3), snis_sampler(2)(key, 20_000, theta, temperature)), "one fewer"


# Langevin


@cache
def chain_sampler(boundary):
    """A chain from a uniform start, for any landscape, temperature, factor on the drift and step sizes."""

    def sample(k, theta, temperature, drift, steps):
        start, noise = jax.random.split(k)
        score = softmax_score(rebuilt(theta), temperature)
        return langevin(
            noise, lambda a: drift * score(a), uniform_action(start, 1), steps, BOUNDARIES[boundary]
        )

    return over_keys(sample)


def run_chain(key, name, boundary, num=20_000, heat=1.0, drift=1.0, steps=STEPS):
    theta, temperature, _, _ = problem(name)
    return chain_sampler(boundary)(key, num, theta, heat * temperature, drift, steps)


def without(steps, index):
    return np.where(np.arange(len(steps)) == index % len(steps), NEVER, steps)


def exact_chain(name, boundary):
    return chain_law(problem(name)[3], STEPS, uniform_law(CELLS), CELLS, boundary)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("name", TEMPERATURES)
def test_langevin_has_its_exact_law(name, boundary, key):
    assert not rejects(exact_chain(name, boundary), run_chain(key, name, boundary))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("name", TEMPERATURES)
def test_langevin_mutants_are_rejected(name, boundary, key):
    law, mutant = exact_chain(name, boundary), partial(run_chain, key, name, boundary)
    assert rejects(law, mutant(drift=-1.0)), "sign of the score"
    assert rejects(law, mutant(drift=2.0)), "drift without the 1/2"
    if name != "quad1":  # the parabola keeps away from the walls and soon forgets
        other = "project" if boundary == "reflect" else "reflect"
        assert rejects(law, run_chain(key, name, other)), "the other boundary"
        assert rejects(law, mutant(steps=without(STEPS, -1))), "the last step left out"
    if name == "skew1":
        assert rejects(law, mutant(heat=1.2)), "temperature times 1.2"
        assert rejects(law, mutant(steps=without(STEPS, 0))), "the first step left out"


@pytest.mark.slow
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_langevin_law_with_a_large_sample(boundary, key):
    law, run = exact_chain("skew1", boundary), partial(run_chain, key, "skew1", boundary, 400_000)
    assert not rejects(law, run())
    assert rejects(law, run(heat=1.1)), "temperature times 1.1"
    assert rejects(law, run(steps=STEPS * 1.1)), "steps times 1.1"
    assert rejects(law, run(steps=without(STEPS, 2))), "the middle step left out"


def test_one_step_has_the_right_mean_and_variance(key):
    step, a0 = 0.004, 0.3
    score = lambda a: -2 * a / 0.1
    run = over_keys(lambda k, steps: langevin(k, score, jnp.array([a0]), steps))

    def moments(factor):
        draws = run(key, 20_000, [step * factor])
        centred = (draws[:, 0] - (a0 + step / 2 * score(a0))) / np.sqrt(step)
        return mean_test(centred, 0.0), mean_test(centred**2, 1.0)

    assert min(moments(1.0)) > THRESHOLD
    assert moments(1.1)[1] < THRESHOLD, "step times 1.1"


def test_no_score_and_no_step_do_not_move(key):
    a0 = np.array([0.25, -1.0, 1.0, 0.7], np.float32)
    still = lambda a, noise, boundary: chain(lambda a: 0 * a, a, jnp.zeros(4), noise, boundary)
    both = jax.jit(lambda a, noise: (still(a, noise, reflect), still(a, noise, project)))
    reflected, projected = both(a0, jax.random.normal(key, (4, 4)))
    np.testing.assert_allclose(reflected, a0, atol=2e-7)
    np.testing.assert_array_equal(projected, a0)


def test_trajectory_ends_where_the_chain_ends(key):
    a0, steps = jnp.array([0.1, -0.2]), jnp.array([0.3, 0.2, 0.1])
    run = lambda k, path: langevin(k, lambda a: -a, a0, steps, trajectory=path)
    path, end = map(np.asarray, jax.jit(lambda k: (run(k, True), run(k, False)))(key))
    assert path.shape == (4, 2)
    np.testing.assert_array_equal(path[0], a0)
    np.testing.assert_allclose(path[-1], end, atol=1e-6)


def test_the_noise_is_used_as_given():
    noise, steps = np.float32([[0.5], [-1.0]]), np.float32([0.04, 0.01])
    by_hand = 0.1 + 0.02 * (-0.3) + 0.2 * 0.5
    by_hand = by_hand + 0.005 * (-3 * by_hand) + 0.1 * -1.0
    run = jax.jit(lambda a, steps, noise: chain(lambda a: -3 * a, a, steps, noise))
    np.testing.assert_allclose(run(np.float32([0.1]), steps, noise), [by_hand], rtol=1e-6)


@pytest.mark.parametrize("step", [1.0, 0.1, 0.01])
def test_a_flat_landscape_keeps_the_reflected_walk_uniform(step, key):
    flat = numbers(landscapes.Landscape("flat", 1, 0.0))
    run = lambda boundary: chain_sampler(boundary)(key, 20_000, flat, 1.0, 1.0, np.full(5, step))
    assert not rejects(uniform_law(), run("reflect"))
    assert rejects(uniform_law(), run("project"))


@cache
def flat_walk():
    """From the middle of a flat landscape, projected."""
    return over_keys(lambda k, steps: langevin(k, lambda a: 0 * a, jnp.zeros(1), steps, project))


@pytest.mark.parametrize("step", ["1.0", "0.25", "0.1"])
def test_projection_leaves_the_known_mass_on_the_walls(step, key):
    expected = REFERENCE["langevin.clip_flat"]["value"][step]["atom_mass_clip"]
    stuck = np.abs(flat_walk()(key, 20_000, np.full(80, float(step)))[:, 0]) == 1
    assert mean_test(stuck, expected) > THRESHOLD


GAUSS = REFERENCE["langevin.gauss"]["value"]


@pytest.mark.parametrize("setting", [k for k, v in GAUSS.items() if v["stable"]])
def test_without_walls_a_parabola_is_solved_in_closed_form(setting, key):
    m, lam, step = (float(part.split("=")[1]) for part in setting.split(","))
    score = softmax_score(lambda a: -m * jnp.sum(a**2) / 2, lam)
    free = lambda a: a
    short = jax.jit(jax.vmap(lambda a0, noise: chain(score, a0, jnp.full(5, step), noise, free), (0, None)))
    right, left = np.asarray(short(np.float32([[0.9], [-0.9]]), jax.random.normal(key, (5, 1))))
    contraction = GAUSS[setting]["contraction"]
    np.testing.assert_allclose(right - left, 1.8 * contraction**5, atol=1e-5)

    steps = int(np.ceil(np.log(1e-3) / np.log(contraction) / 2))
    reached = GAUSS[setting]["chain_var"] * (1 - contraction ** (2 * steps))
    draws = draw(lambda k: langevin(k, score, jnp.zeros(1), jnp.full(steps, step), free), key, 20_000)
    assert mean_test(draws**2, reached) > THRESHOLD
    assert mean_test(draws**2, reached * 1.07) < THRESHOLD


# QGLG


@cache
def qglg_sampler(boundary="reflect", select="argmax", num_candidates=CANDIDATES, greedy=False):
    def sample(k, theta, temperature, schedules):
        where = BOUNDARIES[boundary]
        return qglg(
            k, rebuilt(theta), 1, temperature, schedules, num_candidates, where, select, greedy=greedy
        )

    return over_keys(sample)


def run_qglg(key, name, boundary="reflect", select="argmax", heat=1.0, schedules=SCHEDULES):
    theta, temperature, _, _ = problem(name)
    return qglg_sampler(boundary, select)(key, 20_000, theta, heat * temperature, schedules)


@cache
def end_points(name, fresh):
    """The end of each schedule, `(n, S, 1)`, from draws of SNIS; by one noise, or `fresh` noise per schedule."""
    (theta, temperature, *_), num = problem(name), 20_000
    starts = snis_sampler(CANDIDATES)(jax.random.key(2), num, theta, temperature)
    noise = np.random.default_rng(3).normal(size=(num, len(SCHEDULES) if fresh else 1, 2, 1))
    noise = np.broadcast_to(noise, (num, *SCHEDULES.shape, 1)).astype(np.float32)
    return np.asarray(several_chains(theta, temperature, np.float32(SCHEDULES), starts, noise))


@jax.jit
def several_chains(theta, temperature, schedules, starts, noise):
    score = softmax_score(rebuilt(theta), temperature)
    of_one = jax.vmap(partial(chain, score), (None, 0, 0))
    return jax.vmap(of_one, (0, None, 0))(starts, schedules, noise)


def chosen(ends, q, which):
    """One end point of each draw by its value of Q."""
    return np.take_along_axis(ends, which(q(ends[..., 0].astype(float)), axis=1)[:, None, None], 1)[:, 0]


@cache
def exact_qglg(name, boundary="reflect", select="argmax"):
    _, temperature, q, score = problem(name)
    start = snis_law(q, temperature, CANDIDATES)
    return selection_law(
        q, score, SCHEDULES, start, boundary=boundary, select=select, temperature=temperature
    )


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("name", TEMPERATURES)
def test_qglg_has_its_exact_law(name, boundary, key):
    assert not rejects(exact_qglg(name, boundary), run_qglg(key, name, boundary))


def test_qglg_with_a_random_schedule_has_its_exact_law(key):
    law = exact_qglg("skew1", select="random")
    assert not rejects(law, run_qglg(key, "skew1", select="random"))
    assert rejects(law, run_qglg(key, "skew1"))


def test_qglg_with_a_weighted_schedule_has_its_exact_law(key):
    law = exact_qglg("skew1", select="weight")
    assert not rejects(law, run_qglg(key, "skew1", select="weight"))
    assert rejects(law, run_qglg(key, "skew1", select="random")), "a random schedule"
    assert rejects(law, run_qglg(key, "skew1")), "the best schedule"


def test_schedules_in_multiples_of_the_stability_limit(key):
    """The same actions, key by key, as with those steps spelt out; and the limit moves with the temperature."""
    q = landscapes.get("skew1")
    keys = jax.random.split(key, 50)
    run = jax.jit(
        lambda schedules, temperature, curvature: jax.vmap(
            lambda k: qglg(k, q, 1, temperature, schedules, 8, select="random", curvature=curvature)
        )(keys)
    )
    plain = jax.jit(
        lambda schedules, temperature: jax.vmap(
            lambda k: qglg(k, q, 1, temperature, schedules, 8, select="random")
        )(keys)
    )
    share = np.float32([[0.3, 0.1], [0.05, 0.01]])
    for temperature in (0.1, 0.2):
        spelt = plain(share * 4 * temperature / 5.0, temperature)
        np.testing.assert_allclose(run(share, temperature, 5.0), spelt, atol=1e-5)
    cold = np.asarray(run(share, 0.1, 5.0))
    assert np.abs(cold - np.asarray(plain(share * 4 * 0.2 / 5.0, 0.1))).max() > 1e-3


def test_stability_limit_and_curvature():
    """On a parabola the chain diverges just beyond the limit; the steepest curvature is that of the bump's top."""
    quad, limit = landscapes.get("quad1"), float(samplers.stability_limit(0.3, 2.0))
    assert limit == pytest.approx(0.6)
    score, noise = softmax_score(quad, 0.3), np.zeros((60, 1), np.float32)
    end = jax.jit(lambda steps: chain(score, jnp.array([0.5]), steps, noise, lambda a: a))
    for step, grows in ((0.99 * limit, False), (1.01 * limit, True)):
        assert (abs(np.asarray(end(np.full(60, step, np.float32)))[0]) > 0.5) == grows
    actions = np.linspace(-1, 1, 2001, dtype=np.float32)[:, None]
    curvature = jax.jit(samplers.steepest_curvature)
    assert float(curvature(quad, actions)) == pytest.approx(2.0)
    two = landscapes.get("twomode1")
    assert float(curvature(two, actions)) == pytest.approx(1 / 0.15**2, rel=1e-3)
    with pytest.raises(SoftqError, match="curvature must be positive"):
        samplers.stability_limit(0.1, -1.0)


@pytest.mark.parametrize("name", TEMPERATURES)
def test_qglg_mutants_are_rejected(name, key):
    law, q, ends = exact_qglg(name), problem(name)[2], end_points(name, fresh=False)
    assert not rejects(law, chosen(ends, q, np.argmax)), "the honest copy passes"
    assert rejects(law, ends[:, 0]), "always the first schedule"
    assert rejects(law, chosen(ends, q, np.argmin)), "the worst schedule"
    assert rejects(law, run_qglg(key, name, select="random")), "a random schedule"
    assert rejects(law, run_qglg(key, name, heat=-1.0)), "the sign of Q"
    if name != "twomode1":
        assert rejects(law, chosen(end_points(name, fresh=True), q, np.argmax)), "fresh noise per schedule"
        assert rejects(law, run_qglg(key, name, heat=1.2)), "temperature times 1.2"
    if name != "quad1":
        assert rejects(law, run_qglg(key, name, "project")), "the other boundary"
        fewer = np.stack([SCHEDULES[:, 0], np.full(len(SCHEDULES), NEVER)], 1)
        assert rejects(law, run_qglg(key, name, schedules=fewer)), "one step fewer"


SINGLE = REFERENCE["langevin.ddsq_single_schedule"]["value"]


@pytest.mark.parametrize("setting", SINGLE)
def test_one_ddsq_schedule_from_snis_has_the_reference_law(setting, key):
    name, start, boundary = setting.split("|")
    q, _ = numpy_of(landscapes.get(name))
    temperature = REFERENCE["langevin.qglg"]["value"][name]["lam"]
    steps = np.linspace(float(start.split("=")[1]), 1e-4, 20)[None]
    sampler = qglg_sampler({"reflect": "reflect", "clip": "project"}[boundary], "argmax", 100)
    draws = sampler(key, 20_000, numbers(landscapes.get(name)), temperature, steps)[:, 0].astype(float)
    assert mean_test(q(draws), SINGLE[setting]["E_f"]) > THRESHOLD
    assert binomial((np.abs(draws) == 1).sum(), 20_000, SINGLE[setting]["boundary_atoms"]) > THRESHOLD


@pytest.mark.parametrize("name", ["quad1", "twomode1"])
def test_qglg_as_printed_has_the_reference_regret(name, key):
    """Ten schedules of twenty steps, 100 candidates: colder than the softmax by far, as the reference
    found.
    """
    q, _ = numpy_of(landscapes.get(name))
    entry = REFERENCE["langevin.qglg"]["value"][name]
    schedules = samplers.linear_schedules(np.logspace(0, -4, 10), np.full(10, 1e-4), 20)
    for select, field in (("argmax", "qglg_argmax"), ("random", "uniform_schedule_choice")):
        sampler = qglg_sampler("reflect", select, 100)
        values = q(sampler(key, 20_000, numbers(landscapes.get(name)), entry["lam"], schedules).astype(float))
        error = np.hypot(entry[field]["se"], values.std() / np.sqrt(values.size))
        assert abs(values.mean() - entry[field]["E_f"]) < 4.9 * error  # 1e-6, both sides being samples


def test_greedy_qglg_is_the_best_candidate_driven_without_noise(key):
    """By hand from known candidates, on hills at 20 places; on a parabola one schedule reaches the top."""
    places = np.linspace(-0.9, 0.9, 20, dtype=np.float32)
    hill = lambda centre: lambda action: jnp.exp(-2 * (action[0] - centre) ** 2)
    with known_draws():
        greedy = lambda centre: qglg(
            key, hill(centre), 1, 0.2, jnp.asarray(SCHEDULES), CANDIDATES, greedy=True
        )
        given = jax.jit(jax.vmap(greedy))(places)[:, 0]
    actions = 2 * uniforms(CANDIDATES, 1)[:, 0] - 1
    for centre, end in zip(places.astype(float), given, strict=True):
        q = lambda a, centre=centre: np.exp(-2 * (a - centre) ** 2)
        ends = []
        for schedule in SCHEDULES:
            a = actions[np.argmax(q(actions))]
            for step in schedule:
                a = fold(a + step / 2 * (-4 * (a - centre) * q(a)) / 0.2)
            ends.append(a)
        assert end == pytest.approx(max(ends, key=q), abs=1e-4)
    schedules = samplers.linear_schedules(np.logspace(0, -4, 10), np.full(10, 1e-4), 20)
    quad = landscapes.get("quad1")
    top = jax.jit(lambda k: qglg(k, quad, 1, 0.015, schedules, CANDIDATES, greedy=True))
    assert np.abs(top(key)).max() < 1e-3


def test_linear_schedules():
    schedules = samplers.linear_schedules(jnp.array([1.0, 0.1]), jnp.array([0.5, 0.1]), 3)
    np.testing.assert_allclose(schedules, [[1.0, 0.75, 0.5], [0.1, 0.1, 0.1]], rtol=1e-6)


# The public battery, on every sampler


def batteries():
    q2 = landscapes.get("twomode2")
    score, steps = softmax_score(q2, 0.2), np.float32([0.05, 0.02, 0.01])
    schedules = np.stack([steps, steps / 5])
    return {
        "uniform": lambda k: uniform_action(k, 2),
        "snis": lambda k: snis(k, q2, 2, 0.1, 16),
        "langevin": lambda k: langevin(k, score, jnp.zeros(2), steps),
        "qglg": lambda k: qglg(k, q2, 2, 0.1, schedules, 16),
        "qglg_greedy": lambda k: qglg(k, q2, 2, 0.1, schedules, 16, greedy=True),
    }


@pytest.mark.parametrize("sampler", batteries())
def test_battery(sampler, key):
    check_sampler(batteries()[sampler], 2, key)


def broken(fault):
    """A sampler with one fault, by the name of the check that should find it."""
    good = lambda k: uniform_action(k, 2)
    count = iter(range(10**6))
    return {
        "dtype": lambda k: good(k).astype(jnp.bfloat16),
        "support": lambda k: 1.01 * good(k),
        "key": lambda k: jnp.zeros(2),
        "jit": lambda k: good(k) + 1e-3 * next(count),
        "vmap": lambda k: good(k) + 1e-3 * next(count),
        "law": lambda k: good(k)[:1] ** 3,
    }[fault]


@pytest.mark.parametrize("fault", SAMPLER_CHECKS)
def test_battery_names_the_fault(fault, key):
    with pytest.raises(AssertionError, match=f"check_sampler, {fault}: "):
        check_sampler(broken(fault), 1 if fault == "law" else 2, key, uniform_law(), only=fault)


# Bad input


def test_no_compilation_for_a_new_temperature_or_new_steps(key):
    traces = 0
    landscape = landscapes.get("quad1")

    @jax.jit
    def sample(k, temperature, schedules):
        nonlocal traces
        traces += 1
        return qglg(k, landscape, 1, temperature, schedules, 8)

    for temperature in (0.1, 0.2, 0.5):
        sample(key, temperature, jnp.asarray(SCHEDULES, jnp.float32) * temperature)
    assert traces == 1


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda k, q, s: snis(k, q, 1, 0.0), "temperature"),
        (lambda k, q, s: snis(k, q, 1, -0.1), "-0.1"),
        (lambda k, q, s: snis(k, q, 1, float("nan")), "nan"),
        (lambda k, q, s: snis(k, q, 1, 0.1, 0), "num_candidates"),
        (lambda k, q, s: langevin(k, q, jnp.array([1.5]), s[0]), "1.5"),
        (lambda k, q, s: langevin(k, q, jnp.array([0.5]), -s[0]), "step_sizes"),
        (lambda k, q, s: qglg(k, q, 1, 0.1, -s, 8), "schedules"),
        (lambda k, q, s: qglg(k, q, 1, 0.1, s, 8, select="argmx"), "Did you mean 'argmax'"),
    ],
)
def test_bad_input_is_one_clear_line(call, names, key):
    with pytest.raises(SoftqError, match=names) as error:
        call(key, landscapes.get("quad1"), jnp.asarray(SCHEDULES, jnp.float32))
    assert "\n" not in str(error.value)
