"""The maze: its dynamics against a plain loop in float64, walls that hold, two goals and the paths to them."""

import itertools
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softq.envs import Maze, make
from softq.envs.maze import GOALS, HALF, LAYOUT, WALLS
from softq.utils.pytree import pytree

step = jax.jit(Maze().step)


def test_the_layout_has_two_goals_and_solid_walls():
    assert len(LAYOUT) == len(LAYOUT[0]) == 5
    np.testing.assert_array_equal(GOALS, [[-2, 2], [2, -2]])  # top left, bottom right
    letters = "".join(LAYOUT)
    assert letters.count("#") == len(WALLS) and letters.count("A") == letters.count("B") == 1


def by_hand(env, position, velocity, action):
    """One step with walls found by trying: each coordinate alone, then both together, on a fine straight path.

    A coordinate that meets a wall alone stops there. Where only both together meet one, the last that came beside the
    wall stops.
    """
    velocity = np.clip(velocity + env.dt * (env.force * action - env.damping * velocity), -4, 4)
    shares, reach = np.linspace(0, 1, 4001)[:, None], 0.5 + env.radius

    def free(path):
        inside = (np.abs(path) <= HALF - env.radius + 1e-6).all(-1)
        return inside & ~(np.abs(path[:, None] - WALLS) < reach - 1e-5).all(-1).any(-1)

    def up_to_a_wall(path, axis):
        met = ~free(path)
        if met.any():
            velocity[axis] = 0.0
            return path[met.argmax() - 1, axis]
        return path[-1, axis]

    both = position + shares * env.dt * velocity
    end = np.array([up_to_a_wall(np.where(np.arange(2) == axis, both, position), axis) for axis in (0, 1)])
    both = position + shares * (end - position)
    if not free(both)[-1]:
        wall = WALLS[(np.abs(end - WALLS) < reach - 1e-5).all(-1)][0]
        first_beside = (np.abs(both - wall) < reach).argmax(0)
        axis = first_beside.argmax()
        end[axis], velocity[axis] = both[first_beside[axis] - 1, axis], 0.0
    return end, velocity


def test_steps_equal_a_search_for_the_first_wall(key):
    env = Maze()
    state, _ = jax.jit(env.reset)(key)
    position, velocity = np.asarray(state.position, float), np.zeros(2)
    hits = 0
    for t, k in enumerate(jax.random.split(key, 300)):
        # the same push for ten steps, so that the ball travels and runs into things
        if t % 10 == 0:
            action = jax.random.uniform(k, (2,), minval=-1.0)
        state, obs, reward, *_ = step(state, action)
        position, velocity = by_hand(env, position, velocity, np.asarray(action, float))
        np.testing.assert_allclose(state.position, position, atol=2e-4)
        np.testing.assert_allclose(state.velocity, velocity, atol=2e-3)
        hits += (velocity == 0).any()
        np.testing.assert_allclose(obs, np.concatenate([position / HALF, velocity / 4]), atol=1e-3)
        assert float(reward) == pytest.approx(-np.linalg.norm(position - GOALS, axis=1).min(), abs=1e-3)
        position, velocity = np.asarray(state.position, float), np.asarray(state.velocity, float)
    assert hits > 20, "the walls were met"


def test_no_wall_can_be_passed(key):
    """A thousand balls under random and violent pushes are never inside a wall nor outside the maze."""
    env = Maze()

    @jax.jit
    def pushed(state, key):
        return jax.vmap(env.step)(state, jnp.sign(jax.random.normal(key, (1000, 2))))

    state, _ = jax.jit(jax.vmap(env.reset))(jax.random.split(key, 1000))
    for k in jax.random.split(key, 100):
        state, *_ = pushed(state, k)
        p = np.asarray(state.position)
        inside = (np.abs(p[:, None] - WALLS) < 0.5 + env.radius - 1e-4).all(-1).any(-1)
        assert not inside.any() and np.abs(p).max() <= HALF - env.radius + 1e-5


