"""Every sampler with any mix of float types, and on a landscape that is not finite in a part of the box."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softq import diffusion, landscapes
from softq import samplers as s
from softq.samplers.entropy import snis_entropy
from softq.testing import THRESHOLD, binomial
from softq.utils.finite import working

TWO = landscapes.get("twomode1")
EDGE = -0.4  # a tear in the middle of the lower hill, whose top is at -0.6
STEP, TEMPERATURE = 0.02, 0.1


def bowl(action):
    return -jnp.sum(action**2)


def slope_of(q):
    score = s.softmax_score(q, 1.0)
    return lambda action, sigma: score(action)


def started(dtype, dim):
    """Start and steps in the type that is asked for, and the temperature."""
    number = lambda x: np.asarray(x, dtype) if dtype is not int else np.asarray(x, np.float64)
    return jnp.zeros(dim, dtype), number(np.full(6, STEP)), number(TEMPERATURE)


# Each takes (key, q, dim, start, steps, temperature) and gives actions; `swarm` are several starts.
swarm = lambda start, num: jnp.stack([start] * num)
CALLS = {
    "snis": lambda k, q, d, a, e, t: s.snis(k, q, d, t, 16),
    "isir": lambda k, q, d, a, e, t: s.isir(k, q, d, t, 16, 2),
    "isir from a start": lambda k, q, d, a, e, t: s.isir(k, q, d, t, 16, 2, a),
    "langevin": lambda k, q, d, a, e, t: s.langevin(k, s.softmax_score(q, t), a, e, check_last=True),
    "mala": lambda k, q, d, a, e, t: s.mala(k, q, t, a, e)[0],
    "tempering": lambda k, q, d, a, e, t: s.tempering(
        k, q, np.stack([t, 2 * t]), swarm(a, 2), np.stack([e[0], e[0]]), len(e)
    )[0],
    "ais": lambda k, q, d, a, e, t: (
        s.ais(k, q, d, np.stack([2 * t, t]), np.stack([e[0], e[0]]), 16, 2, num_fresh=2).action
    ),
    "annealed": lambda k, q, d, a, e, t: s.annealed_langevin(
        k, slope_of(q), a, np.stack([2 * e[0], e[0]]), np.stack([e[0], e[0]]), t, unit_slope=False
    ),
    "qglg": lambda k, q, d, a, e, t: s.qglg(k, q, d, t, np.stack([e, e / 2]), 16),
    "qglg by weight": lambda k, q, d, a, e, t: s.qglg(
        k, q, d, t, np.stack([e, e / 2]), 16, select="weight", relative=True
    ),
    "qglg at random": lambda k, q, d, a, e, t: s.qglg(
        k, q, d, t, np.stack([e, e / 2]), 16, select="random", curvature=3.0
    ),
    "svgd": lambda k, q, d, a, e, t: s.svgd(s.softmax_score(q, t), swarm(a, 4), e),
    "diffusion qne": lambda k, q, d, a, e, t: s.diffusion_sampler(k, q, d, t, 5, 8),
    "diffusion idem": lambda k, q, d, a, e, t: s.diffusion_sampler(
        k, q, d, t, 5, 8, "idem", "sde", diffusion.VarianceExploding()
    ),
    "diffusion combined": lambda k, q, d, a, e, t: s.diffusion_sampler(
        k, q, d, t, 5, 8, "combined", "flow", method="heun"
    ),
}
GIVEN_A_START = ("isir from a start", "langevin", "mala", "tempering", "annealed", "svgd")


def converted(dtype):
    """Whether XLA converts numbers of this type here: it cannot those of 16 bits for processors without F16C."""
    try:
        jax.block_until_ready(jnp.zeros(1, dtype).astype(jnp.float32))
    except jax.errors.JaxRuntimeError:
        return False
    return True


NARROW = [dtype for dtype in (jnp.bfloat16, np.float16) if converted(dtype)]
FLOATS = [np.float32, np.float64, *NARROW]
MIXES = [(start, numbers) for start in (*FLOATS, int) for numbers in FLOATS]


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64")
def test_any_mix_of_types(name, x64, key):
    """The start decides if it is single or double precision, else JAX's default; nothing else has a say."""
    with jax.enable_x64(x64):
        for start_type, type_of_numbers in MIXES if name in GIVEN_A_START else MIXES[: len(FLOATS)]:
            start = started(start_type, 2)[0]
            _, steps, temperature = started(type_of_numbers, 2)
            call = partial(CALLS[name], q=bowl, d=2, a=start, e=steps, t=temperature)
            expected = working(start).dtype if name in GIVEN_A_START else jnp.result_type(float)
            assert jax.eval_shape(call, key).dtype == expected, (start_type, type_of_numbers)
        actions = jax.jit(call)(key)  # whole numbers and half precision, in earnest
        assert np.isfinite(actions).all() and np.abs(actions).max() <= 1


