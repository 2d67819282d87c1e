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
