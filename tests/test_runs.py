"""Run directories: what is in them, what refuses to be overwritten, what is said of a damaged one."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pandas as pd
import pytest

from softq.algorithms import DDSQ
from softq.training import TrainConfig, curves, evaluate_run, export, load_all, load_run, resume, train
from softq.training.results import export_evaluation
from softq.training.run_directory import COLUMNS, FORMAT, RunDirectory, default_run, to_frame
from softq.utils.errors import SoftqError

TINY = DDSQ(hidden_sizes=(8,), num_candidates=4, num_schedules=2, num_steps=2, temperature=0.3)
SETTINGS = {"seeds": 2, "num_envs": 2, "warmup": 20, "iterations": 40, "log_every": 20, "batch_size": 8}
SETTINGS |= {"checkpoint_every": 15, "eval_every": 20, "eval_episodes": 3, "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run and what `train` returned."""
    return train(TINY, "MultiGoal", out=tmp_path_factory.mktemp("runs") / "run", **SETTINGS)


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the run, to damage."""
    return shutil.copytree(run.folder, tmp_path / "copy")


def assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_directory_describes_itself(run):
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"config.json", "versions.json", "log.jsonl", "status.json", "checkpoints"}
    algo, config, dims = RunDirectory(run.folder).config()
    assert (algo, config, dims) == (TINY, run.config, {"obs_dim": 2, "action_dim": 2})
    status = json.loads((run.folder / "status.json").read_text())
    assert status["finished"] and status["updates"] == 40 and status["env_steps"] == 100
    versions = json.loads((run.folder / "versions.json").read_text())
    assert {"softq", "jax", "gymnasium", "mujoco", "python", "device"} <= versions.keys()
    kept = [path for path in (run.folder / "checkpoints").iterdir() if path.is_dir()]
    assert len(kept) == 2


def test_load_gives_back_what_train_returned(run):
    algo, states, config = load_all(run.folder)
    assert (algo, config) == (TINY, run.config)
    assert_equal(states, run.states)
    _, second, _ = load_run(run.folder, index=1)
    assert_equal(second, jax.tree.map(lambda x: x[1], run.states))
    with pytest.raises(SoftqError, match="has 2 seeds"):
        load_run(run.folder, index=2)


def test_curves_are_tidy_and_equal_to_the_returned_ones(run):
    table = curves([run.folder, run.folder])
    assert len(table) == 2 * len(run.curve)
    pd.testing.assert_frame_equal(curves(run.folder).drop(columns="run"), run.curve)


def test_export_writes_a_small_table(run, tmp_path):
    out = tmp_path / "results" / "x.csv"
    assert export([run.folder], out) == len(pd.read_csv(out))
    export([run.folder], tmp_path / "metrics.csv", ["critic_loss"])
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    assert (
        metrics["critic_loss"].notna().any()
        and metrics["critic_loss"].isna()[metrics["kind"] == "evaluation"].all()
    )
    with pytest.raises(SoftqError, match=r"no metric 'critic_los'\. Did you mean 'critic_loss'"):
        export([run.folder], out, ["critic_los"])
    table = pd.read_csv(out)
    expected = ["algorithm", "env", "seed", "updates", "env_steps", "return"]
    assert list(table)[:6] == expected and set(table["kind"]) <= {"training", "evaluation"}
    assert table["versions"].str.contains("mujoco=").all() and (table["device"] == "cpu").all()


@pytest.mark.parametrize("commit", ["0123abcd", None])
def test_a_table_names_the_commit_of_the_run(copy, tmp_path, commit):
    """The commit that trained, not the one that exports; runs by an installed softq have none."""
    file, out = copy / "versions.json", tmp_path / "x.csv"
    versions = json.loads(file.read_text()) | {"commit": commit}
    file.write_text(json.dumps({name: value for name, value in versions.items() if value}))
    export([copy], out)
    assert set(pd.read_csv(out)["commit"]) == {commit or "unknown"}
    export_evaluation(evaluate_run(copy, 1), copy, out)
    assert set(pd.read_csv(out)["commit"]) == {commit or "unknown"}


def test_evaluation_repeats_the_last_row_of_the_log(run):
    table = evaluate_run(run.folder, 3)
    logged = run.curve[run.curve["kind"] == "eval"].tail(2)
    np.testing.assert_allclose(table["return"][:2], logged["return"], rtol=1e-5)
    hot = evaluate_run(run.folder, 3, "policy", temperature=5.0)
    assert set(hot["temperature"]) == {5.0} and (hot["return"] != table["return"]).any()
    with pytest.raises(SoftqError, match="must be positive"):
        evaluate_run(run.folder, 3, "policy", temperature=-1.0)


def test_a_folder_in_use_is_never_overwritten(run, tmp_path):
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    with pytest.raises(SoftqError, match=r"already holds another run; continue it with --resume"):
        train(TINY, "MultiGoal", out=run.folder, **SETTINGS)
    assert before == {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SoftqError, match="already holds other files; choose another --out"):
        train(TINY, "MultiGoal", out=tmp_path, **SETTINGS)
    with pytest.raises(SoftqError, match="choose another --out"):
        train(TINY, "MultiGoal", out=tmp_path / "notes.txt" / "run", **SETTINGS)


def test_only_one_process_trains_a_run(copy):
    first = RunDirectory(copy)
    first.lock()
    with pytest.raises(SoftqError, match="being trained by another process"):
        RunDirectory(copy).lock()
    first.close()


def test_resuming_a_finished_run_changes_nothing(run, copy):
    again = resume(copy, progress=False)
    assert again.finished
    assert (copy / "log.jsonl").read_text() == (run.folder / "log.jsonl").read_text()
    assert_equal(again.state, run.state)


def truncate_arrays(folder):
    step = max((p for p in (folder / "checkpoints").iterdir() if p.is_dir()), key=lambda p: int(p.name))
    largest = max((p for p in step.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-10])


def rename_knob(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"temperature"', '"temprature"'))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda f: (f / "config.json").unlink(), "is not a run directory"),
        (lambda f: shutil.rmtree(f), "does not exist"),
        (lambda f: shutil.rmtree(f / "checkpoints"), "no checkpoint yet; continue it with"),
        (truncate_arrays, "checkpoint .* cannot be read .*delete that folder to fall back"),
        (rename_knob, "does not fit this softq .*temprature"),
        (lambda f: change_width(f), r"does not fit config.json .*\[1, 2, 9\]|\[2, .*9.*put config.json back"),
        (lambda f: set_config(f, "train", "batch_size", "8"), "batch_size is '8'; it must be a whole number"),
        (lambda f: set_config(f, "train", "seeds", None), "seeds is None; it must be a whole number"),
        (
            lambda f: set_config(f, "algorithm", "temperature", "hot"),
            "temperature is 'hot'; it must be a number",
        ),
        (lambda f: set_config(f, "dims", "obs_dim", [2]), r"obs_dim is \[2\]; it must be a whole number"),
        (lambda f: (f / "config.json").write_text("[]"), "does not fit this softq"),
    ],
)
def test_a_damaged_run_is_one_clear_line(copy, damage, message):
    damage(copy)
    with pytest.raises(SoftqError, match=message) as error:
        load_run(copy)
    assert "\n" not in str(error.value)


def test_an_older_run_is_read(copy):
    """config.json of softq 0.1.0 has no format."""
    old = json.loads((copy / "config.json").read_text())
    assert old.pop("format") == FORMAT
    (copy / "config.json").write_text(json.dumps(old))
    assert load_run(copy)[0] == TINY


def test_an_older_run_that_does_not_fit_says_which_version_loads_it(tmp_path, monkeypatch):
    """Its learner has another shape, then its algorithm another setting. Its curves can be read all the same."""
    folder, writer = tmp_path / "run", r"was written by softq 0\.1\.0 \(commit 7346a94\)"
    with monkeypatch.context() as before:
        before.setattr("softq.training.run_directory.FORMAT", 1)
        curve = train(TINY, "MultiGoal", out=folder, **SETTINGS).curve
    set_config(folder, "algorithm", "hidden_sizes", [9])
    with pytest.raises(SoftqError, match=rf"^[^\n]*{writer}[^\n]*another learner[^\n]*$"):
        load_run(folder)
    set_config(folder, "algorithm", "forgotten", 1)
    with pytest.raises(
        SoftqError, match=rf"^[^\n]*{writer} and its config.json does not fit this softq[^\n]*$"
    ):
        load_run(folder)
    pd.testing.assert_frame_equal(curves(folder).drop(columns="run"), curve)


def change_width(folder):
    set_config(folder, "algorithm", "hidden_sizes", [9])


def set_config(folder, part, name, value):
    content = json.loads((folder / "config.json").read_text())
    content[part][name] = value
    (folder / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize(("part", "name", "value"), [("train", "seed", 5), ("algorithm", "polyak", 0.5)])
def test_only_the_number_of_iterations_may_be_edited(copy, part, name, value):
    set_config(copy, part, name, value)
    with pytest.raises(
        SoftqError, match=rf"says {name} {value}, but the run was trained with .*iterations N"
    ):
        resume(copy, progress=False)


def test_a_cut_log_is_noticed(copy):
    (copy / "log.jsonl").write_text("")
    with pytest.raises(SoftqError, match="shorter than its checkpoint says"):
        resume(copy, progress=False)


def test_half_a_row_at_the_end_does_not_count(run, copy):
    with open(copy / "log.jsonl", "a") as log:
        log.write('{"kind": "tr')
    assert len(curves(copy)) == len(run.curve)


def test_runs_that_start_together_take_different_folders(run, tmp_path, monkeypatch):
    """All names are chosen, in the same second, before the first folder is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "now")
    runs = [default_run(TrainConfig(env="a/b")) for _ in range(6)]
    barrier = threading.Barrier(len(runs))

    def create(one):
        barrier.wait()
        one.create(TINY, run.config, {"obs_dim": 2, "action_dim": 2})
        one.close()
        return one.folder.name

    with ThreadPoolExecutor(len(runs)) as pool:
        names = set(pool.map(create, runs))
    assert names == {"ddsq-a_b-now", *(f"ddsq-a_b-now-{i}" for i in range(2, 7))}
    assert {path.name for path in (tmp_path / "runs").iterdir()} == names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0; it must be positive"),
        ({"learning_rate": float("nan")}, "must be finite"),
        ({"discount": 1.5}, "between 0 and 1"),
        ({"num_steps": 0}, "at least 1"),
    ],
)
def test_impossible_hyper_parameters_are_refused(change, message):
    with pytest.raises(SoftqError, match=message):
        DDSQ(**change)


def test_a_run_stopped_before_its_first_evaluation_has_a_curve():
    rows = [{"kind": "train", "seed": 0, "updates": 1, "env_steps": 4, "return": None, "episodes": 0}]
    for given in (rows, []):
        table = to_frame(given, TrainConfig(env="MultiGoal"))
        assert list(table)[: len(COLUMNS)] == COLUMNS and len(table) == len(given)
