"""Counting what policies visit: outcomes of paths drawn by hand, rollouts of a known policy, the command."""

import sys

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from softq import landscapes
from softq.algorithms import ALGORITHMS, get
from softq.algorithms.common.learner import Learner
from softq.cli import main
from softq.envs import Bandit, Maze, MultiGoal, is_jax, make
from softq.envs.maze import ROUTES
from softq.exact.boltzmann import Boltzmann
from softq.experiments.exact_critic import ExactCritic
from softq.experiments.mode_coverage import (
    ABLATIONS,
    FACTORS,
    RESOLUTION,
    TASKS,
    Ablation,
    ResampledPolicy,
    count,
    exact_states,
    inspect_state,
    paths_to_frame,
    play,
    rollout,
    settings,
    softmax_temperature,
    verdict,
    visits,
)
from softq.experiments.settings import MEASURED
from softq.training import TrainConfig
from softq.training.evaluate import Evaluator
from softq.utils.flat_settings import built, settings_of
from softq.utils.pytree import pytree, replace

PARTS = ("during", "moves", "critics")


@pytree
class Towards:
    """Push in one direction for ever."""

    direction: jax.Array

    def policy(self, state, obs, key):
        return self.direction


def ends(*points):
    """Paths that jump to these points."""
    return np.array([[(0.0, 0.0), point] for point in points], np.float32)


def test_modes_of_the_bandit():
    half = 0.5**0.5
    paths = ends(
        (half, 0), (0, half), (-half, 0.1), (0, -half), (0.5, 0.5), (-0.5, -0.5), (0, 0), (half - 0.2, 0)
    )
    np.testing.assert_array_equal(count(TASKS["bandit"], Bandit(), paths), [1, 1, 1, 1, 2, 2])


def test_high_modes_are_higher():
    """The four that are counted as high are, each, and the others are the low ones."""
    env, task = Bandit(), TASKS["bandit"]
    angles = np.pi / 4 * np.arange(8)
    actions = np.stack([np.cos(angles), np.sin(angles)], 1) * 0.5**0.5
    rewards = jax.jit(jax.vmap(lambda action: env.step(jnp.zeros(2), action)[2]))(actions.astype(np.float32))
    for action, reward in zip(actions, rewards.tolist(), strict=True):
        counts = count(task, env, ends(tuple(action)))
        assert (counts[:4].sum() == 1) == (reward > 0.9) and (counts[4] == 1) == (reward < 0.6)


def test_goals_of_multigoal():
    paths = ends((4.5, 0), (0, 4.5), (-5, 0.5), (0.2, -5), (3, 0), (0, 4.2))
    np.testing.assert_array_equal(count(TASKS["multigoal"], MultiGoal(), paths), [1, 2, 1, 1, 1])


route_of = jax.jit(Maze().route)


@pytest.mark.parametrize(
    ("points", "route"),
    [
        ([(0, 0), (-2, 0), (-2, 1), (-2, 2)], "A_left"),
        ([(0, 0), (0, 2), (-1, 2), (-2, 2)], "A_top"),
        ([(0, 0), (2, 0), (2, -1), (2, -2)], "B_right"),
        ([(0, 0), (-2, 0), (-2, -2), (1, -2), (2, -2)], "B_bottom"),
        ([(0, 0), (-2, 0), (-2, 1), (-2, 1.2)], "none"),
        # through the other corridor first: the last one tells
        ([(0, 0), (0, 2), (-1, 2), (0, 2), (0, 0), (-2, 0), (-2, 1), (-2, 2)], "A_left"),
    ],
)
def test_routes_through_the_maze(points, route):
    assert ROUTES[int(route_of(np.array(points, np.float32)))] == route


def test_rollouts_equal_a_plain_loop():
    """The path, frozen after the end, and the return of a policy that always goes east."""
    env, algo = MultiGoal(), Towards(jnp.array([1.0, 0.0]))
    paths, returns = rollout(algo, None, env, jax.random.key(0), 3, True)
    x = np.minimum(np.arange(21.0), 5.0)  # at distance 1 the goal is not yet reached
    np.testing.assert_allclose(paths, np.broadcast_to(np.stack([x, 0 * x], 1), (3, 21, 2)), atol=1e-6)
    expected = -30 * 5 - (16 + 9 + 4 + 1 + 0) + 10
    np.testing.assert_allclose(returns, expected, rtol=1e-6)
    usual, _ = rollout(algo, None, env, jax.random.key(0), 3, False)
    assert len(np.unique(np.asarray(usual)[:, 0], axis=0)) == 3


