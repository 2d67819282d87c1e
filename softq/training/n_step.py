"""Returns of several steps, put together when a batch is drawn from a replay of single transitions."""

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms.base import Transition
from softq.training.replay import Replay
from softq.utils.pytree import replace


def n_step_rows(replay: Replay, where: Array, n: int, num_envs: int, discount: float | Array) -> Transition:
    """The transitions at the places `where` `(num,)` of a replay, each with the rewards of up to `n` steps.

    A row has the reward r_0 + discount r_1 + ... + discount^(k-1) r_(k-1) and the `next_obs` of the last of its k
    steps, and its `discount` is discount^(k-1), or 0 where the episode truly ended there. `Algorithm.targets`
    multiplies that by one more discount, which gives the target of Sutton and Barto (2018), Reinforcement Learning,
    section 7.1. k is `n`, or less where the episode ends or the replay holds no later step yet. An episode that its
    time limit cuts ends the sum too, and the critic is asked about its true last observation.

    The actions after the first are those that were executed, and their probabilities are not corrected for. A soft
    value counts the entropy of the policy in `next_obs` only, and none of those in the states before.

    `num_envs` rows were added at a time, one for each environment. The capacity need not be a multiple of that.
    """
    data, steps = replay.data, jnp.arange(n)

    def row(first: Array) -> Transition:
        places = (first + num_envs * steps) % replay.capacity
        later = (replay.added - 1 - first) % replay.capacity  # number of rows that were added after this one
        goes_on = ~data.ended[places[:-1]] & (later >= num_envs * steps[1:])
        taken = jnp.cumprod(jnp.concatenate([jnp.ones(1, int), goes_on]))  # 1 up to the last step and then 0
        count = taken.sum()
        last = places[count - 1]
        reward = jnp.sum(jnp.where(taken, discount**steps * data.reward[places], 0))
        ends = discount ** (count - 1) * data.discount[last]
        return replace(
            replay.rows(first), reward=reward, discount=ends, next_obs=data.next_obs[last], ended=None
        )

    return jax.vmap(row)(where)


def ended_here(replay: Replay, num_envs: int) -> Replay:
    """The replay in which the episodes of the newest `num_envs` rows have ended, for new ones are about to start."""
    newest = (replay.added - 1 - jnp.arange(num_envs)) % replay.capacity
    ended = replay.data.ended.at[newest].set(True)
    return replace(replay, data=replace(replay.data, ended=ended))
