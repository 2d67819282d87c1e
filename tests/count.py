"""Counts how softq is laid out and what its learning methods repeat: `make count`.

`python tests/count.py` counts this repository; `python tests/count.py ROOT --beside OTHER` counts two checkouts and
shows them side by side. Files are read and not run, so a checkout needs no environment. The words of the tables are
explained in `counting/`: rooms, arrows and circles in `layout.py`, fields and switches in `methods.py`.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from counting.layout import circles, file_arrows, parsed, room_arrows
from counting.methods import is_switch, methods, own_fields, settings
from counting.patterns import PATTERNS, Finder, created, refusals, splits, tests_imported

HERE = Path(__file__).resolve().parents[1]


class Table(NamedTuple):
    """What is counted, the names of the columns, and the cells of each row."""

    title: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[object, ...]]


def lines(paths: Iterable[Path]) -> int:
    """Lines of files, with empty ones and comments."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def found(find: Finder, paths: Iterable[Path]) -> list[str]:
    """All that `find` finds in the files."""
    return [name for path in paths for name in find(parsed(path))]


def files_with(find: Finder, paths: Iterable[Path]) -> int:
    """The number of files in which `find` finds something."""
    return sum(bool(find(parsed(path))) for path in paths)


def python(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def whole_tree(root: Path) -> Table:
    softq, tests = root / "softq", python(root / "tests")
    code = python(softq)
    top = [path for path in code if path.parent == softq]
    packages = [path for path in code if path.name == "__init__.py" and path not in top]
    arrows = file_arrows(root)
    rooms = room_arrows(arrows)
    refused = found(refusals, code)
    show = lambda groups: "; ".join([str(len(groups)), *map(", ".join, groups)])
    rows = {
        "modules at the root of softq/": len(top),
        "packages at the root of softq/": sum(path.parents[1] == softq for path in packages),
        "packages in all": len(packages),
        "files of softq/": len(code),
        "lines of Python in softq/": lines(code),
        "lines of Python in tests/": lines(tests),
        "lines of JavaScript in book/": lines((root / "book").rglob("*.js")),
        "rooms": len(rooms),
        "arrows between rooms": sum(map(len, rooms.values())),
        "circles of rooms": show(circles(rooms)),
        "arrows between files": sum(map(len, arrows.values())),
        "circles of files": show(circles(arrows)),
        'SoftqError("unknown ...") in softq/': len(refused),
        "of these under `if x not in ...`": refused.count("not in"),
        "classmethods create in networks/": len(found(created, python(softq / "networks"))),
        "calls of random.split in tests/": len(found(splits, tests)),
        "files in tests/ with such calls": files_with(splits, tests),
        "files in tests/ that import from a test_*.py": files_with(tests_imported, tests),
    }
    return Table("The whole tree.", ("count",), {name: (value,) for name, value in rows.items()})


def of_methods(root: Path) -> Table:
    rows: dict[str, tuple[object, ...]] = {}
    for path, classes in methods(root).items():
        fields = [field for cls in classes for field in own_fields(path, cls).values()]
        every = [switch for cls in classes for switch in settings(root, path, cls)]
        updates = [node for cls in classes for node in cls.body if getattr(node, "name", "") == "update"]
        length = sum(node.end_lineno - node.lineno + 1 for node in updates)
        switches = sum(is_switch(root, *field) for field in fields)
        rows[path.stem] = lines([path]), len(fields), switches, len(every), sum(every), length
    others = set(python(root / "softq/algorithms")) - methods(root).keys()
    sums = tuple(map(sum, zip(*rows.values(), strict=True)))
    rows = {"all methods": sums, "other files there": (lines(others),)} | rows
    columns = "lines", "fields", "switches", "all fields", "all switches", "update"
    return Table(
        "Methods. Fields and switches that the file writes; all, with those of base classes and of objects in fields; "
        "lines of its `update`.",
        columns,
        rows,
    )


def of_patterns(root: Path) -> Table:
    own = list(methods(root))
    shared = set(python(root / "softq/algorithms")) - set(own)
    rows: dict[str, tuple[object, ...]] = {}
    for what, find in PATTERNS.items():
        names = found(find, own)
        kinds = sorted(set(names))
        text = ", ".join(kinds) if len(kinds) < 5 else f"{len(kinds)} names"
        rows[what] = len(names), files_with(find, own), len(found(find, shared)), text
    title = "Patterns. Times and files among the methods; times in the other files of softq/algorithms/; their names."
    return Table(title, ("times", "files", "others", "names"), rows)


def printed(tables: list[Table], labels: list[str]) -> str:
    """The same table of each checkout as one text: every column once for each, under its label if there are several."""
    columns = [["", "", *(names := list(dict.fromkeys(name for table in tables for name in table.rows)))]]
    for i, head in enumerate(tables[0].columns):
        for table, label in zip(tables, labels, strict=True):
            cells = [str((*table.rows.get(name, ()), *[""] * 9)[i]) for name in names]
            columns.append([head, label, *cells])
    widths = [max(map(len, column)) for column in columns]
    number = [all(cell.isdigit() for cell in column[2:] if cell) for column in columns]
    text = [tables[0].title]
    for row in zip(*columns, strict=True):
        cells = zip(row, widths, number, strict=True)
        text.append(
            "  ".join(c.rjust(width) if right else c.ljust(width) for c, width, right in cells).rstrip()
        )
    if len(tables) == 1:
        del text[2]
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", nargs="?", type=Path, default=HERE, help="checkout to count [this one]")
    parser.add_argument("--beside", type=Path, metavar="OTHER", help="checkout to show at its side")
    given = parser.parse_args()
    roots = [root.resolve() for root in (given.root, given.beside) if root]
    for root in roots:
        if not (root / "softq" / "__init__.py").is_file():
            parser.error(f"{root} is no checkout of this repository: it has no softq/__init__.py")
    labels = [root.name for root in roots]
    if len(set(labels)) < len(labels):
        labels = [str(root) for root in roots]
    for count in whole_tree, of_methods, of_patterns:
        print(printed([count(root) for root in roots], labels), end="\n\n")


if __name__ == "__main__":
    main()
