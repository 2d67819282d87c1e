"""Critics: the fast path against a plain one, gradients, the activation, fresh weights."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import moved
from scipy import stats

from softq.networks import (
    ACTIVATIONS,
    Critic,
    GaussianActor,
    NoiseCritic,
    SamplingNetwork,
    ScoreNetwork,
    mish,
)
from softq.networks.critic import least, reduce_twins
from softq.testing import THRESHOLD, mean_test
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

OBS, ACT = 3, 2


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def create(key, obs_dim, action_dim, hidden, activation="mish"):
    return Critic.create(key, jnp.zeros(obs_dim), jnp.zeros(action_dim), hidden, activation)


@jax.jit
def twins(critic, obs, action):
    return critic(obs, action)


@jax.jit
def smaller_twin(critic, obs, action):
    return jax.value_and_grad(critic.at(obs))(action)


def make(key, hidden=(16, 8), activation="mish"):
    """A small critic; its biases start at zero, so they are moved to where a mistake would show."""
    return moved(create(key, OBS, ACT, hidden, activation), np.random.default_rng(1), 0.1)


def plain(critic, obs, action, twin, act=None):
    """One twin in float64 NumPy: concatenate, multiply, activate, repeat."""
    act = act or (lambda x: x * np.tanh(np.logaddexp(0, x)))
    params = jax.tree.map(lambda x: np.asarray(x, np.float64)[twin], critic.params)
    first = np.concatenate([params["state_part"]["kernel"], params["action_part"]["kernel"]])
    x = act(np.concatenate([obs, action]) @ first + params["state_part"]["bias"])
    for i in range(len(critic.hidden_sizes) - 1):
        x = act(x @ params[f"hidden_{i}"]["kernel"] + params[f"hidden_{i}"]["bias"])
    return (x @ params["out"]["kernel"] + params["out"]["bias"])[0]


def points(num=20):
    rng = np.random.default_rng(0)
    return rng.normal(size=(num, OBS)), rng.uniform(-1, 1, (num, ACT))


@pytest.mark.parametrize("hidden", [(16,), (16, 8), (8, 8, 8)])
def test_values_equal_the_plain_network(hidden, key):
    critic = make(key, hidden)
    for obs, action in zip(*points(), strict=True):
        expected = [plain(critic, obs, action, twin) for twin in (0, 1)]
        given = twins(critic, obs, action)
        assert given.shape == (2,)
        np.testing.assert_allclose(given, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("relu", lambda x: np.maximum(x, 0)),
        ("tanh", np.tanh),
        ("silu", lambda x: x / (1 + np.exp(-x))),
        ("elu", lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
        ("gelu", lambda x: x * stats.norm.cdf(x)),
        ("gelu_tanh", lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))),
    ],
)
def test_other_activations(name, act, key):
    critic = make(key, activation=name)
    for obs, action in zip(*points(5), strict=True):
        given = twins(critic, obs, action)
        np.testing.assert_allclose(
            given, [plain(critic, obs, action, t, act) for t in (0, 1)], rtol=2e-5, atol=2e-6
        )


def test_the_landscape_of_a_state_is_the_smaller_twin(key):
    critic = make(key)
    smaller = set()
    for obs, action in zip(*points(), strict=True):
        both = np.asarray(twins(critic, obs, action))
        smaller.add(int(both.argmin()))
        assert float(smaller_twin(critic, obs, action)[0]) == pytest.approx(both.min(), abs=1e-6)
    assert smaller == {0, 1}  # else the test would not see which twin was taken


def test_gradient_by_action_equals_finite_differences(key):
    """Differences of the float64 plain network, so that only the error of the gradient itself remains."""
    critic, h = make(key), 1e-6
    for obs, action in zip(*points(), strict=True):
        q = lambda a: min(plain(critic, obs, a, twin) for twin in (0, 1))
        slope = [(q(action + h * e) - q(action - h * e)) / (2 * h) for e in np.eye(ACT)]
        _, given = smaller_twin(critic, obs, action)
        np.testing.assert_allclose(given, slope, rtol=2e-4, atol=5e-6)


def test_gradients_equal_autodiff_of_the_plain_network(key):
    """By action and by every weight, with Mish spelt out and differentiated by JAX itself."""
    critic = make(key)

    def by_autodiff(params, obs, action):
        act = lambda x: x * jnp.tanh(jnp.logaddexp(x, 0.0))
        first = jnp.concatenate([params["state_part"]["kernel"], params["action_part"]["kernel"]])
        x = act(jnp.concatenate([obs, action]) @ first + params["state_part"]["bias"])
        x = act(x @ params["hidden_0"]["kernel"] + params["hidden_0"]["bias"])
        return (x @ params["out"]["kernel"] + params["out"]["bias"])[0]

    both = lambda params, obs, action: jax.vmap(lambda p: by_autodiff(p, obs, action))(params)
    ours = lambda params, obs, action: replace(critic, params=params)(obs, action)
    obs, action = (x[0] for x in points())
    weights = np.array([0.3, -1.7])
    slopes = lambda f: jax.jit(jax.grad(lambda *a: f(*a) @ weights, (0, 1, 2)))(critic.params, obs, action)
    expected, given = slopes(both), slopes(ours)
    assert jax.tree.structure(given) == jax.tree.structure(expected)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-6), given, expected)


def test_gradient_reaches_only_the_smaller_twin(key):
    critic = make(key)
    obs, action = (jnp.asarray(x[0]) for x in points())
    smaller = np.asarray(twins(critic, obs, action)).argmin()
    gradient = jax.jit(jax.grad(lambda critic: critic.at(obs)(action)))(critic).params
    gradient = jax.tree.map(np.asarray, gradient)
    for leaf in jax.tree.leaves(gradient):
        assert np.abs(leaf[1 - smaller]).max() == 0
    assert np.abs(gradient["out"]["kernel"][smaller]).max() > 0


# Mish


@pytest.mark.parametrize("num", [1, 2, 3])
def test_the_least_value_and_its_slope(num):
    """That of the first one that is so small; NaN where one is, as every sampler looks for."""
    for values in (
        [2.0, -1.0, -1.0],
        [-3.0, 2.0, 5.0],
        [4.0, 4.0, 1.0],
        [np.nan, 1.0, 1.0],
        [1.0, np.nan, 0.0],
    ):
        values = np.array(values[:num])
        found, slope = jax.value_and_grad(least)(jnp.float32(values))
        np.testing.assert_array_equal(found, values.min())
        np.testing.assert_array_equal(slope, np.arange(num) == values.argmin())


SLOPES = {
    "critic": (Critic, {}, lambda critic, a: critic.at(jnp.ones(OBS))(a)),
    "noise critic": (
        NoiseCritic,
        {"codes": jnp.arange(4.0)},
        lambda critic, a: reduce_twins(critic.at(jnp.ones(OBS)).twins(a, 2), "min"),
    ),
    "spread of an actor": (GaussianActor, {}, lambda actor, a: actor.at(jnp.append(a, 1.0)).log_std[0]),
}


@pytest.mark.parametrize("name", SLOPES)
def test_no_slope_asks_whether_two_values_are_equal(name, key):
    """A compiled program may compute one value twice, and round it differently: equality then does not hold.

    The slopes of `jnp.min` and `jnp.clip` ask so. That of a critic was 0 / 0 where 4 of 16 chains of a program started.
    """
    kind, more, value = SLOPES[name]
    sizes = {"hidden_sizes": (8,), "activation": "relu"}
    network = kind.create(key, jnp.zeros(OBS), jnp.zeros(ACT), **more, **sizes)
    program = lambda value: str(jax.make_jaxpr(jax.grad(value))(jnp.zeros(ACT)))
    assert " eq " not in program(lambda a: value(network, a))
    for asks in (jnp.min, lambda a: jnp.clip(a, -1.0, 1.0)[0]):
        assert " eq " in program(asks)


def exact_mish(x):
    """Value and slope in float64."""
    x = np.maximum(x, -700.0)  # where both are zero to every digit of single precision
    s = np.tanh(np.logaddexp(0, x))
    return x * s, s + x * (1 - s**2) / (1 + np.exp(-x))


WIDE = np.concatenate(
    [np.linspace(-50, 50, 4001), [-1e4, -200.0, 200.0, 1e4, 0.0, 1e-8, -1e-8, 19.99, 20.01]]
)


def test_mish_over_a_wide_range():
    np.testing.assert_allclose(jax.jit(mish)(WIDE), exact_mish(WIDE)[0], rtol=3e-6, atol=1e-7)


def test_slope_of_mish_over_a_wide_range():
    backwards, forwards = jax.vmap(jax.grad(mish)), lambda x: jax.jvp(mish, (x,), (jnp.ones_like(x),))[1]
    expected = exact_mish(WIDE)[1]
    for slope in (backwards, forwards):
        np.testing.assert_allclose(jax.jit(slope)(WIDE), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_slopes_are_finite_everywhere(name):
    x = np.array([-1e10, -1e4, -104.0, -88.8, -50.0, 0.0, 20.0, 50.0, 88.8, 1e4, 1e10])
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(ACTIVATIONS[name])))(x)
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()


def test_both_forms_of_gelu():
    """Values by hand, and how far the two are apart: what the comment beside them says."""
    x = np.append(np.linspace(-6, 6, 2001), 1.0).astype(np.float32).astype(float)
    exact, by_tanh = (np.asarray(jax.jit(ACTIVATIONS[name])(x), float) for name in ("gelu", "gelu_tanh"))
    by_hand = x * stats.norm.cdf(x)
    np.testing.assert_allclose(exact, by_hand, rtol=1e-5, atol=1e-7)
    assert exact[-1] == pytest.approx(0.8413447461, abs=1e-7)
    assert by_tanh[-1] == pytest.approx(0.8411919906, abs=1e-7)
    assert 4e-4 < np.abs(by_tanh - by_hand).max() < 5e-4


# Fresh weights


def test_fresh_weights_are_truncated_normals_of_the_documented_spread(key):
    params = create(key, 17, 6, (256, 256, 256)).params
    fan_in = {"state_part": 23, "action_part": 23, "hidden_0": 256, "hidden_1": 256, "out": 256}
    assert set(params) == set(fan_in)
    cut = stats.truncnorm(-2, 2)
    for name, inputs in fan_in.items():
        kernel = np.asarray(params[name]["kernel"], float).ravel() * np.sqrt(inputs)
        assert np.abs(kernel).max() <= 2 / cut.std() + 1e-5
        # Flax rescales after cutting, so that the spread is the documented one; Haiku does not.
        scale = 1.0 if kernel.std() > 0.94 else cut.std()
        assert stats.kstest(kernel / scale * cut.std(), cut.cdf).pvalue > THRESHOLD
        assert mean_test(kernel, 0.0) > THRESHOLD
        if "bias" in params[name]:
            assert not np.asarray(params[name]["bias"]).any()
    assert "bias" not in params["action_part"]


def test_twins_are_independent(key):
    params = create(key, 17, 6, (64, 64)).params
    for name, layer in params.items():
        a, b = np.asarray(layer["kernel"]).reshape(2, -1)
        assert not np.any(a == b), name
        assert stats.pearsonr(a, b).pvalue > THRESHOLD


def test_bad_input_is_one_clear_line(key):
    for kwargs, names in (
        ({"activation": "mesh"}, "Did you mean 'mish'"),
        ({"hidden_sizes": ()}, "hidden_sizes"),
    ):
        with pytest.raises(SoftqError, match=names) as error:
            Critic.create(key, jnp.zeros(OBS), jnp.zeros(ACT), **kwargs)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("cls", "given", "more", "num"),
    [
        (Critic, {"num": 3}, [(ACT,)], 3),
        (NoiseCritic, {"codes": jnp.arange(4.0)}, [(ACT,), ()], 2),
        (GaussianActor, {}, [], None),
        (SamplingNetwork, {"noise_dim": 5}, [], None),
        (ScoreNetwork, {"style": "sinusoidal", "num_conditions": 2}, [(ACT,), (2,)], None),
    ],
)
def test_fresh_parameters_are_those_of_the_module(cls, given, more, num, key):
    """What is read changes no fresh weight; several networks of one kind are all different."""
    network = cls.create(key, jnp.ones(OBS), jnp.ones(ACT), hidden_sizes=(8, 4), **given)
    first = (OBS + 5,) if cls is SamplingNetwork else (OBS,)
    zeros = [jnp.zeros(shape) for shape in (first, *more)]
    of_one = network.module.init(key, *zeros)["params"]
    if num is None:
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), network.params, of_one)
        return
    again = cls.create(key, jnp.zeros(OBS), jnp.zeros(ACT), hidden_sizes=(8, 4), **given)
    jax.tree.map(np.testing.assert_array_equal, network.params, again.params)
    assert jax.tree.map(jnp.shape, network.params) == jax.tree.map(lambda x: (num, *x.shape), of_one)
    for several, one in zip(*map(jax.tree.leaves, (network.params, of_one)), strict=True):
        assert np.any(one) == np.any(several) and np.abs(several).max() < 3 * np.abs(one).max() + 1e-6
        assert not np.any(one) or len(np.unique(several)) == several.size
