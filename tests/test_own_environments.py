"""Environments of other people: whatever they do is trained, resumed, or refused in one clear line."""

import collections
import enum
import gc
import json
import random
import re
import textwrap
import types
from pathlib import Path

import gymnasium as gym
import jax
import numpy as np
import pytest
from gymnasium import spaces

from softq.cli import main
from softq.envs import BoundActions, make, rescale
from softq.envs.gym_vector import GymVector
from softq.envs.trial import cannot_be_saved
from softq.training import TrainConfig, evaluate_run, load_run, resume, train
from softq.utils.cli_options import keywords
from softq.utils.errors import SoftqError, SoftqWarning

SETTINGS = {
    "num_envs": 2,
    "warmup": 10,
    "batch_size": 4,
    "buffer_size": 200,
    "eval_episodes": 1,
    "eval_every": 1000,
}
TINY = SETTINGS | {"iterations": 30, "progress": False}
WORDS = ["--hidden-sizes=4", *(f"--{k.replace('_', '-')}={v}" for k, v in SETTINGS.items())]
WORDS += ["--iterations=30", "--no-progress"]


class Base(gym.Env):
    """A point that is pushed; an episode lasts `length` steps."""

    observation_space = spaces.Box(-10, 10, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)
    length = 7

    def __init__(self, **changes):
        self.__dict__.update(changes)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.x = 0, float(self.np_random.uniform(-1, 1))
        return self.obs(), {}

    def obs(self):
        return np.array([self.x, self.t], np.float32)

    def step(self, action):
        self.t += 1
        self.x = 0.9 * self.x + 0.1 * float(np.asarray(action).ravel()[0])
        return self.obs(), -(self.x**2), self.t >= self.length, False, {}


def registered(make_env, limit=50, **kwargs):
    """The id of a new environment."""
    name = f"Own{len(gym.registry)}-v0"
    gym.register(name, make_env, max_episode_steps=limit, kwargs=kwargs)
    return name


class Phase(enum.Enum):
    REST, MOVE = 1, 2


Point = collections.namedtuple("Point", "x y")


class Rich(Base):
    """Keeps its state in every way that can be saved, and shows all of it."""

    def __init__(self):
        self.action_space = spaces.Box(-1, 1, (1,), np.float32, seed=3)

    def reset(self, *, seed=None, options=None):
        result = super().reset(seed=seed)
        if not hasattr(self, "model"):
            self.legacy, self.plain = np.random.RandomState(3), random.Random(3)
            self.model, self.data = np.zeros(4), types.SimpleNamespace(sum=0.0, spec=[1.0])
            self.corner = self.model[2:]  # shares memory
            self.queue, self.phase = collections.deque(maxlen=3), Phase.REST
            self.point, self.counts = Point(0.0, 0.0), {(0, 1): 0}
            self.same = self.point_list = [0.0]  # one list under two names
            self.key = jax.random.key(0)
            total = 0.0

            def summed(x):
                nonlocal total
                total += x
                return total

            self.summed = summed
        return result

    def step(self, action):
        out = super().step(action)
        self.x += (
            0.01 * self.legacy.randn() + 0.01 * self.plain.random() + 0.01 * self.action_space.sample()[0]
        )
        self.corner += self.x
        self.data.sum += self.model.sum()
        self.queue.append(self.x)
        self.phase = Phase.MOVE if self.x > 0 else Phase.REST
        self.point = Point(self.x, self.point.x)
        self.counts[0, 1] += 1
        self.same[0] += self.x
        self.key = jax.random.split(self.key)[0]
        noise = float(jax.random.normal(self.key))
        self.x += 1e-3 * (self.data.sum + sum(self.queue) + self.phase.value + self.point.y + noise)
        self.x += 1e-3 * (self.counts[0, 1] + self.point_list[0] + self.summed(self.x))
        return self.obs(), *out[1:]


class Hidden(Base):
    """State in a place that no attribute leads to."""

    memory: dict = {}  # noqa: RUF012 - shared on purpose

    def step(self, action):
        out = super().step(action)
        if self.kind == "global":
            self.x += 0.01 * np.random.rand()  # noqa: NPY002 - the fault under test
        elif self.kind == "random":
            self.x += 0.01 * random.random()
        elif self.kind == "class":
            self.memory[id(self)] = self.x = self.x + self.memory.get(id(self), 0.0)
        return self.obs(), *out[1:]


