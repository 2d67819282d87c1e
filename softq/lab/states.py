"""The landscapes that a lab can show: one of `softq.landscapes`, or those of a critic in given states."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from softq.landscapes import Landscape
from softq.networks import Critic, StateLandscape
from softq.utils.errors import SoftqError


def states(q: Any, observations: Any) -> tuple[list, str]:
    """The landscapes to choose from, and words that describe them.

    `q` is a `Landscape`, one `critic.at(obs)`, or a `Critic`, which needs `observations` `(n, obs_dim)`. Raises
    `SoftqError` for another `q`, and for observations that are missing, superfluous or of the wrong width.
    """
    if isinstance(q, Critic):
        if observations is None:
            raise SoftqError("a lab of a critic needs observations; pass observations=(n, obs_dim).")
        observations = np.atleast_2d(np.asarray(observations, np.float32))
        width = observations.shape[1]
        if width != q.obs_dim:
            raise SoftqError(f"observations have {width} entries, expected {q.obs_dim}; pass its own.")
        return [q.at(obs) for obs in jnp.asarray(observations)], "a trained critic"
    if observations is not None:
        raise SoftqError("observations go with a Critic; this landscape has its state already, drop them.")
    if isinstance(q, StateLandscape):
        return [q], "a trained critic"
    if isinstance(q, Landscape):
        return [q], q.about or q.name
    kind = type(q).__name__
    raise SoftqError(f"a lab shows a Landscape or a Critic, got {kind}; softq.landscapes.get has the former.")
