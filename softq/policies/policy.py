"""The trained policy of a run as one object: `policy = softq.load(DIR)`, then `env.step(policy(obs))`."""

import contextlib
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.algorithms import Algorithm
from softq.algorithms.common.critic_policy import acting
from softq.envs import is_jax, make
from softq.envs.actions import rescale
from softq.policies.observations import rows
from softq.training import TrainConfig, load_run
from softq.training.config import LAST_SEED
from softq.training.results import Checkpoint
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, static


@pytree
class Landscape:
    """Q(s, .) of a trained critic in the unit of the environment's returns: one action in [-1, 1]^dim to a number."""

    q: Any  # the critic in one state, in its own unit
    reward_scale: float  # by which the critic's unit is larger
    dim: int = static()

    def __call__(self, action: Array) -> Array:
        return self.q(action) / self.reward_scale


class Policy:
    """A policy with the learner of one training seed. NumPy goes in and out, in the environment's own units.

    - `algo`, `state`, `config`: the algorithm with its hyper-parameters, what it has learnt, the settings of its run.
    - `seed`: the training seed, and `index`, its number among those of the run.
    - `critic`: the network, `critic(obs, action)` for one flat observation, as `state.seen` gives it where training
      has normalised observations, and one action in [-1, 1]^d.
    - `temperature`: the one in force, in the unit `algo.temperature_unit`; None for a method without one.
    - `action_space` and `observation_space`: those of the environment, which is made once when they are first needed.
    """

    def __init__(self, algo: Algorithm, state: Any, config: TrainConfig, index: int = 0):
        self.algo, self.state, self.config, self.index = algo, state, config, index
        self.seed = config.seed_list[index]
        self.calls = 0  # of this policy without a key

    def __call__(
        self,
        obs: Any,
        temperature: float | None = None,
        sampler: str | None = None,
        deterministic: bool = False,
        key: int | Array | None = None,
        budget: int = 100,
    ) -> np.ndarray:
        """An action for one observation, or a batch of actions for a batch of observations, ready for `env.step`.

        Observations have the form in which the environment gives them; a batch has a leading axis, on every part of a
        Dict or Tuple too, as a vector of environments gives it. Actions lie in `action_space`, unless the method's
        chain knows no walls.

        The action is a sample of the method's policy at its `temperature` in force, or at another one in the same unit
        where the method can act at another (`algo.adjustable`). With a `sampler`, by its name in `softq.samplers`,
        the critic acts alone: an action of about exp(Q / temperature), for which the sampler may spend `budget`
        candidates or gradients. With `deterministic` the action is the one whose return is reported (`algo.exploit`):
        the mean or mode of an actor, or the best of several candidates. In a few methods, which say so there, this is
        a sample too.

        `key` is a whole number from 0 to 2^32 - 1 or a key of JAX. Without one, the first call of a policy that was
        just loaded draws with the key 0, the next one with 1, and so on. An action depends on the key, on its row in
        the batch and on its observation, and not on the other rows.

        One program is compiled for each choice of method, sampler, budget and whether a temperature is given; none for
        another temperature or key. A batch is filled up to the next power of two, so a new size of it seldom compiles.

        Raises `SoftqError` for an observation of another form or with a number that is not finite, for an unknown
        sampler, for a temperature that is not positive or not possible, for a temperature or sampler together with
        `deterministic`, and where the critic has diverged, so that an action is not finite.
        """
        if deterministic and sampler is not None:
            raise SoftqError(
                "a sampler replaces the policy and draws at random; leave deterministic=True out."
            )
        temperature = None if temperature is None else float(temperature)
        method = "exploit" if deterministic else "policy"
        actor, method = acting(self.algo, method, temperature, sampler, budget)
        flat, batch = rows(self.observation_space, obs, self.config.env)
        num = len(flat)
        if key is None:
            key, self.calls = self.calls, self.calls + 1
        padded = np.resize(flat, (1 << max(num - 1, 0).bit_length(), flat.shape[1]))
        unit = np.asarray(actions(actor, self.state, padded, as_key(key), method))[:num]
        if not np.isfinite(unit).all():
            raise SoftqError(f"an action of {self.config.algorithm} is not finite; the critic diverged.")
        action = rescale(unit, self.action_space)
        return action if batch else action[0]

    def __repr__(self) -> str:
        return f"<softq policy: {self.config.algorithm} in {self.config.env}, training seed {self.seed}>"

    @cached_property
    def spaces(self) -> tuple[gym.Space, gym.spaces.Box]:
        """The spaces of one observation and one action. Raises `SoftqError` when the environment cannot be made."""
        env: Any = make(self.config.env, 1, 0, self.config.env_kwargs)
        if is_jax(self.config.env):
            bounds = gym.spaces.Box(-1.0, 1.0, (env.action_dim,), np.float32)
            return gym.spaces.Box(-np.inf, np.inf, (env.obs_dim,), np.float32), bounds
        with contextlib.closing(env):
            return env.space, env.action_space

    @property
    def observation_space(self) -> gym.Space:
        return self.spaces[0]

    @property
    def action_space(self) -> gym.spaces.Box:
        return self.spaces[1]

    @property
    def critic(self) -> Any:
        return self.state.critic.network

    @property
    def temperature(self) -> float | None:
        own = self.algo.current_temperature(self.state)
        return None if own is None else float(own)

    def landscape(self, obs: Any) -> Landscape:
        """Q at one observation as a function of one action in [-1, 1]^d, in the unit of the environment's returns.

        What a policy or sampler makes of it can be compared with the softmax itself, where the action has one or two
        coordinates: `softq.Boltzmann(policy.landscape(obs), policy.divisor(obs))`. Raises `SoftqError` for a batch, or
        an observation of another form.
        """
        obs = self.row(obs)
        seen = self.state.seen(obs) if hasattr(self.state, "seen") else obs
        return Landscape(self.critic.at(seen), self.algo.reward_scale, self.critic.action_dim)

    def divisor(self, obs: Any, temperature: float | None = None) -> float | None:
        """What divides `landscape(obs)` at this temperature, in the method's own unit, or at the one in force.

        None where nothing divides Q: in a method without temperature, and where it has the unit of an action. A sampler
        takes its temperature there in the unit of the critic, and divides the landscape by that over `reward_scale`.
        """
        found = self.algo.temperature_of(self.state, self.row(obs), temperature)
        return None if found is None else float(found) / self.algo.reward_scale

    def row(self, obs: Any) -> Array:
        """One observation as the vector `(obs_dim,)` that the networks read. Raises `SoftqError` for a batch."""
        flat, batch = rows(self.observation_space, obs, self.config.env)
        if batch:
            raise SoftqError(f"this takes one observation, and not a batch of {len(flat)}; give it obs[0].")
        return jnp.asarray(flat[0])


