"""MEow's critic: a normalizing flow whose density, times a factor, is exp(Q / temperature), so that it can be sampled.

It is the model of Chao et al. (2024), Section 3, with the layers of its released code. A normal latent z goes through
additive couplings, each of which shifts half of the coordinates by a network of the others and of the state, and then
through tanh:

    z ~ N(0, diag(sigma(s)^2)),   u = f(z; s),   a = tanh(u).

A coupling keeps volumes, so the density pi(a|s) has no determinant but that of tanh. With two learned functions c_i of
the state ("reward shifts", Section 3.2), the network is both of these, and Q_i - V_i = temperature * log pi:

    Q_i(s, a) = temperature * (-|z / sigma|^2 / 2 - sum log(1 - a^2) + c_i(s)),
    V_i(s)    = temperature * (sum log sigma + d log(2 pi) / 2 + c_i(s))
              = temperature * log of the integral of exp(Q_i / temperature) over the box.
"""

from typing import Self

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import log_tanh_slope
from softq.networks.base import Network
from softq.networks.coupling import FlowModule
from softq.networks.critic import least
from softq.utils.checks import positive
from softq.utils.pytree import pytree, static

MARGIN = (
    1e-5  # an action is clipped to 1 - MARGIN in size before its arctanh is taken, as in the released code
)


@pytree
class FlowCritic(Network):
    """Twin Q functions of one flow: `critic(obs, action)` is `(2,)`, `critic.at(obs)` the landscape and law of a state.

    It takes one observation `(obs_dim,)` and one action `(action_dim,)` in [-1, 1]; use `vmap` for a batch. All but
    `params` is held fixed in training. The twins differ by a function of the state, so both have the same law.
    """

    temperature: Array  # divides Q
    log_std_min: Array  # bounds of log sigma
    log_std_max: Array
    shift_sizes: tuple[int, ...] = static()
    num_blocks: int = static()

    @classmethod
    def create(
        cls,
        key: Array,
        obs: Array,
        action: Array,
        hidden_sizes: tuple[int, ...] = (64, 64),
        shift_sizes: tuple[int, ...] = (256, 256),
        num_blocks: int = 2,
        temperature: float | Array = 1.0,
        log_std: tuple[float | Array, float | Array] = (-5.0, -0.3),
    ) -> Self:
        """A fresh network for `obs` `(obs_dim,)` and `action` `(action_dim,)`; `log_std` are the bounds of log sigma.

        Raises `SoftqError` for widths or a number of blocks that are not positive.
        """
        positive("num_blocks", num_blocks)
        held = [jnp.asarray(x, float) for x in (temperature, *log_std)]
        names = ("temperature", "log_std_min", "log_std_max")
        more = {"shift_sizes": tuple(shift_sizes), "num_blocks": num_blocks}
        network = cls.sized(obs, action, hidden_sizes, "silu", **dict(zip(names, held, strict=True)), **more)
        return network.initialised(key, obs, action)

    @property
    def module(self) -> FlowModule:
        return FlowModule(self.hidden_sizes, self.shift_sizes, self.num_blocks, self.action_dim)

    def __call__(
        self, obs: Array, action: Array, keys: Array | None = None, rate: float | Array = 0.0
    ) -> Array:
        return self.at(obs).twins(action, keys, rate)

    def at(self, obs: Array) -> "FlowLandscape":
        """Q(s, .), V(s) and the policy of one state; what does not depend on the action is computed here."""
        raw, reward_shifts = self.module.apply({"params": self.params}, obs, method="encode")
        log_std = self.log_std_min + (self.log_std_max - self.log_std_min) * (jnp.tanh(raw) + 1) / 2
        return FlowLandscape(self, obs, log_std, reward_shifts)


@pytree
class FlowLandscape:
    """The smaller twin of Q(s, .), a function from one action `(action_dim,)` to a scalar, and its softmax."""

    critic: FlowCritic
    obs: Array
    log_std: Array  # log sigma, (action_dim,)
    reward_shifts: Array  # c_1 and c_2, (2,)

    def flow(
        self, x: Array, inverse: bool = False, key: Array | None = None, rate: float | Array = 0
    ) -> Array:
        """u = f(z; s) of a latent `(d,)`, or its inverse; units of the couplings are dropped if there is a `key`."""
        apply = self.critic.module.apply
        return apply({"params": self.critic.params}, x, self.obs, inverse, key, rate, method="flow")

    def before_tanh(self, u: Array, key: Array | None = None, rate: float | Array = 0.0) -> Array:
        """-|z / sigma|^2 / 2 at u = f(z; s): the log-density of u, up to a constant."""
        z = self.flow(u, True, key, rate)
        return -jnp.sum((z * jnp.exp(-self.log_std)) ** 2) / 2

    def twins(self, action: Array, keys: Array | None = None, rate: float | Array = 0.0) -> Array:
        """Q_1 and Q_2 at one action, `(2,)`; by `keys` `(2,)` units are dropped with chance `rate`, for each apart."""
        u = jnp.arctanh(jnp.clip(action, MARGIN - 1, 1 - MARGIN))
        dropping = jax.vmap(lambda key: self.before_tanh(u, key, rate))
        value = self.before_tanh(u) if keys is None else dropping(keys)
        # Deviation: the released code adds 1.2e-7 to 1 - a^2. At the margin that lowers Q by 0.006 temperatures.
        return self.critic.temperature * (value - jnp.sum(log_tanh_slope(u)) + self.reward_shifts)

    def __call__(self, action: Array) -> Array:
        return least(self.twins(action))

    @property
    def values(self) -> Array:
        """V_1 and V_2 of the state, `(2,)`; the couplings do not matter, and nothing is dropped."""
        log_integral = jnp.sum(self.log_std + jnp.log(2 * jnp.pi) / 2)
        return self.critic.temperature * (log_integral + self.reward_shifts)

    def sample(self, key: Array) -> Array:
        """An action `(d,)` of the policy exp((Q - V) / temperature)."""
        return jnp.tanh(self.flow(jnp.exp(self.log_std) * jax.random.normal(key, self.log_std.shape)))

    @property
    def mode(self) -> Array:
        """tanh(f(0; s)), `(d,)`: the one maximum of the density before tanh, not always of Q."""
        return jnp.tanh(self.flow(jnp.zeros_like(self.log_std)))
