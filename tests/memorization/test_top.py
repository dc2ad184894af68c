"""The k nearest, and how many are equally near."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from memtk.errors import UserError
from memtk.memorization import Execution, search


def brute(matrix, top):
    """Sort whole rows: by similarity, then by index."""
    order = np.argsort(-matrix, axis=1, kind="stable")[:, :top]
    return np.take_along_axis(matrix, order, 1), order


def sides(found):
    return found.queries, found.references


def whole(q, r):
    """Inner products of small integers: exact in any order, and full of ties."""
    return (q @ r.T).astype(float)


class Dot:
    space = "embedding"

    def prepare(self, rows):
        return rows

    def compare(self, queries, references):
        return queries @ references.T

    def pairs(self, queries, references):
        return (queries * references).sum(1)


@pytest.mark.parametrize("top", [1, 2, 3, 10, 40, 500])
@pytest.mark.parametrize("sizes", [(300, 260), (3, 200), (200, 3), (1, 1)])
@pytest.mark.parametrize("tile", [(1024, 4096), (64, 50), (33, 130)])
def test_the_k_nearest_are_those_of_sorted_scipy_correlations(pearson, rng, top, sizes, tile):
    q, r = (rng.normal(size=(n, 16)).astype("f4") for n in sizes)
    dense = 1 - cdist(q, r, "correlation")
    found = search(q, r, pearson, top=top, execution=Execution(tile=tile))
    for side, matrix in zip(sides(found), (dense, dense.T), strict=True):
        values, index = brute(matrix, top)
        np.testing.assert_array_equal(side.top_index, index)
        np.testing.assert_allclose(side.top_similarity, values, atol=1e-13)
        np.testing.assert_array_equal(side.top_similarity[:, 0], side.similarity)
        np.testing.assert_array_equal(side.top_index[:, 0], side.index)
        assert side.top_index.shape == (len(matrix), min(top, matrix.shape[1]))


@pytest.mark.parametrize("top", [1, 2, 7, 60])
@pytest.mark.parametrize("tile", [(1024, 4096), (40, 50), (9, 7)])
def test_ties_are_counted_and_go_to_the_lowest_indices(rng, monkeypatch, top, tile):
    monkeypatch.setattr("memtk.memorization.tiles.ROOM", 30)  # decided on the way, too
    q, r = (rng.integers(-1, 2, size=(n, 4)).astype("f4") for n in (90, 110))
    dense = whole(q, r)
    found = search(q, r, Dot(), top=top, execution=Execution(tile=tile), threshold=1.0)
    for side, matrix in zip(sides(found), (dense, dense.T), strict=True):
        values, index = brute(matrix, top)
        np.testing.assert_array_equal(side.top_index, index)
        np.testing.assert_array_equal(side.top_similarity, values)
        np.testing.assert_array_equal(side.ties, (matrix == matrix.max(1)[:, None]).sum(1))
        np.testing.assert_array_equal(side.above, (matrix > 1).sum(1))
    assert found.queries.ties.max() > 10


@pytest.mark.parametrize("top", [1, 3, 300])
@pytest.mark.parametrize("tile", [(1024, 4096), (64, 128)])
def test_a_collapsed_set_has_its_ties_counted_and_its_lowest_named(pearson, rng, top, tile):
    q = rng.normal(size=(100, 6)).astype("f4")
    r = np.repeat(rng.normal(size=(1, 6)), 400, axis=0).astype("f4")
    r[5] = rng.normal(size=6)
    found = search(q, r, pearson, top=top, execution=Execution(tile=tile))
    dense = 1 - cdist(q, r, "correlation")
    odd = dense[:, 5] > dense[:, 0]
    np.testing.assert_array_equal(found.queries.ties, np.where(odd, 1, 399))
    np.testing.assert_array_equal(found.queries.index, np.where(odd, 5, 0))
    expected = brute(dense.round(9), top)[1]
    np.testing.assert_array_equal(found.queries.top_index, expected)


@pytest.mark.parametrize("world", [2, 5])
def test_shares_are_merged_to_the_k_nearest_of_all(rng, world):
    q, r = (rng.integers(-1, 2, size=(n, 4)).astype("f4") for n in (50, 23))

    def part(rank):
        kept = []
        one = Execution(rank=rank, world=world, gather=lambda v: [kept.append(v) or v])
        search(q, r, Dot(), top=9, execution=one)
        return kept[0]

    parts = [part(rank) for rank in range(world)]
    first = Execution(world=world, gather=lambda v: parts)
    found = search(q, r, Dot(), top=9, execution=first)
    alone = search(q, r, Dot(), top=9)
    for one, other in zip(sides(found), sides(alone), strict=True):
        for name in ("similarity", "index", "ties", "top_similarity", "top_index"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_less_than_one_nearest_is_refused(rng):
    with pytest.raises(UserError, match="top 0: ask for at least 1"):
        search(rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), Dot(), top=0)
