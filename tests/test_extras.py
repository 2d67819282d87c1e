"""What the extras bring, with the real packages, which `make extras` installs; elsewhere these tests are skipped."""

import contextlib
import importlib
import importlib.util
import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from collected import check_rows, collected, limited, pendulum
from PIL import Image
from small import made

from softq.algorithms import DDPG
from softq.cli import main
from softq.comparison import collect
from softq.envs import make
from softq.envs.trial import cannot_be_saved
from softq.experiments.mode_coverage import TASKS as COUNTED
from softq.experiments.mode_coverage import count, play
from softq.experiments.mode_coverage.tasks import CORNERS
from softq.policies import Policy, export, video
from softq.policies.frames import write_film
from softq.sweeps.drive import carry_out
from softq.sweeps.folders import status, updates_of
from softq.sweeps.plan import load, plan
from softq.sweeps.pool import End
from softq.training import Callback, TrainConfig, resume, train
from softq.training.evaluate import Evaluator
from softq.training.run_directory import described
from softq.utils.errors import SoftqError, SoftqWarning
from softq.utils.pytree import pytree

# tasks of the suite on which DQS (Section 5.2) and others compare, with the numbers that they observe and act with
TASKS = {
    "cheetah-run": (17, 6),
    "finger-spin": (9, 2),
    "fish-swim": (24, 5),
    "reacher-hard": (6, 2),
    "walker-run": (24, 6),
    "hopper-hop": (15, 4),
    "quadruped-walk": (78, 12),
    "humanoid-run": (67, 21),
    "dog-run": (223, 38),
}


def extra(name, package):
    """Skips a test where the package of an extra is missing."""
    missing = importlib.util.find_spec(package) is None
    reason = f"the extra {name!r} is not installed; make extras runs this with it"
    return pytest.mark.skipif(missing, reason=reason)


dmc, robotics = extra("dmc", "dm_control"), extra("robotics", "gymnasium_robotics")
envpool, ray = extra("envpool", "envpool"), extra("ray", "ray")
parquet = extra("parquet", "pyarrow")
flatbuffers, ffmpeg = extra("export", "flatbuffers"), extra("video", "imageio_ffmpeg")
tune = extra("tune", "optuna")
tensorboard, trackio = extra("tensorboard", "tensorboardX"), extra("trackio", "trackio")


def nothing(rows):
    """No step at all: `(steps, num_envs)`."""
    return np.zeros(rows.reward.shape, bool)


def played(env_id, actions, seed=0, **env_kwargs):
    """Observations, rewards and flags of one environment under `actions`, whatever its episodes do after their end."""
    env = make(env_id, 1, seed, env_kwargs)
    seen = [env.reset()[0]]
    for action in actions:
        obs, *rest = env.step(action[None])
        seen.append(np.concatenate([obs[0], *rest]))
        if rest[1][0] or rest[2][0]:
            break
    env.close()
    return seen


@dmc
@pytest.mark.parametrize("task", TASKS)
def test_a_task_of_the_suite_has_its_numbers_and_rescaled_actions(task):
    env = make(f"dmc/{task}", 2)
    assert (env.obs_dim, env.action_dim) == TASKS[task] and env.max_steps == 1000
    spec = env.vector.envs[0].unwrapped.env.action_spec()
    ends = env.rescale(np.array([-np.ones(env.action_dim), np.ones(env.action_dim)]))
    np.testing.assert_array_equal(ends, [spec.minimum, spec.maximum])
    first = env.reset()
    assert first.dtype == np.float32 and (first[0] != first[1]).any(), "each copy has a seed of its own"
    np.testing.assert_array_equal(env.reset(), first)
    env.close()


@dmc
def test_every_task_of_the_suite_has_a_limit_of_1000_steps_or_none():
    from dm_control import suite

    for domain, task in suite.ALL_TASKS:
        if domain != "dog":  # slow to make; dog-run is among the tasks above
            limit = suite.load(domain, task)._step_limit
            assert limit == (np.inf if domain == "lqr" else 1000), (domain, task)


