"""Multigoal, a point on a plane with four equally good goals (SQL, Section 5.1).

The constants are those of SQL's released environment; of these the paper gives the horizon only. The environment is
pure JAX, so that a whole training is one compiled program.

`blocked` puts walls across the straight ways from the origin to goals. A policy that was trained without walls is
tested with them: does it reach another goal, or the same one round the wall? Walls and rule are those of the released
environment of S2AC (Messaoud et al. 2024), which blocks the way north.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from softq.utils.fields import name
from softq.utils.pytree import pytree, static

SIDES = ("east", "west", "north", "south")  # where the goals are, in their order


@pytree
class MultiGoalState:
    """Position of the point, and the number of steps since the episode began."""

    position: Array  # (2,)
    step: Array


@pytree
class MultiGoal:
    """Each action moves the point by itself, at most 1 per coordinate, until it arrives at a goal.

    The reward of a step is minus `distance_cost` times the squared distance to the nearest goal, minus `action_cost`
    times the squared length of the action, plus `goal_reward` on arrival, which ends the episode. The observation is
    the position, in [-bound, bound]^2. This is a single environment, and `jax.vmap` makes several of it. `step` never
    resets, so that the observation it returns is the true successor.
    """

    action_cost: float = 30.0
    distance_cost: float = 1.0
    goal_reward: float = 10.0
    goal_distance: float = 5.0  # from the origin to each goal
    goal_radius: float = 1.0  # distance from a goal below which the point has arrived
    start_std: float = 0.1  # standard deviation of each coordinate of the start
    bound: float = 7.0  # largest size of a coordinate of the position
    wall_distance: float = 3.0  # from the origin to each wall
    wall_length: float = 3.0  # of each wall; its middle is on the straight way to the goal
    max_steps: int = static(default=20)  # time limit of an episode, in steps
    blocked: str = name("none", "The goals behind a wall: one side, all, or none.", ("none", *SIDES, "all"))

    obs_dim = 2
    action_dim = 2

    @property
    def goals(self) -> Float[Array, "4 2"]:
        """Positions of the four goals, `(4, 2)`: east, west, north, south."""
        return self.goal_distance * jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])

    def reset(self, key: Array) -> tuple[MultiGoalState, Float[Array, "2"]]:
        """`(state, obs)` at a random start near the origin."""
        return self.reset_to(self.start_std * jax.random.normal(key, (2,)))

    def reset_to(self, position: Float[Array, "2"]) -> tuple[MultiGoalState, Float[Array, "2"]]:
        """`(state, obs)` at a start at `position` `(2,)`."""
        return MultiGoalState(position, jnp.zeros((), jnp.int32)), position

    def where(self, state: MultiGoalState) -> Float[Array, "2"]:
        """Position of the point `(2,)`."""
        return state.position

    def step(
        self, state: MultiGoalState, action: Float[Array, "2"], key: Array | None = None
    ) -> tuple[MultiGoalState, Float[Array, "2"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """`(state, obs, reward, terminated, truncated)` after `action` `(2,)`; the motion is deterministic."""
        action = jnp.clip(action, -1.0, 1.0)
        position = jnp.clip(state.position + action, -self.bound, self.bound)
        position = jnp.where(self.meets_wall(state.position, position), state.position, position)
        squared = jnp.min(jnp.sum((position[None] - self.goals) ** 2, axis=-1))
        terminated = squared < self.goal_radius**2
        reward = -self.action_cost * jnp.sum(action**2) - self.distance_cost * squared
        reward = reward + jnp.where(terminated, self.goal_reward, 0.0)
        new = MultiGoalState(position, state.step + 1)
        return new, position, reward, terminated, new.step >= self.max_steps

    def meets_wall(self, start: Float[Array, "2"], end: Float[Array, "2"]) -> Bool[Array, ""]:
        """Whether the straight move from `start` `(2,)` to `end` `(2,)` meets a wall; such a move is not made.

        A wall is a segment across the way to its goal, both ends included. A point on its line counts as beyond it, so
        that a point which has stopped there can leave outwards.
        """
        if self.blocked == "none":
            return jnp.zeros((), bool)
        there = jnp.array([self.blocked in (side, "all") for side in SIDES])
        ahead = self.goals / self.goal_distance
        aside = ahead[:, ::-1]
        before, after = (ahead @ point - self.wall_distance for point in (start, end))
        passes = (before < 0) != (after < 0)
        share = before / jnp.where(passes, before - after, 1.0)  # of the move, at which it passes the line
        where = aside @ start + share * (aside @ (end - start))
        return jnp.any(there & passes & (jnp.abs(where) <= self.wall_length / 2))

    def nearest_goal(self, position: Float[Array, "2"]) -> Int[Array, ""]:
        """Index into `goals` of the goal at which `position` `(2,)` has arrived, or -1 when there is none."""
        squared = jnp.sum((position[None] - self.goals) ** 2, axis=-1)
        return jnp.where(jnp.min(squared) < self.goal_radius**2, jnp.argmin(squared), -1)
