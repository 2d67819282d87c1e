"""Counting what policies visit: outcomes of paths drawn by hand, rollouts of a known policy, the command."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from softq.algorithms import ALGORITHMS, get
from softq.cli import main
from softq.envs import Bandit, Maze, MultiGoal, make
from softq.envs.maze import ROUTES
from softq.options import fields_from
from softq.pytree import pytree
from softq.training import TrainConfig
from softq.visits import VARIANTS, WORLDS, count, exact_states, settings, tidy_paths, travel, verdict

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytree
class Towards:
    """Push in one direction for ever."""

    direction: jax.Array

    def policy(self, state, obs, key):
        return self.direction


def ends(*points):
    """Paths that jump to these points."""
    return jnp.array([[(0.0, 0.0), point] for point in points])


def test_modes_of_the_bandit():
    half = 0.5**0.5
    paths = ends(
        (half, 0), (0, half), (-half, 0.1), (0, -half), (0.5, 0.5), (-0.5, -0.5), (0, 0), (half - 0.2, 0)
    )
    np.testing.assert_array_equal(count(WORLDS["bandit"], Bandit(), paths), [1, 1, 1, 1, 2, 2])


def test_high_modes_are_higher():
    """The four that are counted as high are, each, and the others are the low ones."""
    env, world = Bandit(), WORLDS["bandit"]
    for k in range(8):
        angle = jnp.pi / 4 * k
        action = jnp.array([jnp.cos(angle), jnp.sin(angle)]) * 0.5**0.5
        reward = float(env.step(jnp.zeros(2), action)[2])
        counts = count(world, env, ends(tuple(action)))
        assert (counts[:4].sum() == 1) == (reward > 0.9) and (counts[4] == 1) == (reward < 0.6)


def test_goals_of_multigoal():
    paths = ends((4.5, 0), (0, 4.5), (-5, 0.5), (0.2, -5), (3, 0), (0, 4.2))
    np.testing.assert_array_equal(count(WORLDS["multigoal"], MultiGoal(), paths), [1, 2, 1, 1, 1])


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
    assert ROUTES[int(Maze().route(jnp.array(points, jnp.float32)))] == route


def test_rollouts_equal_a_plain_loop():
    """The path, frozen after the end, and the return of a policy that always goes east."""
    env, algo = MultiGoal(), Towards(jnp.array([1.0, 0.0]))
    paths, returns = travel(algo, None, env, jax.random.key(0), 3, True)
    x = np.minimum(np.arange(21.0), 5.0)  # at distance 1 the goal is not yet reached
    np.testing.assert_allclose(paths, np.broadcast_to(np.stack([x, 0 * x], 1), (3, 21, 2)), atol=1e-6)
    expected = -30 * 5 - (16 + 9 + 4 + 1 + 0) + 10
    np.testing.assert_allclose(returns, expected, rtol=1e-6)
    usual, _ = travel(algo, None, env, jax.random.key(0), 3, False)
    assert len(np.unique(np.asarray(usual)[:, 0], axis=0)) == 3


def test_stored_paths_end_where_the_path_does():
    path = np.stack([np.minimum(np.arange(21.0), 5.0), np.zeros(21)], 1)
    table = tidy_paths("sac", jnp.asarray(path[None]), 3)
    assert table["step"].tolist() == [0, 3, 5] and table["x"].tolist() == [0, 3, 5]


@pytest.mark.parametrize("world", WORLDS)
def test_every_algorithm_has_settings(world):
    """They are fields of the training or of the algorithm, none is lost, and the environment is the world's."""
    for name in ALGORITHMS:
        given = settings(WORLDS[world], name)
        cls = get(name)
        algo, config = cls(**fields_from(given, cls)), TrainConfig(**fields_from(given, TrainConfig))
        lost = set(given) - set(cls.__dataclass_fields__) - set(TrainConfig.__dataclass_fields__)
        assert lost <= {"temperature", "reward_scale"}, lost
        assert algo.hidden_sizes == (64, 64) and config.iterations == WORLDS[world].iterations
    assert make(WORLDS[world].env_id).action_dim == 2


def test_verdict_counts_seeds_that_visit_everything():
    table = pd.DataFrame(
        [
            ("sac", 0, "fixed", 9, 9, 9, 9, 0, 0.0),
            ("sac", 1, "fixed", 36, 0, 0, 0, 0, 0.0),
            ("sac", 0, "usual", 0, 0, 0, 0, 36, 0.0),
        ],
        columns=["algorithm", "seed", "start", "east", "north", "west", "south", "none", "return"],
    )
    text = verdict(WORLDS["multigoal"], table)
    assert text.startswith("all 4 in 1 of 2 seeds") and "east 0.62" in text and "none 0.00" in text


