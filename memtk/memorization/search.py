"""Exact nearest neighbours in both directions from one pass over tiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memtk.errors import PluginError, UserError
from memtk.interfaces import Similarity
from memtk.memorization.counts import Counts
from memtk.memorization.exact import Exact
from memtk.memorization.nearest import Inexact, Nearest
from memtk.memorization.prepared import Prepared, Source
from memtk.memorization.tile import Lines, above

Gather = Callable[[Any], list[Any]]
"""object -> the objects of all processes, in the order of their ranks."""

NUMBERS = (2**26, 2**24)
"""The most float32 numbers in a tile of queries, of references that are read piece by piece."""

CROWD = 8
"""Candidates a line of a tile from which on the tile is computed in float64."""

PATIENCE = 8**6
"""How much larger than promised an error of a similarity may be."""


@dataclass(frozen=True)
class Neighbours:
    """What each row of one set found in the other.

    Args:
        similarity: to its nearest row, float64 (n,).
        index: of that row, int64 (n,); of equally near ones the lowest.
        above: rows with a similarity strictly above the threshold, int64 (n,); None without one.
    """

    similarity: np.ndarray
    index: np.ndarray
    above: np.ndarray | None = None


@dataclass(frozen=True)
class Search:
    """Nearest neighbours in both directions: of each query, and of each reference."""

    queries: Neighbours
    references: Neighbours


@torch.no_grad()
def search(
    queries: Source,
    references: Source,
    similarity: Similarity,
    *,
    threshold: float | None = None,
    tile: tuple[int, int] = (1024, 4096),
    device: str | torch.device = "cpu",
    rank: int = 0,
    world: int = 1,
    gather: Gather | None = None,
    names: tuple[str, str] = ("queries", "references"),
) -> Search:
    """Find the nearest reference of each query and the nearest query of each reference.

    The similarity matrix is computed in float32, tile by tile, and each tile is reduced along both
    axes at once; the whole matrix is never there. Every pair that may be a maximum, given how far
    float32 may be off, is computed again in float64 and decides there: the result is that of a
    search in float64, ties included, whatever the tile, the device or the number of processes.
    Each float64 value is checked against that error; if one lies outside, the search is repeated
    with a larger one. Memory is O(Q + R) and one tile beside the (prepared) sets.

    Args:
        queries: (Q, *F) array, tensor, memory-mapped array or anything with `len` and slices. What
            does not lie in memory is read and prepared tile by tile.
        references: (R, *F).
        similarity: see `memtk.interfaces.Similarity`; larger = more alike.
        threshold: pairs strictly above it are counted, by query and by reference.
        tile: the most queries and references in a tile.
        device: where the tiles are computed.
        rank: of this process; each process takes its share of the references.
        world: the number of processes.
        gather: object -> the objects of all processes; needed if there are several.
        names: what the two sets are called in messages.

    Raises:
        UserError: if a set is empty, the sets differ in F, or a row has no similarity.
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
    if world > 1 and gather is None:
        raise ValueError("several processes need `gather`")
    problem: UserError | None = None
    part: Search | None = None
    try:
        part = _search(queries, references, similarity, threshold, tile, device, rank, world, names)
    except UserError as error:
        problem = error
    parts: list[Any] = gather((problem, part)) if gather is not None else [(problem, part)]
    for problem, _ in parts:  # a problem of one process is told by all, and none is left waiting
        if problem is not None:
            raise problem
    shares: list[Search] = [part for _, part in parts]
    return Search(_merge([s.queries for s in shares]), _merge([s.references for s in shares]))


