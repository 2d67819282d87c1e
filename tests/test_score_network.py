"""Score networks: four architectures and their gradients against float64 NumPy, fresh weights, bad input."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import ResidualByHand, ScoreByHand, moved

from softq.algorithms import DQS, MaxEntDP
from softq.networks import ScoreNetwork
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

OBS, ACT = 3, 2
KINDS = {
    "maxentdp": ((8, 6), "mish", "fourier", 1),
    "dqs": ((8, 8), "relu", "sinusoidal", 2),
    "dqs code": ((8, 8), "gelu_tanh", "residual", 2),
    "dacer": ((8, 6), "mish", "step", 1),
    "narrowing": ((8, 6), "relu", "sinusoidal", 1),  # nothing to skip to
}


value = jax.jit(lambda network, obs, action, condition: network(obs, action, condition))


@cache
def make(name):
    """Moved, so that biases are not zero."""
    create = lambda key: ScoreNetwork.create(key, jnp.zeros(OBS), jnp.zeros(ACT), *KINDS[name])
    return moved(jax.jit(create)(jax.random.key(3)), np.random.default_rng(0), 0.1)


def points(network, num=9):
    rng = np.random.default_rng(1)
    sizes = OBS, ACT, network.num_conditions
    return [rng.normal(size=(num, size)).astype(np.float32).astype(float) for size in sizes]


def largest(a, b):
    return max(jax.tree.leaves(jax.tree.map(lambda x, y: np.abs(np.asarray(x, float) - y).max(), a, b)))


@pytest.mark.parametrize("name", KINDS)
def test_outputs_and_gradients_equal_those_by_hand(name):
    network = make(name)
    kind = ResidualByHand if name == "dqs code" else ScoreByHand
    by_hand, given = kind(network), points(network)
    error = np.random.default_rng(2).normal(size=(9, ACT))

    def weighed(network, *given):
        outputs = jax.vmap(network)(*given)
        return jnp.sum(jnp.asarray(error, jnp.float32) * outputs), outputs

    by_both = jax.jit(jax.grad(weighed, argnums=(0, 2), has_aux=True))
    (gradient, by_action), outputs = by_both(network, *given)
    assert largest(outputs, by_hand.outputs(*given)) < 1e-4
    assert largest(dict(gradient.params), by_hand.gradients(error)) < 1e-3
    assert largest(by_action, by_hand.by_action) < 1e-4
    without = kind(network, skip=False)
    assert (largest(outputs, without.outputs(*given)) > 0.1) == name.startswith("dqs")


def test_a_state_is_a_field():
    network = make("dqs")
    obs, action, condition = (x[0] for x in points(network))
    field = jax.jit(network.at)(obs)
    np.testing.assert_array_equal(
        value(network, obs, action, condition), jax.jit(lambda a, c: field(a, c))(action, condition)
    )


@pytest.mark.parametrize("name", KINDS)
def test_fresh_weights(name):
    """Xavier's limit counts all three parts of the first layer; so does the standard deviation of DQS's.

    In DQS's code the weights of a layer are an orthogonal matrix times sqrt(2), here a part of its rows.
    """
    _, activation, style, num = KINDS[name]
    create = lambda key: ScoreNetwork.create(
        key, jnp.zeros(OBS), jnp.zeros(ACT), (256, 256), activation, style, num
    )
    params = jax.jit(create)(jax.random.key(0)).params
    embedded = {"fourier": 128, "sinusoidal": 256 * num, "residual": 128 * num, "step": 16}[style]
    part = np.asarray(params["condition_part"]["kernel"])
    assert part.shape == (embedded, 256)
    fan_in = OBS + ACT + embedded
    if style == "fourier":
        limit = np.sqrt(6 / (fan_in + 256))
        assert 0.99 * limit < np.abs(part).max() <= limit
        assert part.std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
        assert np.asarray(params["frequencies"]).std() == pytest.approx(0.2, rel=0.5)
    elif style == "residual":
        square = np.asarray(params["hidden_1"]["kernel"], float)
        np.testing.assert_allclose(square @ square.T, 2 * np.eye(256), atol=1e-4)
        assert part.std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.02)
        assert np.asarray(params["action_part"]["kernel"]).std() == pytest.approx(
            np.sqrt(2 / fan_in), rel=0.3
        )
    else:
        assert np.abs(part).max() <= 2 / np.sqrt(fan_in)
        assert part.std() == pytest.approx(0.88 / np.sqrt(fan_in), rel=0.02)
    assert not np.asarray(params["out"]["bias"]).any()


def test_bad_input_is_named():
    zeros = jnp.zeros(OBS), jnp.zeros(ACT)
    with pytest.raises(SoftqError, match=r"unknown style 'sinusoid'.*'sinusoidal'"):
        ScoreNetwork.create(jax.random.key(0), *zeros, style="sinusoid")
    with pytest.raises(SoftqError, match="unknown activation"):
        ScoreNetwork.create(jax.random.key(0), *zeros, activation="misch")
    with pytest.raises(SoftqError, match=r"residual blocks need one width.*\(8, 6\)"):
        ScoreNetwork.create(jax.random.key(0), *zeros, (8, 6), style="residual")


@pytest.mark.parametrize("name", KINDS)
def test_scaled_action_weights_multiply_the_action_and_nothing_else(name):
    network = make(name)
    obs, action, condition = (x[0] for x in points(network))
    louder = np.asarray(value(network.scale_action_weights(3.0), obs, action, condition))
    np.testing.assert_allclose(louder, value(network, obs, 3 * action, condition), rtol=1e-5, atol=1e-6)
    assert np.abs(louder - value(network, obs, action, condition)).max() > 1e-3
    with pytest.raises(SoftqError, match="gain"):
        network.scale_action_weights(0.0)


def test_the_action_is_hardly_heard_beside_the_noise_level():
    """How much of a fresh first layer is the action's: the variance that it adds over the box, next to the level's."""
    init = jax.jit(lambda algo: algo.init(jax.random.key(0), jnp.ones(1), jnp.zeros(2)).actor.network)
    for name, algo in (("maxentdp", MaxEntDP()), ("dqs", DQS())):
        actor = init(algo)
        kernel = np.asarray(actor.params["action_part"]["kernel"])
        from_action = (kernel**2).sum(0).mean() / 3  # uniform actions have variance 1/3
        assert from_action < 0.04, name
        louder = init(replace(algo, action_gain=16.0))
        np.testing.assert_allclose(louder.params["action_part"]["kernel"], 16 * kernel, rtol=1e-6)
        same = {k: v for k, v in louder.params.items() if k != "action_part"}
        jax.tree.map(np.testing.assert_array_equal, same, {k: actor.params[k] for k in same})
