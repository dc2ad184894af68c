import sys
import threading

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from memtk.errors import PluginError, UserError
from memtk.memorization import Execution, search


def same(a, b):
    for x, y in ((a.queries, b.queries), (a.references, b.references)):
        np.testing.assert_array_equal(x.similarity, y.similarity)
        np.testing.assert_array_equal(x.index, y.index)
        np.testing.assert_array_equal(x.above, y.above)
        np.testing.assert_array_equal(x.ties, y.ties)
        np.testing.assert_array_equal(x.top_similarity, y.top_similarity)
        np.testing.assert_array_equal(x.top_index, y.top_index)


def agrees(found, dense, threshold=None):
    """Check against the whole float64 matrix; where it has no tie, by index too."""
    for side, matrix in ((found.queries, dense), (found.references, dense.T)):
        best = matrix.max(1)
        np.testing.assert_allclose(side.similarity, best, atol=1e-13)
        np.testing.assert_allclose(matrix[np.arange(len(best)), side.index], best, atol=1e-13)
        if threshold is not None:
            np.testing.assert_array_equal(side.above, (matrix > threshold).sum(1))


class Spy:
    """A similarity that notes the largest tile."""

    def __init__(self, inner):
        self.inner, self.space, self.tiles = inner, inner.space, []

    def prepare(self, rows):
        return self.inner.prepare(rows)

    def compare(self, queries, references):
        self.tiles.append((len(queries), len(references), queries.dtype))
        return self.inner.compare(queries, references)

    def pairs(self, queries, references):
        return self.inner.pairs(queries, references)


class Dot:
    """The least that a similarity must have: no `pairs`, no `rounding`."""

    space = "embedding"

    def prepare(self, rows):
        return rows

    def compare(self, queries, references):
        return queries @ references.T


@pytest.mark.parametrize("sizes", [(1, 1), (3, 200), (200, 3), (150, 170), (130, 1)])
@pytest.mark.parametrize("tile", [(1024, 4096), (64, 50), (7, 33)])
def test_it_agrees_with_the_dense_correlations_of_scipy(pearson, rng, sizes, tile):
    q, r = (rng.normal(size=(n, 16)).astype("f4") for n in sizes)
    dense = 1 - cdist(q, r, "correlation")
    threshold = float(np.quantile(dense, 0.9)) + 1e-9
    found = search(q, r, pearson, threshold=threshold, execution=Execution(tile=tile))
    agrees(found, dense, threshold)
    np.testing.assert_array_equal(found.queries.index, dense.argmax(1))
    np.testing.assert_array_equal(found.references.index, dense.argmax(0))


def test_minus_the_distance_agrees_with_scipy_and_a_row_is_nearest_to_itself(euclidean, rng):
    q = rng.normal(size=(90, 8)) + 1000
    found = search(q, q, euclidean, threshold=-2.0, execution=Execution(tile=(40, 40)))
    agrees(found, -cdist(q, q), -2.0)
    np.testing.assert_array_equal(found.queries.index, np.arange(90))
    np.testing.assert_array_equal(found.queries.similarity, np.zeros(90))


def test_near_ties_that_float32_cannot_tell_are_decided_in_float64(euclidean, pearson, rng):
    base = rng.normal(size=(20, 24))
    q = base + rng.normal(size=base.shape) * 0.3
    r = np.concatenate([base * (1 + k * 1e-9) + k * 1e-9 for k in range(30)])  # 30 near copies
    r = r[rng.permutation(len(r))]
    for similarity, dense in (
        (euclidean, -cdist(q, r)),
        (pearson, 1 - cdist(q, r, "correlation")),
    ):
        agrees(search(q, r, similarity, execution=Execution(tile=(8, 64))), dense)
    nearest = (-cdist(q, r)).argmax(1)  # 1e-9 apart: float64 tells, float32 does not
    np.testing.assert_array_equal(
        search(q, r, euclidean, execution=Execution(tile=(8, 64))).queries.index, nearest
    )


