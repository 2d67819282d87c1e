"""Every softq command that a page tells a reader to type exists, with all its options."""

import contextlib
import io
import json
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from softq.algorithms import ALGORITHMS
from softq.cli import COMMANDS, main

ROOT = Path(__file__).parents[1]
PAGES = [*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb"), ROOT / "README.md"]


def text_of(page: Path) -> str:
    """A page as its reader sees it: Markdown, or the cells of a notebook."""
    if page.suffix == ".md":
        return page.read_text()
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(page.read_text())["cells"])


def commands_of(page: Path) -> list[str]:
    """The lines that begin with softq, a prompt or the magic of notebooks, with those that they are continued on."""
    text = text_of(page).replace("\\\n", " ")
    found = re.findall(r"^(?:\$ |%run -m )?softq (.+)$", text, re.MULTILINE)
    return [line for line in found if line.split()[0] in COMMANDS]


LINES = sorted({(page.name, line) for page in PAGES for line in commands_of(page)})


@cache
def help_of(*words: str) -> str:
    """What `softq WORDS --help` prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([*words, "--help"]) == 0
    return out.getvalue()


def unknown_options(line: str) -> list[str]:
    """The options of `softq LINE` that its help does not name."""
    words = shlex.split(line, comments=True)
    command = words[:1]
    if (command == ["train"] and words[1] in ALGORITHMS) or command in (["bench"], ["visits"]):
        command.append(words[1])
    elif "--resume" in words:
        command.append("ddpg")  # stands for the method of the run
    said = help_of(*command)
    known = set(re.findall(r"--[a-z][a-z0-9-]*", said)) | set(re.findall(r"--no-[a-z-]+", said))
    return [word for word in words if word.startswith("--") and word.split("=")[0] not in known]


@pytest.mark.parametrize(("page", "line"), LINES, ids=lambda x: x[:60])
def test_a_command_has_the_options_that_a_page_gives_it(page: str, line: str) -> None:
    assert unknown_options(line) == [], f"{page}: softq {line}"


def test_there_are_such_commands() -> None:
    pages = {page for page, _ in LINES}
    assert {"engine.md", "howto.ipynb", "protocol.md", "README.md", "environments.md"} <= pages
    assert {line.split()[0] for _, line in LINES} >= {"train", "sweep", "watch", "compare", "plot", "video"}


def test_an_option_that_does_not_exist_is_found() -> None:
    assert unknown_options("train ddsq --seeds 3 --candidates 3 --no-relative") == ["--candidates"]
