"""Similarities of single pairs in float64."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from memtk.interfaces import Similarity
from memtk.memorization.prepared import PIECE, Prepared


class Exact:
    """Computes the similarity of pairs in float64: what decides between close candidates.

    The value of a pair depends on its two rows alone, never on the tile, the process or the
    other pairs, if the similarity has `pairs` (see `memtk.interfaces.Similarity`).
    """

    def __init__(self, queries: Prepared, references: Prepared, similarity: Similarity) -> None:
        self._queries, self._references = queries, references
        self._pairs = getattr(similarity, "pairs", None) or _OneByOne(similarity)
        self._step = max(1, 2 * PIECE // max(queries.width, references.width))

    def __call__(self, queries: np.ndarray, references: np.ndarray) -> np.ndarray:
        """Return the similarity of each query with its reference, indices (K,): float64 (K,)."""
        values = np.empty(len(queries))
        for start in range(0, len(queries), self._step):
            part = slice(start, start + self._step)
            left = self._queries.exact(queries[part])  # (K, F')
            right = self._references.exact(references[part])  # (K, F')
            values[part] = self._pairs(left, right).numpy()
        return values


class _OneByOne:
    """Stands in for `pairs` where a similarity has `compare` alone."""

    def __init__(self, similarity: Similarity) -> None:
        self._similarity = similarity

    def __call__(self, queries: Tensor, references: Tensor) -> Tensor:
        rows = zip(queries.split(1), references.split(1), strict=True)
        # a clone is aligned in memory like any other, and so is rounded like any other
        found = [self._similarity.compare(q.clone(), r.clone())[0, 0] for q, r in rows]
        return torch.stack(found)
