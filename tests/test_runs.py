"""Run directories: what is in them, what refuses to be overwritten, what is said of a damaged one."""

import json
import shutil
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pandas as pd
import pytest

import softq.training.trainer
from softq.algorithms import DDPG, DDSQ
from softq.training import (
    Callback,
    TrainConfig,
    curves,
    evaluate_run,
    export,
    load_all,
    load_run,
    resume,
    train,
)
from softq.training.checkpoint import Checkpoints
from softq.training.results import export_evaluation
from softq.training.run_directory import COLUMNS, FORMAT, RunDirectory, default_run, read_log, to_frame
from softq.utils.errors import SoftqError, SoftqWarning
from softq.utils.pytree import replace

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


def test_a_start_that_was_killed_can_be_made_again(run, tmp_path):
    """Before it had written config.json; a folder with a row of a log, or with anything else, is never taken."""
    (tmp_path / "versions.json").write_text("{}")
    (tmp_path / ".config.json.77").write_text('{"for')
    (tmp_path / "log.jsonl").write_text("{}\n")
    start = lambda: RunDirectory(tmp_path).create(TINY, run.config, {"obs_dim": 2, "action_dim": 2})
    with pytest.raises(SoftqError, match="already holds other files"):
        start()
    (tmp_path / "log.jsonl").write_text("")
    start()
    assert RunDirectory(tmp_path).config()[0] == TINY and not list(tmp_path.glob(".*"))


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


def truncate_arrays(folder, place=-1):
    """Cut the largest file of a checkpoint, by default of the newest."""
    step = sorted((folder / "checkpoints").glob("*[0-9]"), key=lambda p: int(p.name))[place]
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
        (
            lambda f: [truncate_arrays(f, i) for i in (0, 1)],
            "holds no checkpoint that can be read .*another --out",
        ),
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


@pytest.mark.parametrize(("part", "name", "value"), [("train", "seed", 5), ("algorithm", "num_steps", 3)])
def test_what_was_learned_and_stored_depends_on_cannot_be_edited(copy, part, name, value):
    set_config(copy, part, name, value)
    with pytest.raises(
        SoftqError, match=rf"says {name} {value}, but the run was trained with .*put that back"
    ):
        resume(copy, progress=False)


@pytest.mark.filterwarnings("ignore::softq.utils.errors.SoftqWarning")
def test_a_damaged_newest_checkpoint_is_set_aside_and_the_run_ends_the_same(run, copy):
    """Reading uses the one before; training goes on from there, and writes the newest anew."""
    truncate_arrays(copy)
    damaged = (
        rf"checkpoint {copy}/checkpoints/50 cannot be read .its files are not as they were written.; the one"
    )
    with pytest.warns(SoftqWarning, match=damaged):
        assert load_run(copy)[1].step == 30
    assert (copy / "checkpoints" / "50").is_dir()  # only training may change the folder
    (copy / "checkpoints" / "60.orbax-checkpoint-tmp").mkdir()  # what is left of processes that were killed
    (copy / ".status.json.77").write_text("{")
    with pytest.warns(SoftqWarning, match=damaged):
        again = resume(copy, progress=False)
    assert_equal(again.states, run.states)
    assert unclocked(copy) == unclocked(run.folder)
    assert {x.name for x in (copy / "checkpoints").glob("*") if x.is_dir()} == {"40", "50", "50.damaged"}
    assert not list(copy.glob(".*"))
    assert_equal(load_all(copy)[1], run.states)


def test_a_checkpoint_is_complete_when_its_checksums_are_there(run, copy):
    """A process was killed between the two; whatever its files are like, the one before counts, without a warning."""
    truncate_arrays(copy)
    (copy / "checkpoints" / "50.sums.json").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_run(copy)[1].step == 30
        assert_equal(resume(copy, progress=False).states, run.states)
    assert {x.name for x in (copy / "checkpoints").glob("*") if x.is_dir()} == {"40", "50"}


@pytest.fixture
def part(copy):
    """A copy of the run as it was after its update 30."""
    shutil.rmtree(copy / "checkpoints" / "50")
    return copy


def unclocked(folder, *leave_out):
    """The log without wall-clock times and without rows of these kinds."""
    return [row | {"seconds": 0} for row in read_log(folder) if row["kind"] not in leave_out]


