"""`softq sweep`: the list of runs in a file, what is done of each, and that no end of a run loses anything."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import softq.training
from softq.cli import main
from softq.sweeps import drive, folders, pool
from softq.sweeps.drive import carry_out
from softq.sweeps.folders import command, look
from softq.sweeps.plan import plan
from softq.sweeps.pool import End, LocalPool, pinned, shares
from softq.training import train
from softq.training.run_directory import RunDirectory
from softq.utils.errors import SoftqError

OPTIONS = """
[options]
hidden_sizes = [8]
num_envs = 2
warmup = 8
batch-size = 4
iterations = 40
log_every = 10
eval_every = 20
checkpoint_every = 10
eval_episodes = 1
"""
TINY = 'algorithm = "ddpg"\nenv = "Bandit"\n' + OPTIONS
TWO = TINY + "[grid]\nseed = [0, 1]\n"


def planned(folder, text, out="out"):
    """The runs of a sweep with this text, in a folder of `folder`."""
    (folder / "list.toml").write_text(text)
    return plan(folder / "list.toml", folder / out)


def settings(run):
    """The algorithm, the environment and the settings of a run, in short."""
    return run.config.algorithm, run.config.env, run.preset, dict(run.given)


def rows(folder):
    """The log without wall-clock times."""
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of `TINY`, trained in this process."""
    (run,) = planned(tmp_path_factory.mktemp("made"), TINY)
    train(run.algo, run.config.env, run.config, run.folder, progress=False)
    return run.folder


# The list


def test_the_grid_is_every_combination_in_the_order_of_the_file(tmp_path):
    runs = planned(
        tmp_path,
        'env = "Bandit"\npreset = "small"\n[options]\nseeds = 2\n'
        '[grid]\nalgorithm = ["ddsq", "lql"]\ntemperature = [0.1, 1]\n',
    )
    assert [run.name for run in runs] == [
        "ddsq-Bandit-temperature=0.1",
        "ddsq-Bandit-temperature=1.0",
        "lql-Bandit-temperature=0.1",
        "lql-Bandit-temperature=1.0",
    ]
    assert settings(runs[1]) == ("ddsq", "Bandit", "small", {"seeds": 2, "temperature": 1})
    assert [run.algo.temperature.value for run in runs] == [0.1, 1.0, 0.1, 1.0]
    assert {run.config.seeds for run in runs} == {2} and {run.config.batch_size for run in runs} == {128}
    assert runs[0].folder == tmp_path / "out" / runs[0].name


def test_each_run_table_adds_runs_with_its_own_values(tmp_path):
    text = """
env = ["Bandit", "MultiGoal"]
[options]
seeds = 2
[grid]
algorithm = ["ddpg"]
[[run]]
algorithm = "ddsq"
num-candidates = [8, 16]
env = "Bandit"
[[run]]
algorithm = "sac"
preset = "small"
hidden_sizes = [[8, 8], [16]]
seeds = 1
"""
    runs = planned(tmp_path, text)
    assert [settings(run) for run in runs] == [
        ("ddpg", "Bandit", "paper", {"seeds": 2}),
        ("ddpg", "MultiGoal", "paper", {"seeds": 2}),
        ("ddsq", "Bandit", "paper", {"seeds": 2, "num_candidates": 8}),
        ("ddsq", "Bandit", "paper", {"seeds": 2, "num_candidates": 16}),
        ("sac", "Bandit", "small", {"seeds": 1, "hidden_sizes": [8, 8]}),
        ("sac", "Bandit", "small", {"seeds": 1, "hidden_sizes": [16]}),
        ("sac", "MultiGoal", "small", {"seeds": 1, "hidden_sizes": [8, 8]}),
        ("sac", "MultiGoal", "small", {"seeds": 1, "hidden_sizes": [16]}),
    ]
    assert runs[4].name == "sac-Bandit-hidden_sizes=8x8-preset=small-seeds=1"


def test_a_longer_list_leaves_the_folders_of_earlier_runs_as_they_are(tmp_path):
    before, after = (
        [run.name for run in planned(tmp_path, TINY + f"[grid]\nseed = {seeds}\n")] for seeds in ([0], [0, 1])
    )
    assert before == ["ddpg-Bandit-seed=0"] and before == after[:1]


