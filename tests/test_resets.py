"""No stored transition leads from one episode into another: the replay of the real loops, and loops that do wrong."""

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from collected import applied, check_rows, collected, limited, pendulum

from softq.envs import Bandit, Maze
from softq.envs.gym_vector import GymVector
from softq.envs.maze import HALF, MazeState


def nothing(rows):
    """No step at all: `(steps, num_envs)`."""
    return np.zeros(rows.reward.shape, bool)


def test_multigoal():
    """Episodes end near a goal, or by a time limit."""
    rows = collected("MultiGoal", steps=60, goal_radius=3.5, max_steps=6)
    goals = np.array([[5, 0], [-5, 0], [0, 5], [0, -5]], float)
    there = (np.linalg.norm(rows.next_obs[..., None, :] - goals, axis=-1) < 3.5).any(-1)
    ends = limited(there, 6)
    assert there.sum() > 3 and (ends & ~there).sum() > 3
    check_rows(rows, ends, there, lambda obs, action: np.clip(obs + action, -7, 7))


def test_maze():
    rows = collected("Maze", max_steps=6)
    step = jax.jit(Maze().step)

    def after(obs, action):
        position, velocity = np.float32(obs[:2] * HALF), np.float32(obs[2:] * 4)
        state = MazeState(jnp.array(position), jnp.array(velocity), jnp.zeros((), jnp.int32))
        return step(state, jnp.array(action, jnp.float32))[1]

    check_rows(rows, limited(nothing(rows), 6), nothing(rows), after, lambda obs: (obs[..., 2:] == 0).all(-1))


def test_bandit():
    """Each row is an episode with one observation, so the reward says whether its action was made."""
    rows = collected("Bandit", steps=10)
    reward = jax.jit(jax.vmap(lambda action: Bandit().step(jnp.zeros(2), action)[2]))
    np.testing.assert_allclose(rows.reward.ravel(), reward(np.float32(rows.action.reshape(-1, 2))), atol=1e-6)
    np.testing.assert_array_equal(rows.discount, 0)


def test_gymnasium_until_its_time_limit():
    rows = collected("Pendulum-v1", max_episode_steps=7)
    check_rows(rows, limited(nothing(rows), 7), nothing(rows), pendulum)


def test_gymnasium_until_a_fall():
    """The inverted pendulum has fallen at an angle of more than 0.2, and starts within 0.01 of rest."""
    rows = collected("InvertedPendulum-v5", steps=120)
    fallen = abs(rows.next_obs[..., 1]) > 0.2
    check_rows(rows, fallen, fallen, starts=lambda obs: (abs(obs) <= 0.01).all(-1))


@pytest.mark.parametrize("mode", [gym.vector.AutoresetMode.NEXT_STEP, gym.vector.AutoresetMode.SAME_STEP])
def test_a_vector_that_resets_itself_is_found_out(mode, monkeypatch):
    """With the row that ignores its action, and with a successor from the next episode."""
    init = GymVector.__init__

    def resetting(self, *args, **kwargs):
        init(self, *args, **kwargs)
        envs = self.vector.envs
        self.vector = gym.vector.SyncVectorEnv([lambda env=env: env for env in envs], autoreset_mode=mode)

    def reset(self, done=None, step=0):
        if done is None:
            self.seen, _ = self.vector.reset(seed=self.seeds_at(step))
        return self.seen

    def step(self, action):
        self.seen, reward, *ends, _ = self.vector.step(self.rescale(action))
        return self.seen, np.array(reward, np.float32), *ends

    monkeypatch.setattr(GymVector, "__init__", resetting)
    monkeypatch.setattr(GymVector, "reset", reset)
    monkeypatch.setattr(GymVector, "step", step)
    rows = collected("Pendulum-v1", max_episode_steps=7)
    with pytest.raises(AssertionError, match="a row begins where"):
        check_rows(rows, limited(nothing(rows), 7), nothing(rows), pendulum)
    # whatever the lengths of the episodes are, some successor is not that of its action
    ends = np.concatenate([(rows.obs[1:] != rows.next_obs[:-1]).any(-1), nothing(rows)[:1]])
    wrong = abs(applied(pendulum, rows) - rows.next_obs).max(-1) > 1e-3
    assert wrong.sum() >= 3 * 4 and not ends.any()
