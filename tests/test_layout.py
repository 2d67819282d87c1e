"""No file of softq/ imports itself in a circle, and what `make count` counts is found in trees where it is known."""

import ast
import dataclasses
import re
import subprocess
import sys
import typing
from pathlib import Path
from types import UnionType

import pytest
from counting.layout import circles, file_arrows, last_name, room_arrows, rooms_out_of_order
from counting.methods import all_fields, is_switch, methods, own_fields, settings
from counting.patterns import PATTERNS, refusals

from softq.algorithms import ALGORITHMS

ROOT = Path(__file__).parents[1]
# from below: a room imports lower ones only
ORDER = (
    ("__init__", "utils"),
    ("box", "landscapes"),
    ("diffusion",),
    ("exact",),
    ("samplers", "plots"),
    ("networks",),
    ("envs",),
    ("algorithms",),
    ("training",),
    ("comparison",),
    ("policies",),
    ("experiments", "lab", "sweeps", "testing"),
    ("cli",),
    ("__main__",),
)
CIRCLE = {
    "softq/__init__.py": "",
    "softq/low.py": "import numpy\n",
    "softq/a/__init__.py": "from softq.a.one import f\n",
    "softq/a/one.py": "from softq import low\n\ndef f():\n    from ..b import two\n",
    "softq/b/__init__.py": "",
    "softq/b/two.py": "from softq.a import f\nif TYPE_CHECKING:\n    import softq.c\n",
    "softq/c.py": "import softq.b.two\n",
}
METHODS = {
    "softq/__init__.py": "",
    "softq/words.py": "from typing import Literal\nRule = Literal['a', 'b']\nCount = int\n",
    "softq/algorithms/__init__.py": "from softq.words import Count, Rule as Law\n",
    "softq/algorithms/base.py": "class Algorithm:\n    small: ClassVar[dict] = {}\n    shared: bool = False\n",
    "softq/algorithms/heat.py": "class Heat:\n    value: float = 1.0\n    tune: bool = True\n",
    "softq/algorithms/one.py": """
from softq.algorithms import Law, Count
from softq.algorithms.base import Algorithm
from softq.algorithms.heat import Heat

class OneState:
    critic: bool

class One(Algorithm):
    paper: ClassVar[dict] = {}
    rate: float = 0.1
    law: Law = "a"
    quoted: "bool | None" = None
    count: Count = 3
    sizes: tuple[bool, ...] = ()
    heat: Heat = Heat()

    def update(self):
        return 1
""",
    "softq/algorithms/two.py": "from softq.algorithms.one import One\n\nclass Two(One):\n    more: bool = True\n",
}
# a program, and how often its pattern is in it
PROGRAMS = [
    ("classes whose name ends in State", "class AState: pass\nclass B: pass\nState()", 1),
    ("functions whose name ends in adam", "class A:\n def actor_adam(s): s.adam()\ndef madame(): pass", 1),
    (
        "calls of td_target, and uses of",
        "td_target(b); 0.9 * batch.discount * v; self.discount; td_target",
        2,
    ),
    (
        "vmap(...)(batch.next_obs, keys)",
        "vmap(f)(b.next_obs, k); jax.vmap(f)(b.next_obs); vmap(f)(b.obs, k)",
        1,
    ),
    ("calls of polyak", "polyak(self.polyak, c, t); learner.follow(0.1); self.polyak * 2; polyak", 2),
    (
        "inner functions called loss",
        "def f():\n def loss(a): 0\n def g(params): 0\n def h(x): 0\ndef loss(): 0",
        2,
    ),
    ("temperature in force", "def f(s): return exp(s.log_scale)\ndef g(s): return jnp.exp(s.log_steps)", 1),
    ("thermostat", "def init(s): s.target_entropy\ndef f(s): return lambda: s.target_entropy", 1),
    ("Adam's counter", "optax.tree_utils.tree_get(o, 'count'); tree_get", 1),
    ("best of N", "a[jnp.argmax(q)]; a[argmax]; argmax(q)[0]; actions[0]", 1),
    ("fields discount", "class A:\n discount: float = 0.9\n critic: int\n polyak: float", 2),
]