@pytest.mark.parametrize(
    ("make_env", "kwargs"),
    [
        (Base, {}),
        (Rich, {}),
        (lambda: gym.wrappers.FlattenObservation(Base()), {}),
        (lambda: gym.wrappers.FrameStackObservation(Base(), 3), {}),
        (lambda: gym.wrappers.DelayObservation(Base(), 2), {}),
        (lambda: gym.wrappers.TransformObservation(Base(), lambda obs: 2 * obs, None), {}),
    ],
)
def test_a_restored_copy_goes_on_exactly(make_env, kwargs):
    env_id = registered(make_env, 30, **kwargs)
    assert cannot_be_saved(env_id) is None
    first = GymVector(env_id, 2, 1)
    first.reset()
    rng = np.random.default_rng(0)
    for actions in rng.uniform(-1, 1, (5, 2, 1)):
        first.step(actions)
    saved = json.loads(json.dumps(first.get_state()["text"]))
    second = GymVector(env_id, 2, 7)
    second.set_state({"text": saved, "physics": np.zeros((2, 0), np.uint8)})
    assert second.get_state()["text"] == saved
    for actions in rng.uniform(-1, 1, (2, 2, 1)):
        for a, b in zip(first.step(actions), second.step(actions), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("global", "numpy.random"),
        ("random", "global generator of random"),
        ("class", "did not go on as the original"),
    ],
)
def test_state_that_no_attribute_leads_to_is_found_out(kind, reason):
    before = random.getstate()
    assert reason in cannot_be_saved(registered(Hidden, kind=kind))
    assert random.getstate() == before


def told(recwarn):
    """The warnings since the last look."""
    texts = [str(warning.message) for warning in recwarn if warning.category is SoftqWarning]
    recwarn.clear()
    return "\n".join(texts)


def stop_at(monkeypatch, steps):
    """Training stops as after Ctrl-C once it has made so many steps."""
    from softq.training.progress import Interrupt
    from softq.training.trainer import Trainer

    done, step = [0], Trainer.step

    def counted(self, loop, num, uniform):
        done[0] += num
        return step(self, loop, num, uniform)

    monkeypatch.setattr(Trainer, "step", counted)
    monkeypatch.setattr(Interrupt, "__call__", lambda self: done[0] >= steps)


class Unsaved(Base):
    """Holds something that cannot be saved."""

    def __init__(self):
        self.world = iter(range(10**9))


@pytest.mark.parametrize("exact", [True, False])
def test_a_stopped_run_goes_on_exactly_or_says_at_its_start_that_it_cannot(
    exact, tmp_path, monkeypatch, capsys, recwarn
):
    env_id = registered(Rich if exact else Unsaved)
    whole = train("ddpg", env_id, out=tmp_path / "whole", **TINY)
    assert ("Unsaved.world is a range_iterator" in told(recwarn)) != exact
    with monkeypatch.context() as patch:
        stop_at(patch, 15)
        assert main(["train", "ddpg", "--env", env_id, "--out", str(tmp_path / "half"), *WORDS]) == 130
    err = capsys.readouterr().err
    assert "--resume" in err and ("with new episodes" in err) != exact
    half = resume(tmp_path / "half", progress=False)
    assert half.finished and ("episodes start anew" in told(recwarn)) != exact
    assert half.curve["updates"].max() == 30
    if exact:
        monkeypatch.undo()
        stop_at(monkeypatch, 15)
        again = train("ddpg", env_id, out=tmp_path / "again", **TINY)
        assert not again.finished
        monkeypatch.undo()
        for a, b in zip(
            *map(jax.tree.leaves, (whole.states, resume(again.folder, False).states)), strict=True
        ):
            np.testing.assert_array_equal(a, b)


NESTED = spaces.Dict(
    b=spaces.Tuple([spaces.Box(-1, 1, (2, 2)), spaces.Discrete(3, start=1)]), a=spaces.MultiBinary(2)
)


class Nested(Base):
    observation_space = NESTED

    def obs(self):
        return {"a": np.array([0, 1], np.int8), "b": (np.arange(4.0).reshape(2, 2) / 4, 2)}


def test_dict_and_tuple_observations_are_one_vector_in_the_order_of_gymnasium():
    env = make(registered(Nested))
    obs = env.reset()
    np.testing.assert_array_equal(obs, [spaces.flatten(NESTED, Nested().obs())])
    np.testing.assert_array_equal(obs, [[0, 0.25, 0.5, 0.75, 0, 1, 0, 0, 1]])
    assert obs.dtype == np.float32 and cannot_be_saved(env.env_id) is None


