"""Whatever ends a run, and whatever it starts with: nothing is lost, nothing is left behind, and one line says so."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from softq.algorithms import ALGORITHMS, DDPG
from softq.cli import main
from softq.envs import JAX_ENVS
from softq.training import Evaluator, TrainConfig, curves, load_run, resume, train
from softq.training import run_directory as runs_module
from softq.training.device_loop import DeviceLoop
from softq.training.progress import Interrupt
from softq.training.run_directory import RunDirectory
from softq.training.trainer import Trainer
from softq.utils.atomic_files import atomic_write
from softq.utils.errors import SoftqError

pytestmark = pytest.mark.usefixtures("as_in_a_terminal")

TINY = DDPG(hidden_sizes=(8,))
SETTINGS = {"num_envs": 2, "seeds": 2, "warmup": 8, "batch_size": 4, "log_every": 10, "eval_every": 20}
SETTINGS |= {"checkpoint_every": 10, "eval_episodes": 1, "progress": False}
TRAIN = [
    "train",
    "ddpg",
    "--env",
    "MultiGoal",
    "--hidden-sizes",
    "8",
    "--num-envs",
    "2",
    "--warmup",
    "8",
    "--batch-size",
    "4",
    "--eval-episodes",
    "1",
]


@pytest.fixture
def as_in_a_terminal():
    """Signals that end this process and those that it starts, also where nohup or `&` started the tests."""
    usual = {signal.SIGHUP: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def rows(folder, *leave_out):
    """The log without wall-clock times and without rows of these kinds."""
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found if row["kind"] not in leave_out]


def assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


# Longer


@pytest.mark.parametrize("env", ["MultiGoal", "InvertedPendulum-v5"])
@pytest.mark.parametrize("buffer_size", [1000, 50])  # grown, and full before the end
def test_a_run_made_longer_is_one_that_was_longer_from_the_start(env, buffer_size, tmp_path):
    settings = SETTINGS | {"buffer_size": buffer_size}
    whole_run = train(TINY, env, out=tmp_path / "whole", iterations=60, **settings)
    short = train(TINY, env, out=tmp_path / "part", iterations=40, **settings)
    assert short.finished
    longer = resume(tmp_path / "part", progress=False, iterations=np.int64(60))
    assert longer.finished and longer.config == whole_run.config
    assert_equal(longer.states, whole_run.states)
    assert rows(tmp_path / "part", "change") == rows(tmp_path / "whole")
    notes = [row for row in rows(tmp_path / "part") if row["kind"] == "change"]
    assert [(row["seed"], row["updates"]) for row in notes] == [(0, 40), (1, 40)]
    assert all(row["changes"] == {"iterations": [40, 60]} for row in notes)
    assert json.loads((tmp_path / "part" / "config.json").read_text())["train"]["iterations"] == 60
    assert json.loads((tmp_path / "part" / "status.json").read_text())["finished"]
    replays = []
    for name in ("part", "whole"):
        with ocp.CheckpointManager((tmp_path / name / "checkpoints").absolute()) as manager:
            replays.append(manager.restore(64, args=ocp.args.Composite(rest=ocp.args.StandardRestore())).rest)
    assert_equal(*replays)
    with pytest.raises(
        SoftqError, match=r"has made 60 iterations already; --iterations 50 must be at least that"
    ):
        resume(tmp_path / "part", progress=False, iterations=50)
    assert_equal(resume(tmp_path / "part", progress=False).states, whole_run.states)


def test_a_number_of_iterations_edited_by_hand_is_an_extension_too(tmp_path):
    train(TINY, "MultiGoal", out=tmp_path / "run", iterations=20, **SETTINGS)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["train"]["iterations"] = 40
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert main(["train", "--resume", str(tmp_path / "run"), "--no-progress"]) == 0
    whole_run = train(TINY, "MultiGoal", iterations=40, **SETTINGS)
    assert_equal(resume(tmp_path / "run", progress=False).states, whole_run.states)
    assert (curves(tmp_path / "run")["kind"] == "change").sum() == 2


# Signals


def test_a_hang_up_asks_for_the_end_and_an_ignored_one_does_not():
    with Interrupt() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interrupt() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


HANG = """
import jax, sys
from softq import cli
from softq.utils import signals as watch
from softq.training.progress import Interrupt
watch.PATIENCE = 0.5
def hang(argv):
    endless = jax.jit(lambda x: jax.lax.while_loop(lambda x: x >= 0, lambda x: (x + 1) % 7, x)).lower(0).compile()
    with Interrupt():
        print("ready", flush=True)
        endless(0).block_until_ready()
