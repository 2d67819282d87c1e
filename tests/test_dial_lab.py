"""The lab of the dial: its laws against quadrature, its sampler's coldness, and the page's numbers against Python's."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from book_browser import on_a_phone, set_all

from softq.exact.boltzmann import Boltzmann
from softq.lab import DialLab
from softq.networks import Critic
from softq.samplers.qglg import printed_schedules
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

PLACES = np.array([[0.0, 0.0], [1.0, -1.0]])


@pytest.fixture(scope="module")
def lab() -> DialLab:
    critic = Critic.create(jax.random.key(1), jnp.zeros(2), jnp.zeros(2), (16, 16))
    louder = critic.params["action_part"] | {"kernel": 8 * critic.params["action_part"]["kernel"]}
    critic = replace(
        critic, params=critic.params | {"action_part": louder}
    )  # hills and valleys in the square
    return DialLab(critic, PLACES, ["here", "there"], printed_schedules(20)[::3], candidates=20)


@pytest.mark.parametrize("state", [0, 1])
def test_the_law_is_that_of_quadrature_at_the_temperature_of_the_state(lab: DialLab, state: int) -> None:
    hot = Boltzmann(lab.landscapes[state], 1.0, 2, panels=16)
    uniform = hot.weights / hot.weights.sum()
    spread = np.sqrt(uniform @ hot.values**2 - (uniform @ hot.values) ** 2)
    assert lab.temperature(0.2, state) == pytest.approx(0.2 * spread, rel=1e-3)
    assert lab.law(0.2, state).mean_value == pytest.approx(hot.at(0.2 * spread).mean_value, rel=1e-3)


def test_exact_draws_are_as_far_as_chance_and_the_best_end_points_are_colder(lab: DialLab) -> None:
    found = {
        name: lab.numbers(sampler=name, particles=100, lambda0=1.0) for name in ("exact", "best", "random")
    }
    assert found["exact"]["total variation"] < 1.3 * found["exact"]["of exact draws"]
    assert (
        found["best"]["E[Q]"] > found["random"]["E[Q]"]
        and found["best"]["E[Q]"] > found["best"]["exact E[Q]"]
    )


def test_other_dimensions_are_refused() -> None:
    critic = Critic.create(jax.random.key(0), jnp.zeros(2), jnp.zeros(1), (4,))
    with pytest.raises(SoftqError, match="two action dimensions, got 1"):
        DialLab(critic, PLACES, ["here", "there"], printed_schedules(20))


@pytest.mark.browser
def test_the_page_computes_the_same(lab: DialLab, tmp_path: Path) -> None:
    query = "?lambda0=1e9&sampler=worst"
    with on_a_phone(tmp_path, lab, query=query) as (page, (name,)):
        settings = page.evaluate("(lab) => softqLab.report(lab).settings", name)
        assert (settings["lambda0"], settings["sampler"]) == (3.0, "best")
        for sampler, state, lambda0 in (("best", 0, 0.3), ("random", 1, 1.0), ("exact", 1, 0.1)):
            chosen = {"sampler": sampler, "state": state, "lambda0": lambda0, "particles": 100}
            set_all(page, name, chosen)
            page.wait_for_function("(lab) => !softqLab.report(lab).running", arg=name)
            report, numbers = page.evaluate("(lab) => softqLab.report(lab)", name), lab.numbers(**chosen)
            assert report["settings"]["temperature"] == pytest.approx(numbers["λ(s)"], rel=1e-4)
            assert report["exact"]["mean"] == pytest.approx(numbers["exact E[Q]"], rel=1e-4)
            off = 5 * np.std(np.asarray(lab.values[state])) / np.sqrt(100)  # of two means of 100 draws each
            assert report["particles"]["mean"] == pytest.approx(numbers["E[Q]"], abs=off)
            assert report["particles"]["tv"] == pytest.approx(numbers["total variation"], abs=0.15)
