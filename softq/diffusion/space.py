"""The space in which a diffusion over actions runs, and the way back into the box.

DQS noises replayed actions, evaluates Q around them, walls or not, and applies tanh to the sample: "printed". What is
executed then is not the action that was scored. Deviation: readings in which it is.

- tanh: x with a = tanh(x) is diffused, and Q(tanh x) scored. That is flat far out, so its softmax has no density and
  the widest noise decides where x ends, near a wall more often than not. With the log of tanh's slope added, the
  softmax of Q over actions results, exactly.
- reflect, project: actions are diffused, and put back in the end. Q is then asked far outside the box, unless the
  estimator of the score keeps its actions inside (`truncate`), where "idem" needs `boundary` to be right.
"""

from typing import Literal

import jax.numpy as jnp
from jax import Array

from softq.box import log_tanh_slope
from softq.diffusion.processes import FINAL, Final
from softq.landscapes import ActionValue

Space = Literal["tanh", "reflect", "project", "printed"]
BACK: dict[Space, Final] = {"tanh": "tanh", "reflect": "reflect", "project": "project", "printed": "tanh"}
MARGIN = 1e-3  # replayed actions are kept this far from the walls before arctanh
# Where log pi is asked for, far less. float32 below 1 comes in steps of 6e-8: 1e-6 from the wall half a step is 3 % of
# the distance, which moves arctanh by 0.015 of 7.3 and the log of tanh's slope by 0.03. At one step it would be 50 %.
NEAREST = 1e-6


def inward(space: Space, action: Array) -> Array:
    """Where a replayed action `(d,)` lies in the space; "printed" noises it as it is."""
    return jnp.arctanh(jnp.clip(action, MARGIN - 1, 1 - MARGIN)) if space == "tanh" else action


def outward(space: Space, x: Array) -> Array:
    """The action `(d,)` that a sample of the diffusion becomes."""
    return FINAL[BACK[space]](x)


def source(space: Space, action: Array) -> Array:
    """An x `(d,)` that becomes this action: the only one if the way back is tanh, else the one in the box."""
    return jnp.arctanh(jnp.clip(action, NEAREST - 1, 1 - NEAREST)) if BACK[space] == "tanh" else action


def landscape(space: Space, q: ActionValue, temperature: float | Array, jacobian: bool) -> ActionValue:
    """What plays the part of Q there; `jacobian` adds temperature * log of tanh's slope in the space "tanh"."""
    if space != "tanh":
        return q
    if not jacobian:
        return lambda x: q(jnp.tanh(x))
    return lambda x: q(jnp.tanh(x)) + temperature * jnp.sum(log_tanh_slope(x))


def log_volume(space: Space, x: Array) -> Array | float:
    """log |da / dx| at x `(d,)`, of the way back: what log p(x) exceeds log pi(a) by."""
    return jnp.sum(log_tanh_slope(x)) if BACK[space] == "tanh" else 0.0
