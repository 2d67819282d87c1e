"""Every softq command that a page tells a reader to type exists, with all its options."""

import re
from pathlib import Path

import pytest
from pages import text_of, unknown_options

from softq.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb"), ROOT / "README.md"]


def commands_of(page: Path) -> list[str]:
    """The lines that begin with softq, a prompt or the magic of notebooks, with those that they are continued on."""
    text = text_of(page).replace("\\\n", " ")
    found = re.findall(r"^(?:\$ |%run -m )?softq (.+)$", text, re.MULTILINE)
    return [line for line in found if line.split()[0] in COMMANDS]


LINES = sorted({(page.name, line) for page in PAGES for line in commands_of(page)})


@pytest.mark.parametrize(("page", "line"), LINES, ids=lambda x: x[:60])
def test_a_command_has_the_options_that_a_page_gives_it(page: str, line: str) -> None:
    assert unknown_options(line) == [], f"{page}: softq {line}"


def test_there_are_such_commands() -> None:
    pages = {page for page, _ in LINES}
    assert {"engine.md", "howto.ipynb", "protocol.md", "README.md", "environments.md"} <= pages
    assert {line.split()[0] for _, line in LINES} >= {"train", "sweep", "watch", "compare", "plot", "video"}


def test_an_option_that_does_not_exist_is_found() -> None:
    assert unknown_options("train ddsq --seeds 3 --candidates 3 --no-relative") == ["--candidates"]
