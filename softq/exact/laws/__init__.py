"""Exact laws of the actions that samplers return, on the cells of a grid: chains, selections, reverse processes."""

from softq.exact.laws.cells import (
    Law,
    fold,
    point_law,
    snis_density,
    snis_law,
    softmax_law,
    uniform_law,
)
from softq.exact.laws.chains import chain_law, selection_law
from softq.exact.laws.stationary import stationary_law

__all__ = [
    "Law",
    "chain_law",
    "fold",
    "point_law",
    "selection_law",
    "snis_density",
    "snis_law",
    "softmax_law",
    "stationary_law",
    "uniform_law",
]