@dmc
def test_the_suite_itself_gives_the_same_numbers():
    from dm_control import suite

    env, plain = (
        make("dmc/walker-run", 1, 3),
        suite.load("walker", "run", task_kwargs={"random": env_seed(3)}),
    )
    expected = plain.reset()
    rng, obs = np.random.default_rng(0), env.reset()
    for _ in range(20):
        flat = np.concatenate([np.ravel(x) for x in expected.observation.values()])
        np.testing.assert_array_equal(obs[0], flat.astype(np.float32))
        action = rng.uniform(-1, 1, (1, 6))
        obs, reward, terminated, truncated = env.step(action)
        expected = plain.step(action[0])
        assert reward[0] == np.float32(expected.reward) and not terminated[0] and not truncated[0]


def env_seed(seed):
    """The seed of the first environment of a training seed."""
    return int(np.random.SeedSequence([seed, 0]).generate_state(1)[0])


@dmc
def test_the_end_of_a_task_is_a_time_limit_and_a_discount_of_0_a_true_end():
    env = make("dmc/pendulum-swingup", env_kwargs={"time_limit": 0.06})  # three steps of 0.02 s
    env.reset()
    flags = [[bool(x[0]) for x in env.step(np.zeros((1, 1)))[2:]] for _ in range(3)]
    assert flags == [[False, False], [False, False], [False, True]]
    env = make("dmc/lqr-lqr_2_1")  # ends where the state is 0
    env.reset()
    assert not env.step(np.zeros((1, 1)))[2][0] and env.max_steps is None
    physics = env.vector.envs[0].unwrapped.env.physics
    with physics.reset_context():
        physics.data.qpos[:], physics.data.qvel[:] = 0, 0
    assert [bool(x[0]) for x in env.step(np.zeros((1, 1)))[2:]] == [True, False]


@dmc
def test_no_row_of_the_suite_crosses_a_reset():
    from dm_control import suite

    rows = collected("dmc/pendulum-swingup", time_limit=0.12)  # six steps
    plain = suite.load("pendulum", "swingup").physics

    def after(obs, action):
        with plain.reset_context():
            plain.data.qpos[0], plain.data.qvel[0] = np.arctan2(obs[1], obs[0]), obs[2]
        plain.set_control(action)
        plain.step(1)  # of 0.02 s
        return [np.cos(plain.data.qpos[0]), np.sin(plain.data.qpos[0]), plain.data.qvel[0]]

    check_rows(rows, limited(nothing(rows), 6), nothing(rows), after, lambda obs: obs[..., 2] == 0)


@robotics
def test_the_maze_of_dqs_draws_a_goal_that_is_not_seen():
    """Either of two corners, each half of the time; the reward is 1 near it, in every step; nothing ends there."""
    env = make("softq/PointMaze-v0", 1)
    inner, goals, here = env.vector.envs[0].unwrapped, [], []
    assert (env.obs_dim, env.action_dim, env.max_steps) == (4, 2, 600)
    env.reset()
    for _ in range(200):
        here.append(env.reset(np.ones(1, bool))[0])
        goals.append(inner.goal)
    goals, here = np.array(goals), np.array(here)
    corner = goals[:, 0] > 0
    np.testing.assert_allclose(goals, np.where(corner[:, None], [3.0, -3.0], [-3.0, 3.0]), atol=0.25)
    assert 70 < corner.sum() < 130  # of 200; outside with a probability of 2e-5
    assert abs(here[:, :2]).max() <= 0.25 and (here[:, 2:] == 0).all()
    for place, reward in ((goals[-1], 1), (goals[-1], 1), (-goals[-1], 0), (np.zeros(2), 0)):
        inner.point_env.set_state(place, np.zeros(2))
        _, found, terminated, truncated = env.step(np.zeros((1, 2)))
        assert found[0] == reward and not terminated[0] and not truncated[0]


