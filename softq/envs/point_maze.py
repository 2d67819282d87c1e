"""The maze of DQS's released code as softq/PointMaze-v0: a ball pushed through a maze to a goal that it does not see.

The code (vineetjain96/Diffusion_Q_Sampling) gives its own map to Gymnasium-Robotics' PointMaze_Medium_Diverse_G-v3. At
the start of an episode that library draws the goal from the two cells "g"; the reward is 1 for each step that ends
near it and 0 otherwise. The agent sees the ball's position and velocity only, so each of the two goals is right half
of the time: these are the two modes. No episode ends but by the time limit. Importing this module needs the extra
`robotics`. softq's own `Maze` shows both goals and has a dense reward.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium_robotics.envs.maze.point_maze import PointMazeEnv

# '1' is a wall, 'g' a goal, 'r' the start; a cell has side 1, and the ball starts within 0.25 of the middle of 'r'
MAP = (
    "111111111",
    "1g0000101",
    "101100101",
    "100000101",
    "1000r0001",
    "101000001",
    "101100101",
    "1000011g1",
    "111111111",
)


class HiddenGoal(gym.ObservationWrapper):
    """Of the parts of the observation the position and the velocity of the ball only, `(4,)`."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        space: Any = env.observation_space
        self.observation_space = space["observation"]

    def observation(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        return observation["observation"]


def point_maze(**options: Any) -> gym.Env:
    """DQS's maze; `options` are settings of Gymnasium-Robotics' PointMazeEnv."""
    cells = [[int(cell) if cell in "01" else cell for cell in row] for row in MAP]
    return HiddenGoal(PointMazeEnv(**{"maze_map": cells, "reward_type": "sparse"} | options))


gym.register("softq/PointMaze-v0", entry_point=point_maze, max_episode_steps=600)
