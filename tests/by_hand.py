"""What tests that redo updates by hand share, in float64 NumPy: networks, gradients, twins, Adam, the comparison.

Nothing here is imported from what it checks. Targets, losses and the gradients of an algorithm stand in its test.

The random numbers of an update are known: within `known_draws` each draw of one kind and shape gives the numbers of
`normals` or `uniforms`, whatever its key, the same for all states of a batch. So no test has to split keys as the code
does. That the code uses each key once is tested apart, for all methods, in test_contract.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback
from scipy import special

from softq.testing.probe import random_batch

OBS, ACT = 3, 2
KEYS = [jax.random.fold_in(jax.random.key(20240501), i) for i in range(3)]


# Known random numbers


def normals(*shape):
    """The normal numbers that every draw of this shape gives, in single precision."""
    return np.random.default_rng([1, *shape]).normal(size=shape).astype(np.float32).astype(np.float64)


def uniforms(*shape):
    """The uniform numbers in (0, 1) that every draw of this shape gives, in single precision."""
    return np.random.default_rng([2, *shape]).uniform(size=shape).astype(np.float32).astype(np.float64)


@contextlib.contextmanager
def known_draws() -> Iterator[None]:
    """Within it `jax.random` draws the numbers above. Compile what draws within it, by a function made within it."""

    def normal(key, shape=(), dtype=float):
        return jnp.asarray(normals(*shape), dtype)

    def uniform(key, shape=(), dtype=float, minval=0.0, maxval=1.0):
        return minval + (maxval - minval) * jnp.asarray(uniforms(*shape), dtype)

    def randint(key, shape, minval, maxval, dtype=int):
        return jnp.floor(minval + (maxval - minval) * jnp.asarray(uniforms(*shape))).astype(dtype)

    def bernoulli(key, p=0.5, shape=()):
        return jnp.asarray(uniforms(*shape)) < p

    def categorical(key, logits, axis=-1, **_):
        shares = jnp.cumsum(jax.nn.softmax(logits, axis), axis)
        return jnp.sum(shares < uniforms(), axis)

    known = {"normal": normal, "uniform": uniform, "randint": randint}
    with patched(known | {"bernoulli": bernoulli, "categorical": categorical}):
        yield


@contextlib.contextmanager
def recorded_draws() -> Iterator[dict[str, list[np.ndarray]]]:
    """Within it `jax.random` writes down what it draws: the "normal" numbers, and the "uniform" ones in (0, 1).

    A choice by weights is the largest of logits with Gumbel noise -log(-log u), and its u are among the uniform
    numbers. Compile what draws within it, without `vmap`, and wait with `jax.effects_barrier` before reading.
    """
    drawn = {"normal": [], "uniform": []}
    original = {"normal": jax.random.normal, "uniform": jax.random.uniform}

    def record(kind, key, shape, dtype=float):
        numbers = original[kind](key, shape, dtype)
        # as whole numbers, for a callback has a thread of its own, and there JAX rounds to single precision
        bits = jax.lax.bitcast_convert_type(numbers, jnp.uint32)
        read = lambda bits: drawn[kind].append(np.asarray(bits).view(numbers.dtype).reshape(shape))
        io_callback(read, None, bits, ordered=True)
        return numbers

    def normal(key, shape=(), dtype=float):
        return record("normal", key, shape, dtype)

    def uniform(key, shape=(), dtype=float, minval=0.0, maxval=1.0):
        return minval + (maxval - minval) * record("uniform", key, shape, dtype)

    def randint(key, shape, minval, maxval, dtype=int):
        return jnp.floor(minval + (maxval - minval) * record("uniform", key, shape)).astype(dtype)

    def categorical(key, logits):
        return jnp.argmax(logits - jnp.log(-jnp.log(record("uniform", key, logits.shape, logits.dtype))))

    with patched({"normal": normal, "uniform": uniform, "randint": randint, "categorical": categorical}):
        yield drawn


@contextlib.contextmanager
def patched(functions) -> Iterator[None]:
    """`jax.random` with some of its functions replaced."""
    before = {name: getattr(jax.random, name) for name in functions}
    try:
        for name, function in functions.items():
            setattr(jax.random, name, function)
        yield
    finally:
        for name, function in before.items():
            setattr(jax.random, name, function)


# Networks


def relu(x):
    """Value and slope."""
    return np.maximum(x, 0), (x > 0).astype(float)


def mish(x):
    """Value and slope."""
    s = np.tanh(np.logaddexp(0, x))
    return x * s, s + x * (1 - s**2) / (1 + np.exp(-x))


def gelu(x):
    """Value and slope of x Phi(x), Phi the normal distribution function."""
    return x * special.ndtr(x), special.ndtr(x) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def gelu_tanh(x):
    """Value and slope of GELU's approximation x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    root = np.sqrt(2 / np.pi)
    t = np.tanh(root * (x + 0.044715 * x**3))
    return x * (1 + t) / 2, (1 + t) / 2 + x / 2 * (1 - t**2) * root * (1 + 3 * 0.044715 * x**2)