@robotics
def test_the_map_of_dqs():
    """Two goals with one start between them, and each goal can be reached from it."""
    from softq.envs.point_maze import MAP

    free = {(i, j) for i, row in enumerate(MAP) for j, cell in enumerate(row) if cell != "1"}
    seen, todo = set(), [(4, 4)]
    while todo:
        i, j = todo.pop()
        seen.add((i, j))
        todo += [c for c in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)) if c in free - seen]
    assert MAP[4][4] == "r" and MAP[1][1] == MAP[7][7] == "g" and "".join(MAP).count("g") == 2
    assert {(1, 1), (7, 7)} <= seen and set(MAP[0]) == set(MAP[8]) == {"1"}


@pytree
class Along:
    """Pull the ball to the point that follows the nearest one of `points` `(n, 2)`, and slow it down."""

    points: Any

    def policy(self, state, obs, key):
        nearest = jnp.argmin(jnp.linalg.norm(self.points - obs[None, :2], axis=-1))
        aim = self.points[jnp.minimum(nearest + 1, len(self.points) - 1)]
        return jnp.clip(2 * (aim - obs[:2]) - obs[2:], -1, 1)


@robotics
def test_the_goals_that_are_counted_in_the_maze_of_dqs():
    """A ball that is led along each of three ways, from the exact middle, and one that is not; any goal is drawn."""
    task = COUNTED["pointmaze"]
    player = Evaluator(task.env_id, [0], 6, "policy", {"max_episode_steps": 400})
    envs = player.env.vector.envs
    np.testing.assert_array_equal(envs[0].unwrapped.maze.unique_goal_locations, CORNERS)
    ways = {
        "A_left": [(0, 0), (0, 1), (-1, 1), (-2, 1), (-3, 1), (-3, 2), (-3, 3)],
        "A_top": [(0, 0), (0, 1), (0, 2), (0, 3), (-1, 3), (-2, 3), (-3, 3)],
        "B": [(0, 0), (1, 0), (2, 0), (3, 0), (3, -1), (3, -2), (3, -3)],
        "none": [(0, 0), (0, -1)] + [(0, -1)] * 5,
    }
    for way, points in ways.items():
        paths, returns = play(Along(jnp.array(points, float)), None, player, task.noise, True)
        assert (paths[:, 0] == 0).all() and len(np.unique(paths, axis=0)) == 1
        assert dict(zip(task.outcomes, count(task, None, paths).tolist(), strict=True))[way] == 6
        drawn = [np.abs(env.unwrapped.goal - points[-1]).max() == 0 for env in envs]
        assert ((returns > 50) == drawn).all() and (returns[~np.array(drawn)] == 0).all()
        assert way == "none" or 0 < sum(drawn) < 6
    paths, _ = play(Along(jnp.array(ways["A_left"], float)), None, player, task.noise, False)
    assert len(np.unique(paths[:, 0], axis=0)) == 6 and abs(paths[:, 0]).max() <= 0.25
    player.close()


@robotics
def test_the_command_counts_the_goals_of_the_maze_of_dqs(tmp_path, monkeypatch):
    task = COUNTED["pointmaze"]
    monkeypatch.setitem(task.common, "warmup", 100)
    few = ["--seeds=2", "--episodes=3", "--iterations=3", "--algorithms", "ddpg", "--no-progress"]
    few += ["--test-kwargs", "max_episode_steps=20"]
    assert main(["visits", "pointmaze", "--out", str(tmp_path / "a.csv"), *few]) == 0
    table = pd.read_csv(tmp_path / "a.csv")
    assert table["start"].tolist() == ["fixed", "usual"] * 2 and table["seed"].tolist() == [0, 0, 1, 1]
    assert (table[list(task.outcomes)].sum(axis=1) == 3).all()


@robotics
def test_no_row_of_the_maze_crosses_a_reset():
    rows = collected("softq/PointMaze-v0", max_episode_steps=7)
    plain = make("softq/PointMaze-v0").vector.envs[0].unwrapped.point_env
    plain.reset()

    def after(obs, action):
        plain.set_state(obs[:2], obs[2:])
        return plain.step(action)[0]

    check_rows(
        rows, limited(nothing(rows), 7), nothing(rows), after, lambda obs: (obs[..., 2:] == 0).all(-1), 1e-4
    )
    assert cannot_be_saved("softq/PointMaze-v0") is None