def test_the_working_type():
    found = [working(np.zeros(1, t)).dtype for t in (np.float32, int, bool, *NARROW)]
    assert set(found) == {np.dtype(np.float32)}
    with jax.enable_x64(True):
        assert working(np.zeros(1, np.float32)).dtype == np.float32
        assert {working(np.zeros(1, t)).dtype for t in (np.float64, int, *NARROW)} == {np.dtype(np.float64)}


def test_the_minimal_mix():
    @jax.jit
    def both(key):
        score = s.softmax_score(TWO, 0.1)
        last = s.langevin(key, score, jnp.zeros(1, jnp.float32), np.full(5, 0.01))
        return last, s.mala(key, bowl, 0.1, jnp.array([0, 0]), np.full(5, 0.01))[0]

    with jax.enable_x64(True):
        last, whole = both(jax.random.key(0))
    assert last.dtype == np.float32 and whole.dtype == np.float64


# A landscape with a hole


def torn(value, where=lambda a: a[0] < EDGE):
    """`TWO` with `value` in its hole: written with `where`, so that the slope there is zero and warns nobody."""
    return lambda a: jnp.where(where(a), value, TWO(a))


def torn_by_root(a):
    """The same hole from a square root: value and slope are both NaN there."""
    return TWO(a) + 0.0 * jnp.sqrt(a[0] - EDGE)


VALUES = {"nan": jnp.nan, "inf": jnp.inf, "-inf": -jnp.inf}
WEIGHED = ("snis", "isir", "qglg", "qglg by weight", "qglg at random", "ais")  # start by weights, end checked
REFUSED = ("isir from a start", "mala", "tempering")  # from a start outside the hole


@cache
def share_in_hole(name, start, num=2000, length=6, root=False):
    """A compiled function of a key and the value in the hole (None for no hole): the share of actions there."""
    steps, start = np.full(length, STEP, np.float32), jnp.full(1, start, jnp.float32)

    @jax.jit
    def share(key, value, hole):
        q = torn_by_root if root else torn(value, lambda a: (a[0] < EDGE) & hole)
        one = lambda k: CALLS[name](k, q, 1, start, steps, np.float32(TEMPERATURE)).reshape(-1)[0]
        actions = jax.vmap(one)(jax.random.split(key, num))
        return jnp.mean(actions < EDGE) + 0 * jnp.sum(actions)  # NaN if one of them is

    return lambda key, value: float(share(key, 0.0 if value is None else value, value is not None))


@pytest.mark.parametrize("name", WEIGHED + REFUSED)
def test_nothing_comes_from_the_hole(name, key):
    share = share_in_hole(name, 0.0)
    assert [share(key, value) for value in VALUES.values()] == [0, 0, 0]
    assert share_in_hole(name, 0.0, root=True)(key, None) == 0
    assert share(key, None) > 0  # without a hole actions do go there


STRIDE = 0.002  # the step of the paths below


def paths(name, key):
    """Many paths of a chain that accepts every step, from just outside the hole, `(n, T + 1)`.

    A compiled function of the value in the hole, and one for the hole of a square root.
    """
    num, start = 300, jnp.full(1, EDGE + 0.02)
    keys = jax.random.split(key, 1 if name == "svgd" else 200)
    how = {"trajectory": True, "check_last": True}

    def of(q):
        score, steps = s.softmax_score(q, TEMPERATURE), np.full(num, STRIDE)
        if name == "langevin":
            call = lambda k: s.langevin(k, score, start, steps, **how)
        elif name == "annealed":
            given = start, np.array([0.2, 0.1]), np.full(2, STRIDE), TEMPERATURE, num // 2
            call = lambda k: s.annealed_langevin(k, slope_of(q), *given, unit_slope=False, **how)
        else:
            swarm = jnp.linspace(EDGE + 0.02, EDGE + 0.3, 8)[:, None]
            call = lambda k: s.svgd(score, swarm, steps, **how)
        return jax.vmap(call)(keys)[..., 0].swapaxes(1, -1).reshape(-1, num + 1)

    return jax.jit(lambda value: of(torn(value))), jax.jit(lambda: of(torn_by_root))


