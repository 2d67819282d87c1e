"""Landscapes and critics as plain JSON data, from which a page computes Q without Python."""

import base64
from typing import Any

import numpy as np

from softq.landscapes import Landscape
from softq.networks import Critic


def floats(array: Any) -> str:
    """The numbers of `array` as base64 of little-endian float32."""
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def landscape(q: Landscape) -> dict[str, Any]:
    """The fields of a landscape that define its formula."""
    return {"dim": q.dim, "bumps": q.bumps, "power": q.power, "slope": q.slope, "cassini": q.cassini}


def network(critic: Critic) -> dict[str, Any]:
    """The weights of both twins of a critic, except the state part of the first layer, which is computed per state."""
    params = critic.params
    hidden = [params[f"hidden_{i}"] for i in range(len(critic.hidden_sizes) - 1)]
    return {
        "dim": critic.action_dim,
        "activation": critic.activation,
        "widths": critic.hidden_sizes,
        "action": floats(params["action_part"]["kernel"]),
        "hidden": [{"kernel": floats(p["kernel"]), "bias": floats(p["bias"])} for p in hidden],
        "out": {"kernel": floats(params["out"]["kernel"]), "bias": floats(params["out"]["bias"])},
    }
