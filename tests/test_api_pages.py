"""The pages of the package: their examples run, and every public name is on one of them."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import softq

FOLDER = Path(__file__).parents[1] / "book" / "api"
PAGES = sorted(FOLDER.glob("*.md"))
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
MODULES = (
    "algorithms",
    "comparison",
    "envs",
    "lab",
    "landscapes",
    "policies",
    "samplers",
    "testing",
    "training",
)
# names of types and tables that are told in words
UNLISTED = {
    "ActionValue",
    "ALGORITHMS",
    "ALGORITHM_CHECKS",
    "JAX_ENVS",
    "Probe",
    "SAMPLER_CHECKS",
    "THRESHOLD",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_run(page: Path) -> None:
    """Each page but the list of pages has an example, and it prints what it says."""
    text = page.read_text()
    example = doctest.DocTestParser().get_doctest(text.replace("```", "\n\n"), {}, page.stem, str(page), 0)
    assert bool(example.examples) == (page.stem != "index")
    said: list[str] = []
    failed = doctest.DocTestRunner(optionflags=FLAGS).run(example, out=said.append).failed
    assert failed == 0, "".join(said)


def test_every_public_name_has_its_place() -> None:
    documented = set(
        re.findall(r"^\.\. auto\w+:: (\S+)", "\n".join(map(Path.read_text, PAGES)), re.MULTILINE)
    )
    shown = {name.split(".")[-1] for name in documented}
    for module in MODULES:
        missing = set(importlib.import_module(f"softq.{module}").__all__) - shown - UNLISTED
        assert not missing, (module, sorted(missing))
    assert set(softq.HOMES) <= shown
    for name in documented:
        home, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(home), last) or importlib.import_module(name), name