def test_the_command_trains_counts_and_continues(tmp_path, capsys):
    out, paths = tmp_path / "a.csv", tmp_path / "b.csv"
    few = ["--seeds", "2", "--episodes", "20", "--keep", "3", "--iterations", "5", "--no-progress"]
    run = ["visits", "bandit", "--out", str(out), "--paths", str(paths), "--algorithms", "ddpg", *few]
    assert main(run) == 0
    table, kept = pd.read_csv(out), pd.read_csv(paths)
    assert len(table) == 2 and set(table["seed"]) == {0, 1}
    assert (table[list(WORLDS["bandit"].outcomes)].sum(axis=1) == 20).all()
    assert kept["episode"].nunique() == 3
    first = out.read_text()
    assert "ddpg: all 4 in" in capsys.readouterr().out
    assert main(run) == 0 and out.read_text() == first and capsys.readouterr().out == ""


@pytest.mark.parametrize("label", VARIANTS)
def test_a_variant_changes_what_it_says(label):
    """Fields that exist, values that differ from the row's own settings."""
    name, _, change = VARIANTS[label]
    given, cls = settings(WORLDS["bandit"], name), get(name)
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    assert label.startswith(name) and set(change) <= set(defaults) | {"iterations"}
    assert all((defaults | given)[field] != value for field, value in change.items())


@pytest.mark.parametrize("name", ["ddsq", "nclql", "sql"])
def test_exact_states_act_on_the_landscape(name):
    """Each seed's critic is the landscape, also as a chain asks for it, and the policy runs on it."""
    env = Bandit()
    algo = get(name)(hidden_sizes=(8,), **get(name).small)
    states = exact_states(algo, env, 2, 3, 4)
    state = jax.tree.map(lambda x: x[1], states)
    action = jnp.array([0.3, -0.6])
    expected = env.step(jnp.zeros(2), action)[2]
    np.testing.assert_allclose(state.critic(jnp.ones(1), action), jnp.full(2, expected), rtol=1e-6)
    slope = jax.grad(lambda a: env.step(jnp.zeros(2), a)[2])(action)
    np.testing.assert_allclose(state.critic.at(jnp.ones(1)).slope(action, 0, "mean"), slope, rtol=1e-5)
    assert np.abs(jax.jit(algo.policy)(state, jnp.ones(1), jax.random.key(0))).max() <= 1


def test_stored_variants_are_whole():
    table = pd.read_csv("results/bandit-variants.csv")
    outcomes = list(WORLDS["bandit"].outcomes)
    assert table.columns.tolist() == ["algorithm", "seed", "start", *outcomes, "return"]
    assert table[outcomes].sum(axis=1).unique().tolist() == [200]
    assert (
        set(table["algorithm"]) == set(VARIANTS) and (table.groupby("algorithm")["seed"].nunique() == 4).all()
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bandits", "--out", "a.csv"], "Did you mean 'bandit'"),
        (["--out", "a.csv"], "name a world"),
        (["maze", "--out", "no/such/a.csv"], "folder that exists"),
        (["maze", "--out", "a.csv", "--seeds", "0"], "at least 1"),
        (["maze", "--out", "a.csv", "--variants"], "--variants are of the bandit"),
        (["maze", "--out", "a.csv", "--algorithms", "sacc"], "Did you mean 'sac'"),
    ],
)
def test_bad_input_is_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["visits", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("world", "file"), [("bandit", "bandit-modes"), ("maze", "maze-visits"), ("multigoal", "multigoal-modes")]
)
def test_stored_counts_are_whole(world, file):
    """Each training counted the same number of episodes; the deterministic policy has one answer from one start."""
    table = pd.read_csv(f"results/{file}.csv")
    outcomes = list(WORLDS[world].outcomes)
    assert table.columns.tolist() == ["algorithm", "seed", "start", *outcomes, "return"]
    assert table[outcomes].sum(axis=1).unique().tolist() == [200]
    assert not table.duplicated(["algorithm", "seed", "start"]).any() and set(table["algorithm"]) <= set(
        ALGORITHMS
    )
    ddpg = table[(table["algorithm"] == "ddpg") & (table["start"] == "fixed")]
    assert len(ddpg) and (ddpg[outcomes].max(axis=1) == 200).all()
