"""Our environments through Gymnasium: its own checker, the same numbers as the JAX version, a picture."""

import gymnasium as gym
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import softq.envs.gym_ids
from softq.envs import JAX_ENVS, make
from softq.utils.errors import SoftqError

IDS = [f"softq/{name}-v0" for name in JAX_ENVS]


def test_all_are_registered():
    assert set(softq.envs.gym_ids.REGISTERED) == set(JAX_ENVS)
    softq.envs.gym_ids.register()  # twice does no harm
    assert set(IDS) <= set(gym.registry)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("env_id", IDS)
def test_gymnasiums_checker_accepts_it(env_id):
    check_env(gym.make(env_id, render_mode="rgb_array", disable_env_checker=True).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_steps_are_those_of_the_jax_version(env_id):
    env, plain = gym.make(env_id, render_mode="rgb_array"), make(env_id[6:-3])
    obs, _ = env.reset(seed=3)
    again, _ = gym.make(env_id).reset(seed=3)
    np.testing.assert_array_equal(obs, again)
    state, rng = env.unwrapped.state, np.random.default_rng(0)
    for _ in range(3):
        action = rng.uniform(-1, 1, plain.action_dim).astype(np.float32)
        state, expected, reward, terminated, _ = plain.step(state, jnp.asarray(action))
        obs, got, ended, _, _ = env.step(action)
        np.testing.assert_allclose(obs, expected, atol=1e-6)
        assert got == pytest.approx(float(reward), abs=1e-5) and ended == bool(terminated)
        if ended:
            break
    picture = env.render()
    assert picture.shape == (240, 240, 3) and picture.dtype == np.uint8 and len(np.unique(picture)) > 2


def test_the_ball_is_where_the_state_says():
    env = gym.make("softq/Maze-v0", render_mode="rgb_array")
    env.reset(seed=0)
    for _ in range(12):
        env.step(np.array([1.0, 0.0], np.float32))
    ball = np.argwhere((env.render() == softq.envs.gym_ids.BALL).all(-1)).mean(0)
    x, y = np.asarray(env.unwrapped.state.position)
    np.testing.assert_allclose(ball, [(2.5 - y) * 48 - 0.5, (x + 2.5) * 48 - 0.5], atol=1.0)


def test_bad_input_is_one_line():
    with pytest.raises(SoftqError, match="choose 'rgb_array' or None"):
        softq.envs.gym_ids.MazeGym(render_mode="human")
    with pytest.raises(SoftqError, match="before reset"):
        softq.envs.gym_ids.MazeGym().step(np.zeros(2, np.float32))
    with pytest.raises(SoftqError, match="Did you mean 'Maze'"):
        make("Mase")
