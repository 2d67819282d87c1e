"""The labs of curves in Python: their numbers against exact ones, their renderings, and what they refuse."""

import json
import re

import ipywidgets
import jax.numpy as jnp
import pytest
from reference import REFERENCE

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.exact.importance import Importance
from softq.lab import BackupLab, ImportanceLab, VolumeLab
from softq.lab.importance import DIMS, regret_law
from softq.utils.errors import SoftqError

PNG = b"\x89PNG"
NAMES = ("quad1", "quart1", "abs1", "spike1", "twomode1")


@pytest.fixture(scope="module")
def labs() -> dict:
    return {
        "volume": VolumeLab([landscapes.get(name) for name in NAMES], alt="Volumes.", caption="Drag <it>."),
        "importance": ImportanceLab(alt="Resampling.", caption="Drag <it>."),
        "backup": BackupLab(alt="The door.", caption="Drag <it>."),
    }


@pytest.mark.parametrize("kind", ["volume", "importance", "backup"])
def test_three_renderings(labs: dict, kind: str) -> None:
    bundle = labs[kind]._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == labs[kind].alt
    page = bundle["text/html"]
    assert f'alt="{labs[kind].alt}"' in page and "Drag &lt;it&gt;." in page
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])
    assert data["kind"] == kind and data == json.loads(json.dumps(labs[kind].data()))
    assert len(page) < 400_000  # a page stays light


@pytest.mark.parametrize("kind", ["volume", "importance", "backup"])
def test_every_control_changes_the_picture(labs: dict, kind: str) -> None:
    lab = labs[kind]
    box = lab.widget()
    image, seen = box.children[0], []
    assert isinstance(image, ipywidgets.Image)
    for control, spec in zip(box.children[1:], lab.controls, strict=False):
        seen.append(bytes(image.value))
        if hasattr(spec, "options"):
            control.value = (
                spec.options[-1][1] if control.value != spec.options[-1][1] else spec.options[0][1]
            )
        else:
            value = spec.low + 0.3 * (spec.high - spec.low)
            control.value = round(value) if spec.integer else value
        new = bytes(image.value).startswith(PNG) and bytes(image.value) not in seen
        assert new, spec.name


@pytest.mark.parametrize("name", NAMES)
def test_volume_and_bounds_are_the_references(labs: dict, name: str) -> None:
    lab, volumes = labs["volume"], REFERENCE.get(f"vol.{name}")
    for eps, expected in (volumes["value"] if volumes else {}).items():
        assert lab.numbers(landscape=name, eps=float(eps))["Vol(ε)"] == pytest.approx(expected, abs=1e-9)
    fields = {"gap": "exact gap", "lambert": "sharp bound, t = 1", "log_volume": "log-volume bound"}
    fields |= {"trivial": "trivial bound"}
    expected = REFERENCE.get(f"thm1.{name}")
    for temperature, row in (expected["value"] if expected else {}).items():
        seen = lab.numbers(landscape=name, temperature=float(temperature))
        for field, label in fields.items():
            assert seen[label] == pytest.approx(row[field], abs=2e-9), (temperature, field)
        # a supremum over a table of levels can only be too small, and not by much
        assert 0.97 * row["thm1"] < seen["Theorem 1"] < row["thm1"] + 1e-9


def parabola(a):
    return -jnp.sum(a**2)


@pytest.mark.parametrize("dim", DIMS)
def test_resampling_is_exact_up_to_its_cells(labs: dict, dim: int) -> None:
    """The 400 cells of the table against the exact law of the separable parabola."""
    regret, mass = regret_law(dim)
    assert mass.sum() == pytest.approx(1, abs=1e-12) and (mass >= 0).all()
    assert mass @ regret == pytest.approx(dim / 3, rel=2e-3)
    for temperature in (0.02, 0.1, 0.5):
        exact = Importance.separable(parabola, temperature, dim)
        for m in (10, 1000):
            seen = labs["importance"].numbers(dim=dim, temperature=temperature, num_candidates=m)
            assert seen["total variation"] == pytest.approx(exact.tv(m), abs=2e-3)
            assert seen["effective sample size"] == pytest.approx(exact.ess(m), rel=1e-2)
            assert seen["Jensen bound"] >= seen["total variation"]


def test_the_door_has_its_three_fixed_points(labs: dict) -> None:
    seen = labs["backup"].numbers()
    for i, point in enumerate(REFERENCE["mdp.door.fixed_points"]["value"]):
        assert seen[f"Boltzmann fixed point {i + 1}"] == pytest.approx(point["Q_stay"], abs=1e-11)
    assert seen["soft fixed point"] == pytest.approx(
        REFERENCE["mdp.door.maxent"]["value"]["Q_stay"], abs=1e-11
    )
    assert seen["log-mean-exp fixed point"] == pytest.approx(
        REFERENCE["mdp.door.mellowmax"]["value"], abs=1e-11
    )
    limits = REFERENCE["mdp.door.softmax_vi"]["value"]
    assert seen["reached"] == pytest.approx(limits["Q0=0"], abs=1e-9)
    assert labs["backup"].numbers(start=1.7)["reached"] < 1.7 < labs["backup"].numbers(start=1.72)["reached"]
    assert "Boltzmann fixed point 2" not in labs["backup"].numbers(temperature=1.0)


def test_gap_is_that_of_the_softmax(labs: dict) -> None:
    law = Boltzmann(landscapes.get("twomode1"), 0.3)
    seen = labs["volume"].numbers(landscape="twomode1", temperature=0.3)
    assert seen["exact gap"] == pytest.approx(law.gap, abs=1e-12)
    assert seen["exact gap"] < seen["sharp bound, t = 1"] < seen["Theorem 1"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: VolumeLab([landscapes.get("quad2")]), "dim 2"),
        (lambda: VolumeLab([landscapes.get("quad1")], eps=-1.0), r"eps must lie in \[0.0001, 2\], got -1"),
        (lambda: ImportanceLab(dim=5), "dim cannot be 5"),
        (lambda: ImportanceLab(temperature=0.0), "temperature must lie in"),
        (lambda: ImportanceLab(num_candidates=0), "num_candidates must lie in"),
        (lambda: BackupLab(discount=1.0), "discount must lie in"),
        (lambda: BackupLab(backup="soft max"), "backup cannot be 'soft max'"),
        (lambda: BackupLab().numbers(rewrd=1.0), "unknown setting 'rewrd'. Did you mean 'reward'"),
    ],
)
def test_bad_arguments(call, words: str) -> None:
    with pytest.raises(SoftqError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