@envpool
@pytest.mark.parametrize(
    ("name", "steps"),
    [("HalfCheetah-v5", 5), ("Hopper-v5", 10), ("Walker2d-v5", 5), ("Swimmer-v5", 10), ("Ant-v5", 3)],
)
def test_envpool_and_gymnasium_agree_to_rounding(name, steps):
    """From the same start, without noise; the actions are exact in the types of both."""
    dim = make(name).action_dim
    actions = np.random.default_rng(0).integers(-8, 9, (steps, dim)) / 8
    ours, theirs = (played(f"{prefix}{name}", actions, reset_noise_scale=0.0) for prefix in ("", "envpool/"))
    assert len(ours) == len(theirs) > 3
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@envpool
def test_no_row_of_envpool_crosses_a_reset():
    rows = collected("envpool/Pendulum-v1", max_episode_steps=7)
    check_rows(rows, limited(nothing(rows), 7), nothing(rows), pendulum)
    rows = collected("envpool/InvertedPendulum-v5", steps=120)
    fallen = abs(rows.next_obs[..., 1]) > 0.2
    check_rows(rows, fallen, fallen, starts=lambda obs: (abs(obs) <= 0.01).all(-1))


@envpool
def test_the_dead_rows_of_envpool_are_found_out(monkeypatch):
    """Left to reset itself, EnvPool stores a row that ignores its action: the check of the rows above sees it."""
    from softq.envs.envpool_vector import EnvPoolVector

    reset = EnvPoolVector.reset

    def lazy(self, done=None, step=0):
        if done is None:
            return reset(self, step=step)
        self.ended[:] = False
        return self.obs.copy()

    monkeypatch.setattr(EnvPoolVector, "reset", lazy)
    rows = collected("envpool/Pendulum-v1", max_episode_steps=7)
    with pytest.raises(AssertionError, match="a row begins where"):
        check_rows(rows, limited(nothing(rows), 7), nothing(rows), pendulum)


@envpool
def test_envpool_resets_only_what_has_ended_from_seeds_of_its_own():
    env = make("envpool/InvertedPendulum-v5", 3, [0, 1])
    with pytest.raises(SoftqError, match="reset it first"):
        env.step(np.zeros((6, 1)))
    first = env.reset()
    assert len(np.unique(first, axis=0)) == 6
    push = np.zeros((6, 1))
    push[[1, 4]] = 1.0
    for _ in range(100):
        obs, _, terminated, truncated = env.step(push)
        if terminated.any():
            break
    assert not truncated.any() and 0 < terminated.sum() < 6
    new = env.reset(terminated)
    np.testing.assert_array_equal(new[~terminated], obs[~terminated])
    assert (abs(new[terminated]) <= 0.01).all()
    obs, *_ = env.step(np.zeros((6, 1)))
    assert (abs(obs[terminated, 1]) <= 0.02).all(), "its first step is a real one"
    np.testing.assert_array_equal(env.reset(), first)  # seeds again
    assert (env.reset(step=5) != first).any(1).all()
    assert "memory of its own" in cannot_be_saved("envpool/InvertedPendulum-v5")