@pytest.mark.parametrize("tile", [(1024, 4096), (5, 3), (64, 32)])
def test_of_equally_near_rows_the_lowest_index_wins(pearson, euclidean, rng, tile):
    rows = rng.normal(size=(40, 8)).astype("f4")
    twice = np.concatenate([rows, rows, 2 * rows])
    for similarity, copies in ((pearson, twice), (euclidean, np.concatenate([rows, rows, rows]))):
        found = search(copies, copies, similarity, execution=Execution(tile=tile))
        np.testing.assert_array_equal(found.queries.index, np.tile(np.arange(40), 3))
        np.testing.assert_array_equal(found.references.index, np.tile(np.arange(40), 3))
        assert len(set(found.queries.similarity[[0, 40]])) == 1


def test_a_collapsed_set_is_searched_exactly_without_comparing_every_pair_again(pearson, rng, lazy):
    q = rng.normal(size=(150, 6)).astype("f4")
    r = np.repeat(rng.normal(size=(1, 6)), 400, axis=0).astype("f4")
    r[70:] = r[70:71] * 2  # another image, equally near
    compared = []

    class Counting(type(pearson)):
        def pairs(self, queries, references):
            compared.append(len(queries))
            return super().pairs(queries, references)

    for references in (r, lazy(r)):
        found = search(
            q, references, Counting(), threshold=0.5, execution=Execution(tile=(64, 128))
        )
        agrees(found, 1 - cdist(q, r, "correlation"), 0.5)
        assert not found.queries.index.any()
    assert sum(compared) < 150 * 400 / 10


def test_candidates_are_dropped_and_decided_on_the_way_when_there_are_many(
    pearson, rng, monkeypatch
):
    monkeypatch.setattr("memtk.memorization.tiles.ROOM", 10)
    rows = rng.normal(size=(7, 6)).astype("f4")
    r = rows[rng.integers(0, 7, 300)]
    dense = 1 - cdist(rows, r, "correlation")
    found = search(
        rows,
        r,
        pearson,
        threshold=float(found_value(pearson, rows)),
        execution=Execution(tile=(3, 20)),
    )
    agrees(found, dense)
    equal = np.array([[np.array_equal(a, b) for b in r] for a in rows])
    np.testing.assert_array_equal(found.queries.index, equal.argmax(1))


def found_value(similarity, rows):
    return search(rows[:1], rows[1:2], similarity).queries.similarity[0]


def test_a_pair_exactly_at_the_threshold_is_not_above_it(pearson, rng):
    rows = rng.normal(size=(60, 32)).astype("f4")
    nearest = search(rows[:30], rows[30:], pearson).queries
    for i in range(0, 30, 7):
        at, value = int(nearest.index[i]), float(nearest.similarity[i])
        below = float(np.nextafter(value, -2))
        pair = rows[i : i + 1], rows[30 + at : 31 + at]
        assert search(*pair, pearson, threshold=value).queries.above.tolist() == [0]
        assert search(*pair, pearson, threshold=below).queries.above.tolist() == [1]
        assert search(rows[:30], rows[30:], pearson, threshold=value).queries.above[i] == 0
        assert search(rows[:30], rows[30:], pearson, threshold=below).queries.above[i] == 1


@pytest.mark.parametrize("world", [2, 3, 7])
def test_any_number_of_processes_gives_the_same_bits(pearson, rng, world):
    q, r = rng.normal(size=(80, 8)), rng.normal(size=(5, 8))
    r = np.concatenate([r, rng.normal(size=(60, 8)), r])  # ties that lie in several shares
    alone = search(q, r, pearson, threshold=0.4)
    slots, barrier, found = [None] * world, threading.Barrier(world), [None] * world

    def work(rank):
        def gather(value):
            slots[rank] = value
            barrier.wait()
            return list(slots)

        found[rank] = search(
            q,
            r,
            pearson,
            threshold=0.4,
            execution=Execution(rank=rank, world=world, gather=gather, tile=(32, 16)),
        )

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        same(one, alone)


