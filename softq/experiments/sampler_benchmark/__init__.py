"""Every sampler on every landscape at equal numbers of evaluations of Q, compared with the exact softmax.

The command is `softq gallery`.
"""

from softq.experiments.sampler_benchmark.formula import corners
from softq.experiments.sampler_benchmark.problems import TEMPERATURE_LEVELS, BenchmarkProblem, names, problem
from softq.experiments.sampler_benchmark.reference import Truth, View
from softq.experiments.sampler_benchmark.registry import REGISTRY, BenchmarkSampler, LandscapeInfo
from softq.experiments.sampler_benchmark.report import mean_errors, read, regret, verdicts, winners
from softq.experiments.sampler_benchmark.run import BUDGETS, COLUMNS, EXACT, contest, draws, write
from softq.samplers.cost import GRADIENT, Calls, count

__all__ = [
    "BUDGETS",
    "COLUMNS",
    "EXACT",
    "GRADIENT",
    "REGISTRY",
    "TEMPERATURE_LEVELS",
    "BenchmarkProblem",
    "BenchmarkSampler",
    "Calls",
    "LandscapeInfo",
    "Truth",
    "View",
    "contest",
    "corners",
    "count",
    "draws",
    "mean_errors",
    "names",
    "problem",
    "read",
    "regret",
    "verdicts",
    "winners",
    "write",
]
