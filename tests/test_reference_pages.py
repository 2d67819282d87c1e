"""Pages that say what is so: what is stored, how to cite, which terms there are."""

import json
import re
from pathlib import Path

import yaml
from citation import FILE, bibtex
from pybtex.database import parse_string

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
STORED = re.compile(r"results/[\w{}.-]+\.csv|\"results\" / ")


def readers() -> set[str]:
    """The notebooks whose code reads a file of results/."""
    found = set()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        if STORED.search(code):
            found.add(path.stem)
    return found


def test_the_status_page_names_what_is_stored() -> None:
    page = (BOOK / "status.md").read_text()
    named = set(re.findall(r"notebooks/(\w+)`", page))
    between = {f"12{x}_{name}" for x, name in zip("cde", ("weights", "slopes", "chain"), strict=True)}
    assert len(readers()) > 8
    assert readers() <= named | between


def test_the_entry_for_latex_can_be_read() -> None:
    cff = yaml.safe_load(FILE.read_text())
    entry = parse_string(bibtex(cff, "2026", "https://example.org/softq"), "bibtex").entries["softq"]
    assert entry.fields["version"] == cff["version"] and entry.fields["year"] == "2026"
    assert entry.fields["url"] == "https://example.org/softq"
    assert str(entry.persons["author"][0]) == "{The softq authors}"
    person = cff | {"authors": [{"family-names": "Doe", "given-names": "Jo"}], "date-released": "2027-01-02"}
    entry = parse_string(bibtex(person, "2026"), "bibtex").entries["softq"]
    assert (str(entry.persons["author"][0]), entry.fields["year"]) == ("Doe, Jo", "2027")
    assert "url" not in entry.fields


def test_each_term_is_explained_once_and_used_terms_exist() -> None:
    page = (BOOK / "glossary.md").read_text()
    terms = re.findall(r"^(\S.*)\n  \S", page, re.MULTILINE)
    assert len(terms) >= 64 and len(set(terms)) == len(terms)
    for path in [*BOOK.rglob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]:
        for term in re.findall(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`", path.read_text()):
            assert " ".join(term.replace("\\n", " ").split()).lower() in map(str.lower, terms), (
                path.name,
                term,
            )


def test_each_rule_of_the_style_sheet_is_closed() -> None:
    """A brace that is lost makes all rules below it part of another one, and no browser says so."""
    depth = 0
    for number, line in enumerate((BOOK / "_static" / "softq.css").read_text().splitlines(), 1):
        if line.endswith("{") and not line.startswith(" "):
            assert depth == 0, f"line {number} is inside of a rule"
        depth += line.count("{") - line.count("}")
    assert depth == 0