cli.COMMANDS["hang"] = hang
sys.exit(cli.main(["hang"]))
"""


def test_the_second_signal_ends_a_process_that_cannot_answer():
    with subprocess.Popen(
        [sys.executable, "-c", HANG], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 128 + signal.SIGINT
            assert "ended at once; a run is kept" in process.stderr.read()
        finally:
            process.kill()


def test_a_closed_terminal_loses_nothing(tmp_path):
    """The terminal takes the process's output with it: writing there is an error from then on."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "softq", *TRAIN, "--iterations=100000000", f"--out={tmp_path / 'run'}"]
    process = subprocess.Popen(command, stdout=follower, stderr=follower, start_new_session=True)
    try:
        os.close(follower)
        until = time.monotonic() + 120
        while not (tmp_path / "run" / "status.json").exists():  # written with the first checkpoint
            assert process.poll() is None and time.monotonic() < until
            if select.select([leader], [], [], 0.2)[0]:
                os.read(leader, 4096)
        os.close(leader)
        process.send_signal(signal.SIGHUP)
        assert process.wait(120) == 130
    finally:
        process.kill()
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["updates"] >= 1 and not status["finished"]
    assert load_run(tmp_path / "run")


# A failed start


@pytest.mark.parametrize("exists", [False, True])
def test_a_start_that_fails_leaves_nothing_and_the_next_one_works(exists, tmp_path, monkeypatch):
    folder = tmp_path / "new" / "run"
    if exists:
        folder.mkdir(parents=True)
    with monkeypatch.context() as patch:
        for where, name in ((DeviceLoop, "run"), (runs_module, "write_json")):
            patch.setattr(where, name, lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                train(TINY, "MultiGoal", out=folder, iterations=20, **SETTINGS)
            assert folder.exists() == exists and folder.parent.exists() == exists
            assert not exists or not list(folder.iterdir())
            patch.undo()
    assert train(TINY, "MultiGoal", out=folder, iterations=20, **SETTINGS).finished


def test_without_git_no_commit_is_recorded(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "commit" not in runs_module.versions() and "jax" in runs_module.versions()


def test_the_commit_is_that_of_softq_and_not_of_a_repository_around_it(tmp_path, monkeypatch):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message=x"], check=True)
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    inside = tmp_path / ".venv" / "lib" / "softq" / "training" / "runs.py"
    monkeypatch.setattr(runs_module, "__file__", str(inside))
    assert runs_module.commit() == {}
    monkeypatch.setattr(runs_module, "__file__", str(tmp_path / "softq" / "training" / "runs.py"))
    assert runs_module.commit() == {"commit": head}


# A full disk


def full(*_, **__):
    raise OSError(28, "No space left on device")


SMALL_FILES = """
import resource, sys
from softq.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (400 * 1024, 400 * 1024))
sys.exit(main(sys.argv[1:]))
"""


def test_files_that_may_not_grow_are_one_line(tmp_path):
    """The limit of 400 KiB on a file is kept by the first checkpoint, of 8000 transitions, and not by one of 60,000,
    whose observations alone have 480 kB.
    """
    words = [
        "--preset=small",
        "--iterations=300",
        "--warmup=60000",
        "--checkpoint-every=4000",
        "--no-progress",
    ]
    command = [sys.executable, "-c", SMALL_FILES, *TRAIN, *words, f"--out={tmp_path / 'run'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "a checkpoint cannot be written to" in done.stderr and "--resume" in done.stderr
    assert load_run(tmp_path / "run")


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(tmp_path, monkeypatch, capsys):
    folder, save, calls = tmp_path / "run", ocp.CheckpointManager.save, []

    def sometimes(self, step, **args):
        calls.append(step)
        if len(calls) > 2:
            (self.directory / f"{step}.orbax-checkpoint-tmp").mkdir()
            raise ValueError("OUT_OF_RANGE: Error writing")
        return save(self, step, **args)

    command = [*TRAIN, "--iterations=40", "--checkpoint-every=10", f"--out={folder}", "--no-progress"]
    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "save", sometimes)
        assert main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"{folder}/checkpoints (OUT_OF_RANGE" in error
    assert f"free room there, then continue with softq train --resume {folder}." in error
    assert not list((folder / "checkpoints").glob("*tmp*"))
    with monkeypatch.context() as patch:
        patch.setattr(runs_module.json, "dumps", full)  # stands for the write of the log
        with pytest.raises(
            SoftqError, match=r"log.jsonl cannot be written \(No space left on device\).*--resume"
        ):
            run = RunDirectory(folder)
            run.lock()
            run.append({})
    run.close()
    assert main(["train", "--resume", str(folder), "--no-progress"]) == 0
    with (
        pytest.raises(SoftqError, match=r"x.csv cannot be written .No space left"),
        atomic_write(tmp_path / "x.csv"),
    ):
        full()
    assert not (tmp_path / "x.csv").exists()


# Settings


def test_numbers_of_numpy_and_jax_are_numbers(tmp_path):
    settings = {k: np.int64(v) if type(v) is int else v for k, v in SETTINGS.items()}
    algo = DDPG(
        hidden_sizes=np.array([8]), learning_rate=np.float32(1e-3), polyak=jax.numpy.float32(0.02), discount=1
    )
    one = train(
        algo, np.str_("MultiGoal"), out=tmp_path / "run", seed=jax.numpy.int32(1), iterations=2e1, **settings
    )
    other = train(
        DDPG(
            hidden_sizes=(8,),
            learning_rate=float(np.float32(1e-3)),
            polyak=float(np.float32(0.02)),
            discount=1.0,
        ),
        "MultiGoal",
        seed=1,
        iterations=20,
        **SETTINGS,
    )
    assert_equal(one.states, other.states)
    assert one.config == other.config and load_run(tmp_path / "run")[0] == other.algo


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"seed": 1.5}, "seed is 1.5; it must be a whole number"),
        ({"seeds": "3"}, "seeds is '3'; it must be a whole number"),
        ({"num_envs": True}, "num_envs is True; it must be a whole number"),
        ({"iterations": np.array([3])}, "iterations is .*; it must be a whole number"),
        (
            {"seed": 2**32},
            "seed 4294967296 with seeds 1 reaches 4294967296; seeds lie between 0 and 4294967295",
        ),
    ],
)
def test_other_things_are_not(setting, message):
    with pytest.raises(SoftqError, match=message):
        TrainConfig(**setting)
    with pytest.raises(SoftqError, match=r"hidden_sizes is 8; it must be one or more whole numbers"):
        train(DDPG(hidden_sizes=8), "MultiGoal", **SETTINGS)


