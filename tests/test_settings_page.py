"""The page of settings has a table for every method, made from its class."""

import re
from pathlib import Path

from settings import rows_of

from softq.algorithms import ALGORITHMS

PAGE = (Path(__file__).parents[1] / "book" / "settings.md").read_text()


def test_every_method_has_its_table() -> None:
    assert re.findall(r"^```\{softq-settings\} (\w+)$", PAGE, re.MULTILINE) == ["training", *ALGORITHMS]


def test_a_table_says_what_the_class_does() -> None:
    presets, rows = rows_of("ddsq")
    by_name = {row[0]: row[1:] for row in rows}
    assert presets == ["small"]
    assert (
        by_name["num_candidates"][:2] == ["100", "16"] and "uniform actions" in by_name["num_candidates"][2]
    )
    assert by_name["learning_rate"][:2] == ["0.0002", "0.002"]
    assert "temperature_rule" not in dict.fromkeys(row[0] for row in rows_of("aca")[1])  # refused


def test_every_setting_says_what_it_is() -> None:
    for name in ("training", *ALGORITHMS):
        assert all(row[-1].endswith((".", ")")) for row in rows_of(name)[1]), name
