"""A ball in a maze with two goals (DQS Section 5.1, Figure 2): which goal, and by which path?

The paper gives the ingredients and no numbers: a ball that starts near the centre, a force as the action, position and
velocity as the state, goals in the top left and the bottom right corner, two paths to the first. The layout, the masses
and the times below are ours. Pure JAX: a whole training is one compiled program.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from softq.utils.pytree import pytree, static

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
    thicker by its radius; at a wall it loses the velocity towards it. A step is shorter than walls are thick and
    corridors are wide, so it cannot pass through a wall and meets at most one. One environment; `vmap` outside. `step`
    never resets.
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
    def walls(self) -> Float[Array, "n 2"]:
        """Centres of the inner walls, `(n, 2)`; each is a square of side 1."""
        return jnp.asarray(WALLS)

    @property
    def goals(self) -> Float[Array, "2 2"]:
        """Positions of the two goals, `(2, 2)`: top left, bottom right."""
        return jnp.asarray(GOALS)

    def reset(self, key: Array) -> tuple[MazeState, Float[Array, "4"]]:
        """A start at rest near the centre: `(state, obs)`."""
        return self.reset_to(self.start_std * jax.random.normal(key, (2,)))

    def reset_to(self, position: Float[Array, "2"]) -> tuple[MazeState, Float[Array, "4"]]:
        """A start at rest at a chosen position, which is kept within half a cell of the centre's row and column."""
        state = MazeState(jnp.clip(position, -0.3, 0.3), jnp.zeros(2), jnp.zeros((), jnp.int32))
        return state, self.observe(state)

    def observe(self, state: MazeState) -> Float[Array, "4"]:
        return jnp.concatenate([state.position / HALF, state.velocity / self.max_speed])

    def where(self, state: MazeState) -> Float[Array, "2"]:
        """Position `(2,)`."""
        return state.position

    def step(
        self, state: MazeState, action: Float[Array, "2"], key: Array | None = None
    ) -> tuple[MazeState, Float[Array, "4"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """`(state, obs, reward, terminated, truncated)` after `action`; the dynamics is deterministic."""
        action = jnp.clip(action, -1.0, 1.0)
        velocity = state.velocity + self.dt * (self.force * action - self.damping * state.velocity)
        velocity = jnp.clip(velocity, -self.max_speed, self.max_speed)
        position, velocity = self.slide(state.position, velocity)
        new = MazeState(position, velocity, state.step + 1)
        reward = -jnp.min(jnp.linalg.norm(position[None] - self.goals, axis=-1))
        return new, self.observe(new), reward, jnp.zeros((), bool), new.step >= self.max_steps

    def slide(
        self, position: Float[Array, "2"], velocity: Float[Array, "2"]
    ) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
        """Position and velocity `(2,)` after one step at `velocity`, less what walls take from it.

        Both coordinates are judged from where the step begins, so none has precedence: the motion in the maze's mirror
        image is the mirror image of the motion. A coordinate stops at a face that it would meet alone. If neither
        would, but both together end inside a wall, the ball has met a corner and stops at the face that it passes
        last; at the tip of the corner the slower coordinate stops, or both if they are equally fast.
        """
        reach, limit = 0.5 + self.radius, HALF - self.radius
        walls, start = self.walls, position[None]  # (n, 2) and (1, 2)
        low, high, apart = walls - reach, walls + reach, jnp.abs(walls - start)

        def stopped(at: Array, from_below: Array, from_above: Array) -> Array:
            ceiling = jnp.min(jnp.where(from_below, low, limit), 0, keepdims=True)
            floor = jnp.max(jnp.where(from_above, high, -limit), 0, keepdims=True)
            return jnp.clip(at, floor, ceiling)

        # a ball that touches a wall slides along it: what rounding puts into the wall does not count
        beside = apart[:, ::-1] < reach - TOUCH  # in the other coordinate
        wanted = start + self.dt * velocity[None]
        alone = stopped(wanted, beside & (low >= start - TOUCH), beside & (high <= start + TOUCH))

        corner = jnp.all(jnp.abs(walls - alone) < reach - TOUCH, 1, keepdims=True)
        speed = jnp.abs(alone - start)
        passes = jnp.maximum(apart - reach, 0.0) * speed[:, ::-1]  # when each face is; prod(speed) is the end
        later, faster = passes - passes[:, ::-1], speed - speed[:, ::-1]
        stops = corner & jnp.where(jnp.abs(later) > TOUCH * jnp.prod(speed), later > 0, faster < TOUCH)
        kept = stopped(alone, stops & (alone < walls), stops & (alone > walls))
        return kept[0], jnp.where(kept == wanted, velocity[None], 0.0)[0]

    def route(self, path: Float[Array, "time 2"]) -> Int[Array, ""]:
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

    def nearest_goal(self, position: Float[Array, "2"], within: float = 0.5) -> Int[Array, ""]:
        """Index of the goal that `position` `(2,)` is in, -1 for none."""
        distance = jnp.linalg.norm(position[None] - self.goals, axis=-1)
        return jnp.where(jnp.min(distance) < within, jnp.argmin(distance), -1)