def made(folder: Path, files: dict[str, str]) -> Path:
    """The `folder`, with `files` in it: text by path."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_no_circles_of_files():
    found = circles(file_arrows(ROOT))
    assert not found, f"these files import one another in a circle: {found}"


def test_a_circle_of_files_is_found(tmp_path: Path):
    arrows = file_arrows(made(tmp_path, CIRCLE))
    assert circles(arrows) == [["softq/a/__init__.py", "softq/a/one.py", "softq/b/two.py"]]
    assert circles(room_arrows(arrows)) == [["a", "b"]]
    assert arrows["softq/a/one.py"] == {"softq/low.py", "softq/b/two.py"}


def test_the_circle_is_gone_when_one_import_is(tmp_path: Path):
    arrows = file_arrows(made(tmp_path, CIRCLE | {"softq/a/one.py": "from softq import low\n"}))
    assert circles(arrows) == []


@pytest.mark.parametrize("init, file", [("f = 1", "a/__init__.py"), ("", "a/f.py")])
def test_a_name_that_a_package_binds_is_not_its_module(tmp_path: Path, init: str, file: str):
    files = {"softq/a/__init__.py": init, "softq/a/f.py": "", "softq/b.py": "from softq.a import f as g"}
    assert file_arrows(made(tmp_path, files))["softq/b.py"] == {f"softq/{file}"}


def test_rooms_import_lower_ones_only():
    assert rooms_out_of_order(ROOT, ORDER) == []


def test_rooms_out_of_order(tmp_path: Path):
    files = {
        "softq/__init__.py": "",
        "softq/low.py": "",
        "softq/a/one.py": "from softq import low\nfrom softq.a import two\n",
        "softq/a/two.py": "",
        "softq/b/three.py": "import softq.a.one\n",
    }
    root = made(tmp_path, files)
    assert rooms_out_of_order(root, [("__init__", "low"), ("a",), ("b",)]) == []
    assert rooms_out_of_order(root, [("__init__", "low"), ("b",), ("a",)]) == [
        "softq/b/three.py imports softq/a/one.py: a is not on a lower floor than b"
    ]
    same_floor = rooms_out_of_order(root, [("__init__", "low"), ("a", "b")])
    assert same_floor == ["softq/b/three.py imports softq/a/one.py: a is not on a lower floor than b"]
    assert rooms_out_of_order(root, [("low",), ("a",), ("b", "c")]) == [
        "__init__ has no place in the order",
        "c is in the order and not in softq/",
    ]


def test_methods_of_a_known_tree(tmp_path: Path):
    root = made(tmp_path, METHODS)
    found = {path.stem: (path, *classes) for path, classes in methods(root).items()}
    assert list(found) == ["one", "two"]
    own = own_fields(*found["one"])
    assert list(own) == ["rate", "law", "quoted", "count", "sizes", "heat"]
    assert [name for name, field in own.items() if is_switch(root, *field)] == ["law", "quoted"]
    # with the inherited one first, and value and tune for heat
    assert settings(root, *found["one"]) == [True, False, True, True, False, False, False, True]
    assert settings(root, *found["two"]) == [*settings(root, *found["one"]), True]


def may_be_a_switch(hint: typing.Any) -> bool:
    if typing.get_origin(hint) in (UnionType, typing.Union):
        return any(map(may_be_a_switch, typing.get_args(hint)))
    return hint is bool or typing.get_origin(hint) is typing.Literal


def test_fields_and_switches_are_those_of_the_classes():
    """What is read from the text of the files is what Python makes of it."""
    counted = {
        cls.name: all_fields(ROOT, path, cls) for path, found in methods(ROOT).items() for cls in found
    }
    for algorithm in ALGORITHMS.values():
        hints = typing.get_type_hints(algorithm)
        expected = {f.name: may_be_a_switch(hints[f.name]) for f in dataclasses.fields(algorithm)}
        fields = counted[algorithm.__name__]
        assert {name: is_switch(ROOT, *field) for name, field in fields.items()} == expected


@pytest.mark.parametrize("pattern, program, times", PROGRAMS)
def test_patterns(pattern: str, program: str, times: int):
    (find,) = [find for name, find in PATTERNS.items() if name.startswith(pattern)]
    assert len(find(ast.parse(program))) == times


def test_each_pattern_has_its_program():
    assert {name for name in PATTERNS if any(name.startswith(pattern) for pattern, _, _ in PROGRAMS)} == set(
        PATTERNS
    )


def test_refusals():
    program = """
if x not in RULES:
    raise SoftqError(f"unknown rule '{x}'.{suggest(x, RULES)}")
if not known:
    raise SoftqError("unknown rule")
if x not in RULES:
    raise SoftqError(f"{x} is an unknown rule")
raise ValueError("unknown rule")
"""
    assert refusals(ast.parse(program)) == ["not in", "other"]


def test_last_name():
    names = [
        last_name(ast.parse(text, mode="eval").body)
        for text in ("c", "a.b.c", "a.c(1)", "a.c[1](2)", "1 + c")
    ]
    assert names == ["c", "c", "c", "c", ""]


def count(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "tests" / "count.py", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def test_two_checkouts_side_by_side(tmp_path: Path):
    old = made(tmp_path / "old", METHODS)
    two = METHODS["softq/algorithms/two.py"]
    new = made(tmp_path / "new", METHODS | {"softq/algorithms/two.py": two + "    last: float = 0.0\n"})
    rows = [line.split() for line in count(new, "--beside", old).stdout.splitlines()]
    assert ["new", "old"] * 6 in rows
    assert ["two", "5", "4", "2", "1", "1", "1", "10", "9", "5", "5", "0", "0"] in rows
    assert ["all", "methods", "24", "23", "8", "7", "3", "3", "18", "17", "9", "9", "2", "2"] in rows
    assert ["modules", "at", "the", "root", "of", "softq/", "2", "2"] in rows


def test_a_folder_without_softq_is_refused(tmp_path: Path):
    ended = count(tmp_path)
    assert ended.returncode == 2
    assert "it has no softq/__init__.py" in ended.stderr.splitlines()[-1]


def test_no_file_of_tests_imports_another():
    """What two of them share lies in a module of its own, so that each can be read, moved and removed alone."""
    importing = re.compile(r"^\s*(?:from|import) test_", re.MULTILINE)
    assert importing.search("from test_sac import made")
    files = Path(__file__).parent.glob("test_*.py")
    assert [file.name for file in files if importing.search(file.read_text())] == []
