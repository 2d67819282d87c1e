"""The battery that every sampler and every algorithm passes, ours or a reader's, and the exact laws
behind it.

    check_sampler(lambda key: my_sampler(key, q), dim=1, law=snis_law(q_numpy, 0.1, 100))
    check_algorithm(MyAlgorithm(temperature=0.1))

Nothing here is imported by the rest of softq.
"""

from softq.testing.algorithms import ALGORITHM_CHECKS, check_algorithm
from softq.testing.chains import chain_law, selection_law
from softq.testing.laws import (
    Law,
    fold,
    point_law,
    snis_density,
    snis_law,
    softmax_law,
    uniform_law,
)
from softq.testing.probe import Probe, random_batch
from softq.testing.samplers import SAMPLER_CHECKS, check_sampler, draw
from softq.testing.stationary import stationary_law
from softq.testing.statistics import THRESHOLD, binomial, chi_square, mean_test

__all__ = [
    "ALGORITHM_CHECKS",
    "SAMPLER_CHECKS",
    "THRESHOLD",
    "Law",
    "Probe",
    "binomial",
    "chain_law",
    "check_algorithm",
    "check_sampler",
    "chi_square",
    "draw",
    "fold",
    "mean_test",
    "point_law",
    "random_batch",
    "selection_law",
    "snis_density",
    "snis_law",
    "softmax_law",
    "stationary_law",
    "uniform_law",
]
