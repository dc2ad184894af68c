from __future__ import annotations

import pytest
from scipy.stats import binom

from memtk.results.chance import binomial_tail


@pytest.mark.parametrize("probability", [1e-6, 0.05, 0.185, 0.5, 0.999])
@pytest.mark.parametrize("trials", [1, 16, 64, 904, 10_000])
def test_the_tail_is_that_of_scipy(trials, probability):
    for count in {0, 1, trials // 7, trials // 2, trials - 1, trials}:
        expected = binom.sf(count - 1, trials, probability)
        assert binomial_tail(count, trials, probability) == pytest.approx(expected, rel=1e-7)


def test_the_ends_are_exact():
    assert binomial_tail(5, 4, 0.5) == 0 and binomial_tail(1, 4, 0.0) == 0
    assert binomial_tail(4, 4, 1.0) == 1 and binomial_tail(0, 4, 0.0) == 1
