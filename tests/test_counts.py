"""Intervals and tests for counts of trainings, against sums of binomial and hypergeometric probabilities."""

from math import comb

import pytest

from softq.experiments.counts import described, differ, interval
from softq.utils.errors import SoftqError


def tail(successes, trials, chance):
    """Probability of `successes` or more."""
    return sum(
        comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(successes, trials + 1)
    )


@pytest.mark.parametrize(("successes", "trials"), [(7, 10), (1, 3), (9, 10), (5, 40)])
def test_each_end_leaves_two_and_a_half_per_cent_beyond_the_count(successes, trials):
    low, high = interval(successes, trials)
    assert tail(successes, trials, low) == pytest.approx(0.025, rel=1e-6)
    assert 1 - tail(successes + 1, trials, high) == pytest.approx(0.025, rel=1e-6)


def test_none_and_all_have_one_end_at_the_border():
    low, high = interval(0, 10)
    assert low == 0 and (1 - high) ** 10 == pytest.approx(0.025, rel=1e-6)
    low, high = interval(10, 10, level=0.9)
    assert high == 1 and low**10 == pytest.approx(0.05, rel=1e-6)


def test_two_counts_are_compared_by_the_hypergeometric_law():
    """9 of 10 beside 6 of 10: tables with 15 successes in 20 that are no more probable than the one seen."""
    law = {k: comb(10, k) * comb(10, 15 - k) / comb(20, 15) for k in range(5, 11)}
    expected = sum(p for p in law.values() if p <= law[9] * (1 + 1e-9))
    assert differ((9, 10), (6, 10)) == pytest.approx(expected, rel=1e-9)
    assert differ((9, 10), (6, 10)) == pytest.approx(0.30, abs=0.005)
    assert differ((9, 10), (1, 10)) == pytest.approx(0.0011, abs=5e-5)


def test_a_count_is_described_with_its_interval():
    assert described(7, 10) == "7 of 10 (35 to 93 %)"


@pytest.mark.parametrize(("successes", "trials"), [(3, 2), (-1, 2), (0, 0)])
def test_what_is_no_count_is_refused(successes, trials):
    for call in (interval, lambda *count: differ(count, (1, 2))):
        with pytest.raises(SoftqError, match=f"{successes} of {trials} is no count"):
            call(successes, trials)
