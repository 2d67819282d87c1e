"""MEow's flow in NumPy, for a batch, and the gradient of a loss by complex steps; nothing of it from what it checks.

A parameter may have leading axes of its own. So one evaluation with a copy of the network for each parameter, moved by
a tiny imaginary number, gives all slopes to rounding: Im loss(w + ih) = h * loss'(w), without a difference.
"""

import jax
import numpy as np

STEP = 1e-30


def perceptron(p, x, masks=None, scale=1.0):
    """Outputs `(..., B, k)` for inputs `(..., B, n)`; `masks` are the hidden units that are kept, each `(width,)`."""
    for i in range(sum(name.startswith("slope") for name in p)):
        x = x @ p[f"Dense_{i}"]["kernel"] + p[f"Dense_{i}"]["bias"][..., None, :]
        if f"LayerNorm_{i}" in p:
            x = x - x.mean(-1, keepdims=True)
            x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)
            norm = p[f"LayerNorm_{i}"]
            x = x * norm["scale"][..., None, :] + norm["bias"][..., None, :]
        x = x / (1 + np.exp(-p[f"slope_{i}"][..., None, :] * x))
        if masks is not None:
            x = x * masks[i] * scale
    last = p[f"Dense_{i + 1}"]
    return x @ last["kernel"] + last["bias"][..., None, :]


def couplings(p):
    return [p[f"couplings_{i}"] for i in range(sum(name.startswith("couplings") for name in p))]


def shift(p, i, x, obs, masks, scale):
    """What coupling i adds: zero where it keeps, by a network that sees what it keeps and the state."""
    kept = (np.arange(x.shape[-1]) + i) % 2 == 0
    obs = np.broadcast_to(obs, (*x.shape[:-1], obs.shape[-1]))
    return (1 - kept) * perceptron(p, np.concatenate([kept * x, obs], -1), masks, scale)


def to_action(p, z, obs, masks=None, scale=1.0):
    """u = f(z; s)."""
    for i, coupling in enumerate(couplings(p)):
        z = z + shift(coupling, i, z, obs, masks, scale)
    return z


def to_latent(p, u, obs, masks=None, scale=1.0):
    """z with u = f(z; s)."""
    for i, coupling in reversed(list(enumerate(couplings(p)))):
        u = u - shift(coupling, i, u, obs, masks, scale)
    return u


def log_sigma(p, obs, bounds):
    low, high = bounds
    return low + (high - low) * (np.tanh(perceptron(p["spread"], obs)) + 1) / 2


def reward_shifts(p, obs):
    """c_1 and c_2, `(..., B, 2)`."""
    return np.concatenate([perceptron(p[f"reward_shifts_{i}"], obs) for i in (0, 1)], -1)


def q_values(p, obs, action, alpha, bounds, masks=None, scale=1.0):
    """Q_1 and Q_2, `(..., B, 2)`."""
    z = to_latent(p, np.arctanh(action), obs, masks, scale)
    log_normal = -((z * np.exp(-log_sigma(p, obs, bounds))) ** 2) / 2 - np.log(1 - action**2)
    return alpha * (log_normal.sum(-1)[..., None] + reward_shifts(p, obs))


def v_values(p, obs, alpha, bounds):
    """V_1 and V_2, `(..., B, 2)`."""
    log_integral = (log_sigma(p, obs, bounds) + np.log(2 * np.pi) / 2).sum(-1)
    return alpha * (log_integral[..., None] + reward_shifts(p, obs))


def gradient(loss, params):
    """The value of `loss(params)` at float64 parameters, and its gradient, a tree like `params`."""
    leaves, tree = jax.tree.flatten(params)
    ends = np.cumsum([leaf.size for leaf in leaves])
    copies = []
    for leaf, end in zip(leaves, ends, strict=True):
        copy = np.tile(leaf.ravel().astype(complex), (ends[-1], 1))
        copy[np.arange(end - leaf.size, end), np.arange(leaf.size)] += 1j * STEP
        copies.append(copy.reshape(-1, *leaf.shape))
    values = loss(jax.tree.unflatten(tree, copies))
    slopes = np.split(values.imag / STEP, ends[:-1])
    shaped = [slope.reshape(leaf.shape) for slope, leaf in zip(slopes, leaves, strict=True)]
    return values.real[0], jax.tree.unflatten(tree, shaped)