def tanh(x):
    """Value and slope."""
    return np.tanh(x), 1 - np.tanh(x) ** 2


def elu(x):
    """Value and slope."""
    low = np.exp(np.minimum(x, 0))
    return np.where(x > 0, x, low - 1), np.where(x > 0, 1.0, low)


def layers_of_critic(critic, twin=0):
    """[(weights, biases), ...] of one twin; the first layer takes observation and action together."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64)[twin], dict(critic.params))
    first = np.concatenate([p["state_part"]["kernel"], p["action_part"]["kernel"]])
    hidden = [p[f"hidden_{i}"] for i in range(len(critic.hidden_sizes) - 1)]
    rest = [(layer["kernel"], layer["bias"]) for layer in (*hidden, p["out"])]
    return [(first, p["state_part"]["bias"]), *rest]


def twins_of(critic):
    return [layers_of_critic(critic, twin) for twin in (0, 1)]


def layers_of_actor(actor):
    """[(weights, biases), ...]."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), dict(actor.params))
    return [(p[f"Dense_{i}"]["kernel"], p[f"Dense_{i}"]["bias"]) for i in range(len(p))]


def forward(layers, x, activation=relu):
    """Outputs `(B, k)` of an MLP, and what its gradient needs: what each layer reads, with the slope below it."""
    saved, slope = [], np.ones_like(x)
    for weights, biases in layers[:-1]:
        saved.append((x, slope))
        x, slope = activation(x @ weights + biases)
    weights, biases = layers[-1]
    return x @ weights + biases, [*saved, (x, slope)]


def backward(layers, saved, error):
    """Gradients of sum(error * outputs): by the layers, and by the inputs `(B, n)`."""
    gradients = []
    for (weights, _), (x, slope) in zip(reversed(layers), reversed(saved), strict=True):
        gradients.append((x.T @ error, error.sum(0)))
        error = error @ weights.T * slope
    return gradients[::-1], error


# Critics


def value(layers, obs, action, activation=relu):
    """Values `(B,)` of one critic at actions `(B, d)`, of as many states or of one."""
    obs = np.broadcast_to(obs, (len(action), np.shape(obs)[-1]))
    return forward(layers, np.concatenate([obs, action], 1), activation)[0][:, 0]


def smaller(twins, obs, action, activation=relu):
    """The smaller of the twins' values `(B,)`."""
    return np.minimum(*(value(layers, obs, action, activation) for layers in twins))


def regression(twins, obs, action, targets, activation=relu):
    """Squared error towards `targets`, summed over the twins, with its gradients and the mean value."""
    x, loss, gradients, means = np.concatenate([obs, action], 1), 0.0, [], []
    for layers in twins:
        values, saved = forward(layers, x, activation)
        error = values[:, 0] - targets
        loss += np.mean(error**2)
        means.append(values.mean())
        gradients.append(backward(layers, saved, 2 * error[:, None] / len(error))[0])
    return loss, gradients, np.mean(means)


def action_gradient(layers, obs, action, activation=relu):
    """Values `(B,)` of a critic and their gradients by the action `(B, d)`."""
    values, saved = forward(layers, np.concatenate([obs, action], 1), activation)
    return values[:, 0], backward(layers, saved, np.ones_like(values))[1][:, obs.shape[1] :]


def reduced(pairs, how="min"):
    """Values `(B,)` and gradients `(B, d)` of the smaller twin, of the twins' mean, or of their sum."""
    values, slopes = (np.stack(x) for x in zip(*pairs, strict=True))
    if how == "min":
        chosen = values.argmin(0), np.arange(values.shape[1])
        return values[chosen], slopes[chosen]
    reduce = {"mean": np.mean, "sum": np.sum}[how]
    return reduce(values, 0), reduce(slopes, 0)