@envpool
def test_envpool_flattens_the_observations_of_the_suite():
    """The parts in the order of the space, whose keys Gymnasium sorts: height, orientations, velocity."""
    env = make("envpool/WalkerRun-v1", 2, env_kwargs={"max_episode_steps": 3})
    obs = env.reset()
    assert obs.shape == (2, 24) and env.action_dim == 6
    raw = env.made(0).reset()[0]
    parts = [np.reshape(raw[name], (2, -1)) for name in env.space]
    np.testing.assert_array_equal(obs, np.concatenate(parts, 1).astype(np.float32))
    flags = [[bool(x.all()) for x in env.step(np.zeros((2, 6)))[2:]] for _ in range(3)]
    assert flags == [[False, False], [False, False], [False, True]]


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        pytest.param("dmc/walker-fly", "Did you mean 'dmc/walker-", marks=dmc),
        pytest.param("dmc/walker-run", "unexpected keyword argument 'colour'", marks=dmc),
        pytest.param("softq/PointMaz-v0", "Did you mean 'softq/PointMaze-v0'", marks=robotics),
        pytest.param("softq/PointMaze-v0", "unexpected keyword argument 'colour'", marks=robotics),
        pytest.param("envpool/HalfCheeta-v5", "Did you mean 'envpool/HalfCheetah-v5'", marks=envpool),
        pytest.param("envpool/HalfCheetah-v5", "unexpected keyword argument 'colour'", marks=envpool),
        pytest.param("envpool/CartPole-v1", "Discrete.*bounded Box", marks=envpool),
    ],
)
def test_bad_input_is_one_line(env_id, message):
    with pytest.raises(SoftqError, match=message) as error:
        make(env_id, env_kwargs={"colour": 1} if "argument" in message else None)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "env_id",
    [
        pytest.param("dmc/walker-run", marks=dmc),
        pytest.param("softq/PointMaze-v0", marks=robotics),
        pytest.param("envpool/HalfCheetah-v5", marks=envpool),
    ],
)
def test_the_command_trains_resumes_and_evaluates(env_id, tmp_path, recwarn):
    run = tmp_path / "run"
    few = ["--num-envs=2", "--warmup=10", "--batch-size=4", "--buffer-size=200", "--hidden-sizes=4"]
    few += ["--eval-episodes=1", "--iterations=5", "--env-kwargs", "max_episode_steps=20", "--no-progress"]
    assert main(["train", "ddpg", "--env", env_id, "--out", str(run), *few]) == 0
    assert main(["train", "--resume", str(run), "--iterations", "8", "--no-progress"]) == 0
    assert main(["evaluate", str(run)]) == 0
    told = "".join(str(warning.message) for warning in recwarn if warning.category is SoftqWarning)
    exact = env_id == "softq/PointMaze-v0"
    assert ("cannot be saved" in told) != exact and ("episodes start anew" in told) != exact


SWEEP = """
algorithm = "ddpg"
env = "Bandit"
[options]
hidden_sizes = [8]
num_envs = 2
warmup = 8
batch_size = 4
iterations = 4000
log_every = 100
eval_every = 2000
checkpoint_every = 200
eval_episodes = 1
[grid]
seed = [0, 1, 2]
"""


@pytest.fixture
def two_nodes(monkeypatch):
    """A Ray cluster of two real nodes with one core each, on this machine, and the second node."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    memory = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=memory)
    yield cluster, cluster.add_node(**memory)
    cluster.shutdown()


def trained_by(run):
    """The process that trains `run`: the one that has its log open, if there is one."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == str(run.folder / "log.jsonl"):
                return int(link.parts[2])
        except OSError:
            continue
    return None


def kept(folder):
    """The rows of the log up to the last checkpoint, with their times."""
    done = status(folder)["updates"]
    lines = (folder / "log.jsonl").read_text().split("\n")[:-1]
    return [line for line in lines if json.loads(line)["updates"] <= done]


def log_rows(folder):
    """The log without wall-clock times."""
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found]


@ray
def test_a_killed_worker_and_a_killed_node_cost_a_sweep_nothing_but_time(two_nodes, tmp_path):
    """Both while they train, after a checkpoint; each run ends with the log of one that was left alone."""
    from softq.sweeps.ray_engine import RayEngine

    cluster, second = two_nodes
    (tmp_path / "list.toml").write_text(SWEEP)
    runs, killed = plan(tmp_path / "list.toml", tmp_path / "out"), []

    raylet = dict(second.live_processes())["raylet"].pid  # the parent of all that the second node runs

    def under_way(on_second):
        """The processes that train a run past its first checkpoint on the second node, or else on the first."""
        while True:
            for run in runs:
                done = (run.folder / "status.json").exists() and status(run.folder)["finished"]
                if updates_of(run.folder) > 200 and not done and (process := trained_by(run)):
                    parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
                    if (parent == raylet) == on_second:
                        killed.append((run, kept(run.folder)))
                        return process
            time.sleep(0.01)

    def kill():
        os.kill(under_way(on_second=False), signal.SIGKILL)
        under_way(on_second=True)
        cluster.remove_node(second, allow_graceful=False)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    with contextlib.closing(RayEngine(cluster.address)) as engine:
        outcomes = carry_out(runs, engine, show=False)
    thread.join(timeout=1)
    assert [x.state for x in outcomes] == ["finished"] * 3 and len(killed) == 2
    for run in runs:
        alone = train(run.algo, run.config.env, run.config, tmp_path / run.name, progress=False)
        assert log_rows(run.folder) == log_rows(alone.folder)
    for run, lines in killed:
        assert lines and (run.folder / "log.jsonl").read_text().splitlines()[: len(lines)] == lines


