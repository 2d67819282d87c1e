"""An actor fitted to an exact critic, a landscape that stands in for the critic that a method learns.

There is one state and no Bellman equation, so that the error of the fitted actor comes from its family of laws, its
objective and its optimiser alone.
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
    """A critic whose value in every state is `scale` times `landscape`; it is called like a pair of equal critics."""

    landscape: Landscape = static()
    scale: float | Array = 1.0

    @property
    def action_dim(self) -> int:
        """The dimension of actions."""
        return self.landscape.dim

    def at(self, obs: Array) -> "ExactLandscape":
        """The landscape of actions at `obs`, which is the same for all."""
        return ExactLandscape(self)

    def __call__(self, obs: Array, action: Array) -> Array:
        return jnp.full(2, self.at(obs)(action))


@pytree
class ExactLandscape:
    """The landscape of an `ExactCritic` as samplers use it: a value, and one slope for all noise levels."""

    critic: ExactCritic

    def __call__(self, action: Array) -> Array:
        return self.critic.scale * self.critic.landscape(action)

    def slope(self, action: Array, level: Array, twins: str) -> Array:
        """The slope of Q at `action` `(action_dim,)`, for any noise `level` and reduction of `twins`.

        The signature is that of `NoiseLandscape.slope`; the landscape is not blurred by the noise.
        """
        return jax.grad(self)(action)


def fit(
    algo: Algorithm,
    landscape: Landscape,
    key: Array,
    num_steps: int,
    batch_size: int,
    growth: float | Array = 0.0,
) -> State:
    """The state of `algo` after `num_steps` steps of its actor, and of a learned temperature, on an exact critic.

    Each step takes `batch_size` uniform actions as those of the replay. An algorithm without an actor only gets the
    critic. During the share `growth` of the steps the landscape grows from zero to its full height, as a critic that
    learns does. The only observation is `ones(1)`; at zero all fresh networks would return the same action. `jax.vmap`
    works over keys, hyper-parameters and `growth`.
    """
    obs = jnp.ones((batch_size, 1))
    first, rest = jax.random.split(key)
    state = algo.init(first, obs[0], jnp.zeros(landscape.dim))

    def with_critic(state: State, scale: float | Array) -> State:
        critic = ExactCritic(landscape, jnp.asarray(scale, jnp.float32))
        return replace(state, critic=Learner(critic, (), critic))

    def step(state: State, t: Array) -> tuple[State, None]:
        scale = jnp.minimum(1.0, (t + 1) / jnp.maximum(growth * num_steps, 1.0))
        for_action, for_actor, for_entropy = jax.random.split(jax.random.fold_in(rest, t), 3)
        action, zeros = uniform_actions(for_action, landscape.dim, batch_size), jnp.zeros(batch_size)
        batch = Transition(obs, action, zeros, zeros, obs)
        state = with_critic(state, scale)
        return algo.policy_step(state, algo.revise(state, batch), for_actor, for_entropy, {})[0], None

    state = with_critic(state, 1.0)
    if state.actor is None:
        return state
    return jax.lax.scan(step, state, jnp.arange(num_steps))[0]
