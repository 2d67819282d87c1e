"""The map of methods names the file of every algorithm, and no file that does not exist."""

import re
from pathlib import Path

from softq.algorithms import ALGORITHMS

ROOT = Path(__file__).parents[1]


def test_the_map_has_every_algorithm() -> None:
    named = re.findall(r"\| `(\w+)\.py` \|", (ROOT / "book" / "taxonomy.md").read_text())
    assert sorted(named) == sorted(ALGORITHMS)
