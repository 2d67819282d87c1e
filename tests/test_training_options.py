"""Options of a training: returns of several steps, updates for each step, normalised observations, kept programs."""

import dataclasses
import json
import os
import subprocess
import sys

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.experimental.compilation_cache import compilation_cache

from softq.algorithms import DDPG, Algorithm, Transition
from softq.algorithms.base import State
from softq.algorithms.common.critic_policy import CriticPolicy
from softq.cli import main
from softq.envs import make
from softq.training import Replay, TrainConfig, compile_cache, evaluate_run, load_run, resume, train
from softq.training.changes import settings_changed
from softq.training.device_loop import DeviceLoop
from softq.training.host_loop import HostLoop
from softq.training.n_step import n_step_rows
from softq.training.normalise import Moments, Normalised
from softq.training.run_directory import RunDirectory, described
from softq.training.trainer import Trainer
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace


class Walk(gym.Env):
    """A point that its action pushes along a line and noise moves; observed in a unit and from an origin of choice."""

    def __init__(self, scale=64.0, far=3.0):
        self.scale, self.far = scale, far
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def seen(self):
        return (self.scale * np.array([self.x + 100, self.v])).astype(np.float32)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.v = self.np_random.normal(), self.np_random.normal()
        return self.seen(), {}

    def step(self, action):
        self.v = 0.9 * self.v + float(action[0]) + 0.3 * self.np_random.normal()
        self.x += self.v
        return self.seen(), -(self.x**2), bool(abs(self.x) > self.far), False, {}


gym.register("Walk-v0", entry_point=Walk, max_episode_steps=5)
HOST, DEVICE = "Walk-v0", "MultiGoal"
ENVS = [HOST, DEVICE]


def assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


# Returns of several steps

DISCOUNT, ENVIRONMENTS, CAPACITY = 0.8, 3, 20  # the capacity is no multiple of the number of environments


@dataclasses.dataclass
class Step:
    """A step of one of several environments, as a reader of its log would know it."""

    name: float
    next_name: float
    reward: float
    terminated: bool
    cut: bool


def episodes(length, seed=0):
    """All steps of `ENVIRONMENTS` environments that step together `length` times, in the order of the replay."""
    random = np.random.default_rng(seed)
    steps = []
    for t in range(length):
        for environment in range(ENVIRONMENTS):
            name, end = 100.0 * environment + t, random.uniform()
            steps.append(Step(name, name + 0.5, random.normal(), end < 0.15, 0.15 <= end < 0.3))
    return steps


def by_hand(steps, first, n, fault=None):
    """`(reward, discount, next_name)` of the row of step number `first`, in double precision; `fault` spoils it."""
    reward, k = 0.0, 0
    while True:
        step = steps[first + k * ENVIRONMENTS]
        reward += DISCOUNT**k * step.reward
        ended = step.terminated or (step.cut and fault != "sums on after a cut")
        ended = ended and fault != "sums on after every end"
        newer = first + (k + 1) * ENVIRONMENTS
        if ended or k == n - 1 or newer >= len(steps):
            break
        k += 1
    alive = not step.terminated and not (step.cut and fault == "takes a cut for the end")
    power = k + 1 if fault == "one discount too many" else k
    return reward, DISCOUNT**power * alive, step.next_name


def replay_of(steps):
    """The replay into which all `steps` were put, and the number of the step at each of its places."""
    at = {j % CAPACITY: j for j in range(len(steps))}
    places = [at[place] for place in sorted(at)]
    column = lambda values: jnp.array([*values, *[np.nan] * (CAPACITY - len(places))], jnp.float32)
    held = [steps[j] for j in places]
    names, nexts, rewards = (
        column(getattr(x, name) for x in held) for name in ("name", "next_name", "reward")
    )
    ended = jnp.array([x.terminated or x.cut for x in held] + [True] * (CAPACITY - len(held)))
    data = Transition(
        names[:, None],
        names[:, None],
        rewards,
        column(float(not x.terminated) for x in held),
        nexts[:, None],
        None,
        ended,
    )
    return Replay(data, jnp.array(len(steps), jnp.int32)), places


