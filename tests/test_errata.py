"""The list of errata: each entry is complete, and everything it points to exists."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pages import GLUE, PASTED, glued, sources
from reference import REFERENCE

from softq.algorithms import NCLQL
from softq.diffusion import CosineVP
from softq.diffusion.likelihood import quadrature
from softq.exact.laws import fold
from softq.samplers import geometric_levels, level_steps, svgd_direction

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "errata.md").read_text()
COMPUTED = ROOT / "notebooks" / "errata_computed.ipynb"
PAPERS = ("ddsq", "nclql", "dqs", "sql", "maxentdp")


def entries(page: str) -> dict[str, str]:
    """The text under each `(err-...)=` anchor, up to the next anchor or paper."""
    parts = re.split(r"^\((err-[\w-]+)\)=\n", page, flags=re.MULTILINE)
    texts = [re.split(r"^## ", text, flags=re.MULTILINE)[0] for text in parts[2::2]]
    return dict(zip(parts[1::2], texts, strict=True))


ENTRIES = entries(PAGE)
LISTS = ("misprints", "code")  # bullets and tables, not entries with parts
FULL = [name for name in ENTRIES if not any(word in name for word in LISTS)]


def faults(text: str) -> list[str]:
    """What an entry lacks."""
    missing = []
    if not text.startswith("### "):
        missing.append("a heading")
    if "**As printed" not in text:
        missing.append("as printed")
    if "**Why it fails.**" not in text and "**What is missing.**" not in text:
        missing.append("why it fails, or what is missing")
    if "**Corrected.**" not in text:
        missing.append("corrected")
    if not GLUE.search(text) and "{prf:ref}" not in text:
        missing.append("a number or a theorem")
    return missing


def labels(text: str) -> set[str]:
    return set(re.findall(r"^:label: (\S+)", text, flags=re.MULTILINE))


def test_each_paper_has_entries_and_a_summary() -> None:
    """Each entry stands in the summary table of its paper, with a kind, and the table holds nothing else."""
    summarised = re.findall(r"^\| \{ref\}`[^`]*<(err-[\w-]+)>` \| ([^|]+) \|", PAGE, flags=re.MULTILINE)
    listed = [name for name in ENTRIES if not name.startswith("err-code")]
    assert [name for name, _ in summarised] == listed
    assert all(re.search("misprint|gap|error", kind) for _, kind in summarised)
    for paper in PAPERS:
        assert sum(name.startswith(f"err-{paper}-") for name in FULL) >= 5, paper


@pytest.mark.parametrize("name", FULL)
def test_entry_is_complete(name: str) -> None:
    assert faults(ENTRIES[name]) == []


@pytest.mark.parametrize("part", ["**As printed", "**Corrected.**", "**Why it fails.**", "### "])
def test_an_incomplete_entry_is_found(part: str) -> None:
    text = ENTRIES["err-ddsq-thm3"]
    assert part in text and faults(text.replace(part, ""))


def test_no_number_without_its_notebook() -> None:
    """Every pasted number names its notebook, a key that the notebook glues, and a format."""
    known = {}
    assert len(GLUE.findall(PAGE)) > 60
    for role in GLUE.findall(PAGE):
        match = PASTED.fullmatch(role)
        assert match, f"write path::key:format, got {role}"
        notebook = (ROOT / "book" / match["path"]).resolve()
        assert notebook.is_file(), f"{notebook.name} does not exist"
        if notebook not in known:
            known[notebook] = glued(sources(notebook, "code"))
        keys, patterns = known[notebook]
        key = match["key"]
        assert key in keys or any(p.fullmatch(key) for p in patterns), f"{notebook.name} glues no {key}"


def test_a_key_that_is_not_glued_is_found() -> None:
    keys, patterns = glued(sources(COMPUTED, "code"))
    assert "norm_mass" in keys and "norm_mas" not in keys
    assert any(p.fullmatch("left_0.01") for p in patterns)
    assert not any(p.fullmatch("right_0.01") for p in patterns)


def test_labels_and_pages_exist() -> None:
    """Theorems, entries and documents that are referred to, from the list and from its notebook."""
    there = set()
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        there |= labels(sources(notebook, "markdown"))
    computed = sources(COMPUTED, "markdown")
    for text in (PAGE, computed):
        for label in re.findall(r"\{prf:ref\}`([^`<]*)`", text):
            assert label in there, f"no theorem {label}"
        for name in re.findall(r"\{ref\}`(?:[^`<]*<)?([^`<>]*)>?`", text):
            assert name in ENTRIES, f"no entry {name}"
    for page in re.findall(r"\{doc\}`(?:[^`<]*<)?([^`<>]*)>?`", PAGE):
        target = ROOT / "book" / page
        assert target.with_suffix(".md").is_file() or target.with_suffix(".ipynb").is_file(), page
    assert "@@" not in PAGE and "TODO" not in PAGE


def test_what_the_notebook_computes_is_used() -> None:
    """Each entry that its notebook names says so in the summary, and the other way round."""
    named = set(re.findall(r"\{ref\}`(err-[\w-]+)`", sources(COMPUTED, "markdown")))
    rows = re.findall(r"<(err-[\w-]+)>` \|[^|]*\| ([^|]*) \|", PAGE)
    claimed = {name for name, where in rows if "errata_computed" in where}
    assert claimed <= {*named, "err-nclql-definitions", "err-dqs-bounded"}
    for name in named - claimed:
        assert "errata_computed.ipynb" in ENTRIES[name], name


def test_the_fold() -> None:
    """B.3.2 as printed sends 0 to -1; with the offset of the wall it is the triangle wave."""
    x, k = np.linspace(-7, 7, 1001), np.arange(-6, 7)[:, None]
    assert np.min(np.abs(4 * k - 0.0)) - 1 == -1
    assert np.allclose(np.abs(4 * k - (x + 1)).min(0) - 1, fold(x), atol=1e-12)
    assert not np.allclose(np.abs(4 * k - x).min(0) - 1, fold(x), atol=0.5)


def test_two_particles() -> None:
    """Where Stein's two particles on -a^2 / 2 rest, in closed form: there softq's direction is nought, as printed too.

    Without the temperature in front of the repulsion (C.1) all three temperatures would have the same rest.
    """
    with jax.enable_x64(True):
        for alpha, value in REFERENCE["sql.svgd_two_particles"]["value"].items():
            a = float(alpha)
            for repulsion, name in ((1.0, "eq13_h1"), (1 / a, "c1_missing_alpha_h1")):
                place = np.sqrt(np.log1p(4 * a * repulsion) / 4)
                assert np.allclose(place, value[name], atol=1e-10)
                pair = jnp.array([[-place], [place]])
                direction = lambda pair, b=repulsion, a=a: svgd_direction(lambda x: -x / a, pair, 1.0, b)
                assert np.allclose(direction(pair), 0, atol=1e-9)
                assert np.abs(direction(1.01 * pair)).min() > 1e-4


@pytest.mark.parametrize("rule", ["left", "trapezoid"])
def test_left_rule_bias(rule: str) -> None:
    """MaxEntDP's log-likelihood of a Gaussian, by softq's nodes and weights; another rule's would show."""
    with jax.enable_x64(True):
        nodes = {
            name: [np.asarray(x) for x in quadrature(CosineVP(), 20, name)[1:]]
            for name in ("left", "trapezoid")
        }
    for v, by_steps in REFERENCE["logprob.gaussian_bias"]["value"].items():
        v = float(v)
        # over a normal law of variance v the best network misses the noise by mse(u) on average
        mse = lambda u, v=v: u * v / (1 - u + u * v)
        bias = {name: weights @ (u - mse(u)) / 2 + np.log(v) / 2 for name, (u, weights) in nodes.items()}
        assert abs(bias[rule] - by_steps["20"][rule]) < 1e-9
        other = "trapezoid" if rule == "left" else "left"
        assert v == 1 or abs(bias[other] - by_steps["20"][rule]) > 1e-3


def test_level_table() -> None:
    """NC-LQL's steps: a ratio of drift to noise that falls by a factor of a hundred."""
    value = REFERENCE["nclql.levels"]["value"]
    alpha = np.asarray(level_steps(geometric_levels(0.1, 0.001, 10), 1e-4), float)
    ratio = np.sqrt(alpha) * NCLQL().temperature.value ** -1 / 2
    assert np.allclose(ratio, [row["drift_over_noise"] for row in value.values()], rtol=1e-5)
    assert ratio[0] / ratio[-1] == pytest.approx(100, rel=1e-5)
