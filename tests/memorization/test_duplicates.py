"""Rows with the same bits."""

import numpy as np
import pytest

from memtk.memorization import duplicates


def all_pairs(a, b):
    return {(i, j) for i, x in enumerate(a) for j, y in enumerate(b) if x.tobytes() == y.tobytes()}


def lowest(pairs):
    """Of each row of either side, the pair with the lowest partner."""
    forth = {i: min(j for k, j in pairs if k == i) for i, _ in pairs}
    back = {j: min(i for i, k in pairs if k == j) for _, j in pairs}
    return sorted({*forth.items(), *((i, j) for j, i in back.items())})


def sets(rng, kinds=30):
    images = rng.normal(size=(kinds, 1, 2, 3))
    return images[rng.integers(0, kinds, 40)], images[rng.integers(0, kinds, 25)]


@pytest.mark.parametrize("kinds", [1, 5, 30, 1000])
def test_each_row_with_a_duplicate_is_paired_with_its_lowest(rng, kinds):
    q, r = sets(rng, kinds)
    assert duplicates(q, r).tolist() == [list(p) for p in lowest(all_pairs(q, r))]


@pytest.mark.parametrize("kinds", [1, 5, 30, 1000])
def test_within_one_set_no_row_is_paired_with_itself(rng, kinds):
    q, _ = sets(rng, kinds)
    pairs = {(i, j) for i, j in all_pairs(q, q) if i != j}
    expected = sorted({(min(p), max(p)) for p in lowest(pairs)})
    assert duplicates(q).tolist() == [list(p) for p in expected]


@pytest.mark.parametrize("kinds", [1, 5, 30])
def test_pairs_of_one_patient_are_left_out(rng, kinds):
    q, r = sets(rng, kinds)
    names = [rng.integers(0, 3, len(x)).tolist() for x in (q, r)]
    pairs = {(i, j) for i, j in all_pairs(q, r) if names[0][i] != names[1][j]}
    assert duplicates(q, r, patients=tuple(names)).tolist() == [list(p) for p in lowest(pairs)]
    pairs = {(i, j) for i, j in all_pairs(q, q) if names[0][i] != names[0][j]}
    expected = sorted({(min(p), max(p)) for p in lowest(pairs)})
    assert duplicates(q, patients=(names[0],) * 2).tolist() == [list(p) for p in expected]


def test_one_bit_makes_another_row_but_the_dtype_does_not(rng):
    row = rng.normal(size=(1, 8)).astype("f4")
    near = row.copy()
    near[0, 3] = np.nextafter(near[0, 3], 9)
    assert duplicates(row, near).tolist() == []
    assert duplicates(row, row.astype("f8")).tolist() == [[0, 0]]


def test_rows_that_do_not_lie_in_memory_are_read_piece_by_piece(rng, lazy, monkeypatch):
    monkeypatch.setattr("memtk.memorization.rows.CHUNK", 20)
    q, r = sets(rng)
    slow = lazy(q)
    assert duplicates(slow, r).tolist() == [list(p) for p in lowest(all_pairs(q, r))]
    assert max(slow.reads) == 3