def moved(network, rng, size=0.3):
    """The network with every weight and bias shifted by noise: a mix-up of two copies then shows."""
    noisy = lambda x: np.asarray(x) + np.asarray(size * rng.normal(size=x.shape), x.dtype)
    return dataclasses.replace(network, params=jax.tree.map(noisy, network.params))


def apart(state, critic=0.3, actor=0.0, actor_target=0.0):
    """The state with noise in its networks, of these sizes: no target equals its network, no bias is zero."""
    rng = np.random.default_rng(0)

    def shifted(learner, network, target):
        network = moved(learner.network, rng, network)
        slow = None if learner.target is None else moved(learner.target, rng, target)
        return dataclasses.replace(learner, network=network, target=slow)

    slow = None if state.actor is None else shifted(state.actor, actor, actor_target)
    return dataclasses.replace(state, critic=shifted(state.critic, critic, critic), actor=slow)


# Steps


def float64(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


class Adam:
    """Adam with its usual constants, on any tree of arrays.

    It divides a gradient by its own size, rounding errors too. These are those of the largest entry of the array, so
    an entry whose gradient is less than a thousandth of it may be off by `looser` times as much as the others.
    """

    def __init__(self, params, rate, decay=0.0, epsilon=1e-8):
        self.rate, self.decay, self.epsilon, self.count = rate, decay, epsilon, 0
        self.m = jax.tree.map(np.zeros_like, params)
        self.v = jax.tree.map(np.zeros_like, params)
        self.looser = jax.tree.map(np.ones_like, params)

    def step(self, params, gradients):
        self.count += 1
        t, tree = self.count, jax.tree.map
        gradients = tree(lambda g, w: g + self.decay * w, gradients, params)
        self.m = tree(lambda m, g: 0.9 * m + 0.1 * g, self.m, gradients)
        self.v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, self.v, gradients)
        size = lambda v: np.sqrt(v / (1 - 0.999**t)) + self.epsilon
        self.looser = tree(lambda f, v: np.maximum(f, size(v).max() / size(v) / 1000), self.looser, self.v)
        move = lambda w, m, v: w - self.rate * (m / (1 - 0.9**t)) / size(v)
        return tree(move, params, self.m, self.v)


def polyak(new, old, rate):
    """What follows slowly."""
    return jax.tree.map(lambda new, old: old + rate * (new - old), new, old)


BOUNDARIES = {
    "project": lambda a: np.clip(a, -1, 1),
    "reflect": lambda a: np.abs((a - 1) % 4 - 2) - 1,
    "none": lambda a: a,
}


# The comparison


@partial(jax.jit, static_argnums=1)
def some_batch(key, size):
    """A random batch in which one episode ends at least, and one goes on."""
    batch = random_batch(key, size, OBS, ACT)
    return dataclasses.replace(batch, discount=batch.discount.at[:2].set(jnp.array([0.0, 1.0])))


def three_updates(algo, state, size, learned, keys=KEYS):
    """Metrics of three updates, and what was learned at the end; in the first, Adam hardly sees a gradient's size."""
    metrics = []
    batches = [some_batch(key, size) for key in keys]
    with known_draws():
        update = jax.jit(lambda state, batch, key: algo.update(state, batch, key))
        for key, batch in zip(keys, batches, strict=True):
            state, row = update(state, batch, key)
            metrics.append({name: float(value) for name, value in row.items()})
    return metrics, learned(state)


def differences(trained, by_hand, size, keys=KEYS, floor=None):
    """The largest in a metric, and in what was learned, between three updates and the same by hand.

    With a `floor` the difference of a metric is relative to its size, or to `floor` where that is larger. What was
    learned may be off by more where `by_hand.looser()`, a tree of the same shape, says so.
    """
    (metrics, learned), off = trained, []
    for key, row in zip(keys, metrics, strict=True):
        expected = by_hand.update(float64(some_batch(key, size)))
        assert row.keys() == expected.keys()
        sizes = {name: 1 if floor is None else max(floor, abs(value)) for name, value in expected.items()}
        off += [abs(row[name] - value) / sizes[name] for name, value in expected.items()]
    expected = by_hand.learned()
    assert jax.tree.map(np.shape, learned) == jax.tree.map(np.shape, expected)
    looser = by_hand.looser() if hasattr(by_hand, "looser") else jax.tree.map(np.ones_like, expected)
    worst = jax.tree.map(lambda a, b, f: np.max(np.abs(a - b) / f), learned, expected, looser)
    return np.max(off), np.max(jax.tree.leaves(worst))  # a NaN stays one


