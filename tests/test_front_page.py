"""The front page says which chapters open with a laboratory, and it is so."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def numbers(text: str) -> set[int]:
    """ "1 to 5, 10 and 13" as a set of numbers."""
    found = set()
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_chapters_with_a_laboratory() -> None:
    page = (ROOT / "book" / "intro.md").read_text()
    (named,) = re.findall(r"Chapters ([\d ,toand]+) open with a small laboratory", page)
    chapters = (ROOT / "notebooks").glob("[01][0-9]_*.ipynb")
    have = {int(file.name[:2]) for file in chapters if re.search(r"\b\w+Lab\(\\n", file.read_text())}
    assert numbers(named) == have
