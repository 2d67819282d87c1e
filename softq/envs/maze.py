"""A ball in a maze with two goals (DQS Section 5.1, Figure 2): which goal, and by which path?

The paper gives the ingredients and no numbers: a ball that starts near the centre, a force as the action, position and
velocity as the state, goals in the top left and the bottom right corner, two paths to the first. The layout, the masses
and the times below are ours. Pure JAX: a whole training is one compiled program.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.pytree import pytree, static

# '#' is a wall, 'A' and 'B' are the goals; cells of side 1, the centre of the picture is the origin
LAYOUT = (
    "A....",
    ".#.#.",
    ".....",
    ".###.",
    "....B",
)
HALF = len(LAYOUT) / 2
TOUCH = 1e-5  # cells
ROUTES = ("A_left", "A_top", "B_right", "B_bottom", "none")  # goal and corridor; see `Maze.route`


def cells(letter: str) -> np.ndarray:
    """Centres of the cells with this letter, `(n, 2)`, x to the right and y upwards."""
    found = [
        (col, len(LAYOUT) - 1 - row)
        for row, line in enumerate(LAYOUT)
        for col, c in enumerate(line)
        if c == letter
    ]
    return np.array(found, np.float32) + 0.5 - np.float32(HALF)


WALLS = cells("#")
GOALS = np.concatenate([cells("A"), cells("B")])  # top left, bottom right


@pytree
class MazeState:
    """Where the ball is, how fast it moves, and how many steps it has made."""

    position: Array  # (2,), in cells
    velocity: Array  # (2,), in cells per second
    step: Array


@pytree
class Maze:
    """Reward: minus the distance to the nearer goal, at every step; episodes end by the time limit only.

    The observation is position and velocity, each scaled to about [-1, 1]. The ball is a point and the walls are
    thicker by its radius; at a wall it loses the velocity towards it. A step is shorter than a wall is thick, so it
    cannot pass through one. One environment; `vmap` outside. `step` never resets.
    """

    force: float = 10.0  # acceleration of a full action, cells / s^2
    damping: float = 2.0  # 1 / s
    max_speed: float = 4.0  # cells / s and coordinate
    dt: float = 0.1  # s
    radius: float = 0.15  # of the ball, cells
    start_std: float = 0.1
    max_steps: int = static(default=50)

    obs_dim = 4
    action_dim = 2

    @property
    def goals(self) -> Array:
        """Positions of the two goals, `(2, 2)`: top left, bottom right."""
        return jnp.asarray(GOALS)

    def reset(self, key: Array) -> tuple[MazeState, Array]:
        """A start at rest near the centre: `(state, obs)`."""
        return self.reset_to(self.start_std * jax.random.normal(key, (2,)))

    def reset_to(self, position: Array) -> tuple[MazeState, Array]:
        """A start at rest at a chosen position, which is kept within half a cell of the centre's row and column."""
        state = MazeState(jnp.clip(position, -0.3, 0.3), jnp.zeros(2), jnp.zeros((), jnp.int32))
        return state, self.observe(state)

    def observe(self, state: MazeState) -> Array:
        return jnp.concatenate([state.position / HALF, state.velocity / self.max_speed])

    def where(self, state: MazeState) -> Array:
        """Position `(2,)`."""
        return state.position

    def step(
        self, state: MazeState, action: Array, key: Array | None = None
    ) -> tuple[MazeState, Array, Array, Array, Array]:
        """`(state, obs, reward, terminated, truncated)` after `action`; the dynamics is deterministic."""
        action = jnp.clip(action, -1.0, 1.0)
        velocity = state.velocity + self.dt * (self.force * action - self.damping * state.velocity)
        velocity = jnp.clip(velocity, -self.max_speed, self.max_speed)
        position = state.position
        for axis in (0, 1):  # one coordinate after the other: the ball slides along a wall
            position, velocity = self.move(position, velocity, axis)
        new = MazeState(position, velocity, state.step + 1)
        reward = -jnp.min(jnp.linalg.norm(position[None] - self.goals, axis=-1))
        return new, self.observe(new), reward, jnp.zeros((), bool), new.step >= self.max_steps

    def move(self, position: Array, velocity: Array, axis: int) -> tuple[Array, Array]:
        """One coordinate of the motion: up to the first face in the way, where that velocity is lost."""
        other, reach = 1 - axis, 0.5 + self.radius
        walls = jnp.asarray(WALLS)
        # a ball that touches a wall slides along it: what rounding puts into the wall does not count
        beside = jnp.abs(walls[:, other] - position[other]) < reach - TOUCH
        before, after = position[axis], position[axis] + self.dt * velocity[axis]
        low, high = walls[:, axis] - reach, walls[:, axis] + reach
        limit = HALF - self.radius
        ceiling = jnp.min(jnp.where(beside & (low >= before - TOUCH), low, limit))
        floor = jnp.max(jnp.where(beside & (high <= before + TOUCH), high, -limit))
        kept = jnp.clip(after, floor, ceiling)
        speed = jnp.where(kept == after, velocity[axis], 0.0)
        return position.at[axis].set(kept), velocity.at[axis].set(speed)

    def route(self, path: Array) -> Array:
        """Which way `path` `(time, 2)` took: an index into `ROUTES`; the last one where it does not end at a goal.

        The way is told by the last of the two corridors to that goal that the ball was in.
        """
        goal = self.nearest_goal(path[-1])
        inner = 0.5  # a corridor is that part of an outer row or column that has a wall beside it
        corridors = (
            (path[:, 0] < -1.5) & (jnp.abs(path[:, 1] - 1.0) < inner),  # the left column, to A
            (path[:, 1] > 1.5) & (jnp.abs(path[:, 0] + 1.0) < inner),  # the top row, to A
            (path[:, 0] > 1.5) & (jnp.abs(path[:, 1] + 1.0) < inner),  # the right column, to B
            (path[:, 1] < -1.5) & (jnp.abs(path[:, 0] - 1.0) < inner),  # the bottom row, to B
        )
        time = 1 + jnp.arange(len(path))
        last = jnp.stack([jnp.max(time * inside) for inside in corridors]).reshape(2, 2)[goal]
        return jnp.where((goal < 0) | (jnp.max(last) == 0), 4, 2 * goal + jnp.argmax(last))

    def nearest_goal(self, position: Array, within: float = 0.5) -> Array:
        """Index of the goal that `position` `(2,)` is in, -1 for none."""
        distance = jnp.linalg.norm(position[None] - self.goals, axis=-1)
        return jnp.where(jnp.min(distance) < within, jnp.argmin(distance), -1)
