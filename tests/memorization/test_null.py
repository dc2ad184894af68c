import numpy as np
import pytest

from memtk.errors import UserError
from memtk.memorization import dar, expected_fraction


@pytest.mark.parametrize(("m", "v"), [(40, 40), (160, 40), (20, 40), (904, 226)])
def test_a_generator_without_memory_scores_it(m, v):
    rng = np.random.default_rng(0)
    n, scores = 2000, []
    for _ in range(4):
        near_v = rng.random(n) ** (1 / v)  # the largest of v uniform similarities
        near_m = rng.random(n) ** (1 / m)
        scores.append(dar(near_v, near_m, np.ones(m), np.ones(v)).mem_fraction)
    assert np.mean(scores) == pytest.approx(expected_fraction(m, v), abs=0.02)


def test_it_is_five_percent_at_equal_sizes_and_what_the_percentile_says():
    assert expected_fraction(7, 7) == pytest.approx(0.05)
    assert expected_fraction(7, 7, percentile=90) == pytest.approx(0.1)


@pytest.mark.parametrize("wrong", [(0, 5, 95), (5, 0, 95), (5, 5, 0), (5, 5, 100)])
def test_sizes_and_percentiles_without_a_meaning_are_refused(wrong):
    with pytest.raises(UserError, match="at least one of each"):
        expected_fraction(*wrong)