@partial(jax.jit, static_argnames="method")
def actions(actor: Any, state: Any, obs: Array, key: Array, method: str) -> Array:
    """Actions `(n, action_dim)` in [-1, 1] by `actor.policy` or `actor.exploit`, for `obs` `(n, obs_dim)`."""
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(obs.shape[0]))
    return jax.vmap(partial(getattr(actor, method), state))(obs, keys)


def as_key(key: Any) -> Array:
    """A whole number, or a key of JAX of either kind, as a typed key. Raises `SoftqError` for anything else."""
    if isinstance(key, Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ():
        return key
    if isinstance(key, Array) and key.dtype == np.uint32 and key.shape == (2,):
        return jax.random.wrap_key_data(key)
    if isinstance(key, int | np.integer) and not isinstance(key, bool) and 0 <= key <= LAST_SEED:
        return jax.random.key(int(key))
    given = f"an array of the shape {key.shape}" if isinstance(key, Array | np.ndarray) else repr(key)
    raise SoftqError(f"key is {given}; give a whole number from 0 to {LAST_SEED}, or one key of JAX.")


def load(run_dir: Path | str, index: int = 0, checkpoint: Checkpoint = "newest") -> Policy:
    """The policy of a run in the directory `run_dir`, by its newest checkpoint and its seed number `index`, from 0.

    The checkpoint "best" is that of the seed's evaluation with the highest mean return, which a training with
    `keep_best` keeps. Raises `SoftqError` when the directory is not a run, when its checkpoint is missing or
    unreadable, and when there is no seed with this number.
    """
    return Policy(*load_run(run_dir, index, checkpoint), index)
