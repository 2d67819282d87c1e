"""Every sampler against bad input: one line that names the value, or says where the landscape is not finite."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softq.samplers import (
    ais,
    amortised_direction,
    annealed_langevin,
    diffusion_sampler,
    geometric_levels,
    initial_action,
    isir,
    ladder,
    langevin,
    level_steps,
    linear_schedules,
    mala,
    qglg,
    snis,
    softmax_score,
    stability_limit,
    svgd,
    tempering,
)
from softq.utils.checks import finite_on, one_of
from softq.utils.errors import SoftqError

KEY = jax.random.key(0)


def bowl(action):
    return -jnp.sum(action**2)


def torn(action):
    """NaN to the right of 0.25 in the first coordinate, and nowhere else."""
    return jnp.where(action[0] > 0.25, jnp.nan, bowl(action))


def endless(action):
    """Without a bound at the wall: infinite from 0.25 on."""
    return jnp.where(action[0] > 0.25, jnp.inf, bowl(action))


def steep(action):
    """Finite everywhere, with a slope that is not, at and below zero."""
    return -jnp.sqrt(jnp.maximum(action[0], 0.0))


STEPS = jnp.full(40, 0.05)
RUNGS = ladder(0.1, 0.5, 3)
LEVELS = geometric_levels(0.3, 0.1, 2)
PLAN = jnp.full((2, 5), 0.1)
MIDDLE, MIDDLES, FOUR = jnp.zeros(2), jnp.zeros((3, 2)), jnp.linspace(-0.5, 0.2, 8).reshape(4, 2)

# Each sampler with good input; a fault replaces one argument
CALLS = {
    "snis": lambda q=bowl, temperature=0.1, num_candidates=50: snis(KEY, q, 2, temperature, num_candidates),
    "isir": lambda q=bowl, temperature=0.1, num_candidates=20, sweeps=2, start=None: isir(
        KEY, q, 2, temperature, num_candidates, sweeps, start
    ),
    "langevin": lambda q=bowl, a0=MIDDLE, step_sizes=STEPS: langevin(
        KEY, softmax_score(q, 0.1), a0, step_sizes
    ),
    "mala": lambda q=bowl, temperature=0.1, a0=MIDDLE, step_sizes=STEPS: mala(
        KEY, q, temperature, a0, step_sizes
    ),
    "tempering": lambda q=bowl, temperatures=RUNGS, a0=MIDDLES, step_sizes=RUNGS, rounds=30: tempering(
        KEY, q, temperatures, a0, step_sizes, rounds
    ),
    "qglg": lambda q=bowl, temperature=0.1, schedules=PLAN, num_candidates=20, select="argmax": qglg(
        KEY, q, 2, temperature, schedules, num_candidates, select=select
    ),
    "annealed": lambda q=bowl, temperature=0.1, a0=MIDDLE, levels=LEVELS, step_sizes=LEVELS, repeats=20: (
        annealed_langevin(
            KEY, lambda a, sigma: jax.grad(q)(a), a0, levels, step_sizes, temperature, repeats, False
        )
    ),
    "ais": lambda q=bowl, temperatures=RUNGS[::-1], step_sizes=RUNGS, num_candidates=8, num_fresh=4: (
        ais(KEY, q, 2, temperatures, step_sizes, num_candidates, 2, num_fresh).action
    ),
    "diffusion": lambda q=bowl, temperature=0.1, num=16, num_steps=5, process="flow": diffusion_sampler(
        KEY, q, 2, temperature, num_steps, num, process=process
    ),
    "svgd": lambda q=bowl, particles=FOUR, step_sizes=STEPS, width="squared": svgd(
        softmax_score(q, 0.1), particles, step_sizes, width
    ),
}

OUT, NOTHING = jnp.array([0.0, 1.5]), jnp.zeros((0, 2))
VALUES = ("snis", "isir", "mala", "tempering", "qglg", "ais", "diffusion")  # those that look at Q itself
FAULTS = [
    *[(n, {"temperature": t}, "temperature must be positive") for n in CALLS for t in (0.0, -1.0, np.nan)],
    *[(n, {"step_sizes": 0.0 * STEPS}, "step_sizes must be positive") for n in ("langevin", "mala", "svgd")],
    *[(n, {"step_sizes": -STEPS}, "step_sizes must be positive") for n in ("langevin", "mala", "svgd")],
    *[
        (n, {"a0": OUT}, r"a0 must lie in the box \[-1, 1\], got 1.5")
        for n in ("langevin", "mala", "annealed")
    ],
    *[(n, {"a0": jnp.full(2, jnp.nan)}, "a0 must lie in the box") for n in ("langevin", "mala", "annealed")],
    *[(n, {"num_candidates": 0}, "num_candidates must be") for n in ("snis", "isir", "qglg")],
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
    ("annealed", {"repeats": 0}, "steps_per_level must be positive"),
    ("ais", {"temperatures": RUNGS}, "temperatures must not rise"),
    ("ais", {"num_candidates": 0}, "num_candidates must be positive"),
    ("ais", {"num_fresh": -1}, "num_fresh must not be negative"),
    ("diffusion", {"num": 0}, "num must be positive"),
    ("diffusion", {"process": "flows"}, "Did you mean 'flow'"),
    ("svgd", {"particles": NOTHING}, "M >= 1"),
    ("svgd", {"particles": jnp.full((2, 2), 1.5)}, "particles must lie in the box"),
    ("svgd", {"width": -1.0}, "bandwidth must be positive"),
    *[(n, {"q": torn}, r"is nan at action \[(0\.[2-9]\d*|1\.0), ") for n in VALUES],
    *[(n, {"q": endless}, r"at action \[(0\.[2-9]\d*|1\.0), ") for n in VALUES],
    ("langevin", {"q": steep}, r"the score is (nan|-?inf) at action \[(-0\.\d+|-?0\.0), "),
    ("annealed", {"q": steep}, r"the slope is (nan|-?inf) at action \[(-0\.\d+|-?0\.0), "),
    ("svgd", {"q": steep}, r"the score is (nan|-?inf) at action \[(-0\.\d+|-?0\.0), "),
    ("mala", {"q": steep}, r"the slope is (nan|-?inf) at action \[(-0\.\d+|-?0\.0), "),
    ("ais", {"q": steep}, r"the slope is (nan|-?inf) at action \[(-0\.\d+|-?0\.0), "),
    ("qglg", {"q": steep}, r"the score is (nan|-?inf) at action \[(-0\.\d+|-?0\.0), "),
]
FAULTS = [
    f for f in FAULTS if set(f[1]) <= set(CALLS[f[0]].__kwdefaults__ or CALLS[f[0]].__code__.co_varnames)
]


@pytest.mark.parametrize("name", CALLS)
def test_good_input_passes(name):
    out = CALLS[name]()
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(out))


@pytest.mark.parametrize(("name", "fault", "words"), FAULTS)
def test_one_line_says_what_and_where(name, fault, words):
    with pytest.raises(SoftqError, match=words) as error:
        CALLS[name](**fault)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ladder(0.0, 1.0, 3), "coldest must be positive"),
        (lambda: ladder(1.0, 0.5, 3), "a ladder rises"),
        (lambda: geometric_levels(0.1, 0.3, 3), "levels fall"),
        (lambda: geometric_levels(0.1, 0.01, 1), "at least 2 values, got 1"),
        (lambda: level_steps(LEVELS, 0.0), "last_step must be positive"),
        (lambda: linear_schedules(jnp.ones(2), jnp.ones(2), 0), "num_steps must be positive"),
        (lambda: stability_limit(0.0, 1.0), "temperature must be positive"),
        (lambda: stability_limit(1.0, -1.0), "curvature must be positive"),
        (lambda: initial_action(KEY, 2, "normal", -1.0), "spread must be positive"),
        (lambda: initial_action(KEY, 2, "gauss"), "unknown start 'gauss'"),
        (lambda: amortised_direction(bowl, NOTHING, jnp.zeros((2, 2))), "at least 1"),
        (lambda: finite_on(bowl, 0), "dim must be positive"),
        (lambda: finite_on(torn, 2), r"the landscape is nan at action \[1\.0, "),
        (lambda: finite_on(lambda a: jnp.log1p(-a[0]), 2), r"the landscape is -inf at action \[1\.0, "),
        (lambda: finite_on(steep, 2), r"the slope of the landscape is -inf at action \[0\.0, 0\.0\]"),
    ],
)
def test_helpers_say_it_in_one_line(call, words):
    with pytest.raises(SoftqError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_finite_everywhere_is_no_error():
    finite_on(bowl, 2)
    finite_on(bowl, 17)


@pytest.mark.parametrize("name", CALLS)
def test_compiled_and_batched_samplers_do_not_look(name):
    """Documented: a traced call sees no values. It runs, whatever the landscape; `finite_on` looks beforehand."""
    fault = {"q": torn if name in VALUES else steep}
    traced = jax.make_jaxpr(lambda temperature: CALLS[name](**fault | rest(name, temperature)))(0.1)
    assert "callback" not in str(traced)


def rest(name, temperature):
    """What makes a call traced: a temperature, or a start that depends on one."""
    if "temperature" in CALLS[name].__code__.co_varnames:
        return {"temperature": temperature}
    ladders = {
        "tempering": ("temperatures", jnp.asarray(RUNGS)),
        "ais": ("temperatures", jnp.asarray(RUNGS[::-1])),
    }
    starts = {"svgd": ("particles", FOUR)} | ladders
    argument, value = starts.get(name, ("a0", MIDDLE))
    return {argument: value + 0 * temperature}


@pytest.mark.parametrize("options", [("left", "right"), {"left": 1, "right": 2}, Literal["left", "right"]])
def test_one_of_names_the_nearest_option(options):
    one_of("side", "right", options)
    with pytest.raises(SoftqError, match=r"^unknown side 'lefft'\. Did you mean 'left'\?$"):
        one_of("side", "lefft", options)
    for other in ("up", None, 1, ["left"], np.array(["left", "right"])):
        with pytest.raises(SoftqError, match=r"^unknown side "):
            one_of("side", other, options)
