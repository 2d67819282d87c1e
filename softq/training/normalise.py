"""Observations less their running mean, divided by their running standard deviation.

The replay keeps observations as they are, and each update and each action normalises them by the statistics of that
moment. These belong to the state of the learner, and so to its checkpoint; only training changes them.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms.base import Algorithm, Info, Transition
from softq.training.config import TrainConfig
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace

# as the class VecNormalize of OpenAI Baselines and of Stable-Baselines3 has them
SMALLEST, LARGEST = 1e-8, 10.0  # what is added to a variance; the bound of a normalised observation


@pytree
class Moments:
    """The mean and variance of all observations so far, coordinate by coordinate.

    `mean_error` and `variance_error` are what rounding has added to them (Kahan, 1965, "Further remarks on reducing
    truncation errors"): without them single precision would lose observations once there are about a million.
    """

    count: Array  # number of observations
    mean: Array  # (obs_dim,)
    variance: Array  # (obs_dim,), of the observations about their mean
    mean_error: Array
    variance_error: Array

    @staticmethod
    def start(obs: Array) -> "Moments":
        """The moments of no observation yet; `obs` `(obs_dim,)` is a guess of the mean."""
        zero = jnp.zeros_like(obs)
        return Moments(jnp.zeros((), jnp.int32), obs, zero, zero, zero)

    def add(self, obs: Array) -> "Moments":
        """The moments with more observations `(num, obs_dim)`.

        Two samples are joined as by Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance". The
        new one is measured from the mean so far, so that an offset of all observations cancels before it is squared.
        """
        count = self.count + len(obs)
        share = len(obs) / count.astype(jnp.float32)
        away = obs - self.mean[None]
        shift = share * jnp.mean(away, axis=0)
        change = share * (jnp.mean(away**2, axis=0) - self.variance) - shift**2
        mean, mean_error = added(self.mean, shift, self.mean_error)
        variance, variance_error = added(self.variance, change, self.variance_error)
        return Moments(count, mean, variance, mean_error, variance_error)

    def normalised(self, obs: Array) -> Array:
        """An observation `(obs_dim,)` by the mean and the standard deviation, within +-LARGEST."""
        scaled = (obs - self.mean) / jnp.sqrt(jnp.maximum(self.variance, 0) + SMALLEST)
        return jnp.clip(scaled, -LARGEST, LARGEST)


def added(total: Array, change: Array, error: Array) -> tuple[Array, Array]:
    """`total + change` and what its rounding has added; `error` is what earlier ones had added to `total`."""
    change = change - error
    new = total + change
    return new, (new - total) - change


@pytree
class Normalised:
    """An algorithm whose networks see normalised observations: it has its methods, and is given raw observations.

    Its state is that of the algorithm with the moments in `observed`.
    """

    algo: Algorithm

    def __getattr__(self, name: str) -> Any:
        if name == "algo" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.algo, name)

    def init(self, key: Array, obs: Array, action: Array) -> Any:
        """A fresh state of the algorithm, with the moments of no observation."""
        state = self.algo.init(key, obs, action)
        if not hasattr(state, "observed"):
            raise SoftqError(
                f"{type(state).__name__} has no field for the moments of observations; let it be a "
                "softq.algorithms.base.State, or leave normalise_obs out."
            )
        return replace(state, observed=Moments.start(obs))

    def policy(self, state: Any, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """See `Algorithm.policy`."""
        return self.algo.policy(state, state.seen(obs), key, temperature)

    def explore(self, state: Any, obs: Array, key: Array) -> Array:
        """See `Algorithm.explore`."""
        return self.algo.explore(state, state.seen(obs), key)

    def exploit(self, state: Any, obs: Array, key: Array) -> Array:
        """See `Algorithm.exploit`."""
        return self.algo.exploit(state, state.seen(obs), key)

    def temperature_of(
        self, state: Any, obs: Array, temperature: float | Array | None = None
    ) -> Array | None:
        """See `Algorithm.temperature_of`."""
        return self.algo.temperature_of(state, state.seen(obs), temperature)

    def next_value(self, state: Any, next_obs: Array, key: Array) -> tuple[Array, Info]:
        """See `Algorithm.next_value`."""
        return self.algo.next_value(state, state.seen(next_obs), key)

    def update(self, state: Any, batch: Transition, key: Array) -> tuple[Any, Info]:
        """See `Algorithm.update`."""
        return self.algo.update(state, seen_batch(state, batch), key)

    def update_and_revise(self, state: Any, batch: Transition, key: Array) -> tuple[Any, Info, Array]:
        """See `Algorithm.update_and_revise`."""
        return self.algo.update_and_revise(state, seen_batch(state, batch), key)


def seen_batch(state: Any, batch: Transition) -> Transition:
    """The batch as the networks see it."""
    seen = jax.vmap(state.seen)
    return replace(batch, obs=seen(batch.obs), next_obs=seen(batch.next_obs))


def prepared(algo: Algorithm, config: TrainConfig) -> Any:
    """The algorithm as a run with these settings trains it and acts by it: with raw observations as arguments."""
    return Normalised(algo) if config.normalise_obs else algo


def bare(algo: Any) -> Algorithm:
    """The algorithm itself, without the normalisation of its observations."""
    return algo.algo if isinstance(algo, Normalised) else algo


def observed(state: Any, obs: Array) -> Any:
    """The state after the learner has seen the observations `(num_envs, obs_dim)`; the same if none are counted."""
    if getattr(state, "observed", None) is None:
        return state
    return replace(state, observed=state.observed.add(obs))


observe_all = jax.jit(jax.vmap(observed), donate_argnums=0)
