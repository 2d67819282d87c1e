"""Every algorithm passes the public battery; and the battery finds what it says it finds."""

import jax
import jax.numpy as jnp
import pytest

from softq.algorithms import ALGORITHMS, get
from softq.algorithms.base import Algorithm
from softq.testing import ALGORITHM_CHECKS
from softq.testing.probe import Probe
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace, static

# Small enough to compile quickly; everything else at its default.
SMALL = {
    "ddsq": {
        "hidden_sizes": (8,),
        "num_candidates": 8,
        "num_schedules": 2,
        "num_steps": 3,
        "num_entropy_samples": 16,
    },
    "lql": {"hidden_sizes": (8,), "num_steps": 3},
    "nclql": {"hidden_sizes": (8,), "num_levels": 3},
    "dqs": {"hidden_sizes": (8,), "num_steps": 3, "num_samples": 4},
    "maxentdp": {
        "hidden_sizes": (8,),
        "num_steps": 3,
        "num_samples": 4,
        "num_noises": 2,
        "num_actions": 2,
    },
    "malaq": {"hidden_sizes": (8,), "num_candidates": 4, "num_levels": 2, "num_steps": 2},
    "sql": {"hidden_sizes": (8,), "num_particles": 4, "num_updated": 4, "num_value_samples": 4},
    "sac": {"hidden_sizes": (8,)},
    "ddpg": {"hidden_sizes": (8,)},
}
# Off means that the code is left out of the program, so a new value may compile anew.
STATIC_FLOATS = dict.fromkeys(("ddsq", "dqs", "maxentdp"), ("temperature_learning_rate",))
STATIC_FLOATS["nclql"] = ("temperature_learning_rate", "target_entropy")
SAMPLED_EXPLOIT = {"lql", "nclql", "dqs", "maxentdp", "sql"}  # what is reported is a sample
DETERMINISTIC_POLICY = {"ddpg"}


@pytest.fixture(scope="module", params=list(ALGORITHMS))
def probe(request):
    """One probe for all checks of an algorithm: its methods are compiled once."""
    name = request.param
    return Probe(
        get(name)(**SMALL[name]),
        3,
        2,
        8,
        name not in SAMPLED_EXPLOIT,
        STATIC_FLOATS.get(name, ()),
        jax.random.key(0),
        name in DETERMINISTIC_POLICY,
    )


@pytest.mark.parametrize("check", ALGORITHM_CHECKS)
def test_contract(probe, check):
    ALGORITHM_CHECKS[check](probe)


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
