"""Down to which sensitivity a bound holds."""

import pytest

from memtk.errors import UserError
from memtk.memorization import tipping_point


@pytest.mark.parametrize("f", [0.0, 0.02, 0.05])
@pytest.mark.parametrize(("bound", "limit"), [(0.01, 0.05), (0.05, 0.05), (0.2, 0.05), (0.6, 0.5)])
def test_with_the_sensitivity_of_the_tipping_point_the_bound_is_the_limit(bound, limit, f):
    s = 0.9
    flagged = f + bound * (s - f)  # of Rogan and Gladen's rate, r = (q - f) / (s - f)
    least = tipping_point(bound, limit, sensitivity=s, false_positive_rate=f)
    assert (flagged - f) / (least - f) == pytest.approx(limit)
    assert (least <= s) == (bound <= limit)


def test_a_rate_that_must_be_zero_has_no_tipping_point():
    with pytest.raises(UserError, match="limit of 0 "):
        tipping_point(0.1, 0, sensitivity=0.9, false_positive_rate=0.0)