ROWS = jax.jit(n_step_rows, static_argnums=(2, 3))
FAULTS = [
    "sums on after a cut",
    "sums on after every end",
    "takes a cut for the end",
    "one discount too many",
]


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("length", [4, 7, 40])  # not full; just wrapped; wrapped often
def test_rewards_of_several_steps_are_those_added_up_by_hand(n, length):
    steps = episodes(length)
    replay, places = replay_of(steps)
    rows = ROWS(replay, jnp.arange(len(places)), n, ENVIRONMENTS, DISCOUNT)
    found = np.stack([rows.reward, rows.discount, rows.next_obs[:, 0]], axis=1)
    expected = np.array([by_hand(steps, j, n) for j in places])
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
    np.testing.assert_array_equal(rows.obs[:, 0], [steps[j].name for j in places])
    assert rows.ended is None
    for fault in FAULTS if length == 40 else []:
        spoilt = np.array([by_hand(steps, j, n, fault) for j in places])
        assert not np.allclose(found, spoilt, rtol=1e-3, atol=1e-3), fault


def test_one_step_of_several_is_the_transition_itself():
    replay, places = replay_of(episodes(7))
    rows = ROWS(replay, jnp.arange(len(places)), 1, ENVIRONMENTS, DISCOUNT)
    assert_equal(rows, replace(replay.data, ended=None))


# What an update is given


@pytree
class Recorder(Algorithm):
    """Acts at random, and remembers the batch of each update."""

    discount: float = DISCOUNT

    def init(self, key, obs, action):
        return {
            "updates": jnp.zeros((), jnp.int32),
            "batches": jnp.zeros((18, 16, 4)),
            "still": jnp.zeros_like(action),
        }

    def policy(self, state, obs, key):
        return jax.random.uniform(key, state["still"].shape, minval=-1.0)

    def update(self, state, batch, key):
        seen = jnp.stack([batch.obs[:, 0], batch.reward, batch.discount, batch.next_obs[:, 0]], axis=1)
        new = {
            "updates": state["updates"] + 1,
            "batches": state["batches"].at[state["updates"]].set(seen),
        }
        return state | new, {"reward": jnp.mean(batch.reward)}


@pytree
class Reviser(Recorder):
    """Adds 1 to the revised action of a row in each update that draws the row."""

    revises = True

    def update_and_revise(self, state, batch, key):
        return *self.update(state, batch, key), batch.revised + 1


def after_six(env_id, algo, **settings):
    """The loop of one seed after 4 steps of warm-up and 6 more, in arrays of NumPy."""
    config = TrainConfig(env=env_id, num_envs=3, batch_size=16, warmup=12, iterations=6, **settings)
    env = make(env_id, config.num_envs, config.seed_list)
    inner = (DeviceLoop if env_id == DEVICE else HostLoop)(env, config)
    keys = jax.vmap(jax.random.key)(jnp.arange(1))
    loop = inner.run(algo, inner.init(algo, keys, keys), keys, 4, True)
    loop = inner.run(algo, loop, keys, 6, False)
    return jax.tree.map(lambda x: np.asarray(x)[0], replace(loop, env=())), inner


