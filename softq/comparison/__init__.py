"""Comparing runs: one tidy table of many, the statistics of Agarwal et al. (2021) with intervals, and their pictures.

    table = collect(["runs/a", "runs/b", "results/sac-reacher.csv"])
    scores = scores_of(table, at="last")
    bootstrap(interquartile_mean, list(scores["sac"].values()))

The command line says `softq results`, `softq compare` and `softq plot`.
"""

from softq.comparison.references import normalised, reference_scores
from softq.comparison.statistics import (
    bootstrap,
    improvement,
    interquartile_mean,
    mean,
    median,
    optimality_gap,
    profile,
    time_to_threshold,
)
from softq.comparison.summary import scores_of
from softq.comparison.table import collect

__all__ = [
    "bootstrap",
    "collect",
    "improvement",
    "interquartile_mean",
    "mean",
    "median",
    "normalised",
    "optimality_gap",
    "profile",
    "reference_scores",
    "scores_of",
    "time_to_threshold",
]
