"""NC-LQL's critic: the paper's count of parameters, values and slopes against a plain float64 network, its levels."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import moved
from by_hand_noise import layers_of_noise_critic, noise_forward, noise_slope, sinusoids

from softq.algorithms import NCLQL
from softq.networks import Critic, NoiseCritic
from softq.networks.critic import reduce_twins
from softq.networks.noise_critic import sinusoid
from softq.testing import THRESHOLD, mean_test
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

OBS, ACT, LEVELS = 3, 2, 4


@cache
def fresh():
    codes, zeros = jnp.arange(LEVELS), (jnp.zeros(OBS), jnp.zeros(ACT))
    return jax.jit(lambda key: NoiseCritic.create(key, *zeros, codes, (8, 6), "relu"))(jax.random.key(1))


def make(codes=None):
    critic = moved(fresh(), np.random.default_rng(0), 0.5)
    return critic if codes is None else replace(critic, codes=codes)


def points(num=12):
    rng = np.random.default_rng(1)
    return rng.normal(size=(num, OBS)), rng.uniform(-1.2, 1.2, (num, ACT)), rng.integers(0, LEVELS, num)


def count(tree):
    return sum(np.prod(x.shape, dtype=int) for x in jax.tree.leaves(tree))


def test_parameters_of_the_paper():
    """475k on Humanoid (376 observations, 17 actions), and LQL 0.978 of that (Table 2)."""
    obs, action = jnp.zeros(376), jnp.zeros(17)
    noise = jax.eval_shape(lambda: NoiseCritic.create(jax.random.key(0), obs, action, jnp.arange(10)))
    plain = jax.eval_shape(lambda: Critic.create(jax.random.key(0), obs, action))
    assert count(noise.params) == 475_746
    assert round(count(plain.params) / count(noise.params), 3) == 0.978


@pytest.mark.parametrize("codes", [None, jnp.array([0.1, 0.03, 0.01, 0.003])], ids=["index", "sigma"])
def test_values_and_slopes_equal_the_plain_network(codes):
    """Both twins, every level, actions outside the box too; the slope of their mean, their sum and the smaller."""
    critic = make(codes)
    obs, action, level = points()
    numbers = np.asarray(critic.codes, float)[level]
    layers = [layers_of_noise_critic(critic, twin) for twin in (0, 1)]
    values = np.stack([noise_forward(one, obs, action, numbers)[0] for one in layers], 1)
    given = jax.jit(jax.vmap(critic))(*(jnp.asarray(x, jnp.float32) for x in (obs, action)), level)
    np.testing.assert_allclose(given, values, rtol=2e-5, atol=2e-6)

    slopes = np.stack([noise_slope(one, obs, action, numbers) for one in layers])
    smaller = slopes[values.argmin(1), np.arange(len(obs))]
    assert codes is not None or len(set(values.argmin(1))) == 2
    for twins, expected in (("mean", slopes.mean(0)), ("sum", slopes.sum(0)), ("min", smaller)):
        slope = jax.jit(jax.vmap(lambda o, a, i, twins=twins: critic.at(o).slope(a, i, twins)))
        got = slope(*(jnp.asarray(x, jnp.float32) for x in (obs, action)), level)
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-6)


def test_the_landscape_of_a_state_is_q_at_the_last_level():
    critic = make()
    obs, action, _ = (jnp.asarray(x[0], jnp.float32) for x in points())

    @jax.jit
    def both(critic):
        """By default, and with the level given."""
        q, last = critic.at(obs), LEVELS - 1
        by_default = critic(obs, action), q.twins(action), q(action), q.slope(action)
        named = critic(obs, action, last), q.twins(action, last), q(action, last), q.slope(action, last)
        return by_default, named, critic(obs, action, 0)

    by_default, named, coarse = both(critic)
    for one, other in zip(by_default, named, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert float(by_default[2]) == pytest.approx(float(named[0].min()), rel=1e-6)
    np.testing.assert_allclose(named[1], named[0], rtol=1e-6)
    assert float(jnp.abs(coarse - named[0]).min()) > 1e-3


def test_codes_of_the_levels():
    """A quarter of sines and cosines at frequencies 10000^(-j/8): the released code's scaled sinusoids."""
    given = np.asarray(jax.vmap(sinusoid)(jnp.arange(10.0)), float)
    for t in range(10):
        for j in range(8):
            angle = t / 10_000 ** (j / 8)
            assert given[t, j] == pytest.approx(np.sin(angle) / 4, abs=1e-6)
            assert given[t, 8 + j] == pytest.approx(np.cos(angle) / 4, abs=1e-6)