def test_a_problem_of_another_process_is_told_here(pearson, rng):
    rows = rng.normal(size=(4, 8))

    def gather(value):
        return [value, (UserError("synthetic: row 3 is constant"), None)]

    with pytest.raises(UserError, match="row 3 is constant"):
        search(rows, rows, pearson, execution=Execution(rank=0, world=2, gather=gather))
    with pytest.raises(ValueError, match="gather"):
        search(rows, rows, pearson, execution=Execution(world=2))


def test_more_processes_than_references_are_no_problem(pearson, rng):
    q, r = rng.normal(size=(4, 8)), rng.normal(size=(1, 8))
    full = []
    for rank, gather in enumerate((lambda v: [v, v], lambda v: [full.append(v) or v, v])):
        search(q, r, pearson, execution=Execution(rank=rank, world=2, gather=gather))
    first = Execution(world=2, gather=lambda v: [v, full[0]])
    joined = search(q, r, pearson, execution=first)
    same(joined, search(q, r, pearson))


def test_the_whole_matrix_is_never_there(pearson, rng):
    spy = Spy(pearson)
    search(
        rng.normal(size=(300, 8)),
        rng.normal(size=(500, 8)),
        spy,
        execution=Execution(tile=(64, 100)),
    )
    assert max(q * r for q, r, _ in spy.tiles) <= 6400
    assert sum(q * r for q, r, _ in spy.tiles) == 300 * 500  # and every pair is computed once
    assert {dtype for _, _, dtype in spy.tiles} == {torch.float32}


def test_sets_that_do_not_lie_in_memory_are_read_piece_by_piece(
    ncc, rng, lazy, tmp_path, monkeypatch
):
    monkeypatch.setattr("memtk.memorization.rows.PIECE", 36 * 5)
    monkeypatch.setattr("memtk.memorization.rows.CHUNK", 36 * 16)
    q, r = (rng.normal(size=(n, 1, 6, 6)).astype("f4") for n in (50, 90))
    expected = search(q, r, ncc, threshold=0.3)
    agrees(expected, 1 - cdist(q.reshape(50, -1), r.reshape(90, -1), "correlation"), 0.3)
    slow = lazy(q), lazy(r)
    same(search(*slow, ncc, threshold=0.3, execution=Execution(tile=(20, 16))), expected)
    assert max(slow[0].reads) <= 16 and max(slow[1].reads) <= 16
    np.save(tmp_path / "r.npy", r)
    mapped = np.load(tmp_path / "r.npy", mmap_mode="r")
    same(
        search(torch.from_numpy(q), mapped, ncc, threshold=0.3, execution=Execution(tile=(20, 16))),
        expected,
    )


def test_big_images_are_prepared_in_blocks_that_fit_and_seldom_read_twice(
    ncc, rng, lazy, monkeypatch
):
    monkeypatch.setattr(sys.modules[search.__module__], "NUMBERS", (36 * 5, 36 * 3))
    monkeypatch.setattr("memtk.memorization.rows.PIECE", 36)
    q, r = (rng.normal(size=(n, 36)).astype("f4") for n in (12, 10))
    slow = lazy(q), lazy(r)
    same(search(*slow, ncc, execution=Execution(tile=(2, 2))), search(q, r, ncc))
    assert max(slow[0].reads) == 5 and max(slow[1].reads) == 3
    winners = 2 * 12 + 2 * 10  # the most that are read once more, in float64
    assert sum(slow[0].reads) <= 1 + 12 + winners  # once, not once for each tile of references
    assert sum(slow[1].reads) <= 1 + 3 * 10 + winners  # once for each block of queries


def test_a_similarity_with_compare_alone_will_do(rng):
    q, r = rng.normal(size=(30, 5)) * 100, rng.normal(size=(45, 5)) * 100
    agrees(search(q, r, Dot(), threshold=100.0, execution=Execution(tile=(16, 16))), q @ r.T, 100.0)


