"""The laboratory figure in Python: its numbers, its three renderings, and what it refuses."""

import json
import re
from functools import partial

import ipywidgets
import jax
import numpy as np
import pytest

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.lab import TemperatureLab
from softq.lab.law import GridSoftmax, hills
from softq.networks import Critic
from softq.testing import THRESHOLD
from softq.utils.errors import SoftqError

PNG = b"\x89PNG"


def fresh(obs_dim: int, action_dim: int, hidden_sizes: tuple[int, ...]) -> Critic:
    create = partial(Critic.create, hidden_sizes=hidden_sizes)
    return jax.jit(create)(jax.random.key(0), np.zeros(obs_dim), np.zeros(action_dim))


@pytest.fixture(scope="module")
def two_hills() -> TemperatureLab:
    return TemperatureLab(
        landscapes.get("twomode1"), temperature=0.2, alt="Two hills.", caption="Which <hill>?"
    )


@pytest.fixture(scope="module")
def of_a_critic() -> TemperatureLab:
    return TemperatureLab(
        fresh(3, 2, (16, 16)), 0.05, observations=np.eye(3), names=["a", "b", "c"], particles=50, steps=5
    )


@pytest.mark.parametrize("name", landscapes.names())
def test_law_agrees_with_the_quadrature(name: str) -> None:
    """The grid that the picture is summed on is good enough for the digits shown."""
    q = landscapes.get(name)
    lab, exact = TemperatureLab(q, temperature=0.2), Boltzmann(q, 0.2)
    law = lab.law()
    assert law.mean_value == pytest.approx(exact.mean_value, abs=1e-3)
    assert law.entropy == pytest.approx(exact.entropy, abs=5e-3)
    bins = law.bin_probabilities
    np.testing.assert_allclose(bins, exact.cell_probabilities(len(bins)), atol=1e-3)


def test_particles_follow_the_law(two_hills: TemperatureLab) -> None:
    """Enough reflected steps bring the histogram within what chance explains; clipping leaves atoms."""
    law = two_hills.law(temperature=1.0)
    tv, floor = law.tv(two_hills.sample(temperature=1.0, step=0.01, steps=400, particles=2000))
    assert tv < 1.5 * floor
    clipped = two_hills.sample(temperature=0.5, step=0.3, boundary="project", particles=500)
    folded = two_hills.sample(temperature=0.5, step=0.3, particles=500)
    assert np.mean(np.abs(clipped) >= 1) > 0.1 and np.mean(np.abs(folded) >= 1) == 0


@pytest.mark.parametrize("name", ["twomode1", "twomode2"])
def test_exact_draws(name: str) -> None:
    """No further from the law than chance allows, which draws at twice the temperature are.

    One of n draws moves the distance by at most 1/n, so by McDiarmid's inequality it exceeds its mean by more than
    `slack` with a probability below the threshold.
    """
    lab = TemperatureLab(landscapes.get(name), sampler="exact")
    uniforms = np.random.default_rng(0).uniform(size=(20_000, lab.dim))
    slack = np.sqrt(-np.log(THRESHOLD) / (2 * len(uniforms)))
    for temperature in (0.05, 1.0):
        law = lab.law(temperature)
        tv, floor = law.tv(law.draw(uniforms))
        assert tv < floor + slack < law.tv(lab.law(2 * temperature).draw(uniforms))[0]
    assert lab.sample().shape == (400, lab.dim)
    assert "step" not in lab.settings and lab.kind == "draws"


@pytest.mark.parametrize("place", [-1.0, 0.3])
def test_the_distance_of_one_point_is_a_moment(place: float) -> None:
    law, exact = (
        TemperatureLab(landscapes.get("twomode1")).law(0.1),
        Boltzmann(landscapes.get("twomode1"), 0.1),
    )
    moment = exact.mean(lambda a: (a[:, 0] - place) ** 2)
    assert law.w2(np.array([[place]])) == pytest.approx(np.sqrt(moment), abs=1e-5)


def test_distances_from_a_uniform_law() -> None:
    """Evenly spaced points miss it by the spread within a cell, and the mean square of n draws is 2 / (3 n)."""
    law, spaced = GridSoftmax(np.zeros(4000), 1.0, 1), (np.arange(7) + 0.5) * 2 / 7 - 1
    assert law.w2(spaced[::-1, None]) == pytest.approx(2 / 7 / np.sqrt(12))
    draws = np.random.default_rng(0).uniform(-1, 1, (300, 500, 1))
    assert np.mean([law.w2(a) ** 2 for a in draws]) == pytest.approx(2 / 1500, rel=0.15)