def test_goals_reached_behind_walls():
    """Always north: 20 goals of 20 in the open, none where the way is blocked; on the way past the wall, all again."""
    task, key = TASKS["multigoal"], jax.random.key(0)

    def counted(direction, **kwargs):
        env = make(task.env_id, env_kwargs=kwargs)
        paths, _ = rollout(Towards(jnp.array(direction)), None, env, key, 20, True)
        return count(task, env, paths).tolist()

    assert counted([0.0, 1.0]) == [0, 20, 0, 0, 0]
    assert counted([0.0, 1.0], blocked="north") == counted([0.0, 1.0], blocked="all") == [0, 0, 0, 0, 20]
    assert counted([1.0, 0.0], blocked="north") == [20, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("points", "goal"),
    [
        ([(0, 0), (-3, 0), (-3, 2.4), (-3, 2.6)], "A_left"),
        ([(0, 0), (-2.6, 2.4), (-2.6, 2.6)], "A_left"),
        ([(0, 0), (0, 3), (-2.4, 3), (-2.6, 3)], "A_top"),
        ([(0, 0), (3, 0), (3, -2.4), (3, -2.6)], "B"),
        ([(0, 0), (-3, 2.4), (-3, 3), (-2, 3), (0, 0), (3, -3)], "A_left"),  # the first one counts
        ([(0, 0), (3, -3), (0, 0), (-2.4, 3), (-3, 3)], "B"),
        ([(0, 0), (-2.4, 3), (-2.4, 2.4), (3, -2.4)], "none"),
        ([(0, 0), (3, 3), (-3, -3)], "none"),
    ],
)
def test_goals_of_the_released_maze(points, goal):
    outcomes = TASKS["pointmaze"].outcomes
    found = count(TASKS["pointmaze"], None, np.array([points], np.float32))
    assert dict(zip(outcomes, found.tolist(), strict=True)) == dict.fromkeys(outcomes, 0) | {goal: 1}