# JAX's switches


@pytest.mark.parametrize(
    ("name", "env"), [*((name, "MultiGoal") for name in ALGORITHMS), ("ddpg", "Bandit"), ("ddpg", "Maze")]
)
def test_loops_keep_their_types_in_double_precision(name, env):
    """Tracing finds what would not compile; the types are those of single precision, so that a run can go on."""
    algo = ALGORITHMS[name](hidden_sizes=(8,))
    config = TrainConfig(env=env, num_envs=2, iterations=20, warmup=8, batch_size=4)

    def start():
        loop_of = DeviceLoop(JAX_ENVS[env](), config)
        keys = jax.vmap(jax.random.key)(np.arange(1, dtype=np.uint32))
        return loop_of, loop_of.shapes(algo, keys, keys), keys

    types = lambda loop: jax.tree.map(lambda x: (x.shape, x.dtype), loop)
    expected = types(start()[1])
    with jax.enable_x64(True):
        loop_of, loop, keys = start()
        assert types(loop) == expected
        for uniform in (True, False):
            new = jax.eval_shape(lambda *x, u=uniform: loop_of._run(*x, uniform=u), algo, loop, keys, 3)
            assert types(new) == expected
        evaluator = Evaluator(env, [0], 2)
        jax.eval_shape(evaluator._play, algo, loop.state, evaluator.keys)


def softq(*words, **environment):
    command = [sys.executable, "-m", "softq", *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=300)


@pytest.mark.parametrize("env", ["MultiGoal", "InvertedPendulum-v5"])
def test_double_precision_and_a_terminal_without_signs(env, tmp_path):
    switches = {"JAX_ENABLE_X64": "1", "PYTHONIOENCODING": "ascii"}
    words = [env if word == "MultiGoal" else word for word in TRAIN]
    done = softq(*words, "--iterations=10", f"--out={tmp_path / 'run'}", **switches)
    assert done.returncode == 0, done.stderr
    assert "+/-" in done.stdout and done.stdout.isascii()
    longer = resume(tmp_path / "run", progress=False, iterations=20)  # in single precision
    assert longer.finished and np.isfinite(longer.curve["critic_loss"].iloc[-2])
    with jax.enable_x64(True):
        assert main(["evaluate", str(tmp_path / "run"), "--episodes", "2"]) == 0


def test_a_backend_that_is_not_there_is_named():
    done = softq(*TRAIN, JAX_PLATFORMS="cuda")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "JAX_PLATFORMS asks for 'cuda'" in done.stderr and "there is cpu." in done.stderr


@pytest.mark.parametrize("buffered", ["", "1"])
def test_nobody_reads_the_list(buffered):
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PYTHONUNBUFFERED": buffered}
    command = [sys.executable, "-m", "softq", "list"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(writer)
    assert done.returncode == 141 and not done.stderr


def test_a_progress_bar_that_cannot_be_drawn_stops_nothing(monkeypatch):
    def gone(*_, **__):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch, contextlib.suppress(AttributeError):
        patch.setattr("sys.stderr.write", gone)
        patch.setattr("sys.stdout.write", gone)
        run = train(TINY, "MultiGoal", iterations=20, **SETTINGS | {"progress": True})
    assert run.finished


def test_trainer_checks_the_algorithm_once():
    trainer = Trainer(
        DDPG(hidden_sizes=[8]), TrainConfig(env="MultiGoal", **{k: SETTINGS[k] for k in ("seeds",)})
    )
    assert trainer.algo == DDPG(hidden_sizes=(8,))
