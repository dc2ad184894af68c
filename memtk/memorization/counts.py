"""How many pairs of each line are above a threshold, from tiles in float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ROOM = 2**18
"""Undecided pairs that are kept before they are decided."""


class Counts:
    """Counts the pairs strictly above a threshold along both axes.

    Pairs that rounding could put on either side are decided in float64.

    Args:
        queries: Q.
        references: R.
        threshold: of the similarity.
        exact: queries (K,), references (K,) -> float64 similarities (K,).
    """

    def __init__(
        self,
        queries: int,
        references: int,
        threshold: float,
        exact: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> None:
        self.queries = np.zeros(queries, dtype=np.int64)  # (Q,)
        self.references = np.zeros(references, dtype=np.int64)  # (R,)
        self.threshold = threshold
        self._exact = exact
        self._undecided: list[tuple[np.ndarray, np.ndarray]] = []
        self._size = 0

    def add(self, queries: np.ndarray, references: np.ndarray) -> None:
        """Take in undecided pairs: indices (K,), (K,)."""
        if len(queries):
            self._undecided.append((queries, references))
            self._size += len(queries)
        if self._size > ROOM:
            self.settle()

    def settle(self) -> None:
        """Decide the undecided pairs; the counts are then final up to here."""
        for queries, references in self._undecided:
            above = self._exact(queries, references) > self.threshold
            np.add.at(self.queries, queries[above], 1)
            np.add.at(self.references, references[above], 1)
        self._undecided, self._size = [], 0
