"""A fixed program, whose time says how fast the machine is now: it compiles and runs what a chapter does, in small."""

from itertools import pairwise

import jax
import jax.numpy as jnp


def value(weights: list[jax.Array], action: jax.Array) -> jax.Array:
    """A network of the action, `(2,)`."""
    hidden = action
    for weight in weights:
        hidden = jnp.tanh(hidden @ weight)
    return hidden.sum()


@jax.jit
def chain(weights: list[jax.Array], actions: jax.Array) -> jax.Array:
    """200 gradient steps of each of the actions, `(n, 2)`."""

    def step(actions: jax.Array, _: None) -> tuple[jax.Array, None]:
        return actions + 0.01 * jax.vmap(jax.grad(value, 1), (None, 0))(weights, actions), None

    return jax.lax.scan(step, actions, None, 200)[0]


if __name__ == "__main__":
    sizes = (2, 64, 64, 1)
    for num in (256, 512, 1024, 2048):
        keys = jax.random.split(jax.random.key(num), len(sizes))
        shapes = pairwise(sizes)
        weights = [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=False)]
        jax.block_until_ready(chain(weights, jax.random.normal(keys[-1], (num, 2))))
