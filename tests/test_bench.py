"""The yardstick: bare products are the right ones, and they really run."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import pytest

from softq import samplers
from softq.cli import main
from softq.networks import Critic
from softq.products import (
    Dot,
    Loop,
    bare,
    flops,
    isir_products,
    langevin_products,
    mala_products,
    products_of,
    qglg_products,
)

HIDDEN, BATCH, OBS, DIM, STEPS = (32, 16, 8), 4, 5, 3, 6


def test_flops_of_a_product():
    dot = Dot((2, 4, 5), (2, 5, 6), (((2,), (1,)), ((0,), (0,))))
    assert dot.flops == 2 * 2 * 4 * 5 * 6
    assert flops((dot, Loop(3, (dot,)))) == 4 * dot.flops


def langevin(critic, obs, key):
    score = samplers.softmax_score(critic.at(obs), 0.1)
    return samplers.langevin(key, score, jnp.zeros(DIM), jnp.full(STEPS, 0.01))


def mala(critic, obs, key):
    return samplers.mala(key, critic.at(obs), 0.1, samplers.uniform(key, DIM), jnp.full(STEPS, 0.01))[0]


def isir(critic, obs, key):
    return samplers.isir(key, critic.at(obs), DIM, 0.1, 7, 3)


def qglg(critic, obs, key):
    plan = samplers.linear_schedules(jnp.logspace(0, -4, 2), jnp.full(2, 1e-4), STEPS)
    return samplers.qglg(key, critic.at(obs), DIM, 0.1, plan, 7)


@pytest.mark.parametrize(
    ("sampler", "program"),
    [
        (langevin, langevin_products(BATCH, OBS, DIM, HIDDEN, STEPS)),
        (mala, mala_products(BATCH, OBS, DIM, HIDDEN, STEPS)),
        (isir, isir_products(BATCH, OBS, DIM, HIDDEN, candidates=7, sweeps=3)),
        (qglg, qglg_products(BATCH, OBS, DIM, HIDDEN, STEPS, schedules=2, candidates=7)),
    ],
)
def test_our_samplers_make_no_product_that_the_mathematics_does_not_need(sampler, program):
    """Beyond the yardstick: at most the slope of the last layer, which is its weights."""
    critic = Critic.create(jax.random.key(0), jnp.zeros(OBS), jnp.zeros(DIM), HIDDEN)
    keys, obs = jax.random.split(jax.random.key(1), BATCH), jnp.zeros((BATCH, OBS))
    made = products_of(jax.vmap(partial(sampler, critic)), obs, keys)
    assert flops(program) <= flops(made) <= 1.05 * flops(program)


def test_bare_products_run_and_none_is_optimised_away():
    program = langevin_products(BATCH, OBS, DIM, HIDDEN, STEPS)
    function, (data, link) = bare(program)
    assert jnp.isfinite(function(data, link))
    assert products_of(function, data, link) == program
    compiled = function.lower(data, link).compile().as_text()
    assert sum(" dot(" in line or "dot_general" in line for line in compiled.splitlines()) >= 8


@pytest.mark.parametrize(
    "command",
    [
        "bench sampler --dim 2 --obs-dim 3 --batch 4 --hidden 8 8 --steps 2 --schedules 2",
        "bench update ddsq --obs-dim 3 --act-dim 2 --batch 4 --hidden-sizes 8 --num-steps 2",
        "bench loop --env InvertedPendulum-v5 --num-envs 2 --hidden-sizes 8 --num-steps 2",
    ],
)
def test_bench_prints_measurement_bound_and_ratio(command, capsys):
    assert main([*command.split(), "--seconds", "0.1", "--rounds", "2", "--json"]) == 0
    for row in json.loads(capsys.readouterr().out):
        assert row["measured_ms"] > 0 and row["ratio_min"] <= row["ratio"] * 1.5 and row["ratio"] > 0
        assert "products_ms" in row or "update_ms" in row
