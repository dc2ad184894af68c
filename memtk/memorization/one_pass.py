"""One pass over the tiles of a similarity matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from memtk.errors import PluginError
from memtk.interfaces import Similarity
from memtk.memorization.canvas import Canvas
from memtk.memorization.counts import Counts
from memtk.memorization.crew import share_out
from memtk.memorization.exact import Exact
from memtk.memorization.nearest import Nearest
from memtk.memorization.neighbours import Search, neighbours
from memtk.memorization.patients import SamePatient
from memtk.memorization.prepared import Prepared
from memtk.memorization.tile import EDGES, Above, Lines, above

Span = tuple[int, int]

NUMBERS = (2**24, 2**23)
"""The most float32 numbers in a block of queries, of references that are read block by block."""

CROWD = 8
"""Candidates a line of a tile, for each that is asked for, from which on the tile is computed in
float64."""


class Pass:
    """One pass, with the errors of the similarity taken `slack` times as large.

    Args:
        rows: the queries.
        columns: the references.
        similarity: what compares them.
        threshold: pairs above it are counted; None: not.
        top: nearest that are kept of each.
        same: leaves the pairs of one patient out; None: none.
        slack: how many times the error that the similarity promises is allowed for.
    """

    def __init__(
        self,
        rows: Prepared,
        columns: Prepared,
        similarity: Similarity,
        *,
        threshold: float | None,
        top: int,
        same: SamePatient | None,
        slack: float,
    ) -> None:
        exact = Exact(rows, columns, similarity)
        self._rows, self._columns, self._similarity = rows, columns, similarity
        self._same, self._top, self._slack = same, top, slack
        self._lock = Lock()
        self._by_row = Nearest(len(rows), exact, min(top, len(columns)))
        self._by_column = Nearest(
            len(columns), lambda lines, others: exact(others, lines), min(top, len(rows))
        )
        self._counts = (
            None if threshold is None else Counts(len(rows), len(columns), threshold, exact)
        )

    def run(self, tile: tuple[int, int], share: tuple[int, int]) -> Search:
        """Reduce every tile of all queries and the references of `share`.

        Raises:
            Inexact: if a similarity was further off than `slack` allows.
        """
        for a, b in self._rows.spans(NUMBERS[0], 0, len(self._rows)):
            self._block(a, self._rows.block(a, b), tile, share)
        over: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
        if self._counts is not None:
            self._counts.settle()
            over = (self._counts.queries, self._counts.references)
        both = self._by_row, self._by_column
        share_out(both, lambda: Nearest.settle, torch.get_num_threads())
        sides = [
            neighbours(side.similarity, side.index, side.ties, counts)
            for side, counts in zip(both, over, strict=True)
        ]
        return Search(sides[0], sides[1])

    def _block(self, a: int, q: Tensor, tile: tuple[int, int], share: tuple[int, int]) -> None:
        """Compare the queries (Q', F') from `a` on with all references of `share`."""
        for c, d in self._columns.spans(NUMBERS[1], *share):
            self._tiles(a, q, c, self._columns.block(c, d), tile)

    def _tiles(self, a: int, q: Tensor, c: int, r: Tensor, tile: tuple[int, int]) -> None:
        """Compare queries (Q', F') from `a` on and references (R', F') from `c` on."""
        parts = [
            (rows, columns)
            for rows in _cuts(0, len(q), tile[0], EDGES[0])
            for columns in _cuts(0, len(r), tile[1], EDGES[1])
        ]

        def worker() -> Callable[[tuple[Span, Span]], None]:
            canvas = Canvas(self._similarity)

            def do(part: tuple[Span, Span]) -> None:
                (top, bottom), (left, right) = part
                if not self._take(canvas, q[top:bottom], r[left:right], a + top, c + left):
                    q64 = self._rows.exact_tile(a + top, a + bottom)
                    r64 = self._columns.exact_tile(c + left, c + right)
                    self._take(canvas, q64, r64, a + top, c + left, crowded=True)

            return do

        # other devices are kept busy by one thread
        share_out(parts, worker, torch.get_num_threads() if q.device.type == "cpu" else 1)

    def _take(
        self, canvas: Canvas, q: Tensor, r: Tensor, top: int, left: int, crowded: bool = False
    ) -> bool:
        """Reduce one tile along both axes; False if it holds too many candidates."""
        padded = canvas(q, r)
        values = padded[: len(q), : len(r)]  # (Q', R')
        if self._same is not None:
            self._same.hide(values, top, left)
        rows, columns = Lines(padded, 1, len(q)), Lines(padded, 0, len(r))
        bound = self._bound(q, r, rows.peaks)
        over = None
        if self._counts is not None:
            over = above(values, rows.peaks, self._counts.threshold, bound)
        with self._lock:
            return self._note(rows, columns, over, top, left, bound, crowded)

    def _note(
        self,
        rows: Lines,
        columns: Lines,
        over: Above | None,
        top: int,
        left: int,
        bound: float,
        crowded: bool,
    ) -> bool:
        """Take in what a tile holds, one tile at a time."""
        row_low = self._by_row.reach(top, rows, bound)  # (Q', k)
        column_low = self._by_column.reach(left, columns, bound)  # (R', k)
        row, column, value = rows.reaching(row_low[:, -1] - bound)
        line, other, likeness = columns.reaching(column_low[:, -1] - bound)
        size = len(row_low), len(column_low)
        found = len(row) + len(line) + (0 if over is None else len(over.undecided[0]))
        if not crowded and found > CROWD * self._top * sum(size):
            return False
        self._by_row.keep(top, row_low)
        self._by_column.keep(left, column_low)
        rows_found = row + top, column + left, value
        columns_found = line + left, other + top, likeness
        if crowded:
            self._by_row.add(*_distinct(*rows_found, self._columns.first, self._top, bound))
            self._by_column.add(*_distinct(*columns_found, self._rows.first, self._top, bound))
        else:
            self._by_row.add(*rows_found, bound)
            self._by_column.add(*columns_found, bound)
        if over is not None and self._counts is not None:
            self._counts.queries[top : top + size[0]] += over.rows
            self._counts.references[left : left + size[1]] += over.columns
            self._counts.add(over.undecided[0] + top, over.undecided[1] + left)
        return True

    def _bound(self, q: Tensor, r: Tensor, peaks: np.ndarray) -> float:
        """Return how far a value of this tile may be from its float64 value."""
        unit = float(np.finfo(peaks.dtype).eps) / 2
        if self._same is not None:  # a row may have no other patient in this tile
            peaks = np.where(peaks == -np.inf, 0, peaks)
        largest = float(np.abs(peaks).max())
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


def _cuts(start: int, stop: int, most: int, edge: int) -> list[tuple[int, int]]:
    """Cut start, ..., stop - 1 into tiles of at most `most` and of about the same size.

    >>> _cuts(0, 10, 4, 1)
    [(0, 4), (4, 8), (8, 10)]
    """
    even = -(-(stop - start) // -(-(stop - start) // most))
    step = min(most, -(-even // edge) * edge)
    return [(a, min(a + step, stop)) for a in range(start, stop, step)]


def _distinct(
    lines: np.ndarray,
    others: np.ndarray,
    values: np.ndarray,
    first: np.ndarray,
    top: int,
    bound: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, np.ndarray]:
    """Keep, for each line, `top` candidates (K,) of those with the same bits: the first.

    Returns:
        What `Nearest.add` takes; the first candidate stands for those that were left out.
    """
    group = lines * len(first) + first[others]
    order = np.lexsort((others, group))
    group = group[order]
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    sizes = np.diff(starts, append=len(group))
    rank = np.arange(len(group)) - np.repeat(starts, sizes)
    weights = np.where(rank == 0, np.repeat(np.maximum(sizes - top, 0), sizes) + 1, 1)
    kept = order[rank < top]
    return lines[kept], others[kept], values[kept], bound, weights[rank < top]
