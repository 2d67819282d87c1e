"""The looks of the book's figures: text can be read on both pages, and no two looks are the same in one family."""

import re

import pytest

from softq import plots
from softq.utils.errors import SoftqError


def luminance(colour: str) -> float:
    """The relative luminance of `#rrggbb`, between 0 and 1 (WCAG 2.2, relative luminance)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", ["#ffffff", "#000000"])
def test_text_and_lines_stand_out(ground: str) -> None:
    """Text has a contrast of 4.5 on both grounds and every line one of 3 (WCAG 2.2, criteria 1.4.3 and 1.4.11)."""
    assert contrast(plots.INK, ground) >= 4.5
    for colour in plots.CYCLE:
        assert contrast(colour, ground) >= 3, colour


def test_luminance() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert luminance("#ff0000") == pytest.approx(0.2126)


def test_concepts() -> None:
    for concept, (role, style) in plots.CONCEPTS.items():
        assert re.fullmatch("[a-zA-Z0-9 -]+", concept)
        assert plots.look(concept) == {"color": plots.ROLES[role], "linestyle": plots.STYLES[style]}
    for family in (
        ["boltzmann", "soft", "mellowmax"],
        ["gap", "theorem 1", "lambert", "log-volume", "trivial"],
    ):
        assert len({plots.CONCEPTS[concept] for concept in family}) == len(family)


def test_an_unknown_concept_is_named() -> None:
    with pytest.raises(SoftqError, match="no look of 'softt'"):
        plots.look("softt")