@pytest.mark.parametrize("name", ["langevin", "annealed", "svgd"])
def test_a_step_into_the_hole_is_taken_back(name, key):
    """Each position is one step from the last one outside. A chain that sees a plain there wanders off."""
    with_value, by_root = paths(name, key)
    for path in map(np.asarray, (with_value(jnp.nan), with_value(jnp.inf), by_root())):
        inside = path < EDGE
        assert np.isfinite(path).all() and 0 < inside.mean() < 1 and (path[:, -1] >= EDGE).all()
        last = np.maximum.accumulate(np.where(inside, 0, np.arange(path.shape[1])[None]), axis=1)
        base = np.take_along_axis(path, last, 1)[:, :-1]
        longest = 6 * np.sqrt(STRIDE) + 0.05 if name != "svgd" else 0.1  # steps by noise, and by drift
        assert np.abs(path[:, 1:] - base).max() < longest
    assert with_value(-5.0).min() < EDGE - longest


@pytest.mark.parametrize("sampler", s.SAMPLERS)
def test_policies_do_not_act_from_the_hole(sampler, key):
    """At a budget even the last step is looked at. Four of them start anywhere, and diffusion ends where it ends."""
    chosen = s.SAMPLERS[sampler].at_budget(40, 1)
    for q in (torn(jnp.nan), torn_by_root):
        call = lambda k: chosen(k, q, 1, jnp.float32(TEMPERATURE)).action
        actions = np.asarray(jax.jit(jax.vmap(call))(jax.random.split(key, 1000)))
        inside = int(np.sum(actions[:, 0] < EDGE))
        # the hole takes three tenths of the box
        share = 0.3 if sampler in ("uniform", "annealed", "svgd", "tempering", "diffusion") else 0.0
        assert inside <= 1000 * share or binomial(inside, 1000, share) > THRESHOLD


@pytest.mark.parametrize("name", ["mala", "tempering", "langevin", "isir from a start"])
def test_a_start_in_the_hole_is_left(name, key):
    """300 steps by noise alone reach the edge; what comes out of a Metropolis chain does not go back in."""
    share = share_in_hole(name, -0.9, 500, 300)(key, jnp.nan)
    assert share == 0 if name == "isir from a start" else share < 0.1


def test_diffusion_weighs_only_what_is_there(key):
    """At much noise the score is that of the softmax outside the hole, by quadrature."""
    signal, noise, a_t = 0.5, 0.8, jnp.array([0.1])
    x = np.linspace(EDGE, 1, 40_001)
    log_p = np.asarray(jax.jit(jax.vmap(TWO))(jnp.asarray(x[:, None], jnp.float32))) / TEMPERATURE
    weight = np.exp(log_p - (0.1 - signal * x) ** 2 / (2 * noise**2))
    exact = (signal * (weight @ x) / weight.sum() - 0.1) / noise**2
    given, keys = (TEMPERATURE, a_t, signal, noise), jax.random.split(key, 200)
    for estimate, tolerance in ((diffusion.qne, 0.01), (partial(diffusion.combined, boundary=False), 0.5)):
        of = lambda q: jax.vmap(lambda k: estimate(k, q, *given, 1000, truncate=True))(keys)
        with_value, by_root = jax.jit(lambda value: of(torn(value))), jax.jit(lambda: of(torn_by_root))
        for scores in map(np.asarray, (with_value(jnp.nan), with_value(jnp.inf), by_root())):
            assert np.isfinite(scores).all()
            assert abs(scores.mean() - exact) < tolerance
    nowhere = lambda a: jnp.nan * a[0]
    estimates = (
        diffusion.idem,
        partial(diffusion.idem, boundary=True),
        diffusion.combined,
        diffusion.qne,
        diffusion.qsm,
    )
    for score in jax.jit(lambda k: [e(k, nowhere, *given, 10, truncate=True) for e in estimates])(key):
        assert np.isfinite(score).all()


def test_entropy_and_std_leave_out_what_is_not_finite():
    values = np.float32([0.1, 0.5, 0.3])
    torn_values = np.float32([0.1, np.nan, 0.5, np.inf, 0.3, -np.inf])
    std, entropy = jax.jit(s.uniform_std), jax.jit(lambda values: snis_entropy(values, 2, 0.2))
    assert std(torn_values) == pytest.approx(float(np.std([0.1, 0.5, 0.3])), rel=1e-6)
    assert std(np.full(6, np.nan, np.float32)) > 0
    # three of six candidates have weight nought: as if the box were half as large
    assert float(entropy(torn_values)) == pytest.approx(float(entropy(values)) - np.log(2), abs=1e-6)
