"""The bandit of NC-LQL's Appendix C.1 as an environment: one state, one step, eight modes, four of them better."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from softq import landscapes
from softq.utils.pytree import pytree, static

Action = Float[Array, " action_dim"]


@pytree
class Bandit:
    """The reward is the landscape's value at the action and the episode ends at once, so Q is the reward.

    The observation is the constant 1, for an actor's first layer to have something to see. One environment; `vmap`
    outside. Any landscape will do: `Bandit("twomode2")`.
    """

    landscape: str = static(default="bandit")

    obs_dim = 1
    max_steps = 1

    @property
    def action_dim(self) -> int:
        return landscapes.get(self.landscape).dim

    def reset(self, key: Array) -> tuple[Action, Float[Array, "1"]]:
        """The only state: `(state, obs)`; the state remembers the last action."""
        return jnp.zeros(self.action_dim), jnp.ones(1)

    def step(
        self, state: Action, action: Action, key: Array | None = None
    ) -> tuple[Action, Float[Array, "1"], Float[Array, ""], Bool[Array, ""], Bool[Array, ""]]:
        """`(state, obs, reward, terminated, truncated)` after `action`, which is clipped to [-1, 1]."""
        action = jnp.clip(action, -1.0, 1.0)
        reward = landscapes.get(self.landscape)(action)
        return action, jnp.ones(1), reward, jnp.ones((), bool), jnp.zeros((), bool)

    def reset_to(self, position: Action) -> tuple[Action, Float[Array, "1"]]:
        """The only state; `position` is the remembered action."""
        return position, jnp.ones(1)

    def where(self, state: Action) -> Action:
        """The last action `(action_dim,)`."""
        return state
