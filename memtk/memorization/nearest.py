"""The nearest neighbours of each line of a similarity matrix, from tiles in float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from memtk.memorization.tile import Lines

ROOM = 2**18
"""Candidates that are kept beside four for each line, before the hopeless ones are dropped."""


class Inexact(Exception):
    """A similarity was further from its float64 value than it said."""


class Nearest:
    """Collects, tile by tile, which pairs may be among the k nearest of each line, and decides.

    `low` are values that the k largest of a line certainly reach: the largest `value - bound` of
    different pairs seen. A pair is a candidate if `value + bound` reaches the last of them. The
    candidates are compared in float64 at the end, so that the winners are those of a search in
    float64: the largest values, and of equal ones the lowest indices. There are few: k for each
    line, and some more for each tile that improved it, until `low` rules them out.

    Args:
        count: lines L.
        exact: lines (K,), others (K,) -> float64 similarities (K,).
        top: k.
    """

    def __init__(
        self,
        count: int,
        exact: Callable[[np.ndarray, np.ndarray], np.ndarray],
        top: int = 1,
    ) -> None:
        self.similarity = np.full((count, top), -np.inf)  # (L, k)
        self.index = np.full((count, top), -1, dtype=np.int64)  # (L, k)
        self.ties = np.zeros(count, dtype=np.int64)  # (L,)
        self._low = np.full((count, top), -np.inf)  # (L, k), descending
        self._exact = exact
        self._found: list[tuple[np.ndarray, ...]] = []
        self._size, self._widest = 0, 0.0

    def reach(self, start: int, lines: Lines, bound: float) -> np.ndarray:
        """Return `low` of the lines from `start` on as this tile raises it, (L', k).

        A candidate of this tile must reach the last column less `bound`.

        Args:
            lines: those lines in this tile.
            bound: how far a value of this tile may be off.
        """
        peaks = lines.peaks.astype(np.float64) - bound  # (L',)
        low = self._low[start : start + len(peaks)]  # (L', k)
        top = low.shape[1]
        if top == 1:
            return np.maximum(low, peaks[:, None])
        low = low.copy()
        better = np.flatnonzero(peaks > low[:, -1])
        best = lines.best(better, top).astype(np.float64) - bound  # (H, k)
        both = np.concatenate([low[better], best], axis=1)
        low[better] = -np.sort(-both, axis=1)[:, :top]
        return low

    def keep(self, start: int, low: np.ndarray) -> None:
        """Take over what `reach` returned. Once for a tile: it must count no pair twice."""
        self._low[start : start + len(low)] = low

    def add(
        self,
        lines: np.ndarray,
        others: np.ndarray,
        values: np.ndarray,
        bound: float,
        weights: np.ndarray | None = None,
    ) -> None:
        """Take candidates in: indices (K,), (K,) and similarities (K,).

        Args:
            weights: how many pairs of the same similarity each stands for, (K,); None: one.
        """
        if not len(lines):
            return
        if weights is None:
            weights = np.ones(len(lines), dtype=np.int32)
        self._found.append((lines, others, values.astype(np.float64) + bound, weights))
        self._size += len(lines)
        self._widest = max(self._widest, bound)
        most = 4 * self._low.size + ROOM
        if self._size > most:
            self._drop()
            if self._size > most // 2:
                self.settle()

    def _drop(self) -> None:
        lines, others, high, weights = (np.concatenate(p) for p in zip(*self._found, strict=True))
        kept = high >= self._low[lines, -1]
        self._found = [(lines[kept], others[kept], high[kept], weights[kept])]
        self._size = int(kept.sum())

    def settle(self) -> None:
        """Decide between the candidates; the results are then final up to here.

        Raises:
            Inexact: if a float64 value lies outside the bound of its float32 value.
        """
        if not self._found:
            return
        self._drop()
        ((lines, others, high, weights),) = self._found
        values = self._exact(lines, others)
        if np.any(values > high) or np.any(values < high - 2 * self._widest):
            raise Inexact
        self._decide(lines, others, values, weights)
        if self.index.shape[1] > 1:
            self._rank(lines, others, values)
        np.maximum(self._low, self.similarity, out=self._low)
        self._found, self._size = [], 0

    def _decide(
        self, lines: np.ndarray, others: np.ndarray, values: np.ndarray, weights: np.ndarray
    ) -> None:
        """Find the nearest of each line among the candidates (K,), and count its ties."""
        best, first = self.similarity[:, 0].copy(), self.index[:, 0]
        np.maximum.at(best, lines, values)
        risen = best > self.similarity[:, 0]
        self.ties[risen] = 0
        equal = values == best[lines]
        lines, others = lines[equal], others[equal]
        np.add.at(self.ties, lines, weights[equal])
        if self.index.shape[1] == 1:
            first[risen] = np.iinfo(first.dtype).max
            np.minimum.at(first, lines, others)
            self.similarity[:, 0] = best

    def _rank(self, lines: np.ndarray, others: np.ndarray, values: np.ndarray) -> None:
        """Sort the candidates (K,) among the k nearest of each line so far."""
        touched = np.unique(lines)
        old = self.index[touched] >= 0  # (H, k)
        lines = np.concatenate([lines, np.repeat(touched, old.sum(1))])
        others = np.concatenate([others, self.index[touched][old]])
        values = np.concatenate([values, self.similarity[touched][old]])
        order = np.lexsort((others, -values, lines))
        lines, others, values = lines[order], others[order], values[order]
        first = np.flatnonzero(np.diff(lines, prepend=-1))
        rank = np.arange(len(lines)) - np.repeat(first, np.diff(first, append=len(lines)))
        kept = rank < self.index.shape[1]
        self.similarity[lines[kept], rank[kept]] = values[kept]
        self.index[lines[kept], rank[kept]] = others[kept]