class Parabola:
    """An engine whose runs score -(log10 of the learning rate + 3)^2 - |batch_size - 6|, and fail where it is told."""

    retries, workers = 0, 1

    def __init__(self, failing=(), stop_at=None):
        self.failing, self.stop_at, self.running, self.count = failing, stop_at, {}, 0

    @property
    def free(self):
        return not self.running

    def start(self, run, found):
        self.running[run.name] = run
        self.count += 1
        if self.count == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    def ended(self):
        (run,), self.running = self.running.values(), {}
        if self.count == self.stop_at:
            return []
        if run.name in self.failing:
            return [End(run, 2, "softq: told to fail")]
        run.folder.mkdir(parents=True)
        score = -((np.log10(run.algo.learning_rate) + 3) ** 2) - abs(run.config.batch_size - 6)
        row = {"kind": "eval", "seed": 0, "updates": run.config.iterations, "return": score}
        (run.folder / "log.jsonl").write_text(json.dumps(row) + "\n")
        for name, content in (
            ("config", described(run.algo, run.config, {"obs_dim": 2, "action_dim": 2})),
            ("status", {"finished": True, "updates": run.config.iterations, "seconds": 1}),
        ):
            (run.folder / f"{name}.json").write_text(json.dumps(content))
        return [End(run, 0, "")]

    def interrupt(self):
        pass

    def stop(self):
        self.running = {}

    def close(self):
        pass


def trials(folder, number, engine, high=8):
    """`(values, score)` of each trial after a search in `folder` for `number` of them, and what did not finish."""
    from softq.sweeps.tuning import Tuning

    text = (
        SWEEP.split("[grid]")[0] + f"[tune]\ntrials = {number}\nbatch_size = {{ low = 4, high = {high} }}\n"
    )
    text += "learning_rate = { low = 1e-6, high = 1, log = true }\n"
    folder.mkdir(exist_ok=True)
    (folder / "list.toml").write_text(text)
    study, bad = Tuning(load(folder / "list.toml", folder / "out")).search(engine, show=False)
    return [(x.params, x.value) for x in study.trials], bad


@tune
def test_a_search_goes_on_where_it_was_left_and_finds_the_best(tmp_path, monkeypatch, capsys):
    """Stopped and made longer it proposes what it would have proposed; a trial that fails stops no other."""
    monkeypatch.setattr("softq.sweeps.drive.POLL", 0.001)
    name = "trial-3-ddpg-Bandit"
    whole, bad = trials(tmp_path / "whole", 24, Parabola([name]))
    assert [x.run.name for x in bad] == [name] and whole[3][1] is None
    part, bad = trials(tmp_path / "part", 14, Parabola([name], stop_at=9))
    assert part[:8] == whole[:8] and part[8:] == [(whole[8][0], None)] and bad[-1].state == "stopped"
    engine = Parabola([name])
    assert trials(tmp_path / "part", 14, engine)[0] == whole[:14] and engine.count == 14 - 8
    assert trials(tmp_path / "part", 24, Parabola())[0] == whole
    for params, value in whole:
        assert 1e-6 <= params["learning_rate"] <= 1 and params["batch_size"] in range(4, 9)
        rate = float(f"{params['learning_rate']:.4g}")
        score = -((np.log10(rate) + 3) ** 2) - abs(params["batch_size"] - 6)
        assert value is None or value == pytest.approx(score, abs=1e-12)
    assert max(value for _, value in whole if value is not None) > -0.1
    capsys.readouterr()
    monkeypatch.setattr("softq.sweeps.command.engine_of", lambda options: Parabola())
    words = ["sweep", str(tmp_path / "part" / "list.toml"), "--out", str(tmp_path / "part" / "out")]
    assert main(words) == 0
    head, first, *_, last = capsys.readouterr().out.splitlines()
    best = max(range(24), key=lambda i: whole[i][1] or -np.inf)
    assert head.split() == ["trial", "batch_size", "learning_rate", "mean", "return"]
    assert first.split()[:2] == [str(best), str(whole[best][0]["batch_size"])]
    assert last == "1 trials failed or are not finished"
    with pytest.raises(SoftqError, match="holds trials with other settings"):
        trials(tmp_path / "part", 24, Parabola(), high=9)


