from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from memtk.errors import UserError
from memtk.memorization import cutoff, dar, dar_matched, expected_fraction, search


def reference(training, validation, synthetic):
    """The published rule on dense distance matrices."""
    real = np.sort(cdist(training, validation, "correlation"), axis=1)
    made = cdist(training, synthetic, "correlation")
    thr = np.percentile(real[:, 0], 5)
    return 1 - thr, (made.min(1) < thr), (made.min(0) < thr)


@pytest.mark.parametrize(
    ("n", "m", "v"), [(40, 40, 40), (60, 200, 25), (50, 20, 90), (21, 30, 1), (1, 5, 5)]
)
def test_it_is_the_published_rule_on_dense_matrices(pearson, rng, n, m, v):
    training, validation = rng.normal(size=(n, 12)), rng.normal(size=(v, 12))
    synthetic = rng.normal(size=(m, 12))
    planted = min(n, m) // 3
    synthetic[:planted] = training[:planted] + 0.2 * rng.normal(size=(planted, 12))
    synthetic[planted : planted + 2] = synthetic[0]  # duplicates
    strangers, made = search(training, validation, pearson), search(training, synthetic, pearson)
    found = dar(
        strangers.queries.similarity,
        made.queries.similarity,
        made.references.similarity,
        strangers.references.similarity,
    )
    tau, memorized, copies = reference(training, validation, synthetic)
    assert found.tau == pytest.approx(tau, abs=1e-14)
    np.testing.assert_array_equal(found.memorized, memorized)
    np.testing.assert_array_equal(found.copies, copies)
    assert (found.n_mem, found.n_copies) == (memorized.sum(), copies.sum())
    assert (found.mem_fraction, found.copy_fraction) == (memorized.mean(), copies.mean())
    called = cdist(validation, training, "correlation").min(1) < 1 - tau
    assert abs(found.validation_called_copies - called.sum()) <= 1  # the one that is tau itself
    assert found.expected_mem_fraction == pytest.approx(1 - 0.95 ** (m / v))


def test_what_is_exactly_at_the_threshold_is_not_memorized():
    near = np.linspace(0.1, 0.9, 21)  # the 5th percentile of 21 distances is one of them
    found = dar(near, near, near, near)
    assert found.tau == pytest.approx(near[-2])
    assert found.memorized.tolist() == [False] * 20 + [True]
    assert found.validation_called_copies == 1


def test_a_search_with_the_cutoff_counts_what_the_rule_counts():
    rng = np.random.default_rng(1)
    for scale in (1e-9, 1e-3, 0.3, 1.0, 40.0):
        for _ in range(40):
            near = rng.normal(size=21) * scale
            limit = cutoff(near)
            thr = np.percentile(1 - near, 5)
            around = [1 - thr, limit, near.max(), np.sort(near)[-2]]
            tested = np.array([np.nextafter(s, d) for s in around for d in (-1e9, s, 1e9)])
            np.testing.assert_array_equal(tested > limit, 1 - tested < thr)


def test_an_empty_set_is_refused():
    with pytest.raises(UserError, match="at least one"):
        dar(np.ones(2), np.ones(2), np.ones(0), np.ones(2))


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
