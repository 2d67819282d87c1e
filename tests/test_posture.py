"""HalfCheetah on its feet and on its back: what cuts an episode off, what is counted, and what a run has changed."""

import gymnasium as gym
import numpy as np
import pytest

from softq.experiments import posture
from softq.experiments.posture import TASK, TORSO, changed, command, played, rows, upright
from softq.experiments.settings import learner
from softq.training import train
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

PICKED_UP = "softq.experiments.posture:HalfCheetahOnItsFeet-v0"


def turned(env, angle):
    """One step without torque from a body whose torso is turned by `angle`, at rest in the air."""
    env.reset(seed=0)
    model = env.unwrapped
    position = np.zeros(model.model.nq)
    position[1], position[TORSO] = 2.0, angle
    model.set_state(position, np.zeros(model.model.nv))
    return env.step(np.zeros(6))


@pytest.mark.parametrize(
    ("angle", "stands"), [(0.0, True), (1.4, True), (1.8, False), (np.pi, False), (6.2, True)]
)
def test_an_episode_is_cut_off_where_the_torso_has_turned_over(angle, stands):
    ours, usual = gym.make(PICKED_UP), gym.make(TASK)
    obs, reward, terminated, truncated, _ = turned(ours, angle)
    same_obs, same_reward, *ended, _ = turned(usual, angle)
    assert upright(ours) is stands and truncated is not stands
    assert not terminated, "a fall is no end of the task"
    assert ended == [False, False], "the body of the benchmark is not picked up"
    np.testing.assert_array_equal(obs, same_obs)
    assert reward == same_reward
    assert ours.spec.max_episode_steps == usual.spec.max_episode_steps == 1000


class Falling:
    """A policy that pushes with all its might, so that the body turns over; what it is asked is kept."""

    def __init__(self):
        self.asked = []

    def __call__(self, obs, deterministic, key):
        self.asked.append((deterministic, key))
        return np.where(np.arange(6) < 3, 1.0, -1.0) * (1 if key % 8 < 4 else -1)


def test_return_and_share_are_those_of_a_plain_loop():
    policy, env = Falling(), gym.make(TASK)
    total, standing = 0.0, 0
    for seed in (1000, 1001):
        obs, _ = env.reset(seed=seed)
        for step in range(60):
            obs, reward, *_ = env.step(Falling()(obs, True, step))
            total, standing = total + reward, standing + (np.cos(obs[1]) > 0)
    assert 0 < standing < 120, "some of the steps are upside down"
    assert played(policy, episodes=2, steps=60) == pytest.approx((total / 2, standing / 120))
    assert policy.asked == [(True, step) for step in range(60)] * 2


def test_what_a_run_has_changed():
    class Run:
        algo, config = learner("ddsq")

    Run.config = replace(Run.config, env=TASK)
    assert changed(Run) == "none"
    Run.config = replace(Run.config, env=PICKED_UP, warmup=20_000)
    Run.algo = replace(Run.algo, num_candidates=64)
    assert changed(Run) == "num_candidates=64 warmup=20000 env=HalfCheetahOnItsFeet-v0"


@pytest.fixture(scope="module")
def pole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "pole"
    algo, config = learner("ddpg")
    config = replace(
        config, iterations=1, warmup=8, batch_size=8, buffer_size=100, num_envs=2, eval_episodes=1
    )
    train(algo, "InvertedPendulum-v5", config, out=folder, progress=False)
    return folder


def test_another_body_is_refused_and_no_file_is_left(pole, tmp_path):
    with pytest.raises(SoftqError, match=r"pole trained in InvertedPendulum-v5; .*HalfCheetah-v5"):
        rows(str(pole))
    with pytest.raises(SoftqError, match="InvertedPendulum"):
        command([str(pole), "--out", str(tmp_path / "posture.csv")])
    assert not list(tmp_path.iterdir())


def test_a_row_for_each_seed(monkeypatch, tmp_path):
    """With the policies of a run in the place of the run: who they are, what they return, and how they stand."""
    algo, config = learner("ddsq")
    config = replace(config, env=TASK, seeds=2, seed=7, algorithm="ddsq")

    class Stored(Falling):
        def __init__(self, folder, index=0):
            super().__init__()
            self.algo, self.config = algo, config

    monkeypatch.setattr(posture, "load", Stored)
    monkeypatch.setattr(posture, "EPISODES", 1)
    monkeypatch.setattr(posture, "played", lambda policy: (1234.56, 0.123456))
    expected = {"algorithm": "ddsq", "changed": "none", "updates": config.iterations, "episodes": 1}
    expected |= {"return": 1234.6, "upright": 0.1235}
    assert rows("runs/cheetah") == [expected | {"seed": 7}, expected | {"seed": 8}]