@parquet
def test_results_in_parquet_are_those_in_csv(tmp_path):
    for kind in ("csv", "parquet"):
        assert main(["results", "results/sac-reacher.csv", "--out", str(tmp_path / f"all.{kind}")]) == 0
    tables = [collect([tmp_path / f"all.{kind}"]) for kind in ("csv", "parquet")]
    assert len(tables[0]) == 36
    pd.testing.assert_frame_equal(*tables, rtol=1e-5, check_dtype=False)


# what a reader of an exported policy does, with the package that made it out of reach
WITHOUT_SOFTQ = """
import sys
sys.modules["softq"] = None
import json, zipfile, jax.export
import numpy as np
archive = zipfile.ZipFile(sys.argv[1])
lines = json.loads(archive.read("policy.json"))["use"]
exec("\\n".join(lines).replace("FILE", sys.argv[1]))
np.save(sys.argv[2], np.asarray(act(np.load(sys.argv[3]), 0.3, 7)))
assert not [name for name in sys.modules if name.startswith("softq.")]
"""


def untrained(
    name: str, env: str = "MultiGoal", obs_dim: int = 2, action_dim: int = 2, **settings: Any
) -> Policy:
    """A policy with fresh networks."""
    algo = made(name, **settings)
    state = algo.init(jax.random.key(3), jnp.zeros(obs_dim), jnp.zeros(action_dim))
    return Policy(algo, state, TrainConfig(env=env, algorithm=name))


@flatbuffers
def test_an_exported_policy_acts_without_softq(tmp_path, monkeypatch, capsys):
    policy = untrained("lql", unit_slope=False, step_size=0.1)
    monkeypatch.setattr(export, "chosen", lambda options: policy)
    files = [str(tmp_path / name) for name in ("policy.zip", "actions.npy", "obs.npy")]
    assert main(["export-policy", "runs/any", "--out", files[0]]) == 0
    assert f"{files[0]}: " in (said := capsys.readouterr().out) and "for cpu and cuda" in said
    obs = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    np.save(files[2], obs)
    subprocess.run([sys.executable, "-c", WITHOUT_SOFTQ, *files], check=True)
    np.testing.assert_allclose(np.load(files[1]), policy(obs, temperature=0.3, key=7), atol=1e-5)
    about = json.loads(zipfile.ZipFile(files[0]).read("policy.json"))
    assert about["arguments"]["obs"]["shape"] == ["n", 2] and about["actions"]["shape"] == ["n", 2]
    assert about["arguments"]["temperature"]["in_force"] == pytest.approx(policy.temperature)
    assert about["actions"]["low"] == [-1.0, -1.0] and about["plays"] == "policy"


@ffmpeg
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # of the reader
def test_a_film_as_mp4_shows_its_frames(tmp_path, recwarn):
    import imageio_ffmpeg

    shades = [(0, 0, 0), (250, 250, 250), (0, 0, 250), (250, 0, 0)]
    frames = (Image.new("RGB", (64, 48), shade) for shade in shades)
    assert write_film(tmp_path / "film.mp4", frames, 10) == 4
    assert not recwarn.list and [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "film.mp4"))
    about = next(reader)
    assert (about["fps"], about["size"], about["codec"]) == (10, (64, 48), "h264")
    seen = [np.frombuffer(frame, np.uint8).reshape(48, 64, 3).mean((0, 1)) for frame in reader]
    np.testing.assert_allclose(seen, shades, atol=16)