class OwnScale(gym.ObservationWrapper):
    """Standardises by Welford's running moments of its own."""

    def __init__(self, env):
        super().__init__(env)
        self.mean, self.M2, self.count = np.zeros(2), np.ones(2), 1

    def observation(self, obs):
        return obs


@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (gym.wrappers.NormalizeObservation, "NormalizeObservation"),
        (lambda env: gym.wrappers.NormalizeReward(env), "NormalizeReward"),
        (OwnScale, "OwnScale"),
        (lambda env: gym.wrappers.FlattenObservation(gym.wrappers.NormalizeObservation(env)), "NormalizeObs"),
    ],
)
def test_running_statistics_are_refused(wrap, name):
    with pytest.raises(SoftqError, match=rf"running statistics \({name}.*TransformObservation"):
        make(registered(lambda: wrap(Base())))


def test_frozen_statistics_are_fine():
    def frozen():
        env = gym.wrappers.NormalizeObservation(Base())
        env.update_running_mean = False
        return env

    assert make(registered(frozen)).reset().shape == (1, 2)


def test_a_policys_action_in_the_environments_units():
    np.testing.assert_array_equal(rescale([[-1.0], [0.5], [1.0]], spaces.Box(-2, 2, (1,))), [[-2], [1], [2]])
    box = spaces.Box(np.array([[0.0, -3.0]], np.float32), np.array([[10.0, 1.0]], np.float32))
    np.testing.assert_array_equal(rescale(np.array([0.0, 1.0]), box), [[5, 1]])
    for bad in (spaces.Discrete(2), spaces.Box(-np.inf, 1, (1,))):
        with pytest.raises(SoftqError, match="needs a bounded Box"):
            rescale([0.0], bad)
    with pytest.raises(SoftqError, match="must hold the 2 coordinates"):
        rescale([0.0], box)


def test_a_loaded_policy_reaches_both_ends_of_the_torque(tmp_path):
    train("ddpg", "Pendulum-v1", out=tmp_path / "run", **TINY | {"iterations": 1})
    algo, state, _ = load_run(tmp_path / "run")
    action = algo.exploit(state, np.zeros(3, np.float32), jax.random.key(0))
    space = gym.make("Pendulum-v1").action_space
    np.testing.assert_allclose(rescale(action, space), 2 * np.asarray(action), rtol=1e-6)


class Unbounded(Base):
    action_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)


def test_unbounded_actions_are_declared_by_a_wrapper():
    with pytest.raises(SoftqError, match=r"softq.envs.BoundActions\(env, low, high\)"):
        make(registered(lambda: gym.wrappers.ClipAction(Base())))
    env = make(registered(lambda: BoundActions(Unbounded(), -3, [4.0])))
    np.testing.assert_array_equal(env.rescale(np.array([[-1.0], [1.0]])), [[-3], [4]])
    with pytest.raises(SoftqError, match=r"cannot be made: ValueError: (?!.*Did you mean)"):
        make(registered(lambda: gym.wrappers.RescaleAction(Unbounded(), -1.0, 1.0)))
    for low, high, message in (
        (-np.inf, 1, "must be finite"),
        (1, 1, "below the upper"),
        ([1, 2], 3, "the shape"),
    ):
        with pytest.raises(SoftqError, match=message):
            BoundActions(Unbounded(), low, high)


def changed(reset=None, step=None):
    """A `Base` whose results are passed through a function."""

    class Changed(Base):
        def reset(self, *, seed=None, options=None):
            return (reset or (lambda x: x))(super().reset(seed=seed))

        def step(self, action):
            return (step or (lambda x: x))(super().step(action))

    return Changed


class OldReset(Base):
    def reset(self):
        self.t, self.x = 0, 0.0
        return self.obs(), {}