class Slide(gym.Env):
    """A point slides by its action from a random x on the line y = 1, to x = 3 at the most; the reward is x."""

    observation_space = gym.spaces.Box(-9, 9, (3,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    noise = 1.0

    def seen(self):
        return np.array([*self.at, 7.0], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = np.array([self.noise * self.np_random.uniform(-1, 1), 1.0])
        return self.seen(), {}

    def step(self, action):
        self.at = self.at + action
        return self.seen(), self.at[0], bool(self.at[0] >= 3), False, {}


gym.register("Slide-v0", Slide, max_episode_steps=6)


def test_episodes_in_gymnasium_equal_a_plain_loop():
    """Paths that stand still from the end of their episode on, and returns up to there; a fixed start has no noise."""
    player = Evaluator("Slide-v0", [0], 5, "policy")
    starts = {}
    for fixed in (False, True, False):
        paths, returns = play(Towards(jnp.array([1.0, 0.0])), None, player, "noise", fixed)
        starts[fixed] = start = paths[:, 0, 0]
        last = np.ceil(3 - start)  # steps of each episode
        time = np.minimum(np.arange(paths.shape[1]), last[:, None])
        assert paths.shape == (5, 1 + last.max(), 2)
        np.testing.assert_allclose(paths, np.stack([start[:, None] + time, 1 + 0 * time], -1), atol=1e-5)
        np.testing.assert_allclose(returns, last * start + last * (last + 1) / 2, atol=1e-5)
    assert (starts[True] == 0).all()
    assert len(set(starts[False].tolist())) == 5 and len(set(np.ceil(3 - starts[False]))) == 2
    paths, returns = play(Towards(jnp.array([-1.0, 0.0])), None, player, "noise", True)
    np.testing.assert_allclose(paths[:, :, 0], -np.arange(7.0)[None].repeat(5, 0))
    np.testing.assert_allclose(returns, -21)  # the time limit is 6 steps


FEW = ["--seeds", "1", "--episodes", "20", "--iterations", "5", "--algorithms", "ddpg", "--no-progress"]
MULTIGOAL = list(TASKS["multigoal"].outcomes)


def test_the_command_tests_where_it_did_not_train(tmp_path):
    """The same training, and other counts behind walls that are unlike any move of the training."""
    walls = ["--test-kwargs", "blocked=all", "wall_distance=0.5", "wall_length=14"]
    assert main(["visits", "multigoal", "--out", str(tmp_path / "walls.csv"), *FEW, *walls]) == 0
    closed = pd.read_csv(tmp_path / "walls.csv")
    blocked = {"blocked": "all", "wall_distance": 0.5, "wall_length": 14.0}
    tables = visits(TASKS["multigoal"], "ddpg", Ablation("ddpg"), 1, 20, 3, 5, tests=[{}, blocked])
    (free, _), (again, _) = tables
    assert list(closed["algorithm"]) == ["ddpg", "ddpg"] and (closed["none"] == 20).all()
    pd.testing.assert_frame_equal(again.round(2), closed)
    assert (free["return"] != again["return"]).any()


def test_all_completes_the_tables_that_lack_an_algorithm(tmp_path, capsys):
    """Of four files, three know DDPG already: they stay as they are, and the fourth is added."""
    known = [tmp_path / f"{name}.csv" for name in ("bandit-modes", "multigoal-modes", "maze-visits")]
    before = "algorithm,seed\nddpg,0\n"
    for path in known:
        path.write_text(before)
    assert main(["visits", "all", "--out", str(tmp_path), *FEW]) == 0
    new = tmp_path / "multigoal-blocked.csv"
    assert set(tmp_path.iterdir()) == {*known, new}
    assert {path.read_text() for path in known} == {before}
    added = pd.read_csv(new)
    assert list(added["algorithm"]) == ["ddpg"] * 2 and added[MULTIGOAL].sum(axis=1).tolist() == [20, 20]
    assert capsys.readouterr().out.startswith("ddpg in multigoal-blocked.csv: all 4 in")


def test_stored_paths_end_where_the_path_does():
    path = np.stack([np.minimum(np.arange(21.0), 5.0), np.zeros(21)], 1)
    table = paths_to_frame("sac", jnp.asarray(path[None]), 3)
    assert table["step"].tolist() == [0, 3, 5] and table["x"].tolist() == [0, 3, 5]


@pytest.mark.parametrize("task", TASKS)
def test_every_algorithm_has_settings(task):
    """They are settings of the training or of the algorithm, which refuse any other; the environment is the task's."""
    for name in ALGORITHMS:
        given = settings(TASKS[task], name)
        cls = get(name)
        algo, config = built(cls, given, TrainConfig), built(TrainConfig, given, cls)
        assert algo.hidden_sizes == (64, 64) and config.iterations == TASKS[task].iterations
        assert {algo.learning_rate, algo.actor_learning_rate or 2e-3} == {2e-3}
    assert not is_jax(TASKS[task].env_id) or make(TASKS[task].env_id).action_dim == 2


@pytest.mark.parametrize("task", TASKS)
def test_temperatures_of_one_law_are_equal(task):
    """Methods whose softmax divides Q by the temperature have one value; LAC's law has half of it, by its prior."""
    common = TASKS[task].common["temperature"]
    for name, cls in ALGORITHMS.items():
        algo = built(cls, settings(TASKS[task], name), TrainConfig)
        if algo.temperature is None or algo.temperature_unit != "Q":
            continue
        law = algo.temperature.value * (1 - algo.prior if name == "lac" else 1)
        cooled = (common, 10 * common) if name == "dqs" else (common,)
        assert any(np.isclose(law, value) for value in cooled), name


def test_verdict_counts_seeds_that_visit_everything():
    table = pd.DataFrame(
        [
            ("sac", 0, "fixed", 9, 9, 9, 9, 0, 0.0),
            ("sac", 1, "fixed", 36, 0, 0, 0, 0, 0.0),
            ("sac", 0, "usual", 0, 0, 0, 0, 36, 0.0),
        ],
        columns=["algorithm", "seed", "start", "east", "north", "west", "south", "none", "return"],
    )
    text = verdict(TASKS["multigoal"], table)
    assert text.startswith("all 4 in 1 of 2 seeds") and "east 0.62" in text and "none 0.00" in text


def test_the_command_trains_counts_and_continues(tmp_path, capsys):
    out, paths = tmp_path / "a.csv", tmp_path / "b.csv"
    few = ["--seeds", "2", "--episodes", "20", "--keep", "3", "--iterations", "5", "--no-progress"]
    run = ["visits", "bandit", "--out", str(out), "--paths", str(paths), "--algorithms", "ddpg", *few]
    assert main(run) == 0
    table, kept = pd.read_csv(out), pd.read_csv(paths)
    assert len(table) == 2 and set(table["seed"]) == {0, 1}
    assert (table[list(TASKS["bandit"].outcomes)].sum(axis=1) == 20).all()
    assert kept["episode"].nunique() == 3
    first = out.read_text()
    assert "ddpg: all 4 in" in capsys.readouterr().out
    assert main(run) == 0 and out.read_text() == first and capsys.readouterr().out == ""


ALL_ABLATIONS = [(task, label) for task in ABLATIONS for label in ABLATIONS[task]]


@pytest.mark.parametrize(("task", "label"), ALL_ABLATIONS)
def test_an_ablation_changes_what_it_says(task, label):
    """Fields that exist, values that differ from the row's own settings; the label names the rest."""
    ablation = ABLATIONS[task][label]
    given, cls = settings(TASKS[task], ablation.algorithm), get(ablation.algorithm)
    defaults = {name: setting.default for name, setting in settings_of(cls).items()}
    assert label.startswith(ablation.algorithm)
    assert set(ablation.change) <= set(defaults) | {"iterations", "warmup"}
    assert all((defaults | given)[field] != value for field, value in ablation.change.items())
    assert ("exact critic" in label) == ablation.exact_critic
    assert ("exact sampler" in label) == ablation.exact_sampler
    assert ablation.change or ablation.exact_critic or ablation.exact_sampler


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_temperature_of_the_softmax_that_is_aimed_at(name):
    """By the settings of a fresh state; DDSQ's is a share of the spread of Q; three methods have none of their own."""
    algo = built(get(name), get(name).presets["small"] | {"hidden_sizes": (8,)})
    obs, action = jnp.ones(2), jnp.zeros(2)

    @jax.jit
    def fresh():
        state = algo.init(jax.random.key(0), obs, action)
        return state, softmax_temperature(algo, state, obs, 0.7)

    state, found = fresh()
    if name in ("lql", "nclql", "dacer", "aca") or algo.temperature is None:
        assert found == np.float32(0.7)
    elif name == "ddsq":
        grid = np.stack(np.meshgrid(*[np.linspace(-0.99, 0.99, 100)] * 2), -1).reshape(-1, 2)
        spread = np.std(jax.jit(jax.vmap(state.critic.network.at(obs)))(grid.astype(np.float32)))
        np.testing.assert_allclose(found, algo.temperature.value * spread, rtol=0.1)
    else:
        np.testing.assert_allclose(found, algo.temperature.value, rtol=1e-6)
    assert algo.adjustable == (name in ("lql", "nclql", "ddsq", "malaq", "dacer", "aca"))
    if algo.temperature is not None:
        np.testing.assert_allclose(algo.current_temperature(state), algo.temperature.value, rtol=1e-6)


def test_the_exact_sampler_samples_the_softmax_of_the_critic():
    """On a known landscape: mean value against quadrature, for the temperature that the state has learned."""
    env, algo = Bandit(), get("malaq")(hidden_sizes=(8,), temperature=0.1)
    state = jax.tree.map(lambda x: np.asarray(x)[0], exact_states(algo, env, 1, 3, 4))
    keys, landscape = jax.random.split(jax.random.key(1), 2000), landscapes.get("bandit")

    @jax.jit
    def values_at(log_scale):
        now = replace(state, temperature=replace(state.temperature, log_scale=log_scale))
        actions = jax.vmap(lambda key: ResampledPolicy(algo, 9.0, num=2048).policy(now, jnp.ones(1), key))(
            keys
        )
        return jax.vmap(landscape)(actions)

    exact = []
    for log_scale in (0.0, 1.0):
        values = np.asarray(values_at(log_scale))
        exact.append(Boltzmann(landscape, 0.1 * np.exp(log_scale), 2, panels=16).mean_value)
        assert abs(values.mean() - exact[-1]) < 5 * values.std() / np.sqrt(len(values))
    # the factor of the second law is seen: the first is far from it
    assert abs(exact[0] - exact[1]) > 0.05


def test_a_snapshot_is_written_and_not_redone(tmp_path, capsys):
    """Paths of two moments that differ, the deterministic policy's one move; a second call does nothing."""
    run = [
        "visits",
        "bandit",
        "--portrait",
        str(tmp_path / "b"),
        "--iterations",
        "20",
        "--algorithms",
        "ddpg",
    ]
    assert main(run) == 0
    during, moves, critics = (pd.read_csv(tmp_path / f"b-{part}.csv") for part in PARTS)
    assert (during.groupby("updates")["episode"].nunique() == 20).all()
    ends = during[during["step"] == 1].groupby("updates")[["x", "y"]].agg(["min", "max"])
    assert list(ends.index) == [2, 6, 20] and ends["x"]["min"].nunique() >= 2
    assert (ends["x"]["min"] == ends["x"]["max"]).all()
    assert len(moves) == 300 and moves["dx"].nunique() == 1
    assert abs(moves["dx"][0] - ends["x"]["min"][20]) <= 0.006
    assert len(critics) == RESOLUTION
    assert "ddpg: done" in capsys.readouterr().out
    assert main(run) == 0 and capsys.readouterr().out == ""


def test_moves_and_critic_at_a_place():
    """The stored grid is the critic's, cell by cell; a dial that is turned up gives hotter moves."""
    env, algo = MultiGoal(), get("malaq")(hidden_sizes=(8,), temperature=0.02)
    state = jax.jit(algo.init)(jax.random.key(0), jnp.zeros(2), jnp.zeros(2))
    critic = ExactCritic(landscapes.get("bandit"))
    state = replace(state, critic=Learner(critic, (), critic))
    moves, critic = inspect_state(TASKS["multigoal"], "malaq", algo, state, env, (2.5, -2.5), 400)
    middles = critic.columns[5:].astype(float).to_numpy()
    np.testing.assert_allclose(middles, critic["dy"], atol=1e-4)
    np.testing.assert_allclose(np.diff(middles), 2 / RESOLUTION, atol=2e-4)
    values_of = jax.jit(jax.vmap(landscapes.get("bandit")))
    action = np.array([[critic.columns[5 + 30], critic["dy"][7]]], np.float32)
    np.testing.assert_allclose(critic.iloc[7, 5 + 30], values_of(action)[0], atol=1e-3)
    assert set(critic["x"]) == {2.5} and set(critic["y"]) == {-2.5}
    np.testing.assert_allclose(critic["temperature"], 0.02, rtol=1e-6)
    values = values_of(moves[["dx", "dy"]].to_numpy(np.float32))
    mean = pd.Series(values).groupby(moves["factor"].to_numpy()).mean()
    assert list(mean.index) == sorted(FACTORS) and mean.is_monotonic_decreasing and np.ptp(mean) > 0.02


@pytest.mark.parametrize("name", ["ddsq", "nclql", "sql"])
def test_exact_states_act_on_the_landscape(name):
    """Each seed's critic is the landscape, also as a chain asks for it, and the policy runs on it."""
    env = Bandit()
    algo = built(get(name), get(name).presets["small"] | {"hidden_sizes": (8,)})
    states = exact_states(algo, env, 2, 3, 4)
    state = jax.tree.map(lambda x: np.asarray(x)[1], states)
    obs, action = jnp.ones(1), jnp.array([0.3, -0.6])

    @jax.jit
    def found(state, key):
        slope = state.critic.network.at(obs).slope(action, 0, "mean")
        return state.critic.network(obs, action), slope, algo.policy(state, obs, key)

    values, found_slope, act = found(state, jax.random.key(0))
    expected, slope = jax.jit(jax.value_and_grad(lambda a: env.step(jnp.zeros(2), a)[2]))(action)
    np.testing.assert_allclose(values, np.full(2, expected), rtol=1e-6)
    np.testing.assert_allclose(found_slope, slope, rtol=1e-5)
    assert np.abs(act).max() <= 1


@pytest.mark.parametrize(("task", "numbers"), [("bandit", {4, 10}), ("multigoal", {10}), ("maze", {10})])
def test_stored_ablations_are_whole(task, numbers):
    table = pd.read_csv(f"results/{task}-variants.csv")
    outcomes = list(TASKS[task].outcomes)
    assert table.columns.tolist() == ["algorithm", "seed", "start", *outcomes, "return"]
    assert table[outcomes].sum(axis=1).unique().tolist() == [200]
    assert set(table["algorithm"]) == set(ABLATIONS[task])
    seeds = table.groupby("algorithm")["seed"].unique()
    assert {len(found) for found in seeds} == numbers
    assert all(sorted(found) == list(range(len(found))) for found in seeds)


def test_stored_snapshots_are_whole():
    """Every method, each moment; the grid is complete and the deterministic policy's moves are all the same."""
    during, moves, critics = (pd.read_csv(f"results/multigoal-{part}.csv") for part in PARTS)
    for table in (during, moves, critics):
        assert list(dict.fromkeys(table["algorithm"])) == list(MEASURED)
    assert set(during["updates"]) == {250, 750, 2500}
    assert critics.shape == (9 * 2 * RESOLUTION, 5 + RESOLUTION)
    count = moves.groupby(["algorithm", "x", "factor"]).size()
    assert (count == 300).all() and len(count) == 2 * (4 * len(FACTORS) + 5)
    assert (moves[moves["algorithm"] == "ddpg"].groupby("x")[["dx", "dy"]].nunique() == 1).all(axis=None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bandits", "--out", "a.csv"], "Did you mean 'bandit'"),
        (["--out", "a.csv"], "name a task"),
        (["maze", "--out", "a.txt"], "name a file that ends in .csv"),
        (["maze", "--portrait", "a", "--out", "a.csv"], "name one of --out"),
        (["maze"], "name one of --out"),
        (["maze", "--portrait", "a", "--variants"], "leave --variants, --paths and --test-kwargs out"),
        (["multigoal", "--out", "a.csv", "--test-kwargs", "blocked=up"], "unknown blocked 'up'"),
        (["maze", "--out", "a.csv", "--test-kwargs", "blocked=all"], "unexpected keyword argument 'blocked'"),
        (["maze", "--out", "a.csv", "--iterations", "0"], "at least 1"),
        (["maze", "--out", "a.csv", "--seeds", "0"], "at least 1"),
        (["maze", "--out", "a.csv", "--variants", "--algorithms", "sac"], "maze has no variants of sac"),
        (["maze", "--out", "a.csv", "--algorithms", "sacc"], "Did you mean 'sac'"),
        (["all", "--out", "a.csv"], "softq visits all writes into a folder that exists"),
        (["all"], "softq visits all writes into a folder that exists"),
        (["all", "--out", ".", "--variants"], "softq visits all takes no --variants"),
        (["al", "--out", "."], "Did you mean 'all'"),
        (["pointmaze", "--out", "a.csv"], 'pip install "softq[robotics]"'),
        (["pointmaze", "--portrait", "a"], "--portrait does not look at pointmaze"),
        (["pointmaze", "--out", "a.csv", "--variants"], "pointmaze has no variants"),
    ],
)
def test_bad_input_is_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "softq.envs.point_maze", None)  # as if the extra were missing
    monkeypatch.delitem(gym.registry, "softq/PointMaze-v0", raising=False)
    assert main(["visits", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "file", "episodes"),
    [
        ("bandit", "bandit-modes", 200),
        ("maze", "maze-visits", 200),
        ("multigoal", "multigoal-modes", 200),
        ("pointmaze", "pointmaze-visits", 50),
    ],
)
def test_stored_counts_are_whole(task, file, episodes):
    """Each training counted the same number of episodes; the deterministic policy has one answer from one start."""
    table = pd.read_csv(f"results/{file}.csv")
    outcomes = list(TASKS[task].outcomes)
    assert table.columns.tolist() == ["algorithm", "seed", "start", *outcomes, "return"]
    assert table[outcomes].sum(axis=1).unique().tolist() == [episodes]
    assert not table.duplicated(["algorithm", "seed", "start"]).any() and set(table["algorithm"]) <= set(
        ALGORITHMS
    )
    ddpg = table[(table["algorithm"] == "ddpg") & (table["start"] == "fixed")]
    assert len(ddpg) and (ddpg[outcomes].max(axis=1) == episodes).all()
