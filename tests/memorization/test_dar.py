import numpy as np
import pytest
from scipy.spatial.distance import cdist

from memtk.errors import UserError
from memtk.memorization import cutoff, dar, search


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
