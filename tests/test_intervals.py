import math

import pytest
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import proportion_confint

from memtk.errors import UserError
from memtk.intervals import clopper_pearson, share


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize("n", [1, 2, 7, 60, 1000])
def test_the_ends_are_those_of_scipy_and_statsmodels(n, confidence):
    for count in sorted({0, 1, n // 3, n // 2, n - 1, n}):
        found = clopper_pearson(count, n, confidence)
        theirs = binomtest(count, n).proportion_ci(confidence, method="exact")
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-10)
        theirs = proportion_confint(count, n, 1 - confidence, method="beta")
        assert (found.low, found.high) == pytest.approx(theirs, abs=1e-10)
        assert found.low <= found.estimate == count / n <= found.high


def test_it_covers_at_every_rate():
    n = 25
    found = [clopper_pearson(count, n, 0.9) for count in range(n + 1)]
    for rate in (0.0, 0.001, 0.03, 0.2, 0.5, 0.77, 1.0):
        chances = binom.pmf(range(n + 1), n, rate)
        assert math.fsum(chances[i] for i, f in enumerate(found) if f.low <= rate <= f.high) >= 0.9


def test_nothing_and_everything_have_a_closed_end():
    assert clopper_pearson(0, 9).low == 0 and clopper_pearson(9, 9).high == 1
    assert clopper_pearson(0, 9).high == pytest.approx(1 - 0.025 ** (1 / 9))


@pytest.mark.parametrize("wrong", [(0, 0), (-1, 3), (4, 3), (1, 3, 0.0), (1, 3, 1.0)])
def test_impossible_counts_and_levels_are_refused(wrong):
    with pytest.raises(UserError, match="at least one to count from"):
        clopper_pearson(*wrong)


def test_a_share_of_flags_is_counted_and_one_of_nothing_says_nothing():
    found = share([True, False, True], 0.9)
    expected = clopper_pearson(2, 3, 0.9)
    assert (found.count, found.n) == (2, 3)
    assert (found.rate, found.low, found.high) == (2 / 3, expected.low, expected.high)
    empty = share([])
    assert (empty.count, empty.n, empty.rate, empty.low, empty.high) == (0, 0, 0, 0, 1)