def fail(_):
    raise RuntimeError("no\nconnection")


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (OldReset, r"reset\(\) raised TypeError.*interface of Gym before 0.26"),
        (changed(reset=lambda out: out[0]), r"reset\(\) did not return \(observation, info\)"),
        (changed(step=lambda out: out[:4]), r"interface of Gym before 0.26"),
        (changed(reset=fail), r"reset\(\) raised RuntimeError: no connection at step 0"),
        (
            changed(reset=lambda out: (out[0] * np.nan, {})),
            "observation after a reset is not finite at step 0",
        ),
        (changed(reset=lambda out: (np.zeros(3), {})), r"observation has the shape \(3,\), .* \(2,\)"),
        (changed(reset=lambda out: ("ab", {})), "a str that holds no numbers"),
        (changed(step=lambda out: (out[0], None, *out[2:])), "reward is None; softq needs one number"),
        (changed(step=lambda out: (out[0], np.nan, *out[2:])), "reward is not finite at step 0"),
        (changed(step=lambda out: (out[0], np.ones(2), *out[2:])), r"reward is array\(\[1., 1.\]\)"),
        (lambda: Base(action_space=spaces.Box(-1, 1, (0,))), "which has no dimension"),
        (lambda: Base(action_space=spaces.MultiDiscrete([2, 3])), "needs real actions"),
        (lambda: Base(observation_space=spaces.Box(-1, 1, (0,))), "observations of no numbers"),
        (lambda: Base(observation_space=spaces.Sequence(spaces.Discrete(2))), "Sequence observations"),
        (lambda: 1 / 0, "cannot be made: ZeroDivisionError"),
    ],
)
def test_faults_of_an_environment_are_one_line(env, message):
    with pytest.raises(SoftqError, match=message) as error:
        train("ddpg", registered(env), **TINY | {"iterations": 3})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.int32])
def test_observations_of_any_number_type_arrive_as_float32(dtype):
    space = spaces.Box(0, 200, (2,), dtype)
    env = changed(reset=lambda out: (np.array([7, 200], dtype), {}))
    obs = make(registered(lambda: env(observation_space=space))).reset()
    assert obs.dtype == np.float32 and obs.tolist() == [[7.0, 200.0]]


class Whole(Base):
    """Declares whole numbers between 0 and 255; what it shows is `shown`."""

    observation_space = spaces.Box(0, 255, (2,), np.uint8)
    shown = (7, 200)

    def obs(self):
        return np.array(self.shown)


def test_observations_are_kept_in_the_type_of_their_space_and_what_that_cannot_hold_is_refused():
    env = make(registered(Whole))
    assert env.obs_dtype == np.uint8 and env.reset().tolist() == [[7.0, 200.0]]
    for shown, value in (((0.5, 1.0), "0.5"), ((0, 256), "256"), ((-1, 0), "-1"), ((np.nan, 0), "nan")):
        with pytest.raises(
            SoftqError, match=f"observation holds {value}, which the uint8 .* cannot at step 0"
        ):
            train("ddpg", registered(Whole, shown=shown), **TINY)
    scaled = lambda: gym.wrappers.TransformObservation(Whole(), lambda obs: obs / np.float32(255), None)
    with pytest.raises(SoftqError, match=r"observation holds 0\.027"):
        make(registered(scaled)).reset()
    parts = [spaces.Box(0, 255, (2,), np.uint8), spaces.Discrete(3)]
    assert GymVector(registered(lambda: Base(observation_space=spaces.Tuple(parts)))).obs_dtype == np.uint8
    parts.append(spaces.Box(-1, 1, (1,), np.float32))
    assert GymVector(registered(lambda: Base(observation_space=spaces.Tuple(parts)))).obs_dtype == np.float32


def test_seeds_of_numpy_are_seeds():
    seeds = (np.int64(3), 3, [np.uint8(3)], np.array([3]))
    shown = {make("Pendulum-v1", 2, seed).reset().tobytes() for seed in seeds}
    assert len(shown) == 1


class Heavy(Base):
    """Holds 40 MB."""

    def __init__(self):
        self.ballast = np.ones(5_000_000)


def test_copies_that_will_not_fit_into_memory_are_refused_after_the_first_few(monkeypatch):
    monkeypatch.setattr("softq.envs.many.of_host", lambda: 2 * 10**9)
    env_id = registered(Heavy)
    message = rf"1,000 copies of {env_id} need (39|40)\.\d GB .* beyond the 4 .* has 2\.0 GB free"
    gc.collect()  # what other tests have left would be freed meanwhile, and the process seem to grow by less
    with pytest.raises(SoftqError, match=message):
        make(env_id, 1000)
    assert make(env_id, 8).num_envs == 8


