"""A landscape as plain data, for a page that computes it without Python. Weights are base64 of float32."""

import base64
from typing import Any

import numpy as np

from softq.landscapes import Landscape
from softq.networks import Critic


def floats(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def landscape(q: Landscape) -> dict[str, Any]:
    return {"dim": q.dim, "bumps": q.bumps, "power": q.power, "slope": q.slope, "cassini": q.cassini}


def network(critic: Critic) -> dict[str, Any]:
    """Both twins of a critic, without the state part of the first layer, which each state brings ready."""
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
