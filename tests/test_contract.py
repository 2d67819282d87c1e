"""Every algorithm passes the public battery; and the battery finds what it says it finds."""

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.key_reuse._core import check_key_reuse  # traces only; the public switch compiles
from small import made

from softq.algorithms import ALGORITHMS, SAC, MalaQ, get
from softq.algorithms.base import Algorithm
from softq.testing import ALGORITHM_CHECKS
from softq.testing.probe import Probe, random_batch
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace, static

SAMPLED_EXPLOIT = {
    "lql",
    "nclql",
    "dqs",
    "maxentdp",
    "sql",
    "mfp",
    "dipo",
    "qvpo",
    "qsm",
    "dacer",
    "sdac",
    "dpmd",
}  # what is reported is a sample
DETERMINISTIC = {"ddpg", "td3"}


@pytest.fixture(scope="module", params=list(ALGORITHMS))
def probe(request):
    """One probe for all checks of an algorithm: its methods are compiled once."""
    name = request.param
    return Probe(
        made(name),
        3,
        2,
        8,
        name not in SAMPLED_EXPLOIT,
        (),
        jax.random.key(0),
        name in DETERMINISTIC,
    )


@pytest.mark.parametrize("check", ALGORITHM_CHECKS)
def test_contract(probe, check):
    ALGORITHM_CHECKS[check](probe)


def test_an_update_uses_each_key_once(probe):
    """By JAX's own check, which takes a loop over keys within vmap for a reuse: so MalaQ's chain only for one state."""
    algo, state, batch, key = probe.algo, probe.state, probe.batch, jax.random.key(0)
    if isinstance(algo, MalaQ):
        check_key_reuse(lambda key: algo.next_value(state, batch.next_obs[0], key), key)
    else:
        check_key_reuse(lambda key: algo.update(state, batch, key), key)


def test_a_key_that_is_used_twice_is_found():
    @pytree
    class Twice(SAC):
        def next_value(self, state, next_obs, key):
            value, info = super().next_value(state, next_obs, key)
            return value + jax.random.normal(key), info

    algo = Twice(hidden_sizes=(8,))
    state = jax.jit(algo.init)(jax.random.key(0), jnp.zeros(3), jnp.zeros(2))
    batch = random_batch(jax.random.key(1), 8, 3, 2)
    with pytest.raises(jax.errors.KeyReuseError):
        check_key_reuse(lambda key: algo.update(state, batch, key), jax.random.key(0))


def test_unknown_algorithm_suggests_the_nearest():
    with pytest.raises(SoftqError, match=r"unknown algorithm 'ddsqq'.*Did you mean 'ddsq'"):
        get("ddsqq")


@pytree
class Linear(Algorithm):
    """The smallest algorithm that keeps the contract; one fault at a time can be switched on."""

    rate: float = 0.1
    fault: str = static(default="")
    frozen: float = static(default=1.0)

    def init(self, key, obs, action):
        if self.fault == "seeds":
            key = jax.random.key(0)
        return {"w": jax.random.normal(key, (len(obs), len(action))), "count": jnp.zeros((), jnp.int32)}

    def policy(self, state, obs, key):
        noise = self.rate * jax.random.normal(jax.random.key(0) if self.fault == "key" else key, (2,))
        action = jnp.tanh(obs @ state["w"] + noise)
        return action.astype(jnp.bfloat16) if self.fault == "shapes" else action

    def exploit(self, state, obs, key):
        action = jnp.tanh(obs @ state["w"])
        if self.fault == "exploit":
            action = action * jax.random.uniform(key)
        return obs[:2] if self.fault == "box" else action

    def update(self, state, batch, key):
        error = batch.reward - jnp.sum(batch.obs @ state["w"], -1)
        step = batch.obs.T @ error[:, None] / len(error)
        w = state["w"] + jnp.where(self.fault == "learns", 0.0, self.rate) * step
        if self.fault == "finite":
            w = w / jnp.abs(batch.reward).max()
        if self.fault == "structure":
            return {**state, "w": w, "more": w}, {"error": jnp.mean(error)}
        if self.fault == "metrics":
            return {**state, "w": w}, {"error": error}
        return {"w": w, "count": state["count"] + 1}, {"error": jnp.mean(error)}


FAULTS = {
    "shapes": ("shapes", "policy returns bfloat16"),
    "structure": ("shapes", "structure of the state"),
    "metrics": ("shapes", "metric 'error'"),
    "box": ("box", "exploit returns a coordinate"),
    "key": ("key", "policy gives 1 actions"),
    "exploit": ("key", "exploit gives"),
    "seeds": ("seeds", r"state\['w'\]"),
    "finite": ("finite", r"\['w'\]"),
    "learns": ("learns", "every weight matrix"),
}


def linear_probe(algo, static_floats=("frozen",)):
    return Probe(algo, 3, 2, 8, True, static_floats, jax.random.key(0))


@pytest.mark.parametrize("check", ALGORITHM_CHECKS)
def test_a_sound_algorithm_passes(check):
    ALGORITHM_CHECKS[check](linear_probe(Linear()))


@pytest.mark.parametrize("fault", FAULTS)
def test_the_battery_names_the_fault(fault):
    check, message = FAULTS[fault]
    with pytest.raises(AssertionError, match=f"check_algorithm, {check}, Linear: .*{message}"):
        ALGORITHM_CHECKS[check](linear_probe(replace(Linear(), fault=fault)))


def test_a_static_float_is_found():
    with pytest.raises(AssertionError, match="a new value of frozen recompiles"):
        ALGORITHM_CHECKS["leaves"](linear_probe(Linear(), ()))
