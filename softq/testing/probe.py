"""An algorithm with all that its checks need: a state, a batch, observations and compiled methods."""

import dataclasses
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.algorithms.base import Algorithm, Transition

POLICIES = ("policy", "explore", "exploit")


@partial(jax.jit, static_argnums=(1, 2, 3))
def random_batch(key: Array, batch_size: int, obs_dim: int, action_dim: int) -> Transition:
    """`batch_size` transitions: normal observations and rewards, uniform actions, and about a quarter terminal."""
    k = jax.random.split(key, 5)
    return Transition(
        obs=jax.random.normal(k[0], (batch_size, obs_dim)),
        action=jax.random.uniform(k[1], (batch_size, action_dim), minval=-1.0, maxval=1.0),
        reward=jax.random.normal(k[2], (batch_size,)),
        discount=(jax.random.uniform(k[3], (batch_size,)) > 0.25).astype(jnp.float32),
        next_obs=jax.random.normal(k[4], (batch_size, obs_dim)),
    )


@dataclasses.dataclass
class Probe:
    """An algorithm with a state and a batch to check it with; each method is compiled once for all checks."""

    algo: Algorithm
    obs_dim: int
    action_dim: int
    batch_size: int
    deterministic_exploit: bool
    static_floats: tuple[str, ...]
    key: Array
    deterministic_policy: bool = False
    traces: int = 0  # number of compilations so far

    @cached_property
    def state(self) -> Any:
        """The initial state of the algorithm."""
        return self.init(self.algo, self.key)

    @cached_property
    def batch(self) -> Transition:
        """`batch_size` random transitions."""
        return random_batch(jax.random.fold_in(self.key, 1), self.batch_size, self.obs_dim, self.action_dim)

    @cached_property
    def observations(self) -> Array:
        """64 observations `(64, obs_dim)`: 32 normal ones, and the same times 100, far from any data."""
        obs = jax.random.normal(jax.random.fold_in(self.key, 2), (32, self.obs_dim))
        return jnp.concatenate([obs, 100 * obs])

    @cached_property
    def compiled(self) -> dict[str, Callable]:
        """The compiled methods by name, with the algorithm as the first argument; each compilation raises `traces`."""

        def counted(method: str) -> Callable:
            def call(algo: Algorithm, state: Any, *rest: Any) -> Any:
                self.traces += 1
                one = partial(getattr(algo, method), state)
                return one(*rest) if method == "update" else jax.vmap(one)(*rest)

            return jax.jit(call)

        return {method: counted(method) for method in (*POLICIES, "update")}

    @cached_property
    def init(self) -> Callable[[Algorithm, Array], Any]:
        """The compiled function that makes the initial state of an algorithm from a key."""
        return jax.jit(lambda algo, key: algo.init(key, jnp.zeros(self.obs_dim), jnp.zeros(self.action_dim)))

    def act(self, method: str, observations: Array) -> np.ndarray:
        """Actions `(n, action_dim)` of `method` at observations `(n, obs_dim)`, with a key for each."""
        keys = jax.random.split(self.key, len(observations))
        return np.asarray(self.compiled[method](self.algo, self.state, observations, keys))

    def update(self, state: Any, batch: Transition, index: int) -> Any:
        """`(state, metrics)` after one update with the key number `index`."""
        return self.compiled["update"](self.algo, state, batch, jax.random.fold_in(self.key, index))

    def require(self, condition: bool, check: str, message: str) -> None:
        """Raise `AssertionError` with `message` unless `condition`."""
        if not condition:
            raise AssertionError(f"check_algorithm, {check}, {type(self.algo).__name__}: {message}")


def paths(tree: Any) -> list[tuple[str, Any]]:
    """`(path, leaf)` for each leaf of `tree`; random keys are given as their numbers."""

    def plain(leaf: Any) -> Any:
        is_key = jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key)
        return jax.random.key_data(leaf) if is_key else leaf

    return [
        (jax.tree_util.keystr(path), plain(leaf)) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]
