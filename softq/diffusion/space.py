"""The space in which a diffusion over actions runs, and the map from it into the box.

"printed" is DQS as published: replayed actions are noised, Q is evaluated around them, also outside the box, and tanh
is applied to the sample. The executed action is then not the one whose Q was scored. In the three other spaces, which
deviate from the paper, it is:

- "tanh" diffuses x with a = tanh(x) and scores Q(tanh x). This function is flat far from 0, so its softmax has no
  density. Adding temperature times the log of tanh's slope (`jacobian`) gives the softmax of Q over actions exactly.
- "reflect" and "project" diffuse actions and put the last one into the box. Q is then evaluated far outside the box,
  unless the estimator of the score keeps its actions inside (`truncate`); `idem` is then right only with `boundary`.
"""

from typing import Literal

import jax.numpy as jnp
from jax import Array

from softq.box import log_tanh_slope
from softq.diffusion.processes import FINAL, Final
from softq.landscapes import ActionValue

Space = Literal["tanh", "reflect", "project", "printed"]
FINALS: dict[Space, Final] = {"tanh": "tanh", "reflect": "reflect", "project": "project", "printed": "tanh"}
REPLAY_MARGIN = 1e-3  # the least distance of a replayed action from the walls before arctanh is taken
# The least distance from the walls where log pi is evaluated. Just below 1, float32 comes in steps of 6e-8, so that
# rounding is 3 % of the distance 1e-6: it moves arctanh, 7.3 there, by 0.015 and the log of tanh's slope by 0.03.
DENSITY_MARGIN = 1e-6


def to_space(space: Space, action: Array) -> Array:
    """The point `(d,)` of the space that a replayed action `(d,)` is: arctanh of it in "tanh", else itself."""
    return jnp.arctanh(jnp.clip(action, REPLAY_MARGIN - 1, 1 - REPLAY_MARGIN)) if space == "tanh" else action


def to_action(space: Space, x: Array) -> Array:
    """The action `(d,)` in the box that a sample x `(d,)` of the diffusion becomes."""
    return FINAL[FINALS[space]](x)


def preimage(space: Space, action: Array) -> Array:
    """A point x `(d,)` that `to_action` maps to this action: the only one for tanh, otherwise the one in the box."""
    if FINALS[space] != "tanh":
        return action
    return jnp.arctanh(jnp.clip(action, DENSITY_MARGIN - 1, 1 - DENSITY_MARGIN))


def landscape(space: Space, q: ActionValue, temperature: float | Array, jacobian: bool) -> ActionValue:
    """Q as a function on the space; `jacobian` adds temperature * log of tanh's slope in the space "tanh"."""
    if space != "tanh":
        return q
    if not jacobian:
        return lambda x: q(jnp.tanh(x))
    return lambda x: q(jnp.tanh(x)) + temperature * jnp.sum(log_tanh_slope(x))


def log_jacobian(space: Space, x: Array) -> Array | float:
    """log |da / dx| of the map `to_action` at x `(d,)`, equal to log p(x) - log pi(a)."""
    return jnp.sum(log_tanh_slope(x)) if FINALS[space] == "tanh" else 0.0
