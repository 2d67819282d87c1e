"""The bibliography: each entry can be looked up by its citation, leads to its source, and says what softq has of it."""

import re
from pathlib import Path

import pytest
from author_year import AuthorYear
from pybtex.database import Entry, parse_file

from softq.experiments.settings import MEASURED, TITLES

ROOT = Path(__file__).parents[1]

ENTRIES = parse_file(ROOT / "book" / "references.bib").entries
LINKS = {
    "doi": re.compile(r"10\.\d{4,}/\S+"),
    "eprint": re.compile(r"\d{4}\.\d{4,5}"),
    "url": re.compile(r"https?://\S+"),
}


def formatted() -> dict[str, tuple[str, str]]:
    """For each key the label and the HTML of its entry in the built list."""
    from pybtex.backends.html import Backend

    style = AuthorYear()
    found = style.format_entries(ENTRIES.values())
    return {x.key: (x.label, x.text.render(Backend())) for x in found}


SHOWN = formatted()


def test_labels_are_those_of_the_text() -> None:
    assert SHOWN["liu2016stein"][0] == "Liu and Wang, 2016"
    assert SHOWN["haarnoja2018soft"][0] == "Haarnoja et al., 2018a"
    labels = [label for label, _ in SHOWN.values()]
    assert len(set(labels)) == len(labels) == len(ENTRIES)


@pytest.mark.parametrize("key", ENTRIES)
def test_each_entry_shows_a_link(key: str) -> None:
    """The one exception is a manuscript that has no public address, and says so."""
    entry: Entry = ENTRIES[key]
    links = {name: entry.fields[name] for name in LINKS if name in entry.fields}
    if not links:
        assert key == "ddsq" and "without a public address" in SHOWN[key][1]
    for name, link in links.items():
        assert LINKS[name].fullmatch(link), f"{name} of {key} is {link}"
        where = {"doi": "https://doi.org/", "eprint": "https://arxiv.org/abs/", "url": ""}[name] + link
        assert f'<a href="{where}">' in SHOWN[key][1]


def test_what_softq_implements_is_marked() -> None:
    """Each method that the book compares, but MalaQ, which is of no paper, is named by one entry."""
    notes = [re.search(r"Implemented in softq: (.*)", x.fields.get("note", "")) for x in ENTRIES.values()]
    named = [name for note in notes if note for name in note[1].split(" and ")]
    assert sorted(named) == sorted({TITLES[name] for name in MEASURED} - {"MalaQ"})