@dmc
def test_a_task_of_the_suite_is_filmed(tmp_path):
    policy = untrained("ddpg", "dmc/pendulum-swingup", 3, 1)
    # 50 steps are a second, of which every other one is drawn
    assert video.film(policy, tmp_path / "film.gif", steps=6, width=64, progress=False) == (3, 25)
    with Image.open(tmp_path / "film.gif") as film:
        assert np.asarray(film.convert("RGB"))[-64:].std() > 10


SMALL = {"num_envs": 2, "seeds": 2, "warmup": 8, "batch_size": 4, "log_every": 10, "eval_every": 20}
SMALL |= {"checkpoint_every": 10, "eval_episodes": 1, "iterations": 40, "progress": False}


class Stumbles(Callback):
    """Fails after the log of update 30, the first time."""

    fails = True

    def on_log(self, event):
        if event.updates == 30 and Stumbles.fails:
            Stumbles.fails = False
            raise RuntimeError


def trained(folder, tracker):
    """The numbers in the log of a run with a tracker, interrupted once: `{(seed, env_steps, name): value}`."""
    Stumbles.fails = True
    with pytest.raises(SoftqError, match="Stumbles failed in on_log"):
        train(
            DDPG(hidden_sizes=(8,)), "MultiGoal", out=folder, tracker=tracker, callbacks=[Stumbles()], **SMALL
        )
    resume(folder, progress=False, callbacks=[Stumbles()])
    found = {}
    for line in (folder / "log.jsonl").read_text().splitlines():
        row = json.loads(line)
        for name, value in row.items():
            if name not in ("kind", "seed", "updates", "env_steps", "returns") and value is not None:
                found[row["seed"], row["env_steps"], f"{row['kind']}/{name}"] = value
    return found


def scalars(folder):
    """`{(env_steps, name): value}` in the event files of TensorBoard in `folder`, read record by record."""
    proto, found = importlib.import_module("tensorboardX.proto.event_pb2"), {}
    for path in sorted(folder.glob("events*")):
        data = path.read_bytes()
        while data:  # a length, its checksum, the record, its checksum
            (size,) = struct.unpack("<Q", data[:8])
            event = proto.Event.FromString(data[12 : 12 + size])
            found |= {
                (event.step, x.tag): x.simple_value for x in event.summary.value if not x.HasField("tensor")
            }
            data = data[16 + size :]
    return found


@tensorboard
def test_tensorboard_has_the_numbers_of_the_log(tmp_path):
    log = trained(tmp_path / "run", "tensorboard")
    for seed in (0, 1):
        expected = {(step, name): value for (one, step, name), value in log.items() if one == seed}
        found = scalars(tmp_path / "run" / "tensorboard" / f"seed {seed}")
        assert found.keys() == expected.keys() and len(expected) > 20
        np.testing.assert_allclose([found[x] for x in expected], list(expected.values()), rtol=1e-6)


@trackio
def test_trackio_has_the_numbers_of_the_log(tmp_path, monkeypatch):
    """In its own file on this machine, in a project called after the environment; no step is missing or twice."""
    package = importlib.import_module("trackio.utils")
    for name in ("trackio.utils", "trackio.sqlite_storage"):
        monkeypatch.setattr(f"{name}.TRACKIO_DIR", tmp_path / "trackio", raising=package.__name__ == name)
    log = trained(tmp_path / "run", "trackio")
    with sqlite3.connect(tmp_path / "trackio" / "MultiGoal.db") as file:
        rows = file.execute("select run_name, step, metrics from metrics order by id").fetchall()
    assert {name for name, *_ in rows} == {"run"} and len(rows) == len({(x[1], x[2]) for x in rows})
    found = {(step, name): value for _, step, metrics in rows for name, value in json.loads(metrics).items()}
    expected = {(step, f"{name} of seed {seed}"): value for (seed, step, name), value in log.items()}
    assert found == pytest.approx(expected)
