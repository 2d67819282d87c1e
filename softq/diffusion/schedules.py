"""How an action is noised: a_t = signal(t) * a_0 + noise(t) * z, z standard normal.

Two schedules: the geometric variance-exploding one of DQS and the cosine variance-preserving one of MaxEntDP. Both are
marginals of the stochastic differential equation da = drift(t) a dt + sqrt(g2(t)) dw.
"""

from typing import Protocol

import jax
import jax.numpy as jnp
from jax import Array

from softq.utils.checks import positive
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree

Time = Array | float


class Schedule(Protocol):
    """What the samplers ask of a schedule; `t` runs from `t_min` (hardly any noise) to `t_max`."""

    t_min: float
    t_max: float

    def signal(self, t: Time) -> Array: ...
    def noise(self, t: Time) -> Array: ...
    def log_snr(self, t: Time) -> Array: ...
    def time_of(self, log_snr: Time) -> Array: ...
    def drift(self, t: Time) -> Array: ...
    def g2(self, t: Time) -> Array: ...


def _ordered(name: str, low: object, high: object, remedy: str) -> None:
    """`SoftqError` unless low < high, where both are plain numbers."""
    if isinstance(low, int | float) and isinstance(high, int | float) and not low < high:
        raise SoftqError(f"{name}, got {low:g} and {high:g}; {remedy}.")


@pytree
class VarianceExploding:
    """sigma_t = sigma_min (sigma_max / sigma_min)^t, the geometric schedule of DQS (Section 4.2; Song et al. 2021).

    Deviation: DQS prints sigma_t^2 = int g^2 from 0 to t; with this schedule sigma_0 is sigma_min, not zero, and the
    integral is sigma_t^2 - sigma_0^2. `g2` is the derivative of sigma_t^2, which both share.
    """

    sigma_min: float | Array = 1e-5
    sigma_max: float | Array = 1.0
    t_min: float | Array = 0.0
    t_max: float | Array = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.sigma_min, int | float):
            positive("sigma_min", self.sigma_min)
        _ordered("sigma_max must be above sigma_min", self.sigma_min, self.sigma_max, "noise grows with t")
        _ordered("t_max must be above t_min", self.t_min, self.t_max, "time runs from 0 to 1")

    @property
    def _rate(self) -> Array:
        return jnp.log(self.sigma_max) - jnp.log(self.sigma_min)

    def signal(self, t: Time) -> Array:
        """1: the action is never shrunk."""
        return jnp.ones_like(jnp.asarray(t, jnp.result_type(float)))

    def noise(self, t: Time) -> Array:
        """sigma_t, in units of the action."""
        return jnp.exp(jnp.log(self.sigma_min) + self._rate * t)

    def log_snr(self, t: Time) -> Array:
        """log(signal^2 / noise^2)."""
        return -2 * (jnp.log(self.sigma_min) + self._rate * t)

    def time_of(self, log_snr: Time) -> Array:
        """The t at which `log_snr(t)` has the given value."""
        return (-log_snr / 2 - jnp.log(self.sigma_min)) / self._rate

    def drift(self, t: Time) -> Array:
        """0."""
        return 0 * self.signal(t)

    def g2(self, t: Time) -> Array:
        """2 log(sigma_max / sigma_min) sigma_t^2."""
        return 2 * self._rate * self.noise(t) ** 2


@pytree
class CosineVP:
    """signal(t)^2 = cos^2(u_t) / cos^2(u_0), u_t = (pi / 2) (t + offset) / (1 + offset): Nichol and Dhariwal's cosine.

    The paper of MaxEntDP names no schedule; its released code uses this one, and t_max = 0.9946 (Appendix A.5) is the
    constant that goes with it. signal^2 + noise^2 = 1, and signal^2 is the paper's sigma(alpha_t).
    """

    offset: float | Array = 0.008
    t_min: float | Array = 1e-3
    t_max: float | Array = 0.9946

    def __post_init__(self) -> None:
        if isinstance(self.offset, int | float):
            positive("offset", self.offset)
        _ordered("t_max must be above t_min", self.t_min, self.t_max, "time runs from about 0 to about 1")
        _ordered("t_min must be above 0", 0.0, self.t_min, "at 0 there is no noise and no score")
        _ordered("t_max must be below 1", self.t_max, 1.0, "at 1 nothing of the action is left")

    @property
    def _rate(self) -> float | Array:
        return jnp.pi / 2 / (1 + self.offset)

    def signal(self, t: Time) -> Array:
        """sqrt(sigma(alpha_t)), between 0 and 1."""
        return jnp.cos(self._rate * (t + self.offset)) / jnp.cos(self._rate * self.offset)

    def noise(self, t: Time) -> Array:
        """sqrt(1 - signal^2), as a product of sines: 1 - signal^2 would lose three digits at t_min."""
        product = jnp.sin(self._rate * t) * jnp.sin(self._rate * (t + 2 * self.offset))
        return jnp.sqrt(product) / jnp.cos(self._rate * self.offset)

    def log_snr(self, t: Time) -> Array:
        """alpha_t = log(signal^2 / noise^2)."""
        return 2 * (jnp.log(self.signal(t)) - jnp.log(self.noise(t)))

    def time_of(self, log_snr: Time) -> Array:
        """The t at which `log_snr(t)` has the given value."""
        first = self._rate * self.offset
        cos2 = jnp.cos(first) ** 2 * jax.nn.sigmoid(log_snr)
        sin2 = jnp.sin(first) ** 2 + jnp.cos(first) ** 2 * jax.nn.sigmoid(-log_snr)
        return jnp.arctan2(jnp.sqrt(sin2), jnp.sqrt(cos2)) / self._rate - self.offset

    def drift(self, t: Time) -> Array:
        """(1/2) d log signal^2 / dt, negative (MaxEntDP Equation 5)."""
        return -self._rate * jnp.tan(self._rate * (t + self.offset))

    def g2(self, t: Time) -> Array:
        """-d log signal^2 / dt."""
        return -2 * self.drift(t)
