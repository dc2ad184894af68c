"""Searches that leave pairs of one patient out."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from memtk.errors import UserError
from memtk.memorization import Execution, search


def masked(q, r, patients):
    same = np.array(patients[0])[:, None] == np.array(patients[1])
    return np.where(same, -np.inf, 1 - cdist(q, r, "correlation"))


def check(found, dense, threshold):
    for side, matrix in ((found.queries, dense), (found.references, dense.T)):
        best = matrix.max(1)
        np.testing.assert_allclose(side.similarity, best, atol=1e-13)
        alone = best == -np.inf
        np.testing.assert_array_equal(side.index, np.where(alone, -1, matrix.argmax(1)))
        np.testing.assert_array_equal(side.ties, np.where(alone, 0, 1))
        np.testing.assert_array_equal(side.above, (matrix > threshold).sum(1))
        order = np.argsort(-matrix, axis=1, kind="stable")[:, :4]
        values = np.take_along_axis(matrix, order, 1)
        np.testing.assert_array_equal(side.top_index, np.where(values == -np.inf, -1, order))
        np.testing.assert_allclose(side.top_similarity, values, atol=1e-13)


@pytest.mark.parametrize("tile", [(1024, 4096), (64, 50), (7, 33)])
@pytest.mark.parametrize("patients", [1, 2, 5, 60, 10**6])
def test_the_nearest_of_another_patient_is_that_of_a_masked_matrix(pearson, rng, tile, patients):
    q, r = (rng.normal(size=(n, 8)).astype("f4") for n in (150, 130))
    names = [rng.integers(0, patients, n).astype(str).tolist() for n in (150, 130)]
    found = search(
        q, r, pearson, patients=tuple(names), top=4, threshold=0.3, execution=Execution(tile=tile)
    )
    check(found, masked(q, r, names), 0.3)


def test_a_set_is_searched_against_itself_without_finding_itself(pearson, rng):
    rows = rng.normal(size=(80, 8)).astype("f4")
    names = [i // 2 for i in range(80)]
    found = search(rows, rows, pearson, patients=(names, names), top=4, threshold=0.3)
    check(found, masked(rows, rows, (names, names)), 0.3)
    assert all(i // 2 != j // 2 for i, j in enumerate(found.queries.index))


def test_a_collapsed_set_is_searched_for_other_patients(pearson, rng):
    rows = np.repeat(rng.normal(size=(1, 6)), 400, axis=0)
    names = [i // 100 for i in range(400)]
    found = search(
        rows, rows, pearson, patients=(names, names), execution=Execution(tile=(128, 128))
    )
    np.testing.assert_array_equal(found.queries.index, np.where(np.arange(400) < 100, 100, 0))
    np.testing.assert_array_equal(found.references.ties, np.full(400, 300))


def test_patients_of_another_number_than_rows_are_refused(pearson, rng):
    rows = rng.normal(size=(4, 8))
    names = ("training images", "synthetic images")
    with pytest.raises(UserError, match="4 synthetic images but 3 patients"):
        search(rows, rows, pearson, patients=("abcd", "abc"), names=names)
