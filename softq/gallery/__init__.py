"""Every sampler on every landscape at equal budget, measured against the truth: `softq gallery`."""

from softq.gallery.contest import BUDGETS, COLUMNS, EXACT, contest, draws, write
from softq.gallery.counting import GRADIENT, Calls, count
from softq.gallery.formula import Formula, corners, formula_of
from softq.gallery.problems import HEATS, Problem, names, problem
from softq.gallery.registry import REGISTRY, Entry, Given
from softq.gallery.report import mean_errors, read, regret, verdicts, winners
from softq.gallery.truth import Truth, View

__all__ = [
    "BUDGETS",
    "COLUMNS",
    "EXACT",
    "GRADIENT",
    "HEATS",
    "REGISTRY",
    "Calls",
    "Entry",
    "Formula",
    "Given",
    "Problem",
    "Truth",
    "View",
    "contest",
    "corners",
    "count",
    "draws",
    "formula_of",
    "mean_errors",
    "names",
    "problem",
    "read",
    "regret",
    "verdicts",
    "winners",
    "write",
]
