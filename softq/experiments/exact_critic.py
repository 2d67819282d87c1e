"""A critic that is known, and an actor fitted to it: one state, no Bellman equation, nothing learned but the actor.

What is left of an actor's error is then its own: its family of laws, its objective, its optimiser.
"""

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms import Algorithm, State, Transition
from softq.algorithms.common.learner import Learner
from softq.box import uniform_actions
from softq.landscapes import Landscape
from softq.utils.pytree import pytree, replace, static


@pytree
class ExactCritic:
    """`scale` times the landscape in every state, with the face of a pair of equal critics."""

    landscape: Landscape = static()
    scale: float | Array = 1.0

    @property
    def action_dim(self) -> int:
        return self.landscape.dim

    def at(self, obs: Array) -> "ExactLandscape":
        return ExactLandscape(self)

    def __call__(self, obs: Array, action: Array) -> Array:
        return jnp.full(2, self.at(obs)(action))


@pytree
class ExactLandscape:
    """The landscape of a `ExactCritic` as samplers ask for it: its value, and one slope at every noise level."""

    critic: ExactCritic

    def __call__(self, action: Array) -> Array:
        return self.critic.scale * self.critic.landscape(action)

    def slope(self, action: Array, level: Array, twins: str) -> Array:
        """As `NoiseLandscape.slope`: nothing is blurred, so a noise-conditioned chain sees no error of its levels."""
        return jax.grad(self)(action)


def fit(
    algo: Algorithm,
    landscape: Landscape,
    key: Array,
    num_steps: int,
    batch_size: int,
    growth: float | Array = 0.0,
) -> State:
    """The state of `algo` after `num_steps` steps of its actor, and of its temperature if tuned, on a known critic.

    Each step sees `batch_size` uniform actions as replayed ones. An algorithm without an actor only receives the
    critic. A critic that learns is flat at first: during the share `growth` of the steps the landscape grows from
    nothing to its full height. The one observation is `ones(1)`: not zero, at which every fresh network gives the same
    action. `vmap` over keys, hyper-parameters or `growth`.
    """
    obs = jnp.ones((batch_size, 1))
    first, rest = jax.random.split(key)
    state = algo.init(first, obs[0], jnp.zeros(landscape.dim))

    def known(state: State, scale: float | Array) -> State:
        critic = ExactCritic(landscape, jnp.asarray(scale, jnp.float32))
        return replace(state, critic=Learner(critic, (), critic))

    def step(state: State, t: Array) -> tuple[State, None]:
        scale = jnp.minimum(1.0, (t + 1) / jnp.maximum(growth * num_steps, 1.0))
        for_action, *keys = jax.random.split(jax.random.fold_in(rest, t), 3)
        action, zeros = uniform_actions(for_action, landscape.dim, batch_size), jnp.zeros(batch_size)
        batch = Transition(obs, action, zeros, zeros, obs)
        return algo.policy_step(known(state, scale), batch, *keys, {})[0], None

    state = known(state, 1.0)
    if state.actor is None:
        return state
    return jax.lax.scan(step, state, jnp.arange(num_steps))[0]
