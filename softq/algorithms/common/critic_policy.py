"""Any critic with any sampler: a trained critic acts through a sampler, and at a temperature, it was not trained with.

`Through("mala", temperature=0.1)` is a policy for every state that has a `critic`, whichever algorithm learnt it;
`Through("mala", algo=algo)` samples at the temperature that `algo` has there. The command line says
`softq evaluate DIR --sampler mala --temperature 0.1`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from softq import samplers
from softq.algorithms.base import Algorithm
from softq.box import uniform_action, uniform_actions
from softq.utils.checks import positive
from softq.utils.errors import SoftqError, suggest
from softq.utils.finite import weighable
from softq.utils.pytree import pytree, static

Landscape = Callable[[Array], Array]
Sampler = Callable[[Array, Landscape, int, Array, int], Array]  # key, q, dim, temperature, budget -> action

PROBES = 4  # actions at which the curvature of Q is looked at, each drawn by SNIS
POOL = 32  # from so many uniform ones
SHARE = 0.25  # of the stability limit, for chains that refuse steps; on a parabola about 0.9 are accepted
FINE = 0.05  # for chains that do not: at a share s of the limit a Langevin chain is 1 / (1 - s) too wide
LONGEST = 0.1  # and no step beyond: a flat landscape would allow any
HOTTEST = 4.0  # the top of tempering's ladder, in standard deviations of Q


def stable_step(key: Array, q: Landscape, dim: int, temperature: Array, share: float = SHARE) -> Array:
    """A step for chains on `q`, stable where the softmax is: at a few actions that SNIS draws."""
    actions = jax.vmap(lambda k: samplers.snis(k, q, dim, temperature, POOL))(jax.random.split(key, PROBES))
    return samplers.stable_step(q, actions, temperature, share, LONGEST)


def snis(key: Array, q: Landscape, dim: int, temperature: Array, budget: int) -> Array:
    return samplers.snis(key, q, dim, temperature, budget)


def isir(key: Array, q: Landscape, dim: int, temperature: Array, budget: int) -> Array:
    sweeps = 4
    return samplers.isir(key, q, dim, temperature, max(2, budget // (sweeps + 1)), sweeps)


def start_and_steps(
    key: Array, q: Landscape, dim: int, temperature: Array, budget: int, share: float
) -> tuple[Array, Array]:
    """What a chain needs: a start by `snis`, half of the budget, and stable steps, the other half."""
    probe, draw = jax.random.split(key)
    half = max(1, budget // 2)
    start = samplers.snis(draw, q, dim, temperature, half)
    return start, jnp.full(half, stable_step(probe, q, dim, temperature, share))


def langevin(key: Array, q: Landscape, dim: int, temperature: Array, budget: int) -> Array:
    first, chain = jax.random.split(key)
    start, steps = start_and_steps(first, q, dim, temperature, budget, FINE)
    return samplers.langevin(chain, samplers.softmax_score(q, temperature), start, steps, check_last=True)


def mala(key: Array, q: Landscape, dim: int, temperature: Array, budget: int) -> Array:
    first, chain = jax.random.split(key)
    start, steps = start_and_steps(first, q, dim, temperature, budget, SHARE)
    return samplers.mala(chain, q, temperature, start, steps)[0]


def tempering(key: Array, q: Landscape, dim: int, temperature: Array, budget: int) -> Array:
    rungs = 4
    probe, scale, start, chain = jax.random.split(key, 4)
    spread = samplers.spread(jax.vmap(q)(uniform_actions(scale, dim, 32)))
    hottest = jnp.maximum(HOTTEST * spread, 2 * temperature)
    ladder = temperature * (hottest / temperature) ** jnp.linspace(0, 1, rungs)
    steps = jax.vmap(lambda t: stable_step(probe, q, dim, t))(ladder)
    starts = uniform_actions(start, dim, rungs)
    return samplers.tempering(chain, q, ladder, starts, steps, max(1, budget // rungs))[0][0]


def annealed(key: Array, q: Landscape, dim: int, temperature: Array, budget: int) -> Array:
    """NC-LQL's sampler with its printed levels, slope normalised and clipped, on the critic as it is."""
    start, chain = jax.random.split(key)
    levels = jnp.asarray(samplers.geometric_levels(0.1, 0.001, 10), jnp.float32)
    steps, slope = samplers.level_steps(levels, 1e-4), samplers.softmax_score(q, 1.0)
    return samplers.annealed_langevin(
        chain,
        lambda action, sigma: slope(action),
        uniform_action(start, dim),
        levels,
        steps,
        temperature,
        max(1, budget // 10),
        check_last=True,
    )


def qglg(key: Array, q: Landscape, dim: int, temperature: Array, budget: int) -> Array:
    """DDSQ's generator: ten schedules as printed, a tenth of the budget for each, the best end point."""
    plan = samplers.linear_schedules(jnp.logspace(0, -4, 10), jnp.full(10, 1e-4), max(1, budget // 10))
    return samplers.qglg(key, q, dim, temperature, plan)


def svgd(key: Array, q: Landscape, dim: int, temperature: Array, budget: int) -> Array:
    """Ten particles, a tenth of the budget for each; the first of them acts."""
    probe, start = jax.random.split(key)
    step = stable_step(probe, q, dim, temperature) / 2
    steps = jnp.full(max(1, budget // 10), step)
    score = samplers.softmax_score(q, temperature)
    return samplers.svgd(score, uniform_actions(start, dim, 10), steps, check_last=True)[0]


def greedy(key: Array, q: Landscape, dim: int, temperature: Array, budget: int) -> Array:
    """The best of `budget` uniform actions: no softmax at all, to compare with."""
    actions = uniform_actions(key, dim, budget)
    return actions[jnp.argmax(weighable(jax.vmap(q)(actions), actions))]


SAMPLERS: dict[str, Sampler] = {
    f.__name__: f for f in (snis, isir, langevin, mala, tempering, annealed, qglg, svgd, greedy)
}


@pytree
class AtTemperature:
    """The policy of `algo` at one temperature, in its own unit. Raises `SoftqError` unless it can act at another."""

    algo: Algorithm
    temperature: float

    def policy(self, state: Any, obs: Array, key: Array) -> Array:
        """One action `(action_dim,)`."""
        return self.algo.policy(state, obs, key, self.temperature)


@pytree
class Through:
    """A policy that samples exp(Q / temperature) of whatever critic it is given, through a sampler by name.

    With `algo` the temperature has that algorithm's unit, and None is the one in force at each state. Where it has none
    that divides Q (LQL, NC-LQL, DDPG), and without `algo`, a temperature must be given and divides Q. `budget` counts
    what the sampler may spend: candidates, or gradients. `policy(state, obs, key)` and `exploit` are those of an
    algorithm, for any state with a `critic`. Raises `SoftqError` for an unknown sampler, a temperature that is missing,
    a temperature or budget that is not positive, or a state without a critic.
    """

    sampler: str = static()
    temperature: float | None = None
    budget: int = static(default=100)
    algo: Algorithm | None = None

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise SoftqError(f"unknown sampler '{self.sampler}'.{suggest(self.sampler, SAMPLERS)}")
        if isinstance(self.temperature, int | float):
            positive("temperature", self.temperature)
        positive("budget", self.budget)

    def policy(self, state: Any, obs: Array, key: Array) -> Array:
        """One action `(action_dim,)`."""
        if not hasattr(state, "critic"):
            raise SoftqError(
                f"{type(state).__name__} holds no critic; samplers need one, leave --sampler out."
            )
        q, temperature = state.critic.network.at(obs), self.temperature_of(state, obs)
        return SAMPLERS[self.sampler](key, q, q.critic.action_dim, temperature, self.budget)

    exploit = policy

    def temperature_of(self, state: Any, obs: Array) -> Array:
        """What divides Q at `obs`."""
        own = None if self.algo is None else self.algo.temperature_of(state, obs, self.temperature)
        if own is None and self.temperature is None:
            raise SoftqError(
                f"no temperature divides Q in {type(self.algo).__name__ if self.algo else 'a bare critic'}; "
                "give one in the unit of Q: --temperature X."
            )
        return jnp.asarray(self.temperature) if own is None else own