def test_mass_of_each_hill() -> None:
    lab, exact = (
        TemperatureLab(landscapes.get("twomode1"), sampler="exact"),
        Boltzmann(landscapes.get("twomode1"), 0.1),
    )
    numbers = lab.numbers(temperature=0.1)
    assert numbers["mass of the right hill"] == pytest.approx(exact.mean(lambda a: a[:, 0] > 0), abs=1e-4)
    assert numbers["mass of the left hill"] + numbers["mass of the right hill"] == pytest.approx(1)
    one, three = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.999, 1.0, 0.0, 2.0])
    assert hills(one) == [slice(0, 3)]
    assert hills(three) == [slice(0, 1), slice(1, 4), slice(4, 6)]


def test_step_follows_the_temperature(two_hills: TemperatureLab) -> None:
    assert two_hills.step_at(0.2) == pytest.approx(2 * two_hills.step_at(0.1))
    fixed = TemperatureLab(landscapes.get("quad1"), step_size=0.03)
    assert fixed.step_at(0.1) == fixed.step_at(1.0) == 0.03


def test_three_renderings(two_hills: TemperatureLab) -> None:
    bundle = two_hills._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "Two hills."
    page = bundle["text/html"]
    assert 'alt="Two hills."' in page and "Which &lt;hill&gt;?" in page
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])
    assert data == json.loads(json.dumps(two_hills.data()))
    assert data["states"][0]["landscape"]["bumps"] and data["network"] is None
    assert two_hills.png().startswith(PNG)


def test_a_page_cannot_be_broken_out_of() -> None:
    lab = TemperatureLab(landscapes.get("quad1"), alt='"><script>alert(1)</script>', particles=10, steps=1)
    page = lab.html()
    assert page.count("</script>") == 1 and "<script>alert" not in page.split("<script type")[0]


def test_states_of_a_critic(of_a_critic: TemperatureLab) -> None:
    """All states share one set of weights; each has its own law, which is that of `critic.at(obs)`."""
    data = of_a_critic.data()
    assert [state["name"] for state in data["states"]] == ["a", "b", "c"]
    assert data["network"]["widths"] == (16, 16)
    for index, q in enumerate(of_a_critic.landscapes):
        exact = Boltzmann(q, 0.05, dim=2, panels=16)
        assert of_a_critic.law(state=index).mean_value == pytest.approx(exact.mean_value, abs=1e-4)


def test_data_identify_the_figure(two_hills: TemperatureLab) -> None:
    again = TemperatureLab(landscapes.get("twomode1"), temperature=0.2, alt="Two hills.")
    other = TemperatureLab(landscapes.get("twomode1"), temperature=0.3, alt="Two hills.")
    assert two_hills.data()["id"] == again.data()["id"] != other.data()["id"]


def test_live_controls(of_a_critic: TemperatureLab) -> None:
    """Moving a control runs the sampler again; the step follows the temperature."""
    box = of_a_critic.widget()
    controls = {child.description: child for child in walk(box) if getattr(child, "description", "")}
    image = next(child for child in walk(box) if isinstance(child, ipywidgets.Image))
    seen = [bytes(image.value)]
    for name, value in {"temperature λ": 0.02, "state": 2, "at the walls": "project", "seed": 3}.items():
        controls[name].value = value
        assert bytes(image.value).startswith(PNG) and bytes(image.value) not in seen, name
        seen.append(bytes(image.value))
    lab = TemperatureLab(landscapes.get("twomode1"), temperature=0.2, particles=10, steps=2)
    controls = {child.description: child for child in walk(lab.widget()) if hasattr(child, "description")}
    step = controls["step size δ"].value
    controls["temperature λ"].value = 0.1
    assert controls["step size δ"].value == pytest.approx(step / 2)


def walk(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    return [widget] + [found for child in getattr(widget, "children", ()) for found in walk(child)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"step_size": -1.0}, "step_size"),
        ({"particles": 0}, "particles"),
        ({"boundary": "reflct"}, "reflect"),
        ({"observations": [[0.0]]}, "observations"),
        ({"names": ["a", "b"]}, "names"),
        ({"temperature_range": (0.0, 1.0)}, "temperature_range"),
    ],
)
def test_bad_arguments(arguments: dict, words: str) -> None:
    with pytest.raises(SoftqError, match=words) as error:
        TemperatureLab(landscapes.get("quad1"), **arguments)
    assert "\n" not in str(error.value)


def test_what_it_cannot_show() -> None:
    three = fresh(2, 3, (4,))
    with pytest.raises(SoftqError, match="1 or 2"):
        TemperatureLab(three, observations=np.zeros((1, 2)))
    with pytest.raises(SoftqError, match="observations"):
        TemperatureLab(three)
    with pytest.raises(SoftqError, match="expected 2"):
        TemperatureLab(three, observations=np.zeros((1, 5)))
    with pytest.raises(SoftqError, match="function"):
        TemperatureLab(lambda a: a[0])
