"""Annealed Langevin: NC-LQL's noise-conditioned sampler, and Langevin Q-learning's as the case of one level.

Definition 2, Algorithm 6 and Appendix E.2 of Ki et al. (2026). The chain takes T steps at each of L noise levels,
coarse to fine, along the slope of a critic that is blurred by the noise of the level. With the paper's slopes of length
one its law is not near exp(Q / temperature): in one dimension the law depends only on where Q rises and falls. With
`unit_slope=False`, reflection and steps below the stability limit, the law is near that softmax.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.box import project, uniform_action
from softq.samplers.base import Chain, Landscape
from softq.samplers.langevin import softmax_score
from softq.utils.checked import checked
from softq.utils.checks import positive
from softq.utils.errors import SoftqError, suggest
from softq.utils.finite import nowhere, step_back, working
from softq.utils.pytree import pytree, static

STARTS = ("uniform", "normal")


def geometric_levels(sigma_max: float, sigma_min: float, num: int) -> np.ndarray:
    """`num` noise levels in geometric progression, coarsest first (NC-LQL Table 6: from 0.1 to 0.001 in 10).

    Raises `SoftqError` unless sigma_max > sigma_min > 0 and num is at least 2.
    """
    positive("sigma_min", sigma_min)
    if not (sigma_max > sigma_min and num >= 2):
        raise SoftqError(
            f"levels fall over at least 2 values, got {num} from sigma_max {sigma_max:g} to sigma_min {sigma_min:g}."
        )
    return np.geomspace(sigma_max, sigma_min, num)


def initial_action(
    key: Array, dim: int, law: Literal["uniform", "normal"] = "uniform", std: float = 1.0
) -> Array:
    """A first action `(dim,)`: uniform on the box, or normal with standard deviation `std` and clipped to the box.

    Deviation: in the paper's bandit the first action is from N(0, I) and no box is named, so that nothing is clipped.
    The released code starts from uniform actions.
    """
    if law not in STARTS:
        raise SoftqError(f"unknown start '{law}'.{suggest(law, STARTS)}")
    positive("std", std)
    return uniform_action(key, dim) if law == "uniform" else project(std * jax.random.normal(key, (dim,)))


def level_steps(levels: Array, last_step: float | Array) -> Array:
    """alpha_i = eps * sigma_i^2 / sigma_L^2, the step at each level; `last_step` is the paper's eps (Algorithm 6).

    The rule is that of score matching: a score at noise sigma_i has a size near 1 / sigma_i, so that the ratio of the
    drift to the noise of a step is the same at all levels.
    """
    positive("levels", levels)
    positive("last_step", last_step)
    levels = jnp.asarray(levels)
    return last_step * (levels / levels[-1]) ** 2


@checked(
    "slope_at",
    "the slope",
    above_zero=("temperature", "levels", "step_sizes", "steps_per_level"),
    in_box=("a0",),
)
def annealed_langevin(
    key: Array,
    slope_at: Callable[[Array, Array], Array],
    a0: Array,
    levels: Array,
    step_sizes: Array,
    temperature: float | Array,
    steps_per_level: int | Sequence[int] = 2,
    unit_slope: bool = True,
    boundary: Callable[[Array], Array] = project,
    trajectory: bool = False,
    check_last: bool = False,
) -> Array:
    """Steps `a <- boundary(a + alpha_i / 2 * slope / temperature + sqrt(alpha_i) * noise)`, level after level.

    `slope_at(action, sigma)` `(d,)` is the slope of the blurred Q in the action, not divided by the temperature (the
    paper's w is 1 / temperature). `levels` `(L,)` fall; `step_sizes` `(L,)` are their alpha_i, by `level_steps` as
    printed or any others; `steps_per_level` is T, or one number for each level. `unit_slope` divides each slope by its
    length (E.2), which gives the temperature the unit of an action instead of that of Q. LQL has one level.

    Returns the last action `(d,)`, or all of them `(1 + L * T, d)` with `trajectory`. Raises `SoftqError` for levels
    that do not fall, shapes that do not fit, a start outside the box, or a step, count or temperature that is not
    positive; called by hand, also where the slope is not finite. In a compiled program a step to such a place is taken
    back, the last one with `check_last`, as in `softq.samplers.langevin.chain`.
    """
    count = len(levels)
    if not isinstance(levels, jax.core.Tracer) and not np.all(np.diff(np.asarray(levels)) < 0):
        raise SoftqError(
            f"levels must fall from coarse to fine, got {np.round(np.asarray(levels), 6).tolist()}; "
            "sort them downwards."
        )
    if np.shape(step_sizes) != (count,) or np.shape(steps_per_level) not in ((), (count,)):
        raise SoftqError(
            f"step_sizes and steps_per_level need one entry for each of {count} levels, got shapes "
            f"{np.shape(step_sizes)} and {np.shape(steps_per_level)}."
        )
    repeats = np.broadcast_to(steps_per_level, (count,))
    total = int(repeats.sum())

    a0 = working(a0)
    temperature = jnp.asarray(temperature, a0.dtype)

    def move(state: tuple, given: tuple[Array, Array, Array]) -> tuple[tuple, Array | None]:
        (action, last), (sigma, step, xi) = state, given
        action, slope, last = step_back(action, slope_at(action, sigma), last)
        if unit_slope:
            # Deviation of the released code: it takes the slope of the sum of two critics. Of length one, that is the
            # slope of their mean; of its own length, it would double w.
            slope = slope / (jnp.linalg.norm(slope) + 1e-8)
        moved = boundary(action + step / 2 * slope / temperature + jnp.sqrt(step) * xi)
        return (moved, last), moved if trajectory else None

    # Deviation: the paper has no boundary. Its released code clips to the box after every step, which is `project` and
    # leaves atoms on the walls; `reflect` folds.
    sigmas = jnp.repeat(jnp.asarray(levels, a0.dtype), repeats, total_repeat_length=total)
    steps = jnp.repeat(jnp.asarray(step_sizes, a0.dtype), repeats, total_repeat_length=total)
    noise = jax.random.normal(key, (total, *a0.shape), a0.dtype)
    (end, last), path = jax.lax.scan(move, (a0, nowhere(a0)), (sigmas, steps, noise))
    if check_last:
        end, _, _ = step_back(end, slope_at(end, sigmas[-1]), last)
    return jnp.concatenate([a0[None], path[:-1], end[None]]) if trajectory else end


def plain_slope(q: Landscape, action: Array, sigma: Array) -> Array:
    """The slope `(d,)` of Q itself at every noise level, for critics that are not blurred."""
    return softmax_score(q, 1.0)(action)


@pytree
class AnnealedLangevin(Chain):
    """`annealed_langevin` from a uniform action, by default with the levels, steps and boundary of NC-LQL Table 6.

    `slope(q, action, sigma)` is the slope of Q blurred by sigma. Where `step_sizes` is None the steps are those of
    `level_steps`.
    """

    levels: Array = dataclasses.field(default_factory=lambda: geometric_levels(0.1, 0.001, 10))  # (L,)
    last_step: float | Array = 1e-4
    step_sizes: Array | None = None  # (L,)
    steps_per_level: int | tuple[int, ...] = static(default=2)
    unit_slope: bool = static(default=True)
    boundary: Callable[[Array], Array] = static(default=project)
    slope: Callable[[Landscape, Array, Array], Array] = static(default=plain_slope)
    check_last: bool = static(default=False)

    def run(
        self, key: Array, q: Landscape, dim: int, temperature: float | Array, trajectory: bool
    ) -> tuple[Array, dict[str, Array]]:
        start, drive = jax.random.split(key)
        steps = level_steps(self.levels, self.last_step) if self.step_sizes is None else self.step_sizes
        slope_at = lambda action, sigma: self.slope(q, action, sigma)
        given = uniform_action(start, dim), self.levels, steps, temperature, self.steps_per_level
        switches = self.unit_slope, self.boundary, trajectory, self.check_last
        return annealed_langevin(drive, slope_at, *given, *switches), {}

    @classmethod
    def at_budget(cls, evaluations: int, dim: int) -> Self | None:
        return cls(steps_per_level=evaluations // 10, check_last=True) if evaluations >= 10 else None
