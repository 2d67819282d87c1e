"""TD3: DDPG with twin critics, noise on the target's action, and an actor that moves in every second update.

"Addressing function approximation error in actor-critic methods" (Fujimoto et al. 2018), Algorithm 1 and Section 6.1,
with the layers, batch and learning rates of the authors' `TD3.py`, which are newer than the paper's.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms.base import Info, State
from softq.algorithms.ddpg import DDPG
from softq.box import project
from softq.networks import DeterministicActor
from softq.utils.fields import count, nonnegative
from softq.utils.pytree import pytree


@pytree
class TD3(DDPG):
    """Hyper-parameters of `TD3.py`: those of DDPG, and these."""

    num_critics: ClassVar[int] = 2

    target_noise: float = nonnegative(0.2, "Standard deviation of the normal noise on the target's action.")
    noise_clip: float = nonnegative(0.5, "Largest size of the noise on the target's action.")
    policy_delay: int = count(2, "Number d of updates between two steps of the actor and of all targets.")

    def next_value(self, state: State, next_obs: Array, key: Array) -> tuple[Array, Info]:
        """min_j Q_target_j(s', mu_target(s') + clipped noise), clipped to the box (Algorithm 1)."""
        action = self.policy(state, next_obs, key)
        noise = self.target_noise * jax.random.normal(key, action.shape)
        action = project(action + jnp.clip(noise, -self.noise_clip, self.noise_clip))
        return state.critic.target.at(next_obs)(action), {}

    def actor_loss(
        self, actor: DeterministicActor, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """-Q_1(s, mu(s)), of the first critic alone."""
        return -state.critic.network(obs, actor(obs))[0], {}
