"""The nearest neighbour of each line of a similarity matrix, from tiles in float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ROOM = 2**18
"""Candidates that are kept beside four for each line, before the hopeless ones are dropped."""


class Inexact(Exception):
    """A similarity was further from its float64 value than it said."""


class Nearest:
    """Collects, tile by tile, which pairs may hold the maximum of each line, and decides.

    `low` is a value that the maximum of a line certainly reaches: the largest `value - bound`
    seen. A pair is a candidate if `value + bound >= low`. The candidates are compared in float64
    at the end, so that the winner is the one of a search in float64: the largest value, and of
    equal ones the lowest index. There are few: one for each line, and one more for each tile
    that improved it, until `low` rules them out.

    Args:
        count: lines L.
        exact: lines (K,), others (K,) -> float64 similarities (K,).
    """

    def __init__(self, count: int, exact: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        self.similarity = np.full(count, -np.inf)  # (L,)
        self.index = np.full(count, -1, dtype=np.int64)  # (L,)
        self._low = np.full(count, -np.inf)  # (L,)
        self._exact = exact
        self._found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._size, self._widest = 0, 0.0

    def cut(self, start: int, peaks: np.ndarray, bound: float) -> np.ndarray:
        """Raise `low` of the lines from `start` on; return what a candidate must reach.

        Args:
            peaks: the maximum of each line in this tile, (L',).
            bound: how far a value of this tile may be off.
        """
        low = self._low[start : start + len(peaks)]
        np.maximum(low, peaks.astype(np.float64) - bound, out=low)
        return low - bound

    def add(self, lines: np.ndarray, others: np.ndarray, values: np.ndarray, bound: float) -> None:
        """Take candidates in: indices (K,), (K,) and similarities (K,)."""
        if not len(lines):
            return
        self._found.append((lines, others, values.astype(np.float64) + bound))
        self._size += len(lines)
        self._widest = max(self._widest, bound)
        if self._size > 4 * len(self._low) + ROOM:
            self._drop()
            if self._size > 2 * len(self._low) + ROOM // 2:
                self.settle()

    def _drop(self) -> None:
        lines, others, high = (np.concatenate(part) for part in zip(*self._found, strict=True))
        kept = high >= self._low[lines]
        self._found = [(lines[kept], others[kept], high[kept])]
        self._size = int(kept.sum())

    def settle(self) -> None:
        """Decide between the candidates; `similarity` and `index` are then final up to here.

        Raises:
            Inexact: if a float64 value lies outside the bound of its float32 value.
        """
        if not self._found:
            return
        self._drop()
        ((lines, others, high),) = self._found
        values = self._exact(lines, others)
        if np.any(values > high) or np.any(values < high - 2 * self._widest):
            raise Inexact
        order = np.lexsort((others, -values, lines))
        lines, first = np.unique(lines[order], return_index=True)
        values, others = values[order][first], others[order][first]
        old = self.similarity[lines]
        better = (values > old) | ((values == old) & (others < self.index[lines]))
        self.similarity[lines[better]] = values[better]
        self.index[lines[better]] = others[better]
        self._low[lines] = np.maximum(self._low[lines], self.similarity[lines])
        self._found, self._size = [], 0
