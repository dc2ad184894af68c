"""Tiles of a similarity matrix in float32, and what is kept of each along both axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, local

import numpy as np
import torch
from torch import Tensor

from memtk.errors import PluginError
from memtk.interfaces import Similarity
from memtk.memorization.patients import SamePatient

BLOCKS = (16, 128)
"""Values whose maximum is kept, down a column and along a row.

Along a row torch is only fast at it if they fill whole vector registers; down a column each value
that is looked at is a cache line.
"""

CROWD = 8
"""Candidates a line of a tile, for each that is asked for, from which on the tile is computed in
float64."""

ROOM = 2**18
"""Candidates that are kept beside four for each line, before the hopeless ones are dropped."""

Exact = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Indices (K,), (K,) -> float64 similarities (K,)."""


class Inexact(Exception):
    """A similarity was further from its float64 value than it said."""


class Lines:
    """The rows (axis 0) or the columns (axis 1) of a tile.

    The maximum is taken over short blocks first. Values are looked at one by one only in blocks
    whose maximum reaches what is asked for: a search for indices over the whole tile
    (`torch.max(dim)`) takes several times as long as the matrix product.

    Args:
        values: the tile, padded with -inf to multiples of `BLOCKS`.
        axis: whose lines.
        count: how many lines L are not padding.
    """

    def __init__(self, values: Tensor, axis: int, count: int) -> None:
        blocks = values.unflatten(1 - axis, (-1, BLOCKS[1 - axis]))
        maxima = blocks.amax(2 - axis)  # of contiguous values: many times as fast as of a view
        if axis == 1:
            blocks, maxima = blocks.permute(2, 0, 1), maxima.T.contiguous()
        self._blocks, self._maxima = blocks[:count], maxima[:count]  # (L, B, n), (L, B)
        self.peaks: np.ndarray = self._maxima.amax(1).cpu().numpy()  # (L,)

    def best(self, lines: np.ndarray, top: int) -> np.ndarray:
        """Return values that the `top` largest of each of `lines` (H,) reach, descending.

        They are the largest of different places: (H, top), or fewer if the tile is smaller.
        """
        # maxima of blocks stand for the values where there are plenty of them
        plenty = 4 * top <= self._maxima.shape[1]
        part = self._maxima if plenty else self._blocks.flatten(1)
        part = part[torch.from_numpy(lines).to(part.device)]
        found: np.ndarray = part.topk(min(top, part.shape[1])).values.cpu().numpy()
        return found

    def reaching(self, cut: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the values >= `cut` (L,) of their line: lines, positions, values, each (K,).

        -inf is nobody's value: padding, and pairs that are left out.
        """
        limit = cut.astype(self.peaks.dtype)
        # rounding to the tile's dtype must not lose a candidate; and -inf becomes finite
        limit = np.nextafter(limit, np.finfo(limit.dtype).min)

        def reach(values: Tensor, *where: np.ndarray) -> tuple[np.ndarray, ...]:
            """Return the values (H, n) at `where` (H,) that reach the limit: row, column, value."""
            near = values[tuple(torch.from_numpy(i).to(values.device) for i in where)].cpu().numpy()
            hit = np.flatnonzero(near >= limit[where[0], None])  # faster than np.nonzero
            return *np.divmod(hit, near.shape[1]), near.ravel()[hit]

        line = np.flatnonzero(self.peaks >= limit)
        row, block, _ = reach(self._maxima, line)
        line = line[row]
        row, place, value = reach(self._blocks, line, block)
        return line[row], block[row] * self._blocks.shape[2] + place, value


@dataclass(frozen=True)
class Tile:
    """A part of a similarity matrix.

    Args:
        values: (Q', R'), valid until the thread computes its next tile.
        start: of its first row and column.
        lines: its rows and its columns.
        bound: how far a value may be from its float64 value.
        exact: whether the values are float64.
    """

    values: Tensor
    start: tuple[int, int]
    lines: tuple[Lines, Lines]
    bound: float
    exact: bool


class Tiles:
    """Computes tiles, each thread into a buffer of its own.

    A fresh tile of 16 MiB costs as much in page faults as the matrix product that fills it (32
    wide rows). A similarity with `compare_into` writes into the buffer; that of any other is
    copied.

    Args:
        similarity: what compares the rows.
        same: sets the pairs of one patient to -inf; None: there are none.
        scale: the least absolute similarity that rounding errors are taken relative to.
        slack: how many times the error that the similarity promises is allowed for.
    """

    def __init__(
        self, similarity: Similarity, same: SamePatient | None, scale: float, slack: float
    ) -> None:
        self._similarity, self._same, self._scale, self._slack = similarity, same, scale, slack
        self._own = local()

    def __call__(self, queries: Tensor, references: Tensor, start: tuple[int, int]) -> Tile:
        """Compare prepared rows (Q', F') and (R', F'), the first of which are at `start`.

        Raises:
            PluginError: if the similarity returns another shape than (Q', R') or a NaN.
        """
        shape = len(queries), len(references)
        padded = self._buffer(queries, shape)
        values = padded[: shape[0], : shape[1]]
        if into := getattr(self._similarity, "compare_into", None):
            into(queries, references, values)
        else:
            found = self._similarity.compare(queries, references)
            if not isinstance(found, Tensor) or not found.is_floating_point():
                raise PluginError(
                    f"similarity {type(self._similarity).__name__}: `compare` gives no tensor of "
                    "floats."
                )
            if found.shape != shape:
                raise PluginError(
                    f"similarity {type(self._similarity).__name__}: `compare` gives the shape "
                    f"{tuple(found.shape)} for {shape[0]} queries and {shape[1]} references."
                )
            values.copy_(found)
        padded[shape[0] :] = -torch.inf
        padded[: shape[0], shape[1] :] = -torch.inf
        if self._same is not None:
            self._same.hide(values, *start)
        lines = Lines(padded, 0, shape[0]), Lines(padded, 1, shape[1])
        bound = self._bound(queries, references, lines[0].peaks)
        return Tile(values, start, lines, bound, queries.dtype == torch.float64)

    def _buffer(self, like: Tensor, shape: tuple[int, int]) -> Tensor:
        rows, columns = (-(-n // block) * block for n, block in zip(shape, BLOCKS, strict=True))
        old: Tensor | None = getattr(self._own, "buffer", None)
        if old is None or len(old) < rows * columns or old.dtype != like.dtype:
            self._own.buffer = old = like.new_empty(rows * columns)
        return old[: rows * columns].view(rows, columns)

    def _bound(self, queries: Tensor, references: Tensor, peaks: np.ndarray) -> float:
        unit = float(np.finfo(peaks.dtype).eps) / 2
        if self._same is not None:  # a row may have no other patient in this tile
            peaks = np.where(peaks == -np.inf, 0, peaks)
        largest = float(np.abs(peaks).max())
        if not math.isfinite(largest):
            raise PluginError(
                f"similarity {type(self._similarity).__name__} gives {largest} for finite rows: "
                "it must refuse in `prepare` what it cannot compare."
            )
        size = max(self._scale, largest)
        rounding = getattr(self._similarity, "rounding", None)
        promised = 8 * math.sqrt(queries.shape[1]) * unit * size
        error = rounding(queries, references) if rounding else promised
        return float(self._slack * (error + 4 * unit * size))


class Nearest:
    """Collects, tile by tile, which pairs may be among the k nearest of each line, and decides.

    `low` are values that the k largest of a line certainly reach: the largest `value - bound` of
    different pairs seen. A pair is a candidate if `value + bound` reaches the last of them. The
    candidates are compared in float64 at the end, so that the winners are those of a search in
    float64: the largest values, and of equal ones the lowest indices. There are few: k for each
    line, and some more for each tile that improved it, until `low` rules them out.

    Args:
        axis: 0 for the rows of the matrix, 1 for its columns.
        count: lines L.
        top: k.
        exact: compares lines with others.
    """

    def __init__(self, axis: int, count: int, top: int, exact: Exact) -> None:
        self.similarity = np.full((count, top), -np.inf)  # (L, k), descending
        self.index = np.full((count, top), -1, dtype=np.int64)  # (L, k)
        self.ties = np.zeros(count, dtype=np.int64)  # (L,) equally near as the nearest
        self._axis, self._exact, self._lock = axis, exact, Lock()
        self._low = np.full((count, top), -np.inf)  # (L, k), descending
        self._found: list[tuple[np.ndarray, ...]] = []
        self._size, self._widest = 0, 0.0

    def take(self, tile: Tile) -> bool:
        """Take in the candidates of a tile; False, and nothing is taken, if there is a crowd."""
        lines, start = tile.lines[self._axis], tile.start[self._axis]
        mine = slice(start, start + len(lines.peaks))
        with self._lock:
            low = self._raised(self._low[mine], lines, tile.bound)
            line, other, value = lines.reaching(low[:, -1] - tile.bound)
            if not tile.exact and len(line) > CROWD * low.size:
                return False
            self._low[mine] = low
            high = value.astype(np.float64) + tile.bound
            self._found.append((line + start, other + tile.start[1 - self._axis], high))
            self._size += len(line)
            self._widest = max(self._widest, tile.bound)
            most = 4 * self._low.size + ROOM
            if self._size > most:
                self._drop()
                if self._size > most // 2:
                    self.settle()
        return True

    def _raised(self, low: np.ndarray, lines: Lines, bound: float) -> np.ndarray:
        """Return `low` (L', k) as the lines of a tile raise it."""
        top = low.shape[1]
        peaks = lines.peaks.astype(np.float64) - bound  # (L',)
        if top == 1:
            return np.maximum(low, peaks[:, None])
        better = np.flatnonzero(peaks > low[:, -1])
        best = lines.best(better, top).astype(np.float64) - bound  # (H, k)
        low = low.copy()
        low[better] = -np.sort(-np.concatenate([low[better], best], axis=1), axis=1)[:, :top]
        return low

    def _drop(self) -> tuple[np.ndarray, ...]:
        lines, others, high = (np.concatenate(part) for part in zip(*self._found, strict=True))
        kept = high >= self._low[lines, -1]
        self._found = [(lines[kept], others[kept], high[kept])]
        self._size = int(kept.sum())
        return self._found[0]

    def settle(self) -> None:
        """Decide between the candidates; the results are then final up to here.

        Raises:
            Inexact: if a float64 value lies outside the bound of its float32 value.
        """
        if not self._found:
            return
        lines, others, high = self._drop()
        self._found, self._size = [], 0
        values = self._exact(lines, others)
        if np.any(values > high) or np.any(values < high - 2 * self._widest):
            raise Inexact
        kept = values >= self._low[lines, -1]
        lines, others, values = lines[kept], others[kept], values[kept]
        best = self.similarity[:, 0].copy()
        np.maximum.at(best, lines, values)
        self.ties[best > self.similarity[:, 0]] = 0
        np.add.at(self.ties, lines[values == best[lines]], 1)
        line, rank = np.nonzero(self.index >= 0)
        lines = np.concatenate([lines, line])
        others = np.concatenate([others, self.index[line, rank]])
        values = np.concatenate([values, self.similarity[line, rank]])
        order = np.lexsort((others, -values, lines))
        lines, others, values = lines[order], others[order], values[order]
        rank = np.arange(len(lines)) - np.searchsorted(lines, lines)
        first = rank < self.index.shape[1]
        self.similarity[lines[first], rank[first]] = values[first]
        self.index[lines[first], rank[first]] = others[first]
        np.maximum(self._low, self.similarity, out=self._low)


class Above:
    """Counts the pairs strictly above a threshold along both axes.

    Pairs that rounding could put on either side are decided in float64.

    Args:
        rows: Q.
        columns: R.
        threshold: of the similarity.
        exact: compares rows with columns.
    """

    def __init__(self, rows: int, columns: int, threshold: float, exact: Exact) -> None:
        self.rows = np.zeros(rows, dtype=np.int64)  # (Q,)
        self.columns = np.zeros(columns, dtype=np.int64)  # (R,)
        self._threshold, self._exact, self._lock = threshold, exact, Lock()

    def take(self, tile: Tile) -> bool:
        """Count the pairs of a tile; False, and nothing is counted, if too many are undecided."""
        (top, left), values, threshold = tile.start, tile.values, self._threshold
        # rows without a value so high are not looked at
        hot = np.flatnonzero(tile.lines[0].peaks > threshold - tile.bound)  # (H,)
        part = (
            values if len(hot) == len(values) else values[torch.from_numpy(hot).to(values.device)]
        )
        certain = part > threshold + tile.bound
        row, column = (part > threshold - tile.bound).logical_xor_(certain).nonzero(as_tuple=True)
        if not tile.exact and len(row) > CROWD * sum(values.shape):
            return False
        # an int32 sum is ten times as fast as the int64 one that torch takes by itself
        by_row = certain.sum(1, dtype=torch.int32).cpu().numpy()
        by_column = certain.sum(0, dtype=torch.int32).cpu().numpy()
        rows, columns = hot[row.cpu().numpy()] + top, column.cpu().numpy() + left
        if len(rows):
            over = self._exact(rows, columns) > threshold
            rows, columns = rows[over], columns[over]
        with self._lock:
            self.rows[top + hot] += by_row
            self.columns[left : left + len(by_column)] += by_column
            np.add.at(self.rows, rows, 1)
            np.add.at(self.columns, columns, 1)
        return True
