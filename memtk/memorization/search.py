"""Exact nearest neighbours in both directions from one pass over tiles, shared by processes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from memtk.errors import PluginError, UserError
from memtk.interfaces import Similarity
from memtk.memorization.patients import SamePatient
from memtk.memorization.rows import ExactPairs, PreparedRows, Source
from memtk.memorization.tiles import BLOCKS, Above, Inexact, Nearest, Tiles

Job = TypeVar("Job")
Done = TypeVar("Done")
Gather = Callable[[Any], list[Any]]
"""object -> the objects of all processes, in the order of their ranks."""

TILE = (1024, 2048)
"""The most queries and references in a tile: 8 MiB of float32, which stay in the cache."""

NUMBERS = (2**24, 2**23)
"""The most float32 numbers in a block of queries, of references that are read block by block."""

PATIENCE = 8**6
"""How much larger than promised an error of a similarity may be."""


@dataclass(frozen=True)
class Neighbours:
    """What each of n rows of one set found in the other.

    Args:
        top_similarity: to its k nearest rows, float64 (n, k), descending.
        top_index: of these rows, int64 (n, k), equally near ones by ascending index. Rows that
            found fewer than k are filled up with -inf and -1.
        ties: rows that are exactly as near as the nearest, itself included, int64 (n,): 1 where
            there is one nearest row, 0 where there is none.
        above: rows with a similarity strictly above the threshold, int64 (n,); None without one.
    """

    top_similarity: np.ndarray
    top_index: np.ndarray
    ties: np.ndarray
    above: np.ndarray | None = None

    @property
    def similarity(self) -> np.ndarray:
        """To its nearest row, float64 (n,); -inf where there is none (with patients)."""
        return self.top_similarity[:, 0]

    @property
    def index(self) -> np.ndarray:
        """Of its nearest row, of equally near ones the lowest, int64 (n,); -1 where none is."""
        return self.top_index[:, 0]


@dataclass(frozen=True)
class Search:
    """Nearest neighbours in both directions.

    Args:
        queries: what each query found among the references.
        references: what each reference found among the queries.
    """

    queries: Neighbours
    references: Neighbours


@dataclass(frozen=True)
class Execution:
    """Where a search is computed; the result is the same everywhere.

    Args:
        device: of the tiles.
        rank: of this process; each process takes its share of the references.
        world: the number of processes.
        gather: object -> the objects of all processes; needed if there are several.
        tile: the most queries and references in a tile.
    """

    device: str | torch.device = "cpu"
    rank: int = 0
    world: int = 1
    gather: Gather | None = None
    tile: tuple[int, int] = TILE


@torch.no_grad()
def search(
    queries: Source,
    references: Source,
    similarity: Similarity,
    *,
    threshold: float | None = None,
    top: int = 1,
    patients: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    names: tuple[str, str] = ("queries", "references"),
    execution: Execution = Execution(),
) -> Search:
    """Find the nearest reference of each query and the nearest query of each reference.

    The similarity matrix is computed in float32, tile by tile, and each tile is reduced along both
    axes at once; the whole matrix is never there. Every pair that may be a maximum, given how far
    float32 may be off, is computed again in float64 and decides there: the result is that of a
    search in float64, ties included, whatever the tile, the device or the number of processes.
    Each float64 value is checked against that error; if one lies outside, the search is repeated
    with a larger one. Memory is O(Q + R) and one tile beside the (prepared) sets.

    With `patients` a set can be searched against itself: the nearest image of another patient.

    Args:
        queries: (Q, *F) array, tensor, memory-mapped array or anything with `len` and slices. What
            does not lie in memory is read and prepared block by block.
        references: (R, *F).
        similarity: see `memtk.interfaces.Similarity`; larger = more alike.
        threshold: pairs strictly above it are counted, by query and by reference.
        top: how many nearest of each are kept, k; of fewer rows all are.
        patients: of the queries (Q,) and of the references (R,): pairs of one patient are left
            out, everywhere. A row that finds no other patient has similarity -inf and index -1.
        names: what the two sets are called in messages.
        execution: device and processes.

    Raises:
        UserError: if a set is empty, the sets differ in F, a row has no similarity, `top` is less
            than 1, or there are not as many patients as rows.
        PluginError: if the similarity contradicts itself or gives NaN.

    >>> class Dot:
    ...     space = "embedding"
    ...     def prepare(self, rows): return rows
    ...     def compare(self, queries, references): return queries @ references.T
    >>> found = search([[1.0, 0.0], [0.0, 2.0]], [[3.0, 1.0], [1.0, 1.0]], Dot(), threshold=1.5)
    >>> found.queries.similarity.tolist(), found.queries.index.tolist()
    ([3.0, 2.0], [0, 0])
    >>> found.references.index.tolist(), found.references.above.tolist()
    ([0, 1], [2, 1])
    """
    gather = execution.gather
    if execution.world > 1 and gather is None:
        raise ValueError("several processes need `gather`")
    if top < 1:
        raise UserError(f"top {top}: ask for at least 1 nearest row.")

    def prepared(side: int) -> PreparedRows:
        source = (queries, references)[side]
        return PreparedRows(source, similarity, device=execution.device, name=names[side])

    problem: UserError | None = None
    part: Search | None = None
    try:
        rows, columns = _in_threads(prepared, (0, 1))
        if rows.width != columns.width:
            raise UserError(
                f"{names[0]} have {rows.width} numbers a row and {names[1]} have {columns.width}: "
                "both sets must come from the same embedder, or have the same image shape."
            )
        sizes = len(rows), len(columns)
        same = None if patients is None else SamePatient(*patients, sizes, names)
        part = _Share(rows, columns, similarity, threshold, top, same, execution).search()
    except UserError as error:
        problem = error
    parts: list[Any] = gather((problem, part)) if gather is not None else [(problem, part)]
    for problem, _ in parts:  # a problem of one process is told by all, and none is left waiting
        if problem is not None:
            raise problem
    shares: list[Search] = [part for _, part in parts]
    return Search(
        _merged([share.queries for share in shares]),
        _merged([share.references for share in shares]),
    )


@dataclass(frozen=True)
class _Share:
    """One process's share of a search: all queries, and its part of the references."""

    rows: PreparedRows
    columns: PreparedRows
    similarity: Similarity
    threshold: float | None
    top: int
    same: SamePatient | None
    execution: Execution

    def search(self) -> Search:
        """Search with the error that the similarity promises, and with larger ones if it lies."""
        slack = 1.0
        with _full_float32():
            while slack <= PATIENCE:
                try:
                    return self._one_pass(slack)
                except Inexact:
                    slack *= 8
        raise PluginError(
            f"similarity {type(self.similarity).__name__}: `compare` does not give in float32 "
            "what it gives in float64 for one pair. Both must be the same function of the prepared "
            "rows."
        )

    def _one_pass(self, slack: float) -> Search:
        rows, columns, limit = self.rows, self.columns, self.threshold
        exact = ExactPairs(rows, columns, self.similarity)
        sides = (
            Nearest(0, len(rows), min(self.top, len(columns)), exact),
            Nearest(1, len(columns), min(self.top, len(rows)), lambda i, j: exact(j, i)),
        )
        above = None if limit is None else Above(len(rows), len(columns), limit, exact)
        scale = max(1.0, abs(limit or 0.0))
        tiles = Tiles(self.similarity, self.same, scale, slack)
        reducers = (*sides, above) if above else sides

        def take(q: Tensor, r: Tensor, top: int, left: int) -> None:
            tile = tiles(q, r, (top, left))
            refused = [reducer for reducer in reducers if not reducer.take(tile)]
            if refused:  # float32 cannot tell what is nearest
                q, r = (
                    side.block(start, start + len(part), torch.float64)
                    for side, start, part in ((rows, top, q), (columns, left, r))
                )
                tile = tiles(q, r, (top, left))
                for reducer in refused:
                    reducer.take(tile)

        def compare(q: Tensor, r: Tensor, top: int, left: int) -> None:
            parts = [
                (q[a:b], r[c:d], top + a, left + c)
                for a, b in _cuts(len(q), self.execution.tile[0], BLOCKS[0])
                for c, d in _cuts(len(r), self.execution.tile[1], BLOCKS[1])
            ]
            # other devices are kept busy by one thread
            _in_threads(lambda part: take(*part), parts, q.device.type == "cpu")

        def compare_all(q: Tensor, top: int) -> None:
            for c, d in columns.spans(NUMBERS[1], *self._columns()):
                compare(q, columns.block(c, d), top, c)

        for a, b in rows.spans(NUMBERS[0], 0, len(rows)):
            compare_all(rows.block(a, b), a)  # no block is kept while the next one is read
        _in_threads(Nearest.settle, sides)
        counts = (above.rows, above.columns) if above else (None, None)
        found = [
            Neighbours(side.similarity, side.index, side.ties, count)
            for side, count in zip(sides, counts, strict=True)
        ]
        return Search(*found)

    def _columns(self) -> tuple[int, int]:
        """Return the first and behind the last column of this process."""
        count, rank, world = len(self.columns), self.execution.rank, self.execution.world
        return count * rank // world, count * (rank + 1) // world


