"""How an action is noised: a_t = signal(t) * a_0 + noise(t) * z with a standard normal z.

The schedules are the geometric variance-exploding one of DQS, the cosine variance-preserving one of MaxEntDP and the
linear variance-preserving one of QSM. Each gives the marginal laws of a stochastic differential equation,
da = drift(t) a dt + sqrt(g2(t)) dw.
"""

import abc
from typing import Protocol

import jax
import jax.numpy as jnp
from jax import Array

from softq.utils.checks import positive
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree

Time = Array | float


class Schedule(Protocol):
    """What every sampler needs of a noise schedule; the time t runs from `t_min` (least noise) to `t_max` (most)."""

    t_min: float
    t_max: float

    def signal(self, t: Time) -> Array: ...
    def noise(self, t: Time) -> Array: ...
    def log_snr(self, t: Time) -> Array: ...
    def time_of(self, log_snr: Time) -> Array: ...
    def drift(self, t: Time) -> Array: ...
    def g2(self, t: Time) -> Array: ...


def _ordered(name: str, low: object, high: object, remedy: str) -> None:
    """Raise `SoftqError` unless low < high; numbers that JAX traces are not checked."""
    if isinstance(low, int | float) and isinstance(high, int | float) and not low < high:
        raise SoftqError(f"{name}, got {low:g} and {high:g}; {remedy}.")


@pytree
class VarianceExploding:
    """sigma_t = sigma_min (sigma_max / sigma_min)^t, the geometric schedule of DQS (Section 4.2; Song et al. 2021).

    Deviation: DQS prints sigma_t^2 as the integral of g^2 from 0 to t, which is sigma_t^2 - sigma_0^2, and sigma_0 is
    sigma_min, not 0. `g2` is the derivative of sigma_t^2 and not affected. Sigmas are in units of the action.
    Raises `SoftqError` for a sigma_min that is not positive, sigma_max <= sigma_min or t_max <= t_min.
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
        """The factor on the clean action at time t: always 1."""
        return jnp.ones_like(jnp.asarray(t, jnp.result_type(float)))

    def noise(self, t: Time) -> Array:
        """The standard deviation sigma_t of the noise at time t, in units of the action."""
        return jnp.exp(jnp.log(self.sigma_min) + self._rate * t)

    def log_snr(self, t: Time) -> Array:
        """The log signal-to-noise ratio log(signal^2 / noise^2) at time t."""
        return -2 * (jnp.log(self.sigma_min) + self._rate * t)

    def time_of(self, log_snr: Time) -> Array:
        """The t at which `log_snr(t)` has the given value."""
        return (-log_snr / 2 - jnp.log(self.sigma_min)) / self._rate

    def drift(self, t: Time) -> Array:
        """The coefficient of a dt in the stochastic differential equation: always 0."""
        return 0 * self.signal(t)

    def g2(self, t: Time) -> Array:
        """The squared diffusion coefficient at time t: 2 log(sigma_max / sigma_min) sigma_t^2."""
        return 2 * self._rate * self.noise(t) ** 2


class VariancePreserving(abc.ABC):
    """A schedule with signal^2 + noise^2 = 1, known by -log signal^2, which grows from 0 at the time 0."""

    @abc.abstractmethod
    def _spent(self, t: Time) -> Array:
        """-log signal^2 at time t."""

    @abc.abstractmethod
    def g2(self, t: Time) -> Array:
        """The squared diffusion coefficient at time t, -d log signal^2 / dt."""

    def signal(self, t: Time) -> Array:
        """The factor on the clean action at time t, between 0 and 1."""
        return jnp.exp(-self._spent(t) / 2)

    def noise(self, t: Time) -> Array:
        """The standard deviation of the noise at time t, sqrt(1 - signal^2)."""
        return jnp.sqrt(-jnp.expm1(-self._spent(t)))

    def log_snr(self, t: Time) -> Array:
        """The log signal-to-noise ratio log(signal^2 / noise^2) at time t; infinite at 0."""
        return -jnp.log(jnp.expm1(self._spent(t)))

    def drift(self, t: Time) -> Array:
        """The coefficient of a dt in the stochastic differential equation, -g2 / 2."""
        return -self.g2(t) / 2


@pytree
class StepsVP(VariancePreserving):
    """The schedule of T steps with variances beta_k: signal(k / T)^2 = (1 - beta_1) ... (1 - beta_k).

    Between the times k / T log signal^2 is linear in t, as if the noise of a step came in evenly. At the time 0 there
    is none. The chain is that of Ho et al. (2020), Equations 2 and 4.
    """

    betas: Array  # the variances of the steps, (T,), each between 0 and 1
    t_min: float | Array = 0.0
    t_max: float | Array = 1.0

    @property
    def _nodes(self) -> tuple[Array, Array]:
        """The times k / T and -log signal^2 at them, `(T + 1,)` both."""
        spent = jnp.cumsum(-jnp.log1p(-self.betas))
        return jnp.linspace(0.0, 1.0, len(spent) + 1), jnp.concatenate([jnp.zeros(1), spent])

    def _spent(self, t: Time) -> Array:
        """-log signal^2 at time t."""
        return jnp.interp(t, *self._nodes)

    def time_of(self, log_snr: Time) -> Array:
        """The t at which `log_snr(t)` has the given value."""
        times, spent = self._nodes
        return jnp.interp(jax.nn.softplus(-jnp.asarray(log_snr)), spent, times)

    def g2(self, t: Time) -> Array:
        """The squared diffusion coefficient at time t, -d log signal^2 / dt; at a time k / T that of step k."""
        num = len(self.betas)
        step = jnp.clip(jnp.ceil(jnp.asarray(t) * num).astype(int) - 1, 0, num - 1)
        return -num * jnp.log1p(-jnp.asarray(self.betas)[step])


@pytree
class CosineVP:
    """signal(t)^2 = cos^2(u_t) / cos^2(u_0), u_t = (pi / 2) (t + offset) / (1 + offset): Nichol and Dhariwal's cosine.

    MaxEntDP's paper names no schedule; its released code has this one, to which the paper's t_max = 0.9946
    (Appendix A.5) belongs. signal^2 + noise^2 = 1, and signal^2 is the paper's sigma(alpha_t).
    Raises `SoftqError` for an offset that is not positive, or unless 0 < t_min < t_max < 1.
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
        """The factor on the clean action at time t, sqrt(sigma(alpha_t)), between 0 and 1."""
        return jnp.cos(self._rate * (t + self.offset)) / jnp.cos(self._rate * self.offset)

    def noise(self, t: Time) -> Array:
        """The standard deviation of the noise at time t, sqrt(1 - signal^2) as a product of sines.

        The difference 1 - signal^2 itself would lose three digits at t_min.
        """
        product = jnp.sin(self._rate * t) * jnp.sin(self._rate * (t + 2 * self.offset))
        return jnp.sqrt(product) / jnp.cos(self._rate * self.offset)

    def log_snr(self, t: Time) -> Array:
        """The log signal-to-noise ratio at time t, alpha_t = log(signal^2 / noise^2)."""
        return 2 * (jnp.log(self.signal(t)) - jnp.log(self.noise(t)))

    def time_of(self, log_snr: Time) -> Array:
        """The t at which `log_snr(t)` has the given value."""
        first = self._rate * self.offset
        cos2 = jnp.cos(first) ** 2 * jax.nn.sigmoid(log_snr)
        sin2 = jnp.sin(first) ** 2 + jnp.cos(first) ** 2 * jax.nn.sigmoid(-log_snr)
        return jnp.arctan2(jnp.sqrt(sin2), jnp.sqrt(cos2)) / self._rate - self.offset

    def drift(self, t: Time) -> Array:
        """The coefficient of a dt in the stochastic differential equation, (1/2) d log signal^2 / dt (Equation 5)."""
        return -self._rate * jnp.tan(self._rate * (t + self.offset))

    def g2(self, t: Time) -> Array:
        """The squared diffusion coefficient at time t, -d log signal^2 / dt."""
        return -2 * self.drift(t)


