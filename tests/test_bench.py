"""The yardstick: bare products are the right ones, and they really run."""

import json
import math
import sys
import time
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pandas as pd
import pytest

from softq import __version__, samplers
from softq.algorithms import get
from softq.box import uniform_action, uniform_actions
from softq.cli import main
from softq.experiments.speed import peers, start
from softq.experiments.speed.all_methods import every_method, period
from softq.experiments.speed.matmuls import (
    Dot,
    Loop,
    annealed_products,
    bare,
    flops,
    isir_products,
    langevin_products,
    mala_products,
    products_of,
    qglg_products,
    svgd_products,
    tempering_products,
)
from softq.experiments.speed.timing import row, show
from softq.networks import Critic, NoiseCritic
from softq.utils.errors import SoftqError

HIDDEN, BATCH, OBS, DIM, STEPS = (32, 16, 8), 4, 5, 3, 6


def test_flops_of_a_product():
    dot = Dot((2, 4, 5), (2, 5, 6), (((2,), (1,)), ((0,), (0,))))
    assert dot.flops == 2 * 2 * 4 * 5 * 6
    assert flops((dot, Loop(3, (dot,)))) == 4 * dot.flops


def langevin(critic, obs, key):
    score = samplers.softmax_score(critic.at(obs), 0.1)
    return samplers.langevin(key, score, jnp.zeros(DIM), jnp.full(STEPS, 0.01))


def mala(critic, obs, key):
    return samplers.mala(key, critic.at(obs), 0.1, uniform_action(key, DIM), jnp.full(STEPS, 0.01))[0]


def isir(critic, obs, key):
    return samplers.isir(key, critic.at(obs), DIM, 0.1, 7, 3)


def qglg(critic, obs, key):
    plan = samplers.linear_schedules(jnp.logspace(0, -4, 2), jnp.full(2, 1e-4), STEPS)
    return samplers.qglg(key, critic.at(obs), DIM, 0.1, plan, 7)


def tempering(critic, obs, key):
    rungs = samplers.ladder(0.1, 1.0, 4)
    starts = uniform_actions(key, DIM, 4)
    return samplers.tempering(key, critic.at(obs), rungs, starts, 0.1 * rungs, STEPS)[0]


def svgd(critic, obs, key):
    score = samplers.softmax_score(critic.at(obs), 0.1)
    return samplers.svgd(score, uniform_actions(key, DIM, 9), jnp.full(STEPS, 0.01))


def annealed(critic, obs, key):
    q, levels = critic.at(obs), jnp.array([0.3, 0.2, 0.1])
    slope_at = lambda action, sigma: q.slope(action, jnp.sum(levels > sigma))
    return samplers.annealed_langevin(key, slope_at, uniform_action(key, DIM), levels, levels, 0.1, 4)


@cache
def critic(kind, *levels):
    return jax.jit(lambda: kind.create(jax.random.key(0), jnp.zeros(OBS), jnp.zeros(DIM), *levels, HIDDEN))()


@pytest.mark.parametrize(
    ("sampler", "program"),
    [
        (tempering, tempering_products(BATCH, OBS, DIM, HIDDEN, STEPS, rungs=4)),
        (svgd, svgd_products(BATCH, OBS, DIM, HIDDEN, STEPS, particles=9)),
        (annealed, annealed_products(BATCH, OBS, DIM, HIDDEN, steps_per_level=4, levels=3)),
        (langevin, langevin_products(BATCH, OBS, DIM, HIDDEN, STEPS)),
        (mala, mala_products(BATCH, OBS, DIM, HIDDEN, STEPS)),
        (isir, isir_products(BATCH, OBS, DIM, HIDDEN, candidates=7, sweeps=3)),
        (qglg, qglg_products(BATCH, OBS, DIM, HIDDEN, STEPS, schedules=2, candidates=7)),
    ],
)
def test_our_samplers_make_no_product_that_the_mathematics_does_not_need(sampler, program):
    """Beyond the yardstick: at most the slope of the last layer, which is its weights."""
    kind = (NoiseCritic, range(3)) if sampler is annealed else (Critic,)
    keys, obs = jax.random.split(jax.random.key(1), BATCH), jnp.zeros((BATCH, OBS))
    made = products_of(jax.vmap(partial(sampler, critic(*kind))), obs, keys)
    assert flops(program) <= flops(made) <= 1.05 * flops(program)


def test_bare_products_run_and_none_is_optimised_away():
    program = langevin_products(BATCH, OBS, DIM, HIDDEN, STEPS)
    function, (data, link) = bare(program)
    assert jnp.isfinite(function(data, link))
    assert products_of(function, data, link) == program
    compiled = function.lower(data, link).compile().as_text()
    assert sum(" dot(" in line or "dot_general" in line for line in compiled.splitlines()) >= 8


