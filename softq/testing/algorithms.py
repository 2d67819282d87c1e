"""Checks of an algorithm, softq's own or a reader's, against the contract of `softq.algorithms.base`."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.algorithms.base import Algorithm
from softq.testing.probe import POLICIES, Probe, paths
from softq.utils.flat_settings import flat, with_settings


def _shapes(probe: Probe, algo: Algorithm, check: str) -> None:
    state = jax.eval_shape(lambda key: probe.init(algo, key), probe.key)
    obs = jnp.zeros(probe.obs_dim)
    for method in POLICIES:
        action = jax.eval_shape(getattr(algo, method), state, obs, probe.key)
        expected = jax.ShapeDtypeStruct((probe.action_dim,), jnp.float32)
        got = f"{method} returns {action.dtype}{action.shape}"
        probe.require(action == expected, check, f"{got}, expected float32({probe.action_dim},).")
    after, metrics = jax.eval_shape(algo.update, state, probe.batch, probe.key)
    same = jax.tree.structure(after) == jax.tree.structure(state)
    probe.require(same, check, "update changes the structure of the state.")
    for (path, old), new in zip(paths(state), jax.tree.leaves(after), strict=True):
        same = old.shape == new.shape and old.dtype == new.dtype
        probe.require(same, check, f"update changes state{path} from {old} to {new}.")
    probe.require(
        isinstance(metrics, dict), check, f"metrics are a {type(metrics).__name__}, expected a dict."
    )
    for name, value in metrics.items():
        probe.require(
            value.shape == (), check, f"metric {name!r} has shape {value.shape}, expected a scalar."
        )


def _default(probe: Probe) -> None:
    _shapes(probe, type(probe.algo)(), "default")


def _contract(probe: Probe) -> None:
    _shapes(probe, probe.algo, "shapes")


def _box(probe: Probe) -> None:
    for method in POLICIES:
        actions = probe.act(method, probe.observations)
        finite = bool(np.isfinite(actions).all())
        probe.require(finite, "box", f"{method} returns an action that is not finite.")
        worst = float(np.abs(actions).max())
        probe.require(worst <= 1, "box", f"{method} returns a coordinate of size {worst!r}, outside [-1, 1].")


def _key(probe: Probe) -> None:
    obs = jnp.broadcast_to(probe.observations[0], probe.observations.shape)
    for method in POLICIES:
        actions = probe.act(method, obs)
        same = np.array_equal(actions, probe.act(method, obs))
        probe.require(same, "key", f"{method} gives two actions for one key.")
        different = len(np.unique(actions, axis=0))
        counted = f"{method} gives {different} actions for {len(obs)} keys"
        if method == "policy" and not probe.deterministic_policy:
            probe.require(different > 1, "key", f"{counted}, expected more.")
        if method == "exploit" and probe.deterministic_exploit:
            probe.require(different == 1, "key", f"{counted}, expected one.")


def _seeds(probe: Probe) -> None:
    a, b = (probe.init(probe.algo, key) for key in jax.random.split(probe.key))
    random = 0
    for (path, x), (_, y) in zip(paths(a), paths(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        # biases, counters and the moments of Adam start as constants, for any key
        if x.ndim < 2 or (x == x.flat[0]).all():
            continue
        random += 1
        shared = bool(np.any(x == y))
        probe.require(not shared, "seeds", f"state{path} has entries that do not depend on the key.")
    probe.require(random > 0, "seeds", "no weight matrix depends on the key of init.")


def _leaves(probe: Probe) -> None:
    fields = flat(probe.algo)
    floats = [n for n, v in fields.items() if isinstance(v, float) and n not in probe.static_floats]
    probe.require(len(floats) > 0, "leaves", "no hyper-parameter is a float.")
    keys = jax.random.split(probe.key, len(probe.observations))

    def run(algo: Algorithm) -> int:
        for method in POLICIES:
            probe.compiled[method](algo, probe.state, probe.observations, keys)
        probe.compiled["update"](algo, probe.state, probe.batch, probe.key)
        return probe.traces

    before = run(probe.algo)
    for name in floats:
        after = run(with_settings(probe.algo, {name: fields[name] * 0.9 + 0.001}))
        probe.require(after == before, "leaves", f"a new value of {name} recompiles; it should be a leaf.")


def _vmap(probe: Probe) -> None:
    keys = jax.random.split(probe.key, 3)
    states = [probe.init(probe.algo, key) for key in keys]
    singles = [
        probe.compiled["update"](probe.algo, s, probe.batch, k) for s, k in zip(states, keys, strict=True)
    ]
    stacked = jax.jit(lambda *states: jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))(*states)
    together = jax.jit(jax.vmap(lambda s, k: probe.algo.update(s, probe.batch, k)))(stacked, keys)
    for i, single in enumerate(singles):
        for (path, x), (_, y) in zip(paths(single), paths(together), strict=True):
            x, y = np.asarray(x, float), np.asarray(y, float)[i]
            worst = float(np.abs(x - y).max(initial=0.0))
            # rounding errors are relative to the number, and the loss of an untrained critic may be a million
            size = float(np.abs(x).max(initial=1.0))
            probe.require(
                worst < 1e-4 * size, "vmap", f"result{path} of seed {i} is off by {worst:.2g} when batched."
            )


def _finite(probe: Probe) -> None:
    batch = dataclasses.replace(probe.batch, reward=jnp.zeros(probe.batch_size))
    state, metrics = probe.state, {}
    for i in range(5):
        state, metrics = probe.update(state, batch, i)
    for path, x in paths((state, metrics)):
        finite = bool(np.isfinite(np.asarray(x, float)).all())
        probe.require(finite, "finite", f"{path} is not finite after five updates on zero rewards.")


def _learns(probe: Probe) -> None:
    after, _ = probe.update(probe.state, probe.batch, 0)
    pairs = zip(paths(probe.state), paths(after), strict=True)
    changed = [path for (path, x), (_, y) in pairs if np.ndim(x) >= 2 and not np.array_equal(x, y)]
    probe.require(len(changed) > 0, "learns", "update leaves every weight matrix as it was.")


ALGORITHM_CHECKS: dict[str, Callable[[Probe], None]] = {
    "default": _default,
    "shapes": _contract,
    "box": _box,
    "key": _key,
    "seeds": _seeds,
    "leaves": _leaves,
    "vmap": _vmap,
    "finite": _finite,
    "learns": _learns,
}


def check_algorithm(
    algo: Algorithm,
    obs_dim: int = 3,
    action_dim: int = 2,
    batch_size: int = 8,
    deterministic_exploit: bool = True,
    static_floats: tuple[str, ...] = (),
    key: Array | None = None,
    only: str | None = None,
    deterministic_policy: bool = False,
) -> None:
    """Run the checks in `ALGORITHM_CHECKS` on `algo`, or only the one named `only`.

    All methods of `algo` are compiled, so give it small networks. The checks are:

    - "default": the class can be made without arguments, and passes "shapes".
    - "shapes": actions are float32 `(action_dim,)`; `update` keeps the structure, shapes and types of the state, and
      returns a dictionary of scalar metrics.
    - "box": actions are finite and in [-1, 1], also at observations far from the data.
    - "key": `policy` depends on its key, unless `deterministic_policy`; `exploit` does not, if `deterministic_exploit`.
    - "seeds": the states of two seeds share no entry of a weight matrix.
    - "leaves": a new value of a float hyper-parameter compiles nothing, unless it is one of `static_floats`.
    - "vmap": `update` under `jax.vmap` over seeds gives the results of single seeds.
    - "finite": updates on zero rewards leave the state finite.
    - "learns": `update` changes a weight matrix.

    Raises `AssertionError` that names the check and what failed it.
    """
    key = jax.random.key(0) if key is None else key
    probe = Probe(
        algo, obs_dim, action_dim, batch_size, deterministic_exploit, static_floats, key, deterministic_policy
    )
    for name, check in ALGORITHM_CHECKS.items():
        if only in (None, name):
            check(probe)