def test_an_error_larger_than_promised_is_noticed_and_the_search_repeated(rng):
    class Coarse(Dot):
        def compare(self, queries, references):
            values = queries @ references.T
            return values + 1e-3 * values.sin() if values.dtype == torch.float32 else values

        def rounding(self, queries, references):
            return 1e-5

    q, r = rng.normal(size=(60, 5)), rng.normal(size=(70, 5))
    agrees(search(q, r, Coarse(), execution=Execution(tile=(32, 32))), q @ r.T)


def test_a_similarity_that_contradicts_itself_is_named(rng):
    class Liar(Dot):
        def pairs(self, queries, references):
            return (queries * references).sum(1) + 50

    class Undefined(Dot):
        def compare(self, queries, references):
            return (queries @ references.T) * float("nan")

    rows = rng.normal(size=(9, 5))
    with pytest.raises(PluginError, match="Liar.*compare"):
        search(rows, rows, Liar())
    with pytest.raises(PluginError, match="Undefined gives nan"):
        search(rows, rows, Undefined())


def test_a_similarity_of_the_wrong_shape_is_named(rng):
    class Flat(Dot):
        def compare(self, queries, references):
            return (queries @ references.T)[:, :1]

    with pytest.raises(PluginError, match=r"Flat.*\(9, 1\) for 9 queries and 9 references"):
        search(rng.normal(size=(9, 5)), rng.normal(size=(9, 5)), Flat())


@pytest.mark.parametrize("name", ["pearson", "cosine", "euclidean", "ncc"])
def test_writing_into_a_buffer_gives_what_compare_gives(registry, rng, name):
    measure = registry.load("similarity", name)()
    q, r = (measure.prepare(torch.from_numpy(rng.normal(size=(n, 12)))) for n in (5, 7))
    buffer = torch.full((6, 9), 7.0, dtype=torch.float64)
    measure.compare_into(q, r, buffer[:5, :7])
    torch.testing.assert_close(buffer[:5, :7], measure.compare(q, r), rtol=0, atol=1e-14)
    assert (buffer[5:] == 7).all() and (buffer[:, 7:] == 7).all()


def test_less_than_float32_is_not_used_where_it_was_allowed(pearson, rng):
    q, r = rng.normal(size=(90, 64)), rng.normal(size=(80, 64))
    torch.set_float32_matmul_precision("medium")
    try:
        found = search(q, r, pearson)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    same(found, search(q, r, pearson))


def test_bad_rows_are_refused_by_set_and_index(pearson, rng, monkeypatch):
    monkeypatch.setattr("memtk.memorization.rows.PIECE", 16)
    rows = rng.normal(size=(9, 8))
    names = ("training images", "synthetic images")
    broken, flat = rows.copy(), rows.copy()
    broken[5, 2], flat[5] = np.nan, 3.0
    with pytest.raises(UserError, match="synthetic images: row 5 holds a value that is not finite"):
        search(rows, broken, pearson, names=names)
    with pytest.raises(UserError, match=r"training images: row 1 is constant.*counted from 4"):
        search(flat, rows, pearson, names=names)
    with pytest.raises(UserError, match="there are no synthetic images"):
        search(rows, rows[:0], pearson, names=names)
    with pytest.raises(UserError, match="8 numbers a row and synthetic images have 4"):
        search(rows, rows[:, :4], pearson, names=names)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_any_number_of_threads_gives_the_same_bits(pearson, rng, threads):
    q, r = rng.normal(size=(500, 8)), rng.normal(size=(600, 8))
    r[300:] = r[:300]
    alone = search(q, r, pearson, threshold=0.4, top=3, execution=Execution(tile=(1024, 4096)))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        same(
            search(q, r, pearson, threshold=0.4, top=3, execution=Execution(tile=(128, 128))), alone
        )
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
