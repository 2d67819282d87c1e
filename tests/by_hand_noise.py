"""A noise-conditioned network and its gradients in float64 NumPy, by the tools of `by_hand`."""

import jax
import numpy as np
from by_hand import backward, forward


def sinusoids(numbers):
    angles = np.asarray(numbers, float)[:, None] / 10_000.0 ** (np.arange(8) / 8)
    return 0.25 * np.concatenate([np.sin(angles), np.cos(angles)], 1)


def layers_of_noise_critic(critic, twin=0):
    """(layers of the code, layers of the network) of one twin; the first of the latter takes (s, a, code)."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64)[twin], dict(critic.params))
    first = np.concatenate([p[f"{part}_part"]["kernel"] for part in ("state", "action", "level")])
    hidden = [p[f"hidden_{i}"] for i in range(len(critic.hidden_sizes) - 1)]
    pair = lambda layer: (layer["kernel"], layer["bias"])
    code = [pair(p["code_0"]), pair(p["code_1"])]
    return code, [(first, p["state_part"]["bias"]), *(pair(layer) for layer in (*hidden, p["out"]))]


def noise_forward(layers, obs, action, numbers):
    """Values `(B,)` of one twin at levels that `numbers` `(B,)` stand for, and what its gradients need."""
    code, network = layers
    embedded, saved_code = forward(code, sinusoids(numbers))
    values, saved = forward(network, np.concatenate([obs, action, embedded], 1))
    return values[:, 0], (saved_code, saved)


def noise_backward(layers, saved, error):
    """Gradients of sum(error * values), in the structure of `layers`."""
    gradients, inputs = backward(layers[1], saved[1], error[:, None])
    return backward(layers[0], saved[0], inputs[:, -16:])[0], gradients


def noise_slope(layers, obs, action, numbers):
    """The gradient in the action, `(B, d)`."""
    values, (_, saved) = noise_forward(layers, obs, action, numbers)
    inputs = backward(layers[1], saved, np.ones((len(values), 1)))[1]
    return inputs[:, obs.shape[1] : obs.shape[1] + action.shape[1]]