SQUARE = [np.array([[a, b], [c, d]]) for a, b, c, d in itertools.product((-1, 0, 1), repeat=4)]
SQUARE = [g for g in SQUARE if (np.abs(g).sum(0) == 1).all() and (np.abs(g).sum(1) == 1).all()]


@cache
def movable(base):
    """The maze of class `base` with walls and goals that are given: one program serves them all."""

    @pytree
    class Movable(base):
        walls: np.ndarray = None
        goals: np.ndarray = None

    return Movable


def moved(base, g, gone=()):
    """The maze of class `base` whose walls, without those in `gone`, and goals are moved by the matrix `g`."""
    left = np.array([w for w in WALLS if tuple(w) not in gone])
    return movable(base)(walls=np.asarray(left @ g.T, float), goals=np.asarray(GOALS @ g.T, float))


def same(first, second):
    """Whether two lists of points are one set."""
    return {tuple(p) for p in np.asarray(first)} == {tuple(p) for p in np.asarray(second)}


def test_the_symmetries_of_the_map():
    """Of the eight of the square, walls keep two, goals four, both together one; without the middle wall, four."""
    identity = np.eye(2)
    maps = [moved(Maze, g) for g in SQUARE]
    walls, goals = [same(m.walls, WALLS) for m in maps], [same(m.goals, GOALS) for m in maps]
    both = [g for g, w, m in zip(SQUARE, walls, goals, strict=True) if w and m]
    assert len(SQUARE) == 8 and sum(walls) == 2 and sum(goals) == 4
    np.testing.assert_array_equal(both, [identity])
    middle = [(0.0, -1.0)]
    whole = moved(Maze, identity, middle)
    kept = [m for m in (moved(Maze, g, middle) for g in SQUARE) if same(m.walls, whole.walls)]
    assert len(kept) == 8 and sum(same(m.goals, GOALS) for m in kept) == 4


@jax.jit
def trajectories(env, starts, actions):
    """Positions `(n, time, 2)` and returns `(n,)` from `starts` `(n, 2)`, under `actions` `(n, time, 2)`."""

    def one(start, actions):
        def move(state, action):
            state, _, reward, *_ = env.step(state, action)
            return state, (state.position, reward)

        _, (path, rewards) = jax.lax.scan(move, env.reset_to(start)[0], actions)
        return path, rewards.sum()

    return jax.vmap(one)(starts, actions)


@partial(jax.jit, static_argnums=2)
def drawn(start_key, push_key, num):
    """`num` starts, and as many times 12 pushes, each held for five steps: the ball runs into walls and corners."""
    starts = 0.1 * jax.random.normal(start_key, (num, 2))
    pushes = jax.random.uniform(push_key, (num, 12, 2), minval=-1.5, maxval=1.5)
    return starts, jnp.repeat(pushes, 5, axis=1)


def differences(base, key, num=500):
    """How far `g` of a trajectory is from the trajectory in the maze moved by `g`, for all symmetries of the square.

    In double precision: whether a corner is met must not depend on rounding. Returns `(8, num)` for paths and for
    returns.
    """
    with jax.enable_x64(True):
        starts, actions = map(np.asarray, drawn(*jax.random.split(key), num))
        path, total = map(np.asarray, trajectories(moved(base, np.eye(2)), starts, actions))
        found = []
        for g in SQUARE:
            path_g, total_g = map(np.asarray, trajectories(moved(base, g), starts @ g.T, actions @ g.T))
            found.append((np.abs(path_g - path @ g.T).max((1, 2)), np.abs(total_g - total)))
        return [np.stack(part) for part in zip(*found, strict=True)]


@pytree
class XFirst(Maze):
    """A wrong rule: x moves first, y from where x has stopped."""

    def slide(self, position, velocity):
        right = jnp.array([1.0, 0.0])
        position, first = Maze.slide(self, position, velocity * right)
        position, second = Maze.slide(self, position, velocity * (1 - right))
        return position, first + second


