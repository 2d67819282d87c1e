"""How an actor that is a diffusion learns: DQS's Equation 9 and MaxEntDP's Equation 18 are one regression.

They differ in what they make of a state and an action: how much noise they add, and what the network should say then.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.common.learner import descend
from softq.networks import ScoreNetwork
from softq.utils.pytree import replace


def regress_actor(
    actor: ScoreNetwork,
    adam: optax.GradientTransformation,
    optimiser: optax.OptState,
    example: Callable[[Array, Array, Array], tuple[Array, Array, Array]],
    obs: Array,
    action: Array | None,
    key: Array,
) -> tuple[ScoreNetwork, optax.OptState, Array]:
    """One step on the squared error over states `(B, obs_dim)` and actions `(B, d)`.

    `example(obs, action, key)` is a noisy action `(d,)`, what the network reads beside it `(num_conditions,)`, and what
    it should say `(d,)`, held fixed. The actions come from the replay; without them they are uniform, which has the
    same minimiser. Returns the actor, its optimiser and the error.
    """
    for_start, for_example = jax.random.split(key)
    if action is None:
        action = jax.random.uniform(for_start, (len(obs), actor.action_dim), minval=-1.0, maxval=1.0)
    noisy, told, target = jax.vmap(example)(obs, action, jax.random.split(for_example, len(obs)))

    def loss(params: dict) -> Array:
        predicted = jax.vmap(replace(actor, params=params))(obs, noisy, told)
        return jnp.mean(jnp.sum((predicted - target) ** 2, axis=-1))

    error, gradient = jax.value_and_grad(loss)(actor.params)
    params, optimiser = descend(adam, optimiser, actor.params, gradient)
    return replace(actor, params=params), optimiser, error
