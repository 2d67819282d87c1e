"""The maze: its dynamics against a plain loop in float64, walls that hold, two goals and the paths to them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softq.envs import Maze, make
from softq.envs.maze import GOALS, HALF, LAYOUT, WALLS


def test_the_layout_has_two_goals_and_solid_walls():
    assert len(LAYOUT) == len(LAYOUT[0]) == 5
    np.testing.assert_array_equal(GOALS, [[-2, 2], [2, -2]])  # top left, bottom right
    letters = "".join(LAYOUT)
    assert letters.count("#") == len(WALLS) and letters.count("A") == letters.count("B") == 1


def by_hand(env, position, velocity, action):
    """One step with walls found by trying: the ball stops at the last point, on a fine path, that is free."""
    velocity = np.clip(velocity + env.dt * (env.force * action - env.damping * velocity), -4, 4)
    position, reach = position.copy(), 0.5 + env.radius

    def free(p):
        inside = np.abs(p) <= HALF - env.radius + 1e-6
        return inside.all() and not (np.abs(WALLS - p) < reach - 1e-5).all(1).any()

    for axis in (0, 1):
        start, length = position[axis], env.dt * velocity[axis]
        for share in np.linspace(0, 1, 4001):
            trial = position.copy()
            trial[axis] = start + share * length
            if not free(trial):
                velocity[axis] = 0.0
                break
            position[axis] = trial[axis]
    return position, velocity


def test_steps_equal_a_search_for_the_first_wall(key):
    env = Maze()
    step = jax.jit(env.step)
    state, _ = env.reset(key)
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
    reset, step = jax.vmap(env.reset), jax.jit(jax.vmap(env.step))
    state, _ = reset(jax.random.split(key, 1000))
    for k in jax.random.split(key, 100):
        state, *_ = step(state, jnp.sign(jax.random.normal(k, (1000, 2))))
        p = np.asarray(state.position)
        inside = (np.abs(p[:, None] - WALLS) < 0.5 + env.radius - 1e-4).all(-1).any(-1)
        assert not inside.any() and np.abs(p).max() <= HALF - env.radius + 1e-5


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
    step = jax.jit(env.step)
    for steps, (direction, _) in enumerate(itertools.product(PATHS[name], range(40)), 1):
        state, _, _, terminated, truncated = step(state, jnp.array(direction, jnp.float32))
        assert not bool(terminated) and bool(truncated) == (steps >= env.max_steps)
    assert int(env.nearest_goal(state.position)) == "AB".index(name[0])


def test_the_way_straight_down_is_closed():
    env = Maze()
    state, _ = env.reset_to(jnp.zeros(2))
    for _ in range(40):
        state, *_ = env.step(state, jnp.array([0.0, -1.0]))
    assert float(state.position[1]) == pytest.approx(-0.5 + env.radius, abs=1e-5)
    assert int(env.nearest_goal(state.position)) == -1


def test_it_is_made_by_name():
    assert isinstance(make("maze"), Maze)
