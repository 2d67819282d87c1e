"""MEow's flow: the network by hand, Q - V = log pi, integrals by quadrature, draws, fresh weights, and the one mode."""

from functools import cache, partial

import by_hand_flow as by_hand
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import float64, moved
from scipy.special import ndtr

from softq.exact.boltzmann import nodes_and_weights
from softq.networks import FlowCritic
from softq.testing import THRESHOLD, chi_square
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

# the last three are exact in single precision too
OBS, ALPHA, BOUNDS = 3, 0.375, (-1.625, -0.625)
STATE = np.array([0.4, -1.1, 0.7])
ROWS = 20  # points that are computed together, so that few programs are compiled


@partial(jax.jit, static_argnums=1)
def create(key, dim):
    shapes = jnp.zeros(OBS), jnp.zeros(dim)
    return FlowCritic.create(key, *shapes, (8,), (6,), temperature=ALPHA, log_std=BOUNDS)


@cache
def random_flow(dim, seed=0, size=0.4):
    """A flow in double precision in which no weight is zero; the larger `size`, the more it bends."""
    fresh = jax.tree.map(lambda x: np.asarray(x, float), create(jax.random.key(seed), dim))
    return moved(fresh, np.random.default_rng(seed), size)


def at_rows(critic, x):
    """All that a state says at points `(ROWS, d)`, taken for actions, latents and their images in turn."""
    landscape = critic.at(jnp.asarray(STATE, float))
    act = lambda z: jnp.tanh(landscape.flow(z))
    return {
        "twins": jax.vmap(landscape.twins)(x),
        "smaller": jax.vmap(landscape)(x),
        "there": jax.vmap(landscape.flow)(x),
        "back": jax.vmap(lambda u: landscape.flow(u, True))(x),
        "slopes": jax.vmap(jax.jacobian(act))(x),
        "values": landscape.values,
        "log_std": landscape.log_std,
        "mode": landscape.mode,
    }


compiled = jax.jit(at_rows)