@pytree
class XFirstAtCorners(Maze):
    """A wrong rule: x moves first where only both coordinates together meet a wall."""

    def slide(self, position, velocity):
        alone = [Maze.slide(self, position, velocity * axis)[1] for axis in jnp.eye(2)]
        end, left = Maze.slide(self, position, velocity)
        corner = jnp.any(left != sum(alone))
        return jax.tree.map(partial(jnp.where, corner), XFirst.slide(self, position, velocity), (end, left))


@pytree
class NoWalls(Maze):
    """A wrong rule: the frame only."""

    def slide(self, position, velocity):
        limit = HALF - self.radius
        return jnp.clip(position + self.dt * velocity, -limit, limit), velocity


def test_the_mirror_image_of_a_trajectory_is_a_trajectory_of_the_mirror_image(key):
    """Every turn and mirror of the square moves trajectories to trajectories, with equal returns."""
    paths, returns = differences(Maze, key)
    assert paths.max() < 1e-9 and returns.max() < 1e-8


@pytest.mark.parametrize(("rule", "least"), [(XFirst, 0.2), (XFirstAtCorners, 0.05)])
def test_a_rule_that_prefers_an_axis_is_found_out(rule, least, key):
    paths, returns = differences(rule, key)
    swaps = [g[0, 0] == 0 for g in SQUARE]  # those that exchange the axes
    assert (paths[swaps] > 1e-3).mean() > least and (returns[swaps] > 1e-3).mean() > least
    assert paths[np.logical_not(swaps)].max() < 1e-9, "the others do not exchange the axes"


def test_random_trajectories_meet_walls_and_corners(key):
    """What the test of symmetry rests on: without walls, and with another rule at corners, many paths differ."""
    starts, actions = drawn(key, key, 500)
    path, of_no_walls, of_another_rule = (
        np.asarray(trajectories(env, starts, actions)[0]) for env in (Maze(), NoWalls(), XFirstAtCorners())
    )
    for other in (of_no_walls, of_another_rule):
        differs = np.abs(other - path).max((1, 2)) > 1e-3
        assert differs.mean() > 0.1


def test_a_push_straight_at_a_goal_ends_at_the_tip_of_a_corner_until_one_coordinate_is_faster():
    env = Maze()
    state, _ = env.reset_to(jnp.zeros(2))
    for _ in range(20):
        state, *_ = step(state, np.float32([-1.0, 1.0]))
    tip = -0.5 + env.radius
    np.testing.assert_allclose(state.position, [tip, -tip], atol=1e-5)
    np.testing.assert_array_equal(state.velocity, 0.0)
    for action, axis in (([-1.0, 0.9], 0), ([-0.9, 1.0], 1)):
        after, *_ = step(state, np.float32(action))
        assert abs(np.subtract(after.position, state.position)[axis]) > 0.05
        assert np.asarray(after.velocity)[1 - axis] == 0


# directions per leg, each held until the ball has crossed the maze
PATHS = {
    "A by the left": ((-1, 0), (0, 1)),
    "A by the top": ((0, 1), (-1, 0)),
    "B": ((1, 0), (0, -1)),
}


@pytest.mark.parametrize("name", PATHS)
def test_each_path_leads_to_its_goal_in_time(name):
    env = Maze()
    state, _ = env.reset_to(jnp.zeros(2))
    for steps, (direction, _) in enumerate(itertools.product(PATHS[name], range(40)), 1):
        state, _, _, terminated, truncated = step(state, np.float32(direction))
        assert not bool(terminated) and bool(truncated) == (steps >= env.max_steps)
    assert int(env.nearest_goal(state.position)) == "AB".index(name[0])


def test_the_way_straight_down_is_closed():
    env = Maze()
    state, _ = env.reset_to(jnp.zeros(2))
    for _ in range(40):
        state, *_ = step(state, np.float32([0.0, -1.0]))
    assert float(state.position[1]) == pytest.approx(-0.5 + env.radius, abs=1e-5)
    assert int(env.nearest_goal(state.position)) == -1


def test_it_is_made_by_name():
    assert isinstance(make("maze"), Maze)
