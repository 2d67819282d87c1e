"""Mixed precision: both factors of each product in bfloat16, the sum in single precision, by JAX's own switch."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pandas as pd
import pytest
from by_hand import moved
from small import made

from softq.algorithms import DDPG
from softq.experiments.precision import PRECISIONS, SAMPLERS, TEMPERATURES, centres, fitted, table
from softq.networks import Critic
from softq.networks.precision import matmul_precision
from softq.training import resume, train
from softq.utils.errors import SoftqWarning

OBS, ACT = 3, 2


def dots(function, *args):
    """The types of the factors of all matrix products in the program of `function`."""

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                yield tuple(str(x.aval.dtype) for x in equation.invars)
            for inner in jax.tree.leaves(
                list(equation.params.values()), is_leaf=lambda x: hasattr(x, "jaxpr") or hasattr(x, "eqns")
            ):
                if hasattr(inner, "jaxpr") or hasattr(inner, "eqns"):
                    yield from walk(getattr(inner, "jaxpr", inner))

    return list(walk(jax.make_jaxpr(function)(*args).jaxpr))


@pytest.fixture(scope="module")
def critic():
    fresh = Critic.create(jax.random.key(0), jnp.zeros(OBS), jnp.zeros(ACT), (16, 8), "tanh")
    return moved(fresh, np.random.default_rng(1), 0.1)


def by_hand(critic, obs, action, rounded):
    """Both twins in float64, of factors that went through `rounded`."""
    values = []
    for twin in range(2):
        p = jax.tree.map(lambda x, twin=twin: np.asarray(x[twin], np.float64), critic.params)
        product = lambda x, layer: rounded(x) @ rounded(layer["kernel"])
        x = product(obs, p["state_part"]) + p["state_part"]["bias"] + product(action, p["action_part"])
        x = np.tanh(x)
        x = np.tanh(product(x, p["hidden_0"]) + p["hidden_0"]["bias"])
        values.append((product(x, p["out"]) + p["out"]["bias"])[0])
    return np.array(values)


def test_factors_are_rounded_and_sums_are_not(critic):
    obs, action = jnp.array([0.3, -1.2, 0.7]), jnp.array([0.11, -0.93])
    bfloat16 = lambda x: np.asarray(x, np.float32).astype(ml_dtypes.bfloat16).astype(np.float64)
    exact, mixed = (by_hand(critic, np.asarray(obs), np.asarray(action), f) for f in (np.asarray, bfloat16))
    with matmul_precision("bfloat16"):
        np.testing.assert_allclose(critic(obs, action), mixed, atol=2e-6)
    for precision in ("default", "float32"):
        with matmul_precision(precision):
            np.testing.assert_allclose(critic(obs, action), exact, atol=2e-6)
    assert np.abs(exact - mixed).max() > 1e-4  # which tells the two apart


@pytest.mark.parametrize("name", ["sac", "nclql", "dqs", "dacer", "meow", "sql", "mfp"])
def test_every_layer_knows_the_switch(name):
    algo = made(name)
    state = jax.eval_shape(algo.init, jax.random.key(0), jnp.zeros(OBS), jnp.zeros(ACT))
    act = lambda state: algo.policy(state, jnp.zeros(OBS), jax.random.key(0))
    assert {x for pair in dots(act, state) for x in pair} == {"float32"}
    with matmul_precision("bfloat16"):
        mixed = dots(lambda state: act(state), state)
    layers = [pair for pair in mixed if "bfloat16" in pair]
    # what is not a layer: frequencies of a time, a kernel of particles, a sum that is written as a product
    assert len(layers) >= 2 and layers.count(("bfloat16", "bfloat16")) >= len(mixed) / 3


def test_a_run_remembers_its_precision_and_can_go_on_in_another(tmp_path):
    settings = {"num_envs": 2, "warmup": 8, "iterations": 20, "batch_size": 4, "eval_episodes": 1}
    algo = DDPG(hidden_sizes=(8,))
    runs = {
        precision: train(
            algo, "Bandit", out=tmp_path / precision, precision=precision, progress=False, **settings
        )
        for precision in ("default", "float32", "bfloat16")
    }
    params = {name: jax.tree.leaves(run.states.critic.network.params) for name, run in runs.items()}
    for a, b, c in zip(params["default"], params["float32"], params["bfloat16"], strict=True):
        np.testing.assert_array_equal(a, b)  # on a CPU
        assert a.dtype == c.dtype == jnp.float32
    assert any((a != c).any() for a, c in zip(params["default"], params["bfloat16"], strict=True))
    assert json.loads((tmp_path / "bfloat16" / "config.json").read_text())["train"]["precision"] == "bfloat16"
    with pytest.warns(SoftqWarning, match="precision bfloat16 -> float32"):
        again = resume(tmp_path / "bfloat16", progress=False, iterations=30, precision="float32")
    assert again.finished and again.config.precision == "float32"


def test_the_experiment_measures_an_error_and_the_stored_one_is_of_its_size():
    found = table(fitted(steps=200, hidden_sizes=(8,)), num=1000, samplers=("snis",))
    assert len(found) == len(TEMPERATURES) * len(PRECISIONS) and (found["floor"] > 0).all()
    errors = found.pivot(index="temperature", columns="precision", values="q_error")
    assert (errors["float32"] == 0).all() and (errors["bfloat16"] > 0).all()
    assert errors["bfloat16"].mul(errors.index).round(9).nunique() == 1
    np.testing.assert_allclose(centres(2), [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])
    stored = pd.read_csv(Path(__file__).parents[1] / "results" / "precision.csv")
    assert len(stored) == len(TEMPERATURES) * len(SAMPLERS) * len(PRECISIONS)
    assert set(stored["sampler"]) == set(SAMPLERS) and stored["tv"].between(0, 1).all()
    # what the page on the engine says of it
    cold = stored[stored["temperature"] == 0.01].pivot(index="sampler", columns="precision")
    assert 0.6 < cold["q_error"]["bfloat16"].max() < 0.7
    assert (cold["tv"]["bfloat16"] <= cold["tv"]["float32"]).all()