SMALL = "bench sampler --dim 2 --obs-dim 3 --batch 4 --hidden 8 --steps 2 --schedules 2"


@pytest.mark.parametrize(
    "command",
    [
        SMALL,
        "bench all --only td3 --sizes HalfCheetah --batch 4 --preset small",
        "bench update ddsq --obs-dim 3 --act-dim 2 --batch 4 --hidden-sizes 8 --num-steps 2",
        "bench loop --env InvertedPendulum-v5 --num-envs 2 --hidden-sizes 8 --num-steps 2",
    ],
)
def test_bench_prints_measurement_bound_and_ratio(command, capsys):
    assert main([*command.split(), "--seconds", "0.1", "--rounds", "2", "--json"]) == 0
    for r in json.loads(capsys.readouterr().out):
        assert r["measured_ms"] > 0 and r["ratio_min"] <= r["ratio"] * 1.5 and r["ratio"] > 0
        assert len([name for name in r if name.endswith("_ms")]) == 2


def test_the_actor_is_due_in_the_update_that_is_measured_and_times_are_written_with_their_versions(tmp_path):
    algo = get("td3")(hidden_sizes=(8,))
    assert algo.policy_delay == 2 and period(algo) == 2
    assert (
        period(get("dacer")()) == math.lcm(get("dacer")().policy_delay, get("dacer")().temperature.every) > 2
    )
    rows = every_method(("td3", "lql"), ("HalfCheetah",), "small", 4, 0.01, 1, str(tmp_path / "times.csv"))
    assert [row["name"] for row in rows] == ["td3 HalfCheetah", "lql HalfCheetah"]
    table = pd.read_csv(tmp_path / "times.csv")
    assert list(table["algorithm"]) == ["td3", "lql"] and set(table["size"]) == {"HalfCheetah"}
    assert (table[["measured_ms", "products_ms", "compile_s"]] > 0).all(axis=None)
    assert table["versions"][0] == f"softq={__version__} jax={jax.__version__}"
    with pytest.raises(SoftqError, match="unknown size 'Humanoit'"):
        every_method(("td3",), ("Humanoit",))


def test_a_row_is_medians_and_the_range_of_ratios():
    made = row("x", {"measured": [3.0, 2.0, 9.0], "plain": [1.0, 2.0, 3.0]}, "plain")
    assert made["ratio"] == 3.0 / 2.0 and made["ratio_min"] == 1.0 and made["ratio_max"] == 3.0
    assert show([made]) == "x: 3000.00 ms, a plain critic 2000.00 ms, ratio 1.50 (1.00 to 3.00 over rounds)"


def test_one_sampler_by_name(capsys):
    assert main([*SMALL.split(), "--seconds", "0.01", "--rounds", "1", "--only", "mala"]) == 0
    assert capsys.readouterr().out.startswith("mala: ")
    assert main([*SMALL.split(), "--only", "malla"]) == 2
    assert "Did you mean 'mala'" in capsys.readouterr().err


def test_the_environment_of_the_peers_is_made_once_and_what_fails_there_is_one_line(tmp_path):
    wanted = " ".join((*peers.PACKAGES, f"jax=={jax.__version__}"))
    (tmp_path / "installed.txt").write_text(wanted)
    assert peers.environment(tmp_path) == tmp_path / "bin" / "python"
    assert peers.option("hidden_sizes", "256 256") == ["--hidden-sizes", "256", "256"]
    with pytest.raises(SoftqError, match=r"-c .* failed: no module"):
        peers.finished([sys.executable, "-c", "raise SystemExit('no module')"], {})
    (tmp_path / "file").touch()
    with pytest.raises(SoftqError, match="choose another --folder"):
        peers.environment(tmp_path / "file")


def test_the_second_start_of_a_round_finds_the_cache_of_the_first(monkeypatch):
    asked = []

    def train(command, variables):
        asked.append((command[4], Path(variables["XDG_CACHE_HOME"])))
        assert not variables["JAX_COMPILATION_CACHE_DIR"] and not variables["SOFTQ_NO_COMPILE_CACHE"]
        filled = (kept := asked[-1][1] / "softq").exists()
        kept.mkdir(exist_ok=True)
        time.sleep(0.01 if filled else 0.1)

    monkeypatch.setattr("softq.experiments.speed.start.finished", train)
    rows = start.start(("sac", "ddpg"), "Bandit", rounds=2)
    assert [name for name, _ in asked] == ["sac"] * 4 + ["ddpg"] * 4
    assert len({folder for _, folder in asked}) == 4 and not any(folder.exists() for _, folder in asked)
    assert all(r["ratio_max"] < 1 and r["first_ms"] > r["measured_ms"] for r in rows)
