"""MFP, mean flow policy: twin critics, and a flow from noise to an action in one step, that imitates its best draws.

"Mean flow policy with instantaneous velocity constraint for one-step action generation" (ICLR 2026, arXiv 2602.13810,
where it is called MVP). This is our reading, with no code to compare with. Not public are the law of the times t and r,
their embedding, the state in which the imitated action is drawn, the critic that chooses among draws, how actions come
into the box, and exploration beyond the draw. Settings are those of the baseline MFP in NC-LQL's Table 5, but its 20
"diffusion steps": one step is what the method is about.
"""

from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms.base import Algorithm, Info, State
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.targets import best_action
from softq.box import project
from softq.networks import Critic, ScoreNetwork
from softq.utils.fields import count, nonnegative
from softq.utils.pytree import pytree

# (a_t, t, r) -> (a_r - a_t) / (r - t), all actions `(d,)`
MeanVelocity = Callable[[Array, Array, Array], Array]


def mean_flow(u: MeanVelocity, a: Array, t: Array, r: Array, velocity: Array) -> tuple[Array, Array]:
    """u(a, t, r) at t <= r, and what it should be: velocity - (t - r) du/dt, held fixed; `(d,)` each.

    The identity follows from (r - t) u = a_r - a_t by the derivative along the flow, which moves `a` by the `velocity`
    `(d,)` and t by 1 and leaves r. The mean of this target over velocities with one `a` is right, since it is linear in
    them.
    """
    now, change = jax.jvp(lambda a, t: u(a, t, r), (a, t), (velocity, jnp.ones_like(t)))
    return now, jax.lax.stop_gradient(velocity - (t - r) * change)


@pytree
class MFP(Algorithm):
    """Hyper-parameters of NC-LQL's Table 5, column MFP, and lambda of the paper."""

    presets: ClassVar[dict] = {
        "paper": {"num_envs": 5, "iterations": 1_000_000, "warmup": 30_000},  # as NC-LQL's Table 5 and E.1
        "small": {"num_draws": 16, "learning_rate": 1e-3, "actor_learning_rate": 1e-3},
    }

    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(1e-4)
    actor_learning_rate: float = hyper.learning_rate(1e-4, "the flow")
    polyak: float = hyper.polyak()
    reward_scale: float = hyper.reward_scale(0.2)
    num_draws: int = count(32, "Number N of draws of which the critic takes the best.")
    constraint: float = nonnegative(1.0, "Weight lambda of the instantaneous velocity constraint.")
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256, 256))
    activation: str = hyper.activation("gelu")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and targets equal to the critics; the flow's reads t and r as MaxEntDP's reads its level."""
        for_critic, for_actor = jax.random.split(key)
        layers = self.hidden_sizes, self.activation
        critic = Critic.create(for_critic, obs, action, *layers)
        return self.fresh_state(critic, ScoreNetwork.create(for_actor, obs, action, *layers, "fourier", 2))

    def mean_velocity(self, network: ScoreNetwork, obs: Array) -> MeanVelocity:
        """u(a_t, t, r, s) of the flow in one state, from noise at t = 0 to the action at t = 1."""
        flow = network.at(obs)
        return lambda a, t, r: flow(a, jnp.stack([t, r]))

    # Acting. The same action gathers data, is scored and is imitated.

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """The best of N draws a_0 + u(a_0, 0, 1, s), a_0 ~ N(0, I), by the smaller critic.

        Raises `SoftqError` for a temperature.
        """
        self.check_adjustable(temperature)
        u, dim = self.mean_velocity(state.actor.network, obs), state.critic.network.action_dim
        start = jax.random.normal(key, (self.num_draws, dim))
        draw = lambda a: project(a + u(a, jnp.zeros(()), jnp.ones(())))
        return best_action(state.critic.network.at(obs), jax.vmap(draw)(start))

    # Learning: the critics' target is the base's, min_j Q_target_j(s', a') with a' of this policy

    def actor_loss(
        self, actor: ScoreNetwork, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """L_MF + lambda L_IVC on the straight path from noise to the policy's own action.

        L_MF is the squared error of u(a_t, t, r) in the mean flow identity, L_IVC that of u(a_t, t, t) to the velocity.
        """
        for_end, for_start, for_times = jax.random.split(key, 3)
        end = self.policy(state, obs, for_end)
        start = jax.random.normal(for_start, end.shape)
        t, r = jnp.sort(jax.random.uniform(for_times, (2,)))
        a, velocity = (1 - t) * start + t * end, end - start
        u = self.mean_velocity(actor, obs)
        now, target = mean_flow(u, a, t, r, velocity)
        mean, instant = jnp.sum((now - target) ** 2), jnp.sum((u(a, t, t) - velocity) ** 2)
        return mean + self.constraint * instant, {}
