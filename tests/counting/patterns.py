"""What is written more than once, found in the syntax tree of a file by one short function for each pattern.

Each function gives the names of what it found, one for each time.
"""

import ast
from collections.abc import Callable

from counting.layout import inside, last_name

Finder = Callable[[ast.AST], list[str]]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
REPEATED = ("discount", "learning_rate", "polyak", "reward_scale", "hidden_sizes", "activation")
OTHER_LOGARITHMS = ("log_steps", "log_std", "log_prob")


def all_of(tree: ast.AST, *kinds: type) -> list:
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def called(node: ast.AST) -> str:
    """`f` for the calls `f(...)` and `a.f(...)`; nothing for other expressions."""
    direct = isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    return last_name(node) if direct else ""


def calls(*names: str) -> Finder:
    """Finds the calls of functions and methods with one of the `names`."""
    return lambda tree: [called(node) for node in ast.walk(tree) if called(node) in names]


def functions_with(wanted: Callable[[ast.AST], bool]) -> Finder:
    """Finds the functions with a `wanted` node; a function within a function is looked at by itself."""

    def find(tree: ast.AST) -> list[str]:
        is_function = lambda node: isinstance(node, FUNCTIONS)
        return [f.name for f in all_of(tree, *FUNCTIONS) if any(map(wanted, inside(f, is_function)))]

    return find


def states(tree: ast.AST) -> list[str]:
    return [node.name for node in all_of(tree, ast.ClassDef) if node.name.endswith("State")]


def repeated_fields(tree: ast.AST) -> list[str]:
    noted = [
        node for cls in all_of(tree, ast.ClassDef) for node in cls.body if isinstance(node, ast.AnnAssign)
    ]
    return [last_name(node.target) for node in noted if last_name(node.target) in REPEATED]


def optimisers(tree: ast.AST) -> list[str]:
    return [node.name for node in all_of(tree, *FUNCTIONS) if node.name.endswith("adam")]


def targets(tree: ast.AST) -> list[str]:
    return calls("td_target")(tree) + [
        "batch.discount" for node in all_of(tree, ast.Attribute) if ast.unparse(node) == "batch.discount"
    ]


def next_states(tree: ast.AST) -> list[str]:
    mapped = [node for node in all_of(tree, ast.Call) if called(node.func) == "vmap" and len(node.args) > 1]
    return ["vmap" for node in mapped if "next_obs" in map(last_name, node.args)]


def losses(tree: ast.AST) -> list[str]:
    outer = all_of(tree, *FUNCTIONS)
    inner = {node for function in outer for node in all_of(function, *FUNCTIONS) if node is not function}
    return [f.name for f in inner if f.name == "loss" or [a.arg for a in f.args.args[:1]] == ["params"]]


def is_exp_of_log(node: ast.AST) -> bool:
    names = [last_name(argument) for argument in node.args] if called(node) == "exp" else []
    return any(name.startswith("log_") and name not in OTHER_LOGARITHMS for name in names)


def thermostats(tree: ast.AST) -> list[str]:
    found = functions_with(lambda node: isinstance(node, ast.Attribute) and node.attr == "target_entropy")(
        tree
    )
    return [name for name in found if name != "init"]


def best(tree: ast.AST) -> list[str]:
    return ["argmax" for node in all_of(tree, ast.Subscript) if called(node.slice) == "argmax"]


PATTERNS: dict[str, Finder] = {
    "classes whose name ends in State": states,
    f"fields {' '.join(REPEATED)}": repeated_fields,
    "functions whose name ends in adam": optimisers,
    "calls of td_target, and uses of batch.discount": targets,
    "vmap(...)(batch.next_obs, keys)": next_states,
    "calls of polyak, follow or incremental_update": calls("polyak", "follow", "incremental_update"),
    "inner functions called loss, or of params": losses,
    "temperature in force: functions with exp(log_...)": functions_with(is_exp_of_log),
    "thermostat: functions, but init, with .target_entropy": thermostats,
    "Adam's counter: calls of tree_get": calls("tree_get"),
    "best of N: x[argmax(...)]": best,
}


def refusals(tree: ast.AST) -> list[str]:
    """`not in` or `other` for each SoftqError whose text begins with "unknown", by the `if` that it stands under."""
    tests = {child: ast.unparse(node.test) for node in all_of(tree, ast.If) for child in node.body}
    raised = [node for node in all_of(tree, ast.Raise) if last_name(node.exc) == "SoftqError"]
    texts = {node: ast.unparse(node.exc).partition("(")[2].lstrip("f'\"") for node in raised}
    found = [node for node in raised if texts[node].startswith("unknown ")]
    return ["not in" if " not in " in tests.get(node, "") else "other" for node in found]


def splits(tree: ast.AST) -> list[str]:
    names = [ast.unparse(node.func) for node in all_of(tree, ast.Call)]
    return [name for name in names if name.endswith("random.split")]


def created(tree: ast.AST) -> list[str]:
    made = [node for node in all_of(tree, *FUNCTIONS) if node.name == "create"]
    return [node.name for node in made if "classmethod" in map(last_name, node.decorator_list)]


def tests_imported(tree: ast.AST) -> list[str]:
    modules = [node.module or "" for node in all_of(tree, ast.ImportFrom)]
    modules += [alias.name for node in all_of(tree, ast.Import) for alias in node.names]
    return [name for name in modules if name.split(".")[-1].startswith("test_")]