def test_sigmas_are_nearly_one_number_to_the_network():
    """What the comment beside NC-LQL's `embed` says: codes of sigmas differ by less than 0.03, of indices by more."""
    far = lambda numbers: np.linalg.norm(np.subtract(*sinusoids([numbers[0], numbers[-1]])))
    assert 0.02 < far(np.asarray(NCLQL().levels())) < 0.03
    assert far(np.arange(2)) > 0.2


def test_fresh_weights():
    """Truncated normals over the square root of the fan-in, which in the first layer counts (s, a, code)."""
    critic = jax.jit(
        lambda key: NoiseCritic.create(key, jnp.zeros(20), jnp.zeros(12), jnp.arange(3), (256, 256))
    )(jax.random.key(3))
    fan_ins = {"state_part": 48, "action_part": 48, "level_part": 48, "hidden_0": 256, "out": 256}
    fan_ins |= {"code_0": 16, "code_1": 32}
    assert fan_ins.keys() == critic.params.keys()
    for name, fan_in in fan_ins.items():
        layer = critic.params[name]
        squares = np.asarray(layer["kernel"], float).ravel() ** 2 * fan_in
        assert mean_test(squares, 0.7737413) > THRESHOLD, name  # variance of a normal cut at two
        assert mean_test(squares, 0.7737413 * 1.35) < THRESHOLD, name
        assert np.all(np.asarray(layer.get("bias", 0.0)) == 0)
    kernels = critic.params["level_part"]["kernel"]
    assert not np.any(kernels[0] == kernels[1])  # the twins differ


def test_the_state_and_level_parts_are_not_computed_in_a_chain():
    """A step of a chain has the products of a plain critic: the actions' part of layer 1, the layers above, back again.

    Counted in the compiled program: the body of the loop has as many products as that of a plain critic's chain.
    """

    def chain(q, slope):
        move = lambda a, i: (a + 0.01 * slope(a, i), None)
        return jax.lax.scan(move, jnp.zeros(ACT), jnp.arange(3))[0]

    def products_in_the_loop(f, critic):
        jaxpr = jax.make_jaxpr(lambda critic, obs: f(critic.at(obs)))(critic, jnp.zeros(OBS))
        (loop,) = [e for e in jaxpr.jaxpr.eqns if e.primitive.name == "scan"]
        return str(loop.params["jaxpr"]).count("dot_general")

    noisy = products_in_the_loop(lambda q: chain(q, q.slope), make())
    plain = Critic.create(jax.random.key(0), jnp.zeros(OBS), jnp.zeros(ACT), (8, 6), "relu")
    of_mean = lambda q: lambda a, i: jax.grad(lambda a: reduce_twins(q.twins(a), "mean"))(a)
    assert noisy == products_in_the_loop(lambda q: chain(q, of_mean(q)), plain) == 6
    anew = lambda critic, obs: chain(None, lambda a, i: critic.at(obs).slope(a, i))
    jaxpr = jax.make_jaxpr(anew)(make(), jnp.zeros(OBS))
    (loop,) = [e for e in jaxpr.jaxpr.eqns if e.primitive.name == "scan"]
    assert str(loop.params["jaxpr"]).count("dot_general") > noisy, "a mutant that computes everything anew"


def test_bad_input():
    with pytest.raises(SoftqError, match=r"unknown twins 'mena'.*Did you mean 'mean'"):
        reduce_twins(jnp.zeros(2), "mena")
    with pytest.raises(SoftqError, match="unknown activation"):
        NoiseCritic.create(
            jax.random.key(0), jnp.zeros(OBS), jnp.zeros(ACT), jnp.arange(2), activation="misch"
        )


def test_levels_are_data():
    """Other codes, as a sweep over sigmas has, are another network function but no new compilation."""
    critic, traces = make(), []

    @jax.jit
    def value(critic, obs, action):
        traces.append(1)
        return critic(obs, action, 0)

    obs, action, _ = (jnp.asarray(x[0], jnp.float32) for x in points())
    one = value(critic, obs, action)
    other = value(replace(critic, codes=critic.codes + 1), obs, action)
    assert len(traces) == 1
    assert float(jnp.abs(one - other).max()) > 1e-4
