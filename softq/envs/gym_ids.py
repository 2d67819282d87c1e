"""The JAX environments under Gymnasium ids: softq/Bandit-v0, softq/MultiGoal-v0 and softq/Maze-v0.

They serve agents of other libraries, and they can be rendered: after `import softq.envs.gym_ids`,
`gymnasium.make("softq/Maze-v0")` works. `softq train --env Maze` uses the JAX environment directly, which is faster.
"""

import abc
from typing import Any, ClassVar

import gymnasium as gym
import jax
import numpy as np

from softq.envs import maze
from softq.envs.bandit import Bandit
from softq.envs.maze import Maze
from softq.envs.multigoal import SIDES, MultiGoal
from softq.utils.errors import SoftqError

SIZE = 240  # side of a rendered picture, in pixels
GROUND, WALL, GOAL, BALL = (250, 250, 250), (90, 96, 104), (0, 119, 187), (224, 112, 10)


class Picture:
    """A picture of the square [-reach, reach]^2 as pixels `(SIZE, SIZE, 3)`, uint8, with y upwards."""

    def __init__(self, reach: float):
        self.pixels = np.full((SIZE, SIZE, 3), GROUND, np.uint8)
        line = (np.arange(SIZE) + 0.5) / SIZE * 2 * reach - reach
        self.x, self.y = np.meshgrid(line, line[::-1])

    def disc(self, centre: np.ndarray, radius: float, colour: tuple[int, int, int]) -> None:
        """Paint a disc about `centre` `(2,)`; lengths are in units of the square, `colour` is RGB from 0 to 255."""
        self.pixels[(self.x - centre[0]) ** 2 + (self.y - centre[1]) ** 2 < radius**2] = colour

    def box(self, centre: np.ndarray, half: Any, colour: tuple[int, int, int]) -> None:
        """Paint a box about `centre` `(2,)` with sides of 2 `half`, a number or `(2,)`; `colour` is RGB up to 255."""
        across, up = np.broadcast_to(half, 2)
        self.pixels[(abs(self.x - centre[0]) < across) & (abs(self.y - centre[1]) < up)] = colour


class JaxGym(gym.Env, abc.ABC):
    """A JAX environment behind Gymnasium's interface.

    A subclass sets `env`, the JAX environment, and `bound`, the largest size of an observed coordinate, and paints the
    state. Raises `SoftqError` when `step` is called before `reset`.
    """

    # pyrefly: ignore[bad-override] - Gymnasium calls it an attribute of the instance, and reads that of the class
    metadata: ClassVar[dict] = {"render_modes": ["rgb_array"], "render_fps": 20}
    env: ClassVar[Any]
    bound: ClassVar[float]

    def __init__(self, render_mode: str | None = None, **settings: Any):
        """`settings` are fields of the JAX environment. Raises `SoftqError` for an unknown `render_mode`."""
        if settings:
            # pyrefly: ignore[read-only] - of this instance alone
            self.env = type(self.env)(**settings)
        if render_mode not in (None, "rgb_array"):
            raise SoftqError(f"render_mode is {render_mode!r}; choose 'rgb_array' or None.")
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(-self.bound, self.bound, (self.env.obs_dim,), np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (self.env.action_dim,), np.float32)
        self._reset, self._step = jax.jit(self.env.reset), jax.jit(self.env.step)
        self.state: Any = None

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.state, obs = self._reset(jax.random.key(int(self.np_random.integers(2**31))))
        return np.asarray(obs, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        if self.state is None:
            raise SoftqError("step was called before reset; call env.reset() first.")
        self.state, obs, reward, terminated, truncated = self._step(
            self.state, np.asarray(action, np.float32)
        )
        return np.asarray(obs, np.float32), float(reward), bool(terminated), bool(truncated), {}

    def render(self) -> np.ndarray | None:
        return self.paint() if self.render_mode == "rgb_array" else None

    @abc.abstractmethod
    def paint(self) -> np.ndarray:
        """A picture of the present state, `(SIZE, SIZE, 3)`, uint8."""


class BanditGym(JaxGym):
    """The bandit; its picture shows the last action on the landscape, where darker is higher."""

    env, bound = Bandit(), 1.0

    def paint(self) -> np.ndarray:
        from softq import landscapes
        from softq.exact.values import evaluate

        picture = Picture(1.0)
        points = np.stack([picture.x, picture.y], -1).reshape(-1, 2)
        value = evaluate(landscapes.get(self.env.landscape), points).reshape(SIZE, SIZE)
        shade = (255 - 160 * (value - value.min()) / np.ptp(value)).astype(np.uint8)
        picture.pixels[:] = shade[..., None]
        picture.disc(np.asarray(self.state), 0.04, BALL)
        return picture.pixels


class MultiGoalGym(JaxGym):
    """Multigoal; its picture shows the point, the four goals and the walls."""

    env, bound = MultiGoal(), 7.0

    def paint(self) -> np.ndarray:
        picture = Picture(self.env.bound)
        for goal in np.asarray(self.env.goals):
            picture.disc(goal, self.env.goal_radius, GOAL)
        for side, goal in zip(SIDES, np.asarray(self.env.goals) / self.env.goal_distance, strict=True):
            if self.env.blocked in (side, "all"):
                half = np.where(goal == 0, self.env.wall_length / 2, 0.06)
                picture.box(goal * self.env.wall_distance, half, WALL)
        picture.disc(np.asarray(self.state.position), 0.25, BALL)
        return picture.pixels


class MazeGym(JaxGym):
    """The maze; its picture shows the ball, the walls and the two goals."""

    env, bound = Maze(), 1.0

    def paint(self) -> np.ndarray:
        picture = Picture(maze.HALF)
        for wall in maze.WALLS:
            picture.box(wall, 0.5, WALL)
        for goal in maze.GOALS:
            picture.disc(goal, 0.3, GOAL)
        picture.disc(np.asarray(self.state.position), self.env.radius, BALL)
        return picture.pixels


REGISTERED = {"Bandit": BanditGym, "MultiGoal": MultiGoalGym, "Maze": MazeGym}


def register() -> None:
    """Register the environments of `REGISTERED` with Gymnasium; an id that is registered already is left alone."""
    for name, cls in REGISTERED.items():
        if f"softq/{name}-v0" not in gym.registry:
            gym.register(f"softq/{name}-v0", entry_point=cls, max_episode_steps=cls.env.max_steps)


register()
