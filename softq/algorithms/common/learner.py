"""The steps that several algorithms share: a Bellman target, a regression of critics, a moving average."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Transition
from softq.networks import Critic
from softq.utils.pytree import replace


def polyak(rate: float | Array, online: Any, target: Any) -> Any:
    """Move `target` towards `online` by `rate` (DDSQ Algorithm 2, line 9)."""
    return jax.tree.map(lambda new, old: old + rate * (new - old), online, target)


def copy(tree: Any) -> Any:
    """Fresh buffers: a target that shares them with the online network could not be donated."""
    return jax.tree.map(jnp.copy, tree)


def td_target(
    batch: Transition, next_values: Array, discount: float | Array, reward_scale: float | Array = 1.0
) -> Array:
    """reward_scale * r + discount * (0 where the episode ended, else 1) * next_values, `(B,)`."""
    return reward_scale * batch.reward + discount * batch.discount * next_values


def descend(
    adam: optax.GradientTransformation, optimiser: optax.OptState, params: Any, gradient: Any
) -> tuple[Any, optax.OptState]:
    """One step of an optimiser: the new parameters and its new state."""
    step, optimiser = adam.update(gradient, optimiser, params)
    return optax.apply_updates(params, step), optimiser


def regress(
    critic: Critic,
    adam: optax.GradientTransformation,
    optimiser: optax.OptState,
    batch: Transition,
    targets: Array,
) -> tuple[Critic, optax.OptState, dict[str, Array]]:
    """One step of every critic towards `targets` `(B,)`, held fixed: squared error, summed over the critics.

    Returns the critic, its optimiser and `critic_loss`, `q_mean`, `target_mean`.
    """

    def loss(params: dict) -> tuple[Array, Array]:
        values = jax.vmap(replace(critic, params=params))(batch.obs, batch.action)
        return jnp.sum(jnp.mean((values - targets[:, None]) ** 2, axis=0)), values

    (error, values), gradient = jax.value_and_grad(loss, has_aux=True)(critic.params)
    params, optimiser = descend(adam, optimiser, critic.params, gradient)
    metrics = {"critic_loss": error, "q_mean": jnp.mean(values), "target_mean": jnp.mean(targets)}
    return replace(critic, params=params), optimiser, metrics
