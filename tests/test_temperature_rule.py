"""The rules by which a temperature learns, by hand, and what stands in its place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import Adam

from softq.algorithms import SAC
from softq.algorithms.common.temperature import Temperature
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

ENTROPIES = [
    [-1.0, -1.2, 0.3],
    [2.0, 2.2, 9.0],
    [-4.0, -4.0, -4.0],
]  # nats, of three states in each of three updates


def learned(rule: str, dim: int = 2) -> list[float]:
    """The temperature in force after each of three steps of a rule."""
    temperature, found = Temperature(0.5, rule, target_entropy=-1.5, learning_rate=0.1), []
    state, step = temperature.init(dim), jax.jit(Temperature.update, static_argnums=3)
    for entropies in ENTROPIES:
        state = step(temperature, state, jnp.array(entropies), dim)
        found.append(float(temperature(state)))
        assert float(state.entropy) == pytest.approx(np.mean(entropies), rel=1e-6)
    return found


def test_fixed():
    assert learned("fixed") == [0.5] * 3


def test_ddsq_goes_down_by_the_error_over_the_standard_deviation_or_one():
    log_scale, expected = 0.0, []
    for entropies in ENTROPIES:
        log_scale -= 0.1 * (np.mean(entropies) - 2 * -1.5) / max(1, np.std(entropies))
        expected.append(0.5 * np.exp(log_scale))
    assert np.std(ENTROPIES[1]) > 1 > np.std(ENTROPIES[0])
    np.testing.assert_allclose(learned("ddsq"), expected, rtol=1e-5)


def test_sac_is_adam_on_the_temperature_times_the_error():
    log_scale, adam, expected = np.zeros(()), Adam(np.zeros(()), 0.1), []
    for entropies in ENTROPIES:
        log_scale = adam.step(log_scale, 0.5 * np.exp(log_scale) * (np.mean(entropies) - 2 * -1.5))
        expected.append(float(0.5 * np.exp(log_scale)))
    np.testing.assert_allclose(learned("sac"), expected, rtol=1e-5)


def test_log_is_adam_on_the_error():
    log_scale, adam, expected = np.zeros(()), Adam(np.zeros(()), 0.1), []
    for entropies in ENTROPIES:
        log_scale = adam.step(log_scale, np.mean(entropies) - 2 * -1.5)
        expected.append(float(0.5 * np.exp(log_scale)))
    np.testing.assert_allclose(learned("log"), expected, rtol=1e-5)
    assert np.abs(np.subtract(learned("sac"), expected)).max() > 1e-3


@pytest.mark.parametrize("rule", ["sac", "log", "ddsq"])
@pytest.mark.parametrize("excess", [0.5, -0.5])
def test_the_temperature_rises_when_the_entropy_is_too_low(rule, excess):
    temperature = Temperature(0.5, rule)
    after = temperature.update(temperature.init(2), jnp.full(3, -2 + excess), 2)
    assert np.sign(float(temperature(after)) - 0.5) == -np.sign(excess)


def test_before_a_step_the_entropy_is_that_of_the_uniform_policy():
    assert float(Temperature().init(3).entropy) == pytest.approx(3 * np.log(2))


def test_a_number_is_where_the_rule_of_the_method_starts():
    assert SAC(temperature=0.3).temperature == Temperature(0.3, "sac")
    assert replace(SAC(), temperature=0.3) == SAC(temperature=Temperature(0.3, "sac"))
    swept = jax.vmap(lambda t: SAC(temperature=t).temperature.value * 2)(jnp.array([0.1, 0.2]))
    np.testing.assert_allclose(swept, [0.2, 0.4])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"value": -0.1}, "value is -0.1; it must be positive"),
        ({"rule": "sak"}, "unknown rule 'sak'.* Did you mean 'sac'"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0; it must be 0 or more"),
        ({"every": 0}, "every is 0; it must be at least 1"),
        ({"target_entropy": float("nan")}, "target_entropy is nan; it must be finite"),
    ],
)
def test_what_a_temperature_cannot_be(settings, message):
    with pytest.raises(SoftqError, match=message):
        Temperature(**settings)