def test_a_long_making_of_copies_is_said_once(monkeypatch, recwarn):
    clock = iter(range(100))
    monkeypatch.setattr("softq.envs.many.perf_counter", lambda: next(clock))  # a second for each look
    make(registered(Base), 64)
    assert (
        "64 copies" in (said := told(recwarn))
        and "take 62 seconds more" in said
        and said.count("copies") == 1
    )
    make(registered(Base), 32)
    assert not told(recwarn)


def test_a_bad_observation_after_a_reset_is_blamed_on_the_environment():
    class Third(Base):
        resets = 0

        def reset(self, *, seed=None, options=None):
            out = super().reset(seed=seed)
            self.resets += 1
            return (out[0] * np.nan if self.resets == 3 else out[0]), {}

    message = r"observation after a reset is not finite at step 14 .*; the environment produced it"
    with pytest.raises(SoftqError, match=message):
        train("ddpg", registered(Third), **TINY)


def test_an_environment_that_fails_leaves_a_run_to_resume(tmp_path, capsys, recwarn):
    class Failing(Base):
        total = 0
        broken = True

        def step(self, action):
            self.total += 1
            if self.broken and self.total == 20:
                raise RuntimeError("simulator lost connection")
            return super().step(action)

    env_id, folder = registered(Failing), tmp_path / "run"
    assert main(["train", "ddpg", "--env", env_id, "--out", str(folder), *WORDS]) == 2
    err = capsys.readouterr().err
    assert (
        f"{env_id}: step() raised RuntimeError: simulator lost connection at step 19 (seed 0, environment 0)"
        in err
    )
    assert (
        f"kept up to update 15; continue with: softq train --resume {folder}" in err and err.count("\n") == 1
    )
    with pytest.raises(SoftqError) as error:
        train("ddpg", env_id, **TINY)
    assert isinstance(error.value.__cause__, RuntimeError)
    Failing.broken = False
    again = resume(folder, progress=False)
    assert again.finished and again.curve["updates"].max() == 30 and again.inexact is None
    assert "episodes start anew (an environment failed)" in told(recwarn)


def test_infos_do_not_matter():
    rng = np.random.default_rng(0)
    info = lambda out: (*out[:4], {"contacts": np.zeros(rng.integers(1, 5)), "final_obs": object(), "n": rng})
    env = changed(reset=lambda out: (out[0], {"a": [1, "b"]}), step=info)
    assert train("ddpg", registered(env), **TINY | {"iterations": 5}).finished


class Closing(Base):
    made = closed = 0

    def __init__(self, bad=False):
        self.bad = bad
        Closing.made += 1

    def step(self, action):
        return fail(None) if self.bad else super().step(action)

    def close(self):
        Closing.closed += 1


def test_every_environment_is_closed_also_after_an_error(tmp_path):
    Closing.made = Closing.closed = 0
    run = train("ddpg", registered(Closing), out=tmp_path / "run", **TINY | {"iterations": 3})
    assert Closing.made == Closing.closed > 2
    evaluate_run(run.folder, 1)
    with pytest.raises(SoftqError, match="no connection"):
        train("ddpg", registered(Closing, bad=True), **TINY)
    with pytest.raises(SoftqError, match="no dimension"):
        make(registered(ClosingZero))
    assert Closing.made == Closing.closed


class ClosingZero(Closing):
    """Cannot be used, and is closed all the same."""

    action_space = spaces.Box(-1, 1, (0,))


def test_without_a_time_limit_it_is_said_and_episodes_are_cut(tmp_path, monkeypatch, capsys, recwarn):
    monkeypatch.setattr("softq.training.evaluate.NO_LIMIT", 40)
    env_id = registered(Base, None, length=10**9)
    assert main(["train", "ddpg", "--env", env_id, "--out", str(tmp_path / "a"), *WORDS]) == 0
    said = told(recwarn)
    assert "has no time limit" in said and "max_episode_steps=1000" in said
    assert "(1 cut at 40 steps)" in capsys.readouterr().out
    assert evaluate_run(tmp_path / "a", 2)["cut at 40 steps"].tolist() == [2, 2]
    assert "cut" not in "".join(evaluate_run_columns(tmp_path, env_id))
    assert "has no time limit" not in told(recwarn)


def evaluate_run_columns(tmp_path, env_id):
    """Columns after a training with a limit given to the environment."""
    run = train("ddpg", env_id, out=tmp_path / "b", env_kwargs={"max_episode_steps": 9}, **TINY)
    return list(evaluate_run(run.folder, 2))


