"""Training: the loops, their exactness over interruptions, and what must never recompile."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from softq.algorithms import DDSQ, Algorithm, Transition
from softq.cli import main
from softq.envs import make
from softq.training import Evaluator, TrainConfig, train
from softq.training.device_loop import DeviceLoop
from softq.training.host_loop import HostLoop
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace

TINY = DDSQ(hidden_sizes=(8,), num_candidates=4, num_schedules=2, num_steps=2, learning_rate=1e-3)
ENVS = ["MultiGoal", "InvertedPendulum-v5"]


@pytree
class Counting(Algorithm):
    """Remembers how many updates it has made; acts on its gain."""

    gain: float = 0.5

    def init(self, key, obs, action):
        return {"updates": jnp.zeros(()), "noise": jax.random.normal(key, action.shape)}

    def policy(self, state, obs, key):
        return jnp.tanh(self.gain * obs[0] + state["noise"])

    def update(self, state, batch, key):
        new = {**state, "updates": state["updates"] + 1}
        return new, {"loss": jnp.mean(batch.reward), "oldest": jnp.min(batch.discount)}


def loop_for(env_id, algo, **settings):
    """A loop, its start and its keys."""
    config = TrainConfig(
        **{"env": env_id, "num_envs": 3, "batch_size": 16, "warmup": 30, "iterations": 60} | settings
    )
    env = make(env_id, config.num_envs, config.seed_list)
    inner = (DeviceLoop if env_id == "MultiGoal" else HostLoop)(env, config)
    keys = jax.vmap(jax.random.key)(jnp.arange(config.seeds))
    return inner, inner.init(algo, keys, keys), keys


@pytest.mark.parametrize("env_id", ENVS)
def test_a_step_stores_every_environment_and_an_iteration_is_one_update(env_id):
    inner, loop, keys = loop_for(env_id, Counting(), seeds=2)
    loop = inner.run(Counting(), loop, keys, 10, True)
    np.testing.assert_array_equal(loop.replay.added, [30, 30])
    np.testing.assert_array_equal(loop.state["updates"], [0, 0])
    loop = inner.run(Counting(), loop, keys, 7, False)
    np.testing.assert_array_equal(loop.replay.added, [51, 51])
    np.testing.assert_array_equal(loop.state["updates"], [7, 7])
    np.testing.assert_array_equal(loop.tally.updates, [7, 7])
    np.testing.assert_array_equal(loop.step, [17, 17])


@pytest.mark.parametrize("env_id", ENVS)
def test_stored_transitions_never_jump_over_a_reset(env_id):
    inner, loop, keys = loop_for(env_id, Counting())
    loop = inner.run(Counting(), loop, keys, 60, True)
    rows: Transition = jax.tree.map(
        lambda x: np.asarray(x)[0, :180].reshape(60, 3, *x.shape[2:]), loop.replay.data
    )
    continues = (rows.next_obs[:-1] == rows.obs[1:]).all(-1)
    assert (~continues).any()
    if env_id == "MultiGoal":  # a move is at most 1 per coordinate: a reset in between would be longer
        assert np.abs(rows.next_obs - rows.obs).max() <= 1.0 + 1e-6
    else:
        assert (rows.discount[:-1][~continues] == 0).all()


def test_seeds_differ_from_each_other():
    inner, loop, keys = loop_for("MultiGoal", TINY, seeds=2)
    loop = inner.run(TINY, loop, keys, 5, True)
    assert not np.array_equal(loop.obs[0], loop.obs[1])
    for leaf in jax.tree.leaves(loop.state.critic.network.params):
        assert leaf.ndim < 4 or not np.array_equal(leaf[0], leaf[1])


@pytest.mark.parametrize("env_id", ENVS)
def test_hyper_parameters_and_lengths_never_recompile(env_id, monkeypatch):
    jax.clear_caches()  # of another test's training of the same kind
    traces = []
    original = DDSQ.update
    monkeypatch.setattr(DDSQ, "update", lambda *x: traces.append(1) or original(*x))
    inner, loop, keys = loop_for(env_id, TINY)
    loop = inner.run(TINY, loop, keys, 3, True)
    loop = inner.run(TINY, loop, keys, 2, False)
    first = len(traces)
    assert first > 0
    for change in ({"temperature": 0.3}, {"learning_rate": 1e-4}, {"start_step": 0.1, "end_step": 1e-3}):
        loop = inner.run(replace(TINY, **change), loop, keys, 4, False)
    assert len(traces) == first


@pytest.mark.parametrize("env_id", ENVS)
def test_a_second_training_of_the_same_kind_compiles_nothing(env_id, monkeypatch):
    """Another loop and another evaluator, of other seeds, hyper-parameters and lengths."""
    jax.clear_caches()
    traces = []
    for name in ("update", "exploit"):
        original = getattr(DDSQ, name)
        monkeypatch.setattr(DDSQ, name, lambda *x, original=original: traces.append(1) or original(*x))
    for seed, temperature in enumerate((0.1, 0.3)):
        algo = replace(TINY, temperature=temperature)
        inner, loop, keys = loop_for(env_id, algo, seed=seed, log_every=5 + seed)
        loop = inner.run(algo, loop, keys, 3 + seed, True)
        loop = inner.run(algo, loop, keys, 2 + seed, False)
        Evaluator(env_id, [seed], 2)(algo, loop.state)
        if seed == 0:
            first = len(traces)
    assert len(traces) == first > 0


def test_number_of_steps_per_dispatch_does_not_matter():
    results = []
    inner, _, keys = loop_for("MultiGoal", TINY)
    for lengths in ([20], [1, 7, 12]):
        loop = inner.run(TINY, inner.init(TINY, keys, keys), keys, 10, True)
        for length in lengths:
            loop = inner.run(TINY, loop, keys, length, False)
        results.append(loop)
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("env_id", ENVS)
def test_evaluation_is_repeatable_and_counts_whole_episodes(env_id):
    _, loop, _ = loop_for(env_id, Counting(), seeds=2)
    evaluator = Evaluator(env_id, [0, 1], 3)
    first, second = (evaluator(Counting(), loop.state) for _ in range(2))
    assert first.shape == (2, 3)
    np.testing.assert_array_equal(first, second)
    if env_id != "MultiGoal":  # one point for every step that the pole stands
        assert (first >= 1).all() and (first == np.round(first)).all()


def test_train_in_memory_returns_the_curve():
    run = train(
        Counting(), "MultiGoal", progress=False, seeds=2, num_envs=2, warmup=20, iterations=40, log_every=20
    )
    assert run.finished and run.folder is None
    assert list(run.curve["kind"]) == ["train"] * 6 + ["eval"] * 2
    assert list(run.curve["updates"]) == [0, 0, 20, 20, 40, 40, 40, 40]
    assert list(run.curve["env_steps"]) == [20, 20, 60, 60, 100, 100, 100, 100]
    assert float(run.state["updates"]) == 40
    with pytest.raises(SoftqError, match=r"unknown setting 'iteration'\. Did you mean 'iterations'"):
        train(Counting(), "MultiGoal", iteration=3)


SETTINGS = {"num_envs": 3, "seeds": 2, "warmup": 60, "iterations": 120, "log_every": 25, "eval_every": 50}
SETTINGS |= {
    "checkpoint_every": 40,
    "eval_episodes": 2,
    "buffer_size": 200,
    "batch_size": 16,
    "learning_rate": 1e-3,
}
SETTINGS |= {"hidden_sizes": 8, "num_candidates": 4, "num_schedules": 2, "num_steps": 2}
STOP_ITSELF = """
import os, signal, sys
from softq.cli import main
from softq.training.trainer import Trainer
step = Trainer.step
def interrupted(self, loop, num, uniform):
    loop = step(self, loop, num, uniform)
    if int(loop.step[0]) >= {at}:
        os.kill(os.getpid(), signal.{signal})
    return loop
