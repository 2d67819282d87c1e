"""The Gymnasium adapter: true successors, scaled actions, its own seeds, exact state, clear errors."""

import json

import gymnasium as gym
import numpy as np
import pytest

from softq.envs import make
from softq.envs.gym_vector import GymVector
from softq.utils.errors import SoftqError

SLOW = ["Hopper-v5", "HalfCheetah-v5", "Humanoid-v5", "Walker2d-v5"]


class Counter(gym.Env):
    """Observes how many steps it has taken; ends after three, by time after two for odd seeds."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = gym.spaces.Box(np.array([-3.0, 0.0]), np.array([1.0, 10.0]), dtype=np.float64)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(1), {}

    def step(self, action):
        self.count += 1
        self.last = action
        return np.full(1, float(self.count)), float(action[0]), self.count == 3, False, {}


class Odd(Counter):
    """A counter with spaces that softq cannot use, or with a state that cannot be saved."""

    def __init__(self, **spaces):
        self.__dict__.update(spaces)
        self.world = iter([1, 2])


ODD = {
    "discrete": {"action_space": gym.spaces.Discrete(2)},
    "integer": {"action_space": gym.spaces.Box(0, 3, (1,), np.int64)},
    "unbounded": {"action_space": gym.spaces.Box(-np.inf, 1, (1,))},
    "text": {"observation_space": gym.spaces.Dict(a=gym.spaces.Text(3))},
}
gym.register("Counter-v0", Counter)
gym.register("CounterLimit-v0", Counter, max_episode_steps=2)
for name, spaces in ODD.items():
    gym.register(f"Odd{name.title()}-v0", Odd, kwargs=spaces)
gym.register("OddWorld-v0", Odd)
gym.register("OddUnversioned", lambda: Odd().missing)


def play(vector, num, rng):
    """Everything that `num` random steps return."""
    seen = []
    for _ in range(num):
        step = vector.step(rng.uniform(-1, 1, (vector.num_envs, vector.action_dim)))
        seen.extend(step)
        done = step[2] | step[3]
        if done.any():
            seen.append(vector.reset(done))
    return seen


@pytest.mark.parametrize(
    "env_id",
    [
        "InvertedPendulum-v5",
        "Ant-v5",
        "Pendulum-v1",
        *(pytest.param(e, marks=pytest.mark.slow) for e in SLOW),
    ],
)
def test_continues_from_a_saved_state_bit_for_bit(env_id):
    first = GymVector(env_id, 2, [1])
    first.reset()
    play(first, 77, np.random.default_rng(0))
    saved = first.get_state()
    saved = {"text": json.loads(json.dumps(saved["text"])), "physics": saved["physics"].copy()}
    expected = play(first, 200, np.random.default_rng(1))
    second = GymVector(env_id, 2, [1])
    second.set_state(saved)
    for a, b in zip(expected, play(second, 200, np.random.default_rng(1)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_next_obs_is_the_true_successor_and_only_finished_ones_are_reset():
    vector = GymVector("Counter-v0", 2)
    vector.reset()
    action = np.zeros((2, 2))
    for expected in (1.0, 2.0, 3.0):
        next_obs, _, terminated, truncated = vector.step(action)
        np.testing.assert_array_equal(next_obs, expected)
    assert terminated.all() and not truncated.any()
    obs = vector.reset(np.array([True, False]))
    np.testing.assert_array_equal(obs, [[0.0], [3.0]])
    assert obs.dtype == next_obs.dtype == np.float32


def test_time_limit_truncates_and_does_not_terminate():
    vector = GymVector("CounterLimit-v0", 1)
    vector.reset()
    vector.step(np.zeros((1, 2)))
    _, _, terminated, truncated = vector.step(np.zeros((1, 2)))
    assert truncated.all() and not terminated.any()
    assert vector.max_steps == 2


def test_actions_are_scaled_affinely_to_the_box():
    vector = GymVector("Counter-v0", 3)
    vector.reset()
    vector.step(np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]))
    seen = np.array([env.unwrapped.last for env in vector.vector.envs])
    np.testing.assert_allclose(seen, [[-3.0, 0.0], [-1.0, 5.0], [1.0, 10.0]])


def test_every_environment_has_a_seed_of_its_own():
    starts = GymVector("InvertedPendulum-v5", 3, [0, 1]).reset()
    assert len(np.unique(starts, axis=0)) == 6
    np.testing.assert_array_equal(GymVector("InvertedPendulum-v5", 3, 1).reset(), starts[3:])


def test_an_id_without_version_is_recorded_with_it():
    assert GymVector("InvertedPendulum").env_id == "InvertedPendulum-v5"


def test_state_that_cannot_be_saved_says_so():
    vector = GymVector("OddWorld-v0")
    vector.reset()
    with pytest.raises(SoftqError, match=r"Odd.world is a list_iterator"):
        vector.get_state()


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("InvertedPendulm-v5", "unknown environment .* Did you mean 'InvertedPendulum-v5'"),
        ("Multigoals", "Did you mean 'MultiGoal'"),
        ("HalfCheetah-v3", "cannot be made.*Did you mean 'HalfCheetah-v5'"),
        ("OddUnversioned", "OddUnversioned cannot be made: AttributeError"),
        ("no_such_module:Task-v0", "no module .no_such_module."),
        ("CartPole-v1", "Discrete.*bounded Box"),
        ("OddInteger-v0", "real actions"),
        ("OddUnbounded-v0", "unbounded action space"),
        ("OddText-v0", "Text observations; softq needs numbers"),
    ],
)
def test_unusable_environments_are_one_clear_line(env_id, message):
    with pytest.raises(SoftqError, match=message) as error:
        make(env_id)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("env_id", "extra"),
    [
        ("dmc/cheetah-run", "dmc"),
        ("softq/PointMaze-v0", "robotics"),
        ("PointMaze_UMaze-v3", "robotics"),
        ("envpool/Ant-v4", "envpool"),
    ],
)
def test_a_missing_extra_is_named(env_id, extra, monkeypatch):
    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("softq.envs.making.importlib.import_module", absent)
    with pytest.raises(SoftqError, match=rf'pip install "softq\[{extra}\]"'):
        make(env_id)
