"""The learning methods of a checkout, their fields and their switches, read from the text of the files.

A method is a file in softq/algorithms/ itself that defines a subclass of `Algorithm`. The fields of a class are its
annotated names, but for `ClassVar`. A switch is a field that may be a `bool` or a `Literal`: by its annotation, or by
an alias in it that is followed, through imports, to where it is assigned.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from counting.layout import imports, last_name, parsed

Fields = dict[str, tuple[Path, ast.AST]]  # the file and the annotation of each


def definition(root: Path, path: Path, name: str) -> tuple[Path, ast.AST] | None:
    """The class or the assigned expression that `name` means in a file, and the file that defines it."""
    for node in parsed(path).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return path, node
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if name in map(last_name, targets) and getattr(node, "value", None):
            return path, node.value
        for there, here, file in imports(root, path, node):
            if here == name and file != path and (found := definition(root, file, there)):
                return found
    return None


def meanings(root: Path, path: Path, note: ast.AST) -> Iterator[tuple[Path, ast.AST]]:
    """The members of the union that an annotation is, with aliases replaced by what they stand for."""
    if isinstance(note, ast.Constant) and isinstance(note.value, str):
        note = ast.parse(note.value, mode="eval").body
    if isinstance(note, ast.BinOp):
        yield from meanings(root, path, note.left)
        yield from meanings(root, path, note.right)
    elif isinstance(note, ast.Subscript) and last_name(note) in ("Annotated", "Optional"):
        inner = note.slice.elts[0] if isinstance(note.slice, ast.Tuple) else note.slice
        yield from meanings(root, path, inner)
    elif isinstance(note, ast.Name) and (found := definition(root, path, note.id)):
        yield from [found] if isinstance(found[1], ast.ClassDef) else meanings(root, *found)
    else:
        yield path, note


def is_switch(root: Path, path: Path, note: ast.AST) -> bool:
    """Whether a field with the annotation `note` in the file `path` is a switch."""
    members = [note for _, note in meanings(root, path, note)]
    return any(
        last_name(note) in ("bool", "Literal") for note in members if not isinstance(note, ast.ClassDef)
    )


def own_fields(path: Path, cls: ast.ClassDef) -> Fields:
    """The fields that a class itself writes."""
    noted = [node for node in cls.body if isinstance(node, ast.AnnAssign)]
    return {last_name(n.target): (path, n.annotation) for n in noted if last_name(n.annotation) != "ClassVar"}


def bases(root: Path, path: Path, cls: ast.ClassDef) -> list[tuple[Path, ast.ClassDef]]:
    """The base classes that are defined under `root`, each with its file."""
    found = [definition(root, path, last_name(base)) for base in cls.bases]
    return [base for base in found if base and isinstance(base[1], ast.ClassDef)]


def is_algorithm(root: Path, path: Path, cls: ast.ClassDef) -> bool:
    """Whether a class is a subclass of `Algorithm`, through others perhaps."""
    above = bases(root, path, cls)
    return any(base.name == "Algorithm" or is_algorithm(root, file, base) for file, base in above)


def all_fields(root: Path, path: Path, cls: ast.ClassDef) -> Fields:
    """The fields of a class and of its base classes."""
    found: Fields = {}
    for base in reversed(bases(root, path, cls)):
        found |= all_fields(root, *base)
    return found | own_fields(path, cls)


def settings(root: Path, path: Path, cls: ast.ClassDef) -> list[bool]:
    """For each number or name that a user of the class can set, whether it is a switch.

    A field that holds an object with fields of its own, defined under `root`, counts as these.
    """
    found: list[bool] = []
    for where, note in all_fields(root, path, cls).values():
        classes = [each for each in meanings(root, where, note) if isinstance(each[1], ast.ClassDef)]
        nested = [switch for each in classes for switch in settings(root, *each)]
        found += nested or [is_switch(root, where, note)]
    return found


def methods(root: Path) -> dict[Path, list[ast.ClassDef]]:
    """The files of the methods under `root`, each with its subclasses of `Algorithm`."""
    found: dict[Path, list[ast.ClassDef]] = {}
    for path in sorted((root / "softq/algorithms").glob("*.py")):
        classes = [node for node in parsed(path).body if isinstance(node, ast.ClassDef)]
        if classes := [cls for cls in classes if is_algorithm(root, path, cls)]:
            found[path] = classes
    return found
