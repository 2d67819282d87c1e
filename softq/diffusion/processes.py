"""From noise to an action: the reverse equation, the ancestral chain and the probability flow.

`score(a, t)` is grad log p_t(a), and `noise_of(a, t)` = -noise(t) * score(a, t) is the noise in the noisy action a.
Both map one noisy action `(d,)` and a time to `(d,)`, and may be learned, estimated or exact.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.box import project, reflect
from softq.diffusion.schedules import Schedule
from softq.utils.checks import one_of, positive
from softq.utils.errors import SoftqError
from softq.utils.finite import working

Field = Callable[[Array, Array], Array]
Spacing = Literal["time", "log_sigma"]
Final = Literal["none", "project", "reflect", "tanh"]
Variance = Literal["beta", "posterior"]
Method = Literal["euler", "heun"]

# How the last action of a process is put into the box. DQS applies tanh: the result is not the action whose Q the score
# was trained on, and without the Jacobian of tanh its density is not the softmax (see `softq.diffusion.space`).
FINAL = {"none": lambda a: a, "project": project, "reflect": reflect, "tanh": jnp.tanh}


def times(
    schedule: Schedule, num_steps: int, spacing: Spacing = "time", t_end: float | Array | None = None
) -> Array:
    """`num_steps + 1` falling times from t_max to `t_end` (None: t_min), evenly spaced in t or in log(noise / signal).

    For the schedule `VarianceExploding` both spacings give the same times. Raises `SoftqError` for `num_steps` below 1
    or an unknown spacing.
    """
    one_of("spacing", spacing, Spacing)
    positive("num_steps", num_steps)
    last = schedule.t_min if t_end is None else t_end
    if spacing == "time":
        return jnp.linspace(schedule.t_max, last, num_steps + 1)
    ends = schedule.log_snr(schedule.t_max), schedule.log_snr(last)
    return schedule.time_of(jnp.linspace(*ends, num_steps + 1))


def reverse_sde(
    key: Array,
    score: Field,
    dim: int,
    schedule: Schedule,
    num_steps: int = 1000,
    spacing: Spacing = "time",
    t_end: float | Array | None = None,
    final: Final = "none",
    start: Array | None = None,
    trajectory: bool = False,
) -> Array:
    """An action `(dim,)` by Euler-Maruyama steps of the reverse equation (DQS Equation 3; DQS takes 1000 steps).

    Each step is a <- a - (f a - g^2 score) dt + g sqrt(dt) z, from t_max down to `t_end`, with the schedule's drift f
    and g2 = g^2. The first action is `start` or a draw from N(0, noise(t_max)^2 I); `final` maps the last one into the
    box. With `trajectory` all actions are returned, `(num_steps + 1, dim)`, of which only the last is mapped.
    Raises `SoftqError` for `num_steps` or `dim` below 1, a `start` of another shape, or an unknown option.
    """
    one_of("final", final, Final)
    first, drive = jax.random.split(key)
    nodes = times(schedule, num_steps, spacing, t_end)
    a = _start(first, dim, schedule, start)
    noise = jax.random.normal(drive, (num_steps, dim), a.dtype)

    def move(a: Array, given: tuple[Array, Array, Array]) -> tuple[Array, Array | None]:
        t, dt, z = given
        g2 = schedule.g2(t)
        moved = a - (schedule.drift(t) * a - g2 * score(a, t)) * dt + jnp.sqrt(g2 * dt) * z
        a = moved.astype(a.dtype)  # the times may be in higher precision
        return a, a if trajectory else None

    last, path = jax.lax.scan(move, a, (nodes[:-1], nodes[:-1] - nodes[1:], noise))
    return _finish(a, last, path, FINAL[final])


def ancestral(
    key: Array,
    noise_of: Field,
    dim: int,
    schedule: Schedule,
    num_steps: int = 20,
    variance: Variance = "beta",
    clip: bool = True,
    spacing: Spacing = "time",
    start: Array | None = None,
    trajectory: bool = False,
) -> Array:
    """The ancestral chain of denoising diffusion as MaxEntDP's released code runs it, `(dim,)`.

    At each time the clean action is predicted, clipped to the box with `clip`, and the next noisy action drawn around
    the mean that the prediction implies. Its variance is that of a forward step ("beta", the released choice, which is
    too large) or that of the posterior; the last step adds no noise. With `clip` the result lies in the box.
    Deviation: the paper's Algorithm 1 integrates its Equation 5, which is `probability_flow`.
    `start` and `trajectory` are as in `reverse_sde`.
    Raises `SoftqError` for `num_steps` or `dim` below 1, a `start` of another shape, or an unknown option.
    """
    one_of("variance", variance, Variance)
    first, drive = jax.random.split(key)
    nodes = times(schedule, num_steps, spacing)
    a = _start(first, dim, schedule, start)
    noise = jax.random.normal(drive, (num_steps, dim), a.dtype)
    keep = jnp.arange(num_steps) < num_steps - 1

    def move(a: Array, given: tuple[Array, Array, Array, Array]) -> tuple[Array, Array | None]:
        t, to, z, more = given
        mean, deviation = ancestral_step(noise_of, schedule, a, t, to, variance, clip)
        a = (mean + more * deviation * z).astype(a.dtype)  # the times may be in higher precision
        return a, a if trajectory else None

    last, path = jax.lax.scan(move, a, (nodes[:-1], nodes[1:], noise, keep.astype(a.dtype)))
    return _finish(a, last, path, FINAL["project" if clip else "none"])


def ancestral_step(
    noise_of: Field,
    schedule: Schedule,
    a: Array,
    t: Array,
    to: Array,
    variance: Variance = "beta",
    clip: bool = True,
) -> tuple[Array, Array]:
    """Mean `(d,)` and standard deviation of the noisy action at time `to` < t, given that `a` `(d,)` at time t."""
    signal, noise = schedule.signal(t), schedule.noise(t)
    signal_to, noise_to = schedule.signal(to), schedule.noise(to)
    clean = (a - noise * noise_of(a, t)) / signal
    clean = project(clean) if clip else clean
    shrink = signal / signal_to
    beta = noise**2 - (shrink * noise_to) ** 2  # 1 - shrink^2 in a variance-preserving schedule
    mean = (signal_to * beta * clean + shrink * noise_to**2 * a) / noise**2
    return mean, jnp.sqrt(beta) * (noise_to / noise if variance == "posterior" else 1.0)


def probability_flow(
    key: Array,
    score: Field,
    dim: int,
    schedule: Schedule,
    num_steps: int = 20,
    method: Method = "euler",
    spacing: Spacing = "time",
    t_end: float | Array | None = None,
    final: Final = "none",
    start: Array | None = None,
    trajectory: bool = False,
) -> Array:
    """An action `(dim,)` by the ordinary differential equation whose laws are those of the reverse equation at each t.

    It is da/dt = f a - (g^2 / 2) score (MaxEntDP Equation 5), solved by Euler steps, or by Heun's second-order rule,
    which evaluates two scores a step. Only the start is random; `final`, `start` and `trajectory` are those
    of `reverse_sde`.
    Raises `SoftqError` for `num_steps` or `dim` below 1, a `start` of another shape, or an unknown option.
    """
    one_of("final", final, Final)
    one_of("method", method, Method)
    nodes = times(schedule, num_steps, spacing, t_end)
    a = _start(key, dim, schedule, start)
    velocity = lambda a, t: schedule.drift(t) * a - schedule.g2(t) / 2 * score(a, t)

    def move(a: Array, given: tuple[Array, Array]) -> tuple[Array, Array | None]:
        t, to = given
        slope = velocity(a, t)
        there = a + (to - t) * slope
        if method == "heun":
            there = a + (to - t) * (slope + velocity(there.astype(a.dtype), to)) / 2
        there = there.astype(a.dtype)  # the times may be in higher precision
        return there, there if trajectory else None

    last, path = jax.lax.scan(move, a, (nodes[:-1], nodes[1:]))
    return _finish(a, last, path, FINAL[final])


def score_from_noise(noise_of: Field, schedule: Schedule) -> Field:
    """The score as a function of a noisy action and a time: -noise_of / noise(t) (MaxEntDP Equation 8)."""
    return lambda a, t: -noise_of(a, t) / schedule.noise(t)


def noise_from_score(score: Field, schedule: Schedule) -> Field:
    """The noise in a noisy action as a function of the action and a time: -noise(t) * score."""
    return lambda a, t: -schedule.noise(t) * score(a, t)


def _start(key: Array, dim: int, schedule: Schedule, start: Array | None) -> Array:
    positive("dim", dim)
    if start is None:
        return schedule.noise(schedule.t_max) * jax.random.normal(key, (dim,))
    if start.shape != (dim,):
        raise SoftqError(f"start has shape {start.shape}, expected ({dim},); give one noisy action.")
    return working(start)


def _finish(first: Array, last: Array, path: Array | None, final: Callable[[Array], Array]) -> Array:
    last = final(last)
    return last if path is None else jnp.concatenate([first[None], path[:-1], last[None]])
