"""A critic that is known, and an actor fitted to it: one state, no Bellman equation, nothing learned but the actor.

What is left of an actor's error is then its own: its family of laws, its objective, its optimiser.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from softq.landscapes import Landscape
from softq.pytree import pytree, replace, static


@pytree
class Known:
    """The landscape in every state, with the face of a pair of equal critics."""

    landscape: Landscape = static()

    @property
    def action_dim(self) -> int:
        return self.landscape.dim

    def at(self, obs: Array) -> Landscape:
        return self.landscape

    def __call__(self, obs: Array, action: Array) -> Array:
        return jnp.full(2, self.landscape(action))


def fit(algo: Any, landscape: Landscape, key: Array, num_steps: int, batch_size: int) -> Any:
    """The state of `algo` after `num_steps` of its `improve` on a known critic, with `batch_size` draws in each.

    `improve(state, obs, key)` returns the new state and metrics; SAC, DDPG and SQL have it. The one observation is
    `ones(1)`: not zero, at which every fresh network gives the same action. `vmap` over keys or hyper-parameters.
    """
    obs = jnp.ones((batch_size, 1))
    first, rest = jax.random.split(key)
    state = algo.init(first, obs[0], jnp.zeros(landscape.dim))
    state = replace(state, critic=Known(landscape))

    def step(state: Any, t: Array) -> tuple[Any, None]:
        return algo.improve(state, obs, jax.random.fold_in(rest, t))[0], None

    return jax.lax.scan(step, state, jnp.arange(num_steps))[0]
