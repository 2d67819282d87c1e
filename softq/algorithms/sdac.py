"""SDAC, soft diffusion actor-critic: a noise network learns from noises that Q weighs, in draws of the actor itself.

"Efficient online reinforcement learning for diffusion policy" (Ma et al. 2025). The loss is least for the score of the
noised exp(Q / temperature), whatever law the noisy actions have, so that this softmax is what the diffusion aims at. An
action is the best of many of its draws, and therefore greedier. What is called soft is the actor alone: the Bellman
target has no entropy. The estimate is that of MaxEntDP, whose noisy actions are replayed ones.
"""

from typing import ClassVar, Literal

import jax
from jax import Array

from softq.algorithms.base import Info, State
from softq.algorithms.common.best_of_draws import SMALL, TRAINING, BestOfDraws, falling
from softq.algorithms.common.temperature import Temperature
from softq.box import project
from softq.diffusion import qne
from softq.networks import ScoreNetwork
from softq.utils.fields import choice, count
from softq.utils.pytree import pytree

Proposals = Literal["truncated", "clipped"]


@pytree
class SDAC(BestOfDraws):
    """Hyper-parameters of the authors' code; the temperature is a fifth of its alpha, which also sizes the noise."""

    presets: ClassVar[dict] = {
        "paper": TRAINING,
        "small": SMALL | {"temperature": 0.1, "exploration_noise": 1.0, "num_samples": 32},
        "code": TRAINING | {"proposals": "clipped"},
    }
    temperature_unit: ClassVar[str] = "Q"

    temperature: Temperature = falling(1.0, "the weights, alpha / 5")
    num_samples: int = count(64, "Number of weighted noises for each regression target.")
    # Deviation: the code weighs noises that it leaves as they are by Q at actions that it has clipped. At most noise
    # levels nearly all actions lie beyond the walls, so that it compares the corners of the box.
    proposals: Proposals = choice(
        "truncated", "How the actions that Q weighs get into the box; code: clipped."
    )

    # Learning. The target is the base's: min_j Q_target_j at the policy's action.

    def actor_loss(
        self, actor: ScoreNetwork, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """The squared error towards the Q-weighted noise in a noised action of the policy; the replayed one is ignored.

        The weighted mean of the squared errors towards single noises, as printed, is this plus what no network changes.
        """
        for_action, for_time, for_noise, for_estimate = jax.random.split(key, 4)
        diffusion, temperature = self.diffusion(actor), self.current_temperature(state)
        drawn, t = self.policy(state, obs, for_action), diffusion.random_time(for_time)
        x = diffusion.add_noise(drawn, t, jax.random.normal(for_noise, drawn.shape))
        q, truncate = state.critic.network.at(obs), self.proposals == "truncated"
        weighed = q if truncate else lambda a: q(project(a))
        levels = diffusion.schedule.signal(t), diffusion.schedule.noise(t)
        noise = qne(for_estimate, weighed, temperature, x, *levels, self.num_samples, truncate, "noise")
        return diffusion.regression_loss(obs, x, t, noise), {}
