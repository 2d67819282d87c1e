"""Batteries of checks for samplers and algorithms, softq's own and a reader's.

    check_sampler(lambda key: my_sampler(key, q), dim=1, law=snis_law(q_numpy, 0.1, 100))
    check_algorithm(MyAlgorithm(temperature=0.1))

Exact laws of samplers are in `softq.exact.laws`. The rest of softq does not import this package.
"""

from softq.testing.algorithms import ALGORITHM_CHECKS, check_algorithm
from softq.testing.probe import Probe, random_batch
from softq.testing.samplers import SAMPLER_CHECKS, check_sampler, draw
from softq.testing.statistics import THRESHOLD, binomial, chi_square, mean_test

__all__ = [
    "ALGORITHM_CHECKS",
    "SAMPLER_CHECKS",
    "THRESHOLD",
    "Probe",
    "binomial",
    "check_algorithm",
    "check_sampler",
    "chi_square",
    "draw",
    "mean_test",
    "random_batch",
]
