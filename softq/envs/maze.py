"""A ball in a maze with two goals, after DQS (Section 5.1, Figure 2): which goal does a policy reach, by which path?

The paper describes the task without numbers: a ball that starts near the centre, a force as the action, position and
velocity as the state, goals in the top left and the bottom right corner, two paths to the first. The layout and the
constants below are softq's. The environment is pure JAX, so that a whole training is one compiled program.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from softq.utils.pytree import pytree, static

# '#' is a wall, 'A' and 'B' are goals; a cell has side 1, and the origin is the centre of the layout
LAYOUT = (
    "A....",
    ".#.#.",
    ".....",
    ".###.",
    "....B",
)
HALF = len(LAYOUT) / 2  # from the centre to a border, in cells
TOUCH = 1e-5  # distance in cells below which the ball touches a wall
# outcomes of an episode: the goal and the corridor that led to it, see `Maze.route`
ROUTES = ("A_left", "A_top", "B_right", "B_bottom", "none")


def cells(letter: str) -> np.ndarray:
    """Centres `(n, 2)` of the cells of `LAYOUT` with this letter; x grows to the right and y upwards."""
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
    """Position and velocity of the ball, and the number of steps since the episode began."""

    position: Array  # (2,), in cells
    velocity: Array  # (2,), in cells per second
    step: Array


@pytree
class Maze:
    """The reward of a step is minus the distance to the nearer goal, in cells; only the time limit ends an episode.

    The observation `(4,)` is position and velocity, each scaled to about [-1, 1]. The ball is computed as a point among
    walls that are thicker by its radius; at a wall it loses the velocity towards the wall. A step is shorter than walls
    are thick and corridors are wide, so the ball cannot pass through a wall, and meets at most one. This is a single
    environment, and `jax.vmap` makes several of it. `step` never resets.
    """

    force: float = 10.0  # acceleration by an action of 1, in cells / s^2
    damping: float = 2.0  # rate at which friction slows the ball, in 1 / s
    max_speed: float = 4.0  # largest speed of each coordinate, in cells / s
    dt: float = 0.1  # duration of a step, in s
    radius: float = 0.15  # radius of the ball, in cells
    start_std: float = 0.1  # standard deviation of each coordinate of the start, in cells
    max_steps: int = static(default=50)  # time limit of an episode, in steps

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
        """`(state, obs)` of a ball that rests at a random place near the centre."""
        return self.reset_to(self.start_std * jax.random.normal(key, (2,)))

    def reset_to(self, position: Float[Array, "2"]) -> tuple[MazeState, Float[Array, "4"]]:
        """`(state, obs)` of a ball that rests at `position` `(2,)`, clipped to [-0.3, 0.3] cells."""
        state = MazeState(jnp.clip(position, -0.3, 0.3), jnp.zeros(2), jnp.zeros((), jnp.int32))
        return state, self.observe(state)

    def observe(self, state: MazeState) -> Float[Array, "4"]:
        """Position and velocity, scaled to about [-1, 1]: `(4,)`."""
        return jnp.concatenate([state.position / HALF, state.velocity / self.max_speed])

    def where(self, state: MazeState) -> Float[Array, "2"]:
        """Position of the ball `(2,)`, in cells."""
        return state.position

    def step(
        self, state: MazeState, action: Float[Array, "2"], key: Array | None = None
    ) -> tuple[MazeState, Float[Array, "4"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """`(state, obs, reward, terminated, truncated)` after `action` `(2,)`; the motion is deterministic."""
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
        """Position `(2,)` after a step at `velocity` `(2,)`, and the velocity that walls leave; in cells and seconds.

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

        # a wall can stop a coordinate only if the ball overlaps it in the other one; an overlap below TOUCH is
        # rounding, so that a ball which touches a wall slides along it
        beside = apart[:, ::-1] < reach - TOUCH
        wanted = start + self.dt * velocity[None]
        alone = stopped(wanted, beside & (low >= start - TOUCH), beside & (high <= start + TOUCH))

        corner = jnp.all(jnp.abs(walls - alone) < reach - TOUCH, 1, keepdims=True)
        speed = jnp.abs(alone - start)
        # when each face is passed, in units in which the step ends at prod(speed)
        passes = jnp.maximum(apart - reach, 0.0) * speed[:, ::-1]
        later, faster = passes - passes[:, ::-1], speed - speed[:, ::-1]
        stops = corner & jnp.where(jnp.abs(later) > TOUCH * jnp.prod(speed), later > 0, faster < TOUCH)
        kept = stopped(alone, stops & (alone < walls), stops & (alone > walls))
        return kept[0], jnp.where(kept == wanted, velocity[None], 0.0)[0]

    def route(self, path: Float[Array, "time 2"]) -> Int[Array, ""]:
        """The route that `path`, positions `(time, 2)`, took to a goal, as an index into `ROUTES`.

        The route is named after the corridor to that goal which the ball was in last. A path that does not end at a
        goal, or never was in a corridor to it, has the last index, "none".
        """
        goal = self.nearest_goal(path[-1])
        # a corridor is the part of an outer row or column that has a wall beside it, this far to either side
        inner = 0.5
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
        """Index of the goal less than `within` cells from `position` `(2,)`, or -1 when there is none."""
        distance = jnp.linalg.norm(position[None] - self.goals, axis=-1)
        return jnp.where(jnp.min(distance) < within, jnp.argmin(distance), -1)