@pytest.mark.parametrize("env_id", ENVS)
def test_updates_of_one_step_draw_batches_of_their_own(env_id):
    once, _ = after_six(env_id, Recorder())
    often, _ = after_six(env_id, Recorder(), updates_per_step=3)
    assert (once.tally.updates, once.state["updates"]) == (6, 6)
    assert (often.tally.updates, often.state["updates"]) == (18, 18)
    assert_equal(once.replay, often.replay)
    # the first update of each step is that of a training with one
    np.testing.assert_array_equal(often.state["batches"][::3], once.state["batches"][:6])
    drawn = {tuple(batch[:, 0]) for batch in often.state["batches"]}
    assert len(drawn) == 18
    # no update is given a transition of its own step or of a later one
    known = [set(often.replay.data.obs[: 12 + 3 * i, 0].tolist()) for i in range(6)]
    assert all(set(batch[:, 0].tolist()) <= known[i // 3] for i, batch in enumerate(often.state["batches"]))


@pytest.mark.parametrize("env_id", ENVS)
def test_actions_are_revised_by_each_update_of_a_step(env_id):
    loop, _ = after_six(env_id, Reviser(), updates_per_step=3)
    data = loop.replay.data
    times = [sum(obs in batch[:, 0] for batch in loop.state["batches"]) for obs in data.obs[:, 0]]
    assert max(times) > 6
    np.testing.assert_allclose(
        data.revised - data.action, np.array(times)[:, None] + 0 * data.action, atol=1e-5
    )


def test_a_training_on_the_host_adds_rewards_up_to_the_end_of_an_episode():
    loop, inner = after_six(HOST, Recorder(), n_step=3)
    data = loop.replay.data
    steps = [
        Step(obs, next_obs, reward, not discount, bool(ended and discount))
        for obs, next_obs, reward, discount, ended in zip(
            data.obs[:, 0], data.next_obs[:, 0], data.reward, data.discount, data.ended, strict=True
        )
    ]
    assert sum(x.terminated for x in steps) > 0 and sum(x.cut for x in steps) > 0
    # a step whose successor is not the next observation of its environment is one that ended an episode
    follows = data.next_obs[:-ENVIRONMENTS, 0] == data.obs[ENVIRONMENTS:, 0]
    np.testing.assert_array_equal(~follows, data.ended[:-ENVIRONMENTS])
    for i, batch in enumerate(loop.state["batches"][:6]):
        before = steps[: 12 + 3 * i]
        rows = [next(j for j, x in enumerate(before) if x.name == name) for name in batch[:, 0]]
        expected = [by_hand(before, j, 3) for j in rows]
        np.testing.assert_allclose(batch[:, 1:], expected, rtol=2e-6)
    # new episodes in the middle of a run, after an environment has failed, end the sums of the old ones
    again = inner.afresh(jax.tree.map(lambda x: x[None], loop), 10)
    assert again.replay.data.ended[0, -3:].all()
    np.testing.assert_array_equal(again.replay.data.ended[0, :-3], data.ended[:-3])


def test_the_target_of_a_method_has_the_discounts_of_all_steps():
    algo = DDPG(hidden_sizes=(8,), discount=DISCOUNT, reward_scale=0.5)
    batch = Transition(
        jnp.zeros((1, 2)),
        jnp.zeros((1, 1)),
        jnp.array([1 + DISCOUNT * 2 + DISCOUNT**2 * 4]),
        jnp.array([DISCOUNT**2]),
        jnp.ones((1, 2)),
    )

    @jax.jit
    def both(key):
        state = algo.init(key, jnp.zeros(2), jnp.zeros(1))
        return algo.targets(state, batch, key)[0], algo.next_value(state, batch.next_obs[0], key)[0]

    target, value = both(jax.random.key(1))
    expected = 0.5 * (1 + 0.8 * 2 + 0.64 * 4) + 0.512 * float(value)
    np.testing.assert_allclose(target, [expected], rtol=1e-6)


# Normalised observations


def stream(number, offset, drift):
    """`number` groups of 4 observations of one coordinate, and their exact mean and variance."""
    noise = np.random.default_rng(3).normal(size=(number, 4, 1))
    obs = (offset + drift * np.linspace(0, 1, number)[:, None, None] + noise).astype(np.float32)
    return obs, obs.astype(float).mean(), obs.astype(float).var()


ADD_ALL = jax.jit(lambda moments, groups: jax.lax.scan(lambda m, x: (m.add(x), None), moments, groups)[0])


@pytest.mark.parametrize(("offset", "drift"), [(0.0, 0.0), (1000.0, 0.0), (-300.0, 20.0)])
def test_moments_are_those_of_numpy(offset, drift):
    obs, mean, variance = stream(200_000, offset, drift)
    moments = ADD_ALL(Moments.start(obs[0, 0]), obs)
    assert moments.count == obs.size
    np.testing.assert_allclose(moments.mean[0], mean, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(moments.variance[0], variance, rtol=1e-5)
    few = Moments.start(obs[0, 0]).add(obs[0])
    np.testing.assert_allclose(few.mean, obs[0].astype(float).mean(0), rtol=1e-7, atol=3e-7)
    np.testing.assert_allclose(few.variance, obs[0].astype(float).var(0), rtol=1e-4)


def test_single_precision_needs_what_rounding_has_added():
    obs, mean, _ = stream(200_000, -300.0, 20.0)
    forgetful = lambda moments, x: (
        replace(moments.add(x), mean_error=jnp.zeros(1), variance_error=jnp.zeros(1)),
        None,
    )
    moments = jax.jit(lambda m, x: jax.lax.scan(forgetful, m, x)[0])(Moments.start(obs[0, 0]), obs)
    assert abs(float(moments.mean[0]) - mean) > 0.1


def test_a_normalised_observation_has_bounds():
    moments = Moments(jnp.array(9), jnp.array([1.0, 2.0]), jnp.array([4.0, 0.0]), jnp.zeros(2), jnp.zeros(2))
    seen = moments.normalised(jnp.array([[4.0, 2.0], [-99.0, 2.0005], [25.0, 1.0]])[0])
    np.testing.assert_allclose(seen, [1.5, 0.0], rtol=1e-6)
    seen = jax.vmap(moments.normalised)(jnp.array([[-99.0, 2.0005], [25.0, 1.0]]))
    np.testing.assert_allclose(seen, [[-10.0, 5.0], [10.0, -10.0]], rtol=1e-3)  # 1e-4 is the least deviation


TINY = DDPG(hidden_sizes=(8,))
SETTINGS = {"num_envs": 3, "seeds": 2, "warmup": 12, "iterations": 20, "batch_size": 8, "log_every": 10}
SETTINGS |= {"eval_every": 20, "eval_episodes": 2, "checkpoint_every": 10, "progress": False}
ALL = SETTINGS | {"normalise_obs": True, "n_step": 3, "updates_per_step": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("options")


@pytest.fixture(scope="module")
def runs(folder):
    """A training with all options in each environment."""
    return {env: train(TINY, env, out=folder / env, **ALL) for env in ENVS}


def kept(folder, step):
    """What a checkpoint holds beside the learner."""
    with ocp.CheckpointManager((folder / "checkpoints").absolute()) as manager:
        return manager.restore(step, args=ocp.args.Composite(rest=ocp.args.StandardRestore())).rest


@pytest.mark.parametrize("env_id", ENVS)
def test_the_statistics_are_of_all_observations_acted_on(runs, env_id):
    run = runs[env_id]
    rest = kept(run.folder, 24)
    # of the rest of the loop, the observations are the first array with a row for each step of each environment
    obs = next(x for x in rest.values() if np.shape(x)[:2] == (2, 72) and np.ndim(x) == 3).astype(float)
    moments = run.states.observed
    np.testing.assert_array_equal(moments.count, [72, 72])
    np.testing.assert_allclose(moments.mean, obs.mean(1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(moments.variance, obs.var(1), rtol=1e-4)


@pytest.mark.parametrize("env_id", ENVS)
def test_a_run_with_all_options_goes_on_exactly(runs, env_id, folder):
    part = folder / f"part-{env_id}"
    train(TINY, env_id, out=part, **ALL | {"iterations": 10})
    longer = resume(part, progress=False, iterations=20)
    assert_equal(longer.states, runs[env_id].states)
    rows = lambda run: run.curve[(run.curve["kind"] == "train")].reset_index(drop=True)
    columns = ["seed", "updates", "env_steps", "return", "episodes", "critic_loss", "q_mean"]
    assert rows(longer)[columns].equals(rows(runs[env_id])[columns])
    assert longer.curve["updates"].max() == 40 and longer.curve["env_steps"].max() == 72
    status = json.loads((part / "status.json").read_text())
    assert status["finished"] and status["updates"] == 40 and status["iterations"] == 20


def test_a_policy_does_not_know_the_unit_of_observations(runs, folder):
    scaled = {"env_kwargs": {"scale": 2.0**16}}  # 1024 times the other, a power of two
    other = train(TINY, HOST, out=folder / "scaled", **ALL | scaled)
    one, two = runs[HOST].states, other.states
    assert_equal((one.critic, one.actor), (two.critic, two.actor))
    assert_equal(1024 * one.observed.mean, two.observed.mean)
    assert evaluate_run(folder / "scaled").equals(evaluate_run(folder / HOST))


def test_a_loaded_policy_is_given_raw_observations(runs, folder):
    algo, state, _ = load_run(folder / HOST)
    obs, key = 64 * jnp.array([101.0, 0.5]), jax.random.key(0)
    moments = jax.tree.map(lambda x: np.asarray(x, float), state.observed)
    seen = (np.asarray(obs, float) - moments.mean) / np.sqrt(moments.variance + 1e-8)
    seen = jnp.asarray(np.clip(seen, -10, 10), jnp.float32)
    assert np.abs(seen).max() < 10
    for method in ("policy", "exploit", "explore"):
        expected = getattr(TINY, method)(state, seen, key)
        np.testing.assert_allclose(getattr(algo, method)(state, obs, key), expected, rtol=1e-5, atol=1e-6)
        assert not np.allclose(getattr(TINY, method)(state, obs, key), expected, atol=1e-3)
    with pytest.raises(SoftqError, match="DDPG has no temperature"):
        algo.policy(state, obs, key, 0.1) if algo.temperature else algo.check_adjustable(0.1)
    # a sampler in the place of the policy sees what the critic was trained on
    greedy = CriticPolicy("greedy", temperature=1.0, budget=8)
    blind = replace(state, observed=None)
    np.testing.assert_allclose(
        greedy.policy(state, obs, key), greedy.policy(blind, seen, key), rtol=1e-5, atol=1e-6
    )
    # the algorithm of a run trains again, and config.json holds its own hyper-parameters
    assert type(algo) is Normalised and type(Trainer(algo, TrainConfig(env=HOST)).algo) is DDPG
    assert json.loads((folder / HOST / "config.json").read_text())["algorithm"]["class"] == "DDPG"


def test_a_learner_of_normalised_observations_starts_no_run_of_raw_ones(runs, folder):
    with pytest.raises(SoftqError, match=r"was trained with normalise_obs, .*; give --normalise-obs"):
        train(TINY, HOST, init_from=folder / HOST, **SETTINGS)


def test_a_state_without_a_place_for_moments_is_refused():
    with pytest.raises(SoftqError, match="dict has no field for the moments"):
        train(Recorder(), HOST, **SETTINGS | {"normalise_obs": True})
    assert State(1, 2, 3, jnp.zeros(())).seen(7) == 7


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ({"n_step": 0}, "n_step is 0; it must be at least 1"),
        ({"updates_per_step": 0.5}, "updates_per_step is 0.5; it must be a whole number"),
        ({"normalise_obs": 1}, "normalise_obs is 1; it must be True or False"),
    ],
)
def test_bad_values_of_options(setting, line):
    with pytest.raises(SoftqError, match=line):
        TrainConfig(**setting)


def test_a_run_from_before_the_options_is_one_without_them(tmp_path):
    config = TrainConfig(env=HOST, algorithm="ddpg")
    now = described(TINY, config, {"obs_dim": 2, "action_dim": 1})
    new = ("n_step", "updates_per_step", "normalise_obs")
    before = now | {"train": {name: x for name, x in now["train"].items() if name not in new}}
    assert len(before["train"]) == len(now["train"]) - 3
    assert settings_changed(RunDirectory(tmp_path), before, now, TINY) == {}
    changed = described(TINY, replace(config, n_step=2), {"obs_dim": 2, "action_dim": 1})
    with pytest.raises(SoftqError, match="says n_step 2, but the run was trained with 1"):
        settings_changed(RunDirectory(tmp_path), before, changed, TINY)


# Kept programs


@pytest.fixture
def no_cache(monkeypatch):
    """JAX without a folder of programs, and softq allowed to give it one; both as before in the end."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    monkeypatch.delenv(compile_cache.OFF, raising=False)
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/c"}, "/c"),
        ("linux", {"HOME": "/h"}, "/h/.cache"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Caches"),
        ("darwin", {"HOME": "/h", "XDG_CACHE_HOME": "/c"}, "/c"),
        ("win32", {"LOCALAPPDATA": "/l", "HOME": "/h"}, "/l"),
    ],
)
def test_the_folder_is_where_a_system_keeps_the_caches_of_a_user(system, variables, expected, monkeypatch):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", system)
    assert compile_cache.folder().parent.as_posix() == f"{expected}/softq/jax"


def test_the_cache_can_be_left_off(no_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compile_cache.turn_on(wanted=False) is None
    monkeypatch.setenv(compile_cache.OFF, "1")
    assert compile_cache.turn_on() is None and not list(tmp_path.iterdir())
    monkeypatch.delenv(compile_cache.OFF)
    file = tmp_path / "file"
    file.write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    assert compile_cache.turn_on() is None  # a place that cannot be written is no error
    assert jax.config.jax_compilation_cache_dir is None
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compile_cache.turn_on() is None  # a cache of the user's own stays


def test_what_was_not_used_for_longest_is_deleted(no_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    where = compile_cache.folder()
    where.mkdir(parents=True)
    for age, name in enumerate("abcd"):
        (where / name).write_bytes(b"x" * 100)
        os.utime(where / name, (1e9 - age, 1e9 - age))
    os.utime(where / "d", (2e9, 1.0))  # written first and read last
    assert compile_cache.turn_on() == where
    assert len(list(where.iterdir())) == 4
    compile_cache.trim(where, limit=300)
    assert {path.name for path in where.iterdir()} == {"a", "b", "d"}


# trains by the words of a command line, and then tells how many programs JAX has read from its folder
TRAINING = """
import sys
import jax
from softq.cli import main

names = []
jax.monitoring.register_event_listener(lambda name, **_: names.append(name))
assert main(sys.argv[1:]) == 0
print("read", names.count("/jax/compilation_cache/cache_hits"))
"""


def test_another_process_reads_the_programs_of_this_one(no_cache, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    words = "train ddpg --env Bandit --iterations 1 --warmup 4 --num-envs 2 --hidden-sizes 7 --batch-size 2"
    words = [*words.split(), "--no-progress", "--eval-episodes", "1", "--out"]
    assert main([*words, str(tmp_path / "one")]) == 0
    names = {path.name.split("-")[0] for path in tmp_path.glob("softq/jax/*/*-cache")}
    assert {"jit__start", "jit__steps"} <= names
    variables = os.environ.copy()
    del variables["JAX_COMPILATION_CACHE_DIR"]
    command = [sys.executable, "-c", TRAINING, *words, str(tmp_path / "two")]
    done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
    assert int(done.stdout.split()[-1]) >= len(names)
    logs = []
    for run in ("one", "two"):
        log = (tmp_path / run / "log.jsonl").read_text().splitlines()
        logs.append([{k: v for k, v in json.loads(row).items() if k != "seconds"} for row in log])
    assert logs[0] == logs[1]


def test_commands_turn_it_on_unless_told_not_to(no_cache, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(compile_cache, "turn_on", lambda wanted: asked.append(wanted))
    for command in (["train", "ddpg"], ["evaluate", str(tmp_path / "none")]):
        for words in ([], ["--no-compile-cache"]):
            assert main([*command, *words]) == 2
    assert asked == [True, False, True, False]
