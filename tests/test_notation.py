"""The page of notation keeps its own rule: no letter stands for two things."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "book" / "notation.md").read_text()
MAIN, SECOND = PAGE.split("## Letters with a second meaning in one chapter")
ALIKE = {
    "Q",
    r"\lambda",
    "W",
    "K",
    r"\Delta",
}  # told apart by an index (Q_\sigma, W_1, K_V), or one symbol (\Delta f)


def symbols(page: str) -> list[str]:
    """Bare symbols of the first column of each table: no arguments, no definitions."""
    found = []
    for cell in re.findall(r"^\| (\$.*?) \|", page, flags=re.MULTILINE):
        for formula in re.findall(r"\$(.*?)\$", cell):
            for part in re.split(r",\s*(?:\\ )?(?![^(\[]*[)\]])", formula):
                bare = re.split(r"\s*(?:=|\\in|\\propto|>|\(|\[)", part)[0].strip()
                if re.fullmatch(r"(\\(mathsf|mathcal|bar|mathrm) ?)?\{?\\?\w+\}?('|_\w|_\\\w+|\^.*)?", bare):
                    found.append(bare)
    return found


def letters(page: str) -> list[str]:
    """The symbols without their indices."""
    return [re.split(r"[_^']", symbol)[0].strip() for symbol in symbols(page)]


def clashes(page: str) -> set[str]:
    """Letters that stand in two rows."""
    seen = letters(page)
    return {letter for letter in seen if seen.count(letter) > 1} - ALIKE


def test_one_symbol_for_one_thing() -> None:
    assert len(symbols(MAIN)) > 40
    assert clashes(MAIN) == {"s", "a", r"\theta"}  # s and s_t, a and a_t; theta and its slow copy


def test_a_second_meaning_is_found() -> None:
    for letter in ("m", "B", "S", "M", r"\kappa"):
        assert letter in clashes(MAIN + f"\n| ${letter}$ | | another thing |\n"), letter


def test_second_meanings_name_their_chapter() -> None:
    rows = re.findall(r"^\| \$(.*?)\$.* \| (.*) \| .* \|$", SECOND.split("## ")[0], flags=re.MULTILINE)
    assert len(rows) > 15
    for letter, where in rows:
        for page in re.findall(r"\{doc\}`([^`]*)`", where):
            assert (Path(__file__).parents[1] / "book" / f"{page}.ipynb").is_file(), (letter, page)
        assert "{doc}" in where, letter
