"""Each statement that the book calls a theorem is checked where it stands.

A cell (or a test) that computes both sides carries the comment `checks thm-...` above an assert. What a paper prints
and what is false is shown in another environment, beside a number that refutes it.
"""

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STATEMENT = re.compile(r"\{prf:(?:theorem|lemma|corollary|proposition)\}.*?:label: ([\w-]+)", re.DOTALL)
ANY = re.compile(r"\{prf:(?:theorem|lemma|corollary|proposition)\}")
CHECK = re.compile(r"#\s*checks ((?:thm-[\w-]+(?:,\s*)?)+)[^\n]*\n\s*assert", re.MULTILINE)
TESTS = re.compile(r"checks ((?:thm-[\w-]+(?:,\s*)?)+)")


def cells(path: Path, kind: str) -> str:
    notebook = json.loads(path.read_text())
    return "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind)


def checked(text: str) -> set[str]:
    return {label for match in CHECK.finditer(text) for label in re.findall(r"thm-[\w-]+", match[1])}


def checked_by_tests(source: str) -> set[str]:
    """Labels named inside a test function that asserts something."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            text = ast.get_source_segment(source, node)
            asserts = any(isinstance(n, ast.Assert) for n in ast.walk(node)) or ".testing.assert_" in text
            for match in TESTS.finditer(text) if asserts else ():
                found |= set(re.findall(r"thm-[\w-]+", match[1]))
    return found


@cache
def in_tests() -> set[str]:
    """Labels that any other file of tests checks."""
    others = (path for path in ROOT.glob("tests/test_*.py") if path.name != Path(__file__).name)
    return set().union(*(checked_by_tests(path.read_text()) for path in others))


def statements() -> list[tuple[str, str]]:
    found = []
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        prose = cells(path, "markdown")
        labels = STATEMENT.findall(prose)
        assert len(labels) == len(ANY.findall(prose)), f"a statement without a label in {path.name}"
        found += [(path.name, label) for label in labels]
    for path in sorted(ROOT.glob("book/*.md")):
        found += [(path.name, label) for label in STATEMENT.findall(path.read_text())]
    return found


@pytest.mark.parametrize(("page", "label"), statements())
def test_is_checked(page: str, label: str) -> None:
    code = cells(ROOT / "notebooks" / page, "code") if page.endswith(".ipynb") else ""
    assert label in checked(code) | in_tests(), (
        f"{label} in {page} has no check; write one, `# checks {label}`"
    )


def test_labels_are_theorems_and_unique() -> None:
    labels = [label for _, label in statements()]
    assert all(label.startswith("thm-") for label in labels) and len(set(labels)) == len(labels)


def test_the_scan_sees_what_it_should() -> None:
    assert checked("# checks thm-a-b, thm-c\nassert x") == {"thm-a-b", "thm-c"}
    assert checked("# checks thm-a\nx = 1\nassert x") == set()
    assert checked_by_tests("def test_x():\n    # checks thm-a\n    assert x") == {"thm-a"}
    assert checked_by_tests("def test_x():\n    # checks thm-a\n    print(x)") == set()
    assert checked_by_tests("# checks thm-a\nassert x") == set()