# Score networks


def waves(condition):
    """DQS's code of each number `(B, n)`: 128 sines and 128 cosines, of angles in single precision."""
    frequencies = 10_000.0 ** (-np.arange(128, dtype=np.float32) / np.float32(128))
    angles = np.asarray(condition, np.float32)[:, :, None] * np.float32(1000) * frequencies.astype(np.float32)
    angles = angles.astype(np.float64)
    return np.concatenate([np.sin(angles), np.cos(angles)], 2).reshape(len(angles), -1)


class ScoreByHand:
    """A score network with two hidden layers: `outputs` `(B, d)`, then `gradients` of sum(error * outputs).

    The gradient by the noisy action is then `by_action` `(B, d)`.
    """

    def __init__(self, network, skip=True):
        self.params, self.style = float64(dict(network.params)), network.style
        self.act = {"mish": mish, "relu": relu, "gelu": gelu}[network.activation]
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
        elif self.style == "step":
            angles = condition / 10_000.0 ** (np.arange(8) / 8)
            s["waves"] = np.concatenate([np.sin(angles), np.cos(angles)], 1) / 4
            s["code"], s["code_slope"] = self.act(layer("code_0", s["waves"]))
            s["told"] = layer("code_1", s["code"])
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
        self.by_action = g1 @ p["action_part"]["kernel"].T
        result = {
            "out": full(s["x2"], error),
            "hidden_0": full(s["x1"], g2),
            "state_part": full(s["obs"], g1),
            "action_part": {"kernel": s["action"].T @ g1},
            "condition_part": {"kernel": s["told"].T @ g1},
        }
        if self.style == "step":
            by_told = g1 @ p["condition_part"]["kernel"].T
            by_hidden = by_told @ p["code_1"]["kernel"].T * s["code_slope"]
            result |= {"code_1": full(s["code"], by_told), "code_0": full(s["waves"], by_hidden)}
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


class ResidualByHand:
    """The score network of DQS's code: as `ScoreByHand`. `skip` False leaves out the skip connections."""

    def __init__(self, network, skip=True):
        self.params, self.skip = float64(dict(network.params)), skip
        self.blocks = [f"hidden_{i}" for i in range(len(network.hidden_sizes))]

    def outputs(self, obs, action, condition):
        p, s = self.params, {"obs": obs, "action": action}
        angles = condition[:, :, None] * 1000.0 ** (-np.arange(64) / 63)
        s["told"] = np.concatenate([np.sin(angles), np.cos(angles)], 2).reshape(len(angles), -1)
        first = obs @ p["state_part"]["kernel"] + p["state_part"]["bias"]
        first = first + action @ p["action_part"]["kernel"] + s["told"] @ p["condition_part"]["kernel"]
        x, s["slope"] = gelu_tanh(first)
        s["read"] = []
        for name in self.blocks:
            y, slope = gelu_tanh(x @ p[name]["kernel"] + p[name]["bias"])
            s["read"].append((x, slope))
            x = x + y if self.skip else y
        s["last"], self.saved = x, s
        return x @ p["out"]["kernel"] + p["out"]["bias"]

    def gradients(self, error):
        p, s = self.params, self.saved
        result = {"out": {"kernel": s["last"].T @ error, "bias": error.sum(0)}}
        by_x = error @ p["out"]["kernel"].T
        for name, (x, slope) in zip(self.blocks[::-1], s["read"][::-1], strict=True):
            g = by_x * slope
            result[name] = {"kernel": x.T @ g, "bias": g.sum(0)}
            by_x = g @ p[name]["kernel"].T + (by_x if self.skip else 0)
        g = by_x * s["slope"]
        self.by_action = g @ p["action_part"]["kernel"].T
        return result | {
            "state_part": {"kernel": s["obs"].T @ g, "bias": g.sum(0)},
            "action_part": {"kernel": s["action"].T @ g},
            "condition_part": {"kernel": s["told"].T @ g},
        }
