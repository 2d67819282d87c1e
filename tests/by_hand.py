"""Networks, their gradients and Adam in float64 NumPy, for tests that redo an update by hand."""

import dataclasses

import jax
import numpy as np


def layers_of_critic(critic, twin=0):
    """[(weights, biases), ...] of one twin; the first layer takes observation and action together."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64)[twin], dict(critic.params))
    first = np.concatenate([p["state_part"]["kernel"], p["action_part"]["kernel"]])
    hidden = [p[f"hidden_{i}"] for i in range(len(critic.hidden_sizes) - 1)]
    rest = [(layer["kernel"], layer["bias"]) for layer in (*hidden, p["out"])]
    return [(first, p["state_part"]["bias"]), *rest]


def layers_of_actor(actor):
    """[(weights, biases), ...]."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), dict(actor.params))
    return [(p[f"Dense_{i}"]["kernel"], p[f"Dense_{i}"]["bias"]) for i in range(len(p))]


def forward(layers, x):
    """Outputs `(B, k)` of an MLP with ReLU, and what its gradient needs."""
    saved = []
    for i, (weights, biases) in enumerate(layers):
        saved.append(x)
        x = x @ weights + biases
        x = np.maximum(x, 0) if i < len(layers) - 1 else x
    return x, saved


def backward(layers, saved, error):
    """Gradients of sum(error * outputs): by the layers, and by the inputs `(B, n)`."""
    gradients = []
    for i in reversed(range(len(layers))):
        gradients.append((saved[i].T @ error, error.sum(0)))
        error = error @ layers[i][0].T
        error = error * (saved[i] > 0) if i > 0 else error  # the slope of the ReLU below this layer
    return gradients[::-1], error


def regression(twins, obs, action, targets):
    """Squared error towards `targets`, summed over the twins, with its gradients and the mean value."""
    x, loss, gradients, means = np.concatenate([obs, action], 1), 0.0, [], []
    for layers in twins:
        values, saved = forward(layers, x)
        error = values[:, 0] - targets
        loss += np.mean(error**2)
        means.append(values.mean())
        gradients.append(backward(layers, saved, 2 * error[:, None] / len(error))[0])
    return loss, gradients, np.mean(means)


def action_gradient(layers, obs, action):
    """Values `(B,)` of a critic and their gradients by the action `(B, d)`."""
    values, saved = forward(layers, np.concatenate([obs, action], 1))
    return values[:, 0], backward(layers, saved, np.ones_like(values))[1][:, obs.shape[1] :]


def moved(network, rng, size=0.3):
    """The network with every weight and bias shifted by noise: a mix-up of two copies then shows."""
    noisy = lambda x: x + np.asarray(size * rng.normal(size=x.shape), x.dtype)
    return dataclasses.replace(network, params=jax.tree.map(noisy, network.params))


def float64(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


class Adam:
    """Adam with its usual constants, on any tree of arrays."""

    def __init__(self, params, rate, decay=0.0):
        self.rate, self.decay, self.count = rate, decay, 0
        self.m = jax.tree.map(np.zeros_like, params)
        self.v = jax.tree.map(np.zeros_like, params)

    def step(self, params, gradients):
        self.count += 1
        t, tree = self.count, jax.tree.map
        gradients = tree(lambda g, w: g + self.decay * w, gradients, params)
        self.m = tree(lambda m, g: 0.9 * m + 0.1 * g, self.m, gradients)
        self.v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, self.v, gradients)
        move = lambda w, m, v: w - self.rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return tree(move, params, self.m, self.v)


# Score networks


def mish(x):
    """Value and slope."""
    s = np.tanh(np.logaddexp(0, x))
    return x * s, s + x * (1 - s**2) / (1 + np.exp(-x))


def relu(x):
    """Value and slope."""
    return np.maximum(x, 0), (x > 0).astype(float)


def waves(condition):
    """DQS's code of each number `(B, n)`: 128 sines and 128 cosines, of angles in single precision."""
    frequencies = 10_000.0 ** (-np.arange(128, dtype=np.float32) / np.float32(128))
    angles = np.asarray(condition, np.float32)[:, :, None] * np.float32(1000) * frequencies.astype(np.float32)
    angles = angles.astype(np.float64)
    return np.concatenate([np.sin(angles), np.cos(angles)], 2).reshape(len(angles), -1)


class ScoreByHand:
    """A score network with two hidden layers: `outputs` `(B, d)`, then `gradients` of sum(error * outputs)."""

    def __init__(self, network, skip=True):
        self.params, self.style = float64(dict(network.params)), network.style
        self.act = {"mish": mish, "relu": relu}[network.activation]
        equal = network.hidden_sizes[0] == network.hidden_sizes[1]
        self.skip = skip and equal and network.style == "sinusoidal"

    def outputs(self, obs, action, condition):
        p, layer = self.params, lambda name, x: x @ self.params[name]["kernel"] + self.params[name]["bias"]
        s = self.saved = {"obs": obs, "action": action, "condition": condition}
        if self.style == "fourier":
            s["angles"] = 2 * np.pi * condition @ p["frequencies"].T
            s["waves"] = np.concatenate([np.cos(s["angles"]), np.sin(s["angles"])], 1)
            s["code"], s["code_slope"] = self.act(layer("condition_hidden", s["waves"]))
            s["told"] = layer("condition_out", s["code"])
        else:
            s["told"] = waves(condition)
        first = layer("state_part", obs) + action @ p["action_part"]["kernel"]
        s["x1"], s["d1"] = self.act(first + s["told"] @ p["condition_part"]["kernel"])
        y, s["d2"] = self.act(layer("hidden_0", s["x1"]))
        s["x2"] = y + s["x1"] if self.skip else y
        return layer("out", s["x2"])

    def gradients(self, error):
        p, s = self.params, self.saved
        full = lambda x, g: {"kernel": x.T @ g, "bias": g.sum(0)}
        by_x2 = error @ p["out"]["kernel"].T
        g2 = by_x2 * s["d2"]
        by_x1 = g2 @ p["hidden_0"]["kernel"].T
        g1 = (by_x1 + by_x2 if self.skip else by_x1) * s["d1"]
        result = {
            "out": full(s["x2"], error),
            "hidden_0": full(s["x1"], g2),
            "state_part": full(s["obs"], g1),
            "action_part": {"kernel": s["action"].T @ g1},
            "condition_part": {"kernel": s["told"].T @ g1},
        }
        if self.style == "fourier":
            by_told = g1 @ p["condition_part"]["kernel"].T
            by_hidden = by_told @ p["condition_out"]["kernel"].T * s["code_slope"]
            by_waves = by_hidden @ p["condition_hidden"]["kernel"].T
            cos, sin = np.split(by_waves, 2, axis=1)
            by_angles = sin * np.cos(s["angles"]) - cos * np.sin(s["angles"])
            result |= {
                "condition_out": full(s["code"], by_told),
                "condition_hidden": full(s["waves"], by_hidden),
                "frequencies": 2 * np.pi * by_angles.T @ s["condition"],
            }
        return result