def test_another_version_is_told_and_logged(run, part, monkeypatch):
    """Gymnasium and MuJoCo have no part in an environment in JAX. A second resumption has nothing to tell."""
    now = softq.training.trainer.versions() | {"jax": "9.9", "mujoco": "9.9"}
    for name in ("changes", "trainer"):
        monkeypatch.setattr(f"softq.training.{name}.versions", lambda: now)
    with pytest.warns(
        SoftqWarning, match=rf"other versions .jax {jax.__version__} -> 9.9.: .*rounding, other"
    ):
        resume(part, progress=False)
    notes = [row for row in read_log(part) if row["kind"] == "change"]
    assert [row["changes"] for row in notes] == 2 * [{"jax": [jax.__version__, "9.9"]}]
    assert unclocked(part, "change") == unclocked(run.folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resume(part, progress=False)


def test_settings_that_are_numbers_may_change(run, part):
    """With a learning rate near 0 the critic stays as it was at the checkpoint, and only its target moves."""
    before = load_all(part)[1]
    with pytest.warns(
        SoftqWarning, match=r"^log_every 20 -> 5, learning_rate 0.0002 -> 1e-30 from update 30 on\.$"
    ):
        again = resume(part, progress=False, learning_rate=1e-30, log_every=5)
    assert_equal(again.states.critic.network.params, before.critic.network.params)
    assert again.algo.learning_rate == 1e-30 and load_run(part)[0] == again.algo
    notes = [row for row in read_log(part) if row["kind"] == "change"]
    assert [(row["seed"], row["updates"]) for row in notes] == [(0, 30), (1, 30)]
    assert notes[0]["changes"] == {"log_every": [20, 5], "learning_rate": [2e-4, 1e-30]}
    logged = [(row["kind"], row["updates"]) for row in read_log(part) if row["seed"] == 1]
    assert logged[-5:] == [("change", 30), ("train", 30), ("train", 35), ("train", 40), ("eval", 40)]


def test_a_finished_run_has_nothing_left_to_change(run, copy):
    with pytest.raises(SoftqError, match=r"has made all its 40 iterations.*give a larger --iterations too"):
        resume(copy, progress=False, learning_rate=1e-3)
    assert (copy / "config.json").read_text() == (run.folder / "config.json").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"seeds": 3},
            "--resume DIR cannot change seeds: what a run has learned and stored depends on seeds",
        ),
        ({"hidden_sizes": (9,)}, "cannot change hidden_sizes: .*--init-from DIR"),
        ({"boundary": "reflect"}, "cannot change boundary"),
        ({"learning_rat": 1.0}, r"no setting 'learning_rat'. Did you mean 'learning_rate'"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0; it must be"),
        ({"eval_every": 0}, "eval_every is 0; it must be at least 1"),
    ],
)
def test_what_cannot_change_is_a_line_and_nothing_is_lost(part, change, message):
    before = {path: path.read_bytes() for path in part.rglob("*") if path.is_file()}
    with pytest.raises(SoftqError, match=message):
        resume(part, progress=False, **change)
    assert before == {path: path.read_bytes() for path in part.rglob("*") if path.is_file()}


def test_a_new_run_starts_from_the_learner_of_another(run, copy, tmp_path):
    """Its learner is the other's before its first step; its replay and its counts are its own."""
    starts = []

    class Start(Callback):
        def on_start(self, event):
            starts.append(event.states)

    settings = SETTINGS | {"seed": 7}
    new = train(
        TINY, "MultiGoal", out=tmp_path / "new", init_from=run.folder, callbacks=[Start()], **settings
    )
    assert_equal(starts.pop(), run.states)
    log = read_log(new.folder)
    assert log[0]["updates"] == 0 and log[0]["env_steps"] == 20 and (new.states.step == 80).all()
    source = json.loads((new.folder / "versions.json").read_text())["init_from"]
    assert source["run"] == str(run.folder) and source["updates"] == 40 and source["commit"]
    # killed before its first checkpoint
    shutil.rmtree(new.folder / "checkpoints")
    assert_equal(resume(new.folder, progress=False).states, new.states)
    assert unclocked(new.folder) == [row | {"seconds": 0} for row in log]
    # from a run with one seed
    shutil.rmtree(copy / "checkpoints")
    set_config(copy, "train", "seeds", 1)
    second = jax.tree.map(lambda x: x[1:], run.states)
    Checkpoints(copy / "checkpoints").save(50, {"step": 50}, learner=second)
    train(TINY, "MultiGoal", init_from=copy, callbacks=[Start(), lambda event: True], **settings)
    assert_equal(starts.pop(), jax.tree.map(lambda x: np.repeat(x, 2, axis=0), second))


@pytest.mark.parametrize(
    ("algo", "env", "settings", "message"),
    [
        (TINY, "MultiGoal", {"seeds": 3}, "holds learners of 2 seeds; train as many: --seeds 2"),
        (TINY, "MultiGoal", {"seeds": 1}, "holds learners of 2 seeds; train as many: --seeds 2"),
        (replace(TINY, hidden_sizes=(9,)), "MultiGoal", {}, r"does not fit this run .*8.* there, .*9.* here"),
        (TINY, "Bandit", {}, r"does not fit this run .*sizes of the networks, and those of observations"),
        (DDPG(hidden_sizes=(8,)), "MultiGoal", {}, "holds a learner of ddsq, and this run trains ddpg"),
    ],
)
def test_a_learner_that_does_not_fit_is_a_line(run, tmp_path, algo, env, settings, message):
    with pytest.raises(SoftqError, match=message) as error:
        train(algo, env, out=tmp_path / "new", init_from=run.folder, **SETTINGS | settings)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


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
