"""Every sampler against bad input: one line that names the value, or says where the landscape is not finite."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernels import KERNELS, KEY, LEVELS, PLAN, RUNGS, STEPS, bowl, call, on

from softq.samplers import (
    amortised_direction,
    geometric_levels,
    initial_action,
    ladder,
    level_steps,
    linear_schedules,
    stability_limit,
)
from softq.utils.checks import finite_on, one_of
from softq.utils.errors import SoftqError


def torn(action):
    """NaN to the right of 0.25 in the first coordinate, and nowhere else."""
    return jnp.where(action[0] > 0.25, jnp.nan, bowl(action))


def endless(action):
    """Without a bound at the wall: infinite from 0.25 on."""
    return jnp.where(action[0] > 0.25, jnp.inf, bowl(action))


def steep(action):
    """Finite everywhere, with a slope that is not, at and below zero."""
    return -jnp.sqrt(jnp.maximum(action[0], 0.0))


OUT, NOTHING = jnp.array([0.0, 1.5]), jnp.zeros((0, 2))
VALUES = [name for name, (_, given) in KERNELS.items() if "q" in given]  # those that look at Q itself
FAULTS = [
    *[(n, {"temperature": t}, "temperature must be positive") for n in KERNELS for t in (0.0, -1.0, np.nan)],
    *[(n, {"step_sizes": 0.0 * STEPS}, "step_sizes must be positive") for n in ("langevin", "mala", "svgd")],
    *[(n, {"step_sizes": -STEPS}, "step_sizes must be positive") for n in ("langevin", "mala", "svgd")],
    *[
        (n, {"a0": OUT}, r"a0 must lie in the box \[-1, 1\], got 1.5")
        for n in ("langevin", "mala", "annealed")
    ],
    *[(n, {"a0": jnp.full(2, jnp.nan)}, "a0 must lie in the box") for n in ("langevin", "mala", "annealed")],
    *[(n, {"num_candidates": 0}, "num_candidates must be") for n in ("best of", "snis", "isir", "qglg")],
    ("isir", {"sweeps": 0}, "sweeps must be positive"),
    ("isir", {"start": OUT}, "start must lie in the box"),
    ("mala", {"step_sizes": 30 * STEPS}, "at most 1, got 1.5"),
    ("qglg", {"schedules": -PLAN}, "schedules must be positive"),
    ("qglg", {"select": "best"}, "unknown select 'best'"),
    ("tempering", {"temperatures": RUNGS[::-1]}, "temperatures must rise"),
    ("tempering", {"temperatures": 0 * RUNGS}, "temperatures must be positive"),
    ("tempering", {"a0": jnp.full((3, 2), 1.5)}, "a0 must lie in the box"),
    ("tempering", {"a0": jnp.zeros((2, 2))}, "one row for each of 3 temperatures"),
    ("tempering", {"step_sizes": 0 * RUNGS}, "step_sizes must be positive"),
    ("tempering", {"rounds": 0}, "rounds must be positive"),
    ("annealed", {"levels": LEVELS[::-1]}, "levels must fall from coarse to fine"),
    ("annealed", {"levels": np.full(2, 0.1)}, "levels must fall"),
    ("annealed", {"levels": 0 * LEVELS}, "levels must be positive"),
    ("annealed", {"step_sizes": -LEVELS}, "step_sizes must be positive"),
    ("annealed", {"steps_per_level": 0}, "steps_per_level must be positive"),
    ("ais", {"temperatures": RUNGS}, "temperatures must not rise"),
    ("ais", {"num_candidates": 0}, "num_candidates must be positive"),
    ("ais", {"num_fresh": -1}, "num_fresh must not be negative"),
    ("diffusion", {"num": 0}, "num must be positive"),
    ("diffusion", {"process": "flows"}, "Did you mean 'flow'"),
    ("svgd", {"particles": NOTHING}, "M >= 1"),
    ("svgd", {"particles": jnp.full((2, 2), 1.5)}, "particles must lie in the box"),
    ("svgd", {"bandwidth": -1.0}, "bandwidth must be positive"),
    *[(n, on(n, torn), r"is nan at action \[(0\.[2-9]\d*|1\.0), ") for n in VALUES],
    *[(n, on(n, endless), r"at action \[(0\.[2-9]\d*|1\.0), ") for n in VALUES],
    ("langevin", on("langevin", steep), r"the score is (nan|-?inf) at action \[(-0\.\d+|-?0\.0), "),
    ("annealed", on("annealed", steep), r"the slope is (nan|-?inf) at action \[(-0\.\d+|-?0\.0), "),
    ("svgd", on("svgd", steep), r"the score is (nan|-?inf) at action \[(-0\.\d+|-?0\.0), "),
    ("mala", on("mala", steep), r"the slope is (nan|-?inf) at action \[(-0\.\d+|-?0\.0), "),
    ("ais", on("ais", steep), r"the slope is (nan|-?inf) at action \[(-0\.\d+|-?0\.0), "),
    ("qglg", on("qglg", steep), r"the slope is (nan|-?inf) at action \[(-0\.\d+|-?0\.0), "),
]
FAULTS = [f for f in FAULTS if set(f[1]) <= set(KERNELS[f[0]][1])]


@pytest.mark.parametrize("name", KERNELS)
def test_good_input_passes(name):
    out = call(name)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(out))


@pytest.mark.parametrize(("name", "fault", "words"), FAULTS)
def test_one_line_says_what_and_where(name, fault, words):
    with pytest.raises(SoftqError, match=words) as error:
        call(name, **fault)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda: ladder(0.0, 1.0, 3), "coldest must be positive"),
        (lambda: ladder(1.0, 0.5, 3), "a ladder rises"),
        (lambda: geometric_levels(0.1, 0.3, 3), "levels fall"),
        (lambda: geometric_levels(0.1, 0.01, 1), "at least 2 values, got 1"),
        (lambda: level_steps(LEVELS, 0.0), "last_step must be positive"),
        (lambda: linear_schedules(jnp.ones(2), jnp.ones(2), 0), "num_steps must be positive"),
        (lambda: stability_limit(0.0, 1.0), "temperature must be positive"),
        (lambda: stability_limit(1.0, -1.0), "curvature must be positive"),
        (lambda: initial_action(KEY, 2, "normal", -1.0), "std must be positive"),
        (lambda: initial_action(KEY, 2, "gauss"), "unknown start 'gauss'"),
        (lambda: amortised_direction(bowl, NOTHING, jnp.zeros((2, 2))), "at least 1"),
        (lambda: finite_on(bowl, 0), "dim must be positive"),
        (lambda: finite_on(torn, 2), r"the landscape is nan at action \[1\.0, "),
        (lambda: finite_on(lambda a: jnp.log1p(-a[0]), 2), r"the landscape is -inf at action \[1\.0, "),
        (lambda: finite_on(steep, 2), r"the slope of the landscape is -inf at action \[0\.0, 0\.0\]"),
    ],
)
def test_helpers_say_it_in_one_line(mistake, words):
    with pytest.raises(SoftqError, match=words) as error:
        mistake()
    assert "\n" not in str(error.value)


def test_finite_everywhere_is_no_error():
    finite_on(bowl, 2)
    finite_on(bowl, 17)


@pytest.mark.parametrize("name", KERNELS)
def test_compiled_and_batched_samplers_do_not_look(name):
    """Whatever the landscape, a compiled call raises nothing, and its program is that of the bare kernel."""
    kernel, given = KERNELS[name]
    given = given | on(name, torn if name in VALUES else steep)
    programs = [jax.jit(lambda f=f: f(**given)) for f in (kernel, kernel.__wrapped__)]
    text, bare = (program.lower().as_text() for program in programs)
    assert text == bare and kernel.__wrapped__ is not kernel
    if "key" in given:  # a batch without a compilation: nothing to look at either
        jax.vmap(lambda key: call(name, **given | {"key": key}))(jax.random.split(KEY, 2))


@pytest.mark.parametrize("options", [("left", "right"), {"left": 1, "right": 2}, Literal["left", "right"]])
def test_one_of_names_the_nearest_option(options):
    one_of("side", "right", options)
    with pytest.raises(SoftqError, match=r"^unknown side 'lefft'\. Did you mean 'left'\?$"):
        one_of("side", "lefft", options)
    for other in ("up", None, 1, ["left"], np.array(["left", "right"])):
        with pytest.raises(SoftqError, match=r"^unknown side "):
            one_of("side", other, options)
