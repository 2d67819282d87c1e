"""What happens to a step that leaves the box [-1, 1]^d."""

import jax.numpy as jnp
from jax import Array


def reflect(action: Array) -> Array:
    """Specular reflection: fold the line onto [-1, 1], exact for a step of any length (DDSQ Section 4, R).

    Deviation: DDSQ B.3.2 prints a fold without the offset of the lower wall; on [-1, 1] that maps 0 to -1.
    """
    return jnp.abs((action - 1) % 4 - 2) - 1


def project(action: Array) -> Array:
    """Clip to [-1, 1]: the projected chain, which leaves atoms of probability on the walls (DDSQ Figure 2)."""
    return jnp.clip(action, -1.0, 1.0)


def unbounded(action: Array) -> Array:
    """Let it go where it goes, as LQL and NC-LQL are printed: a chain on R^d, where exp(Q) may have no integral."""
    return action


BOUNDARIES = {"reflect": reflect, "project": project, "none": unbounded}
