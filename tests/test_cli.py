"""The command line: every mistake is one line on stderr and exit code 2; help exists everywhere."""

import json
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

import softq.training
from softq import __version__
from softq.algorithms import get
from softq.cli import digits, main, report
from softq.training.config import SMALL, TrainConfig
from softq.utils.errors import SoftqError

TINY = ["--hidden-sizes=8", "--num-candidates=4", "--num-schedules=2", "--num-steps=2", "--num-envs=2"]
TINY += ["--warmup=8", "--iterations=60", "--batch-size=8", "--log-every=10", "--checkpoint-every=10"]
TINY += ["--eval-episodes=2", "--no-progress"]


class Broken(gym.Env):
    """Turns bad after 40 steps: its reward or its observation is not finite."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gym.spaces.Box(-1, 1, (1,))

    def __init__(self, reward=0.0, obs=0.0):
        self.reward, self.obs, self.count = reward, obs, 0

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.count += 1
        bad = self.count > 40
        obs = np.full(2, self.obs if bad else 0.0, np.float32)
        return obs, self.reward if bad else 0.0, False, self.count % 10 == 0, {}


gym.register("BrokenReward-v0", Broken, max_episode_steps=100, kwargs={"reward": float("nan")})
gym.register("BrokenObs-v0", Broken, max_episode_steps=100, kwargs={"obs": float("inf")})


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("trian", "unknown command 'trian'. Did you mean 'train'?"),
        ("train", "name the algorithm first"),
        ("train dsq --env MultiGoal", "unknown algorithm 'dsq'. Did you mean 'ddsq'?"),
        ("train ddsq", "name an environment"),
        ("train ddsq --env InvertedPendulm-v5", "Did you mean 'InvertedPendulum-v5'?"),
        ("train ddsq --env CartPole-v1", "bounded Box"),
        ("train ddsq --env MultiGoal --temprature 1", "Did you mean '--temperature'?"),
        ("train ddsq --env MultiGoal --temperature=hot", "invalid float value: 'hot'"),
        ("train ddsq --env MultiGoal --temperature -1", "temperature is -1.0; it must be positive"),
        ("train ddsq --env MultiGoal --iterations 1.5", "invalid integer value: '1.5'"),
        ("train ddsq --env MultiGoal --batch-size 0", "batch_size is 0; it must be at least 1"),
        ("train ddsq --env MultiGoal --preset smal", "unknown preset 'smal'; DDSQ has paper, small"),
        ("train ddsq --env MultiGoal --boundary bounce", "choose from"),
        ("train ddsq --env MultiGoal --activation mosh", "Did you mean 'mish'?"),
        ("train ddsq --env MultiGoal --buffer-size 1", "raise buffer_size"),
        ("train ddsq --env MultiGoal stray", "unknown option 'stray'"),
        ("train --resume nowhere", "nowhere does not exist"),
        ("train --resume=nowhere --learning-rate 1", "nowhere does not exist"),
        ("train --resume", "expected one argument"),
        ("train ddsq --resume nowhere", "settings from DIR, so leave ddsq out"),
        ("train ddsq --env MultiGoal --init-from nowhere", "nowhere does not exist"),
        ("train ddsq --env MultiGoal --tracker x", "choose from"),
        (
            "train ddsq --env MultiGoal --seed 4294967296",
            "reaches 4294967296; seeds lie between 0 and 4294967295",
        ),
        ("train ddsq --env MultiGoal --seed 4294967290 --seeds 7", "between 0 and 4294967295"),
        ("train ddsq --env MultiGoal --seed -1", "seed is -1; it must be at least 0"),
        ("evaluate", "DIR"),
        ("evaluate nowhere", "nowhere does not exist"),
        ("evaluate nowhere --policy best", "choose from"),
        ("export nowhere --out x.csv", "nowhere does not exist"),
        ("bench", "name what to measure"),
        ("bench samplr", "Did you mean 'sampler'?"),
        ("bench update", "name the algorithm"),
        ("bench update ddsqq", "Did you mean 'ddsq'?"),
        ("bench sampler --dims 3", "Did you mean '--dim'?"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(command, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith("softq: ") and err.count("\n") == 1 and message in err
    assert not out and not list(tmp_path.iterdir())


@pytest.mark.parametrize("env_id", ["BrokenReward-v0", "BrokenObs-v0"])
def test_values_that_are_not_finite_stop_the_run_at_its_checkpoint(env_id, capsys, tmp_path):
    folder = tmp_path / "run"
    assert main(["train", "ddsq", "--env", env_id, "--out", str(folder), *TINY]) == 2
    error = capsys.readouterr().err
    what = "reward" if "Reward" in env_id else "observation"
    assert f"{env_id}: {what} is not finite at step 40 (seed 0, environment 0)" in error
    assert "kept up to update 30" in error and error.count("\n") == 1
    status = json.loads((folder / "status.json").read_text())
    assert status["updates"] == 30 and not status["finished"]


def test_train_evaluate_export(capsys, tmp_path):
    folder, table = str(tmp_path / "run"), tmp_path / "x.csv"
    assert main(["train", "ddsq", "--env", "multigoal", "--preset", "small", "--out", folder, *TINY]) == 0
    assert "finished: " in capsys.readouterr().out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["algorithm"]["learning_rate"] == SMALL["learning_rate"] and config["algorithm"][
        "hidden_sizes"
    ] == [8]
    assert main(["evaluate", folder, "--episodes", "2", "--temperature", "0.5"]) == 0
    assert "policy" in capsys.readouterr().out
    assert main(["export", folder, "--out", str(table)]) == 0
    assert table.read_text().startswith("algorithm,env,seed,updates,env_steps,return")


@pytest.mark.parametrize(
    "command",
    [
        *(
            "",
            "--help",
            "list --help",
            "train --help",
            "train ddsq --help",
            "evaluate --help",
            "export --help",
        ),
        *("bench --help", "bench sampler --help", "bench update ddsq --help", "bench loop --help"),
    ],
)
def test_help(command, capsys):
    assert main(command.split()) == 0
    assert "usage: softq" in capsys.readouterr().out


def test_help_of_train_shows_every_knob_with_its_default(capsys):
    main(["train", "ddsq", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    for text in ("--temperature X", "[0.05]", "--hidden-sizes N", "[256 256 256]", "[1500000]", "gamma"):
        assert text in out


def test_help_names_the_presets_that_a_method_has(capsys, monkeypatch):
    presets = {"paper": {"temperature": 0.75}, "code": {"temperature": 0.5}, "small": {}}
    monkeypatch.setattr(get("ddsq"), "presets", presets, raising=False)
    main(["train", "ddsq", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "paper, as the method's paper trained; code, as its authors' code trains; small, for" in out
    assert "[0.75]" in out  # the default is the paper's
    main(["train", "sac", "--help"])
    assert "code, as" not in capsys.readouterr().out


@pytest.mark.parametrize(("preset", "expected"), [("paper", 0.75), ("code", 0.5), ("small", 0.05)])
def test_settings_start_from_the_preset(preset, expected, tmp_path, monkeypatch):
    presets = {"paper": {"temperature": 0.75}, "code": {"temperature": 0.5}, "small": {}}
    monkeypatch.setattr(get("ddsq"), "presets", presets, raising=False)
    started = []

    def train(algo, env, config, **more):
        started.append((algo, config))
        raise SoftqError("stop")

    monkeypatch.setattr(softq.training, "train", train)
    command = ["train", "ddsq", "--env", "MultiGoal", "--preset", preset]
    assert main(command) == 2 and main([*command, "--temperature", "3"]) == 2
    assert [algo.temperature.value for algo, _ in started] == [expected, 3.0]
    assert (started[0][1].batch_size == SMALL["batch_size"]) == (preset == "small")


def test_list_and_version(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in ("ddsq", "lemniscate", "MultiGoal", "HalfCheetah-v5"):
        assert name in out
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.913249, "0.9132"),
        (-0.0000412345, "-0.00004123"),
        (-104.8499, "-104.8"),
        (9354.71, "9355"),
        (1000.0, "1000"),
        (0.0, "0"),
        (float("nan"), "nan"),
    ],
)
def test_returns_have_four_significant_digits(number, text):
    assert digits(number) == text


def test_the_last_line_of_a_training(capsys):
    """A small return is not rounded to one decimal."""
    row = {"kind": "eval", "seed": 3, "return": -0.034567, "std": 0.00123456, "episodes": 2.0, "cut": 0}
    curve = pd.DataFrame([row | {"updates": 60, "env_steps": 128}])
    run = SimpleNamespace(
        finished=True, curve=curve, config=TrainConfig(seed=3), folder="runs/x", stopped=None
    )
    assert report(run) == 0
    assert capsys.readouterr().out == (
        "seed 3: return -0.03457 ± 0.001235 over 2 episodes after 60 updates, 128 steps\nfinished: runs/x\n"
    )
