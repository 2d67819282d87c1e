"""The bandit of NC-LQL (Appendix C.1) as an environment: one state, one step, four high modes and four low ones."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from softq import landscapes
from softq.utils.pytree import pytree, static

Action = Float[Array, " action_dim"]


@pytree
class Bandit:
    """The reward is the value of a landscape at the action, and the episode ends after one step, so Q is the reward.

    The observation is the constant 1, `(1,)`: at 0 all fresh networks would return the same. `landscape` is a name that
    `softq.landscapes.get` knows. This is a single environment; `jax.vmap` makes several of it.
    """

    landscape: str = static(default="bandit")

    obs_dim = 1
    max_steps = 1

    @property
    def action_dim(self) -> int:
        """The dimension of the landscape."""
        return landscapes.get(self.landscape).dim

    def reset(self, key: Array) -> tuple[Action, Float[Array, "1"]]:
        """`(state, obs)` at the start of an episode: the state is the last action `(action_dim,)`, here zeros."""
        return jnp.zeros(self.action_dim), jnp.ones(1)

    def step(
        self, state: Action, action: Action, key: Array | None = None
    ) -> tuple[Action, Float[Array, "1"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """`(state, obs, reward, terminated, truncated)` after `action` `(action_dim,)`, which is clipped to [-1, 1]."""
        action = jnp.clip(action, -1.0, 1.0)
        reward = landscapes.get(self.landscape)(action)
        return action, jnp.ones(1), reward, jnp.ones((), bool), jnp.zeros((), bool)

    def reset_to(self, position: Action) -> tuple[Action, Float[Array, "1"]]:
        """`(state, obs)` at the start of an episode, with `position` `(action_dim,)` as the last action."""
        return position, jnp.ones(1)

    def where(self, state: Action) -> Action:
        """The last action `(action_dim,)`."""
        return state
