"""Which files and rooms of softq/ import which, read from their text without running it.

A room is a package directory of softq/ with all below it, or a module at softq's root. A file or room has an arrow to
another if it imports from it, within a function too. Imports for type checkers only, and imports by a computed name,
are no arrows. A circle is a set of files or rooms with a way along the arrows from each of them to each other one.
"""

import ast
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

Arrows = dict[str, set[str]]


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file of Python."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def inside(node: ast.AST, leave_out: Callable[[ast.AST], bool]) -> Iterator[ast.AST]:
    """All nodes below `node`, without those that `leave_out` names and what is below them."""
    for child in ast.iter_child_nodes(node):
        if not leave_out(child):
            yield child
            yield from inside(child, leave_out)


def last_name(node: ast.AST | None) -> str:
    """`c` for the expressions `c`, `a.b.c`, `c(...)` and `c[...]`; nothing for other ones."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return getattr(node, "attr", getattr(node, "id", ""))


def file_of(root: Path, module: str) -> Path | None:
    """The file of the module `a.b` under `root`, of a package its `__init__.py`; None if there is none."""
    path = root.joinpath(*module.split("."))
    found = (file for file in (path / "__init__.py", path.parent / f"{path.name}.py") if file.is_file())
    return next(found, None)


@functools.cache
def bound(path: Path) -> set[str]:
    """The names that a file imports, defines or assigns."""
    nodes = list(ast.walk(parsed(path)))
    names = {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    names |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return names | {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def imports(root: Path, path: Path, node: ast.AST) -> Iterator[tuple[str, str, Path]]:
    """For each thing that the statement `node` of the file `path` imports: its name there, here, and its file.

    What is not under `root` is left out. Of a package that binds the name and has a module of that name, the name is
    meant, except in the package's own `__init__.py`.
    """
    if isinstance(node, ast.Import):
        for alias in node.names:
            if file := file_of(root, alias.name):
                yield "", alias.asname or alias.name, file
    elif isinstance(node, ast.ImportFrom):
        parent = path.relative_to(root).parent.parts
        above = parent[: len(parent) - node.level + 1] if node.level else ()
        module = ".".join([*above, *filter(None, [node.module])])
        package = file_of(root, module)
        for alias in node.names:
            of_package = package and package != path and alias.name in bound(package)
            if file := package if of_package else file_of(root, f"{module}.{alias.name}") or package:
                yield alias.name, alias.asname or alias.name, file


def for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING"


def file_arrows(root: Path) -> Arrows:
    """The files of softq/ that each of them imports, by their paths under `root`."""
    arrows: Arrows = {}
    for path in sorted((root / "softq").rglob("*.py")):
        nodes = inside(parsed(path), for_types_only)
        found = {file for node in nodes for _, _, file in imports(root, path, node)} - {path}
        arrows[path.relative_to(root).as_posix()] = {file.relative_to(root).as_posix() for file in found}
    return arrows


def room(file: str) -> str:
    """The room of a file, given by its path under the root of the repository."""
    return file.split("/")[1].removesuffix(".py")


def room_arrows(arrows: Arrows) -> Arrows:
    """The rooms that each room imports, from the arrows between files."""
    found: Arrows = {room(file): set() for file in arrows}
    for file, others in arrows.items():
        found[room(file)] |= {room(other) for other in others} - {room(file)}
    return found


def circles(arrows: Arrows) -> list[list[str]]:
    """The largest sets of names with a way along the arrows from each of them to each other one."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            new = arrows.get(ahead.pop(), set()) - seen
            seen |= new
            ahead += new
        return seen

    reach = {name: reached(name) for name in arrows}
    groups = {frozenset(other for other in reach[name] if name in reach.get(other, ())) for name in arrows}
    return sorted(sorted(group) for group in groups if group)


def rooms_out_of_order(root: Path, order: Sequence[Sequence[str]]) -> list[str]:
    """A sentence for each import that the `order` forbids, each room that it lacks, and each that softq/ lacks.

    `order` lists the floors, the lowest first. A room may import rooms of lower floors only, none of its own floor.
    """
    floors = {name: floor for floor, names in enumerate(order) for name in names}
    arrows = file_arrows(root)
    rooms = {room(file) for file in arrows}
    wrong = [f"{name} has no place in the order" for name in sorted(rooms - floors.keys())]
    wrong += [f"{name} is in the order and not in softq/" for name in sorted(floors.keys() - rooms)]
    for file, others in arrows.items():
        for other in sorted(others):
            here, there = room(file), room(other)
            if here != there and {here, there} <= floors.keys() and floors[there] >= floors[here]:
                wrong.append(f"{file} imports {other}: {there} is not on a lower floor than {here}")
    return wrong