def at(critic, x):
    """`at_rows` for any number of points, a multiple of ROWS, in double precision and as NumPy arrays."""
    with jax.enable_x64(True):
        parts = [jax.tree.map(np.asarray, compiled(critic, rows)) for rows in np.split(x, len(x) // ROWS)]
    whole = ("values", "log_std", "mode")
    return {k: v if k in whole else np.concatenate([part[k] for part in parts]) for k, v in parts[0].items()}


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_network_is_the_one_by_hand(dim):
    critic, x = random_flow(dim), np.random.default_rng(1).uniform(-0.95, 0.95, (ROWS, dim))
    found, p, obs = at(critic, x), float64(dict(critic.params)), np.tile(STATE, (ROWS, 1))
    q, latent = by_hand.q_values(p, obs, x, ALPHA, BOUNDS), np.zeros((1, dim))
    expected = {
        "twins": q,
        "smaller": q.min(-1),
        "values": by_hand.v_values(p, obs[:1], ALPHA, BOUNDS)[0],
        "there": by_hand.to_action(p, x, obs),
        "back": by_hand.to_latent(p, x, obs),
        "log_std": by_hand.log_sigma(p, obs[:1], BOUNDS)[0],
        "mode": np.tanh(by_hand.to_action(p, latent, obs[:1]))[0],
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-9, err_msg=name)
    assert BOUNDS[0] < found["log_std"].min() and found["log_std"].max() < BOUNDS[1]


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_q_less_v_is_the_temperature_times_the_log_density(dim):
    """To rounding: the density of tanh(f(z)) by the change of variables, with the determinant of the whole map."""
    critic, z = random_flow(dim), np.random.default_rng(1).normal(size=(ROWS, dim)) * 0.4
    law = at(critic, z)
    twins, values = at(critic, np.tanh(law["there"]))["twins"], law["values"]
    log_normal = -((z / np.exp(law["log_std"])) ** 2) / 2 - law["log_std"] - np.log(2 * np.pi) / 2
    log_pi = np.sum(log_normal, 1) - np.linalg.slogdet(law["slopes"])[1]
    for twin in (0, 1):
        np.testing.assert_allclose(twins[:, twin] - values[twin], ALPHA * log_pi, rtol=1e-9, atol=1e-9)
    assert abs(values[0] - values[1]) > 0.01


@jax.jit
def smaller_twin(critic, actions):
    return jax.vmap(critic.at(jnp.asarray(STATE, float)))(actions)


@jax.jit
def draws(critic, keys):
    return jax.vmap(critic.at(jnp.asarray(STATE, float)).sample)(keys)


@cache
def quadrature(dim, seed):
    """alpha * log of the integral of exp(Q / alpha) over the box, and the softmax's shares of 20^d equal cells."""
    nodes, weights = nodes_and_weights(dim, 20 if dim == 2 else 200)
    with jax.enable_x64(True):
        q = np.asarray(smaller_twin(random_flow(dim, seed), nodes)) / ALPHA
    mass = weights * np.exp(q - q.max())
    cells = np.minimum(((nodes + 1) / 2 * 20).astype(int), 19)
    shares = np.zeros((20,) * dim)
    np.add.at(shares, tuple(cells.T), mass)
    return ALPHA * (q.max() + np.log(mass.sum())), shares / mass.sum()


@pytest.mark.parametrize("dim", [1, 2])
def test_the_softmax_has_the_integral_of_v(dim):
    """For random weights; V without log 2 pi, or with a sigma of 1, is another number."""
    for seed in (0, 1):
        law = at(random_flow(dim, seed), np.zeros((ROWS, dim)))
        value, exact = law["values"].min(), quadrature(dim, seed)[0]
        assert value == pytest.approx(exact, abs=1e-3)
        for wrong in (value - ALPHA * dim * np.log(2 * np.pi) / 2, value - ALPHA * law["log_std"].sum()):
            assert abs(wrong - exact) > 0.1


def p_value(samples, shares):
    """Of Pearson's test that `samples` `(n, d)` have these `shares` of the cells."""
    cells = np.minimum(((samples + 1) / 2 * 20).astype(int), 19)
    flat = np.ravel_multi_index(tuple(cells.T), shares.shape)
    return chi_square(flat.astype(float), shares.ravel(), np.arange(shares.size + 1) - 0.5)


@pytest.mark.parametrize("dim", [1, 2])
def test_draws_follow_the_softmax(dim):
    """Those of a flow with a sigma that is a tenth larger, or with weights that are a little off, do not."""
    critic, shares = random_flow(dim), quadrature(dim, 0)[1]
    wider = replace(critic, log_std_min=critic.log_std_min + 0.1, log_std_max=critic.log_std_max + 0.1)
    others = wider, moved(critic, np.random.default_rng(2), 0.05)
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(7), 20_000)
        right, *wrong = (p_value(np.asarray(draws(flow, keys)), shares) for flow in (critic, *others))
    assert right > THRESHOLD
    assert max(wrong) < THRESHOLD, wrong


def test_fresh_weights():
    """Typed from the released code: orthogonal couplings, all other weights zero, slopes 1, biases as PyTorch's."""
    critic = jax.jit(lambda key: FlowCritic.create(key, jnp.zeros(OBS), jnp.zeros(2)))(jax.random.key(0))
    p = float64(dict(critic.params))
    assert sorted(p) == [
        *(f"couplings_{i}" for i in range(4)),
        "reward_shifts_0",
        "reward_shifts_1",
        "spread",
    ]
    for name, net in p.items():
        for layer in range(3):
            kernel, bias = net[f"Dense_{layer}"]["kernel"], net[f"Dense_{layer}"]["bias"]
            assert 0.5 * len(kernel) ** -0.5 < np.abs(bias).max() <= len(kernel) ** -0.5 or bias.size < 4
            if name.startswith("couplings"):
                small = kernel if kernel.shape[0] >= kernel.shape[1] else kernel.T
                np.testing.assert_allclose(small.T @ small, np.eye(small.shape[1]), atol=1e-5)
            else:
                assert not kernel.any()
        slopes = [net[f"slope_{layer}"] for layer in range(2)]
        assert all((slope == 1).all() for slope in slopes)
        assert ("LayerNorm_0" in net) == name.startswith("couplings")
    assert [len(p["spread"]["slope_0"]), len(p["reward_shifts_0"]["slope_1"])] == [64, 256]
    log_std = critic.at(jnp.ones(OBS)).log_std
    np.testing.assert_allclose(log_std, (-5 - 0.3) / 2, atol=4.7 / 2 * 64**-0.5)


def test_the_walls_are_finite():
    """An action on a wall is read as one that is 1e-5 inside."""
    actions = np.zeros((ROWS, 2))
    actions[:3] = [[1.0, -1.0], [1 - 1e-5, 1e-5 - 1], [0.5, 1.0]]
    q = at(random_flow(2), actions)["smaller"]
    assert np.isfinite(q).all() and q[0] == pytest.approx(q[1], rel=1e-9)


def test_bad_sizes_are_refused():
    make = partial(FlowCritic.create, jax.random.key(0), jnp.zeros(1), jnp.zeros(1))
    with pytest.raises(SoftqError, match="hidden_sizes must be positive widths"):
        make(hidden_sizes=(0,))
    with pytest.raises(SoftqError, match="num_blocks must be positive"):
        make(num_blocks=0)


# The one mode before tanh. A law is given by the gradient of its log-density, from points `(n, 2)` to `(n, 2)`.


@jax.jit
def slopes_before_tanh(critic, u):
    landscape = critic.at(jnp.asarray(STATE, float))
    return jax.vmap(jax.value_and_grad(landscape.before_tanh))(u)


def of_flow(critic, u):
    """Values `(n,)` and gradients `(n, 2)` of the flow's log-density, 500 points at a time."""
    rows = -len(u) % 500
    parts = np.split(np.concatenate([u, np.zeros((rows, 2))]), (len(u) + rows) // 500)
    with jax.enable_x64(True):
        found = [jax.tree.map(np.asarray, slopes_before_tanh(critic, part)) for part in parts]
    return [np.concatenate(arrays)[: len(u)] for arrays in zip(*found, strict=True)]


def by_complex_steps(log_density):
    """The same of a law by hand."""

    def both(critic, u):
        p, obs = float64(dict(critic.params)), np.tile(STATE, (len(u), 1))
        spread = np.exp(by_hand.log_sigma(p, obs[:1], BOUNDS))
        scaled = lambda u: by_hand.to_latent(p, u, obs) / spread
        mode = by_hand.to_action(p, np.zeros((1, 2)), obs[:1])[0]
        steps = 1j * by_hand.STEP * np.eye(2)
        slopes = [log_density(scaled, mode, u + step).imag / by_hand.STEP for step in steps]
        return log_density(scaled, mode, u), np.stack(slopes, -1)

    return both


def normal(scaled, mode, u):
    """The flow itself."""
    return -(scaled(u) ** 2).sum(-1) / 2


def scaling(scaled, mode, u):
    """One more coupling, which scales: u_2 = z_2 exp(s(u_1)), and squeezes volumes at one place."""
    s = -5 * np.exp(-(((u[:, 0] - mode[0] - 0.8) / 0.2) ** 2) / 2)
    return normal(scaled, mode, np.stack([u[:, 0], u[:, 1] * np.exp(-s)], -1)) - s


def mixture(scaled, mode, u):
    """A latent of two normals, four sigma apart."""
    near, far = (-((scaled(u) + np.array([shift, 0.0])) ** 2).sum(-1) / 2 for shift in (2.0, -2.0))
    return np.log(np.exp(near) + np.exp(far))


def critical_points(law, critic, num=100):
    """The distinct critical points `(k, 2)` to which Newton's method leads from `num` starts, and how many arrive.

    It goes to maxima, minima and saddles alike; no step is longer than 0.1.
    """
    p, obs = float64(dict(critic.params)), np.tile(STATE, (num, 1))
    z = np.random.default_rng(3).normal(size=(num, 2)) * 2 * np.exp(by_hand.log_sigma(p, obs[:1], BOUNDS))
    u, h = by_hand.to_action(p, z, obs), 1e-5
    for _ in range(100):
        around = np.concatenate([u, *(u + h * x for x in (*np.eye(2), *-np.eye(2)))])
        slope, *sides = np.split(law(critic, around)[1], 5)
        curve = np.stack([sides[0] - sides[2], sides[1] - sides[3]], -1) / (2 * h)
        move = -np.linalg.solve(curve + 1e-9 * np.eye(2), slope[:, :, None])[:, :, 0]
        u = u + move * np.minimum(1, 0.1 / (1e-300 + np.linalg.norm(move, axis=1, keepdims=True)))
    arrived = u[(np.linalg.norm(slope, axis=1) < 1e-7) & (np.linalg.norm(move, axis=1) < 1e-7)]
    distinct = [x for i, x in enumerate(arrived) if not (np.abs(arrived[:i] - x).max(-1) < 1e-4).any()]
    return np.array(distinct), len(arrived), by_hand.to_action(p, np.zeros((1, 2)), obs[:1])


@pytest.mark.parametrize("seed", range(3))
def test_before_tanh_there_is_one_critical_point(seed):
    """checks thm-meow-unimodal: from all starts that arrive anywhere, half of them at least, it is the image of 0."""
    points, arrived, image = critical_points(of_flow, random_flow(2, seed, 0.6))
    assert arrived > 50, arrived
    np.testing.assert_allclose(points, image, atol=1e-4)


@pytest.mark.parametrize("law", [scaling, mixture])
def test_a_law_with_more_modes_is_found(law):
    """Couplings that scale, or a mixture for the latent, with the same weights."""
    points, _, _ = critical_points(by_complex_steps(law), random_flow(2, 0, 0.6))
    assert len(points) >= 2, points


def test_the_laws_by_hand_start_from_the_flow():
    """So the two above are the flow with one change each."""
    critic, u = random_flow(2, 0, 0.6), np.random.default_rng(0).normal(size=(500, 2))
    for mine, theirs in zip(of_flow(critic, u), by_complex_steps(normal)(critic, u), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


def test_the_level_sets_have_the_volumes_of_ellipsoids():
    """checks thm-meow-unimodal: the area of {|z / sigma| <= r}, by a grid, is pi r^2 prod sigma; the shape is not."""
    critic = random_flow(2, 1, 0.6)
    law = at(critic, np.zeros((ROWS, 2)))
    line = (np.arange(200) + 0.5) / 50 - 2
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2) + np.arctanh(law["mode"])
    levels = of_flow(critic, grid)[0]
    for r in (1.0, 1.5):
        area = 16 * np.mean(levels >= -(r**2) / 2)
        assert area == pytest.approx(np.pi * r**2 * np.exp(law["log_std"]).prod(), rel=0.02)


def test_the_pass_between_two_actions_is_no_lower_than_the_walls_allow():
    """checks thm-meow-barrier: along f of the segment between their latents, for random pairs and weights."""
    slack = []
    for seed in range(3):
        critic, ends = (
            random_flow(2, seed, 0.6),
            np.random.default_rng(seed).uniform(-0.95, 0.95, (2 * ROWS, 2)),
        )
        first, last = np.split(at(critic, np.arctanh(ends))["back"], 2)
        path = np.concatenate([first + share * (last - first) for share in np.linspace(0, 1, 21)])
        inside = np.tanh(at(critic, path)["there"])
        q = at(critic, inside)["smaller"].reshape(21, ROWS)
        floor = at(critic, ends)["smaller"] + ALPHA * np.log(1 - ends**2).sum(1)
        slack.append(q.min(0) - floor.reshape(2, ROWS).min(0))
    assert np.min(slack) > -1e-9
    assert np.min(slack) < 0.1  # it is met nearly, where an end is near the middle of the box


def test_a_thread_may_join_two_hills_and_hold_little():
    """checks thm-meow-thread: a coupling y + 4 tanh(k x) leaves a mass like 1 / k between, and the mode is there."""
    x = np.linspace(-6, 6, 2_000_001)
    normal = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) * (x[1] - x[0])

    def between(shift):
        """The mass of |u_2| < 1, for standard normal x and y."""
        return float(normal @ (ndtr(1 - shift) - ndtr(-1 - shift)))

    masses = [between(4 * np.tanh(k * x)) for k in (1.0, 10.0, 100.0, 1000.0)]
    limit = between(4 * np.sign(x))
    assert limit < 0.002 and masses[0] > 0.1
    np.testing.assert_allclose((masses[2] - limit) / (masses[3] - limit), 10, rtol=0.01)
    log_density = lambda u, k: -(u[0] ** 2 + (u[1] - 4 * np.tanh(k * u[0])) ** 2) / 2
    assert (
        log_density((0, 0), 1000.0) == 0 > max(log_density((0.1, 4), 1000.0), log_density((0, 0.1), 1000.0))
    )


def test_modes_in_the_box_are_counted_by_the_spread_of_one_coordinate():
    """checks thm-meow-box: d log p / du = (m - u) / sigma^2 + 2 tanh u changes its sign once, or three times."""
    u = np.linspace(-150, 150, 300_001) + 1e-7
    roots = lambda mean, var: int(np.sum(np.diff(np.sign((mean - u) / var + 2 * np.tanh(u))) != 0))
    for mean in (0.0, 0.3, 1.5):
        assert [roots(mean, var) for var in (0.1, 0.4, 0.499)] == [1, 1, 1]
    assert [roots(0.0, var) for var in (0.51, np.exp(-0.6), np.exp(4.0))] == [3, 3, 3]
    var = 1.2
    edge = np.sqrt(1 - 1 / (2 * var))
    limit = 2 * var * edge - np.arctanh(edge)
    assert (roots(0.99 * limit, var), roots(1.01 * limit, var)) == (3, 1)
    assert np.exp(2 * -0.3) > 0.5  # the default ceiling of log sigma lets two modes in, barely