def test_settings_of_an_environment_are_kept_with_the_run(tmp_path, capsys):
    env_id = registered(Base)
    words = ["--env-kwargs", "length=3", "name=a b", "--out", str(tmp_path / "run"), *WORDS]
    assert main(["train", "ddpg", "--env", env_id, *words]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())["train"]
    assert config["env_kwargs"] == {"length": 3, "name": "a b"}
    assert load_run(tmp_path / "run")[2].env_kwargs == config["env_kwargs"]
    env = make(env_id, 1, 0, config["env_kwargs"])
    env.reset()
    ends = [bool(env.step(np.zeros((1, 1)))[2][0]) for _ in range(3)]
    assert ends == [False, False, True]
    with pytest.raises(SoftqError, match=r"cannot be written to config.json"):
        train("ddpg", env_id, out=tmp_path / "c", env_kwargs={"length": object()}, **TINY)
    with pytest.raises(SoftqError, match="unexpected keyword argument 'size'"):
        make("Pendulum-v1", 1, 0, {"size": 3})


def test_settings_are_read_as_what_they_look_like():
    expected = {"a": 1, "b": False, "c": None, "d": "x=y", "e": [1, 2], "f": 2.5, "g": False}
    assert keywords(["a=1", "b=False", "c=null", "d=x=y", "e=[1,2]", "f=2.5", "g=false"]) == expected
    assert keywords(['{"a": {"b": 1}}']) == {"a": {"b": 1}}
    assert TrainConfig(env_kwargs={"shape": (2, 3)}).env_kwargs == {"shape": [2, 3]}
    for bad in (["a"], ["{a: 1"], ["[1]"]):
        with pytest.raises(SoftqError, match="NAME=VALUE"):
            keywords(bad)


def test_the_example_of_the_books_page_runs(tmp_path, monkeypatch, capsys, recwarn):
    page = (Path(__file__).parents[1] / "book" / "environments.md").read_text()
    module, policy, *_ = (textwrap.dedent(x) for x in re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    monkeypatch.syspath_prepend("/")  # restores sys.path afterwards
    monkeypatch.chdir(tmp_path)
    (tmp_path / "push.py").write_text(module)
    words = ["--env-kwargs", "friction=0.2", "--preset", "small", "--out", "runs/push", *WORDS]
    assert main(["train", "ddpg", "--env", "push:Push-v0", *words]) == 0
    assert main(["evaluate", "runs/push"]) == 0
    assert not told(recwarn)
    names = {}
    exec(policy, names)  # its last line is a step of the environment with the policy's action
    friction, action = names["env"].unwrapped.friction, names["action"]
    start = names["env"].reset(seed=0)[0]
    assert friction == 0.2
    np.testing.assert_allclose(names["obs"], 0.8 * start + 0.1 * action, rtol=1e-5)


def test_where_an_error_came_from_is_shown_on_request(monkeypatch, capsys):
    env_id = registered(changed(reset=fail))
    assert main(["train", "ddpg", "--env", env_id, *WORDS]) == 2
    monkeypatch.setenv("SOFTQ_TRACEBACK", "1")
    with pytest.raises(SoftqError, match="no connection") as error:
        main(["train", "ddpg", "--env", env_id, *WORDS])
    assert isinstance(error.value.__cause__, RuntimeError)


MODULE = """
import gymnasium as gym
gym.register("InFolder-v3", lambda: gym.make("Pendulum-v1"), max_episode_steps=20)
"""


def test_modules_of_the_working_directory_are_found(tmp_path, monkeypatch):
    (tmp_path / "softq_own_module.py").write_text(MODULE)
    with pytest.raises(
        SoftqError, match=r"no module 'softq_own_module'.*folder that holds softq_own_module.py"
    ):
        make("softq_own_module:InFolder-v3")
    monkeypatch.syspath_prepend("/")  # restores sys.path afterwards
    monkeypatch.chdir(tmp_path)
    env = make("softq_own_module:InFolder")
    assert (env.env_id, env.max_steps) == ("softq_own_module:InFolder-v3", 20)
    with pytest.raises(SoftqError, match=r"registers no 'InFoldr-v3'\. Did you mean 'InFolder-v3'"):
        make("softq_own_module:InFoldr-v3")
    (tmp_path / "softq_bad_module.py").write_text("import softq_own_nothing")
    with pytest.raises(SoftqError, match="cannot be imported: No module named 'softq_own_nothing'"):
        make("softq_bad_module:X-v0")
