from itertools import combinations
from math import comb

import numpy as np
import pytest

from memtk.errors import UserError
from memtk.memorization import dar_matched


@pytest.mark.parametrize(("m", "v"), [(1, 1), (6, 1), (6, 3), (7, 5), (6, 6)])
def test_it_is_the_mean_over_every_subset(m, v):
    rng = np.random.default_rng(0)
    near = rng.random((5, m)) > np.linspace(0, 1, 5)[:, None]  # none to all above tau
    counted = [near[:, list(chosen)].any(1).sum() for chosen in combinations(range(m), v)]
    found = dar_matched(near.sum(1), m, v)
    assert found.n_mem == pytest.approx(np.mean(counted), abs=1e-13)
    assert found.mem_fraction == pytest.approx(np.mean(counted) / 5, abs=1e-13)
    assert found.reason == ""


def test_large_numbers_keep_their_digits():
    m, v, above = 10_000, 2_500, np.array([1, 2, 7, 60, 7_500, 7_501, 10_000])
    expected = sum(1 - comb(m - int(c), v) / comb(m, v) for c in above)
    assert dar_matched(above, m, v).n_mem == pytest.approx(expected, rel=1e-13)


def test_the_edges_are_exact():
    assert dar_matched(np.array([0, 0]), 10, 4).n_mem == 0
    assert dar_matched(np.array([7, 10]), 10, 4).n_mem == 2
    assert dar_matched(np.array([0, 1, 3]), 5, 5).n_mem == 2
    assert dar_matched(np.array([1]), 10, 4).n_mem == pytest.approx(0.4, abs=1e-16)


def test_a_generator_without_memory_scores_five_percent_whatever_the_sizes():
    rng = np.random.default_rng(0)
    m, v, n = 160, 40, 4000
    tau = 0.95 ** (1 / v)
    above = (rng.random((n, m)) > tau).sum(1)
    assert dar_matched(above, m, v).mem_fraction == pytest.approx(0.05, abs=0.01)


def test_fewer_synthetic_than_validation_images_give_a_reason():
    found = dar_matched(np.array([0, 1]), 2, 3)
    assert (found.n_mem, found.mem_fraction) == (None, None)
    assert "sample at least 3" in found.reason


@pytest.mark.parametrize(("above", "v"), [([], 1), ([1], 0), ([4], 1), ([-1], 1)])
def test_impossible_counts_are_refused(above, v):
    with pytest.raises(UserError, match="dar-matched"):
        dar_matched(np.array(above), 3, v)