@pytree
class LinearVP(VariancePreserving):
    """signal(t)^2 = exp(-integral of beta), beta(t) = beta_min + (beta_max - beta_min) t (Song et al. 2021).

    At the times k / T it has the values of the T discrete steps that QSM's released code takes, whose step k multiplies
    signal^2 by exp(-beta_min / T - (beta_max - beta_min) (2 k - 1) / (2 T^2)). At the time 0 there is no noise.
    Raises `SoftqError` unless 0 < beta_min < beta_max.
    """

    beta_min: float | Array = 0.1
    beta_max: float | Array = 10.0
    t_min: float | Array = 0.0
    t_max: float | Array = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.beta_min, int | float):
            positive("beta_min", self.beta_min)
        _ordered("beta_max must be above beta_min", self.beta_min, self.beta_max, "noise grows with t")

    def _spent(self, t: Time) -> Array:
        """The integral of beta from 0 to t, -log signal^2."""
        return jnp.asarray(self.beta_min * t + (self.beta_max - self.beta_min) * t**2 / 2)

    def time_of(self, log_snr: Time) -> Array:
        """The t at which `log_snr(t)` has the given value."""
        spent, slope = jax.nn.softplus(-jnp.asarray(log_snr)), self.beta_max - self.beta_min
        return 2 * spent / (self.beta_min + jnp.sqrt(self.beta_min**2 + 2 * slope * spent))

    def g2(self, t: Time) -> Array:
        """The squared diffusion coefficient at time t, beta(t)."""
        return jnp.asarray(self.beta_min + (self.beta_max - self.beta_min) * t)
