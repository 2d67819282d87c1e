"""The gallery in Python: its samplers against exact laws, its numbers, its renderings, and what it refuses."""

import json
import re

import ipywidgets
import jax
import numpy as np
import pytest
from exact import numpy_of

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.exact.laws import snis_law, softmax_law
from softq.exact.smoothing import smooth_density
from softq.lab import GalleryLab
from softq.lab.gallery import law_of, marginal
from softq.lab.gallery_samplers import GALLERY_SAMPLERS, draw
from softq.testing import THRESHOLD, chi_square
from softq.utils.errors import SoftqError

PNG = b"\x89PNG"
SKEW, TEMPERATURE = landscapes.get("skew1"), 0.3  # half of its mass leans on a wall


@pytest.fixture(scope="module")
def lab() -> GalleryLab:
    return GalleryLab("skew1", particles=50, budget=271, alt="Skew.", caption="Press <Run>.")


@pytest.mark.parametrize("name", ["abs1", "skew1", "abs2", "lemniscate", "bandit"])
def test_blurred_landscapes(name: str) -> None:
    """Against trapezoidal sums of Q times the Gaussian; a tent's kinks limit those."""
    q = landscapes.get(name)
    actions = np.random.default_rng(0).uniform(-1, 1, (20, q.dim))
    expected = smooth_density(q, 0.3, 0.1, actions).mean
    with jax.enable_x64(True):
        seen = jax.jit(jax.vmap(q.blurred(0.1)))(actions)
    np.testing.assert_allclose(seen, expected, atol=2e-3 if name.startswith("abs") else 1e-7)


@pytest.mark.parametrize("axis", [0, 1])
def test_marginals_are_those_of_the_law(axis: int) -> None:
    """A marginal of exp(Q / temperature) on the lemniscate by sums over the other coordinate."""
    law = law_of("lemniscate").at(0.3)
    nodes, density = marginal(law, axis)
    fine = (np.arange(2000) + 0.5) / 1000 - 1
    for i in (5, 200, 400):
        line = np.stack([np.full(2000, nodes[i]), fine], -1)
        assert density[i] == pytest.approx(
            law.density(line[:, ::-1] if axis else line).sum() / 1000, rel=1e-4
        )
    assert density.shape == (640,)


def actions_of(sampler: str, n: int, steps: int, boundary: str = "reflect", step: float = 0.1) -> np.ndarray:
    candidates = 2 if sampler == "isir" else 10
    run = draw(
        sampler, SKEW, jax.random.key(3), n, steps, candidates, boundary, TEMPERATURE, step, 4 * TEMPERATURE
    )
    return np.asarray(run)


@pytest.mark.parametrize("sampler", ["isir", "mala", "tempering"])
def test_exact_samplers_reach_the_softmax(sampler: str) -> None:
    """After many steps from uniform actions; the starts themselves are far from it."""
    law = softmax_law(numpy_of(SKEW)[0], TEMPERATURE)
    assert chi_square(actions_of(sampler, 2000, 100), *law) > THRESHOLD
    assert chi_square(actions_of(sampler, 2000, 1), *law) < THRESHOLD


def test_resampling_after_t_steps_has_t_plus_one_candidates() -> None:
    q = numpy_of(SKEW)[0]
    actions = actions_of("snis", 20_000, 4)
    assert chi_square(actions, *snis_law(q, TEMPERATURE, 5)) > THRESHOLD
    assert chi_square(actions, *snis_law(q, TEMPERATURE, 3)) < THRESHOLD


def test_what_the_notes_say() -> None:
    """Atoms where a chain is clipped; the best of several end points is colder than a random one."""
    walls = lambda actions: np.mean(np.abs(actions) >= 1)
    assert walls(actions_of("langevin", 500, 20, "project")) > 0.05
    assert walls(actions_of("langevin", 500, 20)) == 0
    assert walls(actions_of("annealed", 500, 3, step=1e-4)) > 0.05
    values = lambda sampler: numpy_of(SKEW)[0](actions_of(sampler, 1000, 20)).mean()
    assert values("qglg-argmax") > Boltzmann(SKEW, TEMPERATURE).mean_value + 0.03 > values("qglg-random")


