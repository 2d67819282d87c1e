"""Multigoal by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softq.envs.multigoal import MultiGoal
from softq.testing import THRESHOLD, mean_test
from softq.utils.errors import SoftqError

ENV = MultiGoal()


def step(position, action):
    """Reward and successor of one move from a chosen position."""
    state, _ = ENV.reset_to(jnp.array(position))
    return ENV.step(state, jnp.array(action))


def test_goals_of_the_paper():
    """DDSQ Figure 5: (-5, 0), (5, 0), (0, -5), (0, 5)."""
    assert {tuple(g) for g in np.asarray(ENV.goals).tolist()} == {(-5, 0), (5, 0), (0, -5), (0, 5)}


@pytest.mark.parametrize(
    ("position", "action", "successor", "reward", "terminated"),
    [
        # minus 30 |a|^2, minus the squared distance to the nearest goal from the successor
        ((0.0, 0.0), (0.5, 0.0), (0.5, 0.0), -30 * 0.25 - 4.5**2, False),
        ((0.0, 0.0), (0.0, -1.0), (0.0, -1.0), -30 - 16, False),
        ((1.0, 2.0), (0.5, 0.5), (1.5, 2.5), -30 * 0.5 - (1.5**2 + 2.5**2), False),
        ((3.5, 0.0), (1.0, 0.0), (4.5, 0.0), -30 - 0.25 + 10, True),
        ((-5.0, 0.5), (0.0, 0.0), (-5.0, 0.5), -0.25 + 10, True),
        ((0.0, 4.0), (0.0, 0.0), (0.0, 4.0), -1, False),  # the radius itself is outside
        ((6.5, -6.5), (1.0, -1.0), (7.0, -7.0), -60 - (2**2 + 7**2), False),  # the walls
        ((0.0, 0.0), (2.0, -3.0), (1.0, -1.0), -60 - (1 + 16), False),  # a move is at most 1
    ],
)
def test_dynamics_and_reward_by_hand(position, action, successor, reward, terminated):
    state, obs, r, done, truncated = step(position, action)
    np.testing.assert_allclose(obs, successor, atol=1e-6)
    np.testing.assert_array_equal(state.position, obs)
    assert float(r) == pytest.approx(reward, rel=1e-5)
    assert bool(done) is terminated
    assert not bool(truncated)
    assert obs.dtype == r.dtype == jnp.float32


@pytest.mark.parametrize(
    ("blocked", "position", "action", "made"),
    [
        # the wall of the north is the segment from (-1.5, 3) to (1.5, 3)
        ("north", (0.0, 2.5), (0.0, 1.0), False),
        ("none", (0.0, 2.5), (0.0, 1.0), True),
        ("all", (0.0, 2.5), (0.0, 1.0), False),
        ("south", (0.0, 2.5), (0.0, 1.0), True),
        ("north", (0.0, 2.5), (0.0, 0.25), True),  # ends before it
        ("north", (0.0, 2.5), (0.0, 0.5), False),  # ends on it
        ("north", (1.0, 2.5), (1.0, 1.0), False),  # passes its end, (1.5, 3), itself
        ("north", (1.125, 2.5), (1.0, 1.0), True),  # passes the line at 1.625, beside it
        ("north", (1.875, 2.5), (-1.0, 1.0), False),  # passes the line at 1.375
        ("north", (2.125, 2.5), (-1.0, 1.0), True),  # passes the line at 1.625, and is then above it
        ("north", (1.0, 3.5), (0.0, -1.0), False),  # nor inwards
        ("north", (1.0, 3.0), (0.0, 0.5), True),  # a point on it leaves outwards
        ("north", (1.0, 3.0), (0.0, -0.5), False),
        ("north", (1.0, 3.0), (0.5, 0.0), True),
        ("south", (-1.0, -2.5), (0.0, -1.0), False),
        ("east", (2.5, -1.0), (1.0, 0.0), False),
        ("east", (2.5, -1.0), (1.0, -1.0), False),  # ends beyond, passes at -1.5
        ("east", (2.5, -1.125), (1.0, -1.0), True),  # passes at -1.625
        ("west", (-2.5, 1.0), (-1.0, 0.0), False),
        ("west", (2.5, 1.0), (1.0, 0.0), True),
        ("all", (1.0, 1.0), (1.0, 1.0), True),
    ],
)
def test_moves_that_meet_a_wall_are_not_made_by_hand(blocked, position, action, made):
    env = MultiGoal(blocked=blocked)
    state, obs, reward, _, _ = env.step(env.reset_to(jnp.array(position))[0], jnp.array(action))
    end = np.add(position, action) if made else np.array(position)
    np.testing.assert_array_equal(obs, end)
    squared = ((np.asarray(ENV.goals) - end) ** 2).sum(1).min()
    arrived = 10.0 if squared < 1 else 0.0
    assert float(reward) == pytest.approx(-30 * np.sum(np.square(action)) - squared + arrived, rel=1e-5)
    assert int(state.step) == 1


def sides(start, end):
    """Whether two segments cross, by the signs of the areas of four triangles, in float64; `(n,)` of each wall."""
    cross = lambda a, b, c: (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    found = []
    for a, b in (
        ((-1.5, 3), (1.5, 3)),
        ((-1.5, -3), (1.5, -3)),
        ((3, -1.5), (3, 1.5)),
        ((-3, -1.5), (-3, 1.5)),
    ):
        found.append(
            cross(a, b, start) * cross(a, b, end) < 0 and cross(start, end, a) * cross(start, end, b) < 0
        )
    return found


def test_no_step_crosses_a_wall(key):
    """Many wild walks: a move is made exactly if its segment crosses none of the four, and in the open many would."""
    env = MultiGoal(blocked="all")
    starts, actions = (
        np.asarray(jax.random.uniform(k, (2000, 2), minval=-1.0)) for k in jax.random.split(key)
    )
    starts = np.where(np.arange(2)[None] == np.arange(2000)[:, None] % 2, 4.5 * starts, 2 * starts)
    states, _ = jax.vmap(env.reset_to)(jnp.asarray(starts))
    _, obs, *_ = jax.jit(jax.vmap(env.step))(states, jnp.asarray(actions))
    crossed = np.array([any(sides(s, s + a)) for s, a in zip(starts.astype(float), actions, strict=True)])
    np.testing.assert_allclose(obs, np.where(crossed[:, None], starts, starts + actions), atol=1e-6)
    assert 100 < crossed.sum() < 1000


def test_an_unknown_side_is_one_line():
    with pytest.raises(SoftqError, match="unknown blocked 'up'"):
        MultiGoal(blocked="up")


def test_time_limit_truncates_and_does_not_terminate():
    state, _ = ENV.reset_to(jnp.zeros(2))
    flags = []
    for _ in range(ENV.max_steps):
        state, _, _, terminated, truncated = ENV.step(state, jnp.array([0.01, 0.0]))
        flags.append((bool(terminated), bool(truncated)))
    assert flags == [(False, False)] * (ENV.max_steps - 1) + [(False, True)]


def test_the_four_goals_are_equal():
    """A quarter turn of position and action changes nothing but the observation."""
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    rng = np.random.default_rng(0)
    for _ in range(5):
        position, action = rng.uniform(-4, 4, 2), rng.uniform(-1, 1, 2)
        rewards = []
        for _ in range(4):
            rewards.append(float(step(position, action)[2]))
            position, action = turn @ position, turn @ action
        np.testing.assert_allclose(rewards, rewards[0], rtol=1e-5)


def test_reset_is_near_the_origin_and_depends_on_the_key(key):
    states, obs = jax.vmap(ENV.reset)(jax.random.split(key, 2000))
    np.testing.assert_array_equal(states.position, obs)
    assert int(states.step.max()) == 0
    assert mean_test(obs.ravel(), 0.0) > THRESHOLD
    assert mean_test((np.asarray(obs, float) / 0.1).ravel() ** 2, 1.0) > THRESHOLD


def test_the_goal_that_was_reached():
    for i, goal in enumerate(ENV.goals):
        assert int(ENV.nearest_goal(goal + 0.3)) == i
    assert int(ENV.nearest_goal(jnp.zeros(2))) == -1


def test_it_vmaps_and_scans(key):
    def episode(k):
        state, _ = ENV.reset(k)

        def move(state, key):
            action = jax.random.uniform(key, (2,), minval=-1, maxval=1)
            state, obs, reward, terminated, truncated = ENV.step(state, action, key)
            return state, (obs, reward, terminated, truncated)

        return jax.lax.scan(move, state, jax.random.split(k, ENV.max_steps))[1]

    obs, reward, _, truncated = jax.jit(jax.vmap(episode))(jax.random.split(key, 8))
    assert obs.shape == (8, ENV.max_steps, 2)
    assert bool(jnp.isfinite(reward).all())
    assert bool(truncated[:, -1].all())