def _cuts(count: int, most: int, block: int) -> list[tuple[int, int]]:
    """Cut 0, ..., count - 1 into tiles of at most `most` and of about the same size.

    >>> _cuts(10, 4, 1)
    [(0, 4), (4, 8), (8, 10)]
    """
    even = -(-count // -(-count // most))
    step = min(most, -(-even // block) * block)
    return [(a, min(a + step, count)) for a in range(0, count, step)]


def _in_threads(
    work: Callable[[Job], Done], jobs: Iterable[Job], several: bool = True
) -> list[Done]:
    """Do all jobs, in torch's number of threads, and return what they give.

    Each thread has one job at a time, and torch one thread for it: small steps then run beside
    large ones, and nobody waits for the others after each of them. The first error is raised, and
    jobs that had not begun are left.
    """
    jobs, threads = list(jobs), torch.get_num_threads()
    if not several or min(threads, len(jobs)) < 2:
        return [work(job) for job in jobs]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(torch.no_grad()(work), jobs))
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _full_float32() -> Iterator[None]:
    """Multiply float32 matrices in float32, also where less was allowed (TF32, bfloat16)."""
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(allowed)


def _merged(parts: list[Neighbours]) -> Neighbours:
    """Join what the processes found, each among other rows: the same as one process finds."""
    if len(parts) == 1:
        return parts[0]
    similarity = np.concatenate([part.top_similarity for part in parts], axis=1)  # (n, P k)
    index = np.concatenate([part.top_index for part in parts], axis=1)
    last = np.where(index < 0, np.iinfo(np.int64).max, index)
    order = np.lexsort((last, -similarity), axis=1)[:, : parts[0].top_index.shape[1]]  # (n, k)
    similarity = np.take_along_axis(similarity, order, axis=1)
    index = np.take_along_axis(index, order, axis=1)
    tied = [np.where(part.similarity == similarity[:, 0], part.ties, 0) for part in parts]
    counts = [part.above for part in parts if part.above is not None]
    return Neighbours(
        similarity, index, np.sum(tied, axis=0), np.sum(counts, axis=0) if counts else None
    )