def test_names_are_safe_on_any_system(tmp_path):
    text = 'algorithm = "ddpg"\nenv = "InvertedPendulum-v5"\n[[run]]\nactivation = "relu"\n'
    text += 'env_kwargs = { reset_noise_scale = 0.01, xml_file = "inverted_pendulum.xml" }\n'
    (run,) = planned(tmp_path, text)
    assert run.name == (
        "ddpg-InvertedPendulum-v5-activation=relu-env_kwargs=reset_noise_scale=0.01+xml_file=inverted_pendulum.xml"
    )
    assert run.config.env_kwargs == {"reset_noise_scale": 0.01, "xml_file": "inverted_pendulum.xml"}


def test_the_lists_of_the_repository(tmp_path):
    """The book's methods and tasks, and a list to try out."""
    root = Path(__file__).parents[1] / "sweeps"
    assert len(plan(root / "smoke.toml", tmp_path)) == 4
    runs = plan(root / "book.toml", tmp_path)
    assert len(runs) == 11 * 8 + 10 * 4 and {run.config.seeds for run in runs} == {3}
    assert Counter(run.config.env for run in runs)["Reacher-v5"] == 21
    assert runs[0].name == "sac-HalfCheetah-v5" and runs[0].config.iterations == 40_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("algorithm = ", "it is not TOML"),
        ("", "a run has no algorithm"),
        ('algorithm = "ddpg"', "a run has no env"),
        ('algoritm = "ddpg"', "unknown key 'algoritm'. Did you mean 'algorithm'?"),
        (TINY.replace("[options]", "seeds = 3\n[options]"), "seeds is a setting; put it under [options]"),
        ("grid = 3", "grid is 3; write [grid]"),
        ("env = 3", 'env is 3; write env = "NAME"'),
        (TINY + "[grid]", "[grid] is empty; give it lists"),
        (TINY + "[grid]\nseed = []", "[grid] has seed = [], of which there is no run"),
        (TINY + "[[run]]\nseed = []", "[[run]] has seed = [], of which there is no run"),
        ('algorithm = []\nenv = "Bandit"', "it has algorithm = [], of which there is no run"),
        (TINY + "[grid]\nseed = 0", "[grid] has seed = 0, which is no list; write [0]"),
        (TINY + "[grid]\nhidden_sizes = [8, 16]", "each value is a list itself: write [[8, 16]]"),
        (TINY + "batch_size = 8", "[options] gives batch_size twice"),
        (TINY + 'env = "Bandit"', "[options] cannot hold env"),
        (TINY.replace("ddpg", "ddgp"), "unknown algorithm 'ddgp'. Did you mean 'ddpg'?"),
        (TINY.replace("Bandit", "Bandid"), "ddpg in Bandid: unknown environment 'Bandid'"),
        (TINY + "[grid]\nsede = [0]", "ddpg have no setting 'sede'. Did you mean 'seed'?"),
        (TINY + "[grid]\nseed = [0, -1]", "ddpg in Bandit: seed is -1; it must be at least 0"),
        (TINY + '[grid]\nseed = ["a"]', "seed is 'a'; it must be a whole number"),
        (TINY + "[grid]\nlearning_rate = [true]", "learning_rate is True; it must be a number"),
        (TINY + '[grid]\npreset = ["tiny"]', "unknown preset 'tiny'; DDPG has paper"),
        (
            TINY + '[grid]\nalgorithm = ["ddpg", "ddsq"]\nnum_candidates = [8, 9]',
            "ddpg (2 runs) would be given num_candidates, which only ddsq has; give it in a [[run]]",
        ),
        (TINY + "[grid]\nseed = [0, 0]", "ddpg-Bandit-seed=0, and are the same run; leave one out"),
        (TINY + "[grid]\ndiscount = [1, 1.0]", "would share the folder"),
        (TINY + '[[run]]\nenv = ["Bandit", "bandit"]', "would share the folder"),
        (TINY + "[tune]\nseed = [0, 1]\n[grid]\nseed = [0]", "[tune] makes its own runs; leave [grid]"),
        (TINY + "[tune]\ntrials = 3", "[tune] is empty; give it ranges"),
        (TINY + "[tune]\ntrials = 0", "[tune] has trials = 0; it must be a whole number above 0"),
        (TINY + "[tune]\nseed = [0]", "[tune] has seed = [0]; list two or more"),
        (TINY + "[tune]\nseed = 0", "[tune] has seed = 0; write seed = { low"),
        (TINY + "[tune]\nseed = { low = 0 }", "[tune] has seed = {'low': 0}; write seed = { low"),
        (TINY + "[tune]\nseed = { low = 0, high = 1, step = 1 }", "[tune] has 'step' in seed"),
        (TINY + "[tune]\nseed = { low = 2, high = 1 }", "low must be a number below high"),
        (TINY + "[tune]\nseed = { low = 0, high = 1, log = true }", "and low above 0"),
        (TINY + "[tune]\nsede = { low = 0, high = 1 }", "Did you mean 'seed'?"),
        (TINY + '[tune]\nactivation = ["relu", "mosh", "tanh"]', "unknown activation 'mosh'"),
        (TINY + "[tune]\ndiscount = { low = 0.5, high = 2 }", "discount is 2; it must be"),
        (
            TINY.replace('"ddpg"', '["ddpg", "sac"]') + "[tune]\ndiscount = [0.9, 0.99]",
            "[tune] tunes one algorithm with one preset",
        ),
        (TINY + f"[[run]]\nenv_kwargs = {{a = '{'x' * 200}'}}", "cannot be made"),
    ],
)
def test_a_bad_list_is_one_line_before_anything_starts(text, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("list.toml").write_text(text)
    assert main(["sweep", "list.toml"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("softq: list.toml: ") and err.count("\n") == 1 and message in err
    assert not out and os.listdir() == ["list.toml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "required: FILE.toml"),
        ("none.toml", "none.toml: it cannot be read (No such file or directory)"),
        ("list.toml --workers 0", "--workers is 0; it must be at least 1"),
        ("list.toml --engine local --address auto", "--address does not go with --engine local"),
        ("list.toml --engine ray --workers 2", "--workers does not go with --engine ray"),
        ("list.toml --worker 2", "Did you mean '--workers'?"),
    ],
)
def test_a_bad_option_is_one_line_before_anything_starts(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("list.toml").write_text(TWO)
    assert main(["sweep", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("softq: ") and err.count("\n") == 1 and message in err
    assert not out and os.listdir() == ["list.toml"]


@pytest.mark.parametrize(
    ("package", "words", "text"),
    [("ray", ["--engine", "ray"], TWO), ("optuna", [], TINY + "[tune]\nseed = [0, 1]")],
)
def test_a_package_that_is_missing_is_named(package, words, text, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    Path("list.toml").write_text(text)
    assert main(["sweep", "list.toml", *words]) == 2
    assert "needs an extra that is not installed; pip install" in capsys.readouterr().err
    assert os.listdir() == ["list.toml"]


# What is in the folder of a run


def test_a_new_run_is_trained_by_a_command_that_gives_its_settings(tmp_path, monkeypatch):
    """What `softq train` makes of the command is the run of the plan."""
    text = """
env = "InvertedPendulum-v5"
[options]
seeds = 2
iterations = 1e3
env_kwargs = { reset_noise_scale = 0.02 }
[[run]]
algorithm = "nclql"
preset = "small"
hidden_sizes = [[8, 16]]
unit_slope = [true, false]
smooth_last = false
boundary = "reflect"
learning_rate = 1.2345e-5
[[run]]
algorithm = "ddsq"
target_entropy = -1.5
tune = true
"""
    runs, started = planned(tmp_path, text), []

    def catch(algo, env, config, out, **more):
        started.append((algo, env, config, Path(out)))
        raise SoftqError("stop")

    monkeypatch.setattr(softq.training, "train", catch)
    for run in runs:
        main(command(run, look(run)))
    assert started == [(run.algo, run.config.env, run.config, run.folder) for run in runs] and len(runs) == 3
    assert runs[0].algo.unit_slope and not runs[1].algo.unit_slope and runs[0].algo.hidden_sizes == (8, 16)


def test_what_is_finished_started_or_to_be_made_longer_is_seen(made, tmp_path):
    assert [look(x).state for x in planned(tmp_path, TINY)] == ["new"]
    shutil.copytree(made, tmp_path / "out" / "ddpg-Bandit")
    (run,), (longer,), (shorter,) = (
        planned(tmp_path, TINY.replace("iterations = 40", f"iterations = {n}")) for n in (40, 60, 20)
    )
    assert look(run) == folders.Found("finished", 40)
    assert look(longer) == folders.Found("shorter", 40)
    resumed = ["train", "--resume", str(run.folder), "--iterations", "60", "--no-progress"]
    assert command(longer, look(longer)) == resumed
    assert "iterations 40, the sweep has 20" in look(shorter).note
    RunDirectory(run.folder).status(finished=False, updates=30, iterations=40)
    assert look(run).state == "started" and look(longer).state == "started"
    other = RunDirectory(run.folder)
    other.lock()
    assert look(run) == folders.Found("busy", 40)
    other.close()


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"batch-size = 4": "batch-size = 5"}, "a run with batch_size 4, the sweep has 5"),
        ({"[8]": "[9]"}, "a run with hidden_sizes (8,), the sweep has (9,)"),
        (
            {"warmup = 8": "warmup = 8\nlearning_rate = 1e-4"},
            "a run with learning_rate 0.0003, the sweep has 0.0001",
        ),
    ],
)
def test_a_run_with_other_settings_is_refused_by_the_first_difference(change, note, made, tmp_path):
    shutil.copytree(made, tmp_path / "out" / "ddpg-Bandit")
    text = TINY
    for old, new in change.items():
        text = text.replace(old, new)
    (run,) = planned(tmp_path, text)
    assert look(run).state == "refused" and note in look(run).note


def test_foreign_files_are_refused_and_what_a_killed_start_left_is_not(tmp_path):
    (run,) = planned(tmp_path, TINY)
    run.folder.mkdir(parents=True)
    assert look(run).state == "new"
    for name in ("log.jsonl", "versions.json", ".config.json.17"):
        (run.folder / name).touch()
    assert look(run).state == "new" and (run.folder / "log.jsonl").exists()
    folders.clear(run.folder)
    assert look(run).state == "new" and not list(run.folder.iterdir())
    (run.folder / "notes.txt").touch()
    assert look(run).state == "refused" and "holds other files" in look(run).note
    shutil.rmtree(run.folder)
    run.folder.touch()
    assert look(run).state == "refused"


def test_a_dry_run_says_what_is_done_and_what_is_left(made, tmp_path, capsys):
    text = TINY + "[[run]]\nalgorithm = 'ddpg'\n[[run]]\nseed = [1, 2]\n[[run]]\nbatch_size = 5\n"
    planned(tmp_path, text)
    out = tmp_path / "out"
    shutil.copytree(made, out / "ddpg-Bandit")
    shutil.copytree(made, out / "ddpg-Bandit-batch_size=5")
    before = sorted(tmp_path.rglob("*"))
    assert main(["sweep", str(tmp_path / "list.toml"), "--out", str(out), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:5]] == [
        ["ddpg-Bandit", "finished", "40", "40"],
        ["ddpg-Bandit-seed=1", "new", "0", "40"],
        ["ddpg-Bandit-seed=2", "new", "0", "40"],
        ["ddpg-Bandit-batch_size=5", "refused", "0", "40"],
    ]
    assert lines[5].startswith("ddpg-Bandit-batch_size=5: refused (its folder holds a run with batch_size 4")
    assert lines[6] == "4 runs: 1 finished, 2 new, 1 refused"
    # each run has 4 steps of two environments for warm-up and 40 after it
    assert "left to do: 80 updates, each for all seeds of a run, and 176 environment steps" in lines[7]
    assert sorted(tmp_path.rglob("*")) == before


# The drive, with an engine whose runs end as they are told


class Told:
    """An engine of one worker: the run called NAME ends with the codes in `ends[NAME]`, in turn; 0 finishes it."""

    retries, workers = 2, 1

    def __init__(self, made, ends):
        self.made, self.ends, self.running, self.started, self.stopped = made, ends, {}, [], False

    @property
    def free(self):
        return not self.running

    def start(self, run, found):
        self.running[run.name] = run
        self.started.append((run.name, found.state))

    def ended(self):
        found = []
        for name, run in self.running.items():
            code = self.ends.get(name, [0]).pop(0)
            if code == 0:
                shutil.copytree(self.made, run.folder)
                content = json.loads((run.folder / "config.json").read_text())
                content["train"]["seed"] = run.config.seed
                (run.folder / "config.json").write_text(json.dumps(content))
            found.append(End(run, code, f"softq: said {code}"))
        self.running = {}
        return found

    def interrupt(self):
        pass

    def stop(self):
        self.stopped = True


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(drive, "POLL", 0.01)


def test_finished_runs_are_skipped_and_a_failed_one_stops_no_other(made, tmp_path, at_once, capsys):
    runs = planned(tmp_path, TINY + "[grid]\nseed = [0, 1, 2, 3]\n")
    shutil.copytree(made, runs[0].folder)
    engine = Told(made, {runs[1].name: [2], runs[2].name: [1]})
    outcomes = carry_out(runs, engine, show=False)
    assert [x.state for x in outcomes] == ["finished", "failed", "failed", "finished"] and engine.stopped
    assert engine.started == [(run.name, "new") for run in runs[1:]]
    assert outcomes[1].note == f"said 2; see {runs[1].log}"
    assert f"{runs[1].name}: failed (said 2" in capsys.readouterr().out
    lines = drive.table(outcomes).splitlines()
    assert lines[0].split() == ["run", "state", "updates", "last", "return", "time"]
    score = [row["return"] for row in rows(made) if row["kind"] == "eval"][-1]
    assert lines[1].split()[:4] == [runs[0].name, "finished", "40", drive.digits(score)]
    assert lines[2].split() == [runs[1].name, "failed", "0", "0", "s"]


def test_the_bar_counts_the_updates_of_all_runs(made, tmp_path, capsys):
    """40 of a finished run and 20 of one under way, of 120; only what was made since the start tells the pace."""
    runs = planned(tmp_path, TINY + "[grid]\nseed = [0, 1, 2]\n")
    shutil.copytree(made, runs[0].folder)
    bar = drive.Bar(runs, True)
    assert (bar.bar.total, bar.bar.initial, bar.bar.n) == (120, 40, 40)
    runs[1].folder.mkdir()
    (runs[1].folder / "log.jsonl").write_text('{"kind": "train", "updates": 20}\n{"kind": "tr')
    bar.at({run.name: run for run in runs[1:]}, 1)
    assert bar.bar.n == 60 and bar.bar.postfix == "1 of 3 runs, ddpg-Bandit-seed=1 50%"
    bar.close()
    assert "50%" in capsys.readouterr().err


def test_a_run_that_ended_early_is_finished_and_counts_in_full(made, tmp_path, at_once, capsys):
    """As by the setting `patience`: 20 of 40 updates, and status.json says that the run is finished."""
    (run,) = planned(tmp_path, TINY)
    shutil.copytree(made, run.folder)
    log = (run.folder / "log.jsonl").read_text().splitlines(keepends=True)
    (run.folder / "log.jsonl").write_text("".join(x for x in log if json.loads(x)["updates"] <= 20))
    RunDirectory(run.folder).status(finished=True, updates=20, iterations=40, seconds=3.0)
    engine = Told(made, {})
    assert [x.state for x in carry_out([run], engine)] == ["finished"] and not engine.started
    assert "100%" in capsys.readouterr().err.splitlines()[-1]


def test_a_run_that_a_signal_ends_is_started_again_so_many_times(made, tmp_path, at_once):
    runs = planned(tmp_path, TWO)
    engine = Told(made, {runs[0].name: [-signal.SIGKILL, 130, 0], runs[1].name: [-9, -9, -9]})
    outcomes = carry_out(runs, engine, show=False)
    assert [x.state for x in outcomes] == ["finished", "failed"]
    assert outcomes[1].note.startswith("ended by SIGKILL")
    assert [name for name, _ in engine.started] == [runs[0].name] * 3 + [runs[1].name] * 3


def test_a_run_of_another_process_is_left_to_it_and_taken_up_when_that_ends(made, tmp_path, at_once, capsys):
    """The other process is killed here, and then there is something left to do."""
    runs = planned(tmp_path, TWO)
    shutil.copytree(made, runs[0].folder)
    RunDirectory(runs[0].folder).status(finished=False, updates=30, iterations=40)
    other = RunDirectory(runs[0].folder)
    other.lock()
    timer = threading.Timer(0.5, other.close)
    timer.start()

    class Ends(Told):
        def ended(self):
            if runs[0].name in self.running:
                RunDirectory(runs[0].folder).status(finished=True, updates=40, iterations=40)
                return [End(self.running.pop(runs[0].name), 0, "")]
            return super().ended()

    engine = Ends(made, {})
    assert [x.state for x in carry_out(runs, engine, show=False)] == ["finished", "finished"]
    assert engine.started == [(runs[1].name, "new"), (runs[0].name, "started")]
    assert capsys.readouterr().out.count("another process trains it") == 1


# The pool


@pytest.mark.parametrize(
    ("cores", "workers", "expected"),
    [
        ([0, 1], 1, [[0, 1]]),
        ([0, 1], 2, [[0], [1]]),
        ([0, 1], 3, [[0], [1], [0]]),
        ([2, 4, 6, 8, 9], 2, [[2, 4], [6, 8, 9]]),
    ],
)
def test_workers_share_the_cores(cores, workers, expected):
    assert shares(cores, workers) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not pin processes")
def test_a_worker_runs_on_its_cores_only():
    before = os.sched_getaffinity(0)
    core = max(before)
    program = "import os; print(os.sched_getaffinity(0))"
    with pinned([core]):
        child = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True)
    assert child.stdout.strip() == str({core}) and os.sched_getaffinity(0) == before


def test_a_signal_stops_the_sweep_and_lets_each_run_write_its_checkpoint(
    tmp_path, monkeypatch, capsys, at_once
):
    """With a program in the place of Python that says what it is given."""
    program = tmp_path / "python"
    program.write_text(
        f"#!{sys.executable} -S\nimport os, signal, sys, time\n"
        "def save(*_):\n    print('saved', flush=True)\n    sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "print(os.environ['PJRT_NPROC'], sys.argv[1:6], flush=True)\ntime.sleep(60)\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(pool.sys, "executable", str(program))
    monkeypatch.delenv("PJRT_NPROC")
    runs = planned(tmp_path, TINY + "[grid]\nseed = [0, 1, 2]\n")
    told = []
    terminate = subprocess.Popen.terminate
    monkeypatch.setattr(subprocess.Popen, "terminate", lambda child: (told.append(child), terminate(child)))

    def hang_up():
        while not all(run.log.exists() and run.log.stat().st_size for run in runs[:2]):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=hang_up).start()
    words = ["sweep", str(tmp_path / "list.toml"), "--out", str(tmp_path / "out"), "--workers", "2"]
    assert main([*words, "--no-progress"]) == 130
    out, err = capsys.readouterr()
    assert err == "softq: stopped; the same command goes on with the rest.\n"
    assert (
        out.startswith("stopping; each run under way writes a checkpoint first\n")
        and out.count("stopped") == 3
    )
    for run in runs[:2]:
        first, last = run.log.read_text().splitlines()
        assert first.endswith("['-m', 'softq', 'train', 'ddpg', '--env']") and last == "saved"
    assert not runs[2].log.exists()


def test_a_killed_training_loses_nothing_but_time(made, tmp_path, capsys):
    """A real process is killed after a checkpoint, from which its run goes on; the log in the end is that of `made`."""
    (run,) = planned(tmp_path, TINY)
    kept = []  # the rows up to the checkpoint, with their times

    def kill():
        while not (run.folder / "status.json").exists() or folders.status(run.folder)["updates"] < 10:
            time.sleep(0.005)
        child, *_ = engine.children[run.name]
        child.kill()
        lines = (run.folder / "log.jsonl").read_text().splitlines()
        done = folders.status(run.folder)["updates"]
        kept.extend(line for line in lines if json.loads(line)["updates"] <= done < 40)

    engine = LocalPool(1)
    thread = threading.Thread(target=kill)
    thread.start()
    (outcome,) = carry_out([run], engine, show=False)
    thread.join()
    assert outcome.state == "finished" and rows(run.folder) == rows(made)
    assert kept and (run.folder / "log.jsonl").read_text().splitlines()[: len(kept)] == kept
    assert "ended by SIGKILL; it goes on from its last checkpoint" in capsys.readouterr().out
