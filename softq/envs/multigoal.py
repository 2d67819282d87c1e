"""Multigoal: a point on a plane, four goals, and no reason to prefer one of them (SQL Section 5.1).

The constants are those of SQL's released environment; the paper gives none but the horizon. Pure JAX: a whole
training is one compiled program.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from softq.utils.pytree import pytree, static


@pytree
class MultiGoalState:
    """Where the point is, and how many steps it has taken."""

    position: Array  # (2,)
    step: Array


@pytree
class MultiGoal:
    """A move is the action itself, at most 1 per coordinate. Reward: minus the squared distance to the nearest goal,
    minus a price for moving, plus a bonus on arrival, which ends the episode.

    Observations are positions in [-7, 7]^2. One environment; `vmap` outside. `step` never resets: the observation it
    returns is the true successor.
    """

    action_cost: float = 30.0
    distance_cost: float = 1.0
    goal_reward: float = 10.0
    goal_distance: float = 5.0
    goal_radius: float = 1.0
    start_std: float = 0.1
    bound: float = 7.0
    max_steps: int = static(default=20)

    obs_dim = 2
    action_dim = 2

    @property
    def goals(self) -> Float[Array, "4 2"]:
        """Positions of the four goals, `(4, 2)`: east, west, north, south."""
        return self.goal_distance * jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])

    def reset(self, key: Array) -> tuple[MultiGoalState, Float[Array, "2"]]:
        """A start near the origin: `(state, obs)`."""
        return self.reset_to(self.start_std * jax.random.normal(key, (2,)))

    def reset_to(self, position: Float[Array, "2"]) -> tuple[MultiGoalState, Float[Array, "2"]]:
        """A start at a chosen position."""
        return MultiGoalState(position, jnp.zeros((), jnp.int32)), position

    def where(self, state: MultiGoalState) -> Float[Array, "2"]:
        """Position `(2,)`."""
        return state.position

    def step(
        self, state: MultiGoalState, action: Float[Array, "2"], key: Array | None = None
    ) -> tuple[MultiGoalState, Float[Array, "2"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """`(state, obs, reward, terminated, truncated)` after `action`; the dynamics is deterministic."""
        action = jnp.clip(action, -1.0, 1.0)
        position = jnp.clip(state.position + action, -self.bound, self.bound)
        squared = jnp.min(jnp.sum((position[None] - self.goals) ** 2, axis=-1))
        terminated = squared < self.goal_radius**2
        reward = -self.action_cost * jnp.sum(action**2) - self.distance_cost * squared
        reward = reward + jnp.where(terminated, self.goal_reward, 0.0)
        new = MultiGoalState(position, state.step + 1)
        return new, position, reward, terminated, new.step >= self.max_steps

    def nearest_goal(self, position: Float[Array, "2"]) -> Int[Array, ""]:
        """Index of the goal that `position` `(2,)` has reached, -1 for none."""
        squared = jnp.sum((position[None] - self.goals) ** 2, axis=-1)
        return jnp.where(jnp.min(squared) < self.goal_radius**2, jnp.argmin(squared), -1)
