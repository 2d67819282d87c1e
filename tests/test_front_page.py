"""The front page: its map has every chapter, what it says of them is so, and its figure says exact numbers."""

import re
from pathlib import Path

import chapter_map
import numpy as np
import pytest

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.lab import HeroLab

ROOT = Path(__file__).parents[1]
CHAPTERS = [chapter for chapters in chapter_map.PARTS.values() for chapter in chapters]


def test_every_chapter_is_on_the_map() -> None:
    """Those of the table of contents, in its order and under its captions; a chapter needs earlier ones only."""
    toc = (ROOT / "_toc.yml").read_text()
    named = re.findall(r"notebooks/(\d\d\w?_\w+)", toc)
    assert [name for name in named if re.match(r"\d\d_", name)] == [chapter.file for chapter in CHAPTERS]
    assert set(chapter_map.PARTS) < set(re.findall(r"caption: (.+)", toc))
    below = [file for chapter in CHAPTERS for file in chapter_map.sections(chapter.file)]
    assert below == [name for name in named if re.match(r"\d\d[a-z]_", name)]
    for chapter in CHAPTERS:
        assert all(need < chapter_map.number(chapter.file) for need in chapter.needs), chapter.file
        assert 10 <= chapter_map.minutes(chapter.file) <= 120
    assert set(chapter_map.PICTURES) == {chapter_map.number(chapter.file) for chapter in CHAPTERS}


def test_the_map_links_and_says_in_words_what_it_shows() -> None:
    page, words = chapter_map.svg() + chapter_map.cards(), chapter_map.svg()
    for chapter in CHAPTERS:
        assert f"../notebooks/{chapter.file}.html" in words and page.count(chapter.promise) == 1
    label = re.search(r'aria-label="([^"]+)"', words)[1]
    assert len(re.findall("<path", words)) == sum(len(chapter.needs) for chapter in CHAPTERS)
    assert all(f"{chapter_map.number(c.file)} needs" in label for c in CHAPTERS if c.needs)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.file)
def test_every_chapter_opens_with_a_lab_or_a_figure(chapter: chapter_map.Promise) -> None:
    """Among its first three cells of code, of which one imports and one may prepare."""
    codes = [text for kind, text in chapter_map.cells(chapter.file) if kind == "code"][:3]
    assert any(re.search(r"\b[A-Z]\w*Lab\(|plt\.|subplots", text) for text in codes)


def test_the_sentence_of_the_figure_is_exact() -> None:
    """Its shares, mean and entropy are those of quadrature, and so is what the draws are like."""
    lab, law = HeroLab(), Boltzmann(landscapes.get("twomode1"), 0.05)
    right = law.mean(lambda a: a[:, 0] > 0)
    sentence = lab.sentence(temperature=0.05)
    assert f"right one {100 * right:.1f} %" in sentence and f"value is {law.mean_value:.3f}" in sentence
    assert f"entropy {law.entropy:.2f}".replace("-", "\u2212") in sentence
    assert np.mean(lab.sample(temperature=0.05) > 0) == pytest.approx(right, abs=0.05)
