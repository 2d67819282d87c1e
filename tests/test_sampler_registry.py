"""The one shape of all samplers: an action and its path, what a budget buys, what a draw costs, names, checks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import KEY, bowl

from softq import samplers as s
from softq.samplers import SAMPLERS
from softq.utils.checked import checked
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

TEMPERATURE = 0.3
NO_CHAIN = ("uniform", "greedy", "snis", "ais", "qglg")


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_action_in_the_box_ends_its_path(name):
    """The path starts elsewhere, has a position for each step, and ends where the call with the same key ends."""
    sampler, keys = SAMPLERS[name].at_budget(60, 2), jax.random.split(KEY, 8)
    act = jax.jit(jax.vmap(lambda key: sampler(key, bowl, 2, TEMPERATURE)))
    action, info = act(keys)
    assert action.shape == (8, 2) and np.abs(action).max() <= 1
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(info))
    walk = jax.jit(jax.vmap(lambda key: sampler.path(key, bowl, 2, TEMPERATURE)))
    if name in NO_CHAIN:
        with pytest.raises(SoftqError, match=f"{type(sampler).__name__} is no chain"):
            walk(keys)
        return
    path = np.asarray(walk(keys))
    steps = {
        "isir": 4,
        "langevin": 30,
        "mala": 30,
        "tempering": 15,
        "annealed": 60,
        "svgd": 6,
        "diffusion": 7,
    }
    assert path.shape == (8, steps[name] + 1, 2)
    np.testing.assert_allclose(path[:, -1], action, atol=1e-6)
    assert (np.abs(path[:, 0] - path[:, -1]).max(1) > 1e-4).all() or name in ("isir", "mala")


def test_costs_by_hand():
    """At 200 evaluations in three dimensions: values, and gradients. Metropolis chains need a gradient at the start."""
    by_hand = {
        "uniform": (0, 0),
        "greedy": (200, 0),
        "snis": (200, 0),
        "isir": (40 * 5, 0),
        "langevin": (100, 100 + 1),  # the last action is looked at
        "mala": (100, 100 + 1),
        "tempering": (32, 4 * (50 + 1)),  # for the standard deviation of Q
        "ais": (32 + 40, 5 * 32 + 1),
        "annealed": (0, 200 + 1),
        "qglg": (100 + 10, 200),
        "svgd": (0, 10 * (20 + 1)),
        "diffusion": (14 * 14, 0),
    }
    assert {name: tuple(SAMPLERS[name].at_budget(200, 3).cost(3)) for name in SAMPLERS} == by_hand


def test_what_a_budget_must_pay_for_at_least():
    """The first budget at which a sampler exists; below it there is none."""
    first = {name: next(n for n in range(1, 50) if SAMPLERS[name].at_budget(n, 3)) for name in SAMPLERS}
    none = {"uniform": 1, "greedy": 1, "snis": 1, "diffusion": 1}
    chains = {"langevin": 2, "mala": 2, "tempering": 4}
    shares = {"ais": 5, "isir": 10, "annealed": 10, "qglg": 10, "svgd": 10}
    assert first == none | chains | shares
    for name, least in first.items():
        assert all(SAMPLERS[name].at_budget(n, 3) is None for n in range(1, least))
        jax.eval_shape(
            lambda key, name=name, least=least: SAMPLERS[name].at_budget(least, 3)(key, bowl, 3, 1.0), KEY
        )


def test_names():
    assert s.get("mala") is s.MALA
    with pytest.raises(SoftqError, match=r"unknown sampler 'malla'\. Did you mean 'mala'"):
        s.get("malla")


def test_another_step_compiles_nothing():
    traces = []

    @jax.jit
    def act(sampler, temperature):
        traces.append(1)
        return sampler(KEY, bowl, 2, temperature).action

    sampler = s.MALA(5, step=0.1)
    assert not np.array_equal(act(sampler, 0.3), act(replace(sampler, step=0.2), 0.3))
    act(sampler, 0.1)
    assert len(traces) == 1


def test_a_known_curvature_is_not_measured():
    """On a parabola of curvature 2, far from the walls, the measured step is the known one; both cost the same."""
    measured, known = (s.MALA(40, 8, s.StableStep(0.5, 1.0, L)) for L in (None, 2.0))
    steps = [s.start.absolute_step(x.step, KEY, bowl, 2, 0.02) for x in (measured, known)]
    assert steps == pytest.approx([0.5 * 4 * 0.02 / 2] * 2, rel=1e-4)
    assert known.cost(2) == measured.cost(2) == (8, 41)


@pytest.mark.parametrize("make", [partial(s.MALA, 5), partial(s.Tempering, 3, 5, hottest=0.5)])
def test_a_step_that_the_compiler_knows_to_be_short_needs_fewer_images(make):
    """Up to a step of 0.1 MALA leaves out all images but the nearest if it knows the step; the chain is the same."""
    act = lambda step: make(step=step)(KEY, bowl, 2, 0.1).action
    known, traced = jax.jit(lambda: act(0.01)), jax.jit(act)
    exponentials = [
        text.count("stablehlo.exponential")
        for text in (known.lower().as_text(), traced.lower(0.01).as_text())
    ]
    assert 0 < exponentials[0] < exponentials[1]
    np.testing.assert_allclose(known(), traced(0.01), atol=1e-5)


# -- called by hand


def torn(action):
    return jnp.where(action[0] > 0.25, jnp.nan, bowl(action))


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "uniform"])
def test_called_by_hand_each_says_where_q_is_not_finite(name):
    """Chains of scores say that the score is not; a compiled sampler says nothing."""
    sampler = SAMPLERS[name].at_budget(100, 2)
    with pytest.raises(
        SoftqError, match=r"the (landscape|score|slope) is nan at action \[(0\.[2-9]\d*|1\.0), "
    ):
        sampler(KEY, torn, 2, TEMPERATURE)
    jax.jit(lambda: sampler(KEY, torn, 2, TEMPERATURE))()


def test_only_what_a_sampler_meets_counts():
    """A hole that one short chain cannot reach is none; a hole of a single point is one, if the chain starts there."""
    steps, starts = jnp.full(20, 1e-4), jnp.array([-0.5, 0.1])
    s.mala(KEY, torn, TEMPERATURE, starts, steps)
    point = lambda action: jnp.where(action[1] == jnp.float32(0.1), jnp.inf, bowl(action))
    with pytest.raises(SoftqError, match=r"the landscape is inf at action \[-0\.5, 0\.1\]; mend Q there"):
        s.mala(KEY, point, TEMPERATURE, starts, steps)
    s.diffusion_sampler(
        KEY, lambda a: jnp.sqrt(1.0 - a[0]), 1, 1.0, 5, 8, "idem", "sde"
    )  # NaN beyond the box only


def test_a_result_that_is_not_finite_is_an_error():
    """Where Q is finite and the sampler overflows all the same; here by its own arithmetic."""

    @checked(above_zero=("scale",))
    def broken(key, q, scale):
        return q(jnp.zeros(2)) + scale / 0.0

    with pytest.raises(SoftqError, match="the sampled action is not finite, though the landscape was"):
        broken(KEY, bowl, jnp.float32(1.0))
    with pytest.raises(SoftqError, match="scale must be positive"):
        broken(KEY, bowl, -1.0)
    assert np.isinf(jax.jit(partial(broken, KEY, bowl))(1.0))