Trainer.step = interrupted
sys.exit(main({argv}))
"""


def arguments(env_id: str, out: Path) -> list[str]:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    return ["train", "ddsq", f"--env={env_id}", f"--out={out}", "--no-progress", *options]


def everything(folder: Path) -> tuple[dict, list[dict]]:
    """All arrays of the last checkpoint, and the log without wall-clock times."""
    with ocp.CheckpointManager((folder / "checkpoints").absolute()) as manager:
        items = {"learner": ocp.args.StandardRestore(), "rest": ocp.args.StandardRestore()}
        found = manager.restore(140, args=ocp.args.Composite(meta=ocp.args.JsonRestore(), **items))
    arrays = {f"{item}/{name}": np.asarray(x) for item in items for name, x in found[item].items()}
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    arrays["text"] = np.array(found["meta"]["text"])
    return arrays, [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """`everything` of a run in one go, made once for each environment."""
    made = {}

    def make_run(env_id):
        if env_id not in made:
            folder = tmp_path_factory.mktemp("whole") / "run"
            assert main(arguments(env_id, folder)) == 0
            made[env_id] = everything(folder)
        return made[env_id]

    return make_run


@pytest.mark.parametrize(
    ("env_id", "signal", "at", "code"),
    [
        ("MultiGoal", "SIGINT", 73, 130),
        ("InvertedPendulum-v5", "SIGINT", 73, 130),
        pytest.param("MultiGoal", "SIGKILL", 5, -9, marks=pytest.mark.slow),  # before the first checkpoint
        pytest.param("Hopper-v5", "SIGINT", 12, 130, marks=pytest.mark.slow),  # in the warm-up
    ],
)
def test_an_interrupted_run_goes_on_bit_for_bit(env_id, signal, at, code, tmp_path, uninterrupted):
    halves = tmp_path / "halves"
    script = STOP_ITSELF.format(at=at, signal=signal, argv=arguments(env_id, halves))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    if signal == "SIGINT":
        assert f"softq train --resume {halves}" in done.stderr
        assert not json.loads((halves / "status.json").read_text())["finished"]
    assert main(["train", "--resume", str(halves), "--no-progress"]) == 0
    (arrays, rows), (expected, expected_rows) = everything(halves), uninterrupted(env_id)
    assert rows == expected_rows and len(rows) == 2 * (1 + 5 + 3)
    assert arrays.keys() == expected.keys()
    for name, x in arrays.items():
        np.testing.assert_array_equal(x, expected[name], err_msg=name)