@pytest.mark.parametrize("sampler", [name for name, entry in GALLERY_SAMPLERS.items() if entry.length])
def test_a_complete_action_stays(sampler: str) -> None:
    lab, entry = GalleryLab("skew1", sampler), GALLERY_SAMPLERS[sampler]
    price = lambda steps: sum(entry.cost(lab.given()._replace(steps=steps)))
    given = {steps: lab.given(budget=price(steps)) for steps in (19, 20, 60)}
    assert given[60] == given[20] and entry.length == given[20].steps == 20
    assert entry.cost(given[19]) != entry.cost(given[20])


@pytest.mark.parametrize("sampler", GALLERY_SAMPLERS)
def test_a_budget_is_not_exceeded_and_as_good_as_spent(sampler: str) -> None:
    lab, entry = GalleryLab("twomode1", sampler), GALLERY_SAMPLERS[sampler]
    for budget in (40, 500):
        given = lab.given(budget=budget)
        assert sum(entry.cost(given)) <= budget
        assert given.steps == entry.length or sum(entry.cost(given._replace(steps=given.steps + 1))) > budget


def test_steps_follow_temperature_and_sampler(lab: GalleryLab) -> None:
    """A step is a multiple of the sampler's own, which grows with the temperature, save NC-LQL's; MALA's ends at 1."""
    assert lab.given(temperature=0.2).step == pytest.approx(2 * lab.given(temperature=0.1).step)
    assert lab.given(step=3.0).step == pytest.approx(3 * lab.given().step)
    assert lab.given(sampler="mala", step=100.0, temperature=3.0).step == 1
    assert lab.given(sampler="annealed", temperature=1.0).step == 1e-4


def test_numbers(lab: GalleryLab) -> None:
    numbers, law = lab.numbers(sampler="isir", particles=2000), Boltzmann(SKEW, 0.1)
    assert numbers["exact E[Q]"] == pytest.approx(law.mean_value)
    assert numbers["E[Q]"] == pytest.approx(law.mean_value, abs=0.03)
    assert numbers["total variation"] == pytest.approx(law.tv(lab.sample(sampler="isir", particles=2000), 40))
    assert numbers["of exact draws"] == pytest.approx(law.tv_floor(2000, 40))
    assert numbers["Q per action"] == 1 + 9 * 30 and numbers["gradients per action"] == 0


def test_three_renderings(lab: GalleryLab) -> None:
    bundle = lab._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "Skew."
    page = bundle["text/html"]
    assert 'alt="Skew."' in page and "Press &lt;Run&gt;." in page
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])
    assert data == json.loads(json.dumps(lab.data()))
    assert [row["name"] for row in data["states"]] == landscapes.names()
    assert list(data["samplers"]) == list(GALLERY_SAMPLERS)
    assert len(page) < 200_000  # a page stays light


def test_every_control_changes_the_picture(lab: GalleryLab) -> None:
    box = lab.widget()
    image, seen = box.children[0], []
    assert isinstance(image, ipywidgets.Image)
    others = {"landscape": "twomode1", "sampler": "isir", "temperature": 0.5, "step": 2.0, "budget": 10}
    others |= {"particles": 60, "boundary": "project", "candidates": 2, "seed": 1}
    controls = dict(zip([c.name for c in lab.controls], box.children[1:], strict=False))
    for name in (
        "temperature",
        "step",
        "seed",
        "boundary",
        "budget",
        "particles",
        "landscape",
        "sampler",
        "candidates",
    ):
        seen.append(bytes(image.value))
        controls[name].value = others[name]
        assert bytes(image.value).startswith(PNG) and bytes(image.value) not in seen, name


def test_two_dimensions() -> None:
    lab = GalleryLab("bandit", "svgd", particles=30, budget=5)
    alone, both = lab.figure(), lab.figure(beside="langevin")
    assert lab.png().startswith(PNG) and both.get_figwidth() > 1.5 * alone.get_figwidth()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"landscape": "skew"}, "skew1"),
        ({"sampler": "langevn"}, "langevin"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"boundary": "reflct"}, "reflect"),
        ({"particles": 0}, "particles"),
        ({"step": -1.0}, "step"),
        ({"candidates": 3}, "candidates"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_arguments(arguments: dict, words: str) -> None:
    with pytest.raises(SoftqError, match=words) as error:
        GalleryLab(**arguments)
    assert "\n" not in str(error.value)
