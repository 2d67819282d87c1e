"""The critics of DSAC-T and DACER: twin normal laws of the return, and how they learn.

"Distributional soft actor-critic with three refinements" (Duan et al. 2023), DSAC-T, as DACER's released code has it;
and DACER's port in flow-rl (2026), "huber", which limits the errors.
Each twin is one perceptron with two outputs, the mean and, through softplus, the standard deviation. As a landscape it
is the mean: policies climb the smaller of the two.
"""

from typing import Literal, Self

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from softq.networks.critic import Critic, QModule
from softq.utils.pytree import pytree

EPSILON = 0.1  # what keeps the divisions of the slopes finite
CLIP = 3.0  # standard deviations: how far from the mean a target is drawn, and how far it counts
HUBER = 50.0  # the error from which on flow-rl's loss is no longer quadratic but linear
RATIOS = 0.1, 10.0  # limits of what flow-rl multiplies a slope by
Loss = Literal["dsac-t", "huber"]


@pytree
class DistributionalCritic(Critic):
    """Twin laws of the return: `critic(obs, action)` gives both means, `(2,)`, and `critic.law` the deviations too."""

    # the running mean over batches of each twin's standard deviation, (2,); -1 before the first batch
    mean_std: Array

    @classmethod
    def create(
        cls,
        key: Array,
        obs: Array,
        action: Array,
        hidden_sizes: tuple[int, ...] = (256, 256, 256),
        activation: str = "mish",
        num: int = 2,
    ) -> Self:
        """`num` fresh networks, each from its own key, for `obs` `(obs_dim,)` and `action` `(action_dim,)`.

        Raises `SoftqError` for an unknown activation or widths that are not positive.
        """
        critic = cls.sized(obs, action, hidden_sizes, activation, mean_std=jnp.full(num, -1.0))
        return critic.initialised(key, obs, action, num=num)

    @property
    def module(self) -> QModule:
        return QModule(self.hidden_sizes, self.activation, self.obs_dim + self.action_dim, num_outputs=2)

    def law(self, obs: Array, action: Array) -> tuple[Array, Array]:
        """The twins' means and standard deviations of the return at one observation and action, `(2,)` both."""
        features = self.at(obs).features
        twin = lambda params, features: self.apply(params, features, action, method="outputs")
        outputs = jax.vmap(twin)(self.params, features)
        return outputs[:, 0], jax.nn.softplus(outputs[:, 1])

    def loss(
        self, obs: Array, action: Array, targets: Array, rate: float | Array, rule: Loss = "dsac-t"
    ) -> tuple[Array, dict[str, Array]]:
        """A number whose gradient is that of `rule` on a batch, and scalars for the log with the new `mean_std` `(2,)`.

        `targets` `(B, 2)` hold the mean of each target and a draw of it. The running mean moves by `rate`; the first
        batch is where it starts. Deviation of "huber": both twins have one, which starts at 1 and is used as it was
        before the batch.
        """
        means, stds = jax.vmap(self.law)(obs, action)
        now, before = stop_gradient(jnp.mean(stds, axis=0)), self.mean_std
        if rule == "huber":
            now, before = jnp.full_like(now, jnp.mean(now)), jnp.where(before < 0, 1.0, before)
        mean_std = jnp.where(before < 0, now, before + rate * (now - before))
        slopes_of, used = (slopes, mean_std) if rule == "dsac-t" else (huber_slopes, before)
        by_mean, by_std = stop_gradient(jax.vmap(slopes_of, (0, 0, 0, None))(means, stds, targets, used))
        error = jnp.sum(jnp.mean(means * by_mean + stds * by_std, axis=0))
        return error, {"q_mean": jnp.mean(means), "q_std": jnp.mean(stds), "mean_std": mean_std}


def slopes(means: Array, stds: Array, targets: Array, mean_std: Array) -> tuple[Array, Array]:
    """The slopes of the twins' losses by mean and standard deviation, `(2,)` both, for one transition.

    They are those of the negative log-likelihood of a normal law, times the running variance, so that the step hardly
    depends on the scale of the reward. The mean goes towards the mean target. The deviation goes by the draw, which
    counts up to 3 running deviations from the mean.
    """
    target, drawn = targets
    off = jnp.clip(drawn - means, -CLIP * mean_std, CLIP * mean_std)
    scale = mean_std**2 + EPSILON
    by_mean = -scale * (target - means) / (stds**2 + EPSILON)
    return by_mean, -scale * (off**2 - stds**2) / (stds**3 + EPSILON)


def huber_slopes(means: Array, stds: Array, targets: Array, mean_std: Array) -> tuple[Array, Array]:
    """`slopes` as flow-rl has them: by Huber's loss of the errors, and times a ratio of variances within `RATIOS`.

    Deviation: Huber's loss is half a squared error, and the variance goes to it. So the deviation settles at the root
    of one half, 0.7, of that of the draws.
    """
    target, drawn = targets
    off = jnp.abs(jnp.clip(drawn - means, -CLIP * mean_std, CLIP * mean_std))
    lost = jnp.where(off <= HUBER, off**2 / 2, HUBER * (off - HUBER / 2))
    ratio = jnp.clip(mean_std**2 / (stds**2 + EPSILON), *RATIOS)
    return ratio * jnp.clip(means - target, -HUBER, HUBER), ratio * (stds**2 - lost) / (stds + EPSILON)