def _search(
    queries: Source,
    references: Source,
    similarity: Similarity,
    threshold: float | None,
    tile: tuple[int, int],
    device: str | torch.device,
    rank: int,
    world: int,
    names: tuple[str, str],
) -> Search:
    """Search this process's share of the references."""
    rows = Prepared(queries, similarity, device=device, name=names[0])
    columns = Prepared(references, similarity, device=device, name=names[1])
    if rows.width != columns.width:
        raise UserError(
            f"{names[0]} have {rows.width} numbers a row and {names[1]} have {columns.width}: "
            "both sets must come from the same embedder, or have the same image shape."
        )
    share = (len(columns) * rank // world, len(columns) * (rank + 1) // world)
    slack = 1.0
    while slack <= PATIENCE:
        try:
            return _Pass(rows, columns, similarity, threshold, slack).run(tile, share)
        except Inexact:
            slack *= 8
    raise PluginError(
        f"similarity {type(similarity).__name__}: `compare` does not give in float32 what it gives "
        "in float64 for one pair. Both must be the same function of the prepared rows."
    )


class _Pass:
    """One pass over the tiles, with the errors of the similarity taken `slack` times as large."""

    def __init__(
        self,
        rows: Prepared,
        columns: Prepared,
        similarity: Similarity,
        threshold: float | None,
        slack: float,
    ) -> None:
        exact = Exact(rows, columns, similarity)
        self._rows, self._columns, self._similarity = rows, columns, similarity
        self._slack = slack
        self._by_row = Nearest(len(rows), exact)
        self._by_column = Nearest(len(columns), lambda lines, others: exact(others, lines))
        self._counts = (
            None if threshold is None else Counts(len(rows), len(columns), threshold, exact)
        )

    def run(self, tile: tuple[int, int], share: tuple[int, int]) -> Search:
        """Reduce every tile of all queries and the references of `share`."""
        for top, bottom in self._rows.spans(tile[0], NUMBERS[0], 0, len(self._rows)):
            q = self._rows.tile(top, bottom)  # (Q', F')
            for left, right in self._columns.spans(tile[1], NUMBERS[1], *share):
                r = self._columns.tile(left, right)  # (R', F')
                if not self._take(q, r, top, left):
                    q64 = self._rows.exact_tile(top, bottom)
                    r64 = self._columns.exact_tile(left, right)
                    self._take(q64, r64, top, left, crowded=True)
        self._by_row.settle()
        self._by_column.settle()
        over: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
        if self._counts is not None:
            self._counts.settle()
            over = (self._counts.queries, self._counts.references)
        rows, columns = self._by_row, self._by_column
        return Search(
            Neighbours(rows.similarity, rows.index, over[0]),
            Neighbours(columns.similarity, columns.index, over[1]),
        )

    def _take(self, q: Tensor, r: Tensor, top: int, left: int, crowded: bool = False) -> bool:
        """Reduce one tile along both axes; False if it holds too many candidates."""
        values = self._similarity.compare(q, r)  # (Q', R')
        rows, columns = Lines(values, 1), Lines(values, 0)
        bound = self._bound(q, r, rows.peaks)
        row_cut = self._by_row.cut(top, rows.peaks.cpu().numpy(), bound)
        column_cut = self._by_column.cut(left, columns.peaks.cpu().numpy(), bound)
        row, column, value = rows.reaching(row_cut)
        line, other, likeness = columns.reaching(column_cut)
        found = len(row) + len(line)
        counts = self._counts
        if counts is not None:
            over = above(values, rows.peaks, counts.threshold, bound)
            found += len(over.undecided[0])
        if not crowded and found > CROWD * sum(values.shape):
            return False
        rows_found = row + top, column + left, value
        columns_found = line + left, other + top, likeness
        if crowded:
            rows_found = _distinct(*rows_found, self._columns.first)
            columns_found = _distinct(*columns_found, self._rows.first)
        self._by_row.add(*rows_found, bound)
        self._by_column.add(*columns_found, bound)
        if counts is not None:
            counts.queries[top : top + len(q)] += over.rows
            counts.references[left : left + len(r)] += over.columns
            counts.add(over.undecided[0] + top, over.undecided[1] + left)
        return True

    def _bound(self, q: Tensor, r: Tensor, peaks: Tensor) -> float:
        """Return how far a value of this tile may be from its float64 value."""
        unit = torch.finfo(peaks.dtype).eps / 2
        largest = float(peaks.abs().max())
        if not math.isfinite(largest):
            raise PluginError(
                f"similarity {type(self._similarity).__name__} gives {largest} for finite rows: "
                "it must refuse in `prepare` what it cannot compare."
            )
        size = max(1.0, largest)
        if self._counts is not None:
            size = max(size, abs(self._counts.threshold))
        rounding = getattr(self._similarity, "rounding", None)
        error = rounding(q, r) if rounding else 8 * math.sqrt(q.shape[1]) * unit * size
        return self._slack * (error + 4 * unit * size)


def _distinct(
    lines: np.ndarray, others: np.ndarray, values: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep, for each line, one candidate (K,) of those with the same bits: the first."""
    others = first[others]
    _, kept = np.unique(lines * len(first) + others, return_index=True)
    return lines[kept], others[kept], values[kept]


def _merge(parts: list[Neighbours]) -> Neighbours:
    """Join what the processes found: the nearest, of equally near ones the lowest index."""
    similarity, index = parts[0].similarity.copy(), parts[0].index.copy()
    for part in parts[1:]:
        lower = (part.index >= 0) & ((index < 0) | (part.index < index))
        better = (part.similarity > similarity) | ((part.similarity == similarity) & lower)
        similarity[better], index[better] = part.similarity[better], part.index[better]
    counts = [part.above for part in parts if part.above is not None]
    return Neighbours(similarity, index, np.sum(counts, axis=0) if counts else None)
